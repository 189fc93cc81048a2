//! Operators that move, take and arrange elements, and a few that measure or multiply whole tables.

mod common;
mod concat;
mod crop;
mod det;
pub(super) mod distance;
mod einsum;
mod equation;
mod expand;
mod fill;
mod gather;
mod gather_nd;
mod pad;
mod permute;
mod product;
mod reshape;
mod scatter;
mod select;
mod shape;
mod slice;
mod split;
mod tensor_scatter;
#[cfg(test)]
mod tests;
mod topk;
mod trilu;
mod unique;

use super::Group;

pub(super) use common::{Ints, axis_of, index_of, move_axis, no_sequence, permuted, scalar_i64, spreads};
pub(super) use concat::concat;
#[cfg(feature = "optimize")]
pub(crate) use equation::{Equation, Label, Labels};
pub(super) use expand::{broadcast, stretched};
pub(super) use gather::looked_up;
pub(super) use permute::Transpose;
pub(super) use reshape::Reshaped;
pub(super) use split::pieces;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[
    ("", concat::GROUP),
    ("", crop::GROUP),
    ("", det::GROUP),
    ("", einsum::GROUP),
    ("", expand::GROUP),
    ("", fill::GROUP),
    ("", gather::GROUP),
    ("", gather_nd::GROUP),
    ("", pad::GROUP),
    ("", permute::GROUP),
    ("", reshape::GROUP),
    ("", scatter::GROUP),
    ("", select::GROUP),
    ("", shape::GROUP),
    ("", slice::GROUP),
    ("", split::GROUP),
    ("", tensor_scatter::GROUP),
    ("", topk::GROUP),
    ("", trilu::GROUP),
    ("", unique::GROUP),
    ("com.microsoft", distance::GROUP),
    ("com.microsoft", product::GROUP),
];
