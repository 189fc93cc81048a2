//! What flows between the steps of a program.

use std::borrow::Cow;
use std::fmt;

use half::{bf16, f16};
use smallvec::SmallVec;

use crate::onnx::{DenseTensor, TensorData};
use crate::tensor::{checked_len, shape_text};
use crate::{DType, Element, Error, ErrorKind, Result, Tensor};

/// Dimensions, without an allocation up to rank 4.
pub(crate) type Shape = SmallVec<[usize; 4]>;

/// One dense row-major array, borrowed or owned, or a sequence of values.
#[derive(Clone, PartialEq)]
pub(crate) struct Value<'a> {
    shape: Shape,
    data: Data<'a>,
}

/// The elements of a [`Value`].
#[derive(Clone, PartialEq)]
pub(crate) enum Data<'a> {
    Bool(Cow<'a, [bool]>),
    U8(Cow<'a, [u8]>),
    U16(Cow<'a, [u16]>),
    U32(Cow<'a, [u32]>),
    U64(Cow<'a, [u64]>),
    I8(Cow<'a, [i8]>),
    I16(Cow<'a, [i16]>),
    I32(Cow<'a, [i32]>),
    I64(Cow<'a, [i64]>),
    F16(Cow<'a, [f16]>),
    Bf16(Cow<'a, [bf16]>),
    F32(Cow<'a, [f32]>),
    F64(Cow<'a, [f64]>),
    String(Cow<'a, [String]>),
    /// A sequence; its shape is `[length]`.
    Sequence(Vec<Value<'a>>),
}

/// Evaluates `$body` with `$items` bound to the `Cow` inside a [`Data`] (or what a reference to one gives) and `$T`
/// naming the element type; `$seq => $other` for sequences.
macro_rules! typed {
    ($data:expr, $T:ident, $items:ident => $body:expr, $seq:ident => $other:expr) => {
        match $data {
            $crate::backend::native::value::Data::Bool($items) => {
                #[allow(dead_code)]
                type $T = bool;
                $body
            }
            $crate::backend::native::value::Data::U8($items) => {
                #[allow(dead_code)]
                type $T = u8;
                $body
            }
            $crate::backend::native::value::Data::U16($items) => {
                #[allow(dead_code)]
                type $T = u16;
                $body
            }
            $crate::backend::native::value::Data::U32($items) => {
                #[allow(dead_code)]
                type $T = u32;
                $body
            }
            $crate::backend::native::value::Data::U64($items) => {
                #[allow(dead_code)]
                type $T = u64;
                $body
            }
            $crate::backend::native::value::Data::I8($items) => {
                #[allow(dead_code)]
                type $T = i8;
                $body
            }
            $crate::backend::native::value::Data::I16($items) => {
                #[allow(dead_code)]
                type $T = i16;
                $body
            }
            $crate::backend::native::value::Data::I32($items) => {
                #[allow(dead_code)]
                type $T = i32;
                $body
            }
            $crate::backend::native::value::Data::I64($items) => {
                #[allow(dead_code)]
                type $T = i64;
                $body
            }
            $crate::backend::native::value::Data::F16($items) => {
                #[allow(dead_code)]
                type $T = half::f16;
                $body
            }
            $crate::backend::native::value::Data::Bf16($items) => {
                #[allow(dead_code)]
                type $T = half::bf16;
                $body
            }
            $crate::backend::native::value::Data::F32($items) => {
                #[allow(dead_code)]
                type $T = f32;
                $body
            }
            $crate::backend::native::value::Data::F64($items) => {
                #[allow(dead_code)]
                type $T = f64;
                $body
            }
            $crate::backend::native::value::Data::String($items) => {
                #[allow(dead_code)]
                type $T = String;
                $body
            }
            $crate::backend::native::value::Data::Sequence($seq) => $other,
        }
    };
}
pub(crate) use typed;

/// An element type as the executor stores it.
pub(crate) trait Item: Element {
    fn of<'s>(data: &'s Data<'_>) -> Option<&'s [Self]>;
    fn into_cow(data: Data<'_>) -> Result<Cow<'_, [Self]>, Data<'_>>;
    fn data(items: Cow<'_, [Self]>) -> Data<'_>;
    /// The free buffers of this type.
    fn pool(pools: &mut Pools) -> &mut Vec<Vec<Self>>;
}

macro_rules! items {
    ($($variant:ident: $t:ty, $pool:ident;)*) => {
        /// Buffers that a finished step left behind, by element type.
        #[derive(Default)]
        pub(crate) struct Pools {
            $($pool: Vec<Vec<$t>>,)*
        }

        $(impl Item for $t {
            fn of<'s>(data: &'s Data<'_>) -> Option<&'s [Self]> {
                match data {
                    Data::$variant(items) => Some(items),
                    _ => None,
                }
            }
            fn into_cow(data: Data<'_>) -> Result<Cow<'_, [Self]>, Data<'_>> {
                match data {
                    Data::$variant(items) => Ok(items),
                    other => Err(other),
                }
            }
            fn data(items: Cow<'_, [Self]>) -> Data<'_> {
                Data::$variant(items)
            }
            fn pool(pools: &mut Pools) -> &mut Vec<Vec<Self>> {
                &mut pools.$pool
            }
        })*

        impl<'a> Value<'a> {
            /// The tensor's elements; sparse rows must have been made dense before.
            pub(crate) fn from_tensor(tensor: &'a Tensor<'_>) -> Result<Self> {
                Ok(match tensor {
                    $(Tensor::$variant(_) => Self::borrowed(tensor.shape(), tensor.as_slice::<$t>()?),)*
                    _ => return Err(Error::new(ErrorKind::WrongType, "sparse rows must be made dense first")),
                })
            }
        }
    };
}

items! {
    Bool: bool, bools; U8: u8, u8s; U16: u16, u16s; U32: u32, u32s; U64: u64, u64s;
    I8: i8, i8s; I16: i16, i16s; I32: i32, i32s; I64: i64, i64s;
    F16: f16, f16s; Bf16: bf16, bf16s; F32: f32, f32s; F64: f64, f64s; String: String, strings;
}

impl<'a> Value<'a> {
    /// Owned elements in row-major order.
    ///
    /// # Panics
    /// In debug builds, when `shape` does not hold `items.len()` elements.
    pub(crate) fn new<T: Item>(shape: impl Into<Shape>, items: Vec<T>) -> Value<'static> {
        let shape = shape.into();
        debug_assert_eq!(checked_len(&shape), Some(items.len()), "{shape:?}");
        Value { shape, data: T::data(Cow::Owned(items)) }
    }

    /// Borrowed elements in row-major order.
    pub(crate) fn borrowed<T: Item>(shape: &[usize], items: &'a [T]) -> Self {
        debug_assert_eq!(checked_len(shape), Some(items.len()), "{shape:?}");
        Self { shape: Shape::from_slice(shape), data: T::data(Cow::Borrowed(items)) }
    }

    /// One value without axes.
    pub(crate) fn scalar<T: Item>(item: T) -> Value<'static> {
        Value { shape: Shape::new(), data: T::data(Cow::Owned(vec![item])) }
    }

    /// A sequence of values.
    pub(crate) fn sequence(values: Vec<Value<'a>>) -> Self {
        Self { shape: Shape::from_slice(&[values.len()]), data: Data::Sequence(values) }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn rank(&self) -> usize {
        self.shape.len()
    }

    /// The number of elements.
    pub(crate) fn len(&self) -> usize {
        typed!(&self.data, T, items => items.len(), seq => seq.len())
    }

    pub(crate) fn data(&self) -> &Data<'a> {
        &self.data
    }

    pub(crate) fn into_data(self) -> Data<'a> {
        self.data
    }

    /// Whether the elements are the value's own, not borrowed.
    pub(crate) fn is_owned(&self) -> bool {
        typed!(&self.data, T, items => matches!(items, Cow::Owned(_)), _seq => true)
    }

    /// The same elements under another shape of as many elements (checked).
    pub(crate) fn with_shape(mut self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if checked_len(&shape) != Some(self.len()) {
            return Err(Error::new(ErrorKind::WrongShape, "a value can't take a shape of another number of elements")
                .expected(shape_text(&shape))
                .actual(shape_text(&self.shape)));
        }
        self.shape = shape;
        Ok(self)
    }

    /// Shape and elements together, for code that builds a value from the parts of another.
    pub(crate) fn from_parts(shape: impl Into<Shape>, data: Data<'a>) -> Self {
        Self { shape: shape.into(), data }
    }

    /// The element type; `None` for a sequence.
    pub(crate) fn dtype(&self) -> Option<DType> {
        typed!(&self.data, T, _items => Some(T::DTYPE), _seq => None)
    }

    /// The element type as messages show it.
    pub(crate) fn type_text(&self) -> &'static str {
        self.dtype().map_or("sequence", DType::as_str)
    }

    /// The elements.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] when they are not `T`.
    pub(crate) fn as_slice<T: Item>(&self) -> Result<&[T]> {
        T::of(&self.data).ok_or_else(|| self.type_error(T::DTYPE.as_str()))
    }

    /// The elements, if they are `T`.
    pub(crate) fn try_slice<T: Item>(&self) -> Option<&[T]> {
        T::of(&self.data)
    }

    /// The elements as an owned vector; copied only when they are borrowed.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] when they are not `T`.
    pub(crate) fn into_vec<T: Item>(self) -> Result<Vec<T>> {
        let error = self.type_error(T::DTYPE.as_str());
        T::into_cow(self.data).map(Cow::into_owned).map_err(|_| error)
    }

    /// The values of a sequence.
    pub(crate) fn as_sequence(&self) -> Result<&[Value<'a>]> {
        match &self.data {
            Data::Sequence(values) => Ok(values),
            _ => Err(self.type_error("a sequence")),
        }
    }

    #[cold]
    pub(crate) fn type_error(&self, expected: &str) -> Error {
        Error::new(ErrorKind::WrongType, "an operator was given an element type that it does not take")
            .expected(expected)
            .actual(self.type_text())
    }

    /// Integers of any width as i64, for shapes, axes and indices.
    pub(crate) fn to_i64s(&self) -> Result<Vec<i64>> {
        Ok(match &self.data {
            Data::I64(items) => items.to_vec(),
            Data::I32(items) => items.iter().map(|&i| i.into()).collect(),
            Data::U8(items) => items.iter().map(|&i| i.into()).collect(),
            Data::I8(items) => items.iter().map(|&i| i.into()).collect(),
            Data::Bool(items) => items.iter().map(|&i| i.into()).collect(),
            _ => return Err(self.type_error("i64 or i32")),
        })
    }

    /// Numbers of any type as f32, rounded to nearest.
    pub(crate) fn to_f32s(&self) -> Result<Vec<f32>> {
        Ok(match &self.data {
            Data::Bool(items) => items.iter().map(|&i| f32::from(u8::from(i))).collect(),
            Data::U8(items) => items.iter().map(|&i| i.into()).collect(),
            Data::U16(items) => items.iter().map(|&i| i.into()).collect(),
            Data::U32(items) => items.iter().map(|&i| i as f32).collect(),
            Data::U64(items) => items.iter().map(|&i| i as f32).collect(),
            Data::I8(items) => items.iter().map(|&i| i.into()).collect(),
            Data::I16(items) => items.iter().map(|&i| i.into()).collect(),
            Data::I32(items) => items.iter().map(|&i| i as f32).collect(),
            Data::I64(items) => items.iter().map(|&i| i as f32).collect(),
            Data::F16(items) => items.iter().map(|i| i.to_f32()).collect(),
            Data::Bf16(items) => items.iter().map(|i| i.to_f32()).collect(),
            Data::F32(items) => items.to_vec(),
            Data::F64(items) => items.iter().map(|&i| i as f32).collect(),
            Data::String(_) | Data::Sequence(_) => return Err(self.type_error("a number")),
        })
    }

    /// A copy that borrows nothing.
    pub(crate) fn into_static(self) -> Value<'static> {
        let data = match self.data {
            Data::Sequence(values) => Data::Sequence(values.into_iter().map(Value::into_static).collect()),
            data => {
                typed!(data, T, items => T::data(Cow::Owned(items.into_owned())), _s => unreachable!("matched above"))
            }
        };
        Value { shape: self.shape, data }
    }

    /// The same value, borrowing from this one.
    pub(crate) fn as_view(&self) -> Value<'_> {
        let data = match &self.data {
            Data::Sequence(values) => Data::Sequence(values.iter().map(Value::as_view).collect()),
            data => typed!(data, T, items => T::data(Cow::Borrowed(&**items)), _s => unreachable!("matched above")),
        };
        Value { shape: self.shape.clone(), data }
    }

    /// The elements of one observation as a batch of one.
    pub(crate) fn from_row(tensor: &'a Tensor<'_>) -> Result<Self> {
        let mut value = Self::from_tensor(tensor)?;
        value.shape.insert(0, 1);
        Ok(value)
    }

    /// A batch of one as a tensor of the interface, without the axis of the batch.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a sequence.
    pub(crate) fn into_row(mut self) -> Result<Tensor<'static>> {
        if !self.shape.is_empty() {
            self.shape.remove(0);
        }
        self.into_tensor()
    }

    /// The elements as a tensor of the interface.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a sequence.
    pub(crate) fn into_tensor(self) -> Result<Tensor<'static>> {
        self.data.into_tensor(&self.shape)
    }
}

impl Data<'_> {
    /// The elements as a tensor of the interface.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a sequence, [`ErrorKind::WrongShape`] when `shape` holds another number of elements.
    pub(crate) fn into_tensor(self, shape: &[usize]) -> Result<Tensor<'static>> {
        typed!(self, T, items => Tensor::from_vec(shape, items.into_owned()), _seq => {
            Err(Error::new(ErrorKind::Unsupported, "a sequence can't be an output; take its elements instead"))
        })
    }
}

impl From<DenseTensor> for Value<'static> {
    fn from(tensor: DenseTensor) -> Self {
        let shape = Shape::from_slice(&tensor.dims);
        match tensor.data {
            TensorData::Bool(v) => Value::new(shape, v),
            TensorData::U8(v) => Value::new(shape, v),
            TensorData::U16(v) => Value::new(shape, v),
            TensorData::U32(v) => Value::new(shape, v),
            TensorData::U64(v) => Value::new(shape, v),
            TensorData::I8(v) => Value::new(shape, v),
            TensorData::I16(v) => Value::new(shape, v),
            TensorData::I32(v) => Value::new(shape, v),
            TensorData::I64(v) => Value::new(shape, v),
            TensorData::F16(v) => Value::new(shape, v),
            TensorData::Bf16(v) => Value::new(shape, v),
            TensorData::F32(v) => Value::new(shape, v),
            TensorData::F64(v) => Value::new(shape, v),
            TensorData::String(v) => Value::new(shape, v),
        }
    }
}

impl Default for Value<'_> {
    fn default() -> Self {
        Value { shape: Shape::from_slice(&[0]), data: Data::Bool(Cow::Borrowed(&[])) }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.type_text(), shape_text(&self.shape))?;
        if self.len() <= 16 {
            typed!(&self.data, T, items => write!(f, " {items:?}"), seq => write!(f, " {seq:?}"))?;
        }
        Ok(())
    }
}
