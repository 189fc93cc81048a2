//! Composed models as a small JSON file that names the files of the parts.

mod entry;
mod read;
mod write;

pub use entry::{Combine, EnsembleEntry, LinkEntry, Manifest, MemberEntry, OutputEntry, StageEntry};
pub(crate) use read::load;
pub(super) use write::Packer;
