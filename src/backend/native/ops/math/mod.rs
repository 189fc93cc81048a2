//! Arithmetic, comparisons, logic, casts, reductions and norms, element by element with broadcasting.

mod activations;
mod arg;
mod arithmetic;
mod axes;
mod batch_norm;
mod bias_gelu;
mod binary;
mod bit_cast;
pub(crate) mod broadcast;
mod cast;
mod cast_text;
mod compare;
mod cumulate;
pub(super) mod dispatch;
pub(crate) mod exp;
mod float_work;
mod functions;
mod logic;
mod norm;
mod num;
mod pow;
mod quantize;
mod reduce;
mod select;
mod softmax;
#[cfg(test)]
mod tests;
mod unary;

use super::Group;
pub(super) use arithmetic::{add, multiply};
pub(super) use cast::{cast, dtype};
pub(super) use dispatch::{narrowed, own, widened};
pub(super) use num::Num;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[
    ("", functions::GROUP),
    ("", activations::GROUP),
    ("", arithmetic::GROUP),
    ("", compare::GROUP),
    ("", cast::GROUP),
    ("", bit_cast::GROUP),
    ("", logic::GROUP),
    ("", quantize::GROUP),
    ("com.microsoft", bias_gelu::MICROSOFT),
    ("", norm::GROUP),
    ("", batch_norm::GROUP),
    ("", reduce::GROUP),
    ("", arg::GROUP),
    ("", softmax::GROUP),
    ("", cumulate::GROUP),
    ("", pow::GROUP),
    ("", select::GROUP),
    ("com.microsoft", activations::MICROSOFT),
];
