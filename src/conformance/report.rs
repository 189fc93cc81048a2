use std::fmt;

/// One demand on a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Check {
    /// The answers have the names, order, element types and shapes that the signature promises.
    Signature,
    /// The same inputs give the same bits again.
    Determinism,
    /// `predict` answers as `predict_batch` of one observation does.
    Parity,
    /// A model that says its rows are independent answers the same however a batch is split.
    BatchSplit,
    /// Threads that ask at once get what one that asks alone gets.
    Threads,
    /// A batch of no observations gives answers of no rows, of the right types and shapes.
    EmptyBatch,
    /// Thousands of observations at once are answered as a few are.
    LargeBatch,
    /// Missing, unknown, wrong-typed and wrong-shaped inputs are refused with the right
    /// [`ErrorKind`](crate::ErrorKind), without a panic.
    BadInputs,
    /// The artifact loads again, to the same signature and answers.
    Artifact,
}

impl Check {
    /// Every check, in the order in which they run.
    pub const ALL: [Self; 9] = [
        Self::Signature,
        Self::Determinism,
        Self::Parity,
        Self::BatchSplit,
        Self::Threads,
        Self::EmptyBatch,
        Self::LargeBatch,
        Self::BadInputs,
        Self::Artifact,
    ];

    /// The name in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Determinism => "determinism",
            Self::Parity => "parity of predict and predict_batch",
            Self::BatchSplit => "batch split",
            Self::Threads => "threads",
            Self::EmptyBatch => "empty batch",
            Self::LargeBatch => "large batch",
            Self::BadInputs => "bad inputs",
            Self::Artifact => "artifact",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the suite did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub(super) passed: Vec<Check>,
    pub(super) skipped: Vec<(Check, String)>,
}

impl Report {
    /// The checks that the model passed.
    #[must_use]
    pub fn passed(&self) -> &[Check] {
        &self.passed
    }

    /// The checks that were not run, and why.
    #[must_use]
    pub fn skipped(&self) -> &[(Check, String)] {
        &self.skipped
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.passed {
            writeln!(f, "passed  {check}")?;
        }
        for (check, reason) in &self.skipped {
            writeln!(f, "skipped {check}: {reason}")?;
        }
        Ok(())
    }
}

/// One thing that a model got wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The check that found it.
    pub check: Check,
    /// What was expected and what came.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FAILED  {}: {}", self.check, self.message)
    }
}

/// Everything that a model got wrong, and the rest of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    pub(super) failures: Vec<Failure>,
    pub(super) report: Report,
}

impl Failures {
    /// What went wrong, in the order of the checks.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The checks with a failure, each once.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        let mut checks: Vec<Check> = self.failures.iter().map(|f| f.check).collect();
        checks.dedup();
        checks
    }

    /// What passed and what was not run.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the model does not conform")?;
        for failure in &self.failures {
            writeln!(f, "{failure}")?;
        }
        write!(f, "{}", self.report)
    }
}

impl std::error::Error for Failures {}
