//! From a value of any element type to code for one type, and how results get back.

use half::{bf16, f16};

use crate::Result;
use crate::backend::native::op::{Args, Scratch};
use crate::backend::native::value::{Data, Item, Shape, Value, typed};

/// Evaluates `$body` with `$items` bound to the elements and `$T` naming their type when they are numbers, else
/// `$other`.
macro_rules! numbers {
    ($data:expr, $T:ident, $items:ident => $body:expr, $other:expr) => {
        $crate::backend::native::ops::math::dispatch::of_types!(
            $data, $T, $items => $body, $other;
            U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64, F16 half::f16, Bf16 half::bf16, F32 f32,
            F64 f64
        )
    };
}

/// Evaluates `$body` for the element types that are listed, `$other` for the rest.
macro_rules! of_types {
    ($data:expr, $T:ident, $items:ident => $body:expr, $other:expr; $($variant:ident $t:ty),*) => {
        match $data {
            $($crate::backend::native::value::Data::$variant($items) => {
                #[allow(dead_code)]
                type $T = $t;
                $body
            })*
            #[allow(unreachable_patterns)]
            _ => $other,
        }
    };
}
pub(crate) use {numbers, of_types};

/// Input `i` with elements of its own: out of its slot when nobody else needs it, else copied.
pub(crate) fn own<'v>(args: &mut Args<'_, 'v>, i: usize, cx: &mut Scratch) -> Result<Value<'v>> {
    match args.take_owned(i) {
        Some(value) => Ok(value),
        None => Ok(copied(args.get(i)?, cx)),
    }
}

/// A copy in a free buffer.
pub(crate) fn copied(value: &Value<'_>, cx: &mut Scratch) -> Value<'static> {
    typed!(value.data(), T, items => {
        let mut copy = cx.buffer::<T>(items.len());
        copy.extend_from_slice(items);
        Value::new(Shape::from_slice(value.shape()), copy)
    }, _seq => value.clone().into_static())
}

/// Elements that single precision stands in for while computing.
pub(crate) trait Half: Item + Copy {
    fn single(self) -> f32;
    fn rounded(x: f32) -> Self;
}

impl Half for f16 {
    fn single(self) -> f32 {
        self.to_f32()
    }
    fn rounded(x: f32) -> Self {
        Self::from_f32(x)
    }
}

impl Half for bf16 {
    fn single(self) -> f32 {
        self.to_f32()
    }
    fn rounded(x: f32) -> Self {
        Self::from_f32(x)
    }
}

/// Half-precision elements in single precision; everything else as it is, borrowed.
pub(crate) fn widened<'s>(value: &'s Value<'_>, cx: &mut Scratch) -> Value<'s> {
    fn wide<H: Half>(value: &Value<'_>, items: &[H], cx: &mut Scratch) -> Value<'static> {
        let mut single = cx.buffer::<f32>(items.len());
        single.extend(items.iter().map(|h| h.single()));
        Value::new(Shape::from_slice(value.shape()), single)
    }
    match value.data() {
        Data::F16(items) => wide(value, items, cx),
        Data::Bf16(items) => wide(value, items, cx),
        _ => value.as_view(),
    }
}

/// Single precision rounded to the half precision of `like`; everything else as it is.
pub(crate) fn narrowed<'v>(value: Value<'v>, like: &Data<'_>, cx: &mut Scratch) -> Value<'v> {
    fn narrow<H: Half>(value: Value<'_>, cx: &mut Scratch) -> Value<'static> {
        let mut half = cx.buffer::<H>(value.len());
        if let Some(items) = value.try_slice::<f32>() {
            half.extend(items.iter().map(|&x| H::rounded(x)));
        }
        let half = Value::new(Shape::from_slice(value.shape()), half);
        cx.recycle(value);
        half
    }
    match (like, value.data()) {
        (Data::F16(_), Data::F32(_)) => narrow::<f16>(value, cx),
        (Data::Bf16(_), Data::F32(_)) => narrow::<bf16>(value, cx),
        _ => value,
    }
}
