//! What the operators of this module ask of a number, whatever its type.

use half::{bf16, f16};

use super::exp;
use crate::backend::native::value::Item;

/// A number: an integer (all operations wrap) or a float.
pub(crate) trait Num: Item + Copy + PartialOrd {
    const ZERO: Self;
    const ONE: Self;
    /// The smallest value; minus infinity for floats.
    const LEAST: Self;
    /// The largest value; infinity for floats.
    const GREATEST: Self;
    /// The smallest and the largest finite value.
    const FINITE: [Self; 2];
    const IS_FLOAT: bool;

    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// The quotient; towards zero for integers, 0 when those are divided by 0.
    fn over(self, other: Self) -> Self;
    /// The remainder with the sign of `self`; 0 when an integer is divided by 0.
    fn remainder(self, other: Self) -> Self;
    fn negated(self) -> Self;
    fn magnitude(self) -> Self;
    /// -1, 0 or 1; NaN for NaN.
    fn signum_or_zero(self) -> Self;
    fn is_nan_number(self) -> bool;
    fn to_double(self) -> f64;
    /// The number nearest to `x`; for integers, what a C++ cast gives on x86: the fraction cut off, and out of range
    /// the smallest `i32` or `i64`, cut to the width of the type.
    fn from_double(x: f64) -> Self;

    fn is_negative_number(self) -> bool {
        self.partial_cmp(&Self::ZERO) == Some(std::cmp::Ordering::Less)
    }

    /// The larger one; NaN when one is NaN.
    #[inline(always)]
    fn larger(self, other: Self) -> Self {
        if self.is_nan_number() || self > other { self } else { other }
    }

    /// The smaller one; NaN when one is NaN.
    #[inline(always)]
    fn smaller(self, other: Self) -> Self {
        if self.is_nan_number() || self < other { self } else { other }
    }
}

macro_rules! integers {
    ($($t:ty: $signed:tt, $convert:ident;)*) => {$(
        impl Num for $t {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const LEAST: Self = Self::MIN;
            const GREATEST: Self = Self::MAX;
            const FINITE: [Self; 2] = [Self::MIN, Self::MAX];
            const IS_FLOAT: bool = false;

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn over(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }
            #[inline(always)]
            fn remainder(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_rem(other) }
            }
            #[inline(always)]
            fn negated(self) -> Self {
                self.wrapping_neg()
            }
            #[inline(always)]
            fn magnitude(self) -> Self {
                integers!(@$signed self, self.wrapping_abs(), self)
            }
            #[inline(always)]
            fn signum_or_zero(self) -> Self {
                integers!(@$signed self, self.signum(), self.min(1))
            }
            #[inline(always)]
            fn is_nan_number(self) -> bool {
                false
            }
            #[inline(always)]
            fn to_double(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn from_double(x: f64) -> Self {
                $convert(x) as Self
            }
        }
    )*};
    (@signed $self:ident, $a:expr, $b:expr) => { $a };
    (@unsigned $self:ident, $a:expr, $b:expr) => { $b };
}

integers! {
    u8: unsigned, to_i32; u16: unsigned, to_i32; u32: unsigned, to_i64; u64: unsigned, to_u64;
    i8: signed, to_i32; i16: signed, to_i32; i32: signed, to_i32; i64: signed, to_i64;
}

/// As the instruction cvttsd2si: the smallest value for what is out of range.
#[inline(always)]
fn to_i32(x: f64) -> i32 {
    if x > -2_147_483_649.0 && x < 2_147_483_648.0 { x as i32 } else { i32::MIN }
}

/// As the instruction cvttsd2si with 64 bits.
#[inline(always)]
fn to_i64(x: f64) -> i64 {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if (-END..END).contains(&x) { x as i64 } else { i64::MIN }
}

/// As compilers build it from cvttsd2si: what is 2^63 or more is shifted down before and up after.
#[inline(always)]
fn to_u64(x: f64) -> u64 {
    const SPLIT: f64 = 9_223_372_036_854_775_808.0;
    if x >= SPLIT { (to_i64(x - SPLIT) as u64) ^ (1 << 63) } else { to_i64(x) as u64 }
}

macro_rules! floats {
    ($($t:ty;)*) => {$(
        impl Num for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const LEAST: Self = Self::NEG_INFINITY;
            const GREATEST: Self = Self::INFINITY;
            const FINITE: [Self; 2] = [Self::MIN, Self::MAX];
            const IS_FLOAT: bool = true;

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Self {
                self - other
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                self * other
            }
            #[inline(always)]
            fn over(self, other: Self) -> Self {
                self / other
            }
            #[inline(always)]
            fn remainder(self, other: Self) -> Self {
                self % other
            }
            #[inline(always)]
            fn negated(self) -> Self {
                -self
            }
            #[inline(always)]
            fn magnitude(self) -> Self {
                self.abs()
            }
            #[inline(always)]
            fn signum_or_zero(self) -> Self {
                if self > 0.0 {
                    1.0
                } else if self < 0.0 {
                    -1.0
                } else {
                    self + 0.0
                }
            }
            #[inline(always)]
            fn is_nan_number(self) -> bool {
                self.is_nan()
            }
            #[inline(always)]
            fn to_double(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn from_double(x: f64) -> Self {
                x as Self
            }
        }
    )*};
}

floats! { f32; f64; }

/// Half precision: every operation in single precision, rounded.
macro_rules! halves {
    ($($t:ty;)*) => {$(
        impl Num for $t {
            const ZERO: Self = Self::ZERO;
            const ONE: Self = Self::ONE;
            const LEAST: Self = Self::NEG_INFINITY;
            const GREATEST: Self = Self::INFINITY;
            const FINITE: [Self; 2] = [Self::MIN, Self::MAX];
            const IS_FLOAT: bool = true;

            fn plus(self, other: Self) -> Self {
                self + other
            }
            fn minus(self, other: Self) -> Self {
                self - other
            }
            fn times(self, other: Self) -> Self {
                self * other
            }
            fn over(self, other: Self) -> Self {
                self / other
            }
            fn remainder(self, other: Self) -> Self {
                self % other
            }
            fn negated(self) -> Self {
                -self
            }
            fn magnitude(self) -> Self {
                Self::from_f32(self.to_f32().abs())
            }
            fn signum_or_zero(self) -> Self {
                Self::from_f32(self.to_f32().signum_or_zero())
            }
            fn is_nan_number(self) -> bool {
                self.is_nan()
            }
            fn to_double(self) -> f64 {
                self.to_f64()
            }
            fn from_double(x: f64) -> Self {
                Self::from_f32(x as f32)
            }
        }
    )*};
}

halves! { f16; bf16; }

/// A float of single or double precision. Half precision is computed in single.
pub(crate) trait Float: Num {
    /// The elements where they are f32, for which there are kernels.
    fn singles(_items: &mut [Self]) -> Option<&mut [f32]> {
        None
    }

    fn exp(self) -> Self;
    fn sigmoid(self) -> Self;
    fn tanh(self) -> Self;
    fn erf(self) -> Self;
    fn exp_m1(self) -> Self;
    fn ln(self) -> Self;
    /// ln(1 + x) for 0 <= x <= 1.
    fn ln_1p_of_unit(self) -> Self;
    fn sqrt(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn round_ties_even(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tan(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    fn sinh(self) -> Self;
    fn cosh(self) -> Self;
    fn asinh(self) -> Self;
    fn acosh(self) -> Self;
    fn atanh(self) -> Self;
}

macro_rules! of_std {
    ($t:ty: $($name:ident)*) => {$(
        #[inline(always)]
        fn $name(self) -> Self {
            <$t>::$name(self)
        }
    )*};
}

/// Rounding without the functions of the standard library, which are calls where the instruction set has no rounding,
/// so that loops become SIMD.
macro_rules! rounding {
    ($t:ty, $rounder:literal) => {
        #[inline(always)]
        fn round_ties_even(self) -> Self {
            let size = self.abs();
            // What is larger has no fraction. NaN stays.
            let rounded = if size < $rounder { (size + $rounder) - $rounder } else { size };
            rounded.copysign(self)
        }
        #[inline(always)]
        fn floor(self) -> Self {
            let near = Float::round_ties_even(self);
            (if near > self { near - 1.0 } else { near }).copysign(self)
        }
        #[inline(always)]
        fn ceil(self) -> Self {
            let near = Float::round_ties_even(self);
            (if near < self { near + 1.0 } else { near }).copysign(self)
        }
    };
}

impl Float for f32 {
    fn singles(items: &mut [Self]) -> Option<&mut [f32]> {
        Some(items)
    }

    rounding!(f32, 8_388_608.0);
    #[inline(always)]
    fn exp_m1(self) -> Self {
        exp::exp_m1(self)
    }
    #[inline(always)]
    fn ln_1p_of_unit(self) -> Self {
        exp::ln_1p_of_unit(self)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        exp::exp(self)
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        exp::sigmoid(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        exp::tanh(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        exp::erf(self)
    }
    // The next two square or double their argument, which has to stay finite.
    fn asinh(self) -> Self {
        f64::from(self).asinh() as Self
    }
    fn acosh(self) -> Self {
        f64::from(self).acosh() as Self
    }
    of_std!(f32: ln sqrt sin cos tan asin acos atan sinh cosh atanh);
}

impl Float for f64 {
    rounding!(f64, 4_503_599_627_370_496.0);
    #[inline(always)]
    fn ln_1p_of_unit(self) -> Self {
        self.ln_1p()
    }
    #[inline(always)]
    fn sigmoid(self) -> Self {
        1.0 / (1.0 + f64::exp(-self))
    }
    #[inline(always)]
    fn erf(self) -> Self {
        exp::erf_f64(self)
    }
    of_std!(f64: exp tanh exp_m1 ln sqrt sin cos tan asin acos atan sinh cosh asinh acosh atanh);
}
