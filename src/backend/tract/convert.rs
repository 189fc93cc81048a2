//! Tensors of the interface to tract's and back.

use tract_onnx::prelude as tract;
use tract_onnx::prelude::{Datum, DatumType, TractError};

use crate::{DType, Element, Error, ErrorKind, Result, Tensor};

/// tract's type for ours.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for bf16 and strings.
pub(super) fn datum_type(dtype: DType) -> Result<DatumType> {
    Ok(match dtype {
        DType::Bool => bool::datum_type(),
        DType::U8 => u8::datum_type(),
        DType::U16 => u16::datum_type(),
        DType::U32 => u32::datum_type(),
        DType::U64 => u64::datum_type(),
        DType::I8 => i8::datum_type(),
        DType::I16 => i16::datum_type(),
        DType::I32 => i32::datum_type(),
        DType::I64 => i64::datum_type(),
        DType::F16 => tract::f16::datum_type(),
        DType::F32 => f32::datum_type(),
        DType::F64 => f64::datum_type(),
        DType::Bf16 | DType::String => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the backend `tract` does not take inputs of this element type; cast in front of the network",
            )
            .expected("bool, an integer, f16, f32 or f64")
            .actual(dtype));
        }
    })
}

/// A copy of `tensor`, for tract to own.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for types that [`datum_type`] refuses.
pub(super) fn to_tract(tensor: &Tensor<'_>) -> Result<tract::TValue> {
    fn copied<T: Element + Datum + Copy>(tensor: &Tensor<'_>) -> Result<tract::TValue> {
        let elements = tensor.as_slice::<T>()?;
        tract::Tensor::from_shape(tensor.shape(), elements)
            .map(Into::into)
            .map_err(|e| Error::new(ErrorKind::Backend, format!("tract could not take an input: {e}")))
    }
    match tensor.dtype() {
        DType::Bool => copied::<bool>(tensor),
        DType::U8 => copied::<u8>(tensor),
        DType::U16 => copied::<u16>(tensor),
        DType::U32 => copied::<u32>(tensor),
        DType::U64 => copied::<u64>(tensor),
        DType::I8 => copied::<i8>(tensor),
        DType::I16 => copied::<i16>(tensor),
        DType::I32 => copied::<i32>(tensor),
        DType::I64 => copied::<i64>(tensor),
        DType::F16 => copied::<half::f16>(tensor),
        DType::F32 => copied::<f32>(tensor),
        DType::F64 => copied::<f64>(tensor),
        DType::Bf16 | DType::String => Err(datum_type(tensor.dtype()).expect_err("both are refused")),
    }
}

/// What tract gave, as a tensor of ours.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for types that we do not carry.
pub(super) fn from_tract(value: &tract::Tensor) -> Result<Tensor<'static>> {
    fn told(error: TractError) -> Error {
        Error::new(ErrorKind::Unsupported, format!("tract could not give an output back: {error}"))
    }
    fn copied<T: Element + Datum>(value: &tract::Tensor) -> Result<Tensor<'static>> {
        let elements = value.try_as_plain_ram().map_err(told)?.as_slice::<T>().map_err(told)?;
        Tensor::from_vec(value.shape(), elements.to_vec())
    }
    // Sizes are computed as expressions inside tract, and quantised tensors carry their scale in the type.
    let plain = match value.datum_type() {
        DatumType::TDim => i64::datum_type(),
        other => other.unquantized(),
    };
    if plain != value.datum_type() {
        return from_tract(&*value.cast_to_dt(plain).map_err(told)?);
    }
    match plain {
        DatumType::Bool => copied::<bool>(value),
        DatumType::U8 => copied::<u8>(value),
        DatumType::U16 => copied::<u16>(value),
        DatumType::U32 => copied::<u32>(value),
        DatumType::U64 => copied::<u64>(value),
        DatumType::I8 => copied::<i8>(value),
        DatumType::I16 => copied::<i16>(value),
        DatumType::I32 => copied::<i32>(value),
        DatumType::I64 => copied::<i64>(value),
        DatumType::F16 => copied::<half::f16>(value),
        DatumType::F32 => copied::<f32>(value),
        DatumType::F64 => copied::<f64>(value),
        DatumType::String => copied::<String>(value),
        other => Err(Error::new(ErrorKind::Unsupported, format!("outputs of type {other:?} are not carried"))),
    }
}
