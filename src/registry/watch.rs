//! Following an alias.

use std::time::Duration;

use super::load::Loaded;
use super::name::{Reference, Selector};
use super::registry::Registry;
use crate::{Error, ErrorKind, Loader, Result};

/// Yields the model that a reference names, then each that it names later. Made by [`Registry::watch`].
///
/// An alias is a log of numbered entries that never change, so that a poll asks for one object: the entry after the last
/// one seen. A model is yielded once it is loaded and checked whole.
#[derive(Debug)]
pub struct Watch {
    registry: Registry,
    reference: Reference,
    loader: Loader,
    every: Duration,
    /// The last number of the log that was looked at, and the version that was yielded.
    seen: Option<(u64, u64)>,
    polled: bool,
}

impl Registry {
    /// Follows `reference`, an alias or the newest version, asking the store `every` so often.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a reference that can never name another version.
    pub fn watch(&self, reference: &str, every: Duration) -> Result<Watch> {
        let reference: Reference = reference.parse()?;
        if matches!(reference.selector(), Selector::Number(_)) {
            return Err(Error::new(ErrorKind::InvalidArgument, "a version never changes; watch an alias")
                .expected("NAME@ALIAS, or NAME for its newest version"));
        }
        Ok(Watch { registry: self.clone(), reference, loader: Loader::new(), every, seen: None, polled: false })
    }
}

impl Watch {
    /// Loads with these options.
    #[must_use]
    pub fn loader(mut self, loader: Loader) -> Self {
        self.loader = loader;
        self
    }

    /// Waits for the next model; the first is there at once.
    ///
    /// # Errors
    /// As [`Registry::load`]. Whoever goes on calling goes on watching: the store is asked again after the interval.
    pub async fn next(&mut self) -> Result<Loaded> {
        loop {
            if self.polled {
                tokio::time::sleep(self.every).await;
            }
            if let Some(loaded) = self.poll().await? {
                return Ok(loaded);
            }
        }
    }

    /// How long [`next`](Self::next) waits between two polls.
    #[must_use]
    pub const fn every(&self) -> Duration {
        self.every
    }

    /// Asks the store once, without waiting; a model when there is a new one.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn poll(&mut self) -> Result<Option<Loaded>> {
        self.polled = true;
        // Read before the entry itself, so that a move in between is seen by the next poll.
        let last = match (self.last().await, self.seen) {
            (Ok(last), Some((seen, _))) if last == seen => return Ok(None),
            (Ok(last), _) => last,
            // What is in use stays in use while the store is away; at the start the cache may know.
            (Err(error), Some(_)) => return Err(error),
            (Err(_), None) => 0,
        };
        if let Some((_, yielded)) = self.seen {
            let (version, _) = self.registry.resolve(&self.reference).await?;
            if version.number == yielded {
                self.seen = Some((last, yielded));
                return Ok(None);
            }
        }
        let (loaded, _) = self.registry.load_resolved(&self.reference, &self.loader).await?;
        self.seen = Some((last, loaded.version.number));
        Ok(Some(loaded))
    }

    /// A number that grows when the reference may name another version.
    async fn last(&self) -> Result<u64> {
        match self.reference.selector() {
            Selector::Alias(alias) => self.registry.alias_log(self.reference.model(), alias)?.last().await,
            _ => {
                let versions = self.registry.versions(self.reference.model())?.last().await?;
                Ok(versions + self.registry.events_log(self.reference.model())?.last().await?)
            }
        }
    }
}
