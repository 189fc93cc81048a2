//! Reading Parquet, a batch at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{ArrowError, DataType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::ChunkReader;

use super::layout::Assembler;
use super::value::Scalar;
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
            let columns: Vec<String> = builder.schema().fields().iter().map(|f| f.name().clone()).collect();
            let is_text = |column: usize| {
                use DataType::{Binary, BinaryView, LargeBinary, LargeUtf8, Utf8, Utf8View};
                let of_column = builder.schema().field(column).data_type();
                matches!(of_column, Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView)
            };
            let inputs = Assembler::new(signature, &columns, is_text, allow_extra)?;
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

/// Runs what reads the file: a hostile one must not take the host down, whatever the reader does with it.
pub(super) fn contained<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(Error::new(ErrorKind::Malformed, "the .parquet file is broken; write it again")))
}

pub(super) fn bad(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Malformed, "the .parquet file can't be read; it may be truncated").with_source(error)
}

/// Gives every cell of `array` to `put`.
pub(super) fn cells(array: &dyn Array, put: &mut dyn FnMut(usize, Scalar<'_>) -> Result<()>) -> Result<()> {
    macro_rules! each {
        ($array:expr, $i:ident, $a:ident => $cell:expr) => {{
            let $a = $array;
            for $i in 0..$a.len() {
                put($i, if $a.is_null($i) { Scalar::Missing } else { $cell })?;
            }
            Ok(())
        }};
    }
    macro_rules! number {
        ($t:ty, $variant:ident, $to:ty) => {
            each!(array.as_primitive::<$t>(), i, a => Scalar::$variant(<$to>::from(a.value(i))))
        };
    }
    macro_rules! decimal {
        ($t:ty) => {{
            let a = array.as_primitive::<$t>();
            (0..a.len()).try_for_each(|i| match a.is_null(i) {
                true => put(i, Scalar::Missing),
                false => put(i, Scalar::Text(&a.value_as_string(i))),
            })
        }};
    }
    macro_rules! bytes {
        ($array:expr) => {
            each!($array, i, a => Scalar::Text(std::str::from_utf8(a.value(i)).map_err(|_| {
                Error::new(ErrorKind::Malformed, "the column holds bytes that are not UTF-8 text; store it as text")
            })?))
        };
    }
    match array.data_type() {
        DataType::Null => each!(array, _i, a => Scalar::Missing),
        DataType::Boolean => each!(array.as_boolean(), i, a => Scalar::Bool(a.value(i))),
        DataType::Int8 => number!(Int8Type, Int, i64),
        DataType::Int16 => number!(Int16Type, Int, i64),
        DataType::Int32 => number!(Int32Type, Int, i64),
        DataType::Int64 => number!(Int64Type, Int, i64),
        DataType::UInt8 => number!(UInt8Type, Uint, u64),
        DataType::UInt16 => number!(UInt16Type, Uint, u64),
        DataType::UInt32 => number!(UInt32Type, Uint, u64),
        DataType::UInt64 => number!(UInt64Type, Uint, u64),
        DataType::Float16 => number!(Float16Type, Float, f64),
        DataType::Float32 => number!(Float32Type, Float, f64),
        DataType::Float64 => number!(Float64Type, Float, f64),
        DataType::Decimal128(..) => decimal!(Decimal128Type),
        DataType::Decimal256(..) => decimal!(Decimal256Type),
        DataType::Utf8 => each!(array.as_string::<i32>(), i, a => Scalar::Text(a.value(i))),
        DataType::LargeUtf8 => each!(array.as_string::<i64>(), i, a => Scalar::Text(a.value(i))),
        DataType::Utf8View => each!(array.as_string_view(), i, a => Scalar::Text(a.value(i))),
        DataType::Binary => bytes!(array.as_binary::<i32>()),
        DataType::LargeBinary => bytes!(array.as_binary::<i64>()),
        DataType::BinaryView => bytes!(array.as_binary_view()),
        other => Err(Error::new(
            ErrorKind::WrongType,
            "a column of this type can't be an input; store it as numbers, booleans or text",
        )
        .actual(other.to_string())),
    }
}
