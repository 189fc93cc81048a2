//! Tree ensembles, whatever file they come from.
//!
//! A reader checks what its file says and writes it down as a [`Forest`], the plain form: children in range, no cycles,
//! one root a tree. [`oracle`] evaluates that form literally and is what everything else is held against. An
//! [`Engine`] is the form in which rows are scored: [`pack`] brings every kind of decision to one, x <= t, and lays
//! trees out in small nodes; [`head`] turns the top of a tree into tests for many rows at once; [`walk`] takes rows
//! through both and [`engine`] adds up what their leaves say.

mod engine;
mod forest;
mod head;
mod number;
pub(crate) mod oracle;
mod pack;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use engine::{Engine, Engines, Options};
pub(crate) use forest::{Branch, Forest, Mode, Node, Vote};
pub(crate) use number::Number;
