//! What a model is, for people and for the layers above it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// What a model is: which backend and engine run it and why, how large it is, what it promises about its rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Description {
    /// The file format it came from: `onnx`, `code`, ...
    pub format: String,
    /// The backend: `native`, `tract`, `candle`, `ort`, or `composed` for a model made of models.
    pub backend: String,
    /// Why this backend was chosen.
    pub reason: String,
    /// How the backend runs it, in words.
    pub engine: String,
    /// The number of learned numbers (weights, thresholds, leaves).
    pub parameters: u64,
    /// The size in memory of what was loaded, in bytes.
    pub bytes: u64,
    /// The threads that one call may use.
    pub threads: usize,
    /// Whether the answer for a row is the same whatever other rows stand in the batch. Batching, caching and
    /// splitting ask this first. `false` when not known.
    pub row_independent: bool,
    /// The operators of the file with how often each occurs, by name.
    pub operators: Vec<(String, usize)>,
    /// Anything else worth knowing, a sentence each.
    pub notes: Vec<String>,
    /// The models inside a composed model, or the steps that a graph was compiled to.
    pub parts: Vec<Description>,
}

impl Description {
    /// A description with these names and everything else empty; `threads` is 1 and `row_independent` false.
    #[must_use]
    pub fn new(format: &str, backend: &str, engine: &str) -> Self {
        Self {
            format: format.to_string(),
            backend: backend.to_string(),
            engine: engine.to_string(),
            threads: 1,
            ..Self::default()
        }
    }
}
