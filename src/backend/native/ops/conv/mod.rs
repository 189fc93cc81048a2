//! Convolutions and pools over images.
//!
//! Inside, an image lies channels last, with its border around it. A window is then a few pieces of memory, one for each
//! of its rows, and a convolution is a product of such windows with the packed weights, without a copy of them.
//! Between such operators values stay channels last, which a pass over the graph decides
//! ([`layout`](crate::backend::native::rewrite)).

mod axis;
mod bytes;
mod float;
mod image;
mod nd;
mod pool;
mod window;

#[cfg(feature = "optimize")]
pub(crate) use axis::{Border, stand};

use super::Group;
use super::quant::FUSED;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[
    ("", float::GROUP),
    (FUSED, float::FUSED),
    ("", bytes::GROUP),
    (FUSED, bytes::FUSED),
    ("", pool::GROUP),
    (FUSED, pool::FUSED),
];

/// The operators of the general form, by domain.
pub(super) const GENERAL: &[(&str, Group)] = nd::GROUPS;
