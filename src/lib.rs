//! modelberth
#![no_std]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod error;
pub use error::{Error, ErrorKind, Result};

#[cfg(feature = "std")]
#[allow(dead_code, reason = "the backends, the optimizer and the exporter that call it come after it")]
pub(crate) mod onnx;
