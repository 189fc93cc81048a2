//! Operators whose indices name several axes at once: GatherND and ScatterND.

use smallvec::smallvec;

use super::Group;
use super::common::{index_of, no_sequence, spreads, volume};
use super::scatter::{Combine, Reduction};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Item, Shape, Value, typed};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("GatherND", gather_nd), ("ScatterND", scatter_nd)];

/// The pieces of input 0 that the index tuples along the last axis of input 1 name.
#[derive(Debug)]
struct GatherNd {
    batch_dims: usize,
}

fn gather_nd(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let batch_dims = usize::try_from(node.int_or("batch_dims", 0)?)
        .map_err(|_| node.malformed("`batch_dims` of GatherND is negative"))?;
    Ok(Box::new(GatherNd { batch_dims }))
}

/// The places in a tensor of `shape` that tuples of `n` indices name, counted in pieces of the axes that are left.
fn tuples(indices: &Value<'_>, shape: &[usize], n: usize) -> Result<Vec<usize>> {
    let flat = indices.to_i64s()?;
    flat.chunks_exact(n.max(1))
        .map(|tuple| tuple.iter().zip(shape).try_fold(0, |at, (&i, &dim)| Ok(at * dim + index_of(i, dim)?)))
        .collect()
}

#[cold]
fn misfit(data: &Value<'_>, indices: &Value<'_>) -> Error {
    Error::new(ErrorKind::WrongShape, "tuples of indices do not fit the data")
        .expected(format!("tuples for {}", shape_text(data.shape())))
        .actual(shape_text(indices.shape()))
}

impl Op for GatherNd {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (value, indices) = (args.get(0)?, args.get(1)?);
        let b = self.batch_dims;
        let Some((&n, lead)) = indices.shape().split_last() else { return Err(misfit(value, indices)) };
        let fits = b < value.rank() && b <= lead.len() && lead[..b] == value.shape()[..b];
        if !fits || n == 0 || n > value.rank() - b {
            return Err(misfit(value, indices));
        }
        let (named, rest) = value.shape()[b..].split_at(n);
        let mut shape = Shape::from_slice(lead);
        shape.extend_from_slice(rest);
        let count = cx.check_shape(&shape)?;
        let (block, piece) = (volume(named), volume(rest));
        let per_batch = volume(&lead[b..]);
        let places = tuples(indices, named, n)?;
        typed!(value.data(), T, items => {
            let mut out = cx.buffer::<T>(count);
            for (i, place) in places.into_iter().enumerate() {
                let at = (i / per_batch * block + place) * piece;
                out.extend_from_slice(&items[at..at + piece]);
            }
            Ok(smallvec![Value::new(shape, out)])
        }, _seq => Err(no_sequence()))
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        let [data, indices, ..] = inputs else { return true };
        let batched = (self.batch_dims..data.rank()).all(|a| !data.varies(a)) && (!data.any() || indices.any());
        !batched || spreads(outputs)
    }
}

/// Input 0 with the pieces that index tuples name replaced by, or combined with, those of input 2.
#[derive(Debug)]
struct ScatterNd {
    reduction: Reduction,
}

fn scatter_nd(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(ScatterNd { reduction: Reduction::of(node)? }))
}

impl Op for ScatterNd {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.take(0)?;
        let (indices, updates) = (args.get(1)?, args.get(2)?);
        let Some((&n, lead)) = indices.shape().split_last() else { return Err(misfit(&value, indices)) };
        if n == 0 || n > value.rank() {
            return Err(misfit(&value, indices));
        }
        let shape = Shape::from_slice(value.shape());
        let (named, rest) = shape.split_at(n);
        if updates.rank() != lead.len() + rest.len() || !updates.shape().iter().eq(lead.iter().chain(rest)) {
            return Err(Error::new(ErrorKind::WrongShape, "the updates of ScatterND do not fit data and indices")
                .actual(shape_text(updates.shape())));
        }
        let places = tuples(indices, named, n)?;
        let piece = volume(rest);
        typed!(value.data(), T, _items => {
            let new = updates.as_slice::<T>()?;
            let mut out = value.into_vec::<T>()?;
            put(&mut out, new, &places, piece, self.reduction)?;
            Ok(smallvec![Value::new(shape, out)])
        }, _seq => Err(no_sequence()))
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
    }
}

fn put<T: Item + Combine>(out: &mut [T], new: &[T], places: &[usize], piece: usize, how: Reduction) -> Result<()> {
    if piece == 0 {
        return Ok(());
    }
    for (&place, new) in places.iter().zip(new.chunks_exact(piece)) {
        for (old, new) in out[place * piece..(place + 1) * piece].iter_mut().zip(new) {
            how.apply(old, new)?;
        }
    }
    Ok(())
}
