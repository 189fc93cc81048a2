//! Tree ensembles.
//!
//! A file's attributes are read into a [`Forest`](forest::Forest), the plain form with every check done: children in
//! range, no cycles, one root a tree. [`oracle`] evaluates that form literally and is what everything else is held
//! against. The engine is apart from it: [`pack`] brings every kind of decision to one, x <= t, and lays trees out in
//! small nodes; [`walk`] takes many rows through them at once. [`finish`] makes scores and labels of the sums.

mod attributes;
mod ensemble;
mod finish;
mod forest;
mod number;
#[cfg(test)]
mod oracle;
mod pack;
#[cfg(test)]
mod tests;
mod trees;
mod walk;

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[("ai.onnx.ml", trees::GROUP)];
