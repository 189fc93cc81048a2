//! Work in place on floats of any precision, half precision in single.

use std::borrow::Cow;

use super::dispatch::{narrowed, widened};
use super::num::Float;
use crate::Result;
use crate::backend::native::op::Scratch;
use crate::backend::native::value::{Data, Shape, Value};

/// Something done to all elements of a tensor of floats.
pub(super) trait FloatWork {
    fn work<F: Float>(&self, items: &mut [F], shape: &[usize], cx: &mut Scratch) -> Result<()>;
}

/// Does `work` on the elements of `value`.
///
/// # Errors
/// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) when they are no floats; what the work fails with.
pub(super) fn with_floats<'v>(work: &impl FloatWork, value: Value<'v>, cx: &mut Scratch) -> Result<Value<'v>> {
    let shape = Shape::from_slice(value.shape());
    let data = match value.into_data() {
        Data::F32(mut items) => {
            work.work(items.to_mut(), &shape, cx)?;
            Data::F32(items)
        }
        Data::F64(mut items) => {
            work.work(items.to_mut(), &shape, cx)?;
            Data::F64(items)
        }
        data @ (Data::F16(_) | Data::Bf16(_)) => {
            let value = Value::from_parts(shape, data);
            let wide = widened(&value, cx).into_static();
            let done = with_floats(work, wide, cx)?;
            return Ok(narrowed(done, value.data(), cx));
        }
        other => return Err(Value::from_parts(shape, other).type_error("a float")),
    };
    Ok(Value::from_parts(shape, data))
}

/// Weights in the precision of the computation.
pub(super) fn weights<'s, F: Float>(value: &'s Value<'_>) -> Result<Cow<'s, [F]>> {
    match value.try_slice::<F>() {
        Some(items) => Ok(Cow::Borrowed(items)),
        None => Ok(value.to_f32s()?.into_iter().map(|x| F::from_double(x.into())).collect()),
    }
}
