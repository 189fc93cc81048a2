//! Models made of models: a [`Pipeline`] feeds the outputs of one into the next, an [`Ensemble`] asks several and
//! combines their answers.
//!
//! Both are [`Model`](crate::Model)s, built in code or loaded from a [`Manifest`], a small JSON file that names the
//! files of the parts. To the caller an encoder and a head are one model.

mod combine;
mod ensemble;
#[cfg(feature = "std")]
mod manifest;
mod pipeline;
#[cfg(feature = "std")]
mod select;
mod settle;
#[cfg(test)]
mod tests;
mod wiring;

pub use ensemble::{Ensemble, EnsembleBuilder};
#[cfg(feature = "std")]
pub(crate) use manifest::load;
#[cfg(feature = "std")]
pub use manifest::{Combine, EnsembleEntry, LinkEntry, Manifest, MemberEntry, OutputEntry, StageEntry};
pub use pipeline::{Pipeline, PipelineBuilder};
#[cfg(feature = "std")]
pub(crate) use select::Selected;
