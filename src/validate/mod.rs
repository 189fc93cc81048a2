//! Tests for models before they are released: metrics with intervals, slices, behaviours, the comparison with the
//! version in production, and the verdict.
//!
//! An aggregate metric hides the rows on which a model fails. Everything here comes with a 95 % interval and, where
//! many things are tested at once, with p-values that are adjusted for it.

mod metrics;
mod stats;

pub use metrics::{
    Average, CalibrationBin, Confusion, DEFAULT_BINS, Probabilities, Ranked, Rankings, Rate, Regression, Scores,
};
pub use stats::{
    Adjustment, Bootstrap, DEFAULT_LEVEL, Estimate, Interval, Mean, Measured, Method, adjust, adjust_within, mcnemar,
    paired, two_proportions, wilson,
};
