//! What the fuzz targets share: limits, a ceiling on memory, models to predict with, bytes turned into tensors and
//! edits of protobuf files.

mod memory;
mod models;
mod random;
mod tensors;
mod text;
mod wire;

pub use models::{Promise, booster, exercise, loader, model, operators};
pub use random::Random;
pub use tensors::{Bytes, conforming, hostile};
pub use text::mutate_lines;
pub use wire::mutate;
