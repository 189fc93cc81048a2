//! The boosters' own files.
//!
//! A reader ([`lightgbm`], [`xgboost`], ...) writes down what its file says as a [`Booster`], the form that all share:
//! features, the [`Input`] that makes the columns which trees compare, a [`Scorer`] that sums over them, and what the sums
//! become.
//! [`model`] scores rows with it: [`columns`] are filled a block at a time, [`score`] sums, [`link`] transforms and
//! [`answers`] gives what was asked for. [`shap`] takes a sum apart into what each feature contributed.

mod answers;
mod booster;
mod catboost;
mod columns;
mod compact;
mod lightgbm;
mod link;
mod model;
mod narrow;
mod rows;
mod score;
mod shap;
#[cfg(test)]
mod tests;
mod xgboost;

use std::sync::Arc;

pub(crate) use booster::{
    Booster, Categories, Cut, Features, Input, Labels, Linear, LinearLeaf, Link, Scorer, Task, Trees, Unseen,
};
#[cfg(feature = "optimize")]
pub(crate) use columns::Combination;
pub(crate) use columns::{Column, Missing, Stage};
#[cfg(feature = "optimize")]
pub(crate) use narrow::{at_most, narrowed, same};
pub(crate) use rows::Rows;

use crate::load::Source;
use crate::{Format, Limits, Loader, Model, Result};

/// The model in a booster's own file; `reason` says why this backend was chosen.
///
/// # Errors
/// What the reader finds wrong with the file; [`ErrorKind::UnknownTensor`](crate::ErrorKind) for an output that the
/// model does not have.
pub(crate) fn load(source: &Source, loader: &Loader, format: Format, reason: String) -> Result<Arc<dyn Model>> {
    let started = std::time::Instant::now();
    let booster = read(&source.bytes, &loader.limits, format)?;
    model::build(booster, source, loader, reason, started)
}

/// What a booster's own file says.
///
/// # Errors
/// What the reader finds wrong with it; [`ErrorKind::Unsupported`](crate::ErrorKind) for another format.
pub(crate) fn read(bytes: &[u8], limits: &Limits, format: Format) -> Result<Booster> {
    match format {
        Format::LightGbm => lightgbm::read(bytes, limits),
        Format::XgboostJson => xgboost::read_json(bytes, limits),
        Format::XgboostUbjson => xgboost::read_ubjson(bytes, limits),
        Format::CatBoostJson => catboost::read_json(bytes, limits),
        other => Err(other.refusal()),
    }
}
