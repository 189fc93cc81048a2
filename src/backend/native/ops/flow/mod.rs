//! Operators with subgraphs, and sequences.

mod body;
mod branch;
mod looped;
mod nearest;
mod optional;
mod scan;
mod sequence;
mod stack;
#[cfg(test)]
mod tests;

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] =
    &[("", branch::GROUP), ("", looped::GROUP), ("", optional::GROUP), ("", scan::GROUP), ("", sequence::GROUP)];
