//! Parts of a model that matter least, taken out.

mod chains;
mod heads;
mod linear;
mod magnitude;
mod solve;
mod structured;
#[cfg(test)]
mod tests;
mod trees;

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::Optimized;
use super::file::Original;
use super::run::{self, Common, Job, common_methods};
use crate::{Artifact, Error, ErrorKind, Result};

/// What is taken out of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Pruning {
    /// Neurons of products, channels of convolutions and heads of attention: the graph becomes smaller. With data, the layer behind is
    /// fitted anew to what it gave before; no labels are needed.
    Structured,
    /// The smallest weights of each layer, set to zero.
    Magnitude,
    /// The smallest weights of all layers, set to zero.
    MagnitudeGlobal,
    /// Trees whose answers vary least; branches whose leaves are equal go in any case.
    Trees,
    /// Features of linear models.
    Features,
}

impl Pruning {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Structured, Self::Magnitude, Self::MagnitudeGlobal, Self::Trees, Self::Features];

    /// The name, as the command line has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Structured => "structured",
            Self::Magnitude => "magnitude",
            Self::MagnitudeGlobal => "magnitude-global",
            Self::Trees => "trees",
            Self::Features => "features",
        }
    }
}

impl fmt::Display for Pruning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Pruning {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == text).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "no pruning has this name")
                .expected("structured, magnitude, magnitude-global, trees or features")
                .actual(text)
        })
    }
}

/// Takes the parts of a model out that matter least.
///
/// ```no_run
/// use modelberth::optimize::{Data, Prune, Pruning};
/// let pruned = Prune::new(Pruning::Structured, 0.5).data(Data::file("rows.npz")).run("digits.onnx")?;
/// pruned.write("digits_small.onnx")?;
/// # Ok::<(), modelberth::Error>(())
/// ```
pub struct Prune<'a> {
    pruning: Pruning,
    share: f64,
    keep: Vec<String>,
    common: Common<'a>,
}

impl fmt::Debug for Prune<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prune").field("pruning", &self.pruning).field("share", &self.share).finish_non_exhaustive()
    }
}

impl<'a> Prune<'a> {
    /// Takes out the share `share`, from 0 to below 1, of what `pruning` says.
    #[must_use]
    pub fn new(pruning: Pruning, share: f64) -> Self {
        Self { pruning, share, keep: Vec::new(), common: Common::default() }
    }

    /// Leaves layers of these names as they are.
    #[must_use]
    pub fn keep<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.keep.extend(names.into_iter().map(Into::into));
        self
    }

    common_methods!(common);

    /// Prunes the ONNX file at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a share out of its range or where no part of the model qualifies; else as
    /// loading the model and reading the data.
    pub fn run(&self, path: impl AsRef<Path>) -> Result<Optimized> {
        self.run_original(&Original::read(path.as_ref(), &self.common.limits)?)
    }

    /// Prunes the ONNX file in an artifact.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_artifact(&self, artifact: &Artifact) -> Result<Optimized> {
        self.run_original(&Original::of_artifact(artifact, &self.common.limits)?)
    }

    fn run_original(&self, original: &Original) -> Result<Optimized> {
        // Trees may be asked for the collapse of equal leaves alone.
        let least = if self.pruning == Pruning::Trees { 0.0 } else { f64::MIN_POSITIVE };
        if !(self.share >= least && self.share < 1.0) {
            return Err(
                Error::new(ErrorKind::InvalidArgument, "the share to prune lies between 0 and 1").actual(self.share)
            );
        }
        self.common.budget.check(self.common.data.as_ref())?;
        let common = &self.common;
        let model = run::model(original, common)?;
        let running = model.clone();
        let data = || Some((common.data.as_ref()?, running.as_deref()?));
        run::run(Job {
            task: "prune",
            method: format!("{}, {:.0} %", self.pruning, 100.0 * self.share),
            original,
            common,
            model,
            rewrite: &mut |editor, keep| {
                let keep: HashSet<String> = keep.iter().chain(&self.keep).cloned().collect();
                match self.pruning {
                    Pruning::Structured => {
                        structured::prune(editor, &keep, self.share, original, data(), common.progress)
                    }
                    Pruning::Magnitude => magnitude::prune(editor, &keep, self.share, false),
                    Pruning::MagnitudeGlobal => magnitude::prune(editor, &keep, self.share, true),
                    Pruning::Trees => trees::prune(editor, &keep, self.share, data()),
                    Pruning::Features => linear::prune(editor, &keep, self.share, data()),
                }
            },
        })
    }
}
