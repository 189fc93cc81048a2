//! Reading Parquet and record batches, a batch at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;

use super::cells::cells;
use super::layout::Assembler;
use crate::{Error, ErrorKind, Result, Signature, Tensors};

/// How many rows are decoded at a time; batches are put together from such pieces.
const PIECE_ROWS: usize = 8192;

type Pieces = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

pub(super) struct ParquetSource {
    pieces: Pieces,
    /// The piece that is being used up, and how many of its rows are.
    piece: Option<(RecordBatch, usize)>,
    /// The columns of a piece, as columns of the table.
    projected: Vec<usize>,
    inputs: Assembler,
    row: u64,
    total: u64,
}

impl ParquetSource {
    pub(super) fn new(file: impl ChunkReader + 'static, signature: &Signature, allow_extra: bool) -> Result<Self> {
        contained(move || {
            // The types are those of Parquet itself: what the writer had in memory (dictionaries, views) is skipped.
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(bad)?;
            let inputs = assembler(builder.schema(), signature, allow_extra)?;
            let projected = inputs.needed();
            let total = builder.metadata().file_metadata().num_rows();
            let mask = ProjectionMask::roots(builder.parquet_schema(), projected.iter().copied());
            let pieces = builder.with_projection(mask).with_batch_size(PIECE_ROWS).build().map_err(bad)?;
            Ok(Self {
                pieces: Box::new(pieces),
                piece: None,
                projected,
                inputs,
                row: 0,
                total: u64::try_from(total).unwrap_or(0),
            })
        })
    }

    /// The rows of record batches of this schema.
    pub(super) fn of_batches(
        schema: &Schema,
        batches: Vec<RecordBatch>,
        signature: &Signature,
        allow_extra: bool,
    ) -> Result<Self> {
        let inputs = assembler(schema, signature, allow_extra)?;
        let projected = inputs.needed();
        let total = batches.iter().map(|b| b.num_rows() as u64).sum();
        let needed = projected.clone();
        let pieces = Box::new(batches.into_iter().map(move |batch| batch.project(&needed)));
        Ok(Self { pieces, piece: None, projected, inputs, row: 0, total })
    }

    /// How many rows the file says it has.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Up to `rows` further rows; none at the end.
    pub(super) fn next_batch(&mut self, rows: usize) -> Result<(usize, Tensors<'static>)> {
        let mut m = 0;
        while m < rows {
            let (piece, used) = match self.piece.take() {
                Some(piece) => piece,
                None => match contained(|| self.pieces.next().transpose().map_err(bad))? {
                    Some(piece) => (piece, 0),
                    None => break,
                },
            };
            let count = (piece.num_rows() - used).min(rows - m);
            let part = piece.slice(used, count);
            let projected = &self.projected;
            self.inputs.push_columns(m, count, self.row, |column, put| {
                let at = projected.iter().position(|&c| c == column);
                let at = at.expect("only needed columns are asked for, and those were projected");
                cells(part.column(at).as_ref(), put)
            })?;
            m += count;
            self.row += count as u64;
            if used + count < piece.num_rows() {
                self.piece = Some((piece, used + count));
            }
        }
        Ok((m, self.inputs.take(m)?))
    }
}

/// Which columns of this schema go where in the inputs of a model.
fn assembler(schema: &Schema, signature: &Signature, allow_extra: bool) -> Result<Assembler> {
    let columns: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let is_text = |column: usize| {
        use DataType::{Binary, BinaryView, Dictionary, LargeBinary, LargeUtf8, Utf8, Utf8View};
        let of_column = match schema.field(column).data_type() {
            Dictionary(_, of_values) => of_values.as_ref(),
            other => other,
        };
        matches!(of_column, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView)
    };
    Assembler::new(signature, &columns, is_text, allow_extra)
}

/// Runs what reads the file: a hostile one must not take the host down, whatever the reader does with it.
pub(super) fn contained<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Malformed, "the .parquet file is broken; write it again")))
}

pub(super) fn bad(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Malformed, "the .parquet file can't be read; it may be truncated").with_source(error)
}
