//! The files of a directory, noted as they are read.

use std::io::{self, Read};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::load::{Folder, Stream};
use crate::{Artifact, ArtifactFile, Digest, Error, Limits, Result};

/// The files of a model's directory; those that were read make its artifact.
#[derive(Debug)]
pub(super) struct Files<'l> {
    folder: Folder,
    limits: &'l Limits,
    read: Vec<ArtifactFile>,
}

impl<'l> Files<'l> {
    /// The files beside `main`, which was read before.
    pub(super) fn new(main: ArtifactFile, folder: Folder, limits: &'l Limits) -> Self {
        Self { folder, limits, read: vec![main] }
    }

    /// The content of the file at `path`, or nothing where there is none.
    pub(super) fn read(&mut self, path: &str) -> Result<Option<Arc<[u8]>>> {
        if let Some(known) = self.read.iter().find(|file| file.path == path) {
            return known.content().map(Some);
        }
        let Some(file) = self.folder.read(path, self.limits)? else { return Ok(None) };
        let content = file.content()?;
        self.read.push(file);
        Ok(Some(content))
    }

    /// The file at `path`, to be read from start to end and handed to [`close`](Self::close), or nothing where there
    /// is none.
    pub(super) fn open(&self, path: &str) -> Result<Option<Digesting>> {
        let stream = self.folder.open(path, self.limits)?;
        Ok(stream.map(|stream| Digesting { stream, digest: Sha256::new() }))
    }

    /// Reads what is left of `file`, which [`open`](Self::open) gave for `path`, and notes it.
    pub(super) fn close(&mut self, path: &str, mut file: Digesting) -> Result<()> {
        io::copy(&mut file, &mut io::sink()).map_err(|e| Error::from(e).model(path))?;
        let digest = Digest::from_bytes(file.digest.finalize().into());
        self.read.push(file.stream.artifact_file(path, digest));
        Ok(())
    }

    /// All that was read.
    pub(super) fn artifact(self, format: &str) -> Artifact {
        Artifact { format: format.to_owned(), files: self.read }
    }
}

/// A file whose digest is taken as it is read.
pub(super) struct Digesting {
    stream: Stream,
    digest: Sha256,
}

impl Digesting {
    /// The length of the whole, in bytes.
    pub(super) fn length(&self) -> u64 {
        self.stream.bytes
    }
}

impl Read for Digesting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.reader.read(buffer)?;
        self.digest.update(&buffer[..n]);
        Ok(n)
    }
}
