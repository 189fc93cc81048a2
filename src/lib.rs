//! modelberth
#![no_std]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod error;
pub use error::{Error, ErrorKind, Result};
