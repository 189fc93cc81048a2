//! Concat.

use smallvec::smallvec;

use super::Group;
use super::common::{around, axis_of, no_sequence};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Item, Shape, Value, typed};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Concat", build)];

/// The inputs one after the other along an axis.
#[derive(Debug)]
struct Concat {
    axis: i64,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let axis = match node.int("axis")? {
        Some(axis) => axis,
        None if node.opset() < 4 => 1,
        None => return Err(node.malformed("Concat has no `axis`")),
    };
    if node.inputs() == 0 {
        return Err(node.malformed("Concat has no inputs"));
    }
    Ok(Box::new(Concat { axis }))
}

impl Op for Concat {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        if args.len() == 1 {
            axis_of(self.axis, args.get(0)?.rank())?;
            return Ok(smallvec![args.take(0)?]);
        }
        let values = (0..args.len()).map(|i| args.get(i)).collect::<Result<Vec<_>>>()?;
        Ok(smallvec![concat(&values, self.axis, cx)?])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.len() > 1 && inputs.iter().any(|i| i.varies_signed(self.axis))
    }
}

/// `values` one after the other along `axis`. All have one element type and the same other dimensions.
///
/// # Errors
/// [`ErrorKind::WrongShape`] or [`ErrorKind::WrongType`] when they do not fit together.
pub(in crate::backend::native::ops) fn concat<'v>(
    values: &[&Value<'_>],
    axis: i64,
    cx: &mut Scratch,
) -> Result<Value<'v>> {
    let first =
        values.first().ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "there is nothing to concatenate"))?;
    let axis = axis_of(axis, first.rank())?;
    let mut shape = Shape::from_slice(first.shape());
    shape[axis] = 0;
    for value in values {
        let same = value.rank() == shape.len()
            && value.shape().iter().zip(&shape).enumerate().all(|(a, (x, y))| a == axis || x == y);
        if !same {
            return Err(Error::new(ErrorKind::WrongShape, "tensors to concatenate differ beside the axis")
                .expected(shape_text(first.shape()))
                .actual(shape_text(value.shape())));
        }
        shape[axis] = shape[axis].saturating_add(value.shape()[axis]);
    }
    cx.check_shape(&shape)?;
    typed!(first.data(), T, _items => joined::<T>(values, shape, axis, cx), _seq => Err(no_sequence()))
}

fn joined<'v, T: Item>(values: &[&Value<'_>], shape: Shape, axis: usize, cx: &mut Scratch) -> Result<Value<'v>> {
    let (outer, _, inner) = around(&shape, axis);
    let parts = values
        .iter()
        .map(|v| Ok((v.as_slice::<T>()?, v.shape()[axis] * inner)))
        .collect::<Result<Vec<(&[T], usize)>>>()?;
    let width: usize = parts.iter().map(|(_, n)| n).sum();
    let mut out = cx.buffer::<T>(outer * width);
    if outer == 1 || parts.iter().all(|(_, n)| *n >= 16) {
        for row in 0..outer {
            for (items, n) in &parts {
                out.extend_from_slice(&items[row * n..(row + 1) * n]);
            }
        }
    } else if width > 0 {
        // Narrow pieces, one column of them at a time.
        out.resize(outer * width, T::default());
        let mut at = 0;
        for (items, n) in parts {
            match n {
                0 => {}
                1 => out.chunks_exact_mut(width).zip(items).for_each(|(row, item)| row[at] = item.clone()),
                n => {
                    for (row, piece) in out.chunks_exact_mut(width).zip(items.chunks_exact(n)) {
                        row[at..at + n].clone_from_slice(piece);
                    }
                }
            }
            at += n;
        }
    }
    Ok(Value::new(shape, out))
}
