//! From margins to answers.

use std::ops::{Div, Neg};

use super::booster::Link;
use crate::backend::native::trees::Number;

/// The number type of answers.
pub(crate) trait Answer: Number + Div<Output = Self> + Neg<Output = Self> {}

impl Answer for f32 {}
impl Answer for f64 {}

impl Link {
    /// Applies the link to rows of `targets` margins.
    pub(super) fn apply<W: Answer>(self, margins: &mut [W], targets: usize) {
        let each = |margins: &mut [W], f: &dyn Fn(W) -> W| margins.iter_mut().for_each(|x| *x = f(*x));
        match self {
            Self::Identity => {}
            Self::Logistic { k } => {
                let k = W::from_f64(k);
                margins.iter_mut().for_each(|x| *x = logistic(*x * k));
            }
            Self::Softmax => margins.chunks_exact_mut(targets.max(1)).for_each(softmax),
            Self::Exp => margins.iter_mut().for_each(|x| *x = x.exp()),
            Self::SignedSquare => each(margins, &|x| if x < W::ZERO { -(x * x) } else { x * x }),
            Self::Softplus => each(margins, &|x| W::from_f64(x.to_f64().exp().ln_1p())),
            Self::MeanAndVariance => {
                for x in margins.iter_mut().skip(1).step_by(2) {
                    *x = (*x + *x).exp();
                }
            }
            Self::Step => each(margins, &|x| if x > W::ZERO { W::ONE } else { W::ZERO }),
        }
    }
}

/// 1 / (1 + e^-x)
#[inline]
fn logistic<W: Answer>(x: W) -> W {
    W::ONE / (W::ONE + (-x).exp())
}

/// e^x over its sum; the largest x is taken away first, and the sum is made in f64.
fn softmax<W: Answer>(row: &mut [W]) {
    let max = row.iter().copied().fold(W::NAN, |max, x| if x > max || max.is_nan() { x } else { max });
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = (*x - max).exp();
        sum += x.to_f64();
    }
    let sum = W::from_f64(sum);
    row.iter_mut().for_each(|x| *x = *x / sum);
}

/// The first largest of `row`; 0 where none is larger than any other.
pub(super) fn argmax<W: Answer>(row: &[W]) -> usize {
    let mut best = 0;
    for (i, x) in row.iter().enumerate().skip(1) {
        if *x > row[best] {
            best = i;
        }
    }
    best
}
