//! Tree ensembles.
//!
//! A file's attributes are read into a [`Forest`](forest::Forest), the plain form with every check done: children in
//! range, no cycles, one root a tree. [`oracle`] evaluates that form literally and is what everything else is held
//! against. The engine is apart from it: [`pack`] brings every kind of decision to one, x <= t, and lays trees out in
//! small nodes; [`head`] turns the top of a tree into tests for many rows at once; [`walk`] takes rows through both and
//! [`engine`] adds up what their leaves say. [`finish`] makes scores and labels of the sums.

mod attributes;
mod engine;
mod ensemble;
mod finish;
mod forest;
mod head;
mod number;
mod operators;
#[cfg(test)]
mod oracle;
mod pack;
#[cfg(test)]
mod tests;
mod walk;

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[("ai.onnx.ml", operators::GROUP)];
