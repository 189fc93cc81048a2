//! The `post_transform` that classifiers and regressors of `ai.onnx.ml` end with.

use crate::backend::native::node::Node;
use crate::kernel::{Isa, logistic_in_place, softmax_rows};
use crate::{Error, ErrorKind, Result};

/// What becomes of the scores of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PostTransform {
    None,
    Softmax,
    Logistic,
    /// Softmax over the scores that are not zero.
    SoftmaxZero,
    /// The quantile function of the normal distribution.
    Probit,
}

impl PostTransform {
    /// Reads the attribute.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it names no transform.
    pub(crate) fn of(node: &Node<'_>) -> Result<Self> {
        Ok(match node.string_or("post_transform", "NONE")? {
            "NONE" => Self::None,
            "SOFTMAX" => Self::Softmax,
            "LOGISTIC" => Self::Logistic,
            "SOFTMAX_ZERO" => Self::SoftmaxZero,
            "PROBIT" => Self::Probit,
            other => {
                return Err(Error::new(ErrorKind::Malformed, "the attribute `post_transform` names no transform")
                    .expected("NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT")
                    .actual(other));
            }
        })
    }

    /// Transforms rows of `n` scores, `n` at least 2.
    pub(crate) fn apply_rows(self, scores: &mut [f32], n: usize) {
        match self {
            Self::None => {}
            Self::Probit => scores.iter_mut().for_each(|v| *v = probit(*v)),
            Self::Softmax => softmax_rows(Isa::best(), scores, n),
            Self::Logistic => logistic_in_place(Isa::best(), scores),
            Self::SoftmaxZero => scores.chunks_exact_mut(n.max(1)).for_each(softmax_zero),
        }
    }
}

/// Softmax in which scores next to zero count as absent, as ONNX Runtime computes it.
fn softmax_zero(row: &mut [f32]) {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let absent = (-max).exp();
    let mut sum = 0.0;
    for v in row.iter_mut() {
        if v.abs() > 1e-7 {
            *v = (*v - max).exp();
            sum += *v;
        } else {
            *v *= absent;
        }
    }
    for v in row {
        *v /= sum;
    }
}

/// 1 / (1 + e^-x), the way ONNX Runtime computes it for one score.
pub(crate) fn logistic(x: f32) -> f32 {
    let v = 1.0 / (1.0 + (-x.abs()).exp());
    if x < 0.0 { 1.0 - v } else { v }
}

/// The quantile function of the normal distribution, through Winitzki's approximation of the inverse error function,
/// which is the one that ONNX Runtime uses.
pub(crate) fn probit(p: f32) -> f32 {
    const A: f32 = 0.147;
    let x = 2.0 * p - 1.0;
    let sign = if x < 0.0 { -1.0 } else { 1.0 };
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let v = 2.0 / (std::f32::consts::PI * A) + 0.5 * log;
    std::f32::consts::SQRT_2 * sign * (-v + (v * v - log / A).sqrt()).sqrt()
}
