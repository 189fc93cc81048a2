//! Tensors of the interface to tract's and back.

use tract_onnx::prelude as tract;
use tract_onnx::prelude::{Datum, DatumType, TractError};

use crate::tensor::shape_text;
use crate::{DType, Element, Error, ErrorKind, Result, Tensor};

/// Calls a function for the element type that a `DType` or `DatumType` names, of those that go in and out; the other arms
/// follow.
macro_rules! by_type {
    ($kind:ident, $which:expr, $call:ident($($with:expr),*), { $($others:tt)* }) => {
        match $which {
            $kind::Bool => $call::<bool>($($with),*),
            $kind::U8 => $call::<u8>($($with),*),
            $kind::U16 => $call::<u16>($($with),*),
            $kind::U32 => $call::<u32>($($with),*),
            $kind::U64 => $call::<u64>($($with),*),
            $kind::I8 => $call::<i8>($($with),*),
            $kind::I16 => $call::<i16>($($with),*),
            $kind::I32 => $call::<i32>($($with),*),
            $kind::I64 => $call::<i64>($($with),*),
            $kind::F16 => $call::<half::f16>($($with),*),
            $kind::F32 => $call::<f32>($($with),*),
            $kind::F64 => $call::<f64>($($with),*),
            $($others)*
        }
    };
}

/// tract's type for ours.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for bf16 and strings.
pub(super) fn datum_type(dtype: DType) -> Result<DatumType> {
    fn datum<T: Datum>() -> DatumType {
        T::datum_type()
    }
    Ok(by_type!(DType, dtype, datum(), {
        DType::Bf16 | DType::String => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the backend `tract` does not take inputs of this element type; cast in front of the network",
            )
            .expected("bool, an integer, f16, f32 or f64")
            .actual(dtype));
        }
    }))
}

/// How a tensor of ours stands to the one of tract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// They have the same shape.
    Same,
    /// They have the same shape, with as many rows.
    Rows(usize),
    /// Ours is one observation, and tract's has a first axis of 1 before it.
    One,
}

/// A copy of `tensor`, for tract to own.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for types that [`datum_type`] refuses.
pub(super) fn to_tract(tensor: &Tensor<'_>, form: Form) -> Result<tract::TValue> {
    fn copied<T: Element + Datum + Copy>(tensor: &Tensor<'_>, form: Form) -> Result<tract::TValue> {
        let elements = tensor.as_slice::<T>()?;
        match form {
            Form::Same | Form::Rows(_) => tract::Tensor::from_shape(tensor.shape(), elements),
            Form::One => {
                let mut shape = tract::TVec::with_capacity(tensor.shape().len() + 1);
                shape.push(1);
                shape.extend_from_slice(tensor.shape());
                tract::Tensor::from_shape(&shape, elements)
            }
        }
        .map(Into::into)
        .map_err(|e| Error::new(ErrorKind::Backend, format!("tract could not take an input: {e}")))
    }
    by_type!(DType, tensor.dtype(), copied(tensor, form), {
        DType::Bf16 | DType::String => Err(datum_type(tensor.dtype()).expect_err("both are refused")),
    })
}

/// What tract gave, as a tensor of ours.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for types that we do not carry; [`ErrorKind::Backend`] when it has not the rows that `form`
/// says.
pub(super) fn from_tract(value: &tract::Tensor, form: Form) -> Result<Tensor<'static>> {
    fn told(error: TractError) -> Error {
        Error::new(ErrorKind::Unsupported, format!("tract could not give an output back: {error}"))
    }
    fn copied<T: Element + Datum>(value: &tract::Tensor, form: Form) -> Result<Tensor<'static>> {
        let elements = value.try_as_plain_ram().map_err(told)?.as_slice::<T>().map_err(told)?;
        let shape = match (form, value.shape()) {
            (Form::Same, shape) | (Form::One, [1, shape @ ..]) => shape,
            (Form::Rows(m), shape) if shape.first() == Some(&m) => shape,
            (Form::Rows(m), other) => return Err(several(m, other)),
            (Form::One, other) => return Err(several(1, other)),
        };
        Tensor::from_vec(shape, elements.to_vec())
    }
    // Sizes are computed as expressions inside tract, and quantised tensors carry their scale in the type.
    let plain = match value.datum_type() {
        DatumType::TDim => i64::datum_type(),
        other => other.unquantized(),
    };
    if plain != value.datum_type() {
        return from_tract(&*value.cast_to_dt(plain).map_err(told)?, form);
    }
    by_type!(DatumType, plain, copied(value, form), {
        DatumType::String => copied::<String>(value, form),
        other => Err(Error::new(ErrorKind::Unsupported, format!("outputs of type {other:?} are not carried"))),
    })
}

#[cold]
fn several(rows: usize, shape: &[usize]) -> Error {
    Error::new(ErrorKind::Backend, "the graph gave another number of answers than it was given observations")
        .expected(format!("{rows} along axis 0"))
        .actual(shape_text(shape))
}
