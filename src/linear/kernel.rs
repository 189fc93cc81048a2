//! The arithmetic. With the native backend it is that backend's, so that a model has the same bits before and after it
//! went through a file; without, plain loops that need neither `std` nor a choice at run time.

use alloc::vec::Vec;

#[cfg(feature = "native")]
pub(super) use vector::{Sums, logistic, softmax};

#[cfg(not(feature = "native"))]
pub(super) use plain::{Sums, logistic, softmax};

#[cfg(feature = "native")]
mod vector {
    use super::Vec;
    use crate::kernel::{Isa, Packed, softmax_rows};

    /// x · weights + bias.
    #[derive(Debug, Clone)]
    pub(in crate::linear) struct Sums(Packed<f32>);

    impl Sums {
        pub(in crate::linear) fn new(weights: &[f32], bias: &[f32]) -> Self {
            let k = bias.len();
            Self(Packed::new(weights.len() / k, k, |i, j| weights[i * k + j], Some(bias)))
        }

        /// Appends the k sums of each row.
        #[inline]
        pub(in crate::linear) fn append(&self, rows: &[f32], out: &mut Vec<f32>) {
            self.0.multiply(rows, rows.len() / self.0.k(), out);
        }
    }

    /// 1 / (1 + e^-x), without overflow for any x.
    #[inline]
    pub(in crate::linear) fn logistic(x: f32) -> f32 {
        let v = 1.0 / (1.0 + (-x.abs()).exp());
        if x < 0.0 { 1.0 - v } else { v }
    }

    /// e^x_i / Σ e^x_j of every row of `k` elements.
    pub(in crate::linear) fn softmax(rows: &mut [f32], k: usize) {
        softmax_rows(Isa::best(), rows, k);
    }
}

#[cfg(any(test, not(feature = "native")))]
#[cfg_attr(feature = "native", allow(dead_code, reason = "tested under every set of features"))]
pub(super) mod plain {
    use super::Vec;

    /// x · weights + bias.
    #[derive(Debug, Clone)]
    pub(in crate::linear) struct Sums {
        weights: Vec<f32>,
        bias: Vec<f32>,
    }

    impl Sums {
        pub(in crate::linear) fn new(weights: &[f32], bias: &[f32]) -> Self {
            Self { weights: weights.into(), bias: bias.into() }
        }

        /// Appends the k sums of each row.
        pub(in crate::linear) fn append(&self, rows: &[f32], out: &mut Vec<f32>) {
            let k = self.bias.len();
            for row in rows.chunks_exact(self.weights.len() / k) {
                let start = out.len();
                out.extend_from_slice(&self.bias);
                for (x, weights) in row.iter().zip(self.weights.chunks_exact(k)) {
                    out[start..].iter_mut().zip(weights).for_each(|(sum, w)| *sum += x * w);
                }
            }
        }
    }

    /// 1 / (1 + e^-x), without overflow for any x.
    pub(in crate::linear) fn logistic(x: f32) -> f32 {
        let v = 1.0 / (1.0 + libm::expf(-x.abs()));
        if x < 0.0 { 1.0 - v } else { v }
    }

    /// e^x_i / Σ e^x_j of every row of `k` elements. The largest is subtracted first, so nothing overflows.
    pub(in crate::linear) fn softmax(rows: &mut [f32], k: usize) {
        for row in rows.chunks_exact_mut(k) {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|x| *x = libm::expf(*x - largest));
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= sum);
        }
    }
}

/// Where the first of the largest entries stands; 0 when the first entry is not a number, as in ONNX Runtime.
#[inline]
pub(super) fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, x) in row.iter().enumerate().skip(1) {
        if *x > row[best] {
            best = i;
        }
    }
    best
}
