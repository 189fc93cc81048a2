//! Moving aliases.

use super::alias::{AliasAction, AliasEntry, Gate, before};
use super::compat::incompatibilities;
use super::event::{Event, EventKind, is_archived};
use super::log::Record;
use super::record::Version;
use super::registry::Registry;
use super::verdict::VerdictRecord;
use super::{frame, layout};
use crate::{Error, ErrorKind, Result};

/// How an alias is to be moved.
#[derive(Debug, Clone, Default)]
pub struct Promotion {
    expected: Option<Option<u64>>,
    reason: String,
    force: bool,
}

impl Promotion {
    /// A move that is made whatever the alias names now, if its gates are passed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the alias only if it names `version` now (`None`: nothing). Of several writers that expect the same, one
    /// wins.
    #[must_use]
    pub fn expecting(mut self, version: Option<u64>) -> Self {
        self.expected = Some(version);
        self
    }

    /// Says why, for the history.
    #[must_use]
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Moves the alias even if gates are not passed or the signature is not compatible; the reason, and what stood
    /// against it, are recorded.
    #[must_use]
    pub fn overriding(mut self, reason: impl Into<String>) -> Self {
        self.force = true;
        self.reason(reason)
    }
}

impl Registry {
    /// The last entry of an alias; nothing when it was never set.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a name that none can have; [`ErrorKind::Integrity`], [`ErrorKind::Io`].
    pub async fn alias_entry(&self, model: &str, alias: &str) -> Result<Option<AliasEntry>> {
        let log = self.alias_log(model, alias)?;
        match log.last().await? {
            0 => Ok(None),
            last => Ok(log.open::<AliasEntry>(last).await?.map(|stored| stored.record)),
        }
    }

    /// The version that an alias names.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it names none; else as [`alias_entry`](Self::alias_entry).
    pub async fn alias(&self, model: &str, alias: &str) -> Result<u64> {
        self.alias_entry(model, alias)
            .await?
            .and_then(|entry| entry.version)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "the alias names no version").model(model).actual(alias))
    }

    /// The last entry of every alias of `model`, by name.
    ///
    /// # Errors
    /// As [`alias_entry`](Self::alias_entry).
    pub async fn aliases(&self, model: &str) -> Result<Vec<AliasEntry>> {
        super::name::check_model(model)?;
        let names = self.store.folders(&layout::aliases(model)).await?;
        let names = names.into_iter().filter(|name| super::name::check_alias(name).is_ok()).collect();
        let entries = self.store.each(names, |name| async move { self.alias_entry(model, &name).await }).await?;
        Ok(entries.into_iter().flatten().collect())
    }

    /// Every move of an alias, in order.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when it was never set; else as [`alias_entry`](Self::alias_entry).
    pub async fn history(&self, model: &str, alias: &str) -> Result<Vec<AliasEntry>> {
        let log = self.alias_log(model, alias)?;
        let last = log.last().await?;
        if last == 0 {
            return Err(Error::new(ErrorKind::NotFound, "the alias was never set").model(model).actual(alias));
        }
        Ok(log.range::<AliasEntry>(1, last).await?.into_iter().map(|stored| stored.record).collect())
    }

    /// Moves an alias to version `number`.
    ///
    /// Two things are checked: the verdicts that the alias demands (see [`set_gates`](Self::set_gates)), and that callers
    /// of the version it names now can call the new one ([`incompatibilities`]).
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] with the reasons when a check fails or the version is archived; [`ErrorKind::Conflict`] when
    /// the alias does not name what was expected, or another writer moved it first; [`ErrorKind::NotFound`].
    pub async fn set_alias(&self, model: &str, alias: &str, number: u64, promotion: &Promotion) -> Result<AliasEntry> {
        let log = self.alias_log(model, alias)?;
        let version = self.version(model, number).await?;
        self.writable().await?;
        loop {
            let last = log.last().await?;
            let now = match last {
                0 => None,
                last => log.open::<AliasEntry>(last).await?.map(|stored| stored.record),
            };
            expect(promotion, model, alias, now.as_ref())?;
            let against = self.against(&version, alias, now.as_ref()).await?;
            if !against.is_empty() && !promotion.force {
                let message = format!("`{alias}` can't be moved to version {number}: {}", against.join("; "));
                return Err(Error::new(ErrorKind::Refused, message).model(model));
            }
            if promotion.force && promotion.reason.trim().is_empty() {
                return Err(Error::new(ErrorKind::InvalidArgument, "an override needs a reason"));
            }
            let entry = self.entry(model, alias, last + 1, now.as_ref(), AliasAction::Set);
            let entry =
                AliasEntry { version: Some(number), reason: promotion.reason.clone(), overridden: against, ..entry };
            if log.put(entry.number, frame::seal(&entry)?).await? {
                return Ok(entry);
            }
            if promotion.expected.is_some() {
                return Err(conflict(model, alias, "another writer moved the alias first"));
            }
        }
    }

    /// What stands against moving `alias` to `version`.
    async fn against(&self, version: &Version, alias: &str, now: Option<&AliasEntry>) -> Result<Vec<String>> {
        let (model, number) = (version.model.as_str(), version.number);
        let events = self.events(model).await?;
        if is_archived(&events, number) {
            return Err(
                Error::new(ErrorKind::Refused, "the version is archived; restore it first").model(version.reference())
            );
        }
        let current = now.and_then(|entry| entry.version);
        let verdicts = verdicts(version, &events);
        let gates = now.map(|entry| entry.gates.as_slice()).unwrap_or_default();
        let mut against: Vec<String> =
            gates.iter().filter_map(|gate| gate.refusal(alias, current, (model, number), &verdicts)).collect();
        if let Some(current) = current.filter(|current| *current != number) {
            let current = self.version(model, current).await?;
            match (&current.signature, &version.signature) {
                (Some(before), Some(after)) => against.extend(
                    incompatibilities(before, after)
                        .into_iter()
                        .map(|why| format!("callers of version {} can't call it: {why}", current.number)),
                ),
                (Some(_), None) => against.push("its signature is not known".to_owned()),
                (None, _) => {}
            }
        }
        Ok(against)
    }

    /// What stands against moving `alias` to version `number` now; empty when it can be moved.
    ///
    /// # Errors
    /// As [`set_alias`](Self::set_alias), but for what this returns.
    pub async fn check_alias(&self, model: &str, alias: &str, number: u64) -> Result<Vec<String>> {
        let version = self.version(model, number).await?;
        let now = self.alias_entry(model, alias).await?;
        self.against(&version, alias, now.as_ref()).await
    }

    /// Moves an alias back to the version that it named before its last move. Gates are not asked: that version has passed
    /// them.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] as [`set_alias`](Self::set_alias); [`ErrorKind::NotFound`] when there is nothing before;
    /// [`ErrorKind::Refused`] when that version is archived.
    pub async fn rollback(&self, model: &str, alias: &str, promotion: &Promotion) -> Result<AliasEntry> {
        let log = self.alias_log(model, alias)?;
        loop {
            let history = self.history(model, alias).await?;
            let now = history.last();
            expect(promotion, model, alias, now)?;
            let Some(number) = before(&history) else {
                return Err(Error::new(ErrorKind::NotFound, "the alias named no other version before")
                    .model(model)
                    .actual(alias));
            };
            if is_archived(&self.events(model).await?, number) {
                return Err(Error::new(ErrorKind::Refused, "the version before is archived; restore it first")
                    .model(format!("{model}:{number}")));
            }
            self.writable().await?;
            let entry = self.entry(model, alias, history.len() as u64 + 1, now, AliasAction::Rollback);
            let entry = AliasEntry { version: Some(number), reason: promotion.reason.clone(), ..entry };
            if log.put(entry.number, frame::seal(&entry)?).await? {
                return Ok(entry);
            }
            if promotion.expected.is_some() {
                return Err(conflict(model, alias, "another writer moved the alias first"));
            }
        }
    }

    /// Takes an alias away; its history stays.
    ///
    /// # Errors
    /// As [`rollback`](Self::rollback).
    pub async fn remove_alias(&self, model: &str, alias: &str, promotion: &Promotion) -> Result<AliasEntry> {
        self.amend(model, alias, promotion, |entry| AliasEntry { action: AliasAction::Remove, version: None, ..entry })
            .await
    }

    /// Sets what an alias demands of the versions it may name, from now on; the alias need not be set yet.
    ///
    /// # Errors
    /// As [`rollback`](Self::rollback).
    pub async fn set_gates(
        &self,
        model: &str,
        alias: &str,
        gates: &[Gate],
        promotion: &Promotion,
    ) -> Result<AliasEntry> {
        if self.versions(model)?.last().await? == 0 {
            return Err(self.no_model(model).await);
        }
        self.amend(model, alias, promotion, |entry| AliasEntry {
            action: AliasAction::Gates,
            gates: gates.to_vec(),
            ..entry
        })
        .await
    }

    /// Appends an entry that leaves the alias where it is, changed by `change`.
    async fn amend(
        &self,
        model: &str,
        alias: &str,
        promotion: &Promotion,
        change: impl Fn(AliasEntry) -> AliasEntry + Send,
    ) -> Result<AliasEntry> {
        let log = self.alias_log(model, alias)?;
        self.writable().await?;
        loop {
            let now = self.alias_entry(model, alias).await?;
            expect(promotion, model, alias, now.as_ref())?;
            let next = now.as_ref().map_or(0, AliasEntry::number) + 1;
            let entry = self.entry(model, alias, next, now.as_ref(), AliasAction::Set);
            let entry = change(AliasEntry { reason: promotion.reason.clone(), ..entry });
            if log.put(entry.number, frame::seal(&entry)?).await? {
                return Ok(entry);
            }
            if promotion.expected.is_some() {
                return Err(conflict(model, alias, "another writer moved the alias first"));
            }
        }
    }

    /// An entry that changes nothing yet.
    fn entry(
        &self,
        model: &str,
        alias: &str,
        number: u64,
        now: Option<&AliasEntry>,
        action: AliasAction,
    ) -> AliasEntry {
        let current = now.and_then(|entry| entry.version);
        AliasEntry {
            model: model.to_owned(),
            alias: alias.to_owned(),
            number,
            action,
            version: current,
            previous: current,
            gates: now.map(|entry| entry.gates.clone()).unwrap_or_default(),
            at: self.now(),
            by: self.author.to_string(),
            reason: String::new(),
            overridden: Vec::new(),
        }
    }
}

/// What was said of `version`, the latest last.
pub(crate) fn verdicts<'a>(version: &'a Version, events: &'a [Event]) -> Vec<&'a VerdictRecord> {
    let later = events.iter().filter(|event| event.version == version.number).filter_map(|event| match &event.what {
        EventKind::Verdict { verdict } => Some(verdict),
        _ => None,
    });
    version.verdicts.iter().chain(later).collect()
}

fn expect(promotion: &Promotion, model: &str, alias: &str, now: Option<&AliasEntry>) -> Result<()> {
    let current = now.and_then(|entry| entry.version);
    match promotion.expected {
        Some(expected) if expected != current => {
            let words = |version: Option<u64>| version.map_or("none".to_owned(), |n| format!("version {n}"));
            Err(conflict(model, alias, "the alias does not name what was expected")
                .expected(words(expected))
                .actual(words(current)))
        }
        _ => Ok(()),
    }
}

fn conflict(model: &str, alias: &str, message: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("{message}; nothing was changed")).model(format!("{model}@{alias}"))
}
