//! LightGBM's text models.
//!
//! A file has a header of `key=value` lines, a block of such lines for each tree, and after `end of trees` what training
//! was told. [`file`] reads it with [`text`]'s lines and numbers, [`tree`] checks one tree, [`objective`] and
//! [`categories`] read what answers become and what text stands for; [`lower`] writes the trees down as the common
//! [`Booster`](super::Booster). Where the file is read otherwise than the library would (it trusts counts and offsets),
//! the file is refused.

mod categories;
mod file;
mod lower;
mod objective;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use super::Booster;
use crate::{Limits, Result};

/// Reads a model file.
///
/// # Errors
/// [`ErrorKind::Malformed`](crate::ErrorKind) with the tree and the line where the file is not what LightGBM writes,
/// [`ErrorKind::LimitExceeded`](crate::ErrorKind), and [`ErrorKind::Unsupported`](crate::ErrorKind) for an objective
/// that no release of LightGBM has.
pub(crate) fn read(bytes: &[u8], limits: &Limits) -> Result<Booster> {
    lower::booster(&file::File::read(bytes, limits)?)
}
