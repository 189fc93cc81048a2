//! Floats of any width in f64 and back, for operators whose time does not matter.

use super::super::value::{Data, Shape, Value};
use crate::Result;
use half::{bf16, f16};

/// The elements of `value`, which are floats.
///
/// # Errors
/// [`WrongType`](crate::ErrorKind::WrongType) when they are not.
pub(super) fn floats(value: &Value<'_>) -> Result<Vec<f64>> {
    Ok(match value.data() {
        Data::F16(items) => items.iter().map(|x| x.to_f64()).collect(),
        Data::Bf16(items) => items.iter().map(|x| x.to_f64()).collect(),
        Data::F32(items) => items.iter().map(|&x| x.into()).collect(),
        Data::F64(items) => items.to_vec(),
        _ => return Err(value.type_error("a float")),
    })
}

/// The numbers `items`, rounded to the floats of `like`.
pub(super) fn rounded(items: Vec<f64>, shape: impl Into<Shape>, like: &Data<'_>) -> Value<'static> {
    let shape = shape.into();
    match like {
        Data::F16(_) => Value::new(shape, items.into_iter().map(f16::from_f64).collect()),
        Data::Bf16(_) => Value::new(shape, items.into_iter().map(bf16::from_f64).collect()),
        Data::F64(_) => Value::new(shape, items),
        _ => Value::new(shape, items.into_iter().map(|x| x as f32).collect()),
    }
}

/// The only number of `value`, of any type.
///
/// # Errors
/// [`WrongShape`](crate::ErrorKind::WrongShape) when there is not exactly one.
pub(super) fn scalar(value: &Value<'_>) -> Result<f64> {
    let items = match value.data() {
        Data::I64(items) => items.iter().map(|&x| x as f64).collect(),
        Data::I32(items) => items.iter().map(|&x| x.into()).collect(),
        Data::F64(items) => items.to_vec(),
        _ => value.to_f32s()?.into_iter().map(f64::from).collect::<Vec<f64>>(),
    };
    match items[..] {
        [one] => Ok(one),
        _ => Err(crate::Error::new(crate::ErrorKind::WrongShape, "an operator takes one number here")
            .expected("one element")
            .actual(crate::tensor::shape_text(value.shape()))),
    }
}
