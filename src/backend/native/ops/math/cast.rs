//! Conversions between element types.

use half::{bf16, f16};
use smallvec::smallvec;

use super::cast_text;
use super::dispatch::of_types;
use super::num::Num;
use crate::backend::native::chain::{Elements, ElementsMut, Filling};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Item, Shape, Value};
use crate::onnx::data_type;
use crate::{DType, Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Cast", build), ("CastLike", build_like)];

/// Every element as another type.
#[derive(Debug)]
struct Cast {
    /// The type; the one of input 1 when it is not fixed.
    to: Option<DType>,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    // Operator sets before 6 give the type by name.
    let code = if node.opset() < 6 && node.int("to").is_err() {
        let name = node.string_or("to", "")?;
        (1..=16).find(|&code| data_type::name(code).eq_ignore_ascii_case(name)).unwrap_or(0)
    } else {
        let code = node.int("to")?.ok_or_else(|| node.malformed("Cast needs the attribute `to`"))?;
        i32::try_from(code).unwrap_or(0)
    };
    let to = dtype(code).ok_or_else(|| {
        node.unsupported("Cast to this element type").actual(format!("{code} ({})", data_type::name(code)))
    })?;
    Ok(Box::new(Cast { to: Some(to) }))
}

fn build_like(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Cast { to: node.constant(1).and_then(Value::dtype) }))
}

/// The element type of a code of ONNX, of those that are carried.
pub(in crate::backend::native::ops) fn dtype(code: i32) -> Option<DType> {
    Some(match code {
        data_type::FLOAT => DType::F32,
        data_type::UINT8 => DType::U8,
        data_type::INT8 => DType::I8,
        data_type::UINT16 => DType::U16,
        data_type::INT16 => DType::I16,
        data_type::INT32 => DType::I32,
        data_type::INT64 => DType::I64,
        data_type::STRING => DType::String,
        data_type::BOOL => DType::Bool,
        data_type::FLOAT16 => DType::F16,
        data_type::DOUBLE => DType::F64,
        data_type::UINT32 => DType::U32,
        data_type::UINT64 => DType::U64,
        data_type::BFLOAT16 => DType::Bf16,
        _ => return None,
    })
}

impl Op for Cast {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let to = match self.to {
            Some(to) => to,
            None => args.get(1)?.dtype().ok_or_else(|| Error::new(ErrorKind::WrongType, "no cast to a sequence"))?,
        };
        if args.get(0)?.dtype() == Some(to) {
            return Ok(smallvec![args.take(0)?]);
        }
        Ok(smallvec![cast(args.get(0)?, to, cx)?])
    }

    fn fill(&self, rows: Filling<'_, '_>, _cx: &mut Scratch) -> Option<Result<()>> {
        // Labels as their tables hold them, and what has the type already.
        match (rows.x, &mut *rows.out) {
            (Elements::I32(x), [ElementsMut::I64(out)]) if x.len() == out.len() => {
                out.iter_mut().zip(x).for_each(|(to, &i)| *to = i.into());
                Some(Ok(()))
            }
            _ => rows.pass_on(),
        }
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

/// The elements of `value` as `to`.
pub(crate) fn cast(value: &Value<'_>, to: DType, cx: &mut Scratch) -> Result<Value<'static>> {
    let shape = value.shape();
    match to {
        DType::Bool => to_type::<bool>(value, shape, cx),
        DType::U8 => to_type::<u8>(value, shape, cx),
        DType::U16 => to_type::<u16>(value, shape, cx),
        DType::U32 => to_type::<u32>(value, shape, cx),
        DType::U64 => to_type::<u64>(value, shape, cx),
        DType::I8 => to_type::<i8>(value, shape, cx),
        DType::I16 => to_type::<i16>(value, shape, cx),
        DType::I32 => to_type::<i32>(value, shape, cx),
        DType::I64 => to_type::<i64>(value, shape, cx),
        DType::F16 => to_type::<f16>(value, shape, cx),
        DType::Bf16 => to_type::<bf16>(value, shape, cx),
        DType::F32 => to_type::<f32>(value, shape, cx),
        DType::F64 => to_type::<f64>(value, shape, cx),
        DType::String => to_text(value, shape, cx),
    }
}

/// What numbers and text are turned into.
trait Target: Item {
    fn from_int(x: i64) -> Self;
    fn from_unsigned(x: u64) -> Self;
    fn from_single(x: f32) -> Self;
    fn from_float(x: f64) -> Self;
    /// `None` when the text does not start with such a number.
    fn from_text(text: &str) -> Option<Self>;
}

/// What is turned into a number or text.
trait Origin: Item {
    fn into_target<T: Target>(self) -> T;
    fn text(&self) -> String;
}

macro_rules! integers {
    ($($t:ty: $wide:ty, $via:ident, $parse:path;)*) => {$(
        impl Target for $t {
            #[inline(always)]
            fn from_int(x: i64) -> Self {
                x as Self
            }
            #[inline(always)]
            fn from_unsigned(x: u64) -> Self {
                x as Self
            }
            #[inline(always)]
            fn from_single(x: f32) -> Self {
                Self::from_double(x.into())
            }
            #[inline(always)]
            fn from_float(x: f64) -> Self {
                Self::from_double(x)
            }
            fn from_text(text: &str) -> Option<Self> {
                $parse(text).map(|x| x as Self)
            }
        }

        impl Origin for $t {
            #[inline(always)]
            fn into_target<T: Target>(self) -> T {
                T::$via(<$wide>::from(self))
            }
            fn text(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

integers! {
    u8: u64, from_unsigned, cast_text::unsigned;
    u16: u64, from_unsigned, cast_text::unsigned;
    u32: u64, from_unsigned, cast_text::unsigned;
    u64: u64, from_unsigned, cast_text::unsigned;
    i8: i64, from_int, cast_text::signed;
    i16: i64, from_int, cast_text::signed;
    i32: i64, from_int, cast_text::signed;
    i64: i64, from_int, cast_text::signed;
}

macro_rules! floats {
    ($($t:ty: $int:expr, $unsigned:expr, $single:expr, $double:expr, $into:expr;)*) => {$(
        impl Target for $t {
            #[inline(always)]
            fn from_int(x: i64) -> Self {
                $int(x)
            }
            #[inline(always)]
            fn from_unsigned(x: u64) -> Self {
                $unsigned(x)
            }
            #[inline(always)]
            fn from_single(x: f32) -> Self {
                $single(x)
            }
            #[inline(always)]
            fn from_float(x: f64) -> Self {
                $double(x)
            }
            fn from_text(text: &str) -> Option<Self> {
                cast_text::float(text).map($double)
            }
        }

        impl Origin for $t {
            #[inline(always)]
            fn into_target<T: Target>(self) -> T {
                $into(self)
            }
            fn text(&self) -> String {
                cast_text::digits(self.to_double())
            }
        }
    )*};
}

// Half precision goes through single precision in both directions, as in ONNX Runtime.
floats! {
    f16: |x| Self::from_f32(x as f32), |x| Self::from_f32(x as f32), Self::from_f32, Self::from_double,
        |x: f16| T::from_single(x.to_f32());
    bf16: |x| Self::from_f32(x as f32), |x| Self::from_f32(x as f32), Self::from_f32, Self::from_double,
        |x: bf16| T::from_single(x.to_f32());
    f32: |x| x as f32, |x| x as f32, |x| x, |x| x as f32, T::from_single;
    f64: |x| x as f64, |x| x as f64, f64::from, |x| x, T::from_float;
}

impl Target for bool {
    #[inline(always)]
    fn from_int(x: i64) -> Self {
        x != 0
    }
    #[inline(always)]
    fn from_unsigned(x: u64) -> Self {
        x != 0
    }
    #[inline(always)]
    fn from_single(x: f32) -> Self {
        x != 0.0
    }
    #[inline(always)]
    fn from_float(x: f64) -> Self {
        x != 0.0
    }
    fn from_text(text: &str) -> Option<Self> {
        cast_text::unsigned(text).map(|x| x != 0)
    }
}

impl Origin for bool {
    #[inline(always)]
    fn into_target<T: Target>(self) -> T {
        T::from_unsigned(self.into())
    }
    fn text(&self) -> String {
        u8::from(*self).to_string()
    }
}

/// The elements of `value` as numbers or booleans.
fn to_type<T: Target>(value: &Value<'_>, shape: &[usize], cx: &mut Scratch) -> Result<Value<'static>> {
    let mut out = cx.buffer::<T>(value.len());
    if let Some(texts) = value.try_slice::<String>() {
        for text in texts {
            out.push(T::from_text(text).ok_or_else(|| {
                Error::new(ErrorKind::InvalidValue, "a text that is to become a number does not start with one")
                    .expected(T::DTYPE)
                    .actual(format!("{text:?}"))
            })?);
        }
    } else {
        of_types!(value.data(), F, items => out.extend(items.iter().map(|&x| Origin::into_target::<T>(x))),
            return Err(value.type_error("a tensor"));
            Bool bool, U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64, F16 f16, Bf16 bf16, F32 f32,
            F64 f64
        );
    }
    Ok(Value::new(Shape::from_slice(shape), out))
}

/// The elements of `value` as text.
fn to_text(value: &Value<'_>, shape: &[usize], cx: &mut Scratch) -> Result<Value<'static>> {
    let mut out = cx.buffer::<String>(value.len());
    of_types!(value.data(), F, items => out.extend(items.iter().map(Origin::text)),
        return Err(value.type_error("a tensor"));
        Bool bool, U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64, F16 f16, Bf16 bf16, F32 f32,
        F64 f64
    );
    Ok(Value::new(Shape::from_slice(shape), out))
}
