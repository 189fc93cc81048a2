//! Registering a version.

use super::blobs::{Pin, blocking};
use super::frame;
use super::layout;
use super::log::PACK;
use super::name::Reference;
use super::new_version::NewVersion;
use super::record::{FileRecord, Sample, Version};
use super::registry::Registry;
use crate::{ArtifactFile, Error, ErrorKind, Result};

impl Registry {
    /// Registers a version of `model`, under the next number; its record.
    ///
    /// Files go first and the record last, so that a version is there whole or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a name that no model can have, [`ErrorKind::NotFound`] for a parent that is not
    /// there, [`ErrorKind::Unsupported`] for a store without create-only writes, [`ErrorKind::Io`].
    pub async fn register(&self, model: &str, new: NewVersion) -> Result<Version> {
        new.check()?;
        let versions = self.versions(model)?;
        for parent in &new.record.lineage.parents {
            let reference = Reference::version(&parent.model, parent.number)?;
            if self.versions(&parent.model)?.get(parent.number).await?.is_none() {
                return Err(Error::new(ErrorKind::NotFound, "the parent is not in this registry").model(reference));
            }
        }
        self.writable().await?;
        if versions.last().await? == 0 {
            self.check_new_name(model).await?;
        } else if cfg!(any(windows, target_os = "macos")) {
            // Folders are found there whatever the case of their letters; the record tells whose this is.
            self.version(model, 1).await?;
        }
        let NewVersion { artifact, sample, mut record } = new;
        record.model = model.to_owned();
        if record.created_by.is_empty() {
            record.created_by = self.author.to_string();
        }
        let mut files = artifact.files;
        let rows = sample.as_ref().map(|(_, rows)| *rows);
        if let Some((npz, _)) = sample {
            files.push(ArtifactFile::in_memory("sample", npz));
        }
        let pin = self.pin(files.iter().map(|file| file.sha256).collect()).await?;
        let done = self.keep_and_record(&pin, files, rows, record).await;
        self.unpin(pin).await;
        let version = done?;
        if version.number % PACK == 0 {
            // A convenience for readers; if it fails, they read the records one by one.
            let _ = versions.write_packs(version.number, version.number).await;
        }
        Ok(version)
    }

    /// Stores `files`, the last of which is the sample where there are `rows`, and then the record.
    async fn keep_and_record(
        &self,
        pin: &Pin,
        files: Vec<ArtifactFile>,
        rows: Option<u64>,
        mut record: Version,
    ) -> Result<Version> {
        record.files = Vec::with_capacity(files.len());
        for file in files {
            let (path, sha256, bytes) = (file.path.clone(), file.sha256, file.bytes);
            let content = blocking(move || file.content()).await?;
            let blob = self.keep(sha256, &content).await?;
            record.files.push(FileRecord { path, blob, bytes });
        }
        if let Some(rows) = rows {
            let kept = record.files.pop().expect("the sample was stored last");
            record.sample = Some(Sample { blob: kept.blob, bytes: kept.bytes, rows });
        }
        self.append_version(pin, record, |_| None).await.map(|(version, _)| version)
    }

    /// Appends a record to those of its model. `twin` is shown each record that another writer put in between; where it
    /// answers with a version, that one is taken instead. The record, and whether it is new.
    pub(crate) async fn append_version(
        &self,
        pin: &Pin,
        mut record: Version,
        twin: impl Fn(&Version) -> Option<Version> + Send,
    ) -> Result<(Version, bool)> {
        let versions = self.versions(&record.model)?;
        let imported = record.origin.is_some();
        loop {
            record.number = versions.last().await? + 1;
            if !imported {
                record.created_at = self.now();
            }
            self.still_pinned(pin)?;
            if versions.put(record.number, frame::seal(&record)?).await? {
                return Ok((record, true));
            }
            if imported
                && let Some(other) = versions.open::<Version>(record.number).await?
                && let Some(version) = twin(&other.record)
            {
                return Ok((version, false));
            }
        }
    }

    /// Refuses a name that differs from another by the case of its letters alone: they would be one name on Windows and
    /// macOS, and to the eye.
    pub(crate) async fn check_new_name(&self, model: &str) -> Result<()> {
        let names = self.store.folders(layout::MODELS).await?;
        match names.iter().find(|name| name.eq_ignore_ascii_case(model) && *name != model) {
            None => Ok(()),
            Some(other) => Err(Error::new(
                ErrorKind::InvalidArgument,
                "there is a model of this name with other capitals; use its name, or another one",
            )
            .expected(other)
            .actual(model)),
        }
    }
}
