//! A suite as a file: what a data scientist writes.

use std::collections::BTreeMap;

use super::place::Source;
use crate::validate::{Adjustment, Metric, Task};
use serde::Deserialize;

/// What a model must do before it is released: metrics, slices, behaviours, contracts, the comparison with an incumbent.
///
/// It is written as TOML, see [`parse`](Self::parse), or built in code. See the manual's page on validating for every
/// key.
///
/// ```
/// use modelberth::validate::Suite;
/// let suite = Suite::parse(r#"
///     label = "churned"
///     [[metric]]
///     metric = "accuracy"
///     at_least = 0.8
///     [[slice]]
///     where = 'country == "FR" and age < 25'
///     [gaps]
///     metrics = ["accuracy"]
///     max_gap = 0.05
/// "#)?;
/// assert_eq!(suite.label, "churned");
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Suite {
    /// What the suite is called in reports.
    #[serde(default)]
    pub name: String,
    /// The column of the data that holds the truth.
    pub label: String,
    /// What the model predicts; told from its outputs unless given.
    pub task: Option<Task>,
    /// The positive class; of two classes the later one unless given.
    pub positive: Option<String>,
    /// The column of the rows' weights.
    pub weight: Option<String>,
    /// The column that says to which query a row belongs, for rankings.
    pub query: Option<String>,
    /// Which outputs of the model are read.
    #[serde(default)]
    pub outputs: Outputs,
    /// The confidence of the intervals.
    #[serde(default = "level")]
    pub level: f64,
    /// The error rate at which a difference counts.
    #[serde(default = "alpha")]
    pub alpha: f64,
    /// How p-values are adjusted for the number of slices.
    #[serde(default)]
    pub adjust: Adjustment,
    /// The fewest rows of a slice that is judged.
    #[serde(default = "support")]
    pub min_support: usize,
    /// The seed of the bootstrap.
    #[serde(default)]
    pub seed: u64,
    /// Metrics of all rows, with what they must reach.
    #[serde(default)]
    pub metric: Vec<MetricCheck>,
    /// The slices.
    #[serde(default)]
    pub slice: Vec<SliceSpec>,
    /// What is measured on each slice, and how far it may be worse than the rest.
    #[serde(default)]
    pub gaps: Gaps,
    /// How far groups may lie apart.
    #[serde(default)]
    pub fairness: Vec<Fairness>,
    /// Single examples that must be right.
    #[serde(default)]
    pub must_pass: Vec<MustPass>,
    /// Changes that must not change the answer.
    #[serde(default)]
    pub invariance: Vec<Behaviour>,
    /// Changes that must move the answer one way.
    #[serde(default)]
    pub direction: Vec<Behaviour>,
    /// Relations between the answers before and after a change.
    #[serde(default)]
    pub metamorphic: Vec<Behaviour>,
    /// Rows of which few may be wrong.
    #[serde(default)]
    pub minimum: Vec<Minimum>,
    /// What every model promises.
    #[serde(default)]
    pub contract: Contract,
    /// The comparison with an incumbent.
    #[serde(default)]
    pub against: Against,
    /// The file that it was read from, for the places of errors.
    #[serde(skip)]
    pub(super) source: Option<Source>,
}

pub(super) fn level() -> f64 {
    crate::validate::DEFAULT_LEVEL
}

pub(super) fn alpha() -> f64 {
    0.05
}

pub(super) fn support() -> usize {
    30
}

/// Which outputs of the model are read; found by their types unless named.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Outputs {
    /// The predicted class or number.
    pub value: Option<String>,
    /// The probabilities (m, k), or that of the positive class (m,).
    pub probabilities: Option<String>,
}

/// A metric of all rows with what it must reach.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricCheck {
    /// The metric.
    pub metric: Metric,
    /// The least it may be.
    pub at_least: Option<f64>,
    /// The most it may be.
    pub at_most: Option<f64>,
    /// Whether the whole interval must clear the bound, not the value alone.
    #[serde(default)]
    pub surely: bool,
}

/// A slice, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceSpec {
    /// What it is called; the predicate or the values unless given.
    pub name: Option<String>,
    /// The rows.
    #[serde(rename = "where")]
    pub predicate: Option<String>,
    /// A slice for each value of this column, or for each combination of values of these.
    pub by: Option<OneOrMany>,
    /// The quantile bins of a column of fractions in `by`.
    #[serde(default = "quantiles")]
    pub quantiles: usize,
}

pub(super) fn quantiles() -> usize {
    4
}

/// One text or a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the variants say it")]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// What is measured on each slice.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Gaps {
    /// The metrics; those of the suite's `[[metric]]`s unless given.
    #[serde(default)]
    pub metrics: Vec<Metric>,
    /// A slice fails that is worse than the other rows by more than this, with an adjusted p-value of at most `alpha`.
    /// Without it slices are reported and not judged.
    pub max_gap: Option<f64>,
}

/// How far the groups of a column may lie apart.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fairness {
    /// The column of the groups.
    pub by: String,
    /// The metric.
    pub metric: Metric,
    /// The most that the best group may lie above the worst.
    pub max_difference: Option<f64>,
    /// The least that the smallest value may be as a share of the largest.
    pub min_ratio: Option<f64>,
}

/// One example that must be right.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MustPass {
    /// What it is called.
    pub name: Option<String>,
    /// The values of the model's columns.
    #[serde(default)]
    pub input: BTreeMap<String, Value>,
    /// The values in the order of the model's features, where those have no names.
    #[serde(default)]
    pub row: Vec<Value>,
    /// The class or the number that is right.
    pub expect: Value,
    /// How far a number may be off.
    #[serde(default)]
    pub tolerance: f64,
}

/// A cell.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the variants say it")]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Float(x) => write!(f, "{x}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A change of the inputs and how the answer must respond.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// What it is called.
    pub name: Option<String>,
    /// The change; of several, all together.
    pub change: Vec<Change>,
    /// How the answer must respond: `same` unless given (a direction must say).
    pub expect: Option<Expect>,
    /// How far the number may be off what is expected: the predicted number, or the probability of `class`. Without it
    /// an invariance of classes looks at the predicted class alone.
    pub tolerance: Option<f64>,
    /// The class whose probability is compared; the positive one unless given.
    pub class: Option<String>,
    /// Only these rows.
    #[serde(rename = "where")]
    pub predicate: Option<String>,
    /// The share of rows that may fail.
    #[serde(default)]
    pub max_failure_rate: f64,
}

/// How an answer responds to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the variants say it")]
pub enum Expect {
    Same,
    Different,
    Up,
    Down,
    NotUp,
    NotDown,
}

impl std::fmt::Display for Expect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Same => "the same answer",
            Self::Different => "another answer",
            Self::Up => "a higher answer",
            Self::Down => "a lower answer",
            Self::NotUp => "no higher answer",
            Self::NotDown => "no lower answer",
        })
    }
}

/// A change of one column: one of the ways is given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The column, as the model calls it.
    pub column: String,
    /// Another value; of several, each is tried.
    pub to: Option<Values>,
    /// A number that is added.
    pub add: Option<f64>,
    /// A number to multiply by.
    pub multiply: Option<f64>,
    /// From the first to the second number in `steps` steps; each step is compared with the one before.
    pub range: Option<[f64; 2]>,
    /// The steps of a range. 10 unless given.
    pub steps: Option<usize>,
}

/// One value or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs, reason = "the variants say it")]
pub enum Values {
    Many(Vec<Value>),
    One(Value),
}

/// Rows of which few may be wrong.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minimum {
    /// What it is called.
    pub name: Option<String>,
    /// The rows.
    #[serde(rename = "where")]
    pub predicate: String,
    /// The share of them that may be wrong.
    #[serde(default)]
    pub max_failure_rate: f64,
    /// How far a number may be off.
    #[serde(default)]
    pub tolerance: f64,
}

/// What every model promises.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Contract {
    /// `predict` and `predict_batch` agree.
    pub predict_is_predict_batch: bool,
    /// The artifact loads again to a model with the same answers.
    pub round_trip: bool,
    /// The same call gives the same bits.
    pub deterministic: bool,
    /// A model given as the served one answers as this one does.
    pub offline_is_online: bool,
    /// How far numbers may be off where answers are compared; 0 unless given.
    pub tolerance: f64,
    /// The most nanoseconds a row may take in a batch of `latency_batch`.
    pub max_ns_per_row: Option<f64>,
    /// The batch for the latency; 1 unless given.
    pub latency_batch: Option<usize>,
    /// The most bytes that the loaded model may take.
    pub max_bytes: Option<u64>,
}

/// The comparison with an incumbent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Against {
    /// The most by which the mean loss (the error rate, or the mean absolute error) may be surely higher.
    pub max_worse: Option<f64>,
    /// The same on each slice, at the adjusted `alpha`.
    pub max_slice_worse: Option<f64>,
    /// The largest share of rows whose class changes.
    pub max_flips: Option<f64>,
}
