//! The number types that trees are computed in.

use crate::kernel::Ranked;

/// f32 or f64, with what thresholds need.
pub(crate) trait Number: Ranked {
    fn of_f32(x: f32) -> Self;
    /// The largest number below.
    fn next_down(self) -> Self;
    /// The whole number towards zero, if it is one of a set's (see [`Mode`](super::Mode)); with `from_zero`, of numbers
    /// not below zero only.
    fn truncated(self, from_zero: bool) -> Option<u32>;
    /// The smallest number that is not less than `i`.
    fn at_least(i: u64) -> Self;
}

macro_rules! number {
    ($($t:ty),*) => {$(
        impl Number for $t {
            #[inline(always)]
            fn of_f32(x: f32) -> Self {
                x.into()
            }
            fn next_down(self) -> Self {
                self.next_down()
            }
            #[inline(always)]
            fn truncated(self, from_zero: bool) -> Option<u32> {
                // The cast saturates, and no set has a bit for the highest u32.
                (self > -1.0 && (!from_zero || self >= 0.0)).then_some(self as u32)
            }
            fn at_least(i: u64) -> Self {
                let near = i as Self;
                if (near as u64) < i { near.next_up() } else { near }
            }
        }
    )*};
}
number!(f32, f64);
