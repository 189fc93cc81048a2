//! `SVMClassifier` and `SVMRegressor`.

mod classifier;
mod kernel;
mod probability;
mod regressor;

use crate::backend::native::ops::Group;

pub(super) const GROUP: Group = &[("SVMClassifier", classifier::build), ("SVMRegressor", regressor::build)];
