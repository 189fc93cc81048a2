//! Our own executor for classical ONNX graphs: what scikit-learn and the boosters' converters write.
//!
//! A graph is [compiled](compile) at load: constants are folded, nodes ordered and merged, so that a call walks a
//! short list of steps over numbered slots, in buffers that stay with the thread. Operators register by domain and
//! name in [`ops`]; dry runs at load tell the true shapes of the outputs and whether rows are independent.

mod analyze;
#[allow(dead_code, unused_imports, reason = "the form has parts that the readers of LightGBM and CatBoost fill")]
pub(crate) mod boosters;
mod chain;
mod clock;
mod compile;
mod fuse;
mod model;
mod node;
mod op;
pub(super) mod ops;
mod pool;
mod program;
mod rewrite;
#[cfg(feature = "optimize")]
mod tap;
#[cfg(test)]
mod tests;
#[allow(dead_code, reason = "the readers of the boosters' own files come next")]
pub(crate) mod trees;
pub(crate) mod value;

pub(crate) use clock::record;
pub(crate) use model::load;
#[cfg(feature = "tract")]
pub(crate) use ops::has;
#[cfg(feature = "optimize")]
pub(crate) use ops::{Border, Equation, Label, Labels, Sampling, stand};
#[cfg(feature = "optimize")]
pub(crate) use tap::Tap;
