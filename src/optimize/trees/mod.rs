//! Tree ensembles as the optimiser sees them: read from the operators of `ai.onnx.ml`, changed, and written.

mod ensemble;
mod grow;

pub(super) use ensemble::{Ensemble, Mode, Node, Tree};
pub(super) use grow::{Growth, Rows, grow};
