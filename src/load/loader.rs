use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::{Device, Format, Limits, Source, TreeEngine};
use crate::{Artifact, Error, ErrorKind, Model, Result};

/// What turns a file into a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Backend {
    /// Our own executor for classical graphs and trees (feature `native`).
    Native,
    /// ONNX networks through tract (feature `tract`).
    Tract,
    /// Safetensors directories through candle (feature `candle`).
    Candle,
    /// ONNX Runtime, where its library is on the machine (feature `ort`).
    Ort,
}

impl Backend {
    /// Every backend, in the order in which the loader tries them; `ort` only where it is asked for, or alone in the
    /// build.
    pub const ALL: [Self; 4] = [Self::Native, Self::Tract, Self::Candle, Self::Ort];

    /// The name, which is also the name of its feature.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Tract => "tract",
            Self::Candle => "candle",
            Self::Ort => "ort",
        }
    }

    /// Whether this build has it.
    #[must_use]
    pub const fn is_enabled(self) -> bool {
        match self {
            Self::Native => cfg!(feature = "native"),
            Self::Tract => cfg!(feature = "tract"),
            Self::Candle => cfg!(feature = "candle"),
            Self::Ort => cfg!(feature = "ort"),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|b| b.as_str() == s).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "no backend has this name")
                .expected("native, tract, candle or ort")
                .actual(s)
        })
    }
}

/// Makes a model of an ONNX file; the text says why the backend was chosen.
type LoadOnnx = fn(&Source, &Loader, String) -> Result<Arc<dyn Model>>;

/// The backends of this build that read ONNX files, in the order in which they are tried: the next one when one
/// answers [`ErrorKind::Unsupported`].
const ONNX_BACKENDS: &[(Backend, LoadOnnx)] = &[
    #[cfg(feature = "native")]
    (Backend::Native, crate::backend::native::load),
    #[cfg(feature = "tract")]
    (Backend::Tract, crate::backend::tract::load),
    // Only when asked for, where another one is there: what a file is run by is not to hang on what a machine has.
    #[cfg(feature = "ort")]
    (Backend::Ort, crate::backend::ort::load),
];

/// Whether a loader that was told no backend tries `backend`.
const fn is_tried_unasked(backend: Backend) -> bool {
    !matches!(backend, Backend::Ort) || !cfg!(any(feature = "native", feature = "tract"))
}

/// An error with all that it was caused by, in one line.
fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(below) = source {
        text.push_str(": ");
        text.push_str(&below.to_string());
        source = below.source();
    }
    text
}

/// The error for a file that two backends refuse.
fn both((before, why): (Backend, Error), backend: Backend, error: Error) -> Error {
    let message =
        format!("{before} does not take the file: {}; {backend} does not either: {}", whole(&why), whole(&error));
    let both = Error::new(why.kind(), message).with_source(error);
    match why.node_name() {
        Some(node) => both.node(node),
        None => both,
    }
}

/// Loads models, with options.
///
/// The format is read from the content, not from the file's extension. Without a [`backend`](Self::backend), the
/// first enabled one that takes the model is used, in the order of [`Backend::ALL`]; an ONNX graph that none takes whole
/// is cut between `native` and `tract` where that can be done. `describe()` says which and why.
///
/// ```no_run
/// use modelberth::{Limits, Loader};
/// let model = Loader::new().threads(4).cast(true).limits(Limits::default().max_file_bytes(1 << 20)).load("churn.onnx")?;
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Loader {
    pub(crate) backend: Option<Backend>,
    pub(crate) threads: usize,
    pub(crate) limits: Limits,
    pub(crate) outputs: Option<Vec<String>>,
    pub(crate) cast: bool,
    pub(crate) device: Device,
    pub(crate) tree_engine: TreeEngine,
    pub(crate) row_ranges: bool,
    #[cfg_attr(not(feature = "ort"), allow(dead_code, reason = "for the backend `ort`"))]
    pub(crate) ort_library: Option<PathBuf>,
}

impl Default for Loader {
    fn default() -> Self {
        Self {
            backend: None,
            threads: 1,
            limits: Limits::default(),
            outputs: None,
            cast: false,
            device: Device::Cpu,
            tree_engine: TreeEngine::Auto,
            row_ranges: false,
            ort_library: None,
        }
    }
}

impl Loader {
    /// A loader that chooses the backend itself, uses one thread and gives all outputs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses this backend and no other.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// How many threads one call may use, at least 1. Small batches use fewer.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// What a file may ask for.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Gives only these outputs, in this order; what only the others need is not computed.
    #[must_use]
    pub fn outputs<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.outputs = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Whether inputs of another number type are cast to the one the model takes. Off unless set.
    #[must_use]
    pub fn cast(mut self, cast: bool) -> Self {
        self.cast = cast;
        self
    }

    /// Scores tree ensembles with this engine, where it can take the trees.
    #[must_use]
    pub fn tree_engine(mut self, engine: TreeEngine) -> Self {
        self.tree_engine = engine;
        self
    }

    /// Whether a network that quantises its activations while it runs does so by the range of each row. Off unless set:
    /// the file's operators take one range for the whole batch, so that the answer for a row depends on its neighbours.
    /// The backend `native` knows this, in steps where it has merged the quantisation with what uses it.
    #[must_use]
    pub fn row_ranges(mut self, row_ranges: bool) -> Self {
        self.row_ranges = row_ranges;
        self
    }

    /// The file of ONNX Runtime's shared library, for the backend `ort`. Unless set it is the one that the environment
    /// variable `ORT_DYLIB_PATH` names, else the one that the system finds under its usual name. What the library does is
    /// beyond the control of this crate, so name one that you trust.
    #[must_use]
    pub fn ort_library(mut self, path: impl Into<PathBuf>) -> Self {
        self.ort_library = Some(path.into());
        self
    }

    /// Where the model computes: the processor unless set. Only the backend `candle` knows others.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.device = device;
        self
    }

    /// The model in the file at `path`, or in the directory that Hugging Face's libraries wrote; such a directory may
    /// also be named by its `config.json` or its weights.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] when the file can't be read; [`ErrorKind::Malformed`] when it is
    /// broken or of no known format; [`ErrorKind::Unsupported`] naming the operator or version that no enabled
    /// backend has; [`ErrorKind::FeatureDisabled`] naming the feature; [`ErrorKind::LimitExceeded`].
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Arc<dyn Model>> {
        self.load_source(&Source::open(path.as_ref(), &self.limits)?)
    }

    /// The model in `bytes`; `name` is for messages and stands for the file's name in the artifact.
    ///
    /// # Errors
    /// As [`load`](Self::load). Files beside it (external data) can't be reached from memory and are refused.
    pub fn load_bytes(&self, name: &str, bytes: impl Into<Arc<[u8]>>) -> Result<Arc<dyn Model>> {
        self.load_source(&Source::memory(name, bytes.into(), &self.limits)?)
    }

    pub(crate) fn load_source(&self, source: &Source) -> Result<Arc<dyn Model>> {
        self.dispatch(source).map_err(|e| if e.model_name().is_none() { e.model(&source.name) } else { e })
    }

    fn dispatch(&self, source: &Source) -> Result<Arc<dyn Model>> {
        if let Some(backend) = self.backend
            && !backend.is_enabled()
        {
            return Err(Error::new(
                ErrorKind::FeatureDisabled,
                format!("the backend `{backend}` is not in this build; enable the feature `{backend}`"),
            ));
        }
        let format = Format::sniff(&source.bytes);
        if self.device != Device::Cpu && !matches!(format, Some(Format::HuggingFace | Format::Manifest)) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "only the backend `candle` computes elsewhere than on the processor",
            )
            .expected(Device::Cpu)
            .actual(self.device));
        }
        match format {
            Some(Format::Onnx) => self.load_onnx(source),
            Some(Format::Manifest) => crate::compose::load(source, self),
            #[cfg(feature = "candle")]
            Some(Format::HuggingFace) => self.load_hugging_face(source),
            #[cfg(feature = "native")]
            Some(other) if other.is_booster() && self.backend.is_none_or(|b| b == Backend::Native) => {
                let reason =
                    if self.backend.is_some() { "asked for" } else { "the one backend that reads boosters' own files" };
                crate::backend::native::boosters::load(source, self, other, reason.to_owned())
            }
            #[cfg(feature = "edge")]
            Some(Format::Packed) if self.backend.is_none() => crate::backend::packed::load(source, self),
            Some(other) => Err(other.refusal()),
            None => Err(Format::unknown(&source.bytes)),
        }
    }

    #[cfg(feature = "candle")]
    fn load_hugging_face(&self, source: &Source) -> Result<Arc<dyn Model>> {
        match self.backend {
            None => {
                crate::backend::candle::load(source, self, "the only backend for Hugging Face directories".to_owned())
            }
            Some(Backend::Candle) => crate::backend::candle::load(source, self, "asked for".to_owned()),
            Some(other) => {
                Err(Error::new(ErrorKind::Unsupported, "this backend does not read Hugging Face directories")
                    .expected(Backend::Candle)
                    .actual(other))
            }
        }
    }

    fn load_onnx(&self, source: &Source) -> Result<Arc<dyn Model>> {
        if self.device != Device::Cpu {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the backends for ONNX files compute on the processor alone",
            )
            .expected(Device::Cpu)
            .actual(self.device));
        }
        let mut refusal: Option<(Backend, Error)> = None;
        for &(backend, load) in
            ONNX_BACKENDS.iter().filter(|(b, _)| self.backend.map_or(is_tried_unasked(*b), |chosen| chosen == *b))
        {
            let reason = match (&refusal, self.backend) {
                (_, Some(_)) => "asked for".to_owned(),
                (Some((before, why)), _) => format!("{backend} takes the file, {before} does not: {}", whole(why)),
                (None, _) => "first in order, and it has every operator of the graph".to_owned(),
            };
            match (load(source, self, reason), refusal.take()) {
                (Ok(model), _) => return Ok(model),
                (Err(error), None) if error.kind() == ErrorKind::Unsupported => refusal = Some((backend, error)),
                (Err(error), None) => return Err(error),
                (Err(error), Some(before)) => refusal = Some((backend, both(before, backend, error))),
            }
        }
        #[cfg(all(feature = "native", feature = "tract"))]
        if let (None, Some((_, why))) = (self.backend, &refusal)
            && why.kind() == ErrorKind::Unsupported
        {
            let reason = format!("no backend takes the graph whole, so it is cut between them: {}", whole(why));
            match crate::backend::mixed::load(source, self, reason) {
                Err(error) if error.kind() == ErrorKind::Unsupported => {}
                done => return done,
            }
        }
        Err(match refusal {
            Some((_, error)) => error,
            None if ONNX_BACKENDS.is_empty() => Error::new(
                ErrorKind::FeatureDisabled,
                "ONNX files need the feature `native`, `tract` or `ort`, and this build has none of them",
            ),
            None => Error::new(ErrorKind::Unsupported, "this backend does not read ONNX files")
                .actual(self.backend.map_or("", Backend::as_str)),
        })
    }

    /// The model in an [`Artifact`], as another model's [`artifact`](Model::artifact) gave it.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`ErrorKind::Integrity`] when a file no longer has its digest.
    pub fn load_artifact(&self, artifact: &Artifact) -> Result<Arc<dyn Model>> {
        self.load_source(&Source::artifact(artifact, &self.limits)?)
    }
}

/// The model in the file at `path`: shortcut for [`Loader::new().load(path)`](Loader::load).
///
/// # Errors
/// As [`Loader::load`].
pub fn load(path: impl AsRef<Path>) -> Result<Arc<dyn Model>> {
    Loader::new().load(path)
}
