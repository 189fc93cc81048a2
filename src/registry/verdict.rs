//! What a suite said of a version, as the registry keeps it.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;
use crate::validate::Report;
use crate::{Digest, Error, ErrorKind, Result};

/// What a suite said of a version, with its evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VerdictRecord {
    /// The suite's name.
    pub suite: String,
    /// Whether every check passed.
    pub pass: bool,
    /// The version that it was compared with, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Against>,
    /// The rows of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The digest of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Digest>,
    /// Why it did not pass: a sentence for each check that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Every check with what it found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// When it was said, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// The version that a suite compared another with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Against {
    /// Its model.
    pub model: String,
    /// Its number.
    pub number: u64,
}

/// What one check of a suite found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Evidence {
    /// The kind of the check, as a suite writes it.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it passed.
    pub pass: bool,
    /// What was found, in a sentence.
    pub message: String,
}

impl VerdictRecord {
    /// That suite `suite` was passed, or not.
    #[must_use]
    pub fn new(suite: impl Into<String>, pass: bool) -> Self {
        Self {
            suite: suite.into(),
            pass,
            against: None,
            rows: None,
            data: None,
            reasons: Vec::new(),
            evidence: Vec::new(),
            at: None,
        }
    }

    /// Says that it was compared with version `number` of `model`.
    #[must_use]
    pub fn against(mut self, model: impl Into<String>, number: u64) -> Self {
        self.against = Some(Against { model: model.into(), number });
        self
    }

    /// Says on what data.
    #[must_use]
    pub fn on_data(mut self, sha256: Digest) -> Self {
        self.data = Some(sha256);
        self
    }

    /// From the JSON of a [`Report`], as `modelberth test --json` writes it.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it is none.
    pub fn from_report_json(json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Whole {
            suite: String,
            rows: u64,
            verdict: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            pass: bool,
            reasons: Vec<String>,
            evidence: Vec<Evidence>,
        }
        let whole: Whole = serde_json::from_slice(json).map_err(|e| {
            Error::new(ErrorKind::Malformed, "this is no report; `modelberth test --json FILE` writes one")
                .with_source(e)
        })?;
        let Inner { pass, reasons, evidence } = whole.verdict;
        Ok(Self { rows: Some(whole.rows), reasons, evidence, ..Self::new(whole.suite, pass) })
    }
}

impl From<&Report> for VerdictRecord {
    fn from(report: &Report) -> Self {
        let evidence = report.verdict.evidence.iter().map(|check| Evidence {
            kind: check.kind.as_str().to_owned(),
            name: check.name.clone(),
            pass: check.pass,
            message: check.message.clone(),
        });
        Self {
            rows: Some(report.rows),
            reasons: report.verdict.reasons.clone(),
            evidence: evidence.collect(),
            ..Self::new(report.suite.as_str(), report.verdict.pass)
        }
    }
}
