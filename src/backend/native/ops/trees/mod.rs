//! The operators of tree ensembles.
//!
//! A node's attributes are read into a [`Forest`](super::super::trees::Forest), an engine makes sums of the votes of its
//! leaves, and [`finish`] makes scores and labels of the sums.

mod attributes;
mod ensemble;
mod finish;
mod operators;
mod places;
mod scored;
#[cfg(test)]
mod tests;

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[("ai.onnx.ml", operators::GROUP)];
