//! Timing a model: how long a row takes at which batch size.
//!
//! ```no_run
//! use std::time::Duration;
//! use modelberth::{NoProgress, bench};
//! let model = modelberth::load("churn.onnx")?;
//! let rows = bench::draw_inputs(model.signature(), 10_000, 0)?;
//! let timing = bench::measure(&*model, &rows, 100, Duration::from_secs(1), &NoProgress)?;
//! println!("{} ns per row", timing.ns_per_row.median);
//! # Ok::<(), modelberth::Error>(())
//! ```

mod draw;
mod measure;
mod operators;
#[cfg(test)]
mod tests;

pub use draw::draw_inputs;
pub use measure::{NsPerRow, Timing, measure};
pub use operators::{OperatorTime, operators};
