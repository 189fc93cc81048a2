//! Calls into an engine, with its errors and panics turned into ours.

use std::any::Any;
use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Error, ErrorKind, Result};

/// Runs `f`; an error of the engine's gets `kind`, a panic is [`ErrorKind::Backend`].
///
/// What `f` changes must be thrown away after a panic, since it may be half done.
pub(crate) fn contained<R, E: Into<Box<dyn StdError + Send + Sync>>>(
    engine: &str,
    kind: ErrorKind,
    doing: &str,
    f: impl FnOnce() -> Result<R, E>,
) -> Result<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(told(engine, kind, doing, &*error.into())),
        Err(payload) => Err(Error::new(
            ErrorKind::Backend,
            format!("{engine} panicked while {doing}; the panic was contained: {}", panic_text(&*payload)),
        )),
    }
}

/// The engine's chain of causes as one error with a source each.
fn told(engine: &str, kind: ErrorKind, doing: &str, error: &(dyn StdError + 'static)) -> Error {
    let mut causes = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        causes.push(shortened(&cause.to_string()));
        next = cause.source();
    }
    let source = causes.into_iter().rev().fold(None, |below: Option<Error>, text| {
        let next = Error::new(kind, text);
        Some(match below {
            Some(below) => next.with_source(below),
            None => next,
        })
    });
    let whole = Error::new(kind, format!("{engine} failed while {doing}"));
    match source {
        Some(below) => whole.with_source(below),
        None => whole,
    }
}

/// One line of bounded length: engines print whole graphs and tensors.
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
