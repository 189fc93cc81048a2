//! A shared, immutable run of bytes.

use core::{fmt, ops::Deref};
use std::{ops::Range, sync::Arc, vec::Vec};

/// What owns bytes. It answers the same bytes at every call.
pub(crate) trait Owner: AsRef<[u8]> + Send + Sync {
    /// Gives back the memory of a range whose bytes have been read. An owner whose bytes stand nowhere else, as those on
    /// the heap, keeps them; one that maps a file lets them go, and they are read again when they are touched again.
    fn release(&self, _range: Range<usize>) {}
}

impl Owner for Vec<u8> {}
impl Owner for Arc<[u8]> {}

#[cfg(any(feature = "native", feature = "tract"))]
impl Owner for crate::kernel::MappedFile {
    fn release(&self, range: Range<usize>) {
        Self::release(self, range);
    }
}

/// A range of bytes that keeps its owner alive, so that the weights of a decoded model are the file's own bytes.
///
/// Cloning and slicing cost a reference count. Every slice keeps the whole owner in memory.
#[derive(Clone)]
pub(crate) struct Bytes {
    owner: Arc<dyn Owner>,
    start: usize,
    end: usize,
}

impl Bytes {
    /// Takes over anything that owns bytes (`Vec<u8>`, `Arc<[u8]>`, a memory map) without copying them.
    pub(crate) fn from_owner(owner: impl Owner + 'static) -> Self {
        let end = owner.as_ref().len();
        Self { owner: Arc::new(owner), start: 0, end }
    }

    /// The part from `start` to `end` (byte offsets within this run), sharing the owner.
    ///
    /// Offsets past the end are brought back to it.
    pub(crate) fn slice(&self, start: usize, end: usize) -> Self {
        let end = self.start.saturating_add(end).min(self.end);
        let start = self.start.saturating_add(start).min(end);
        Self { owner: Arc::clone(&self.owner), start, end }
    }

    /// Gives back the memory of these bytes, where they can be read again when they are touched again.
    pub(crate) fn release(&self) {
        self.owner.release(self.start..self.end);
    }

    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        (*self.owner).as_ref().get(self.start..self.end).unwrap_or_default()
    }
}

impl Default for Bytes {
    fn default() -> Self {
        Self::from_owner(Vec::new())
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes)", self.len())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from_owner(bytes)
    }
}

impl From<Arc<[u8]>> for Bytes {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self::from_owner(bytes)
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self::from_owner(bytes.to_vec())
    }
}
