//! The language of slices: conditions on columns.

mod eval;
mod parse;
#[cfg(test)]
mod tests;

pub use eval::{Mask, Predicate};
