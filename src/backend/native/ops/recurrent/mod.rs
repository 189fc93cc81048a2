//! `RNN`, `GRU` and `LSTM`.
//!
//! The usual forms of the last two have their weights packed at load: the input's share of the gates is one product for
//! all steps; each step then adds that of the state. What other forms add (peepholes, clipping, other activations, computed
//! weights) is [general] and slower.

mod general;
mod layer;
mod weights;

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[("", layer::GROUP), ("com.microsoft", layer::MICROSOFT)];
