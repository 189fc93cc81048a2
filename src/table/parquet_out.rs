//! Writing Parquet.

use std::io::Write;
use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::wide::Columns;
use crate::{Error, ErrorKind, Result, Tensor, Tensors};

/// How many rows are gathered before they are compressed and written.
const GROUP_ROWS: usize = 1 << 18;

/// Starts a file whose columns have the types of the first batch.
pub(super) fn start<W: Write + Send>(out: W, first: &RecordBatch) -> Result<ArrowWriter<W>> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    ArrowWriter::try_new(out, first.schema(), Some(properties)).map_err(write_error)
}

/// The rows of one batch as typed columns.
pub(super) fn batch(columns: &Columns, outputs: &Tensors<'_>) -> Result<RecordBatch> {
    let (m, tensors) = columns.rows(outputs)?;
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.names().len());
    for (tensor, width) in &tensors {
        arrays.extend((0..*width).map(|j| column(tensor, m, *width, j)));
    }
    let fields = columns.names().iter().zip(&arrays).map(|(name, a)| Field::new(name, a.data_type().clone(), false));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(m));
    RecordBatch::try_new_with_options(schema, arrays, &options)
        .map_err(|e| Error::new(ErrorKind::Io, "the outputs can't be put into columns").with_source(e))
}

/// Column `j` of a dense, row-major tensor with `m` rows and `width` columns.
fn column(tensor: &Tensor<'_>, m: usize, width: usize, j: usize) -> ArrayRef {
    fn primitive<P: ArrowPrimitiveType>(values: impl Iterator<Item = P::Native>) -> ArrayRef {
        Arc::new(PrimitiveArray::<P>::from_iter_values(values))
    }
    macro_rules! of_column {
        ($array:expr) => {
            $array.as_slice().unwrap_or_default().iter().skip(j).step_by(width).take(m)
        };
    }
    match tensor {
        Tensor::Bool(a) => Arc::new(BooleanArray::from(of_column!(a).copied().collect::<Vec<bool>>())),
        Tensor::U8(a) => primitive::<UInt8Type>(of_column!(a).copied()),
        Tensor::U16(a) => primitive::<UInt16Type>(of_column!(a).copied()),
        Tensor::U32(a) => primitive::<UInt32Type>(of_column!(a).copied()),
        Tensor::U64(a) => primitive::<UInt64Type>(of_column!(a).copied()),
        Tensor::I8(a) => primitive::<Int8Type>(of_column!(a).copied()),
        Tensor::I16(a) => primitive::<Int16Type>(of_column!(a).copied()),
        Tensor::I32(a) => primitive::<Int32Type>(of_column!(a).copied()),
        Tensor::I64(a) => primitive::<Int64Type>(of_column!(a).copied()),
        Tensor::F16(a) => primitive::<Float16Type>(of_column!(a).copied()),
        // Parquet has no bfloat16; f32 holds every value of it.
        Tensor::Bf16(a) => primitive::<Float32Type>(of_column!(a).map(|x| x.to_f32())),
        Tensor::F32(a) => primitive::<Float32Type>(of_column!(a).copied()),
        Tensor::F64(a) => primitive::<Float64Type>(of_column!(a).copied()),
        Tensor::String(a) => Arc::new(StringArray::from_iter_values(of_column!(a))),
        Tensor::CsrF32(_) | Tensor::CsrF64(_) => unreachable!("`Columns::rows` gives dense tensors"),
    }
}

pub(super) fn write_error(error: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Io, "the .parquet file can't be written").with_source(error)
}
