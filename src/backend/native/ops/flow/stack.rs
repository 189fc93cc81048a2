//! The outputs of a loop's iterations, put together along a new axis.

use smallvec::smallvec;

use super::body::Declared;
use crate::backend::native::op::Scratch;
use crate::backend::native::ops::layout::no_sequence;
use crate::backend::native::value::{Item, Shape, Value, typed};
use crate::tensor::{checked_len, shape_text, zeros};
use crate::{DType, Error, ErrorKind, Result};

/// The most elements for which memory is taken before they come.
const ROOM: usize = 1 << 20;

/// Values of one shape, one after the other.
pub(super) struct Stack {
    all: Option<Value<'static>>,
    /// The number of values that are expected.
    hint: usize,
}

impl Stack {
    /// Nothing yet, where `hint` values are to come; 0 when nobody knows.
    pub(super) fn new(hint: usize) -> Self {
        Self { all: None, hint }
    }

    /// Adds a value.
    ///
    /// # Errors
    /// [`ErrorKind::WrongShape`] or [`ErrorKind::WrongType`] when it is of another kind than those before;
    /// [`ErrorKind::LimitExceeded`] when there are too many.
    pub(super) fn push(&mut self, piece: Value<'_>, cx: &mut Scratch) -> Result<()> {
        let all = match self.all.take() {
            Some(all) => all,
            None => {
                let mut shape: Shape = smallvec![self.hint];
                shape.extend_from_slice(piece.shape());
                // The loop may end early, so only little is taken ahead.
                let room = checked_len(&shape).filter(|&n| n <= ROOM).unwrap_or(0);
                shape[0] = 0;
                typed!(piece.data(), T, _items => Value::new(shape, Vec::<T>::with_capacity(room)), _seq => return Err(no_sequence()))
            }
        };
        let mut shape = Shape::from_slice(all.shape());
        if &shape[1..] != piece.shape() {
            return Err(Error::new(ErrorKind::WrongShape, "the iterations of a loop give outputs of different shapes")
                .expected(shape_text(&shape[1..]))
                .actual(shape_text(piece.shape())));
        }
        shape[0] += 1;
        cx.check_shape(&shape)?;
        self.all = Some(typed!(piece.data(), T, items => {
            let mut all = all.into_vec::<T>()?;
            all.extend_from_slice(items);
            Value::new(shape, all)
        }, _seq => return Err(no_sequence())));
        cx.recycle(piece);
        Ok(())
    }

    /// The values along axis 0, last first when `reverse`; where there are none, what the file declares of them.
    pub(super) fn finish(self, reverse: bool, declared: &Declared) -> Result<Value<'static>> {
        let Some(all) = self.all else {
            let mut shape: Shape = smallvec![0];
            shape.extend_from_slice(&declared.dims);
            return empty(declared.dtype.unwrap_or(DType::F32), &shape);
        };
        if !reverse {
            return Ok(all);
        }
        fn reversed<T: Item>(items: &[T], n: usize) -> Vec<T> {
            items.chunks_exact(n.max(1)).rev().flatten().cloned().collect()
        }
        let shape = Shape::from_slice(all.shape());
        let n = all.len() / shape[0].max(1);
        typed!(all.data(), T, items => Ok(Value::new(shape, reversed::<T>(items, n))), _seq => Err(no_sequence()))
    }
}

/// A tensor without elements.
fn empty(dtype: DType, shape: &[usize]) -> Result<Value<'static>> {
    let tensor = zeros(dtype, shape, 0)?;
    Ok(Value::from_tensor(&tensor)?.into_static())
}
