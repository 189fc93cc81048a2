//! Constants, dense and sparse.

use smallvec::smallvec;

use super::Group;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Item, Value, typed};
use crate::onnx::{ExternalData, SparseTensorProto};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Constant", build)];

/// A value that stands in the file; folding takes it out of the program.
#[derive(Debug)]
struct Constant(Value<'static>);

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let value = if let Some(value) = node.tensor("value")? {
        value
    } else if let Some(f) = node.float("value_float")? {
        Value::scalar(f)
    } else if let Some(i) = node.int("value_int")? {
        Value::scalar(i)
    } else if let Some(s) = node.string("value_string")? {
        Value::scalar(s.to_owned())
    } else if let Some(f) = node.floats("value_floats")? {
        Value::new([f.len()].as_slice(), f.to_vec())
    } else if let Some(i) = node.ints("value_ints")? {
        Value::new([i.len()].as_slice(), i.to_vec())
    } else if let Some(s) = node.strings("value_strings")? {
        Value::new([s.len()].as_slice(), s)
    } else if let Some(sparse) = node.sparse("sparse_value")? {
        sparse
    } else {
        return Err(node.malformed("the constant has no value"));
    };
    Ok(Box::new(Constant(value)))
}

impl Op for Constant {
    fn run<'v>(&self, _args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        Ok(smallvec![self.0.clone()])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

/// A sparse constant with its zeros filled in.
pub(crate) fn sparse(
    proto: &SparseTensorProto,
    external: Option<&ExternalData>,
    scratch: &Scratch,
) -> Result<Value<'static>> {
    let bad = |what: &str| Error::new(ErrorKind::Malformed, format!("a sparse constant {what}"));
    let shape = proto
        .dims
        .iter()
        .map(|&d| usize::try_from(d).map_err(|_| bad("has a negative dimension")))
        .collect::<Result<Vec<_>>>()?;
    let count = scratch.check_shape(&shape)?;
    let values = proto.values.as_deref().ok_or_else(|| bad("has no values"))?;
    let indices = proto.indices.as_deref().ok_or_else(|| bad("has no indices"))?;
    let values = Value::from(values.to_dense(external, scratch.limits.max_elements)?);
    let indices = Value::from(indices.to_dense(external, scratch.limits.max_elements)?);
    let places = indices.as_slice::<i64>()?;
    let flat: Vec<usize> = match *indices.shape() {
        [n] if n == values.len() => places
            .iter()
            .map(|&i| usize::try_from(i).ok().filter(|&i| i < count).ok_or_else(|| bad("has an index out of range")))
            .collect::<Result<_>>()?,
        [n, rank] if n == values.len() && rank == shape.len() && rank > 0 => places
            .chunks(rank)
            .map(|place| {
                place.iter().zip(&shape).try_fold(0, |flat, (&i, &d)| {
                    usize::try_from(i)
                        .ok()
                        .filter(|&i| i < d)
                        .map(|i| flat * d + i)
                        .ok_or_else(|| bad("has an index out of range"))
                })
            })
            .collect::<Result<_>>()?,
        _ => return Err(bad("has indices of the wrong shape")),
    };
    fn fill<T: Item>(shape: &[usize], count: usize, flat: &[usize], items: &[T]) -> Value<'static> {
        let mut dense = vec![T::default(); count];
        for (&at, item) in flat.iter().zip(items) {
            dense[at] = item.clone();
        }
        Value::new(shape, dense)
    }
    typed!(values.data(), T, items => Ok(fill(&shape, count, &flat, items)), _seq => Err(bad("holds a sequence")))
}
