use super::Check;
use crate::{Loader, Tensors};

/// How far two numbers may lie apart: `absolute + relative * |expected|`. Zero, the default, asks for the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tolerance {
    /// The part that does not grow with the number.
    pub absolute: f64,
    /// The part that does.
    pub relative: f64,
}

impl Tolerance {
    /// A tolerance.
    #[must_use]
    pub const fn new(absolute: f64, relative: f64) -> Self {
        Self { absolute, relative }
    }

    pub(super) fn is_exact(self) -> bool {
        self.absolute == 0.0 && self.relative == 0.0
    }
}

/// What the suite tries, and what it lets pass.
///
/// ```
/// use modelberth::conformance::{Options, Tolerance};
/// let options = Options::new().seed(7).large_rows(1000).tolerance(Tolerance::new(1e-6, 1e-5)).without_artifact();
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) samples: Option<Tensors<'static>>,
    pub(super) seed: u64,
    pub(super) rows: usize,
    pub(super) large_rows: usize,
    pub(super) threads: usize,
    pub(super) tolerance: Tolerance,
    pub(super) artifact_tolerance: Tolerance,
    pub(super) loader: Loader,
    pub(super) skip: Vec<(Check, &'static str)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            samples: None,
            seed: 0,
            rows: 17,
            large_rows: 5000,
            threads: 8,
            tolerance: Tolerance::default(),
            artifact_tolerance: Tolerance::default(),
            loader: Loader::new(),
            skip: Vec::new(),
        }
    }
}

impl Options {
    /// 17 drawn observations, 5000 for the large batch, 8 threads, the same bits everywhere.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses these inputs, with their batch axis, instead of drawn ones. Needed where the signature does not tell what
    /// a sensible input is.
    #[must_use]
    pub fn samples(mut self, samples: Tensors<'static>) -> Self {
        self.samples = Some(samples);
        self
    }

    /// Seeds the draws.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many observations are drawn, at least 2.
    #[must_use]
    pub fn rows(mut self, rows: usize) -> Self {
        self.rows = rows.max(2);
        self
    }

    /// How many rows the large batch has; the samples are repeated to fill it.
    #[must_use]
    pub fn large_rows(mut self, rows: usize) -> Self {
        self.large_rows = rows;
        self
    }

    /// How many threads ask at once.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(2);
        self
    }

    /// How far answers may differ between one row and a batch, and between batches of different lengths.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Tolerance) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// How far the answers of the reloaded artifact may differ.
    #[must_use]
    pub fn artifact_tolerance(mut self, tolerance: Tolerance) -> Self {
        self.artifact_tolerance = tolerance;
        self
    }

    /// Loads the artifact again with this loader: the one that the model was loaded with, if it had options.
    #[must_use]
    pub fn loader(mut self, loader: Loader) -> Self {
        self.loader = loader;
        self
    }

    /// Says that the model has no artifact.
    #[must_use]
    pub fn without_artifact(self) -> Self {
        self.skip(Check::Artifact, "the model has no artifact")
    }

    /// Leaves a check out, for the reason given.
    #[must_use]
    pub fn skip(mut self, check: Check, reason: &'static str) -> Self {
        self.skip.push((check, reason));
        self
    }
}
