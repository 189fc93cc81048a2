//! Tree ensembles, whatever file they come from.
//!
//! A reader checks what its file says and writes it down as a [`Forest`], the plain form: children in range, no cycles,
//! one root a tree. [`oracle`] evaluates that form literally and is what everything else is held against.
//!
//! An [`Engine`] is the form in which rows are scored. Many rows are ranked first ([`columns`]), and all tests of a tree
//! asked of all of them ([`byte_trees`]); for one row, [`row`] looks up feature by feature what its numbers rule out.
//! Where trees are too large or too few for that, [`pack`] brings every kind of decision to one, x <= t, and lays trees
//! out in small nodes: [`head`] turns the top of a tree into tests over the numbers themselves, and [`walk`] takes rows
//! on from there. [`sums`] adds up what their leaves say.

mod byte_trees;
mod columns;
mod engine;
mod forest;
mod head;
mod number;
pub(crate) mod oracle;
mod pack;
mod row;
mod sums;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use engine::{Engine, Engines, Options};
pub(crate) use forest::{Branch, Forest, Mode, Node, Vote};
pub(crate) use number::Number;
