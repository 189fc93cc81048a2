//! The blocks of transformers in one step each. Those of the fused domain are made by the pass over a graph at load; the
//! others are operators of the standard domain.

mod attention;
mod flex;
mod linear;
mod norm;
mod scaled;

use super::Group;
use super::quant::FUSED;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[
    (FUSED, attention::FUSED),
    (FUSED, norm::FUSED),
    ("", linear::GROUP),
    ("", scaled::GROUP),
    ("ai.onnx.preview", flex::PREVIEW),
];
