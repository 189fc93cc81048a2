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
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod artifact;
mod check;
mod describe;
mod error;
mod model;
#[cfg(feature = "std")]
mod progress;
mod signature;
#[cfg(feature = "table")]
pub mod table;
mod tensor;

pub use artifact::{Artifact, ArtifactFile, Digest};
pub use check::Checked;
pub use describe::Description;
pub use error::{Error, ErrorKind, Result};
pub use half;
pub use model::{Model, ModelExt};
pub use ndarray;
#[cfg(feature = "std")]
pub use progress::{NoProgress, Progress, ProgressEvent, ProgressMeter};
pub use signature::{Dim, Signature, TensorSpec};
pub use tensor::{Csr, DType, Element, Name, Tensor, Tensors};
