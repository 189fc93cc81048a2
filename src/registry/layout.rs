//! Where things lie in a store. The manual's page on the registry shows the whole.

use super::record::Blob;

/// The object that says what the store is.
pub(crate) const ROOT: &str = "modelberth-registry.json";
/// The folder of all models.
pub(crate) const MODELS: &str = "models";
/// The folder of all blobs.
pub(crate) const BLOBS: &str = "blobs/sha256";
/// The folder of what unfinished registers hold on to.
pub(crate) const PINS: &str = "pins";
/// What the key of a blob that is to be collected ends with, after its own.
pub(crate) const DEAD: &str = ".dead";

pub(crate) fn versions(model: &str) -> String {
    format!("{MODELS}/{model}/versions")
}

pub(crate) fn events(model: &str) -> String {
    format!("{MODELS}/{model}/events")
}

pub(crate) fn aliases(model: &str) -> String {
    format!("{MODELS}/{model}/aliases")
}

pub(crate) fn alias(model: &str, alias: &str) -> String {
    format!("{MODELS}/{model}/aliases/{alias}")
}

pub(crate) fn blob(blob: &Blob) -> String {
    let hex = blob.sha256.to_string();
    match blob.copy {
        0 => format!("{BLOBS}/{}/{hex}", &hex[..2]),
        copy => format!("{BLOBS}/{}/{hex}.{copy}", &hex[..2]),
    }
}

/// The mark that a blob's key is not to be used any more.
pub(crate) fn dead(blob: &Blob) -> String {
    format!("{}{DEAD}", self::blob(blob))
}

/// The blob at `key`, or nothing where the key is none's.
pub(crate) fn blob_at(key: &str) -> Option<Blob> {
    let name = key.rsplit('/').next()?;
    let (hex, copy) = match name.split_once('.') {
        Some((hex, copy)) => (hex, copy.parse().ok()?),
        None => (name, 0),
    };
    let found = Blob { sha256: crate::Digest::from_hex(hex).ok()?, copy };
    (blob(&found) == key).then_some(found)
}
