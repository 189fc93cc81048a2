//! Numbered, append-only logs of create-only records: how versions, aliases and events are kept.
//!
//! Record n exists only if n - 1 does, and none is ever deleted or changed. So the last one is found by asking for few
//! of them, without a listing, and of two writers of one number the store lets one win.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::frame;
use super::name::MOST;
use super::store::Store;
use crate::{Digest, Error, ErrorKind, Result};

/// So many records, from a multiple on, are also kept in one object, so that many are read with few requests.
pub(crate) const PACK: u64 = 256;

/// The last number seen of each log, from which the search for the last one starts.
pub(crate) type Seen = Arc<Mutex<HashMap<String, u64>>>;

/// The log whose records are `{folder}/{number, ten digits}.json`.
#[derive(Debug, Clone)]
pub(crate) struct Log<'s> {
    store: &'s Store,
    seen: &'s Seen,
    folder: String,
}

impl<'s> Log<'s> {
    pub(crate) fn new(store: &'s Store, seen: &'s Seen, folder: String) -> Self {
        Self { store, seen, folder }
    }

    pub(crate) fn key(&self, number: u64) -> String {
        format!("{}/{number:010}.json", self.folder)
    }

    /// The key of the pack that ends with record `last`, a multiple of [`PACK`].
    pub(crate) fn pack_key(&self, last: u64) -> String {
        format!("{}/pack-{last:010}.jsonl", self.folder)
    }

    fn seen(&self) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(&self.folder).copied().unwrap_or(0)
    }

    fn saw(&self, number: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.entry(self.folder.clone()).or_default();
        *known = number.max(*known);
    }

    async fn exists(&self, number: u64) -> Result<bool> {
        if number > MOST {
            return Ok(false);
        }
        Ok(self.store.head(&self.key(number)).await?.is_some())
    }

    /// The number of the last record; 0 when there is none.
    pub(crate) async fn last(&self) -> Result<u64> {
        let mut low = self.seen();
        let mut step = 1;
        // In strides that double until one misses.
        let mut high = 'found: loop {
            let probes: Vec<u64> = (0..self.probes()).map(|i| low + (step << i)).collect();
            step <<= probes.len();
            for (number, there) in probes.iter().zip(self.ask(&probes).await?) {
                if !there {
                    break 'found *number;
                }
                low = *number;
            }
        };
        // Then the gap is divided evenly.
        while high - low > 1 {
            let parts = (self.probes() as u64 + 1).min(high - low);
            let probes: Vec<u64> = (1..parts).map(|i| low + (high - low) * i / parts).collect();
            for (number, there) in probes.iter().zip(self.ask(&probes).await?) {
                if !there {
                    high = *number;
                    break;
                }
                low = *number;
            }
        }
        self.saw(low);
        Ok(low)
    }

    /// The number of the last record by a listing of all; dearer than [`last`](Self::last), and right where records are
    /// missing.
    pub(crate) async fn last_listed(&self) -> Result<u64> {
        let entries = self.store.list(&self.folder).await?;
        let number = |key: &str| {
            let number = key.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()?;
            (self.key(number) == key).then_some(number)
        };
        Ok(entries.iter().filter_map(|entry| number(&entry.key)).max().unwrap_or(0))
    }

    /// How many numbers are asked for at once.
    fn probes(&self) -> usize {
        self.store.width.min(8)
    }

    async fn ask(&self, numbers: &[u64]) -> Result<Vec<bool>> {
        self.store.each(numbers.to_vec(), |number| self.exists(number)).await
    }

    /// The bytes of record `number`, or nothing where there is none.
    pub(crate) async fn get(&self, number: u64) -> Result<Option<Bytes>> {
        let record = self.store.read(&self.key(number), frame::LARGEST).await?;
        if record.is_some() {
            self.saw(number);
        }
        Ok(record)
    }

    /// Writes record `number`, which must be the one after the last; whether it was still free.
    pub(crate) async fn put(&self, number: u64, record: Vec<u8>) -> Result<bool> {
        if number > MOST {
            return Err(Error::new(ErrorKind::LimitExceeded, "the log is full").file(&self.folder));
        }
        let record = Bytes::from(record);
        let created = self.store.create(&self.key(number), record.clone()).await?;
        self.saw(number);
        // A store on a network may have written the record and lost the answer, and refused the same when it was asked again.
        Ok(created || self.get(number).await?.is_some_and(|there| there == record))
    }

    /// Record `number`, opened; nothing where there is none.
    pub(crate) async fn open<R: Record>(&self, number: u64) -> Result<Option<Stored<R>>> {
        self.get(number).await?.map(|bytes| self.opened(number, &bytes)).transpose()
    }

    fn opened<R: Record>(&self, number: u64, bytes: &[u8]) -> Result<Stored<R>> {
        let place = || format!("{}/{}", self.store.place, self.key(number));
        let (record, digest) = frame::open::<R>(bytes, &place())?;
        if record.number() != number {
            return Err(Error::new(
                ErrorKind::Integrity,
                "the record is another than its name says; restore it from a copy",
            )
            .file(place())
            .expected(format!("number {number}"))
            .actual(format!("number {}", record.number())));
        }
        Ok(Stored { record, digest })
    }

    /// Every record from `first` to `last`, in order: from packs where they are whole, else one by one.
    pub(crate) async fn range<R: Record>(&self, first: u64, last: u64) -> Result<Vec<Stored<R>>> {
        if first > last {
            return Ok(Vec::new());
        }
        let spans: Vec<(u64, u64)> = ((first - 1) / PACK..=(last - 1) / PACK)
            .map(|i| ((i * PACK + 1).max(first), ((i + 1) * PACK).min(last)))
            .collect();
        let read = self.store.each(spans, |(from, to)| self.span(from, to)).await?;
        Ok(read.into_iter().flatten().collect())
    }

    /// The records from `from` to `to`, which lie in one pack.
    async fn span<R: Record>(&self, from: u64, to: u64) -> Result<Vec<Stored<R>>> {
        let end = to.div_ceil(PACK) * PACK;
        // A few records cost less by themselves.
        if to - from >= PACK / 8
            && let Some(mut pack) = self.pack(end).await?
        {
            let first = end - PACK + 1;
            pack.truncate((to - first + 1) as usize);
            return Ok(pack.split_off((from - first) as usize));
        }
        self.singly((from..=to).collect()).await?.iter().map(|(number, bytes)| self.opened(*number, bytes)).collect()
    }

    /// The records of the pack that ends with `end`, where it is there and every record of it is whole.
    async fn pack<R: Record>(&self, end: u64) -> Result<Option<Vec<Stored<R>>>> {
        let Some(pack) = self.store.read(&self.pack_key(end), frame::LARGEST * PACK).await? else { return Ok(None) };
        let records = frame::split(&pack);
        if records.len() as u64 != PACK {
            return Ok(None);
        }
        // A broken pack is no loss: the records themselves are what counts.
        let opened = records.iter().zip(end - PACK + 1..).map(|(record, number)| self.opened(number, record));
        Ok(opened.collect::<Result<_>>().ok())
    }

    async fn singly(&self, numbers: Vec<u64>) -> Result<Vec<(u64, Bytes)>> {
        self.store
            .each(numbers, |number| async move {
                let record = self.get(number).await?.ok_or_else(|| {
                    Error::new(ErrorKind::Integrity, "a record is missing from the registry; restore it from a copy")
                        .file(format!("{}/{}", self.store.place, self.key(number)))
                })?;
                Ok((number, record))
            })
            .await
    }

    /// Writes the packs that are due and not there; how many.
    pub(crate) async fn write_packs(&self, first: u64, last: u64) -> Result<u64> {
        let mut written = 0;
        for end in ((first.max(1)).div_ceil(PACK)..=last / PACK).map(|i| i * PACK) {
            if self.store.head(&self.pack_key(end)).await?.is_some() {
                continue;
            }
            let records = self.singly((end - PACK + 1..=end).collect()).await?;
            let pack: Vec<u8> = records.iter().flat_map(|(_, record)| record.iter().copied()).collect();
            written += u64::from(self.store.create(&self.pack_key(end), pack.into()).await?);
        }
        Ok(written)
    }
}

/// What stands in a log.
pub(crate) trait Record: serde::de::DeserializeOwned + serde::Serialize + Send {
    /// Its place in the log, which it states itself.
    fn number(&self) -> u64;
}

/// A record as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Stored<R> {
    pub(crate) record: R,
    /// The digest that its bytes end with.
    pub(crate) digest: Digest,
}
