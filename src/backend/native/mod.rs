//! Our own executor for classical ONNX graphs: what scikit-learn and the boosters' converters write.
//!
//! A graph is [compiled](compile) at load: constants are folded, nodes ordered and merged, so that a call walks a
//! short list of steps over numbered slots, in buffers that stay with the thread. Operators register by domain and
//! name in [`ops`]; dry runs at load tell the true shapes of the outputs and whether rows are independent.

mod analyze;
mod compile;
mod fuse;
mod model;
mod node;
mod op;
pub(super) mod ops;
mod program;
#[cfg(test)]
mod tests;
pub(crate) mod value;

pub(crate) use model::load;
#[cfg(feature = "tract")]
pub(crate) use ops::has;
