//! The blocks of transformers in one step each; the pass over a graph at load makes their nodes.

mod attention;
mod norm;

use super::Group;
use super::quant::FUSED;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[(FUSED, attention::FUSED), (FUSED, norm::FUSED)];
