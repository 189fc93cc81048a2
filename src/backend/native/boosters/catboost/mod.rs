//! CatBoost's models as JSON.
//!
//! The file lists features with the borders, category values and statistics that its trees ask for; a split names one
//! of these questions by number. [`features`] gives the questions, [`trees`] writes the trees down over columns,
//! [`stage`] computes the columns of rows with categories, by their hashes ([`city`]) and the tables of statistics in
//! the file ([`ctr`]). [`objective`] says what the sums become.
//!
//! Floats are compared in f32, as in the library, and leaves are summed in f64. Duplicated values of one feature's
//! one-hot list or hash table are hostile and answer as one of them.

mod city;
mod ctr;
mod features;
mod index;
mod json;
mod objective;
mod read;
mod stage;
#[cfg(test)]
mod tests;
mod trees;

pub(super) use read::read_json;
