//! Matrix products and linear models.
//!
//! Where the matrix is a constant of the file it is packed once at load ([`Dense`](dense::Dense)), and what stands
//! before and after it (centring, bias, activation) is merged into the same step.

mod classifier;
mod dense;
mod matmul;
mod regressor;

use super::Group;

pub(super) use matmul::{pairs, product, product_mixes};

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] =
    &[("", matmul::GROUP), ("ai.onnx.ml", regressor::GROUP), ("ai.onnx.ml", classifier::GROUP)];
