//! NumPy's `.npy`: one array, in and out.

mod header;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(super) use read::read;
pub use read::read_npy;
pub(super) use write::Column;
