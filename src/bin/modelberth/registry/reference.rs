//! Models that are named by their place in a registry.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use modelberth::registry::blocking::Registry;
use modelberth::{Error, ErrorKind, Loader, Model, Result};

/// What `--store` said.
static STORE: OnceLock<String> = OnceLock::new();
/// The bytes that the cache may take, unless `MODELBERTH_CACHE_BYTES` says otherwise.
const CACHE_BYTES: u64 = 10 << 30;

/// Takes note of `--store`.
pub(crate) fn remember_store(store: Option<String>) {
    if let Some(store) = store {
        let _ = STORE.set(store);
    }
}

/// Where the registry is: as `--store` says, else as `MODELBERTH_STORE` does.
pub(crate) fn store() -> Option<String> {
    let variable = || std::env::var("MODELBERTH_STORE").ok().filter(|place| !place.is_empty());
    STORE.get().cloned().or_else(variable)
}

/// The reference in `registry:NAME@ALIAS`, where `path` is one.
pub(crate) fn is_reference(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix("registry:")
}

/// The model that a registry has under `reference`. What is different here is said on standard error.
pub(crate) fn load(reference: &str, loader: &Loader) -> Result<Arc<dyn Model>> {
    let place = store().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            "where is the registry of this model? name it with --store, or in the variable MODELBERTH_STORE",
        )
        .model(format!("registry:{reference}"))
    })?;
    let mut registry = Registry::open(&place)?;
    if let Some(directory) = std::env::var_os("MODELBERTH_CACHE").filter(|directory| !directory.is_empty()) {
        let bytes = match std::env::var("MODELBERTH_CACHE_BYTES") {
            Ok(text) => text.parse().map_err(|_| {
                Error::new(ErrorKind::InvalidArgument, "MODELBERTH_CACHE_BYTES must be a number of bytes").actual(text)
            })?,
            Err(_) => CACHE_BYTES,
        };
        registry = registry.cached(directory, bytes);
    }
    let loaded = registry.load_with(reference, loader)?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(loaded.model)
}
