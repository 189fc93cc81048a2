//! Arithmetic, comparisons, logic, casts, reductions and norms, element by element with broadcasting.

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[];
