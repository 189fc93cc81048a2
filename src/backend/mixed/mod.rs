//! Graphs that no backend has all operators of: a preprocessor of `ai.onnx.ml` in front of a network, labels behind it.
//!
//! Such a graph is cut in up to three. What comes in front runs through `native`, with the strings and tables that tract
//! does not take; the network runs through tract; what needs the network's answers and is not tract's runs through
//! `native` again. tract would take operators registered from outside, but goes by their type without the domain and
//! wants to know the shapes of their answers before they run, which those of strings can't tell. A cut costs a copy of
//! what passes it.

mod cut;
mod model;

pub(crate) use model::load;
