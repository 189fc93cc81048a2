//! Running sums and products along an axis.

use smallvec::smallvec;

use super::axes::{self, axis_of};
use super::dispatch::{self, numbers};
use super::num::Num;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Shape, Value};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("CumSum", |n| build(n, false)), ("CumProd", |n| build(n, true))];

/// The sum or product of all elements up to each one.
#[derive(Debug)]
struct Cumulate {
    product: bool,
    /// The axis, unless input 1 gives it at every call.
    axis: Option<i64>,
    /// Whether each element itself is left out.
    exclusive: bool,
    reverse: bool,
}

fn build(node: &Node<'_>, product: bool) -> Result<Box<dyn Op>> {
    let axis = node.constant(1).map(only).transpose()?;
    let (exclusive, reverse) = (node.flag("exclusive", false)?, node.flag("reverse", false)?);
    Ok(Box::new(Cumulate { product, axis, exclusive, reverse }))
}

/// The one axis that an input gives.
fn only(value: &Value<'_>) -> Result<i64> {
    match value.to_i64s()?[..] {
        [axis] => Ok(axis),
        _ => Err(Error::new(ErrorKind::WrongShape, "the axis must be one number").actual(value.len())),
    }
}

impl Op for Cumulate {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let axis = match self.axis {
            Some(axis) => axis,
            None => only(args.get(1)?)?,
        };
        let value = dispatch::own(args, 0, cx)?;
        if value.dtype().is_none_or(|d| !d.is_float() && !d.is_integer()) {
            return Err(value.type_error("a number"));
        }
        let shape = Shape::from_slice(value.shape());
        let [_, along, after] = axes::around(&shape, axis_of(axis, shape.len())?);
        Ok(smallvec![numbers!(value.into_data(), T, items => {
            let mut items: Vec<T> = items.into_owned();
            match self.product {
                true => self.all(&mut items, along, after, T::ONE, T::times),
                false => self.all(&mut items, along, after, T::ZERO, T::plus),
            }
            Value::new(shape, items)
        }, Value::default())])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|x| self.axis.map_or(x.any(), |axis| x.varies_signed(axis)))
    }
}

impl Cumulate {
    fn all<T: Num>(&self, items: &mut [T], along: usize, after: usize, start: T, join: impl Fn(T, T) -> T) {
        if items.is_empty() {
            return;
        }
        for block in items.chunks_exact_mut(along * after) {
            for first in 0..after {
                let mut sum = start;
                let mut step = |x: &mut T| {
                    let next = join(sum, *x);
                    *x = if self.exclusive { sum } else { next };
                    sum = next;
                };
                let group = block[first..].iter_mut().step_by(after);
                if self.reverse { group.rev().for_each(&mut step) } else { group.for_each(&mut step) }
            }
        }
    }
}
