//! Tensors to candle and back.

use candle_core::{DType as Candle, Device, Tensor as CandleTensor};

use crate::{DType, Error, ErrorKind, Result, Tensor};

/// candle's name for an element type.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for what candle lacks.
pub(super) fn candle_type(dtype: DType) -> Result<Candle> {
    Ok(match dtype {
        DType::U8 => Candle::U8,
        DType::U32 => Candle::U32,
        DType::I16 => Candle::I16,
        DType::I32 => Candle::I32,
        DType::I64 => Candle::I64,
        DType::F16 => Candle::F16,
        DType::Bf16 => Candle::BF16,
        DType::F32 => Candle::F32,
        DType::F64 => Candle::F64,
        other => {
            return Err(Error::new(ErrorKind::Unsupported, "candle has no tensors of this element type")
                .expected("u8, u32, i16, i32, i64, f16, bf16, f32 or f64")
                .actual(other));
        }
    })
}

/// The same elements on `device`.
pub(super) fn to_candle(tensor: &Tensor<'_>, device: &Device) -> Result<candle_core::Result<CandleTensor>> {
    let shape = tensor.shape();
    macro_rules! made {
        ($($variant:ident: $t:ty),*) => {
            match tensor {
                $(Tensor::$variant(_) => Ok(CandleTensor::from_slice(tensor.as_slice::<$t>()?, shape, device)),)*
                other => Err(candle_type(other.dtype()).err().unwrap_or_else(|| {
                    Error::new(ErrorKind::WrongType, "sparse rows can't be given to candle; make them dense")
                })),
            }
        };
    }
    made!(U8: u8, U32: u32, I16: i16, I32: i32, I64: i64, F16: half::f16, Bf16: half::bf16, F32: f32, F64: f64)
}

/// The same elements in row-major order, owned.
pub(super) fn from_candle(tensor: &CandleTensor) -> candle_core::Result<Result<Tensor<'static>>> {
    let shape = tensor.dims();
    let flat = tensor.flatten_all()?;
    macro_rules! made {
        ($($candle:ident: $t:ty),*) => {
            match tensor.dtype() {
                $(Candle::$candle => Ok(Tensor::from_vec(shape, flat.to_vec1::<$t>()?)),)*
                other => candle_core::bail!("there is no tensor of {other:?} outside of candle"),
            }
        };
    }
    made!(U8: u8, U32: u32, I16: i16, I32: i32, I64: i64, F16: half::f16, BF16: half::bf16, F32: f32, F64: f64)
}
