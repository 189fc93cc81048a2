//! Networks through the engine [candle](https://github.com/huggingface/candle).
//!
//! A directory in Hugging Face's layout is read [file by file](files), its weights [straight into
//! tensors](weights); [`config`] and [`sentence`] say what they are, the [encoder] computes hidden states, and
//! [a task](model) stands around it: texts to embeddings, or tokens to hidden states. A network of the host's own is a
//! model through [`ModuleModel`].
//!
//! Calls into candle and into `tokenizers` are [contained](crate::backend::contain): their panics come back as errors.

mod config;
mod convert;
mod device;
mod encoder;
mod files;
mod gguf;
mod model;
mod module;
mod ops;
mod sentence;
#[cfg(test)]
mod tests;
mod tokens;
mod weights;

pub(crate) use model::load;
pub use module::ModuleModel;
