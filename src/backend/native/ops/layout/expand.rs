//! Operators that repeat elements: Expand and Tile.

use smallvec::smallvec;

use super::Group;
use super::common::{Ints, SmallStrides, Walk, spreads, strides, walked};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::Shape;
use crate::tensor::shape_text;
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
        let rank = wanted.len().max(value.rank());
        let bad = || {
            Error::new(ErrorKind::WrongShape, "Expand can't broadcast its input to the shape")
                .expected(format!("{wanted:?}"))
                .actual(shape_text(value.shape()))
        };
        let from = strides(value.shape());
        let (mut shape, mut steps) = (Shape::with_capacity(rank), SmallStrides::with_capacity(rank));
        for axis in 0..rank {
            let own = (axis + value.rank()).checked_sub(rank);
            let dim = own.map_or(1, |a| value.shape()[a]);
            let want = match (axis + wanted.len()).checked_sub(rank) {
                Some(a) => usize::try_from(wanted[a]).map_err(|_| bad())?,
                None => 1,
            };
            if dim != want && dim != 1 && want != 1 {
                return Err(bad());
            }
            shape.push(if dim == 1 { want } else { dim });
            steps.push(own.filter(|_| dim != 1).map_or(0, |a| from[a]));
        }
        if crate::tensor::checked_len(&shape) == Some(value.len()) {
            drop(wanted);
            return Ok(smallvec![args.take(0)?.with_shape(shape)?]);
        }
        let walk = Walk { start: 0, dims: shape.clone(), strides: steps };
        Ok(smallvec![walked(value, &shape, walk, cx)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        spreads(outputs)
    }
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
