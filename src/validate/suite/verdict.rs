use serde::Serialize;

use crate::validate::{CalibrationBin, Interval, Measured, Metric, Task};

/// What a registry asks before an alias moves: whether a version passed, why not, and on what evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// Whether every check passed.
    pub pass: bool,
    /// Why not: a sentence for each check that failed.
    pub reasons: Vec<String>,
    /// Every check with what it found.
    pub evidence: Vec<CheckResult>,
}

/// The kind of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the variants are named as in a suite")]
pub enum CheckKind {
    Metric,
    Slice,
    Fairness,
    MustPass,
    Invariance,
    Direction,
    Metamorphic,
    Minimum,
    Contract,
    Against,
}

impl CheckKind {
    /// The kind as a suite writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Slice => "slice",
            Self::Fairness => "fairness",
            Self::MustPass => "must_pass",
            Self::Invariance => "invariance",
            Self::Direction => "direction",
            Self::Metamorphic => "metamorphic",
            Self::Minimum => "minimum",
            Self::Contract => "contract",
            Self::Against => "against",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CheckResult {
    /// Its kind.
    pub kind: CheckKind,
    /// Its name.
    pub name: String,
    /// Whether it passed.
    pub pass: bool,
    /// What was found, in a sentence.
    pub message: String,
    /// Rows on which it failed, a few of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
}

impl CheckResult {
    pub(super) fn new(kind: CheckKind, name: impl Into<String>, pass: bool, message: impl Into<String>) -> Self {
        Self { kind, name: name.into(), pass, message: message.into(), examples: Vec::new() }
    }

    pub(super) fn with_examples(mut self, examples: Vec<Example>) -> Self {
        self.examples = examples;
        self
    }
}

/// A row on which a check failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Example {
    /// The row of the data, counted from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// What was expected.
    pub expected: String,
    /// What the model answered.
    pub actual: String,
}

/// A metric on one slice.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SliceMetric {
    /// The metric.
    pub metric: Metric,
    /// On the slice.
    pub value: Measured,
    /// On the other rows.
    pub rest: Measured,
    /// The slice less the rest, above 0 where the slice is worse.
    pub worse_by: Option<f64>,
    /// The interval of `worse_by`.
    pub interval: Option<Interval>,
    /// The p-value of no gap.
    pub p_value: Option<f64>,
    /// The p-value adjusted for the number of slices and metrics.
    pub p_adjusted: Option<f64>,
}

/// What was found on one slice.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SliceReport {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// Its rows as a share of all.
    pub share: f64,
    /// Whether it has the fewest rows that are judged.
    pub supported: bool,
    /// Its metrics.
    pub metrics: Vec<SliceMetric>,
}

/// A metric of all rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MetricReport {
    /// The metric.
    pub metric: Metric,
    /// Its value.
    pub value: Measured,
}

/// The groups of a column side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FairnessReport {
    /// The column.
    pub by: String,
    /// The metric.
    pub metric: Metric,
    /// Its value in each group.
    pub groups: Vec<(String, Measured)>,
    /// The largest value less the smallest, of groups with the fewest rows that are judged.
    pub difference: Option<f64>,
    /// The smallest value as a share of the largest.
    pub ratio: Option<f64>,
}

/// The comparison with an incumbent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The mean loss of the new model less the incumbent's: error rates, or mean absolute errors.
    pub worse_by: f64,
    /// Its interval, by a seeded paired bootstrap.
    pub interval: Option<Interval>,
    /// McNemar's p-value of equal error rates, or that of the paired t test.
    pub p_value: Option<f64>,
    /// The share of rows whose class changed.
    pub flips: Option<f64>,
    /// The rows whose class changed, counted from 0.
    pub flipped_rows: Vec<u64>,
    /// The slices with enough rows.
    pub slices: Vec<SliceComparison>,
}

/// One slice of a [`Comparison`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SliceComparison {
    /// Its name.
    pub name: String,
    /// Its rows.
    pub rows: u64,
    /// The mean loss less the incumbent's.
    pub worse_by: f64,
    /// Its interval, by a seeded paired bootstrap.
    pub interval: Option<Interval>,
    /// McNemar's p-value of equal error rates, or that of the paired t test; not adjusted.
    pub p_value: Option<f64>,
    /// The one-sided p-value of being worse by at most `max_slice_worse`, adjusted for the number of slices.
    pub p_adjusted: f64,
    /// The share of its rows whose class changed.
    pub flips: Option<f64>,
}

/// Everything that a suite found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The suite's name.
    pub suite: String,
    /// What the model is.
    pub model: String,
    /// The rows of the data.
    pub rows: u64,
    /// The error rate at which a difference counts.
    pub alpha: f64,
    /// How much worse than the others a slice may be, where the suite says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_gap: Option<f64>,
    /// What the model predicts.
    pub task: Task,
    /// The verdict.
    pub verdict: Verdict,
    /// Metrics of all rows.
    pub metrics: Vec<MetricReport>,
    /// The slices.
    pub slices: Vec<SliceReport>,
    /// The groups.
    pub fairness: Vec<FairnessReport>,
    /// The classes, in the order of the confusion matrix.
    pub classes: Vec<String>,
    /// The confusion matrix in weights, rows by the true class.
    pub confusion: Vec<Vec<f64>>,
    /// The calibration curve.
    pub calibration: Vec<CalibrationBin>,
    /// The comparison with an incumbent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Comparison>,
}

impl Report {
    /// Whether every check passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.verdict.pass
    }
}
