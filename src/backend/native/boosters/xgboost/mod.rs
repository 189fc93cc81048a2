//! XGBoost's own files, of versions 1 to 3.
//!
//! [`json`] and [`ubjson`] give the same [`value`]; [`read`] takes the learner out of it, [`trees`] the trees,
//! [`objective`] says what margins mean and [`categories`] what codes do.

mod categories;
mod fields;
mod json;
mod objective;
mod read;
#[cfg(test)]
mod tests;
mod trees;
mod ubjson;
mod value;

use super::Booster;
use crate::{Limits, Result};

/// The booster in a JSON file.
///
/// # Errors
/// [`ErrorKind::Malformed`](crate::ErrorKind) for what contradicts itself, `Unsupported` naming the objective or booster
/// that is not known, `LimitExceeded`.
pub(super) fn read_json(bytes: &[u8], limits: &Limits) -> Result<Booster> {
    read::booster(&json::read(bytes, limits)?, "xgboost json", limits)
}

/// The booster in a UBJSON file.
///
/// # Errors
/// As [`read_json`].
pub(super) fn read_ubjson(bytes: &[u8], limits: &Limits) -> Result<Booster> {
    read::booster(&ubjson::read(bytes, limits)?, "xgboost ubjson", limits)
}
