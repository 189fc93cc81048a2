//! Operators over signals: Fourier transforms and the windows and weights around them.

mod fourier;
mod transform;
mod window;

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[("", transform::GROUP), ("", window::GROUP)];
