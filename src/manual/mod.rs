//! The manual: what the reference of single items has no room for.
//!
//! | page | about |
//! |---|---|
//! | [`inputs`] | tensors, batches, one observation, tables, casts |
//! | [`loading`] | formats, which backend takes a file, signatures, limits, artifacts |
//! | [`boosters`] | the boosters' own files: outputs, exactness, what each library does |
//! | [`native`] | what the native backend does with a graph, and where its answers come from |
//! | [`tract`] | how networks run, what is rewritten for them |
//! | [`ort`] | ONNX Runtime as a backend: finding its library, what it changes |
//! | [`candle`] | text encoders from Hugging Face directories, networks of your own |
//! | [`composing`] | models made of models, models built in code, models of your own |
//! | [`validating`] | suites, slices, intervals, the comparison with an incumbent |
//! | [`optimize`] | quantise, prune, distil, convert; budgets, reports |
//! | [`registry`] | where models live: layout, aliases, gates, garbage, offline starts |
//! | [`security`] | what a hostile file or request can and can't do |

#[doc = include_str!("inputs.md")]
pub mod inputs {}

#[doc = include_str!("loading.md")]
pub mod loading {}

#[doc = include_str!("boosters.md")]
pub mod boosters {}

#[doc = include_str!("native.md")]
pub mod native {}

#[doc = include_str!("tract.md")]
pub mod tract {}

#[doc = include_str!("ort.md")]
pub mod ort {}

#[doc = include_str!("candle.md")]
pub mod candle {}

#[doc = include_str!("composing.md")]
pub mod composing {}

#[doc = include_str!("security.md")]
pub mod security {}

#[cfg(feature = "validate")]
#[doc = include_str!("validating.md")]
pub mod validating {}

#[cfg(feature = "optimize")]
#[doc = include_str!("optimize.md")]
pub mod optimize {}

#[cfg(feature = "registry")]
#[doc = include_str!("registry.md")]
pub mod registry {}
