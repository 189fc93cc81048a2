//! Casts between number types that keep the value.

use alloc::vec::Vec;

use half::{bf16, f16};

use super::{DType, Element, Tensor};
use crate::{Error, ErrorKind, Result};

/// A number of any type, wide enough to hold it exactly.
#[derive(Clone, Copy)]
pub(crate) enum Wide {
    Int(i128),
    Float(f64),
}

/// The number types, for casts that keep the value.
pub(crate) trait Number: Element {
    fn widen(&self) -> Wide;
    /// `None` when the value does not survive.
    fn narrow(wide: Wide) -> Option<Self>;
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Number for $t {
            fn widen(&self) -> Wide {
                Wide::Int(i128::from(*self))
            }
            fn narrow(wide: Wide) -> Option<Self> {
                let int = match wide {
                    Wide::Int(i) => i,
                    // The comparison refuses NaN, infinities and fractions alike.
                    Wide::Float(f) if (f as i128) as f64 == f => f as i128,
                    Wide::Float(_) => return None,
                };
                Self::try_from(int).ok()
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! floats {
    ($($t:ty: $widen:expr, $narrow:expr, $infinite:expr;)*) => {$(
        impl Number for $t {
            fn widen(&self) -> Wide {
                Wide::Float($widen(*self))
            }
            fn narrow(wide: Wide) -> Option<Self> {
                let float = match wide {
                    Wide::Int(i) => i as f64,
                    Wide::Float(f) => f,
                };
                let narrow = $narrow(float);
                (!$infinite(narrow) || float.is_infinite()).then_some(narrow)
            }
        }
    )*};
}

floats! {
    f16: f16::to_f64, f16::from_f64, f16::is_infinite;
    bf16: bf16::to_f64, bf16::from_f64, bf16::is_infinite;
    f32: f64::from, |f: f64| f as f32, f32::is_infinite;
    f64: f64::from, f64::from, f64::is_infinite;
}

impl Number for bool {
    fn widen(&self) -> Wide {
        Wide::Int(i128::from(*self))
    }

    fn narrow(wide: Wide) -> Option<Self> {
        match u8::narrow(wide) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        }
    }
}

macro_rules! numbers {
    ($dtype:expr, $t:ident => $body:expr, $other:expr) => {
        match $dtype {
            DType::Bool => {
                type $t = bool;
                $body
            }
            DType::U8 => {
                type $t = u8;
                $body
            }
            DType::U16 => {
                type $t = u16;
                $body
            }
            DType::U32 => {
                type $t = u32;
                $body
            }
            DType::U64 => {
                type $t = u64;
                $body
            }
            DType::I8 => {
                type $t = i8;
                $body
            }
            DType::I16 => {
                type $t = i16;
                $body
            }
            DType::I32 => {
                type $t = i32;
                $body
            }
            DType::I64 => {
                type $t = i64;
                $body
            }
            DType::F16 => {
                type $t = f16;
                $body
            }
            DType::Bf16 => {
                type $t = bf16;
                $body
            }
            DType::F32 => {
                type $t = f32;
                $body
            }
            DType::F64 => {
                type $t = f64;
                $body
            }
            DType::String => $other,
        }
    };
}

impl Tensor<'_> {
    /// The same numbers as another element type. Floats round to nearest; what would change the value beyond that is
    /// refused: a fraction as an integer, a number out of range, something finite that becomes infinite.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] naming the row of the first number that does not survive;
    /// [`ErrorKind::WrongType`] when strings are involved or the rows are sparse.
    pub fn cast(&self, to: DType) -> Result<Tensor<'static>> {
        let from = self.dtype();
        if from == to && !self.is_sparse() {
            return Ok(self.as_view().into_owned());
        }
        let refuse =
            || Err(Error::new(ErrorKind::WrongType, "only numbers can be cast to numbers").expected(to).actual(from));
        if self.is_sparse() {
            return refuse();
        }
        numbers!(from, From => numbers!(to, To => cast_elements::<From, To>(self), refuse()), refuse())
    }
}

fn cast_elements<From: Number, To: Number>(tensor: &Tensor<'_>) -> Result<Tensor<'static>> {
    let view = tensor.view::<From>()?;
    let mut out = Vec::with_capacity(view.len());
    for (i, value) in view.iter().enumerate() {
        let Some(narrow) = To::narrow(value.widen()) else {
            let per_row = view.shape().iter().skip(1).product::<usize>().max(1);
            return Err(Error::new(ErrorKind::InvalidValue, "a value does not survive the cast to another type")
                .row((i / per_row) as u64)
                .expected(To::DTYPE)
                .actual(alloc::format!("{value:?}")));
        };
        out.push(narrow);
    }
    Tensor::from_vec(view.shape(), out)
}
