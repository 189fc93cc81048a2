//! `SVMClassifier` and `SVMRegressor`.

mod classifier;
mod kernel;
mod linear;
mod probability;
mod regressor;

use crate::backend::native::ops::Group;

pub(super) const GROUP: Group = &[("SVMClassifier", classifier::build), ("SVMRegressor", regressor::build)];
