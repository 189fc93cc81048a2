//! From a file to a model: what the bytes are, and which backend takes them.

mod content;
mod device;
#[cfg(feature = "candle")]
mod folder;
mod format;
mod limits;
mod loader;
mod source;
#[cfg(test)]
mod tests;
mod tree_engine;

pub use device::Device;
#[cfg(feature = "candle")]
pub(crate) use folder::{Folder, Stream};
pub use format::Format;
pub use limits::Limits;
pub use loader::{Backend, Loader, load};
pub(crate) use source::Source;
#[cfg(feature = "registry")]
pub(crate) use source::confined;
pub use tree_engine::TreeEngine;
