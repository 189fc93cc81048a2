//! ONNX networks through the engine [tract](https://github.com/sonos/tract).
//!
//! A file is [prepared](prepare) before tract sees it: external weights are put in, what the exporter wrote about
//! shapes is taken out (tract takes such hints for truth and fails to unify a symbol with a size), operators of ONNX
//! Runtime's quantiser are [rewritten](super::rewrite) into standard ones. From the parsed graph [plans](plan) are made per
//! concrete shape and kept within a bound. Dry runs tell the [signature](crate::backend::network::analyze), and tracking the batch axis through
//! tract's own graph tells whether rows are [independent](independence).
//!
//! Calls into tract are [contained](contain): its panics come back as errors. No type of tract's leaves this module.

mod contain;
mod convert;
mod independence;
mod model;
mod plan;
mod prepare;
mod recurrent;
mod support;
#[cfg(test)]
mod tests;
mod trial;

pub(crate) use model::load;
#[cfg(feature = "native")]
pub(crate) use support::has;
