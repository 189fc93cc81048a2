//! Models that MLflow logged, as versions.
//!
//! MLflow keeps a model as a directory with a file `MLmodel` that names its *flavors*. Of those the ones that hold a file
//! which can be read here are taken: `onnx`, `xgboost`, `lightgbm` and `catboost` in their own formats. The others are refused
//! with the line of Python that logs a readable one.

mod directory;
mod server;
mod spec;

pub use directory::from_directory;
pub use server::{MlflowModel, MlflowServer};
