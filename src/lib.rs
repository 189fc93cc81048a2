//! modelberth takes a trained model from the file a data scientist exports to predictions in production, inside the
//! host's own process.
//!
//! ```no_run
//! use modelberth::prelude::*;
//! # fn main() -> modelberth::Result<()> {
//! # let ages = modelberth::ndarray::array![[31.0f32]];
//! # let plans = modelberth::ndarray::array![["pro".to_string()]];
//! let model = modelberth::load("churn.onnx")?;
//! let answers = model.predict_batch(&tensors! { "age" => ages.view(), "plan" => plans.view() }?)?;
//! let probability = answers.get::<f32>("probabilities")?; // (m, classes)
//! # Ok(())
//! # }
//! ```
#![cfg_attr(not(any(feature = "std", test)), no_std)]

extern crate alloc;

mod artifact;
#[cfg(feature = "std")]
mod backend;
#[cfg(feature = "std")]
pub mod bench;
#[cfg(feature = "candle")]
pub mod candle;
mod check;
mod compose;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(any(feature = "edge", feature = "native"))]
mod coupling;
mod describe;
#[cfg(feature = "edge")]
pub mod edge;
mod error;
#[cfg(feature = "std")]
mod inspect;
#[cfg(any(feature = "native", feature = "candle", feature = "tract"))]
#[cfg_attr(
    not(feature = "native"),
    allow(dead_code, unused_imports, reason = "the other backends use a part of the kernels")
)]
mod kernel;
mod linear;
#[cfg(feature = "std")]
mod load;
pub mod manual;
mod model;
#[cfg(feature = "std")]
#[allow(dead_code, reason = "the module speaks the whole format; which parts are used depends on the features")]
pub(crate) mod onnx;
#[cfg(feature = "optimize")]
pub mod optimize;
#[cfg(feature = "std")]
mod progress;
#[cfg(feature = "registry")]
pub mod registry;
mod signature;
#[cfg(feature = "table")]
pub mod table;
mod tensor;
#[cfg(feature = "validate")]
pub mod validate;

pub use artifact::{Artifact, ArtifactFile, Digest};
pub use check::Checked;
#[cfg(feature = "std")]
pub use compose::{Combine, EnsembleEntry, LinkEntry, Manifest, MemberEntry, OutputEntry, StageEntry};
pub use compose::{Ensemble, EnsembleBuilder, Pipeline, PipelineBuilder};
pub use describe::Description;
pub use error::{Error, ErrorKind, Result};
pub use half;
#[cfg(feature = "std")]
pub use inspect::Inspection;
pub use linear::{LinearModel, Link};
#[cfg(feature = "std")]
pub use load::{Backend, Device, Format, Limits, Loader, TreeEngine, load};
pub use model::{Model, ModelExt};
pub use ndarray;
#[cfg(feature = "std")]
pub use progress::{NoProgress, Progress, ProgressEvent, ProgressMeter};
pub use signature::{Dim, Signature, TensorSpec};
pub use tensor::{Csr, DType, Element, Name, Tensor, Tensors};

/// What a host usually imports.
pub mod prelude {
    pub use crate::{DType, Error, ErrorKind, Model, ModelExt, Result, Signature, Tensor, Tensors, tensors};
    #[cfg(feature = "std")]
    pub use crate::{Loader, load};
}
