//! Reading CSV, a batch at a time.

use std::io::{self, Read};

use csv::{ByteRecord, ReaderBuilder};

use super::layout::Assembler;
use crate::{Error, ErrorKind, Result, Signature, Tensors};

pub(super) struct CsvSource {
    reader: csv::Reader<Box<dyn Read + Send>>,
    /// The last record read; the first one when `first_is_data`.
    record: ByteRecord,
    first_is_data: bool,
    headless: bool,
    columns: Vec<String>,
    inputs: Assembler,
    row: u64,
}

impl CsvSource {
    pub(super) fn new(content: Box<dyn Read + Send>, signature: &Signature, allow_extra: bool) -> Result<Self> {
        // Row lengths are compared here, since the reader's own message counts lines and names no row.
        let mut reader =
            ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(1 << 16).from_reader(content);
        let mut record = ByteRecord::new();
        if !reader.read_byte_record(&mut record).map_err(read_error)? {
            return Err(Error::new(ErrorKind::Malformed, "the table is empty; a header line was expected"));
        }
        let mut columns = Vec::with_capacity(record.len());
        for name in &record {
            match std::str::from_utf8(name) {
                Ok(text) if !text.contains('\0') => columns.push(text.trim().to_string()),
                _ => {
                    return Err(Error::new(
                        ErrorKind::Malformed,
                        "this is not a .csv table in UTF-8, and no .npy, .npz or .parquet file either",
                    ));
                }
            }
        }
        let mut inputs = Assembler::new(signature, &columns, |_| true, allow_extra)?;
        let headless = inputs.by_position() && is_data(&columns);
        if headless {
            columns = (0..columns.len()).map(|i| i.to_string()).collect();
            inputs.rename_columns(&columns);
        }
        Ok(Self { reader, record, first_is_data: headless, headless, columns, inputs, row: 0 })
    }

    /// Whether there was no header line: the first line held numbers and was read as data.
    pub(super) fn is_headless(&self) -> bool {
        self.headless
    }

    /// How many bytes were read.
    pub(super) fn position(&self) -> u64 {
        self.reader.position().byte()
    }

    /// Up to `rows` further rows; none at the end.
    pub(super) fn next_batch(&mut self, rows: usize) -> Result<(usize, Tensors<'static>)> {
        let mut m = 0;
        while m < rows {
            if !std::mem::take(&mut self.first_is_data)
                && !self.reader.read_byte_record(&mut self.record).map_err(read_error)?
            {
                break;
            }
            let (record, columns, row) = (&self.record, &self.columns, self.row);
            if record.len() != columns.len() {
                return Err(Error::new(
                    ErrorKind::Malformed,
                    "a row of the table has another number of cells than the header; data rows count from 0",
                )
                .row(row)
                .expected(format!("{} cells", columns.len()))
                .actual(format!("{} cells", record.len())));
            }
            self.inputs.push_row(row, |column| {
                std::str::from_utf8(&record[column]).map_err(|_| {
                    Error::new(
                        ErrorKind::Malformed,
                        "a cell is not UTF-8; save the table in that encoding; data rows count from 0",
                    )
                    .row(row)
                    .column(&columns[column])
                })
            })?;
            m += 1;
            self.row += 1;
        }
        Ok((m, self.inputs.take(m)?))
    }
}

/// Whether a first line is data and not a header: all its cells are numbers, other than the counting 0, 1, 2, ... (or
/// from any other start) that frames without names get.
fn is_data(cells: &[String]) -> bool {
    let counting = cells.iter().map(|c| c.parse::<i64>().ok()).collect::<Option<Vec<_>>>();
    let counts = counting.is_some_and(|n| {
        n.windows(2).all(|w| w[0].checked_add(1) == Some(w[1])) && (n.len() > 1 || n.first() == Some(&0))
    });
    !counts
        && !cells.is_empty()
        && cells.iter().all(|c| c.parse::<f64>().is_ok() && c.bytes().any(|b| b.is_ascii_digit()))
}

pub(super) fn read_error(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(e) if e.kind() == io::ErrorKind::InvalidData => {
            Error::new(ErrorKind::Malformed, e.to_string())
        }
        csv::ErrorKind::Io(e) => Error::from(e),
        other => Error::new(ErrorKind::Malformed, format!("the table can't be read as CSV: {other:?}")),
    }
}
