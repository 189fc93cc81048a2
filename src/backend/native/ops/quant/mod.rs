//! Products of quantised numbers: `MatMulInteger`, `QLinearMatMul`, `QGemm` and what stands around them, in one step.
//!
//! The weights are packed once at load as 8-bit numbers; sums are exact in 32 bits, and scale, bias, activation and the
//! next quantisation happen while a tile of them is in registers. The nodes of the domain [`FUSED`] exist only between
//! the passes over a graph at load.

pub(super) mod linear;
mod mapped;
mod product;
pub(super) mod weights;

use super::Group;
pub(super) use linear::bytes_value;

/// The domain of operators that stand for several nodes of the file.
pub(in crate::backend::native) const FUSED: &str = "modelberth.fused";

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[
    ("", linear::GROUP),
    ("com.microsoft", linear::MICROSOFT),
    ("com.microsoft", mapped::MICROSOFT),
    (FUSED, linear::FUSED),
];
