use std::fmt;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use super::TableFormat;
use super::arrays::ArraySource;
use super::csv_in::CsvSource;
use super::npy;
use super::npz::Archive;
use super::parquet_in::ParquetSource;
use crate::{Error, ErrorKind, Result, Signature, Tensors};

/// How data sets are read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TableOptions {
    /// Whether columns that the model does not take are passed over where it finds all of its own by name; else they
    /// are an error. Off unless set.
    pub extra_columns: bool,
    /// The most bytes that one array may have, or a stream that must be held whole. Default 64 GiB.
    pub max_bytes: u64,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { extra_columns: false, max_bytes: 64 << 30 }
    }
}

impl TableOptions {
    /// Sets [`extra_columns`](Self::extra_columns).
    #[must_use]
    pub fn extra_columns(mut self, allowed: bool) -> Self {
        self.extra_columns = allowed;
        self
    }

    /// Sets [`max_bytes`](Self::max_bytes).
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// Reads a data set as the inputs of a model, a batch at a time. See [the module](super) for the formats.
pub struct TableReader {
    source: Source,
    format: TableFormat,
    name: String,
    /// The length of the content, where it is known.
    bytes: Option<u64>,
    rows: u64,
    started: bool,
}

enum Source {
    Arrays(ArraySource),
    Csv(Box<CsvSource>),
    Parquet(Box<ParquetSource>),
}

impl fmt::Debug for TableReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableReader")
            .field("name", &self.name)
            .field("format", &self.format)
            .field("rows_read", &self.rows)
            .finish_non_exhaustive()
    }
}

impl TableReader {
    /// Opens the data set at `path` for a model of this signature. The format is told from the content.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] or [`ErrorKind::Io`] when it can't be read; [`ErrorKind::Malformed`] when it is broken;
    /// [`ErrorKind::MissingInput`] naming the columns or arrays that the model takes and the table lacks;
    /// [`ErrorKind::InvalidArgument`] naming columns that the model does not take; [`ErrorKind::WrongShape`] when their
    /// number does not fit; [`ErrorKind::LimitExceeded`].
    pub fn open(path: impl AsRef<Path>, signature: &Signature) -> Result<Self> {
        Self::open_with(path, signature, &TableOptions::default())
    }

    /// [`open`](Self::open), with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, signature: &Signature, options: &TableOptions) -> Result<Self> {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let in_file = |e: Error| located(e, &shown);
        let cannot = |e: std::io::Error| {
            let e = Error::from(e);
            Error::new(e.kind(), format!("the data set can't be opened: {}", e.message())).file(&shown)
        };
        let meta = std::fs::metadata(path).map_err(cannot)?;
        if meta.is_dir() {
            return Err(Error::new(ErrorKind::InvalidArgument, "this is a directory; name one file").file(&shown));
        }
        let mut file = File::open(path).map_err(cannot)?;
        if !meta.is_file() {
            return Self::from_reader(&shown, file, signature, options);
        }
        let mut head = Vec::new();
        file.by_ref().take(8).read_to_end(&mut head).map_err(cannot)?;
        file.rewind().map_err(cannot)?;
        let format = TableFormat::sniff(&head);
        let named = TableFormat::from_path(path);
        if format == TableFormat::Csv && named.is_some_and(|named| named != TableFormat::Csv) {
            let named = named.map_or("", TableFormat::as_str);
            return Err(in_file(
                Error::new(
                    ErrorKind::Malformed,
                    "the content is not of the format that the file's extension stands for; if it is a text table, name it .csv",
                )
                .expected(named)
                .actual(shown_head(&head)),
            ));
        }
        let length = meta.len();
        let source = match format {
            TableFormat::Npy => {
                let array = npy::read(&mut BufReader::new(file), length, options.max_bytes).map_err(in_file)?;
                single(signature, array).map(Source::Arrays)
            }
            TableFormat::Npz => Archive::open(BufReader::new(file))
                .and_then(|mut archive| archive.inputs(signature, options.max_bytes))
                .and_then(|arrays| ArraySource::new(signature, arrays))
                .map(Source::Arrays),
            TableFormat::Parquet => {
                ParquetSource::new(file, signature, options.extra_columns).map(|s| Source::Parquet(Box::new(s)))
            }
            TableFormat::Csv => {
                CsvSource::new(Box::new(file), signature, options.extra_columns).map(|s| Source::Csv(Box::new(s)))
            }
        };
        Ok(Self::new(source.map_err(in_file)?, format, shown.clone(), Some(length)))
    }

    /// Reads the data set that `content` streams, such as standard input; `name` is for messages. CSV is read as it
    /// comes, the other formats are held whole.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_reader(
        name: &str,
        mut content: impl Read + Send + 'static,
        signature: &Signature,
        options: &TableOptions,
    ) -> Result<Self> {
        let mut head = Vec::new();
        content.by_ref().take(8).read_to_end(&mut head).map_err(|e| located(e.into(), name))?;
        if TableFormat::sniff(&head) == TableFormat::Csv {
            let content: Box<dyn Read + Send> = Box::new(Cursor::new(head).chain(content));
            let source = CsvSource::new(content, signature, options.extra_columns).map_err(|e| located(e, name))?;
            return Ok(Self::new(Source::Csv(Box::new(source)), TableFormat::Csv, name.to_string(), None));
        }
        let mut bytes = head;
        let limit = options.max_bytes.saturating_add(1);
        content.take(limit).read_to_end(&mut bytes).map_err(|e| located(e.into(), name))?;
        Self::from_bytes(name, bytes, signature, options)
    }

    /// Reads the data set in `bytes`; `name` is for messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(
        name: &str,
        bytes: impl Into<Vec<u8>>,
        signature: &Signature,
        options: &TableOptions,
    ) -> Result<Self> {
        let bytes: Vec<u8> = bytes.into();
        let (length, format) = (bytes.len() as u64, TableFormat::sniff(&bytes));
        if length > options.max_bytes {
            return Err(located(
                Error::new(ErrorKind::LimitExceeded, "the data set is larger than `TableOptions::max_bytes`")
                    .expected(format!("at most {} bytes", options.max_bytes)),
                name,
            ));
        }
        let source = match format {
            TableFormat::Npy => npy::read(&mut bytes.as_slice(), length, options.max_bytes)
                .and_then(|array| single(signature, array))
                .map(Source::Arrays),
            TableFormat::Npz => Archive::open(Cursor::new(bytes))
                .and_then(|mut archive| archive.inputs(signature, options.max_bytes))
                .and_then(|arrays| ArraySource::new(signature, arrays))
                .map(Source::Arrays),
            TableFormat::Parquet => ParquetSource::new(bytes::Bytes::from(bytes), signature, options.extra_columns)
                .map(|s| Source::Parquet(Box::new(s))),
            TableFormat::Csv => CsvSource::new(Box::new(Cursor::new(bytes)), signature, options.extra_columns)
                .map(|s| Source::Csv(Box::new(s))),
        };
        Ok(Self::new(source.map_err(|e| located(e, name))?, format, name.to_string(), Some(length)))
    }

    fn new(source: Source, format: TableFormat, name: String, bytes: Option<u64>) -> Self {
        Self { source, format, name, bytes, rows: 0, started: false }
    }

    /// The format of the data set.
    #[must_use]
    pub fn format(&self) -> TableFormat {
        self.format
    }

    /// How many rows were read so far.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        self.rows
    }

    /// How many rows there are in all, where the format says it in advance; CSV does not.
    #[must_use]
    pub fn total_rows(&self) -> Option<u64> {
        match &self.source {
            Source::Arrays(arrays) => Some(arrays.total()),
            Source::Parquet(table) => Some(table.total()),
            Source::Csv(_) => None,
        }
    }

    /// The share of the data set that was read, from 0 to 1, where its size is known.
    #[must_use]
    pub fn share_read(&self) -> Option<f64> {
        match (&self.source, self.total_rows(), self.bytes) {
            (Source::Csv(table), _, Some(bytes)) => Some((table.position() as f64 / bytes.max(1) as f64).min(1.0)),
            (_, Some(total), _) => Some(if total == 0 { 1.0 } else { (self.rows as f64 / total as f64).min(1.0) }),
            _ => None,
        }
    }

    /// Whether a CSV table had no header: its first line held nothing but numbers, and was read as data.
    #[must_use]
    pub fn is_headless(&self) -> bool {
        matches!(&self.source, Source::Csv(table) if table.is_headless())
    }

    /// Up to `rows` further rows, as the inputs of the model in the order of its signature; `None` at the end. A data
    /// set without rows gives one batch of none, so that its answers have a shape. Inputs without a batch axis stand
    /// whole in every batch.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] naming the row and the column of a value that can't become an element of its input;
    /// [`ErrorKind::Malformed`] when the data set is broken; [`ErrorKind::InvalidArgument`] when `rows` is 0.
    pub fn next_batch(&mut self, rows: usize) -> Result<Option<Tensors<'static>>> {
        if rows == 0 {
            return Err(Error::new(ErrorKind::InvalidArgument, "a batch has at least one row"));
        }
        let read = match &mut self.source {
            Source::Arrays(arrays) => arrays.next_batch(rows),
            Source::Csv(table) => table.next_batch(rows),
            Source::Parquet(table) => table.next_batch(rows),
        };
        let (m, inputs) = read.map_err(|e| located(e, &self.name))?;
        self.rows += m as u64;
        if m == 0 && self.started {
            return Ok(None);
        }
        self.started = true;
        Ok(Some(inputs))
    }

    /// All rows that are left.
    ///
    /// # Errors
    /// As [`next_batch`](Self::next_batch).
    pub fn read_all(mut self) -> Result<Tensors<'static>> {
        Ok(self.next_batch(usize::MAX)?.unwrap_or_default())
    }
}

fn single(signature: &Signature, array: crate::Tensor<'static>) -> Result<ArraySource> {
    if signature.inputs().len() == 1 {
        return ArraySource::new(signature, vec![array]);
    }
    let names: Vec<&str> = signature.inputs().iter().map(|s| s.name().as_str()).collect();
    Err(Error::new(
        ErrorKind::MissingInput,
        format!(
            "an .npy file holds one array, and the model takes several: {}; write them with `numpy.savez`",
            super::layout::list(&names)
        ),
    ))
}

/// Says in which file an error was found, unless it says so already.
fn located(error: Error, name: &str) -> Error {
    if error.file_name().is_some() { error } else { error.file(name) }
}

fn shown_head(head: &[u8]) -> String {
    if head.is_empty() {
        return "an empty file".to_string();
    }
    format!("a file that starts with `{}`", head.escape_ascii())
}
