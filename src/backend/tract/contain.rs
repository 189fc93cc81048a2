//! Calls into tract, with its errors and panics turned into ours.

use tract_onnx::prelude::TractError;

use crate::{ErrorKind, Result};

/// Runs `f`; an error of tract's gets `kind`, a panic is [`ErrorKind::Backend`].
///
/// What `f` changes must be thrown away after a panic, since it may be half done.
pub(super) fn contained<R>(kind: ErrorKind, doing: &str, f: impl FnOnce() -> Result<R, TractError>) -> Result<R> {
    crate::backend::contain::contained("tract", kind, doing, f)
}
