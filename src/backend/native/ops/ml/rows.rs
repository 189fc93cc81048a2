//! What the operators of this module share about their inputs.

use std::borrow::Cow;

use crate::backend::native::op::{Flow, Scratch};
use crate::backend::native::value::{Data, Shape, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

/// Rows and columns of a table (m, n), or of one row (n,).
pub(super) fn table(value: &Value<'_>) -> Result<(usize, usize)> {
    match *value.shape() {
        [n] => Ok((1, n)),
        [m, n] => Ok((m, n)),
        _ => Err(Error::new(ErrorKind::WrongShape, "the operator takes a table (m, n) or one row (n,)")
            .actual(shape_text(value.shape()))),
    }
}

/// The length of the last axis.
pub(super) fn last_axis(value: &Value<'_>) -> Result<usize> {
    value.shape().last().copied().ok_or_else(|| {
        Error::new(ErrorKind::WrongShape, "the operator takes rows and was given a single number without axes")
    })
}

/// Whether rows of the last axis of input 0 are made of entries along the batch, so that an operator that works on
/// whole rows mixes them.
pub(super) fn mixes_last_axis(inputs: &[Flow]) -> bool {
    inputs.first().is_none_or(|x| x.rank() == 0 || x.varies(x.rank() - 1))
}

/// The elements of `value` as f32 in a buffer of their own: the value's where it has one.
pub(super) fn owned_f32s(value: Value<'_>, cx: &mut Scratch) -> Result<(Shape, Vec<f32>)> {
    let shape = Shape::from_slice(value.shape());
    let mut out = match value.data() {
        Data::F32(Cow::Owned(_)) => return Ok((shape, value.into_vec()?)),
        _ => cx.buffer::<f32>(value.len()),
    };
    match value.data() {
        Data::F32(x) => out.extend_from_slice(x),
        Data::F64(x) => out.extend(x.iter().map(|&v| v as f32)),
        Data::I64(x) => out.extend(x.iter().map(|&v| v as f32)),
        Data::I32(x) => out.extend(x.iter().map(|&v| v as f32)),
        _ => out.extend(value.to_f32s()?),
    }
    Ok((shape, out))
}
