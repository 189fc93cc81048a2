//! Convolutions and pools in their general form: any number of axes, any float, computed weights, every attribute.
//!
//! They are slower than those of the modules beside, which take over where they can.

mod conv;
mod fold;
mod grid;
mod pool;
mod transpose;

use super::super::Group;

pub(super) use conv::conv;
pub(super) use pool::{Pool, average, max};

pub(super) const GROUPS: &[(&str, Group)] = &[("", fold::GROUP), ("", pool::GROUP), ("", transpose::GROUP)];
