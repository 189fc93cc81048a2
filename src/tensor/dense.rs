use alloc::string::{String, ToString};
use alloc::vec::Vec;

use half::{bf16, f16};
use ndarray::{Array1, Array2, ArrayBase, ArrayD, ArrayView1, ArrayView2, ArrayViewD, CowArray, CowRepr, IxDyn};

use super::{Csr, DType, Element};
use crate::{Error, ErrorKind, Result};

/// `CowArray<'a, T, IxDyn>` with its element type written out: left to the default, which is a projection from the
/// storage type, it would make every type around it invariant in `'a`.
type Dense<'a, T> = ArrayBase<CowRepr<'a, T>, IxDyn, T>;

/// One dense row-major array, or the rows of a sparse matrix.
///
/// It borrows from the host where that is possible: `Tensor::from(array.view())` copies nothing when the view is
/// contiguous and row-major, and copies into that order when it is not.
///
/// ```
/// use modelberth::{ndarray::array, DType, Tensor};
/// let rows = array![[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]];
/// let tensor = Tensor::from(rows.view());
/// assert_eq!((tensor.dtype(), tensor.shape()), (DType::F32, &[3, 2][..]));
/// assert_eq!(tensor.view::<f32>()?[[2, 1]], 6.0);
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the dense variants are the element types they are named after")]
pub enum Tensor<'a> {
    Bool(Dense<'a, bool>),
    U8(Dense<'a, u8>),
    U16(Dense<'a, u16>),
    U32(Dense<'a, u32>),
    U64(Dense<'a, u64>),
    I8(Dense<'a, i8>),
    I16(Dense<'a, i16>),
    I32(Dense<'a, i32>),
    I64(Dense<'a, i64>),
    F16(Dense<'a, f16>),
    Bf16(Dense<'a, bf16>),
    F32(Dense<'a, f32>),
    F64(Dense<'a, f64>),
    String(Dense<'a, String>),
    /// Sparse rows (m, n) of f32.
    CsrF32(Csr<'a, f32>),
    /// Sparse rows (m, n) of f64.
    CsrF64(Csr<'a, f64>),
}

/// Evaluates `$body` with `$array` bound to the dense array inside `$tensor`, whatever its element type, and
/// `$sparse` with `$csr` bound to sparse rows.
macro_rules! each {
    ($tensor:expr, $array:ident => $body:expr, $csr:ident => $sparse:expr) => {
        match $tensor {
            $crate::Tensor::Bool($array) => $body,
            $crate::Tensor::U8($array) => $body,
            $crate::Tensor::U16($array) => $body,
            $crate::Tensor::U32($array) => $body,
            $crate::Tensor::U64($array) => $body,
            $crate::Tensor::I8($array) => $body,
            $crate::Tensor::I16($array) => $body,
            $crate::Tensor::I32($array) => $body,
            $crate::Tensor::I64($array) => $body,
            $crate::Tensor::F16($array) => $body,
            $crate::Tensor::Bf16($array) => $body,
            $crate::Tensor::F32($array) => $body,
            $crate::Tensor::F64($array) => $body,
            $crate::Tensor::String($array) => $body,
            $crate::Tensor::CsrF32($csr) => $sparse,
            $crate::Tensor::CsrF64($csr) => $sparse,
        }
    };
}
pub(super) use each;

impl<'a> Tensor<'a> {
    /// An owned tensor from its elements in row-major order.
    ///
    /// # Errors
    /// [`ErrorKind::WrongShape`] when `shape` does not hold exactly `data.len()` elements.
    pub fn from_vec<T: Element>(shape: &[usize], data: Vec<T>) -> Result<Tensor<'static>> {
        let given = data.len();
        // The common ranks have a shorter way than any rank.
        let array = match *shape {
            [n] if n == given => Ok(Array1::from_vec(data).into_dyn()),
            [m, n] => Array2::from_shape_vec((m, n), data).map(Array2::into_dyn),
            _ => ArrayD::from_shape_vec(IxDyn(shape), data),
        };
        match array {
            Ok(array) => Ok(T::wrap(array.into())),
            Err(_) => Err(length_error(shape, given)),
        }
    }

    /// A tensor that borrows its elements, in row-major order.
    ///
    /// # Errors
    /// [`ErrorKind::WrongShape`] when `shape` does not hold exactly `data.len()` elements.
    pub fn from_slice<T: Element>(shape: &[usize], data: &'a [T]) -> Result<Tensor<'a>> {
        // The common ranks have a shorter way than any rank.
        let view = match *shape {
            [n] if n == data.len() => Ok(ArrayView1::from(data).into_dyn()),
            [m, n] => ArrayView2::from_shape((m, n), data).map(ArrayView2::into_dyn),
            _ => ArrayViewD::from_shape(IxDyn(shape), data),
        };
        match view {
            Ok(view) if view.len() == data.len() => Ok(T::wrap(view.into())),
            _ => Err(length_error(shape, data.len())),
        }
    }

    /// A tensor without axes, holding one value.
    #[must_use]
    pub fn scalar<T: Element>(value: T) -> Tensor<'static> {
        T::wrap(ndarray::arr0(value).into_dyn().into())
    }

    /// The type of the elements.
    #[must_use]
    pub fn dtype(&self) -> DType {
        match self {
            Self::Bool(_) => DType::Bool,
            Self::U8(_) => DType::U8,
            Self::U16(_) => DType::U16,
            Self::U32(_) => DType::U32,
            Self::U64(_) => DType::U64,
            Self::I8(_) => DType::I8,
            Self::I16(_) => DType::I16,
            Self::I32(_) => DType::I32,
            Self::I64(_) => DType::I64,
            Self::F16(_) => DType::F16,
            Self::Bf16(_) => DType::Bf16,
            Self::F32(_) | Self::CsrF32(_) => DType::F32,
            Self::F64(_) | Self::CsrF64(_) => DType::F64,
            Self::String(_) => DType::String,
        }
    }

    /// The dimensions; `[]` for a scalar.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        each!(self, a => a.shape(), c => c.shape())
    }

    /// The number of elements, counting the absent ones of sparse rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether there is no element at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shape().contains(&0)
    }

    /// Whether the tensor holds sparse rows.
    #[must_use]
    pub fn is_sparse(&self) -> bool {
        matches!(self, Self::CsrF32(_) | Self::CsrF64(_))
    }

    /// The elements as an `ndarray` view.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] when the elements are not `T`, or the rows are sparse (see [`to_dense`](Self::to_dense)).
    pub fn view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        T::view(self).ok_or_else(|| self.type_error::<T>())
    }

    /// The elements in row-major order, without a copy.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] when the elements are not `T`; [`ErrorKind::InvalidArgument`] when the array inside
    /// is not row-major, which only a tensor built from an enum variant by hand can be.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        match T::slice(self) {
            Some(items) => Ok(items),
            None => Err(match self.view::<T>() {
                Ok(_) => {
                    Error::new(ErrorKind::InvalidArgument, "the array is not row-major; call `into_row_major` first")
                }
                Err(another_type) => another_type,
            }),
        }
    }

    /// The elements as an owned array.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] when the elements are not `T`.
    pub fn into_array<T: Element>(self) -> Result<ArrayD<T>> {
        T::unwrap_array(self).map(CowArray::into_owned).map_err(|other| other.type_error::<T>())
    }

    fn type_error<T: Element>(&self) -> Error {
        let held = if self.is_sparse() { "sparse rows of " } else { "" };
        Error::new(ErrorKind::WrongType, "the tensor holds another element type")
            .expected(T::DTYPE)
            .actual(alloc::format!("{held}{}", self.dtype()))
    }

    /// The same tensor, borrowing from this one.
    #[must_use]
    pub fn as_view(&self) -> Tensor<'_> {
        macro_rules! views {
            ($($variant:ident)*) => {
                match self {
                    $(Self::$variant(a) => Tensor::$variant(a.view().into()),)*
                    Self::CsrF32(c) => Tensor::CsrF32(c.as_view()),
                    Self::CsrF64(c) => Tensor::CsrF64(c.as_view()),
                }
            };
        }
        views!(Bool U8 U16 U32 U64 I8 I16 I32 I64 F16 Bf16 F32 F64 String)
    }

    /// The same tensor, owning its elements.
    #[must_use]
    pub fn into_owned(self) -> Tensor<'static> {
        match self {
            Self::CsrF32(c) => Tensor::CsrF32(c.into_owned()),
            Self::CsrF64(c) => Tensor::CsrF64(c.into_owned()),
            dense => {
                each!(dense, a => Element::wrap(a.into_owned().into()), _c => unreachable!("sparse rows are matched above"))
            }
        }
    }

    /// The same tensor with its elements contiguous in row-major order; copies only where they are not.
    #[must_use]
    pub fn into_row_major(self) -> Tensor<'a> {
        if self.is_row_major() {
            return self;
        }
        each!(self, a => Element::wrap(a.as_standard_layout().into_owned().into()), c => c.into())
    }

    /// Whether the elements are contiguous in row-major order. Sparse rows always are.
    #[must_use]
    pub fn is_row_major(&self) -> bool {
        // One axis, the most common case, without the loop over axes.
        each!(self, a => a.strides() == [1] || a.is_standard_layout(), _c => true)
    }

    /// A dense tensor: sparse rows get zeros where nothing is stored, anything else is borrowed.
    #[must_use]
    pub fn to_dense(&self) -> Tensor<'_> {
        match self {
            Self::CsrF32(c) => f32::wrap(c.to_dense().into_dyn().into()),
            Self::CsrF64(c) => f64::wrap(c.to_dense().into_dyn().into()),
            dense => dense.as_view(),
        }
    }

    /// The same elements with a first axis of length 1 in front: one observation as a batch of one.
    #[must_use]
    pub fn with_batch_axis(&self) -> Tensor<'_> {
        match self {
            Self::CsrF32(_) | Self::CsrF64(_) => self.as_view(),
            dense => {
                each!(dense, a => {
                    // The common rank has a shorter way than any rank.
                    Element::wrap(match a.view().into_dimensionality::<ndarray::Ix1>() {
                        Ok(row) => row.insert_axis(ndarray::Axis(0)).into_dyn().into(),
                        Err(_) => a.view().insert_axis(ndarray::Axis(0)).into(),
                    })
                }, _c => unreachable!("sparse rows are matched above"))
            }
        }
    }

    /// The first (and only) entry along axis 0, without that axis. The opposite of [`with_batch_axis`](Self::with_batch_axis).
    ///
    /// # Errors
    /// [`ErrorKind::WrongShape`] when axis 0 is missing or not of length 1.
    pub fn without_batch_axis(self) -> Result<Tensor<'a>> {
        if self.is_sparse() {
            return self.into_owned_dense().without_batch_axis();
        }
        if self.shape().first() != Some(&1) {
            return Err(Error::new(ErrorKind::WrongShape, "a batch of one observation was expected")
                .expected("1 along axis 0")
                .actual(shape_text(self.shape())));
        }
        Ok(each!(self, a => {
            let first = ndarray::Axis(0);
            Element::wrap(if a.ndim() == 2 {
                let matrix = a.into_dimensionality::<ndarray::Ix2>().expect("the array has two axes");
                matrix.index_axis_move(first, 0).into_dyn()
            } else {
                a.index_axis_move(first, 0)
            })
        }, c => c.into()))
    }

    fn into_owned_dense(self) -> Tensor<'static> {
        self.to_dense().into_owned()
    }

    /// The same elements under another shape.
    ///
    /// # Errors
    /// [`ErrorKind::WrongShape`] when `shape` holds another number of elements, or the rows are sparse.
    pub fn reshape(self, shape: &[usize]) -> Result<Tensor<'a>> {
        let count = self.len();
        if self.is_sparse() || checked_len(shape) != Some(count) {
            return Err(length_error(shape, count));
        }
        Ok(each!(self.into_row_major(), a => {
            Element::wrap(a.into_shape_with_order(IxDyn(shape)).map_err(|_| length_error(shape, count))?)
        }, c => c.into()))
    }
}

/// The product of the dimensions, unless it overflows.
pub(crate) fn checked_len(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

/// A shape as messages show it: `(3, 4)`, `(60,)`, `()`.
pub(crate) fn shape_text(shape: &[usize]) -> String {
    match shape {
        [] => "()".to_string(),
        [one] => alloc::format!("({one},)"),
        many => {
            let parts: Vec<String> = many.iter().map(ToString::to_string).collect();
            alloc::format!("({})", parts.join(", "))
        }
    }
}

fn length_error(shape: &[usize], given: usize) -> Error {
    Error::new(ErrorKind::WrongShape, "the shape does not hold the given number of elements")
        .expected(shape_text(shape))
        .actual(alloc::format!("{given} elements"))
}

/// A tensor of `count` zeros (or empty strings) of any element type.
#[cfg(any(feature = "native", feature = "tract", feature = "ort"))]
pub(crate) fn zeros(dtype: DType, shape: &[usize], count: usize) -> Result<Tensor<'static>> {
    fn of<T: Element>(shape: &[usize], count: usize) -> Result<Tensor<'static>> {
        Tensor::from_vec(shape, alloc::vec![T::default(); count])
    }
    match dtype {
        DType::Bool => of::<bool>(shape, count),
        DType::U8 => of::<u8>(shape, count),
        DType::U16 => of::<u16>(shape, count),
        DType::U32 => of::<u32>(shape, count),
        DType::U64 => of::<u64>(shape, count),
        DType::I8 => of::<i8>(shape, count),
        DType::I16 => of::<i16>(shape, count),
        DType::I32 => of::<i32>(shape, count),
        DType::I64 => of::<i64>(shape, count),
        DType::F16 => of::<f16>(shape, count),
        DType::Bf16 => of::<bf16>(shape, count),
        DType::F32 => of::<f32>(shape, count),
        DType::F64 => of::<f64>(shape, count),
        DType::String => of::<String>(shape, count),
    }
}
