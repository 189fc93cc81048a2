use std::ops::{Add, AddAssign, Mul, Sub};

#[cfg(target_arch = "x86_64")]
use super::gemm::Product;
use crate::Element;

/// Multiplies the rows of a product between two indices into the slice.
#[cfg(target_arch = "x86_64")]
pub(crate) type Multiply<T> = unsafe fn(&Product<'_, T>, usize, usize, &mut [T]);

/// f32 or f64.
pub(crate) trait Real:
    Element + Copy + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + AddAssign
{
    const ZERO: Self;
    const ONE: Self;
    const NAN: Self;
    /// The product with a packed matrix in explicit AVX2 and AVX-512, where there is one for this type.
    ///
    /// # Safety
    /// The processor must have AVX2 and FMA for the first, AVX-512 F, BW, DQ and VL too for the second.
    #[cfg(target_arch = "x86_64")]
    const MULTIPLY: Option<[Multiply<Self>; 2]> = None;
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    /// `self * a + b`, rounded once where `FMA`, else twice.
    fn fma<const FMA: bool>(self, a: Self, b: Self) -> Self;
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    fn is_nan(self) -> bool;
}

macro_rules! real {
    ($($t:ty $(= [$avx2:path, $avx512:path])?),*) => {$(
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const NAN: Self = <$t>::NAN;
            $(
                #[cfg(target_arch = "x86_64")]
                const MULTIPLY: Option<[Multiply<Self>; 2]> = Some([$avx2, $avx512]);
            )?
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn fma<const FMA: bool>(self, a: Self, b: Self) -> Self {
                if FMA { self.mul_add(a, b) } else { self * a + b }
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            #[inline(always)]
            fn exp(self) -> Self {
                self.exp()
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                self.is_nan()
            }
        }
    )*};
}

real!(f32 = [super::gemm::avx2::multiply, super::gemm::avx512::multiply], f64);
