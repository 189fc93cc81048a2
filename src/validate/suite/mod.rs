//! Suites: what a model must do, run on data, and what was found.

mod behave;
mod build;
mod change;
mod compare;
mod contract;
mod file;
mod judge;
mod labels;
mod place;
mod read;
mod run;
#[cfg(test)]
mod tests;
mod verdict;

pub use file::{
    Against, Behaviour, Change, Contract, Expect, Fairness, Gaps, MetricCheck, Minimum, MustPass, OneOrMany, Outputs,
    SliceSpec, Suite, Value, Values,
};
pub use run::SuiteRun;
pub use verdict::{
    CheckKind, CheckResult, Comparison, Example, FairnessReport, MetricReport, Report, SliceComparison, SliceMetric,
    SliceReport, Verdict,
};
