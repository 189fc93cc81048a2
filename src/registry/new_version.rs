use std::path::Path;

use super::environment::Environment;
use super::record::{CodeSource, DataSource, MetricValue, Parent, Version};
use super::sample;
use super::time::Timestamp;
use super::verdict::VerdictRecord;
use crate::{Artifact, ArtifactFile, Error, ErrorKind, Loader, Model, Result, Tensors, TreeEngine};

/// A version that is to be registered: a model, and what is known of it.
///
/// ```no_run
/// use modelberth::registry::{NewVersion, Parent};
/// let version = NewVersion::file("small.onnx")?
///     .description("half the trees")
///     .tag("team", "risk")
///     .metric("auc", (0.93, [0.91, 0.95]))
///     .parent(Parent::new("fraud", 3, "pruned from"));
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct NewVersion {
    pub(crate) artifact: Artifact,
    pub(crate) sample: Option<(Vec<u8>, u64)>,
    /// The record, with everything that is known before it is registered.
    pub(crate) record: Version,
}

impl NewVersion {
    /// The model `model`, with its signature, and with rows and answers of it to check a load with.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the model has no form as files; what its own files say when they are gone.
    pub fn of(model: &dyn Model) -> Result<Self> {
        let description = model.describe();
        let artifact = model.artifact()?;
        let mut version = Self::bare(artifact);
        version.record.format.clone_from(&description.format);
        version.record.backend = description.backend;
        version.record.parameters = description.parameters;
        version.record.signature = Some(model.signature().clone());
        version.sample = sample::drawn(model);
        Ok(version)
    }

    /// The model in the file, or the directory, at `path`.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn file(path: impl AsRef<Path>) -> Result<Self> {
        Self::file_with(path, &Loader::new())
    }

    /// As [`file`](Self::file), with the options of `loader`.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn file_with(path: impl AsRef<Path>, loader: &Loader) -> Result<Self> {
        // Few rows are predicted, so nothing is gained by trees made ready for many. Answers are the same to the bit.
        Self::of(&loader.clone().tree_engine(TreeEngine::Scalar).load(path)?)
    }

    /// The file at `path` as it is, for models that this build can't load. There is no signature then, nothing is known
    /// of its callers, and no load can be checked.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] when it can't be read.
    pub fn unloaded(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let content = std::fs::read(path).map_err(|e| Error::from(e).file(path.display()))?;
        let format = crate::Format::sniff(&content).map_or("unknown", crate::Format::as_str);
        let name = path.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self::bare(Artifact { format: format.to_owned(), files: vec![ArtifactFile::in_memory(name, content)] }))
    }

    pub(crate) fn bare(artifact: Artifact) -> Self {
        let record = Version {
            model: String::new(),
            number: 0,
            created_at: Timestamp::from_unix_ms(0),
            created_by: String::new(),
            description: String::new(),
            tags: Default::default(),
            format: artifact.format.clone(),
            backend: String::new(),
            files: Vec::new(),
            signature: None,
            parameters: 0,
            lineage: Default::default(),
            metrics: Default::default(),
            verdicts: Vec::new(),
            environment: Environment::here(),
            sample: None,
            origin: None,
        };
        Self { artifact, sample: None, record }
    }

    /// Says what it is.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.record.description = text.into();
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.record.tags.insert(key.into(), value.into());
        self
    }

    /// Adds a metric: a number, or a number with its interval `(value, [low, high])`.
    #[must_use]
    pub fn metric(mut self, name: impl Into<String>, value: impl Into<MetricValue>) -> Self {
        self.record.metrics.insert(name.into(), value.into());
        self
    }

    /// Names data that it was trained on.
    #[must_use]
    pub fn trained_on(mut self, data: DataSource) -> Self {
        self.record.lineage.data.push(data);
        self
    }

    /// Names the code that trained it.
    #[must_use]
    pub fn code(mut self, repository: impl Into<String>, commit: impl Into<String>) -> Self {
        self.record.lineage.code = Some(CodeSource { repository: repository.into(), commit: commit.into() });
        self
    }

    /// Names a version that it was made from.
    #[must_use]
    pub fn parent(mut self, parent: Parent) -> Self {
        self.record.lineage.parents.push(parent);
        self
    }

    /// Names the training run.
    #[must_use]
    pub fn run(mut self, run: impl Into<String>) -> Self {
        self.record.lineage.run = Some(run.into());
        self
    }

    /// Adds a hyperparameter.
    #[must_use]
    pub fn hyperparameter(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.record.lineage.hyperparameters.insert(name.into(), value.to_string());
        self
    }

    /// Adds a library that trained or exported it.
    #[must_use]
    pub fn library(mut self, name: impl Into<String>, version: impl Into<String>) -> Self {
        self.record.environment.libraries.insert(name.into(), version.into());
        self
    }

    /// Adds what a suite said of it.
    #[must_use]
    pub fn verdict(mut self, verdict: impl Into<VerdictRecord>) -> Self {
        self.record.verdicts.push(verdict.into());
        self
    }

    /// Checks loads with these rows, at most a few, instead of ones that are drawn from the signature.
    ///
    /// # Errors
    /// What `model` says of the rows; [`ErrorKind::LimitExceeded`] when they are too many.
    pub fn checked_with(mut self, model: &dyn Model, rows: &Tensors<'_>) -> Result<Self> {
        self.sample = Some(sample::made(model, rows)?);
        Ok(self)
    }

    /// Makes sure that the record can be written.
    pub(crate) fn check(&self) -> Result<()> {
        for (name, metric) in &self.record.metrics {
            let mut numbers = [metric.value].into_iter().chain(metric.interval.into_iter().flatten());
            if let Some(number) = numbers.find(|number| !number.is_finite()) {
                let message = format!("the metric `{name}` must be a finite number");
                return Err(Error::new(ErrorKind::InvalidValue, message).actual(number));
            }
        }
        if self.artifact.files.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "the artifact holds no file"));
        }
        Ok(())
    }
}
