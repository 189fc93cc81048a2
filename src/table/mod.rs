//! Data sets: tables and arrays in files, read as the inputs of a model, and its outputs written as files.
//!
//! | format | in | out |
//! |---|---|---|
//! | `.npy` | the array of a model with one input | the array of a model with one output |
//! | `.npz` | arrays by input name; a leading `in:` is dropped, keys that name no input are ignored; a model with one input takes the only array, or the only one under `in:`, whatever its name | arrays by output name, of any rank |
//! | `.csv`, `.parquet` | columns by name where the model has feature or input names, else by position if their number fits; each (m,) or (m, 1) input is one column | one column per (m,) or (m, 1) output, `name_class` or `name_0` ... for (m, k) |
//!
//! Values keep their meaning: decimal text is parsed straight to the declared type, floats round to nearest; a
//! fraction as an integer, a number out of range and a finite one that would become infinite are errors that name the
//! data row (counted from 0) and the column. An empty cell and `nan` are NaN for a float input; an empty cell is the
//! empty string for a string input and an error for an integer one.
//!
//! CSV and Parquet are read and written in batches, so that a table may be larger than memory.
//!
//! ```no_run
//! use modelberth::table::{TableReader, TableWriter};
//! let model = modelberth::load("churn.onnx")?;
//! let mut rows = TableReader::open("customers.parquet", model.signature())?;
//! let mut answers = TableWriter::create("answers.parquet", model.signature())?;
//! while let Some(batch) = rows.next_batch(8192)? {
//!     answers.write(&model.predict_batch(&batch)?)?;
//! }
//! answers.finish()?;
//! # Ok::<(), modelberth::Error>(())
//! ```

mod arrays;
pub mod arrow;
mod cells;
mod columns;
mod csv_in;
mod csv_out;
mod format;
mod layout;
mod npy;
mod npz;
mod parquet_in;
mod parquet_out;
mod predict;
mod reader;
#[cfg(test)]
mod tests;
mod value;
mod wide;
mod writer;

pub use columns::{CellValue, Column, Columns};
pub use format::TableFormat;
pub use npy::read_npy;
pub use npz::read_npz;
#[cfg(feature = "registry")]
pub(crate) use npz::to_npz;
pub use predict::{DEFAULT_BATCH, predict_table};
pub use reader::{TableOptions, TableReader};
pub use writer::TableWriter;
