//! What turns a file into a model.

#[cfg(feature = "native")]
pub(crate) mod native;
