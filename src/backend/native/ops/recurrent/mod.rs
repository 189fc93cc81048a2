//! `GRU` and `LSTM`, with weights packed at load.
//!
//! The input's share of the gates is one product for all steps; each step then adds that of the state. What other forms
//! of these operators add (peepholes, clipping, other activations) is left to other backends.

mod layer;
mod weights;

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[("", layer::GROUP), ("com.microsoft", layer::MICROSOFT)];
