use alloc::string::String;
use core::fmt::Debug;

use half::{bf16, f16};
use ndarray::{ArrayViewD, CowArray, IxDyn};

use super::{DType, Tensor};

mod sealed {
    pub trait Sealed {}
}

/// A Rust type that a [`Tensor`] can hold. Implemented for the types of [`DType`] and for no others.
pub trait Element: sealed::Sealed + Clone + Default + PartialEq + Debug + Send + Sync + 'static {
    /// The element type's name at run time.
    const DTYPE: DType;

    /// The dense array inside `tensor`, if it holds this type.
    fn view<'t>(tensor: &'t Tensor<'_>) -> Option<ArrayViewD<'t, Self>>;

    /// The dense elements inside `tensor`, if it holds this type in row-major order.
    fn slice<'t>(tensor: &'t Tensor<'_>) -> Option<&'t [Self]>;

    /// The same, to write to: what was borrowed is copied first.
    fn slice_mut<'t>(tensor: &'t mut Tensor<'_>) -> Option<&'t mut [Self]>;

    /// A dense tensor of this type. The array is taken as it is; see [`Tensor::into_row_major`].
    fn wrap(array: CowArray<'_, Self, IxDyn>) -> Tensor<'_>;

    /// The array inside `tensor`, or `tensor` back if it holds another type.
    ///
    /// # Errors
    /// Gives the tensor back unchanged when its type differs.
    fn unwrap_array(tensor: Tensor<'_>) -> Result<CowArray<'_, Self, IxDyn>, Tensor<'_>>;
}

macro_rules! element {
    ($($variant:ident: $t:ty),* $(,)?) => {$(
        impl sealed::Sealed for $t {}
        impl Element for $t {
            const DTYPE: DType = DType::$variant;

            fn view<'t>(tensor: &'t Tensor<'_>) -> Option<ArrayViewD<'t, Self>> {
                match tensor {
                    Tensor::$variant(array) => Some(array.view()),
                    _ => None,
                }
            }

            #[inline]
            fn slice<'t>(tensor: &'t Tensor<'_>) -> Option<&'t [Self]> {
                match tensor {
                    Tensor::$variant(array) => array.as_slice(),
                    _ => None,
                }
            }

            #[inline]
            fn slice_mut<'t>(tensor: &'t mut Tensor<'_>) -> Option<&'t mut [Self]> {
                match tensor {
                    Tensor::$variant(array) => array.as_slice_mut(),
                    _ => None,
                }
            }

            fn wrap(array: CowArray<'_, Self, IxDyn>) -> Tensor<'_> {
                Tensor::$variant(array)
            }

            fn unwrap_array(tensor: Tensor<'_>) -> Result<CowArray<'_, Self, IxDyn>, Tensor<'_>> {
                match tensor {
                    Tensor::$variant(array) => Ok(array),
                    other => Err(other),
                }
            }
        }
    )*};
}

element! {
    Bool: bool, U8: u8, U16: u16, U32: u32, U64: u64, I8: i8, I16: i16, I32: i32, I64: i64,
    F16: f16, Bf16: bf16, F32: f32, F64: f64, String: String,
}
