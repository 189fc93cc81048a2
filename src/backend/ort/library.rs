//! Where ONNX Runtime's library is.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::ffi::{Library, OLDEST};
use crate::{Error, ErrorKind, Result};

/// The variable of the environment that names the library; other users of it go by the same.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// What the library is called, in the order in which it is looked for.
const NAMES: &[&str] = if cfg!(windows) {
    &["onnxruntime.dll"]
} else if cfg!(target_os = "macos") {
    &["libonnxruntime.dylib", "/opt/homebrew/lib/libonnxruntime.dylib", "/usr/local/lib/libonnxruntime.dylib"]
} else {
    &["libonnxruntime.so", "libonnxruntime.so.1"]
};

/// The libraries that were opened, by what they were asked for as. A second environment of one library costs as much as
/// the first.
static OPENED: Mutex<Vec<(PathBuf, &'static Library)>> = Mutex::new(Vec::new());

/// The library at `chosen`, else at the place that the environment names, else where the system finds it.
///
/// # Errors
/// [`ErrorKind::NotFound`] or [`ErrorKind::Unsupported`], with what to do.
pub(super) fn find(chosen: Option<&Path>) -> Result<&'static Library> {
    find_among(chosen, std::env::var_os(VARIABLE).filter(|v| !v.is_empty()).map(PathBuf::from).as_deref(), NAMES)
}

/// As [`find`], with the value of the variable and the names to look for given.
pub(super) fn find_among(chosen: Option<&Path>, variable: Option<&Path>, names: &[&str]) -> Result<&'static Library> {
    if let Some(path) = chosen {
        return open(path).map_err(|e| told(e, "the path that `Loader::ort_library` was given"));
    }
    if let Some(path) = variable {
        return open(path).map_err(|e| told(e, "the path in the environment variable `ORT_DYLIB_PATH`"));
    }
    let mut last = None;
    for name in names {
        match open(Path::new(name)) {
            Ok(library) => return Ok(library),
            // A library that is there but does not fit says more than one that is not there.
            Err(e) if last.as_ref().is_none_or(|l: &Error| l.kind() == ErrorKind::NotFound) => last = Some(e),
            Err(_) => {}
        }
    }
    let message = format!(
        "the backend `ort` needs the shared library of ONNX Runtime {OLDEST} or later, and the system has none under its \
         usual names ({}); install it (Python's package `onnxruntime` has it in its directory `capi`) and give its path to \
         `Loader::ort_library` or in the environment variable `{VARIABLE}`",
        names.join(", ")
    );
    Err(match last {
        Some(last) => Error::new(last.kind(), message).with_source(last),
        None => Error::new(ErrorKind::NotFound, message),
    })
}

fn open(path: &Path) -> Result<&'static Library> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, library)) = opened.iter().find(|(of, _)| of == path) {
        return Ok(library);
    }
    if path.as_os_str().is_empty() {
        // The system would take it for the program itself.
        return Err(Error::new(ErrorKind::NotFound, "the path is empty"));
    }
    let library: &'static Library = Box::leak(Box::new(Library::open(path)?));
    opened.push((path.to_owned(), library));
    Ok(library)
}

fn told(error: Error, place: &str) -> Error {
    let message = format!(
        "{place} does not lead to a usable ONNX Runtime: {}; it must be the file of the shared library, version {OLDEST} or later",
        error.message()
    );
    let told = Error::new(error.kind(), message);
    let told = match error.file_name() {
        Some(file) => told.file(file),
        None => told,
    };
    match error.actual_text() {
        Some(actual) => told.actual(actual),
        None => told,
    }
}
