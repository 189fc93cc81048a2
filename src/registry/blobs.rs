//! Content by its digest, and the protocol by which registers and collections of garbage race safely.
//!
//! A register writes a pin that names its digests, then asks for each whether its key is marked dead, then makes sure of
//! the content, then writes its record, then takes the pin away. A collection marks keys dead, then reads the pins and
//! the records, and deletes the content that neither names. Whichever comes first, the other sees it: either the
//! register finds the mark and takes the digest's next key, or the collection finds the pin or the record. Marks are
//! never taken away, so that a collection that was stopped in between can go on at any time.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::record::Blob;
use super::registry::Registry;
use super::time::Timestamp;
use super::{frame, layout};
use crate::{Digest, Error, ErrorKind, Result};

/// No content was collected as garbage so often.
const MOST_COPIES: u32 = 10_000;

/// A number that no other process draws.
pub(crate) fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    hasher.finish()
}

/// What an unfinished register holds on to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PinRecord {
    pub(crate) at: Timestamp,
    pub(crate) by: String,
    pub(crate) content: Vec<Digest>,
}

/// A pin, until it is taken away.
#[derive(Debug)]
pub(crate) struct Pin {
    key: String,
    began: Instant,
}

impl Registry {
    /// Holds on to `content` before it is looked for.
    pub(crate) async fn pin(&self, content: Vec<Digest>) -> Result<Pin> {
        let began = Instant::now();
        let bytes = Bytes::from(frame::seal(&PinRecord { at: self.now(), by: self.author.to_string(), content })?);
        loop {
            let key = format!("{}/{:016x}.json", layout::PINS, random());
            if self.store.create(&key, bytes.clone()).await? {
                return Ok(Pin { key, began });
            }
        }
    }

    /// Takes a pin away. One that is left behind by a failure costs nothing but the time until its content can be
    /// collected.
    pub(crate) async fn unpin(&self, pin: Pin) {
        let _ = self.store.delete(&pin.key).await;
    }

    /// Makes sure that a pin still counts.
    pub(crate) fn still_pinned(&self, pin: &Pin) -> Result<()> {
        if pin.began.elapsed() > Self::LONGEST_REGISTER {
            return Err(Error::new(
                ErrorKind::Conflict,
                "this took so long that the files may have been collected as garbage; register again",
            ));
        }
        Ok(())
    }

    /// Makes sure that pinned content is in the store; where it is.
    pub(crate) async fn keep(&self, sha256: Digest, content: &Arc<[u8]>) -> Result<Blob> {
        let found = Digest::of(content);
        if found != sha256 {
            return Err(Error::new(ErrorKind::Integrity, "the content is another than was announced")
                .expected(sha256)
                .actual(found));
        }
        for copy in 0..MOST_COPIES {
            let blob = Blob { sha256, copy };
            if self.store.head(&layout::dead(&blob)).await?.is_some() {
                continue;
            }
            let key = layout::blob(&blob);
            match self.store.head(&key).await? {
                Some(entry) if entry.bytes == content.len() as u64 => {}
                Some(entry) => return Err(wrong_length(&entry.key, content.len() as u64, entry.bytes)),
                None => {
                    // Another register may have been first with the same content.
                    let _ = self.store.create(&key, Bytes::from_owner(Arc::clone(content))).await?;
                }
            }
            return Ok(blob);
        }
        Err(Error::new(ErrorKind::LimitExceeded, "this content was collected as garbage too often").actual(sha256))
    }

    /// The content of a blob, checked.
    ///
    /// # Errors
    /// [`ErrorKind::Integrity`] with the digest expected and found, or when it is missing.
    pub(crate) async fn content(&self, blob: &Blob, bytes: u64) -> Result<Bytes> {
        let key = layout::blob(blob);
        let place = || format!("{}/{key}", self.store.place);
        let content = self.store.read(&key, bytes).await.map_err(|e| match e.kind() {
            ErrorKind::LimitExceeded => wrong_length(&place(), bytes, e.actual_text().unwrap_or("more")),
            _ => e,
        })?;
        let Some(content) = content else {
            return Err(Error::new(
                ErrorKind::Integrity,
                "a version's file is missing from the store; restore it from a copy",
            )
            .file(place())
            .expected(blob.sha256)
            .actual("nothing"));
        };
        let hashed = content.clone();
        let found = blocking(move || Ok(Digest::of(&hashed))).await?;
        if found != blob.sha256 {
            return Err(Error::new(
                ErrorKind::Integrity,
                "a version's file was changed in the store; restore it from a copy",
            )
            .file(place())
            .expected(blob.sha256)
            .actual(found));
        }
        Ok(content)
    }
}

fn wrong_length(place: &str, expected: u64, actual: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Integrity, "a file in the store has another length than its content")
        .file(place)
        .expected(format!("{expected} bytes"))
        .actual(format!("{actual} bytes").replace("bytes bytes", "bytes"))
}

/// Runs what takes the processor or waits for a disk where it does not keep the runtime from its work.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Error::new(ErrorKind::Backend, "the work was cut off").with_source(e)),
    }
}
