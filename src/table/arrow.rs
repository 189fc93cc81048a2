//! The bridge to Arrow: record batches that a host holds, as the inputs of a model and as columns.

pub use arrow_array;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::columns::Gather;
use super::parquet_in::ParquetSource;
use super::{Columns, TableOptions};
use crate::{Error, ErrorKind, Result, Signature, Tensors};

/// Record batches of one schema. The columns stay where the host has them; what a model or a suite looks at is read a batch
/// at a time.
///
/// ```
/// use std::sync::Arc;
/// use modelberth::table::arrow::{Batches, arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray}};
/// let country: ArrayRef = Arc::new(StringArray::from(vec!["FR", "DE"]));
/// let age: ArrayRef = Arc::new(Int64Array::from(vec![31, 27]));
/// let batch = RecordBatch::try_from_iter([("country", country), ("age", age)]).unwrap();
/// let columns = Batches::new([batch.clone(), batch])?.columns(Some(&["age"]))?;
/// assert_eq!((columns.names().len(), columns.rows()), (1, 4));
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Batches {
    schema: Option<SchemaRef>,
    batches: Vec<RecordBatch>,
}

impl Batches {
    /// These batches, one behind the other.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when their columns have different names or types.
    pub fn new(batches: impl IntoIterator<Item = RecordBatch>) -> Result<Self> {
        let batches: Vec<RecordBatch> = batches.into_iter().collect();
        let schema = batches.first().map(RecordBatch::schema);
        let columns = |s: &SchemaRef| -> Vec<_> {
            s.fields().iter().map(|f| (f.name().clone(), f.data_type().clone())).collect()
        };
        if let Some(first) = &schema {
            for (i, batch) in batches.iter().enumerate().skip(1) {
                if columns(&batch.schema()) != columns(first) {
                    return Err(Error::new(
                        ErrorKind::InvalidArgument,
                        format!("batch {i} has other columns than the first"),
                    )
                    .expected(first)
                    .actual(batch.schema()));
                }
            }
        }
        Ok(Self { schema, batches })
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The columns in `wanted`, or all of them: truth values as text, dates and times as ISO 8601 text in UTC,
    /// dictionaries as their values.
    ///
    /// # Errors
    /// As [`Columns::read`].
    pub fn columns(&self, wanted: Option<&[&str]>) -> Result<Columns> {
        let Some(schema) = &self.schema else {
            return Ok(Columns::new());
        };
        let mut gather = Gather::new(schema, wanted)?;
        for batch in &self.batches {
            let batch = batch
                .project(gather.chosen())
                .map_err(|e| Error::new(ErrorKind::InvalidArgument, "a record batch lacks a column").with_source(e))?;
            gather.push(&batch)?;
        }
        gather.finish()
    }

    /// The inputs of a model of this signature, to be taken a batch at a time. The rules for names and cells are those of
    /// [`TableReader`](super::TableReader).
    ///
    /// # Errors
    /// As [`TableReader::open`](super::TableReader::open).
    pub fn inputs(&self, signature: &Signature, options: &TableOptions) -> Result<BatchInputs> {
        let schema = self.schema.clone().unwrap_or_else(|| SchemaRef::new(arrow_schema::Schema::empty()));
        let source = ParquetSource::of_batches(&schema, self.batches.clone(), signature, options.extra_columns)?;
        Ok(BatchInputs { source })
    }
}

/// Record batches as the inputs of a model.
pub struct BatchInputs {
    source: ParquetSource,
}

impl std::fmt::Debug for BatchInputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchInputs").field("rows", &self.source.total()).finish_non_exhaustive()
    }
}

impl BatchInputs {
    /// Up to `rows` further rows; `None` at the end.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] naming the row and the column of a value that can't become an element of its input;
    /// [`ErrorKind::InvalidArgument`] when `rows` is 0.
    pub fn next_batch(&mut self, rows: usize) -> Result<Option<Tensors<'static>>> {
        if rows == 0 {
            return Err(Error::new(ErrorKind::InvalidArgument, "a batch has at least one row"));
        }
        let (taken, inputs) = self.source.next_batch(rows)?;
        Ok((taken > 0).then_some(inputs))
    }
}
