//! Comparisons of two operands.

use std::fmt::Debug;
use std::marker::PhantomData;

use smallvec::smallvec;

use super::binary::Align;
use super::broadcast::{self, Plan};
use super::dispatch::of_types;
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Item, Value};

pub(super) const GROUP: Group = &[
    ("Equal", build::<Equal>),
    ("Less", build::<Less>),
    ("Greater", build::<Greater>),
    ("LessOrEqual", build::<LessOrEqual>),
    ("GreaterOrEqual", build::<GreaterOrEqual>),
];

/// A question about two elements of one type.
trait Comparison: Debug + Send + Sync + 'static {
    fn holds<T: PartialOrd>(a: &T, b: &T) -> bool;
}

macro_rules! comparisons {
    ($($name:ident: $sign:tt;)*) => {$(
        #[doc = concat!("The operator `", stringify!($name), "`.")]
        #[derive(Debug)]
        struct $name;

        impl Comparison for $name {
            #[inline(always)]
            fn holds<T: PartialOrd>(a: &T, b: &T) -> bool {
                a $sign b
            }
        }
    )*};
}

comparisons! { Equal: ==; Less: <; Greater: >; LessOrEqual: <=; GreaterOrEqual: >=; }

/// [`Comparison`] over all pairs of elements.
#[derive(Debug)]
struct Compare<C> {
    align: Align,
    comparison: PhantomData<C>,
}

fn build<C: Comparison>(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Compare::<C> { align: Align::of(node)?, comparison: PhantomData }))
}

impl<C: Comparison> Op for Compare<C> {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (a, b) = (args.get(0)?, args.get(1)?);
        let (shape_b, shape) = self.align.shapes(a.shape(), b.shape())?;
        let count = cx.check_shape(&shape)?;
        let mut out = cx.buffer::<bool>(count);
        of_types!(a.data(), T, left => {
            let right = b.as_slice::<T>()?;
            pairs::<T, C>((left, a.shape()), (right, &shape_b), &shape, &mut out);
        }, return Err(a.type_error("a tensor"));
            Bool bool, U8 u8, U16 u16, U32 u32, U64 u64, I8 i8, I16 i16, I32 i32, I64 i64, F16 half::f16,
            Bf16 half::bf16, F32 f32, F64 f64, String String
        );
        Ok(smallvec![Value::new(shape, out)])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        broadcast::crosses(outputs)
    }
}

/// The answers for all pairs, at the end of `out`.
fn pairs<T: Item + PartialOrd, C: Comparison>(
    (a, shape_a): (&[T], &[usize]),
    (b, shape_b): (&[T], &[usize]),
    shape: &[usize],
    out: &mut Vec<bool>,
) {
    if let [y] = b
        && shape_a == shape
    {
        out.extend(a.iter().map(|x| C::holds(x, y)));
    } else if shape_a == shape_b {
        out.extend(a.iter().zip(b).map(|(x, y)| C::holds(x, y)));
    } else {
        Plan::new(shape, [shape_a, shape_b]).runs(|[i, j], n, steps| match steps {
            [1, 1] => out.extend(a[i..i + n].iter().zip(&b[j..j + n]).map(|(x, y)| C::holds(x, y))),
            [1, _] => out.extend(a[i..i + n].iter().map(|x| C::holds(x, &b[j]))),
            [_, 1] => out.extend(b[j..j + n].iter().map(|y| C::holds(&a[i], y))),
            _ => out.extend(std::iter::repeat_n(C::holds(&a[i], &b[j]), n)),
        });
    }
}
