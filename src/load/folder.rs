use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Limits;
use super::source::confined;
use crate::{ArtifactFile, Digest, Error, ErrorKind, Result};

/// The directory of a model that consists of several files, on disk or in memory.
///
/// Paths are relative and stay inside of it by their text. A link in it may lead elsewhere: the cache of Hugging Face's
/// libraries consists of such links, and the directory is the user's own choice.
#[derive(Debug, Clone)]
pub(crate) enum Folder {
    Disk(PathBuf),
    Memory {
        files: Arc<[ArtifactFile]>,
        /// What the paths of its files begin with: empty, or a path and `/`.
        base: String,
    },
}

/// A file of a [`Folder`] that is read from start to end.
pub(crate) struct Stream {
    pub(crate) reader: Box<dyn Read>,
    /// The length of the whole.
    pub(crate) bytes: u64,
    place: Place,
}

enum Place {
    Disk(PathBuf),
    Memory(ArtifactFile),
}

impl Stream {
    /// The file as part of an artifact, under the name `path`; its content was found to have the digest `sha256`.
    pub(crate) fn artifact_file(self, path: &str, sha256: Digest) -> ArtifactFile {
        match self.place {
            Place::Disk(location) => ArtifactFile::on_disk(path, location, sha256, self.bytes),
            Place::Memory(mut file) => {
                path.clone_into(&mut file.path);
                file
            }
        }
    }
}

impl Folder {
    pub(crate) fn on_disk(directory: &Path) -> Self {
        Self::Disk(directory.to_owned())
    }

    pub(crate) fn in_memory(files: Arc<[ArtifactFile]>, base: &str) -> Self {
        Self::Memory { files, base: base.to_owned() }
    }

    /// The file at `path`, or nothing where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when the path leads out of the directory or to anything but a regular file;
    /// [`ErrorKind::LimitExceeded`]; [`ErrorKind::Io`].
    pub(crate) fn open(&self, path: &str, limits: &Limits) -> Result<Option<Stream>> {
        let Some(plain) = confined(path) else {
            let message =
                "a path in a model's directory must stay in it: relative, without `..`, with `/` between parts";
            return Err(Error::new(ErrorKind::Malformed, message).actual(format!("`{path}`")));
        };
        let stream = match self {
            Self::Disk(directory) => {
                let location = directory.join(plain);
                let failed = |e: std::io::Error| Error::from(e).model(location.display());
                let meta = match std::fs::metadata(&location) {
                    Ok(meta) => meta,
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                    Err(e) => return Err(failed(e)),
                };
                if !meta.is_file() {
                    return Err(Error::new(ErrorKind::Malformed, "this must be a regular file").model(path));
                }
                let file = std::fs::File::open(&location).map_err(failed)?;
                Stream { reader: Box::new(file), bytes: meta.len(), place: Place::Disk(location) }
            }
            Self::Memory { files, base } => {
                let whole = format!("{base}{plain}");
                let Some(file) = files.iter().find(|file| file.path == whole) else { return Ok(None) };
                let content = file.content()?;
                let bytes = content.len() as u64;
                Stream { reader: Box::new(Cursor::new(content)), bytes, place: Place::Memory(file.clone()) }
            }
        };
        if stream.bytes > limits.max_file_bytes {
            return Err(Error::new(ErrorKind::LimitExceeded, "a file is larger than `Limits::max_file_bytes`")
                .model(path)
                .expected(format!("at most {} bytes", limits.max_file_bytes))
                .actual(format!("{} bytes", stream.bytes)));
        }
        Ok(Some(stream))
    }

    /// The content of the file at `path`, or nothing where there is none.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn read(&self, path: &str, limits: &Limits) -> Result<Option<ArtifactFile>> {
        let Some(mut stream) = self.open(path, limits)? else { return Ok(None) };
        let mut content = Vec::new();
        // The file may have grown since it was measured.
        stream
            .reader
            .by_ref()
            .take(limits.max_file_bytes)
            .read_to_end(&mut content)
            .map_err(|e| Error::from(e).model(path))?;
        Ok(Some(ArtifactFile::in_memory(path, content)))
    }
}
