//! Models kept on this machine, for starts that are quick, or offline.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::blobs::blocking;
use super::frame;
use super::name::Reference;
use super::record::{Blob, Version};
use crate::{Digest, Error, Result};

/// A directory of blobs by their digests, and of what references named last. Nothing in it is trusted: blobs are hashed
/// when they are taken, and one that was changed is fetched again.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    directory: Arc<Path>,
    max_bytes: u64,
    /// The store that references are remembered of.
    place: Arc<str>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Remembered {
    store: String,
    reference: String,
    version: Version,
}

impl Cache {
    pub(crate) fn new(directory: &Path, max_bytes: u64, place: &str) -> Self {
        Self { directory: directory.into(), max_bytes, place: place.into() }
    }

    fn blobs(&self) -> PathBuf {
        self.directory.join("blobs")
    }

    fn blob(&self, blob: &Blob) -> PathBuf {
        self.blobs().join(blob.sha256.to_string())
    }

    fn reference(&self, reference: &Reference) -> PathBuf {
        let name = Digest::of(format!("{}\n{reference}", self.place).as_bytes());
        self.directory.join("references").join(format!("{name}.json"))
    }

    /// The content of a blob, if it is there and whole.
    pub(crate) async fn take(&self, blob: &Blob, bytes: u64) -> Option<Arc<[u8]>> {
        let (path, expected) = (self.blob(blob), blob.sha256);
        blocking(move || {
            if std::fs::metadata(&path)?.len() != bytes {
                return Ok(None);
            }
            let content = std::fs::read(&path)?;
            if Digest::of(&content) != expected {
                return Ok(None);
            }
            // The time of the last use decides what goes first; a cache that can't be written still serves.
            if let Ok(file) = std::fs::File::options().append(true).open(&path) {
                let _ = file.set_modified(SystemTime::now());
            }
            Ok(Some(Arc::from(content)))
        })
        .await
        .ok()
        .flatten()
    }

    /// Keeps content that was found whole. A cache that can't be written is no reason to fail.
    pub(crate) async fn put(&self, blob: &Blob, content: &bytes::Bytes) {
        let (blobs, path, max_bytes, content) = (self.blobs(), self.blob(blob), self.max_bytes, content.clone());
        let _ = blocking(move || {
            if content.len() as u64 > max_bytes {
                return Ok(());
            }
            std::fs::create_dir_all(&blobs)?;
            make_room(&blobs, max_bytes - content.len() as u64)?;
            write(&path, &content)
        })
        .await;
    }

    /// Notes what `reference` names.
    pub(crate) async fn remember(&self, reference: &Reference, version: &Version) {
        let path = self.reference(reference);
        let record =
            Remembered { store: self.place.to_string(), reference: reference.to_string(), version: version.clone() };
        let _ = blocking(move || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            write(&path, &frame::seal(&record)?)
        })
        .await;
    }

    /// What `reference` named when it was last noted.
    pub(crate) async fn recall(&self, reference: &Reference) -> Option<Version> {
        let path = self.reference(reference);
        let place = Arc::clone(&self.place);
        let reference = reference.to_string();
        blocking(move || {
            let bytes = std::fs::read(&path)?;
            let (found, _) = frame::open::<Remembered>(&bytes, &path.display().to_string())?;
            Ok((found.store == *place && found.reference == reference).then_some(found.version))
        })
        .await
        .ok()
        .flatten()
    }
}

/// Deletes what was longest unused until the rest has at most `bytes`.
fn make_room(blobs: &Path, bytes: u64) -> Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(blobs)? {
        let entry = entry?;
        // Another process may delete it meanwhile.
        if let Ok(meta) = entry.metadata() {
            files.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta.len(), entry.path()));
        }
    }
    let mut total: u64 = files.iter().map(|(_, len, _)| len).sum();
    files.sort();
    for (_, len, path) in files {
        if total <= bytes {
            break;
        }
        let _ = std::fs::remove_file(path);
        total -= len;
    }
    Ok(())
}

/// Writes a file so that it appears whole.
fn write(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut file, content)?;
    file.persist(path).map_err(|e| Error::from(e.error))?;
    Ok(())
}
