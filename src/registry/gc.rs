//! Collecting content that no version needs.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::blobs::PinRecord;
use super::record::{Blob, Version};
use super::registry::Registry;
use super::{frame, layout};
use crate::{Progress, ProgressMeter, Result};

/// The grace period unless another is asked for: a week.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a collection found, and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Collection {
    /// Whether it only looked.
    pub dry_run: bool,
    /// The keys that were collected, or would be.
    pub collected: Vec<String>,
    /// Their bytes.
    pub collected_bytes: u64,
    /// Unneeded content that is younger than the grace period.
    pub young: u64,
    /// Unneeded content that a register that has not ended holds on to, or did when it was stopped, less than a day ago.
    pub pinned: u64,
    /// Content that versions need.
    pub needed: u64,
}

impl Registry {
    /// Deletes content that no version needs and that is older than `grace`; what is left behind when a register fails or
    /// is killed. With `dry_run` it only says what it would delete.
    ///
    /// Registers may go on meanwhile, and several collections: see the manual on why none loses content.
    ///
    /// # Errors
    /// [`ErrorKind::Integrity`](crate::ErrorKind::Integrity) when a record can't be read: nothing is deleted then, since it
    /// may have named anything. [`ErrorKind::Io`](crate::ErrorKind::Io).
    pub async fn gc(&self, grace: Duration, dry_run: bool, progress: &dyn Progress) -> Result<Collection> {
        self.identity().await?;
        let mut meter = ProgressMeter::new(progress, "gc", "objects", None);
        let now = self.now();
        let mut read = HashMap::new();
        let mut needed = HashSet::new();
        self.needed(&mut read, &mut needed).await?;
        let mut found = Collection { dry_run, ..Collection::default() };
        let mut candidates = Vec::new();
        for entry in self.store.list(layout::BLOBS).await? {
            meter.advance(1);
            let Some(blob) = layout::blob_at(&entry.key) else { continue };
            if needed.contains(&blob) {
                found.needed += 1;
            } else if entry.modified.age_at(now) < grace {
                found.young += 1;
            } else {
                candidates.push((blob, entry.bytes));
            }
        }
        if !dry_run && !candidates.is_empty() {
            self.writable().await?;
            let marks = candidates.iter().map(|(blob, _)| layout::dead(blob)).collect();
            self.store.each(marks, |key| async move { self.store.create(&key, "collected\n".into()).await }).await?;
        }
        // Only what is read after the marks were set tells what is safe to delete.
        let pinned = self.pinned(dry_run).await?;
        self.needed(&mut read, &mut needed).await?;
        candidates.sort_by(|a, b| a.0.cmp(&b.0));
        for (blob, bytes) in candidates {
            meter.advance(1);
            if needed.contains(&blob) {
                found.needed += 1;
            } else if pinned.contains(&blob.sha256) {
                found.pinned += 1;
            } else {
                let key = layout::blob(&blob);
                if !dry_run {
                    self.store.delete(&key).await?;
                }
                found.collected_bytes += bytes;
                found.collected.push(key);
            }
        }
        // A write takes seconds; one that began a day ago was killed.
        let unfinished = self.store.delete_unfinished(grace.max(2 * Self::LONGEST_REGISTER), dry_run).await?;
        for (key, bytes) in unfinished {
            found.collected_bytes += bytes;
            found.collected.push(key);
        }
        if !dry_run {
            self.tidy().await?;
        }
        meter.finish();
        Ok(found)
    }

    /// Adds to `needed` what the versions need that were registered since `read` was filled.
    async fn needed(&self, read: &mut HashMap<String, u64>, needed: &mut HashSet<Blob>) -> Result<()> {
        for model in self.store.folders(layout::MODELS).await? {
            if super::name::check_model(&model).is_err() {
                continue;
            }
            let versions = self.versions(&model)?;
            let (known, last) = (read.get(&model).copied().unwrap_or(0), versions.last().await?);
            for stored in versions.range::<Version>(known + 1, last).await? {
                needed.extend(stored.record.blobs().cloned());
            }
            read.insert(model, last);
        }
        Ok(())
    }

    /// The content that unfinished registers hold on to. Pins of registers that must have ended are taken away.
    async fn pinned(&self, dry_run: bool) -> Result<HashSet<crate::Digest>> {
        let now = self.now();
        let mut pinned = HashSet::new();
        for entry in self.store.list(layout::PINS).await? {
            // Twice as long as a register may take, for clocks that differ.
            if entry.modified.age_at(now) > 2 * Self::LONGEST_REGISTER {
                if !dry_run {
                    self.store.delete(&entry.key).await?;
                }
            } else if let Some(bytes) = self.store.read(&entry.key, frame::LARGEST).await? {
                pinned.extend(frame::open::<PinRecord>(&bytes, &entry.key)?.0.content);
            }
        }
        Ok(pinned)
    }

    /// Writes the packs that registers did not get to.
    async fn tidy(&self) -> Result<()> {
        for model in self.store.folders(layout::MODELS).await? {
            if super::name::check_model(&model).is_ok() {
                for log in [self.versions(&model)?, self.events_log(&model)?] {
                    let last = log.last().await?;
                    log.write_packs(1, last).await?;
                }
            }
        }
        Ok(())
    }
}
