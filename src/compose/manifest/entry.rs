use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Error, ErrorKind, Result};

/// A composed model as a file.
///
/// A JSON object with `"modelberth": 1` and either a `pipeline` or an `ensemble`. Fields that are not known are
/// refused. Paths are relative to the manifest, use `/`, and stay inside its directory.
///
/// ```
/// use modelberth::Manifest;
/// let pipeline = Manifest::from_json(br#"{
///     "modelberth": 1,
///     "pipeline": [
///         {"model": "encoder.onnx"},
///         {"model": "head.onnx", "rename": {"X": "features"}}
///     ]
/// }"#)?;
/// assert_eq!(pipeline.pipeline.unwrap()[1].rename["X"], "features");
/// let ensemble = Manifest::from_json(br#"{
///     "modelberth": 1,
///     "ensemble": {
///         "members": [{"model": "forest.onnx"}, {"model": "linear.onnx"}],
///         "combine": "mean",
///         "weights": [2, 1]
///     }
/// }"#)?;
/// assert_eq!(ensemble.ensemble.unwrap().weights, Some(vec![2.0, 1.0]));
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// The version of this format: 1.
    #[serde(rename = "modelberth")]
    pub version: u32,
    /// The stages of a [`Pipeline`](crate::Pipeline), in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<Vec<StageEntry>>,
    /// The members of an [`Ensemble`](crate::Ensemble) and how their answers are combined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<EnsembleEntry>,
    /// Pipelines only: outputs of earlier stages that are outputs of the pipeline too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputEntry>,
    /// Pipelines only: whether numbers are cast between stages where the types differ. `false` unless set.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub cast: bool,
    /// The SHA-256 digests that files must have, by path. Files that are not listed are not checked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sha256: BTreeMap<String, Digest>,
}

impl Manifest {
    /// The version of the format that this crate reads and writes.
    pub const VERSION: u32 = 1;

    fn new() -> Self {
        Self {
            version: Self::VERSION,
            pipeline: None,
            ensemble: None,
            outputs: Vec::new(),
            cast: false,
            sha256: BTreeMap::new(),
        }
    }

    /// The manifest of a pipeline.
    #[must_use]
    pub fn pipeline(stages: Vec<StageEntry>, outputs: Vec<OutputEntry>, cast: bool) -> Self {
        Self { pipeline: Some(stages), outputs, cast, ..Self::new() }
    }

    /// The manifest of an ensemble.
    #[must_use]
    pub fn ensemble(ensemble: EnsembleEntry) -> Self {
        Self { ensemble: Some(ensemble), ..Self::new() }
    }

    /// A manifest from its JSON text.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it is not such JSON, or holds not exactly one of pipeline and ensemble;
    /// [`ErrorKind::Unsupported`] when it is of a later version.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let malformed = |message: String| Error::new(ErrorKind::Malformed, message);
        let value: serde_json::Value =
            serde_json::from_slice(text).map_err(|e| malformed(format!("the manifest is not JSON: {e}")))?;
        // The version comes first: a later one may have fields that are not known here.
        match value.get("modelberth").map(serde_json::Value::as_u64) {
            Some(Some(v)) if v == u64::from(Self::VERSION) => {}
            Some(Some(v)) if v > u64::from(Self::VERSION) => {
                let message = "the manifest is of a later version than this crate reads; use a later crate";
                return Err(Error::new(ErrorKind::Unsupported, message).expected(Self::VERSION).actual(v));
            }
            _ => return Err(malformed("a manifest has `\"modelberth\": 1`".to_owned())),
        }
        let manifest: Self =
            serde_json::from_slice(text).map_err(|e| malformed(format!("the manifest does not hold up: {e}")))?;
        match (&manifest.pipeline, &manifest.ensemble) {
            (Some(_), None) => Ok(manifest),
            (None, Some(_)) if manifest.outputs.is_empty() && !manifest.cast => Ok(manifest),
            (None, Some(_)) => Err(malformed("`outputs` and `cast` are for pipelines".to_owned())),
            _ => Err(malformed("a manifest has either a `pipeline` or an `ensemble`".to_owned())),
        }
    }

    /// The manifest as JSON text.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it holds a number that JSON lacks.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|e| Error::new(ErrorKind::InvalidArgument, "the manifest can't be written").with_source(e))
    }
}

/// One stage of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StageEntry {
    /// The name, for messages and links. Unless given, the file's name without extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The model's file: of any format that is loaded, other manifests included.
    pub model: String,
    /// Inputs of the stage (keys) and the names they are fed by: the nearest earlier output, else the pipeline's input.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// Inputs of the stage (keys) and the outputs of stages that feed them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub link: BTreeMap<String, LinkEntry>,
    /// Inputs of the stage (keys) and the pipeline's own inputs that feed them, whatever earlier stages give.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub input: BTreeMap<String, String>,
}

impl StageEntry {
    /// A stage that is fed by the names its inputs have.
    #[must_use]
    pub fn new(model: impl Into<String>) -> Self {
        let (rename, link, input) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { name: None, model: model.into(), rename, link, input }
    }
}

/// The output of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkEntry {
    /// The stage's name.
    pub stage: String,
    /// The output's name.
    pub output: String,
}

/// The output of a stage as an output of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputEntry {
    /// The stage's name.
    pub stage: String,
    /// The output's name.
    pub output: String,
    /// Its name as an output of the pipeline, when another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The members of an ensemble and how their answers are combined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct EnsembleEntry {
    /// The members.
    pub members: Vec<MemberEntry>,
    /// How the answers are combined. `mean` unless given.
    #[serde(default)]
    pub combine: Combine,
    /// How much each member counts in a mean or vote; 1 for all unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// The file of the final model of a stack.
    #[serde(default, rename = "final", skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// The outputs of the members that are features of the final model; all floats unless given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

impl EnsembleEntry {
    /// The mean of these members.
    #[must_use]
    pub fn new(members: Vec<MemberEntry>) -> Self {
        Self { members, combine: Combine::Mean, weights: None, last: None, features: Vec::new() }
    }
}

/// How the answers of the members are combined; see [`Ensemble`](crate::Ensemble).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Combine {
    /// The mean, by weight.
    #[default]
    Mean,
    /// What most members say, by weight.
    Vote,
    /// The answers are the features of a final model.
    Stack,
}

/// One member of an ensemble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct MemberEntry {
    /// The name, for messages. Unless given, the file's name without extension.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The model's file.
    pub model: String,
    /// Inputs of the member (keys) and the ensemble's inputs that feed them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// Outputs of the member (keys) and what they are called in the ensemble.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename_outputs: BTreeMap<String, String>,
}

impl MemberEntry {
    /// A member with the names it has.
    #[must_use]
    pub fn new(model: impl Into<String>) -> Self {
        Self { name: None, model: model.into(), rename: BTreeMap::new(), rename_outputs: BTreeMap::new() }
    }
}
