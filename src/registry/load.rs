//! From a reference to a model that answers.

use std::sync::Arc;

use super::alias::AliasEntry;
use super::blobs::blocking;
use super::environment::Environment;
use super::name::Reference;
use super::record::Version;
use super::registry::Registry;
use super::sample;
use crate::load::confined;
use crate::{Artifact, ArtifactFile, Error, ErrorKind, Loader, Model, Result};

/// A model from a registry, with what is known of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// The model.
    pub model: Arc<dyn Model>,
    /// The record of its version.
    pub version: Version,
    /// What is different here and can change answers, and whether it was seen to do so; a sentence each.
    pub warnings: Vec<String>,
    /// Whether the store was away, and everything came from the cache.
    pub offline: bool,
}

impl Registry {
    /// The model that `reference` names, every byte checked against its digest.
    ///
    /// Where what can change answers is different here, the model first has to give the answers that were stored with it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Integrity`] with the digest expected and found, or when the answers are others
    /// here; what [`Loader::load`] says of the files; [`ErrorKind::Io`] when the store is away and there is no cache.
    pub async fn load(&self, reference: &str) -> Result<Arc<dyn Model>> {
        self.load_with(reference, &Loader::new()).await.map(|loaded| loaded.model)
    }

    /// As [`load`](Self::load), with the options of `loader`, and with what else there is to know.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub async fn load_with(&self, reference: &str, loader: &Loader) -> Result<Loaded> {
        let reference: Reference = reference.parse()?;
        self.load_resolved(&reference, loader).await.map(|(loaded, _)| loaded)
    }

    pub(crate) async fn load_resolved(
        &self,
        reference: &Reference,
        loader: &Loader,
    ) -> Result<(Loaded, Option<AliasEntry>)> {
        match self.resolve(reference).await {
            Ok((version, entry)) => {
                let loaded = self.load_version(version, loader, false).await.map_err(|e| named(e, reference))?;
                if let Some(cache) = &self.cache {
                    cache.remember(reference, &loaded.version).await;
                }
                Ok((loaded, entry))
            }
            Err(error) => {
                let Some(version) = self.remembered(reference, &error).await else { return Err(error) };
                let mut loaded = self.load_version(version, loader, true).await.map_err(|e| named(e, reference))?;
                loaded.warnings.push(format!("the store is away, so this is what it last named: {error}"));
                Ok((loaded, None))
            }
        }
    }

    /// What `reference` named when the store was last there, if it is away now.
    async fn remembered(&self, reference: &Reference, error: &Error) -> Option<Version> {
        let cache = self.cache.as_ref()?;
        let away = match error.kind() {
            ErrorKind::Io => true,
            // A directory that is not mounted looks like an empty one.
            ErrorKind::NotFound => !matches!(self.identity_there().await, Ok(true)),
            _ => false,
        };
        if !away {
            return None;
        }
        cache.recall(reference).await
    }

    async fn identity_there(&self) -> Result<bool> {
        Ok(self.store.head(super::layout::ROOT).await?.is_some())
    }

    async fn load_version(&self, version: Version, loader: &Loader, offline: bool) -> Result<Loaded> {
        let mut files = Vec::with_capacity(version.files.len());
        for file in &version.files {
            let path = confined(&file.path).filter(|path| *path == file.path).ok_or_else(|| {
                Error::new(ErrorKind::Malformed, "a file of the version would lie outside of its directory")
                    .actual(&file.path)
            })?;
            let (sha256, bytes) = (file.blob.sha256, file.bytes);
            if let Some(cache) = &self.cache
                && let Some(cached) = cache.take(&file.blob, bytes).await
            {
                files.push(ArtifactFile::verified(path, cached, sha256));
                continue;
            }
            if offline {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    "the store is away, and the cache does not hold this version",
                )
                .model(version.reference()));
            }
            let content = self.content(&file.blob, bytes).await?;
            if let Some(cache) = &self.cache {
                cache.put(&file.blob, &content).await;
            }
            files.push(ArtifactFile::verified(path, Arc::from(content.as_ref()), sha256));
        }
        let artifact = Artifact { format: version.format.clone(), files };
        let own = loader.clone();
        let model = blocking(move || own.load_artifact(&artifact)).await?;
        let warnings = self.compare(&version, &model, offline).await?;
        Ok(Loaded { model, version, warnings, offline })
    }

    /// What can change answers here, after the stored ones were given again.
    async fn compare(&self, version: &Version, model: &Arc<dyn Model>, offline: bool) -> Result<Vec<String>> {
        let mut warnings = version.environment.differences(&Environment::here());
        let backend = model.describe().backend;
        if !version.backend.is_empty() && version.backend != backend {
            warnings.push(format!("it was registered on the backend {}, and this is {backend}", version.backend));
        }
        if warnings.is_empty() {
            return Ok(warnings);
        }
        let Some(stored) = &version.sample else {
            warnings.push("no answers were stored with it, so whether they are the same here is not known".to_owned());
            return Ok(warnings);
        };
        let cached = match &self.cache {
            Some(cache) => cache.take(&stored.blob, stored.bytes).await,
            None => None,
        };
        let npz = match cached {
            Some(npz) => npz,
            None if offline => {
                warnings.push("the answers stored with it are not in the cache".to_owned());
                return Ok(warnings);
            }
            None => {
                let content = self.content(&stored.blob, stored.bytes).await?;
                if let Some(cache) = &self.cache {
                    cache.put(&stored.blob, &content).await;
                }
                Arc::from(content.as_ref())
            }
        };
        let tested = Arc::clone(model);
        blocking(move || sample::check(&tested, &npz)).await.map_err(|e| {
            let why = warnings.join("; ");
            if e.kind() == ErrorKind::Integrity { e.within(why) } else { e }
        })?;
        warnings.push(format!("its answers for {} stored rows are the same here", stored.rows));
        Ok(warnings)
    }
}

fn named(error: Error, reference: &Reference) -> Error {
    if error.model_name().is_some_and(|name| name.contains(reference.model())) { error } else { error.model(reference) }
}
