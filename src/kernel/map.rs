//! Files as memory.

use std::fs::File;
use std::io;
use std::ops::Range;

use memmap2::{Mmap, MmapOptions};

/// A part of a file, read by the system where it is touched.
///
/// A file that another process cuts meanwhile ends this process, which is why none is mapped for longer than a model
/// takes to be made of it.
#[derive(Debug)]
pub(crate) struct MappedFile(Mmap);

impl MappedFile {
    /// Maps `length` bytes from byte `offset` on.
    ///
    /// # Errors
    /// Those of the system, and where it has no such thing.
    pub(crate) fn open(file: &File, offset: u64, length: usize) -> io::Result<Self> {
        // SAFETY: the bytes are only read, and no reader relies on their staying the same for memory safety.
        unsafe { MmapOptions::new().offset(offset).len(length).map(file) }.map(Self)
    }

    /// Gives back the memory of a range; touched again, it is read again.
    pub(crate) fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if range.start < range.end && range.end <= self.0.len() {
            // SAFETY: the pages of a file that is only read hold what the file holds, whether they are there or not.
            let advised = unsafe {
                self.0.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.end - range.start)
            };
            // It is a wish: pages that stay are no harm.
            let _ = advised;
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
