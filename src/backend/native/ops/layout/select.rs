//! Operators whose output size depends on the values: NonZero and Compress.

use smallvec::smallvec;

use super::Group;
use super::common::{around, axis_of, no_sequence};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Item, Shape, Value, typed};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("NonZero", non_zero), ("Compress", compress)];

/// The indices of the elements that are not zero, (rank, n).
#[derive(Debug)]
struct NonZero;

fn non_zero(_node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(NonZero))
}

/// The places of elements other than the default, which is zero.
fn set_places<T: Item + PartialEq>(items: &[T]) -> Vec<usize> {
    let zero = T::default();
    items.iter().enumerate().filter(|(_, v)| **v != zero).map(|(i, _)| i).collect()
}

impl Op for NonZero {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let places = typed!(value.data(), T, items => set_places::<T>(items), _seq => return Err(no_sequence()));
        // A scalar counts as a vector of one.
        let shape = if value.rank() == 0 { &[1][..] } else { value.shape() };
        let n = cx.check_shape(&[shape.len(), places.len()])?;
        let mut out = cx.buffer::<i64>(n);
        for axis in 0..shape.len() {
            let (_, dim, inner) = around(shape, axis);
            out.extend(places.iter().map(|p| (p / inner % dim) as i64));
        }
        Ok(smallvec![Value::new([shape.len(), places.len()].as_slice(), out)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
    }
}

/// The pieces of input 0 along an axis, or its elements, where input 1 says so.
#[derive(Debug)]
struct Compress {
    axis: Option<i64>,
}

fn compress(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Compress { axis: node.int("axis")? }))
}

impl Op for Compress {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (value, condition) = (args.get(0)?, args.get(1)?);
        if condition.rank() != 1 {
            return Err(Error::new(ErrorKind::WrongShape, "the condition of Compress must be a vector"));
        }
        let condition = condition.as_slice::<bool>()?;
        let mut shape = Shape::from_slice(value.shape());
        let (outer, dim, inner, axis) = match self.axis {
            Some(axis) => {
                let axis = axis_of(axis, value.rank())?;
                let (outer, dim, inner) = around(&shape, axis);
                (outer, dim, inner, axis)
            }
            None => {
                shape = smallvec![value.len()];
                (1, value.len(), 1, 0)
            }
        };
        // Conditions beyond the axis, and elements beyond the condition, count as not chosen.
        let chosen: Vec<usize> = (0..dim.min(condition.len())).filter(|&i| condition[i]).collect();
        shape[axis] = chosen.len();
        typed!(value.data(), T, items => {
            let mut out = cx.buffer::<T>(outer * chosen.len() * inner);
            for block in 0..outer {
                for place in &chosen {
                    let at = (block * dim + place) * inner;
                    out.extend_from_slice(&items[at..at + inner]);
                }
            }
            Ok(smallvec![Value::new(shape, out)])
        }, _seq => Err(no_sequence()))
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let [data, condition, ..] = inputs else { return true };
        condition.any() || self.axis.map_or(data.any(), |axis| data.varies_signed(axis))
    }
}
