//! Tensors of a file as typed data, and back.

use super::{
    bytes::Bytes,
    external::ExternalData,
    proto::{TensorProto, data_location, data_type},
};
#[cfg(any(all(feature = "native", feature = "tract"), feature = "optimize"))]
use crate::DType;
use crate::error::{Error, ErrorKind, Result};
use half::{bf16, f16};
use std::{format, string::String, vec::Vec};

/// No tensor has more elements, whatever its shape says: offsets of elements in bytes must fit 64 bits.
const MOST_ELEMENTS: u64 = 1 << 62;

macro_rules! tensor_data {
    ($($(#[$doc:meta])* $variant:ident($value:ty) = $code:ident,)*) => {
        /// The elements of a tensor in row-major order.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum TensorData {
            $($(#[$doc])* $variant(Vec<$value>),)*
        }

        impl TensorData {
            /// How many elements.
            pub(crate) fn len(&self) -> usize {
                match self {
                    $(Self::$variant(values) => values.len(),)*
                }
            }

            /// The element type: a code of [`data_type`].
            pub(crate) fn data_type(&self) -> i32 {
                match self {
                    $(Self::$variant(_) => data_type::$code,)*
                }
            }
        }

        $(impl From<Vec<$value>> for TensorData {
            fn from(values: Vec<$value>) -> Self {
                Self::$variant(values)
            }
        })*
    };
}

tensor_data! {
    /// Truth values.
    Bool(bool) = BOOL,
    /// Unsigned, 8 bits.
    U8(u8) = UINT8,
    /// Unsigned, 16 bits.
    U16(u16) = UINT16,
    /// Unsigned, 32 bits.
    U32(u32) = UINT32,
    /// Unsigned, 64 bits.
    U64(u64) = UINT64,
    /// Signed, 8 bits.
    I8(i8) = INT8,
    /// Signed, 16 bits.
    I16(i16) = INT16,
    /// Signed, 32 bits.
    I32(i32) = INT32,
    /// Signed, 64 bits.
    I64(i64) = INT64,
    /// IEEE 754 binary16.
    F16(f16) = FLOAT16,
    /// The upper half of a binary32.
    Bf16(bf16) = BFLOAT16,
    /// IEEE 754 binary32.
    F32(f32) = FLOAT,
    /// IEEE 754 binary64.
    F64(f64) = DOUBLE,
    /// UTF-8 text.
    String(String) = STRING,
}

/// A dense row-major tensor of fixed shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DenseTensor {
    /// The shape; empty for a scalar.
    pub(crate) dims: Vec<usize>,
    /// As many elements as the product of `dims`.
    pub(crate) data: TensorData,
}

impl DenseTensor {
    /// A tensor of a shape and its elements.
    ///
    /// # Errors
    /// [`ErrorKind::WrongShape`] where the shape holds another number of elements.
    pub(crate) fn new(dims: Vec<usize>, data: impl Into<TensorData>) -> Result<Self> {
        let data = data.into();
        let count = dims.iter().try_fold(1_usize, |count, &dim| count.checked_mul(dim));
        if count != Some(data.len()) {
            return Err(Error::new(ErrorKind::WrongShape, "a tensor's shape and its elements do not agree")
                .expected(format!("elements for the shape {dims:?}"))
                .actual(data.len()));
        }
        Ok(Self { dims, data })
    }
}

/// The six fields that can hold a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Float,
    Int32,
    Int64,
    Uint64,
    Double,
    String,
}

impl TensorProto {
    /// The name, empty where the file gives none.
    fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    #[cold]
    fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, message).tensor(self.label())
    }

    /// The shape and the number of elements, checked and no memory taken for them.
    pub(crate) fn checked_dims(&self, max_elements: usize) -> Result<(Vec<usize>, usize)> {
        let mut dims = Vec::with_capacity(self.dims.len());
        // Also with a dimension of 0 the product of the others must stay addressable: strides are made of it.
        let (mut product, mut empty) = (1_u64, false);
        for &dim in &self.dims {
            let Ok(length) = u64::try_from(dim) else {
                return Err(self.error(ErrorKind::Malformed, format!("the shape {:?} is negative", self.dims)));
            };
            empty |= length == 0;
            product = product
                .checked_mul(length.max(1))
                .filter(|&product| product <= MOST_ELEMENTS)
                .ok_or_else(|| self.error(ErrorKind::Malformed, format!("the shape {:?} overflows", self.dims)))?;
            dims.push(
                usize::try_from(length)
                    .map_err(|_| self.error(ErrorKind::LimitExceeded, "a dimension does not fit this machine"))?,
            );
        }
        let count = if empty { 0 } else { product };
        match usize::try_from(count) {
            Ok(count) if count <= max_elements => Ok((dims, count)),
            _ => Err(self
                .error(ErrorKind::LimitExceeded, "the tensor has more elements than the limit allows")
                .expected(format!("at most {max_elements}"))
                .actual(count)),
        }
    }

    /// Reads the values: from `raw_data`, from the typed field, or from another file that `external` finds.
    ///
    /// `external` is `None` for a model that came from memory. Every declared size is held against the bytes that are
    /// there before memory is taken.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where shape, type and values contradict each other or a string is not UTF-8,
    /// [`ErrorKind::Unsupported`] for an element type without a Rust counterpart here (complex, 8 bits and less of
    /// float, 4 bits and less of integer), [`ErrorKind::LimitExceeded`] for more than `max_elements` elements, and what
    /// reading another file gives.
    pub(crate) fn to_dense(&self, external: Option<&ExternalData>, max_elements: usize) -> Result<DenseTensor> {
        let (dims, count) = self.checked_dims(max_elements)?;
        if self.segment.is_some() {
            return Err(self.error(ErrorKind::Unsupported, "tensors in segments are not read; save it as one"));
        }
        let code = self.data_type.unwrap_or(data_type::UNDEFINED);
        let (field, width) = match code {
            data_type::FLOAT => (Field::Float, 4),
            data_type::DOUBLE => (Field::Double, 8),
            data_type::INT64 => (Field::Int64, 8),
            data_type::UINT64 => (Field::Uint64, 8),
            data_type::UINT32 => (Field::Uint64, 4),
            data_type::INT32 => (Field::Int32, 4),
            data_type::INT16 | data_type::UINT16 | data_type::FLOAT16 | data_type::BFLOAT16 => (Field::Int32, 2),
            data_type::INT8 | data_type::UINT8 | data_type::BOOL => (Field::Int32, 1),
            data_type::STRING => (Field::String, 0),
            data_type::UNDEFINED => return Err(self.error(ErrorKind::Malformed, "the tensor has no element type")),
            other => {
                let text = format!("element type {} (code {other}) is not read", data_type::name(other));
                return Err(self.error(ErrorKind::Unsupported, text));
            }
        };
        let typed = self.check_fields(code, field)?;
        let data = match self.data_location.unwrap_or(data_location::DEFAULT) {
            data_location::DEFAULT => match &self.raw_data {
                Some(raw) if !typed => {
                    let read = self.read_raw(code, raw, count, width)?;
                    raw.release();
                    read
                }
                _ => self.read_fields(code, count)?,
            },
            data_location::EXTERNAL => {
                if typed || self.raw_data.as_ref().is_some_and(|raw| !raw.is_empty()) {
                    return Err(self.error(ErrorKind::Malformed, "the values lie in another file and in the model too"));
                }
                if code == data_type::STRING {
                    return Err(self.error(ErrorKind::Malformed, "strings cannot lie in another file"));
                }
                let length = self.byte_count(count, width)?;
                let external = external.ok_or_else(|| {
                    let text = "the values lie in another file, and a model from memory has no directory to find it \
                                in; load the model from its path";
                    self.error(ErrorKind::Malformed, text)
                })?;
                self.read_raw(code, &external.read(self, length)?, count, width)?
            }
            other => return Err(self.error(ErrorKind::Malformed, format!("{other} is no place for values"))),
        };
        Ok(DenseTensor { dims, data })
    }

    /// Whether the typed field that belongs to the element type holds values. No other may, nor `raw_data` beside it.
    fn check_fields(&self, code: i32, field: Field) -> Result<bool> {
        let fields = [
            (Field::Float, "float_data", self.float_data.len()),
            (Field::Int32, "int32_data", self.int32_data.len()),
            (Field::Int64, "int64_data", self.int64_data.len()),
            (Field::Uint64, "uint64_data", self.uint64_data.len()),
            (Field::Double, "double_data", self.double_data.len()),
            (Field::String, "string_data", self.string_data.len()),
        ];
        let mut typed = false;
        for (of, name, len) in fields {
            if len == 0 {
                continue;
            }
            if of != field {
                let text = format!("{name} does not hold elements of type {}", data_type::name(code));
                return Err(self.error(ErrorKind::Malformed, text));
            }
            typed = true;
        }
        let raw = self.raw_data.as_ref().is_some_and(|raw| !raw.is_empty());
        if raw && (typed || field == Field::String) {
            let text = if typed { "the values stand in two fields" } else { "raw_data does not hold strings" };
            return Err(self.error(ErrorKind::Malformed, text));
        }
        Ok(typed)
    }

    fn byte_count(&self, count: usize, width: usize) -> Result<usize> {
        count
            .checked_mul(width)
            .ok_or_else(|| self.error(ErrorKind::LimitExceeded, "the tensor does not fit this machine's memory"))
    }

    #[cold]
    fn wrong_size(&self, expected: usize, unit: &str, actual: usize) -> Error {
        self.error(ErrorKind::Malformed, format!("the tensor's shape {:?} and its {unit} do not agree", self.dims))
            .expected(expected)
            .actual(actual)
    }

    fn read_raw(&self, code: i32, raw: &[u8], count: usize, width: usize) -> Result<TensorData> {
        let expected = self.byte_count(count, width)?;
        if raw.len() != expected {
            return Err(self.wrong_size(expected, "bytes", raw.len()));
        }
        Ok(match code {
            data_type::BOOL => TensorData::Bool(raw.iter().map(|&byte| byte != 0).collect()),
            data_type::UINT8 => TensorData::U8(raw.to_vec()),
            data_type::INT8 => TensorData::I8(raw.iter().map(|&byte| byte as i8).collect()),
            data_type::UINT16 => TensorData::U16(little_endian(raw, u16::from_le_bytes)),
            data_type::INT16 => TensorData::I16(little_endian(raw, i16::from_le_bytes)),
            data_type::FLOAT16 => TensorData::F16(little_endian(raw, f16::from_le_bytes)),
            data_type::BFLOAT16 => TensorData::Bf16(little_endian(raw, bf16::from_le_bytes)),
            data_type::UINT32 => TensorData::U32(little_endian(raw, u32::from_le_bytes)),
            data_type::INT32 => TensorData::I32(little_endian(raw, i32::from_le_bytes)),
            data_type::FLOAT => TensorData::F32(little_endian(raw, f32::from_le_bytes)),
            data_type::UINT64 => TensorData::U64(little_endian(raw, u64::from_le_bytes)),
            data_type::INT64 => TensorData::I64(little_endian(raw, i64::from_le_bytes)),
            data_type::DOUBLE => TensorData::F64(little_endian(raw, f64::from_le_bytes)),
            // Strings come here only empty: `check_fields` has refused the rest.
            _ if count == 0 => TensorData::String(Vec::new()),
            _ => return Err(self.wrong_size(count, "strings", 0)),
        })
    }

    fn read_fields(&self, code: i32, count: usize) -> Result<TensorData> {
        Ok(match code {
            data_type::FLOAT => TensorData::F32(self.copied(&self.float_data, count)?),
            data_type::DOUBLE => TensorData::F64(self.copied(&self.double_data, count)?),
            data_type::INT64 => TensorData::I64(self.copied(&self.int64_data, count)?),
            data_type::UINT64 => TensorData::U64(self.copied(&self.uint64_data, count)?),
            data_type::UINT32 => TensorData::U32(self.narrowed(&self.uint64_data, count)?),
            data_type::INT32 => TensorData::I32(self.copied(&self.int32_data, count)?),
            data_type::INT16 => TensorData::I16(self.narrowed(&self.int32_data, count)?),
            data_type::UINT16 => TensorData::U16(self.narrowed(&self.int32_data, count)?),
            data_type::INT8 => TensorData::I8(self.narrowed(&self.int32_data, count)?),
            data_type::UINT8 => TensorData::U8(self.narrowed(&self.int32_data, count)?),
            data_type::BOOL => {
                self.check_count(&self.int32_data, count)?;
                TensorData::Bool(self.int32_data.iter().map(|&value| value != 0).collect())
            }
            data_type::FLOAT16 => {
                let bits = self.narrowed::<_, u16>(&self.int32_data, count)?;
                TensorData::F16(bits.into_iter().map(f16::from_bits).collect())
            }
            data_type::BFLOAT16 => {
                let bits = self.narrowed::<_, u16>(&self.int32_data, count)?;
                TensorData::Bf16(bits.into_iter().map(bf16::from_bits).collect())
            }
            _ => {
                self.check_count(&self.string_data, count)?;
                let text = |(row, bytes): (usize, &Vec<u8>)| {
                    core::str::from_utf8(bytes).map(String::from).map_err(|e| {
                        self.error(ErrorKind::Malformed, format!("string {row} of the tensor is not UTF-8"))
                            .with_source(e)
                    })
                };
                TensorData::String(self.string_data.iter().enumerate().map(text).collect::<Result<_>>()?)
            }
        })
    }

    fn check_count<T>(&self, values: &[T], count: usize) -> Result<()> {
        if values.len() == count { Ok(()) } else { Err(self.wrong_size(count, "elements", values.len())) }
    }

    fn copied<T: Copy>(&self, values: &[T], count: usize) -> Result<Vec<T>> {
        self.check_count(values, count)?;
        Ok(values.to_vec())
    }

    fn narrowed<T: Copy + core::fmt::Display, U: TryFrom<T>>(&self, values: &[T], count: usize) -> Result<Vec<U>> {
        self.check_count(values, count)?;
        let code = self.data_type.unwrap_or_default();
        let narrow = |&value: &T| {
            U::try_from(value).map_err(|_| {
                let text = format!("{value} is out of the range of {}", data_type::name(code));
                self.error(ErrorKind::Malformed, text)
            })
        };
        values.iter().map(narrow).collect()
    }

    /// A tensor of the file format: numbers little endian in `raw_data`, strings in `string_data`.
    ///
    /// An empty name is left out, as in the value of an attribute.
    pub(crate) fn from_dense(name: &str, tensor: &DenseTensor) -> Self {
        let mut proto = Self {
            // A `usize` above `i64::MAX` cannot be a dimension of elements that are in memory; with a dimension of 0
            // beside it, it could, and the reader then refuses it.
            dims: tensor.dims.iter().map(|&dim| i64::try_from(dim).unwrap_or(i64::MAX)).collect(),
            data_type: Some(tensor.data.data_type()),
            name: (!name.is_empty()).then(|| String::from(name)),
            ..Self::default()
        };
        let raw = match &tensor.data {
            TensorData::String(values) => {
                proto.string_data = values.iter().map(|value| value.as_bytes().to_vec()).collect();
                return proto;
            }
            TensorData::Bool(values) => values.iter().map(|&value| u8::from(value)).collect(),
            TensorData::U8(values) => values.clone(),
            TensorData::I8(values) => values.iter().map(|&value| value as u8).collect(),
            TensorData::U16(values) => raw_bytes(values, |v| v.to_le_bytes()),
            TensorData::I16(values) => raw_bytes(values, |v| v.to_le_bytes()),
            TensorData::F16(values) => raw_bytes(values, |v| v.to_le_bytes()),
            TensorData::Bf16(values) => raw_bytes(values, |v| v.to_le_bytes()),
            TensorData::U32(values) => raw_bytes(values, |v| v.to_le_bytes()),
            TensorData::I32(values) => raw_bytes(values, |v| v.to_le_bytes()),
            TensorData::F32(values) => raw_bytes(values, |v| v.to_le_bytes()),
            TensorData::U64(values) => raw_bytes(values, |v| v.to_le_bytes()),
            TensorData::I64(values) => raw_bytes(values, |v| v.to_le_bytes()),
            TensorData::F64(values) => raw_bytes(values, |v| v.to_le_bytes()),
        };
        proto.raw_data = Some(Bytes::from(raw));
        proto
    }
}

fn little_endian<const N: usize, T>(raw: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks::<N>().0.iter().map(|&bytes| read(bytes)).collect()
}

fn raw_bytes<const N: usize, T>(values: &[T], write: fn(&T) -> [u8; N]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(values.len() * N);
    values.iter().for_each(|value| raw.extend_from_slice(&write(value)));
    raw
}

/// The code in [`data_type`] of an element type.
#[cfg(any(all(feature = "native", feature = "tract"), feature = "optimize"))]
pub(crate) const fn code_of(dtype: DType) -> i32 {
    match dtype {
        DType::Bool => data_type::BOOL,
        DType::U8 => data_type::UINT8,
        DType::U16 => data_type::UINT16,
        DType::U32 => data_type::UINT32,
        DType::U64 => data_type::UINT64,
        DType::I8 => data_type::INT8,
        DType::I16 => data_type::INT16,
        DType::I32 => data_type::INT32,
        DType::I64 => data_type::INT64,
        DType::F16 => data_type::FLOAT16,
        DType::Bf16 => data_type::BFLOAT16,
        DType::F32 => data_type::FLOAT,
        DType::F64 => data_type::DOUBLE,
        DType::String => data_type::STRING,
    }
}
