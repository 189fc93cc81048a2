//! The arithmetic of scores.

use crate::backend::native::ops::post::{logistic, probit};
use crate::backend::native::trees::{Engines, Number};
use crate::backend::native::value::Item;
use crate::kernel::{Isa, softmax_rows};

/// f32 or f64, with what becomes of sums.
pub(super) trait Scored: Number + Engines + Item {
    const LOWEST: Self;
    fn over(self, by: Self) -> Self;
    fn abs(self) -> Self;
    /// 1 / (1 + e^-x)
    fn logistic(self) -> Self;
    /// The quantile of the normal distribution.
    fn probit(self) -> Self;
    /// Softmax of every row of `n`.
    fn softmax(rows: &mut [Self], n: usize);
}

impl Scored for f32 {
    const LOWEST: Self = f32::MIN;
    fn over(self, by: Self) -> Self {
        self / by
    }
    fn abs(self) -> Self {
        self.abs()
    }
    fn logistic(self) -> Self {
        logistic(self)
    }
    fn probit(self) -> Self {
        probit(self)
    }
    fn softmax(rows: &mut [Self], n: usize) {
        softmax_rows(Isa::best(), rows, n);
    }
}

impl Scored for f64 {
    const LOWEST: Self = f64::MIN;
    fn over(self, by: Self) -> Self {
        self / by
    }
    fn abs(self) -> Self {
        self.abs()
    }
    fn logistic(self) -> Self {
        let v = 1.0 / (1.0 + (-self.abs()).exp());
        if self < 0.0 { 1.0 - v } else { v }
    }
    fn probit(self) -> Self {
        // ONNX Runtime has the quantile in f32 only.
        probit(self as f32).into()
    }
    fn softmax(rows: &mut [Self], n: usize) {
        for row in rows.chunks_exact_mut(n.max(1)) {
            let max = row.iter().fold(f64::MIN, |max, &x| if x > max { x } else { max });
            let mut sum = 0.0;
            for x in row.iter_mut() {
                *x = (*x - max).exp();
                sum += *x;
            }
            row.iter_mut().for_each(|x| *x /= sum);
        }
    }
}
