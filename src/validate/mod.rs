//! Tests for models before they are released: metrics with intervals, slices, behaviours, the comparison with the
//! version in production, and the verdict.
//!
//! An aggregate metric hides the rows on which a model fails. Everything here comes with a 95 % interval and, where
//! many things are tested at once, with p-values that are adjusted for it.

mod evaluate;
mod metrics;
mod predicate;
mod report;
mod slices;
mod stats;
mod suite;

pub use evaluate::{Metric, Task};
pub use metrics::{
    Average, CalibrationBin, Confusion, DEFAULT_BINS, Probabilities, Ranked, Rankings, Rate, Regression, Scores,
};
pub use predicate::{Mask, Predicate};
pub use slices::{CodedColumn, DEFAULT_QUANTILES, DiscoveredSlice, SliceFinder, SliceValue, slice_score};
#[cfg(feature = "optimize")]
pub(crate) use stats::Random;
pub use stats::{
    Adjustment, Bootstrap, DEFAULT_LEVEL, Estimate, Interval, Mean, Measured, Method, adjust, adjust_within, mcnemar,
    paired, two_proportions, wilson,
};
pub use suite::{
    Against, Behaviour, Change, CheckKind, CheckResult, Comparison, Contract, Example, Expect, Fairness,
    FairnessReport, Gaps, MetricCheck, MetricReport, Minimum, MustPass, OneOrMany, Outputs, Report, SliceComparison,
    SliceMetric, SliceReport, SliceSpec, Suite, SuiteRun, Value, Values, Verdict,
};
