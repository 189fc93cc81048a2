//! Logic of booleans and of the bits of integers.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::{BitAnd, BitOr, BitXor, Not};

use smallvec::smallvec;

use super::binary::Align;
use super::broadcast::{self, Plan};
use super::dispatch::{self, of_types};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Item, Shape, Value};
use crate::{DType, Result};

pub(super) const GROUP: Group = &[
    ("And", boolean::<And>),
    ("Or", boolean::<Or>),
    ("Xor", boolean::<Xor>),
    ("BitwiseAnd", bitwise::<And>),
    ("BitwiseOr", bitwise::<Or>),
    ("BitwiseXor", bitwise::<Xor>),
    ("BitShift", shift),
    ("Not", |_| Ok(Box::new(Negation { boolean: true }))),
    ("BitwiseNot", |_| Ok(Box::new(Negation { boolean: false }))),
];

/// Something made of bits.
trait Bits:
    Item + Copy + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self>
{
    /// Shifted to the left by `by` places; all zeros when those are as many as there are bits.
    fn left(self, by: Self) -> Self;
    /// Shifted to the right.
    fn right(self, by: Self) -> Self;
}

macro_rules! bits {
    ($($t:ty)*) => {$(
        impl Bits for $t {
            #[inline(always)]
            fn left(self, by: Self) -> Self {
                u32::try_from(by).ok().and_then(|by| self.checked_shl(by)).unwrap_or(0)
            }
            #[inline(always)]
            fn right(self, by: Self) -> Self {
                u32::try_from(by).ok().and_then(|by| self.checked_shr(by)).unwrap_or(0)
            }
        }
    )*};
}

bits!(u8 u16 u32 u64 i8 i16 i32 i64);

impl Bits for bool {
    fn left(self, by: Self) -> Self {
        self & !by
    }
    fn right(self, by: Self) -> Self {
        self & !by
    }
}

/// A function of the bits of two elements.
trait BitPairing: Debug + Send + Sync + 'static {
    fn at<T: Bits>(a: T, b: T) -> T;
}

macro_rules! pairings {
    ($($name:ident: ($a:ident, $b:ident) => $body:expr;)*) => {$(
        #[doc = concat!("The operator `", stringify!($name), "`.")]
        #[derive(Debug)]
        struct $name;

        impl BitPairing for $name {
            #[inline(always)]
            fn at<T: Bits>($a: T, $b: T) -> T {
                $body
            }
        }
    )*};
}

pairings! {
    And: (a, b) => a & b;
    Or: (a, b) => a | b;
    Xor: (a, b) => a ^ b;
    ShiftLeft: (a, b) => a.left(b);
    ShiftRight: (a, b) => a.right(b);
}

/// [`BitPairing`] over all pairs of elements.
#[derive(Debug)]
struct Bitwise<P> {
    align: Align,
    /// Booleans are taken, integers are not; or the other way round.
    boolean: bool,
    pairing: PhantomData<P>,
}

fn boolean<P: BitPairing>(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Bitwise::<P> { align: Align::of(node)?, boolean: true, pairing: PhantomData }))
}

fn bitwise<P: BitPairing>(_node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Bitwise::<P> { align: Align::Both, boolean: false, pairing: PhantomData }))
}

fn shift(node: &Node<'_>) -> Result<Box<dyn Op>> {
    match node.string_or("direction", "")? {
        "LEFT" => bitwise::<ShiftLeft>(node),
        "RIGHT" => bitwise::<ShiftRight>(node),
        other => Err(node.malformed("`direction` must be `LEFT` or `RIGHT`").actual(other)),
    }
}

impl<P: BitPairing> Op for Bitwise<P> {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (a, b) = (args.get(0)?, args.get(1)?);
        let (shape_b, shape) = self.align.shapes(a.shape(), b.shape())?;
        let count = cx.check_shape(&shape)?;
        if matches!(a.data(), Data::Bool(_)) != self.boolean {
            return Err(a.type_error(expected(self.boolean)));
        }
        let out = of_types!(a.data(), T, left => {
            let right = b.as_slice::<T>()?;
            let mut out = cx.buffer::<T>(count);
            if *a.shape() == shape_b[..] {
                out.extend(left.iter().zip(right).map(|(&x, &y)| P::at(x, y)));
            } else {
                broadcast::zip(&Plan::new(&shape, [a.shape(), &shape_b]), (left, right), &mut out, P::at);
            }
            Value::new(shape, out)
        }, return Err(a.type_error(expected(self.boolean)));
            Bool bool, U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64
        );
        Ok(smallvec![out])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        broadcast::crosses(outputs)
    }
}

/// The types that an operator takes, in words.
fn expected(boolean: bool) -> &'static str {
    if boolean { "bool" } else { "an integer" }
}

/// Every bit turned over.
#[derive(Debug)]
struct Negation {
    boolean: bool,
}

impl Op for Negation {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        let fits = value.dtype().is_some_and(|d| if self.boolean { d == DType::Bool } else { d.is_integer() });
        if !fits {
            return Err(value.type_error(expected(self.boolean)));
        }
        let shape = Shape::from_slice(value.shape());
        let data: Data<'_> = of_types!(value.into_data(), T, items => {
            let mut items = items;
            items.to_mut().iter_mut().for_each(|x| *x = !*x);
            T::data(items)
        }, Data::Sequence(Vec::new());
            Bool bool, U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64
        );
        Ok(smallvec![Value::from_parts(shape, data)])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}
