//! Functions of one element without parameters: arithmetic, rounding, trigonometry, tests.

use smallvec::smallvec;

use super::num::{Float, Num};
use super::unary::{FloatMap, Floats, NumberMap, Numbers};
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Shape, Value};

pub(super) const GROUP: Group = &[
    ("Abs", |_| numbers(Abs)),
    ("Neg", |_| numbers(Neg)),
    ("Sign", |_| numbers(Sign)),
    ("Sqrt", |_| floats(Sqrt)),
    ("Exp", |_| floats(Exp)),
    ("Log", |_| floats(Log)),
    ("Erf", |_| floats(Erf)),
    ("Reciprocal", |_| floats(Reciprocal)),
    ("Floor", |_| floats(Floor)),
    ("Ceil", |_| floats(Ceil)),
    ("Round", |_| floats(Round)),
    ("Sin", |_| floats(Sin)),
    ("Cos", |_| floats(Cos)),
    ("Tan", |_| floats(Tan)),
    ("Asin", |_| floats(Asin)),
    ("Acos", |_| floats(Acos)),
    ("Atan", |_| floats(Atan)),
    ("Sinh", |_| floats(Sinh)),
    ("Cosh", |_| floats(Cosh)),
    ("Asinh", |_| floats(Asinh)),
    ("Acosh", |_| floats(Acosh)),
    ("Atanh", |_| floats(Atanh)),
    ("IsNaN", is_nan),
    ("IsInf", is_inf),
];

fn floats(map: impl FloatMap) -> Result<Box<dyn Op>> {
    Ok(Box::new(Floats(map)))
}

fn numbers(map: impl NumberMap) -> Result<Box<dyn Op>> {
    Ok(Box::new(Numbers(map)))
}

macro_rules! number_maps {
    ($($name:ident: $x:ident => $body:expr;)*) => {$(
        #[doc = concat!("The operator `", stringify!($name), "`.")]
        #[derive(Debug)]
        struct $name;

        impl NumberMap for $name {
            #[inline(always)]
            fn at<T: Num>(&self, $x: T) -> T {
                $body
            }
        }
    )*};
}

number_maps! {
    Abs: x => x.magnitude();
    Neg: x => x.negated();
    Sign: x => x.signum_or_zero();
}

macro_rules! float_maps {
    ($($name:ident $([$kernel:path])?: $x:ident => $body:expr;)*) => {$(
        #[doc = concat!("The operator `", stringify!($name), "`.")]
        #[derive(Debug)]
        struct $name;

        impl FloatMap for $name {
            #[inline(always)]
            fn at<F: Float>(&self, $x: F) -> F {
                $body
            }
            $(
                fn kernel(&self) -> Option<fn(crate::kernel::Isa, &mut [f32])> {
                    Some($kernel)
                }
            )?
        }
    )*};
}

float_maps! {
    Sqrt: x => x.sqrt();
    Exp: x => x.exp();
    Log: x => x.ln();
    Erf [crate::kernel::erf_in_place]: x => x.erf();
    Reciprocal: x => F::ONE.over(x);
    Floor: x => x.floor();
    Ceil: x => x.ceil();
    Round: x => x.round_ties_even();
    Sin: x => x.sin();
    Cos: x => x.cos();
    Tan: x => x.tan();
    Asin: x => x.asin();
    Acos: x => x.acos();
    Atan: x => x.atan();
    Sinh: x => x.sinh();
    Cosh: x => x.cosh();
    Asinh: x => x.asinh();
    Acosh: x => x.acosh();
    Atanh: x => x.atanh();
}

/// Asks something of every float.
#[derive(Debug)]
struct Test {
    nan: bool,
    /// Whether minus infinity and infinity count.
    infinities: [bool; 2],
}

fn is_nan(_node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Test { nan: true, infinities: [false; 2] }))
}

fn is_inf(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let infinities = [node.flag("detect_negative", true)?, node.flag("detect_positive", true)?];
    Ok(Box::new(Test { nan: false, infinities }))
}

impl Test {
    #[inline(always)]
    fn holds<T: Num>(&self, x: T) -> bool {
        (self.nan & x.is_nan_number())
            | (self.infinities[0] & (x == T::LEAST))
            | (self.infinities[1] & (x == T::GREATEST))
    }

    fn of<T: Num>(&self, shape: &[usize], items: &[T], cx: &mut Scratch) -> Value<'static> {
        let mut out = cx.buffer::<bool>(items.len());
        out.extend(items.iter().map(|&x| self.holds(x)));
        Value::new(Shape::from_slice(shape), out)
    }
}

impl Op for Test {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let shape = value.shape();
        Ok(smallvec![match value.data() {
            Data::F32(items) => self.of(shape, items, cx),
            Data::F64(items) => self.of(shape, items, cx),
            Data::F16(items) => self.of(shape, items, cx),
            Data::Bf16(items) => self.of(shape, items, cx),
            _ => return Err(value.type_error("a float")),
        }])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}
