//! Machines without support vectors: weights of the features themselves.

use crate::kernel::Packed;

/// The weights (count, features) of `count` linear machines, row by row; `rho` is added to every score.
pub(super) fn weights(weights: &[f32], count: usize, rho: f32) -> Packed<f32> {
    let features = weights.len().checked_div(count).unwrap_or(0);
    Packed::new(features, count, |i, j| weights[j * features + i], Some(&vec![rho; count]))
}

/// Appends the scores of `m` rows `x`, (m, count).
pub(super) fn scores(weights: &Packed<f32>, x: &[f32], m: usize, out: &mut Vec<f32>) {
    weights.multiply(x, m, out);
}
