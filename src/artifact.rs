//! The files of a model, with their digests.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Error, ErrorKind, Result};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    #[cfg(feature = "std")]
    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A digest from its 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when `text` is not 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Result<Self> {
        let bad = || Error::new(ErrorKind::InvalidArgument, "a SHA-256 digest has 64 hexadecimal digits").actual(text);
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(bad());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = core::str::from_utf8(pair).map_err(|_| bad())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).map_err(serde::de::Error::custom)
    }
}

/// One file of an [`Artifact`].
#[derive(Debug, Clone, PartialEq)]
pub struct ArtifactFile {
    /// The path relative to the artifact, with `/` between its parts.
    pub path: String,
    /// The digest of the content when the model was loaded.
    pub sha256: Digest,
    /// The length of the content in bytes.
    pub bytes: u64,
    content: Content,
}

#[derive(Clone, PartialEq)]
enum Content {
    Memory(Arc<[u8]>),
    #[cfg(feature = "std")]
    Disk(std::path::PathBuf),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "in memory ({} bytes)", bytes.len()),
            #[cfg(feature = "std")]
            Self::Disk(path) => write!(f, "at {}", path.display()),
        }
    }
}

impl ArtifactFile {
    /// A file whose content is held in memory.
    #[must_use]
    pub fn in_memory(path: impl Into<String>, content: impl Into<Arc<[u8]>>) -> Self {
        let content = content.into();
        Self {
            path: path.into(),
            sha256: Digest::of(&content),
            bytes: content.len() as u64,
            content: Content::Memory(content),
        }
    }

    /// A file in memory whose digest was compared already.
    #[cfg(feature = "registry")]
    pub(crate) fn verified(path: String, content: Arc<[u8]>, sha256: Digest) -> Self {
        Self { path, sha256, bytes: content.len() as u64, content: Content::Memory(content) }
    }

    /// A file that stays on disk at `location` and is read again, and checked against `sha256`, when it is asked for.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn on_disk(path: impl Into<String>, location: std::path::PathBuf, sha256: Digest, bytes: u64) -> Self {
        Self { path: path.into(), sha256, bytes, content: Content::Disk(location) }
    }

    /// The content.
    ///
    /// # Errors
    /// [`ErrorKind::Integrity`] when the file on disk no longer has the digest it had at load;
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] when it can't be read.
    pub fn content(&self) -> Result<Arc<[u8]>> {
        match &self.content {
            Content::Memory(bytes) => Ok(Arc::clone(bytes)),
            #[cfg(feature = "std")]
            Content::Disk(path) => {
                let bytes = std::fs::read(path).map_err(|e| Error::from(e).model(path.display()))?;
                let found = Digest::of(&bytes);
                if found != self.sha256 {
                    return Err(Error::new(
                        ErrorKind::Integrity,
                        "the file changed after the model was loaded; restore it or load the model again",
                    )
                    .model(path.display())
                    .expected(self.sha256)
                    .actual(found));
                }
                Ok(bytes.into())
            }
        }
    }
}

/// The file or files of a model. Loading an artifact again gives a model with identical answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// The format: `onnx`, ...
    pub format: String,
    /// The files; the first is the one that names the others.
    pub files: Vec<ArtifactFile>,
}

impl Artifact {
    /// An artifact of one file that is held in memory.
    #[must_use]
    pub fn in_memory(format: &str, path: &str, content: impl Into<Arc<[u8]>>) -> Self {
        Self { format: format.to_string(), files: alloc::vec![ArtifactFile::in_memory(path, content)] }
    }
}
