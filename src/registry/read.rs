//! Finding versions.

use std::path::{Path, PathBuf};

use super::alias::AliasEntry;
use super::blobs::blocking;
use super::event::{Event, EventKind, is_archived};
use super::log::{Record, Stored};
use super::name::{Reference, Selector};
use super::query::Query;
use super::record::Version;
use super::registry::Registry;
use super::verdict::VerdictRecord;
use super::{frame, layout};
use crate::{Error, ErrorKind, Result};

/// A version in a list.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// The version's record.
    #[serde(flatten)]
    pub version: Version,
    /// Whether it is archived.
    pub archived: bool,
    /// The aliases that name it.
    pub aliases: Vec<String>,
}

/// A model in a list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ModelSummary {
    /// Its name.
    pub model: String,
    /// How many versions it has, which is also the number of the newest.
    pub versions: u64,
    /// Its aliases with the versions they name.
    pub aliases: Vec<(String, u64)>,
}

impl Registry {
    /// The version that `reference` names: `NAME@ALIAS`, `NAME:N`, or `NAME` for the newest that is not archived.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Integrity`] when its record was changed; [`ErrorKind::Io`].
    pub async fn get(&self, reference: &str) -> Result<Version> {
        self.resolve(&reference.parse()?).await.map(|(version, _)| version)
    }

    /// The version that a reference names, and the entry of the alias that says so, where one does.
    pub(crate) async fn resolve(&self, reference: &Reference) -> Result<(Version, Option<AliasEntry>)> {
        match reference.selector() {
            Selector::Number(number) => Ok((self.version(reference.model(), *number).await?, None)),
            Selector::Alias(alias) => {
                let entry = self.alias_entry(reference.model(), alias).await?;
                let Some(number) = entry.as_ref().and_then(|entry| entry.version) else {
                    return Err(self.no_alias(reference.model(), alias).await);
                };
                Ok((self.version(reference.model(), number).await?, entry))
            }
            Selector::Latest => {
                let last = self.versions(reference.model())?.last().await?;
                let events = self.events(reference.model()).await?;
                match (1..=last).rev().find(|number| !is_archived(&events, *number)) {
                    Some(number) => Ok((self.version(reference.model(), number).await?, None)),
                    None if last == 0 => Err(self.no_model(reference.model()).await),
                    None => {
                        Err(Error::new(ErrorKind::NotFound, "every version of this model is archived").model(reference))
                    }
                }
            }
        }
    }

    /// Version `number` of `model`.
    pub(crate) async fn version(&self, model: &str, number: u64) -> Result<Version> {
        let versions = self.versions(model)?;
        match versions.open::<Version>(number).await? {
            Some(stored) => self.of_model(stored, model),
            None => Err(match versions.last().await? {
                0 => self.no_model(model).await,
                last => Error::new(ErrorKind::NotFound, "the model has no such version")
                    .model(model)
                    .expected(format!("1 to {last}"))
                    .actual(number),
            }),
        }
    }

    fn of_model(&self, stored: Stored<Version>, model: &str) -> Result<Version> {
        if stored.record.model == model {
            return Ok(stored.record);
        }
        Err(Error::new(ErrorKind::Integrity, "the record lies in the folder of another model")
            .file(format!("{}/{}", self.store.place, layout::versions(model)))
            .expected(model)
            .actual(stored.record.model))
    }

    /// The error for a model that is not there; one for a registry of a layout that can't be read, where that is why.
    pub(crate) async fn no_model(&self, model: &str) -> Error {
        match self.identity().await {
            Err(e) => e,
            Ok(None) => Error::new(ErrorKind::NotFound, "there is no registry here, or nothing was registered yet")
                .file(&*self.store.place),
            Ok(Some(_)) => {
                Error::new(ErrorKind::NotFound, "there is no model of this name in the registry").model(model)
            }
        }
    }

    async fn no_alias(&self, model: &str, alias: &str) -> Error {
        let last = match self.versions(model) {
            Ok(versions) => versions.last().await,
            Err(e) => return e,
        };
        if !matches!(last, Ok(1..)) {
            return self.no_model(model).await;
        }
        let there = self.store.folders(&layout::aliases(model)).await.unwrap_or_default();
        let there = if there.is_empty() { "none yet".to_owned() } else { there.join(", ") };
        Error::new(ErrorKind::NotFound, "the model has no such alias").model(model).expected(there).actual(alias)
    }

    /// The models, by name.
    ///
    /// # Errors
    /// [`ErrorKind::Io`].
    pub async fn models(&self) -> Result<Vec<ModelSummary>> {
        self.identity().await?;
        let names = self.store.folders(layout::MODELS).await?;
        let mut found = Vec::new();
        // What else lies there is not ours.
        for model in names.into_iter().filter(|name| super::name::check_model(name).is_ok()) {
            let versions = self.versions(&model)?.last().await?;
            if versions == 0 {
                continue;
            }
            let aliases = self.aliases(&model).await?.into_iter();
            let aliases = aliases.filter_map(|entry| Some((entry.alias, entry.version?))).collect();
            found.push(ModelSummary { model, versions, aliases });
        }
        Ok(found)
    }

    /// Every version of `model`, in order.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Integrity`], [`ErrorKind::Io`].
    pub async fn list(&self, model: &str) -> Result<Vec<Listed>> {
        let records = self.all_versions(model).await?;
        if records.is_empty() {
            return Err(self.no_model(model).await);
        }
        let events = self.events(model).await?;
        let aliases = self.aliases(model).await?;
        let listed = records.into_iter().map(|stored| {
            let version = stored.record;
            let number = version.number;
            let names = aliases.iter().filter(|entry| entry.version == Some(number));
            let names = names.map(|entry| entry.alias.clone()).collect();
            Listed { archived: is_archived(&events, number), aliases: names, version }
        });
        Ok(listed.collect())
    }

    /// The records of every version of `model`.
    pub(crate) async fn all_versions(&self, model: &str) -> Result<Vec<Stored<Version>>> {
        let versions = self.versions(model)?;
        let last = versions.last().await?;
        versions.range(1, last).await
    }

    /// The versions that `query` finds, by model and number.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn search(&self, query: &Query) -> Result<Vec<Listed>> {
        let models = match query.only_model() {
            Some(model) => vec![model.to_owned()],
            None => self.models().await?.into_iter().map(|summary| summary.model).collect(),
        };
        let mut found = Vec::new();
        for model in models {
            found.extend(self.list(&model).await?.into_iter().filter(|listed| query.finds(&listed.version)));
        }
        Ok(found)
    }

    /// What was said of the versions of `model` after they were registered, in order.
    ///
    /// # Errors
    /// [`ErrorKind::Integrity`], [`ErrorKind::Io`].
    pub async fn events(&self, model: &str) -> Result<Vec<Event>> {
        let log = self.events_log(model)?;
        let last = log.last().await?;
        Ok(log.range::<Event>(1, last).await?.into_iter().map(|stored| stored.record).collect())
    }

    /// Appends `what` to what is said of version `number` of `model`.
    pub(crate) async fn say(&self, model: &str, number: u64, what: EventKind) -> Result<Event> {
        self.version(model, number).await?;
        self.writable().await?;
        let event = |number_of_event| Event {
            model: model.to_owned(),
            number: number_of_event,
            version: number,
            at: self.now(),
            by: self.author.to_string(),
            what: what.clone(),
            origin: None,
        };
        self.append_event(model, event).await
    }

    pub(crate) async fn append_event(&self, model: &str, make: impl Fn(u64) -> Event + Send) -> Result<Event> {
        let log = self.events_log(model)?;
        loop {
            let event = make(log.last().await? + 1);
            if log.put(event.number(), frame::seal(&event)?).await? {
                let _ = log.write_packs(event.number, event.number).await;
                return Ok(event);
            }
        }
    }

    /// Appends a remark to a version.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`ErrorKind::Io`].
    pub async fn note(&self, reference: &str, text: &str) -> Result<Event> {
        let version = self.get(reference).await?;
        self.say(&version.model, version.number, EventKind::Note { text: text.to_owned() }).await
    }

    /// Appends what a suite said of a version.
    ///
    /// # Errors
    /// As [`get`](Self::get), and [`ErrorKind::Io`].
    pub async fn add_verdict(&self, reference: &str, verdict: impl Into<VerdictRecord> + Send) -> Result<Event> {
        let mut verdict = verdict.into();
        verdict.at.get_or_insert(self.now());
        let version = self.get(reference).await?;
        self.say(&version.model, version.number, EventKind::Verdict { verdict }).await
    }

    /// Archives a version: no alias can be moved to it, and it is no longer the newest.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when an alias names it; else as [`get`](Self::get).
    pub async fn archive(&self, reference: &str, reason: &str) -> Result<Event> {
        let version = self.get(reference).await?;
        let entries = self.aliases(&version.model).await?;
        if let Some(entry) = entries.iter().find(|entry| entry.version == Some(version.number)) {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("the alias `{}` names this version; move it first", entry.alias),
            )
            .model(version.reference()));
        }
        self.say(&version.model, version.number, EventKind::Archived { reason: reason.to_owned() }).await
    }

    /// Takes a version out of the archive.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn restore(&self, reference: &str, reason: &str) -> Result<Event> {
        let version = self.get(reference).await?;
        self.say(&version.model, version.number, EventKind::Restored { reason: reason.to_owned() }).await
    }

    /// Writes the files of a version to `path`: one file, or a directory where there are several. Nothing appears there
    /// before every digest was found right.
    ///
    /// # Errors
    /// As [`get`](Self::get); [`ErrorKind::Integrity`] with the digest expected and found.
    pub async fn download(&self, reference: &str, path: impl AsRef<Path>) -> Result<Version> {
        let version = self.get(reference).await?;
        let path: PathBuf = path.as_ref().to_owned();
        let mut contents = Vec::with_capacity(version.files.len());
        for file in &version.files {
            contents.push((file.path.clone(), self.content(&file.blob, file.bytes).await?));
        }
        blocking(move || write_files(&path, contents)).await?;
        Ok(version)
    }
}

fn write_files(path: &Path, contents: Vec<(String, bytes::Bytes)>) -> Result<()> {
    let failed = |e: std::io::Error| Error::from(e).file(path.display());
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let [(_, content)] = contents.as_slice() {
        let mut file = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
        std::io::Write::write_all(&mut file, content).map_err(failed)?;
        file.persist(path).map_err(|e| failed(e.error))?;
        return Ok(());
    }
    let directory = tempfile::tempdir_in(parent).map_err(failed)?;
    for (name, content) in contents {
        let inside = crate::load::confined(&name).ok_or_else(|| {
            Error::new(ErrorKind::Malformed, "a file of the version would be written outside of the directory")
                .actual(&name)
        })?;
        let target = directory.path().join(inside);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(&target, content).map_err(failed)?;
    }
    std::fs::rename(directory.path(), path).map_err(failed)?;
    // It has another name now.
    let _ = directory.keep();
    Ok(())
}
