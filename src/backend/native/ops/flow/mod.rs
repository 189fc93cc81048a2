//! Control flow, sequences and functions of the file.

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[];
