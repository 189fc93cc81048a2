//! Operators over images that are no convolutions: resizing, boxes and regions, grids of places.

mod affine;
mod boxes;
mod deform;
mod regions;
mod resize;
mod taps;

use super::Group;

/// The operators of this module, by domain.
#[cfg(feature = "optimize")]
pub(crate) use regions::Sampling;

pub(super) const GROUPS: &[(&str, Group)] =
    &[("", affine::GROUP), ("", boxes::GROUP), ("", deform::GROUP), ("", regions::GROUP), ("", resize::GROUP)];
