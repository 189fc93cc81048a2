//! The cells of Arrow arrays.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, array::AnyDictionaryArray};
use arrow_schema::{DataType, TimeUnit};

use super::value::Scalar;
use crate::{Error, ErrorKind, Result};

/// Gives every cell of `array` to `put`: dates and times as ISO 8601 text, in UTC where they have a zone; the values of a
/// dictionary in place of its keys.
pub(super) fn cells(array: &dyn Array, put: &mut dyn FnMut(usize, Scalar<'_>) -> Result<()>) -> Result<()> {
    macro_rules! each {
        ($array:expr, $i:ident, $a:ident => $cell:expr) => {{
            let $a = $array;
            for $i in 0..$a.len() {
                put($i, if $a.is_null($i) { Scalar::Missing } else { $cell })?;
            }
            Ok(())
        }};
    }
    macro_rules! number {
        ($t:ty, $variant:ident, $to:ty) => {
            each!(array.as_primitive::<$t>(), i, a => Scalar::$variant(<$to>::from(a.value(i))))
        };
    }
    macro_rules! decimal {
        ($t:ty) => {{
            let a = array.as_primitive::<$t>();
            (0..a.len()).try_for_each(|i| match a.is_null(i) {
                true => put(i, Scalar::Missing),
                false => put(i, Scalar::Text(&a.value_as_string(i))),
            })
        }};
    }
    macro_rules! temporal {
        ($t:ty, $value:ident) => {{
            let a = array.as_primitive::<$t>();
            (0..a.len()).try_for_each(|i| match if a.is_null(i) { None } else { a.$value(i) } {
                None => put(i, Scalar::Missing),
                // The debug form of dates and times is ISO 8601's, which sorts as they do.
                Some(time) => put(i, Scalar::Text(&format!("{time:?}"))),
            })
        }};
    }
    macro_rules! bytes {
        ($array:expr) => {
            each!($array, i, a => Scalar::Text(std::str::from_utf8(a.value(i)).map_err(|_| {
                Error::new(ErrorKind::Malformed, "the column holds bytes that are not UTF-8 text; store it as text")
            })?))
        };
    }
    match array.data_type() {
        DataType::Null => each!(array, _i, a => Scalar::Missing),
        DataType::Boolean => each!(array.as_boolean(), i, a => Scalar::Bool(a.value(i))),
        DataType::Int8 => number!(Int8Type, Int, i64),
        DataType::Int16 => number!(Int16Type, Int, i64),
        DataType::Int32 => number!(Int32Type, Int, i64),
        DataType::Int64 => number!(Int64Type, Int, i64),
        DataType::UInt8 => number!(UInt8Type, Uint, u64),
        DataType::UInt16 => number!(UInt16Type, Uint, u64),
        DataType::UInt32 => number!(UInt32Type, Uint, u64),
        DataType::UInt64 => number!(UInt64Type, Uint, u64),
        DataType::Float16 => number!(Float16Type, Float, f64),
        DataType::Float32 => number!(Float32Type, Float, f64),
        DataType::Float64 => number!(Float64Type, Float, f64),
        DataType::Decimal128(..) => decimal!(Decimal128Type),
        DataType::Decimal256(..) => decimal!(Decimal256Type),
        DataType::Utf8 => each!(array.as_string::<i32>(), i, a => Scalar::Text(a.value(i))),
        DataType::LargeUtf8 => each!(array.as_string::<i64>(), i, a => Scalar::Text(a.value(i))),
        DataType::Utf8View => each!(array.as_string_view(), i, a => Scalar::Text(a.value(i))),
        DataType::Binary => bytes!(array.as_binary::<i32>()),
        DataType::LargeBinary => bytes!(array.as_binary::<i64>()),
        DataType::BinaryView => bytes!(array.as_binary_view()),
        DataType::Date32 => temporal!(Date32Type, value_as_date),
        DataType::Date64 => temporal!(Date64Type, value_as_date),
        DataType::Time32(TimeUnit::Second) => temporal!(Time32SecondType, value_as_time),
        DataType::Time32(_) => temporal!(Time32MillisecondType, value_as_time),
        DataType::Time64(TimeUnit::Microsecond) => temporal!(Time64MicrosecondType, value_as_time),
        DataType::Time64(_) => temporal!(Time64NanosecondType, value_as_time),
        DataType::Timestamp(TimeUnit::Second, _) => temporal!(TimestampSecondType, value_as_datetime),
        DataType::Timestamp(TimeUnit::Millisecond, _) => temporal!(TimestampMillisecondType, value_as_datetime),
        DataType::Timestamp(TimeUnit::Microsecond, _) => temporal!(TimestampMicrosecondType, value_as_datetime),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => temporal!(TimestampNanosecondType, value_as_datetime),
        DataType::Dictionary(..) => dictionary(array.as_any_dictionary(), put),
        other => Err(Error::new(
            ErrorKind::WrongType,
            "a column of this type can't be read; store it as numbers, truth values, text, dates or times",
        )
        .actual(other.to_string())),
    }
}

/// A cell that is kept.
enum Kept {
    Missing,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(String),
}

impl Kept {
    fn of(cell: Scalar<'_>) -> Self {
        match cell {
            Scalar::Missing => Self::Missing,
            Scalar::Bool(b) => Self::Bool(b),
            Scalar::Int(i) => Self::Int(i),
            Scalar::Uint(u) => Self::Uint(u),
            Scalar::Float(f) => Self::Float(f),
            Scalar::Text(text) => Self::Text(text.to_string()),
        }
    }

    fn cell(&self) -> Scalar<'_> {
        match self {
            Self::Missing => Scalar::Missing,
            Self::Bool(b) => Scalar::Bool(*b),
            Self::Int(i) => Scalar::Int(*i),
            Self::Uint(u) => Scalar::Uint(*u),
            Self::Float(f) => Scalar::Float(*f),
            Self::Text(text) => Scalar::Text(text),
        }
    }
}

fn dictionary(array: &dyn AnyDictionaryArray, put: &mut dyn FnMut(usize, Scalar<'_>) -> Result<()>) -> Result<()> {
    let mut values = Vec::with_capacity(array.values().len());
    cells(array.values().as_ref(), &mut |_, cell| {
        values.push(Kept::of(cell));
        Ok(())
    })?;
    // Keys are asked for only where there are values for them.
    let keys = if values.is_empty() { Vec::new() } else { array.normalized_keys() };
    for i in 0..array.len() {
        let value = if array.is_null(i) { None } else { keys.get(i).and_then(|&key| values.get(key)) };
        put(i, value.map_or(Scalar::Missing, Kept::cell))?;
    }
    Ok(())
}
