//! Operators that move, take and arrange elements.

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[];
