//! What all operators of two operands share: which is which, and the broadcasting of old operator sets.

use crate::backend::native::node::Node;
use crate::backend::native::value::{Shape, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

use super::broadcast;

/// How the right operand is aligned with the left one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Align {
    /// Both are stretched, aligned at their last axes: operator sets from 7 on.
    Both,
    /// The shapes are the same: older sets without `broadcast`.
    Same,
    /// The right one is stretched, aligned at its last axis, or so that its first axis is axis `axis` of the left one.
    Right { axis: Option<i64> },
}

impl Align {
    /// Reads the attributes of operator sets before 7.
    pub(super) fn of(node: &Node<'_>) -> Result<Self> {
        if node.opset() >= 7 {
            return Ok(Self::Both);
        }
        Ok(if node.flag("broadcast", false)? { Self::Right { axis: node.int("axis")? } } else { Self::Same })
    }

    /// The shapes of the right operand, brought to the rank of the left one, and of the output.
    pub(super) fn shapes(self, a: &[usize], b: &[usize]) -> Result<(Shape, Shape)> {
        match self {
            Self::Both => Ok((Shape::from_slice(b), broadcast::broadcast([a, b])?)),
            Self::Same if a == b => Ok((Shape::from_slice(b), Shape::from_slice(a))),
            Self::Same => Err(mismatch(a, b)),
            Self::Right { axis } => {
                let room = a.len().checked_sub(b.len()).ok_or_else(|| mismatch(a, b))?;
                let at = match axis {
                    None => room,
                    Some(axis) => {
                        let axis = if axis < 0 { axis.saturating_add(a.len() as i64) } else { axis };
                        usize::try_from(axis).ok().filter(|&at| at <= room).ok_or_else(|| mismatch(a, b))?
                    }
                };
                let mut shape = Shape::from_slice(b);
                shape.extend(std::iter::repeat_n(1, room - at));
                match broadcast::fits(&shape, a) {
                    true => Ok((shape, Shape::from_slice(a))),
                    false => Err(mismatch(a, b)),
                }
            }
        }
    }
}

#[cold]
fn mismatch(a: &[usize], b: &[usize]) -> Error {
    Error::new(ErrorKind::WrongShape, "the right operand does not fit the left one in this operator set")
        .expected(shape_text(a))
        .actual(shape_text(b))
}

/// A constant operand, for operators that others take in.
pub(super) fn constant(node: &Node<'_>, i: usize) -> Option<Value<'static>> {
    node.constant(i).filter(|value| value.len() <= MAX_CONSTANT).cloned()
}

/// The most elements of a constant operand that an operator keeps a copy of.
const MAX_CONSTANT: usize = 1 << 14;
