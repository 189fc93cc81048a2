//! The probabilities of pairs of classes.

use crate::backend::native::ops::post::logistic;

/// The probability that the first class of a pair wins, by Platt's sigmoid on the pair's score, kept off 0 and 1.
pub(super) fn of_pair(score: f32, a: f32, b: f32) -> f32 {
    let p = 1.0 - logistic(score * a + b);
    // NaN stays, as in ONNX Runtime, where it leaves all classes equally likely.
    let p = if p < 1e-7 { 1e-7 } else { p };
    if p > 1.0 - 1e-7 { 1.0 - 1e-7 } else { p }
}
