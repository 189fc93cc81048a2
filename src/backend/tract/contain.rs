//! Calls into tract, with its errors and panics turned into ours.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tract_onnx::prelude::TractError;

use crate::{Error, ErrorKind, Result};

/// Runs `f`; an error of tract's gets `kind`, a panic is [`ErrorKind::Backend`].
///
/// What `f` changes must be thrown away after a panic, since it may be half done.
pub(super) fn contained<R>(kind: ErrorKind, doing: &str, f: impl FnOnce() -> Result<R, TractError>) -> Result<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(told(kind, doing, &error)),
        Err(payload) => Err(Error::new(
            ErrorKind::Backend,
            format!("tract panicked while {doing}; the panic was contained: {}", panic_text(&*payload)),
        )),
    }
}

/// tract's chain of causes as one error with a source each.
fn told(kind: ErrorKind, doing: &str, error: &TractError) -> Error {
    let mut source: Option<Error> = None;
    let causes: Vec<String> = error.chain().map(|cause| shortened(&cause.to_string())).collect();
    for text in causes.into_iter().rev() {
        let next = Error::new(kind, text);
        source = Some(match source {
            Some(below) => next.with_source(below),
            None => next,
        });
    }
    let whole = Error::new(kind, format!("tract failed while {doing}"));
    match source {
        Some(below) => whole.with_source(below),
        None => whole,
    }
}

/// One line of bounded length: tract prints whole graphs and tensors.
fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    shortened(text.unwrap_or("no message"))
}
