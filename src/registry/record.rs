//! What is written down of a version, once and for all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::environment::Environment;
use super::log::Record;
use super::name::Reference;
use super::time::Timestamp;
use super::verdict::VerdictRecord;
use crate::{Digest, Signature};

/// The record of a version. It never changes; what is said of a version later is an [`Event`](super::Event).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Version {
    /// The model's name.
    pub model: String,
    /// The version's number, from 1 on without gaps.
    pub number: u64,
    /// When it was registered, by the clock of whoever did.
    pub created_at: Timestamp,
    /// Who registered it.
    pub created_by: String,
    /// What it is, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Anything else, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The format of the main file: `onnx`, ...
    pub format: String,
    /// The backend that ran it where it was registered; empty where none did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub backend: String,
    /// The files; the first is the one that names the others.
    pub files: Vec<FileRecord>,
    /// What the model takes and gives; nothing where it was registered unloaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// The number of learned numbers; 0 where it was registered unloaded.
    #[serde(default)]
    pub parameters: u64,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Lineage::is_empty")]
    pub lineage: Lineage,
    /// Metrics by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, MetricValue>,
    /// What suites said of it before it was registered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<VerdictRecord>,
    /// Where it was registered: what can change answers.
    pub environment: Environment,
    /// Rows and answers to check a load with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// The registry that it was imported from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

impl Version {
    /// `NAME:N`.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}:{}", self.model, self.number)
    }

    /// The bytes of all files together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Every blob that the version needs.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.files.iter().map(|file| &file.blob).chain(self.sample.iter().map(|sample| &sample.blob))
    }
}

impl Record for Version {
    fn number(&self) -> u64 {
        self.number
    }
}

/// Content in the store, by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Blob {
    /// The digest of the content.
    pub sha256: Digest,
    /// How many times this content had been collected as garbage before; a part of its key, so that no key is used
    /// twice.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub copy: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A file of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileRecord {
    /// The path in the artifact, with `/` between its parts.
    pub path: String,
    /// Its content.
    #[serde(flatten)]
    pub blob: Blob,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A few rows with the answers that the model gave where it was registered, as an `.npz` of arrays `in:NAME` and
/// `out:NAME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Sample {
    /// The content of the `.npz`.
    #[serde(flatten)]
    pub blob: Blob,
    /// Its length in bytes.
    pub bytes: u64,
    /// How many rows it holds.
    pub rows: u64,
}

/// A metric as it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetricValue {
    /// The value.
    pub value: f64,
    /// The interval `[low, high]` that holds it with 95 % confidence, where one was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

impl From<f64> for MetricValue {
    fn from(value: f64) -> Self {
        Self { value, interval: None }
    }
}

impl From<(f64, [f64; 2])> for MetricValue {
    fn from((value, interval): (f64, [f64; 2])) -> Self {
        Self { value, interval: Some(interval) }
    }
}

impl std::fmt::Display for MetricValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.value)?;
        match self.interval {
            Some([low, high]) => write!(f, " [{low}, {high}]"),
            None => Ok(()),
        }
    }
}

/// Where a version came from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lineage {
    /// The data that it was trained on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataSource>,
    /// The code that trained it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<CodeSource>,
    /// The versions that it was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
    /// The training run, as whatever ran it calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The hyperparameters, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hyperparameters: BTreeMap<String, String>,
}

impl Lineage {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A data set that a model was trained on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSource {
    /// Its name.
    pub name: String,
    /// The digest of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Its rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The time of its first row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The time of its last row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

/// The code that trained a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "hosts write it")]
pub struct CodeSource {
    /// The repository.
    pub repository: String,
    /// The commit.
    pub commit: String,
}

/// A version that another was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Parent {
    /// The parent's model.
    pub model: String,
    /// The parent's number.
    pub number: u64,
    /// How: `distilled from`, `quantised from`, ...
    pub relation: String,
}

impl Parent {
    /// Version `number` of `model`, from which a version was made as `relation` says.
    #[must_use]
    pub fn new(model: impl Into<String>, number: u64, relation: impl Into<String>) -> Self {
        Self { model: model.into(), number, relation: relation.into() }
    }

    /// Whether `reference` names this version by its number.
    pub(crate) fn is(&self, reference: &Reference) -> bool {
        self.model == reference.model() && *reference.selector() == super::Selector::Number(self.number)
    }
}

/// The version of another registry that a version is a copy of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Origin {
    /// The registry, by the identity that it got when it was made.
    pub registry: String,
    /// The name there.
    pub model: String,
    /// The number there.
    pub number: u64,
    /// The digest of the record there.
    pub record: Digest,
    /// When it was imported.
    pub imported_at: Timestamp,
}
