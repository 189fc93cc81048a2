//! Operators that repeat elements: Expand and Tile.

use smallvec::smallvec;

use super::Group;
use super::common::{Ints, SmallStrides, Walk, spreads, strides, walked};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Shape, Value};
use crate::tensor::{checked_len, shape_text};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Expand", expand), ("Tile", tile)];

/// Input 0 broadcast with the shape in input 1.
#[derive(Debug)]
struct Expand {
    shape: Ints,
}

fn expand(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let shape = Ints::input(node, 1)?;
    if shape.is_absent() {
        return Err(node.malformed("Expand has no shape"));
    }
    if shape.known().is_some_and(|s| s.iter().any(|&d| d < 0)) {
        return Err(node.malformed("a dimension of Expand is negative"));
    }
    Ok(Box::new(Expand { shape }))
}

impl Op for Expand {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let wanted = self.shape.get(args)?;
        let wanted = wanted.iter().map(|&d| usize::try_from(d)).collect::<std::result::Result<Shape, _>>();
        let wanted = wanted.map_err(|_| Error::new(ErrorKind::InvalidValue, "a dimension of Expand is negative"))?;
        let shape = broadcast(value.shape(), &wanted)?;
        if checked_len(&shape) == Some(value.len()) {
            return Ok(smallvec![args.take(0)?.with_shape(shape)?]);
        }
        Ok(smallvec![stretched(value, &shape, cx)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        spreads(outputs)
    }
}

/// The shape of an operation on every pair of elements of two tensors: axes from the last, of length 1 or the same.
///
/// # Errors
/// [`ErrorKind::WrongShape`] when the shapes do not go together.
pub(in crate::backend::native::ops) fn broadcast(a: &[usize], b: &[usize]) -> Result<Shape> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    (0..rank)
        .map(|i| match (dim(a, i), dim(b, i)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(Error::new(ErrorKind::WrongShape, "these shapes do not go together").actual(format!(
                "{} and {}",
                shape_text(a),
                shape_text(b)
            ))),
        })
        .collect()
}

/// `value` repeated up to `shape`, with which it [`broadcast`]s.
pub(in crate::backend::native::ops) fn stretched<'v>(
    value: &Value<'_>,
    shape: &[usize],
    cx: &mut Scratch,
) -> Result<Value<'v>> {
    let from = strides(value.shape());
    let step = |axis: usize| {
        let own = (axis + value.rank()).checked_sub(shape.len());
        own.filter(|&a| value.shape()[a] != 1).map_or(0, |a| from[a])
    };
    let steps: SmallStrides = (0..shape.len()).map(step).collect();
    walked(value, shape, Walk { start: 0, dims: Shape::from_slice(shape), strides: steps }, cx)
}

/// Input 0 as often along each axis as input 1 says; version 1 has the number of tiles and one axis instead.
#[derive(Debug)]
struct Tile {
    repeats: Ints,
    /// The inputs are a number of tiles and an axis.
    one_axis: bool,
}

fn tile(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let repeats = Ints::input(node, 1)?;
    if repeats.is_absent() {
        return Err(node.malformed("Tile has no repeats"));
    }
    if repeats.known().is_some_and(|r| r.iter().any(|&n| n < 0)) {
        return Err(node.malformed("a repeat of Tile is negative"));
    }
    Ok(Box::new(Tile { repeats, one_axis: node.opset() < 6 }))
}

impl Op for Tile {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let repeats = self.repeats.get(args)?;
        let bad = || {
            Error::new(ErrorKind::WrongShape, "Tile needs one repeat, not negative, for each axis")
                .expected(format!("{} repeats", value.rank()))
                .actual(format!("{repeats:?}"))
        };
        let mut times = Shape::from_elem(1, value.rank());
        if self.one_axis {
            let axis = super::common::axis_of(super::common::scalar_i64(args.get(2)?)?, value.rank())?;
            let &[n] = &*repeats else { return Err(bad()) };
            times[axis] = usize::try_from(n).map_err(|_| bad())?;
        } else {
            if repeats.len() != value.rank() {
                return Err(bad());
            }
            for (time, &n) in times.iter_mut().zip(repeats.iter()) {
                *time = usize::try_from(n).map_err(|_| bad())?;
            }
        }
        if times.iter().all(|&n| n == 1) {
            drop(repeats);
            return Ok(smallvec![args.take(0)?]);
        }
        let mut shape = Shape::from_slice(value.shape());
        for (dim, &n) in shape.iter_mut().zip(&times) {
            *dim = dim.saturating_mul(n);
        }
        cx.check_shape(&shape)?;
        let from = strides(value.shape());
        let (mut dims, mut steps) = (Shape::new(), SmallStrides::new());
        for axis in 0..times.len() {
            dims.extend([times[axis], value.shape()[axis]]);
            steps.extend([0, from[axis]]);
        }
        Ok(smallvec![walked(value, &shape, Walk { start: 0, dims, strides: steps }, cx)?])
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        let (Some(from), Some(to)) = (inputs.first(), outputs.first()) else { return false };
        (0..from.rank()).any(|a| from.varies(a) && from.shapes[1].get(a) != to.shapes[1].get(a)) || spreads(outputs)
    }
}
