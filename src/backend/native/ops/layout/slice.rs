//! Slice.

use smallvec::smallvec;

use super::Group;
use super::common::{Ints, Walk, axis_of, strides, walked};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::Shape;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Slice", build)];

/// Every `steps`-th element of input 0 from `starts` to before `ends`, along each of `axes`.
#[derive(Debug)]
struct Slice {
    starts: Ints,
    ends: Ints,
    axes: Ints,
    steps: Ints,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let slice = Slice {
        starts: Ints::either(node, "starts", 1)?,
        ends: Ints::either(node, "ends", 2)?,
        axes: Ints::either(node, "axes", 3)?,
        steps: Ints::input(node, 4)?,
    };
    if slice.starts.is_absent() || slice.ends.is_absent() {
        return Err(node.malformed("Slice has no starts or no ends"));
    }
    if slice.steps.known().is_some_and(|steps| steps.contains(&0)) {
        return Err(node.malformed("a step of Slice is 0"));
    }
    Ok(Box::new(slice))
}

/// The first place and the number of places from `start` to before `end` in a dimension of `dim`.
fn span(start: i64, end: i64, step: i64, dim: usize) -> (usize, usize) {
    let dim = dim as i64;
    let from_start = |i: i64| if i < 0 { i.saturating_add(dim) } else { i };
    let (first, last) = if step > 0 {
        (from_start(start).clamp(0, dim), from_start(end).clamp(0, dim))
    } else {
        (from_start(start).clamp(-1, dim - 1), from_start(end).clamp(-1, dim - 1))
    };
    let distance = if step > 0 { last - first } else { first - last };
    if distance <= 0 {
        return (0, 0);
    }
    let step = step.unsigned_abs();
    (first as usize, (distance as u64).div_ceil(step) as usize)
}

impl Op for Slice {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let (starts, ends) = (self.starts.get(args)?, self.ends.get(args)?);
        let (axes, by) = (self.axes.opt(args)?, self.steps.opt(args)?);
        let n = starts.len();
        if ends.len() != n || axes.as_ref().is_some_and(|a| a.len() != n) || by.as_ref().is_some_and(|s| s.len() != n) {
            return Err(Error::new(
                ErrorKind::WrongShape,
                "Slice has starts, ends, axes or steps of different lengths",
            ));
        }
        let (mut shape, mut steps) = (Shape::from_slice(value.shape()), strides(value.shape()));
        let (mut start, mut seen, mut whole) = (0, Shape::from_elem(0, shape.len()), true);
        for i in 0..n {
            let axis = axis_of(axes.as_ref().map_or(i as i64, |a| a[i]), shape.len())?;
            if std::mem::replace(&mut seen[axis], 1) == 1 {
                return Err(Error::new(ErrorKind::Malformed, "Slice names the same axis twice"));
            }
            let step = by.as_ref().map_or(1, |s| s[i]);
            if step == 0 {
                return Err(Error::new(ErrorKind::InvalidValue, "a step of Slice is 0"));
            }
            let (first, count) = span(starts[i], ends[i], step, shape[axis]);
            whole &= count == shape[axis] && (step > 0 || count < 2);
            start += first * steps[axis] as usize;
            shape[axis] = count;
            // Only reached when there is a second place to step to, which bounds the step.
            steps[axis] = if count > 1 { steps[axis] * step as isize } else { 0 };
        }
        if whole {
            drop((starts, ends, axes, by));
            return Ok(smallvec![args.take(0)?]);
        }
        let walk = Walk { start, dims: shape.clone(), strides: steps };
        Ok(smallvec![walked(value, &shape, walk, cx)?])
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        let (Some(from), Some(to)) = (inputs.first(), outputs.first()) else { return false };
        let reverses = self.steps.known().map_or(!self.steps.is_absent(), |s| s.iter().any(|&s| s < 0));
        (0..from.rank()).any(|axis| {
            let kept = (0..2).all(|run| from.shapes[run].get(axis) == to.shapes[run].get(axis));
            from.varies(axis) && (!kept || reverses)
        })
    }
}
