//! Smaller and faster models, with the loss in plain sight.
//!
//! Everything here takes a model and gives a model and a [`Report`]: bytes, parameters, the signal to noise ratio of each
//! layer, the end-task metric on your data with its interval, the latency before and after, and what was left as it was
//! and why. See the [manual](crate::manual::optimize).

mod budget;
mod compare;
mod convert;
mod data;
mod distill;
mod file;
mod measure;
mod prune;
mod quantize;
mod report;
mod run;
mod trees;

pub use budget::Budget;
pub use compare::{Comparison, compare};
pub use convert::{Activation, Convert};
pub use data::Data;
pub use distill::{Distill, Student};
pub use file::{Optimized, refuse_same_file};
pub use prune::{Prune, Pruning};
pub use quantize::{Calibration, Quantize, Target, WeightForm};
pub use report::{BudgetResult, Change, Fidelity, LatencyChange, Layer, MetricChange, Report, Skipped};
