//! `ArrayFeatureExtractor`.

use smallvec::smallvec;

use crate::backend::native::chain::{Filling, Handed};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::looked_up;
use crate::backend::native::value::{Item, Shape, Value, typed};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("ArrayFeatureExtractor", build)];

/// Elements of the last axis of input 0, chosen by the indices in input 1.
#[derive(Debug)]
struct ArrayFeatureExtractor {
    /// The indices, where they stand in the file.
    indices: Option<Vec<usize>>,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let indices = node.constant(1).map(|v| parse(v)).transpose()?;
    // Indices that are computed may be none: those of the winning classes of an empty batch.
    if indices.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::new(ErrorKind::Malformed, "ArrayFeatureExtractor was given no indices"));
    }
    Ok(Box::new(ArrayFeatureExtractor { indices }))
}

/// The indices, none of them negative.
fn parse(value: &Value<'_>) -> Result<Vec<usize>> {
    value.to_i64s()?.into_iter().map(|i| usize::try_from(i).map_err(|_| out_of_range(i, None))).collect()
}

#[cold]
fn out_of_range(index: impl std::fmt::Display, columns: Option<usize>) -> Error {
    let error = Error::new(ErrorKind::InvalidValue, "an index of ArrayFeatureExtractor is out of range").actual(index);
    match columns {
        Some(n) => error.expected(format!("0 to {} for {n} columns", n.saturating_sub(1))),
        None => error.expected("0 or more"),
    }
}

fn pick<T: Item>(x: &[T], n: usize, indices: &[usize], out: &mut Vec<T>) {
    if let &[one] = indices {
        out.extend(x.iter().skip(one).step_by(n.max(1)).cloned());
        return;
    }
    for row in x.chunks_exact(n.max(1)) {
        out.extend(indices.iter().map(|&i| row[i].clone()));
    }
}

impl Op for ArrayFeatureExtractor {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let computed;
        let indices = match &self.indices {
            Some(indices) => indices,
            None => {
                computed = parse(args.get(1)?)?;
                &computed
            }
        };
        let value = args.get(0)?;
        let Some((&n, lead)) = value.shape().split_last() else {
            return Err(Error::new(ErrorKind::WrongShape, "ArrayFeatureExtractor can't take a number without axes"));
        };
        if let Some(&wrong) = indices.iter().find(|&&i| i >= n) {
            return Err(out_of_range(wrong, Some(n)));
        }
        // One axis gives (1, k), as ONNX Runtime does.
        let mut shape = if lead.is_empty() { Shape::from_slice(&[1]) } else { Shape::from_slice(lead) };
        shape.push(indices.len());
        let count = cx.check_shape(&shape)?;
        Ok(smallvec![typed!(value.data(), T, items => {
            let mut out = cx.buffer::<T>(count);
            pick::<T>(items, n, indices, &mut out);
            Value::new(shape, out)
        }, _seq => return Err(value.type_error("a tensor")))])
    }

    fn fill(&self, rows: Filling<'_, '_>, _cx: &mut Scratch) -> Option<Result<()>> {
        // One row of a table, and an index into it for each row.
        let (table, [out]) = (rows.args.opt(0)?, rows.out) else { return None };
        let n = *table.shape().last().filter(|&&n| n == table.len())?;
        let place = |i: i64| usize::try_from(i).ok().filter(|&i| i < n).ok_or_else(|| out_of_range(i, Some(n)));
        looked_up(table, i64::read(rows.x)?, place, out)
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        // Indices computed from the batch choose among constants; each answer then depends on its own index only.
        inputs.first().is_none_or(|x| x.rank() == 0 || x.varies(x.rank() - 1))
            || (inputs.get(1).is_some_and(Flow::any) && inputs.first().is_some_and(Flow::any))
    }
}
