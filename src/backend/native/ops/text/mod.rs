//! Operators on strings.

mod case;
mod counts;
mod fused;
mod grams;
mod hash;
mod normalizer;
mod pattern;
mod strings;
#[cfg(test)]
mod tests;
mod tokenizer;

use super::Group;

/// The operators of this module, by domain.
pub(super) const GROUPS: &[(&str, Group)] = &[
    ("", counts::GROUP),
    ("", normalizer::GROUP),
    ("", strings::GROUP),
    ("com.microsoft", counts::GROUP),
    ("com.microsoft", hash::GROUP),
    ("com.microsoft", normalizer::GROUP),
    ("com.microsoft", tokenizer::GROUP),
];
