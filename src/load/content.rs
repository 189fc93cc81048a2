//! What stands in a model's file.

#[cfg(any(feature = "native", feature = "tract"))]
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::Digest;
#[cfg(any(feature = "native", feature = "tract"))]
use crate::kernel::MappedFile;
use crate::onnx::{Bytes, Owner};

/// From this many bytes on a file is mapped, and not kept in memory beside the model that was made of it.
pub(super) const LARGE_BYTES: u64 = 8 << 20;
/// How much of a mapped file is in memory while its digest is made.
const DIGESTED: usize = 1 << 20;

/// The bytes of a file: in memory, or mapped where there are many.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Memory(Arc<[u8]>),
    #[cfg(any(feature = "native", feature = "tract"))]
    Mapped(Arc<MappedFile>),
}

impl Content {
    /// The file at `path`.
    ///
    /// # Errors
    /// Those of the system.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        #[cfg(any(feature = "native", feature = "tract"))]
        {
            let file = File::open(path)?;
            let meta = file.metadata()?;
            if meta.is_file() && meta.len() >= LARGE_BYTES {
                // Where nothing can be mapped, the file is read.
                let mapped = usize::try_from(meta.len()).ok().and_then(|len| MappedFile::open(&file, 0, len).ok());
                if let Some(mapped) = mapped {
                    return Ok(Self::Mapped(Arc::new(mapped)));
                }
            }
        }
        std::fs::read(path).map(Self::from)
    }

    /// The bytes in memory of their own.
    pub(crate) fn to_memory(&self) -> Arc<[u8]> {
        match self {
            Self::Memory(bytes) => Arc::clone(bytes),
            #[cfg(any(feature = "native", feature = "tract"))]
            Self::Mapped(file) => (**file).as_ref().into(),
        }
    }

    /// Their digest.
    pub(crate) fn digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        for (i, part) in self.chunks(DIGESTED).enumerate() {
            hasher.update(part);
            self.release(i * DIGESTED..i * DIGESTED + part.len());
        }
        Digest::from_bytes(hasher.finalize().into())
    }
}

impl Owner for Content {
    fn release(&self, range: Range<usize>) {
        match (self, range) {
            (Self::Memory(_), _) => {}
            #[cfg(any(feature = "native", feature = "tract"))]
            (Self::Mapped(file), range) => file.release(range),
        }
    }
}

impl From<Content> for Bytes {
    fn from(content: Content) -> Self {
        Self::from_owner(content)
    }
}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            #[cfg(any(feature = "native", feature = "tract"))]
            Self::Mapped(file) => (**file).as_ref(),
        }
    }
}

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_ref()
    }
}

impl From<Arc<[u8]>> for Content {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self::Memory(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(bytes.into())
    }
}
