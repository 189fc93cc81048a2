//! Hashing everything again.

use std::collections::HashSet;

use super::alias::AliasEntry;
use super::event::Event;
use super::frame;
use super::layout;
use super::log::{Log, PACK, Record};
use super::record::Version;
use super::registry::Registry;
use crate::{Error, Progress, ProgressMeter, Result};

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// Where.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// The digest that was expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// The digest that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// Records whose digests were compared.
    pub records: u64,
    /// Blobs whose digests were compared.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub faults: Vec<Fault>,
}

impl Verification {
    fn fault(&mut self, place: String, error: &Error) {
        self.faults.push(Fault {
            place: error.file_name().map_or(place, str::to_owned),
            message: error.message().to_owned(),
            expected: error.expected_text().map(str::to_owned),
            found: error.actual_text().map(str::to_owned),
        });
    }
}

impl Registry {
    /// Reads every record and every file of every version, and compares their digests.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the store can't be read or listed; what is wrong in it is no error but
    /// a fault.
    pub async fn verify(&self, progress: &dyn Progress) -> Result<Verification> {
        let mut meter = ProgressMeter::new(progress, "verify", "objects", None);
        let mut done = Verification::default();
        if let Err(error) = self.identity().await {
            done.fault(layout::ROOT.to_owned(), &error);
        }
        let mut blobs = HashSet::new();
        for model in self.store.folders(layout::MODELS).await? {
            if let Err(error) = super::name::check_model(&model) {
                done.fault(format!("{}/{model}", layout::MODELS), &error);
                continue;
            }
            let versions = self.versions(&model)?;
            for version in self.verify_log::<Version>(&versions, &mut done, &mut meter).await? {
                for file in &version.files {
                    blobs.insert((file.blob.clone(), file.bytes));
                }
                blobs.extend(version.sample.map(|sample| (sample.blob, sample.bytes)));
            }
            self.verify_log::<Event>(&self.events_log(&model)?, &mut done, &mut meter).await?;
            for alias in self.store.folders(&layout::aliases(&model)).await? {
                match self.alias_log(&model, &alias) {
                    Ok(log) => drop(self.verify_log::<AliasEntry>(&log, &mut done, &mut meter).await?),
                    Err(error) => done.fault(layout::alias(&model, &alias), &error),
                }
            }
        }
        let mut blobs: Vec<_> = blobs.into_iter().collect();
        blobs.sort();
        for (blob, bytes) in blobs {
            meter.advance(1);
            done.blobs += 1;
            done.bytes += bytes;
            if let Err(error) = self.content(&blob, bytes).await {
                done.fault(layout::blob(&blob), &error);
            }
        }
        meter.finish();
        Ok(done)
    }

    /// The records of a log that are whole; the others are faults.
    async fn verify_log<R: Record>(
        &self,
        log: &Log<'_>,
        done: &mut Verification,
        meter: &mut ProgressMeter<'_>,
    ) -> Result<Vec<R>> {
        let mut whole = Vec::new();
        // The last one is asked of a listing, so that a gap is noticed.
        for number in 1..=log.last_listed().await? {
            meter.advance(1);
            done.records += 1;
            match log.open::<R>(number).await {
                Ok(Some(stored)) => whole.push(stored.record),
                Ok(None) => {
                    let error = Error::new(crate::ErrorKind::Integrity, "a record is missing; restore it from a copy");
                    done.fault(log.key(number), &error);
                }
                Err(error) => done.fault(log.key(number), &error),
            }
            if number % PACK == 0
                && let Some(pack) = self.store.read(&log.pack_key(number), frame::LARGEST * PACK).await?
            {
                let records = frame::split(&pack);
                let broken =
                    records.iter().find_map(|r| frame::open::<serde_json::Value>(r, &log.pack_key(number)).err());
                if let Some(error) = broken {
                    done.fault(log.pack_key(number), &error);
                } else if records.len() as u64 != PACK {
                    let error =
                        Error::new(crate::ErrorKind::Integrity, "the pack does not hold its records; delete it");
                    done.fault(log.pack_key(number), &error);
                }
            }
        }
        Ok(whole)
    }
}
