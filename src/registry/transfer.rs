//! Versions in one file, for sites without a network.

use std::collections::HashMap;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::aliases::Promotion;
use super::event::{Event, EventKind};
use super::frame;
use super::name::check_model;
use super::record::{Blob, FileRecord, Origin, Version};
use super::registry::Registry;
use super::time::Timestamp;
use super::verdict::VerdictRecord;
use crate::{Digest, Error, ErrorKind, Progress, ProgressMeter, Result};

const CONTENTS: &str = "modelberth-export.json";

/// What an export holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Export {
    /// The registry that it came from, by its identity.
    pub registry: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// The versions, `NAME:N`.
    pub versions: Vec<String>,
    /// Which of them aliases named then.
    pub aliases: Vec<ExportedAlias>,
}

/// What an alias named when it was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExportedAlias {
    /// The model.
    pub model: String,
    /// The alias.
    pub alias: String,
    /// The version.
    pub version: u64,
}

/// A version that was imported, or was there already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Imported {
    /// What it is in the registry that it came from.
    pub from: String,
    /// What it is here.
    pub version: String,
    /// Whether it was not here before.
    pub new: bool,
}

impl Registry {
    /// Writes versions with all their files, and what was said of them, to one file; everything when `references` is
    /// empty. The file appears whole or not at all.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`ErrorKind::Integrity`] when a file was changed.
    pub async fn export(&self, references: &[&str], path: impl AsRef<Path>, progress: &dyn Progress) -> Result<Export> {
        let path = path.as_ref();
        let mut versions: Vec<(String, u64)> = Vec::new();
        for reference in references {
            let version = self.get(reference).await?;
            versions.push((version.model, version.number));
        }
        let aliased = self.models().await?;
        if references.is_empty() {
            for summary in &aliased {
                versions.extend((1..=summary.versions).map(|number| (summary.model.clone(), number)));
            }
        }
        versions.sort();
        versions.dedup();
        let identity = self
            .identity()
            .await?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no registry here").file(&*self.store.place))?;
        let aliases = aliased.iter().flat_map(|summary| {
            summary.aliases.iter().map(|(alias, version)| ExportedAlias {
                model: summary.model.clone(),
                alias: alias.clone(),
                version: *version,
            })
        });
        let export = Export {
            registry: identity.registry.clone(),
            created_at: self.now(),
            aliases: aliases.filter(|a| versions.contains(&(a.model.clone(), a.version))).collect(),
            versions: versions.iter().map(|(model, number)| format!("{model}:{number}")).collect(),
        };
        let failed = |e: std::io::Error| Error::from(e).file(path.display());
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut zip = ZipWriter::new(tempfile::NamedTempFile::new_in(folder).map_err(failed)?);
        add(&mut zip, CONTENTS, &frame::seal(&export)?)?;
        let mut meter = ProgressMeter::new(progress, "export", "versions", Some(versions.len() as u64));
        let mut written = std::collections::HashSet::new();
        for (model, number) in &versions {
            let record = self.versions(model)?.get(*number).await?.unwrap_or_default();
            add(&mut zip, &record_name(model, *number), &record)?;
            let (version, _) = frame::open::<Version>(&record, &record_name(model, *number))?;
            let sample = version.sample.iter().map(|sample| (&sample.blob, sample.bytes));
            for (blob, bytes) in version.files.iter().map(|file| (&file.blob, file.bytes)).chain(sample) {
                if written.insert(blob.sha256) {
                    add(&mut zip, &blob_name(blob.sha256), &self.content(blob, bytes).await?)?;
                }
            }
            meter.advance(1);
        }
        let mut models: Vec<&String> = versions.iter().map(|(model, _)| model).collect();
        models.dedup();
        for model in models {
            for event in self.events(model).await? {
                if versions.contains(&(model.clone(), event.version)) {
                    let bytes = self.events_log(model)?.get(event.number).await?.unwrap_or_default();
                    add(&mut zip, &format!("events/{model}/{:010}.json", event.number), &bytes)?;
                }
            }
        }
        let file = zip.finish().map_err(broken)?;
        file.persist(path).map_err(|e| failed(e.error))?;
        meter.finish();
        Ok(export)
    }

    /// Registers the versions of an export that are not here yet, each under its model's next number; a version that was
    /// imported before, from whatever file, is not registered again. With `aliases`, aliases are then moved to what they
    /// named where the export was made, if their gates here are passed.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when the file is no export; [`ErrorKind::Integrity`] with the digest expected and found;
    /// [`ErrorKind::Refused`] when an alias can't be moved.
    pub async fn import(
        &self,
        path: impl AsRef<Path>,
        aliases: bool,
        progress: &dyn Progress,
    ) -> Result<Vec<Imported>> {
        let path = path.as_ref();
        let file = std::fs::File::open(path).map_err(|e| Error::from(e).file(path.display()))?;
        let mut zip = ZipArchive::new(file).map_err(broken)?;
        let (export, _) = frame::open::<Export>(&member(&mut zip, CONTENTS, frame::LARGEST)?, CONTENTS)?;
        self.writable().await?;
        let mut meter = ProgressMeter::new(progress, "import", "versions", Some(export.versions.len() as u64));
        let mut waiting = Vec::new();
        for reference in &export.versions {
            let name = reference.split_once(':').and_then(|(model, number)| Some((model, number.parse().ok()?)));
            let (model, number) = name.ok_or_else(|| {
                Error::new(ErrorKind::Malformed, "the export names a version that can't be one").actual(reference)
            })?;
            check_model(model)?;
            let bytes = member(&mut zip, &record_name(model, number), frame::LARGEST)?;
            let (version, digest) = frame::open::<Version>(&bytes, reference)?;
            if (version.model.as_str(), version.number) != (model, number) {
                return Err(Error::new(ErrorKind::Integrity, "a record is another than its name says")
                    .expected(reference)
                    .actual(version.reference()));
            }
            waiting.push((version, digest));
        }
        let mut twins: HashMap<Digest, Version> = HashMap::new();
        let mut models: Vec<&str> = waiting.iter().map(|(version, _)| version.model.as_str()).collect();
        models.dedup();
        for model in models {
            for stored in self.all_versions(model).await? {
                twins.insert(source(&stored.record, stored.digest), stored.record);
            }
        }
        let mut numbers: HashMap<(String, u64), u64> = HashMap::new();
        let mut done = Vec::new();
        while !waiting.is_empty() {
            // Parents first, so that children can name them by their new numbers.
            let ready = waiting.iter().position(|(version, _)| {
                !version.lineage.parents.iter().any(|parent| {
                    waiting.iter().any(|(other, _)| (&other.model, other.number) == (&parent.model, parent.number))
                })
            });
            let (version, digest) = waiting.remove(ready.unwrap_or(0));
            let from = version.reference();
            let key = (version.model.clone(), version.number);
            let (here, new) = match twins.get(&source(&version, digest)) {
                Some(twin) => (twin.clone(), false),
                None => self.import_version(&mut zip, &export, version, digest, &numbers).await?,
            };
            numbers.insert(key, here.number);
            done.push(Imported { from, version: here.reference(), new });
            meter.advance(1);
        }
        self.import_events(&mut zip, &export, &numbers).await?;
        if aliases {
            for ExportedAlias { model, alias, version } in &export.aliases {
                let Some(number) = numbers.get(&(model.clone(), *version)) else { continue };
                let named = self.alias_entry(model, alias).await?.and_then(|entry| entry.version);
                if named != Some(*number) {
                    let promotion =
                        Promotion::new().expecting(named).reason(format!("imported from {}", export.registry));
                    self.set_alias(model, alias, *number, &promotion).await?;
                }
            }
        }
        meter.finish();
        Ok(done)
    }

    /// Registers a version of an export; whether it was new.
    async fn import_version(
        &self,
        zip: &mut ZipArchive<std::fs::File>,
        export: &Export,
        mut version: Version,
        digest: Digest,
        numbers: &HashMap<(String, u64), u64>,
    ) -> Result<(Version, bool)> {
        if self.versions(&version.model)?.last().await? == 0 {
            self.check_new_name(&version.model).await?;
        }
        if version.origin.is_none() {
            version.origin = Some(Origin {
                registry: export.registry.clone(),
                model: version.model.clone(),
                number: version.number,
                record: digest,
                imported_at: self.now(),
            });
        }
        for parent in &mut version.lineage.parents {
            if let Some(number) = numbers.get(&(parent.model.clone(), parent.number)) {
                parent.number = *number;
            }
        }
        version.verdicts.iter_mut().for_each(|verdict| renumber(verdict, export, numbers));
        let pin = self.pin(version.blobs().map(|blob| blob.sha256).collect()).await?;
        let origin = version.origin.clone();
        let kept = async {
            let mut files: Vec<FileRecord> = std::mem::take(&mut version.files);
            for file in &mut files {
                file.blob = self.import_blob(zip, file.blob.sha256, file.bytes).await?;
            }
            version.files = files;
            if let Some(mut sample) = version.sample.take() {
                sample.blob = self.import_blob(zip, sample.blob.sha256, sample.bytes).await?;
                version.sample = Some(sample);
            }
            let twin = |other: &Version| {
                let same = origin.as_ref().map(|o| o.record) == other.origin.as_ref().map(|o| o.record);
                same.then(|| other.clone())
            };
            self.append_version(&pin, version, twin).await
        };
        let done = kept.await;
        self.unpin(pin).await;
        done
    }

    async fn import_blob(&self, zip: &mut ZipArchive<std::fs::File>, sha256: Digest, bytes: u64) -> Result<Blob> {
        let content: Arc<[u8]> = member(zip, &blob_name(sha256), bytes)?.into();
        self.keep(sha256, &content).await
    }

    async fn import_events(
        &self,
        zip: &mut ZipArchive<std::fs::File>,
        export: &Export,
        numbers: &HashMap<(String, u64), u64>,
    ) -> Result<()> {
        let mut names: Vec<String> = zip
            .file_names()
            .filter_map(Result::ok)
            .filter(|n| n.starts_with("events/"))
            .map(|n| n.to_string())
            .collect();
        names.sort();
        let mut known: HashMap<String, std::collections::HashSet<Digest>> = HashMap::new();
        for name in names {
            let (mut event, digest) = frame::open::<Event>(&member(zip, &name, frame::LARGEST)?, &name)?;
            let Some(number) = numbers.get(&(event.model.clone(), event.version)) else { continue };
            if !known.contains_key(&event.model) {
                let log = self.events_log(&event.model)?;
                let last = log.last().await?;
                let events = log.range::<Event>(1, last).await?;
                let digests = events.into_iter().map(|stored| stored.record.origin.unwrap_or(stored.digest)).collect();
                known.insert(event.model.clone(), digests);
            }
            let origin = event.origin.unwrap_or(digest);
            let seen = known.get_mut(&event.model).expect("just filled");
            if !seen.insert(origin) {
                continue;
            }
            event.version = *number;
            event.origin = Some(origin);
            if let EventKind::Verdict { verdict } = &mut event.what {
                renumber(verdict, export, numbers);
            }
            let model = event.model.clone();
            self.append_event(&model, |number| Event { number, ..event.clone() }).await?;
        }
        Ok(())
    }
}

/// What tells a version from all others, wherever it was copied to.
fn source(version: &Version, digest: Digest) -> Digest {
    version.origin.as_ref().map_or(digest, |origin| origin.record)
}

/// Makes a verdict name the version here that it compared with; one that is not here must not be taken for another.
fn renumber(verdict: &mut VerdictRecord, export: &Export, numbers: &HashMap<(String, u64), u64>) {
    if let Some(against) = &mut verdict.against {
        match numbers.get(&(against.model.clone(), against.number)) {
            Some(number) => against.number = *number,
            None => against.model = format!("{}/{}", export.registry, against.model),
        }
    }
}

fn record_name(model: &str, number: u64) -> String {
    format!("records/{model}/{number:010}.json")
}

fn blob_name(sha256: Digest) -> String {
    format!("blobs/{sha256}")
}

fn add<W: Write + Seek>(zip: &mut ZipWriter<W>, name: &str, content: &[u8]) -> Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(content.len() as u64 > u64::from(u32::MAX));
    zip.start_file(name, options).map_err(broken)?;
    zip.write_all(content).map_err(Error::from)
}

/// The content of a member, which has at most `limit` bytes.
fn member(zip: &mut ZipArchive<std::fs::File>, name: &str, limit: u64) -> Result<Vec<u8>> {
    let mut member = zip.by_name(name).map_err(|e| {
        Error::new(ErrorKind::Malformed, "the file is no whole export of a registry").file(name).with_source(e)
    })?;
    let mut content = Vec::new();
    member.by_ref().take(limit + 1).read_to_end(&mut content).map_err(|e| Error::from(e).file(name))?;
    if content.len() as u64 > limit {
        return Err(Error::new(ErrorKind::LimitExceeded, "a file in the export is larger than it says").file(name));
    }
    Ok(content)
}

fn broken(error: zip::result::ZipError) -> Error {
    match error {
        zip::result::ZipError::Io(e) => Error::from(e),
        other => Error::new(ErrorKind::Malformed, "the file is no whole export of a registry").with_source(other),
    }
}
