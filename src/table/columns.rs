//! Tables as columns, with the types that their cells have: for labels, slices and anything that is no model's input.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema};
use csv::{ByteRecord, ReaderBuilder};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::cells::cells;
use super::parquet_in::{bad, contained};
use super::value::Scalar;
use super::{TableFormat, TableOptions, read_npy, read_npz};
use crate::tensor::shape_text;
use crate::{DType, Error, ErrorKind, Result, Tensors};

const PIECE_ROWS: usize = 8192;
const MISSING_CODE: u32 = u32::MAX;
const MISSING_INT: i64 = i64::MIN;

/// The cells of one column, of one type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Column {
    /// Whole numbers; a missing one is `i64::MIN`, which no cell of the column is.
    Int(Vec<i64>),
    /// Numbers; a missing one is NaN.
    Float(Vec<f64>),
    /// Text, each different one once, and the place in that list of each row's; a missing one is `u32::MAX`.
    Text {
        /// The different texts, in the order in which they first occur.
        values: Vec<String>,
        /// For each row its text's place in `values`.
        codes: Vec<u32>,
    },
}

/// One cell of a [`Column`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "the variants are what they hold")]
pub enum CellValue<'c> {
    Missing,
    Int(i64),
    Float(f64),
    Text(&'c str),
}

impl Column {
    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Int(v) => v.len(),
            Self::Float(v) => v.len(),
            Self::Text { codes, .. } => codes.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cell in `row`, which is below [`len`](Self::len).
    #[must_use]
    pub fn cell(&self, row: usize) -> CellValue<'_> {
        match self {
            Self::Int(v) if v[row] == MISSING_INT => CellValue::Missing,
            Self::Int(v) => CellValue::Int(v[row]),
            Self::Float(v) if v[row].is_nan() => CellValue::Missing,
            Self::Float(v) => CellValue::Float(v[row]),
            Self::Text { values, codes } => match values.get(codes[row] as usize) {
                Some(text) => CellValue::Text(text),
                None => CellValue::Missing,
            },
        }
    }

    /// Text cells; an empty one is missing.
    pub fn text<S: AsRef<str>>(cells: impl IntoIterator<Item = S>) -> Self {
        let mut builder = Builder::new(Kind::Text);
        for cell in cells {
            builder.push(Scalar::Text(cell.as_ref()));
        }
        builder.column
    }

    /// What the cells are, for messages: `whole numbers`, `numbers`, `text`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "whole numbers",
            Self::Float(_) => "numbers",
            Self::Text { .. } => "text",
        }
    }
}

/// Columns by name, of one length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns {
    names: Vec<String>,
    columns: Vec<Column>,
}

impl Columns {
    /// No columns.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the name is taken; [`ErrorKind::WrongShape`] when the length differs.
    pub fn push(&mut self, name: impl Into<String>, column: Column) -> Result<()> {
        let name = name.into();
        if self.names.contains(&name) {
            return Err(Error::new(ErrorKind::InvalidArgument, "the table has two columns of this name").column(name));
        }
        if let Some(first) = self.columns.first()
            && first.len() != column.len()
        {
            return Err(Error::new(ErrorKind::WrongShape, "the columns have different numbers of rows")
                .column(name)
                .expected(first.len())
                .actual(column.len()));
        }
        self.names.push(name);
        self.columns.push(column);
        Ok(())
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }

    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The columns with their names, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Column)> {
        self.names.iter().map(String::as_str).zip(&self.columns)
    }

    /// The column called `name`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], listing the columns that there are.
    pub fn column(&self, name: &str) -> Result<&Column> {
        match self.names.iter().position(|n| n == name) {
            Some(at) => Ok(&self.columns[at]),
            None => Err(Self::lacks(name, &self.names)),
        }
    }

    fn lacks(name: &str, names: &[String]) -> Error {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Error::new(ErrorKind::NotFound, "the table has no column of this name")
            .column(name)
            .actual(format!("the columns {}", super::layout::list(&names)))
    }

    /// Reads the data set at `path`; the format is told from the content. Of `wanted` only those columns, in the order
    /// of the table, else all of them.
    ///
    /// A CSV column is of whole numbers or numbers if all its filled cells are, else text; truth values are text. The
    /// arrays of an `.npz` are columns under their keys, `key_0`, ... where they have two axes; an `.npy` has the key `x`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the file or a wanted column is not there; [`ErrorKind::Io`]; [`ErrorKind::Malformed`];
    /// [`ErrorKind::InvalidArgument`] when two columns have one name; [`ErrorKind::LimitExceeded`].
    pub fn read(path: impl AsRef<Path>, wanted: Option<&[&str]>, options: &TableOptions) -> Result<Self> {
        let path = path.as_ref();
        let located = |e: Error| if e.file_name().is_none() { e.file(path.display()) } else { e };
        let open = || File::open(path).map_err(|e| located(Error::from(e)));
        let mut file = open()?;
        let mut head = Vec::new();
        file.by_ref().take(8).read_to_end(&mut head).map_err(|e| located(e.into()))?;
        file.rewind().map_err(|e| located(e.into()))?;
        let read = match TableFormat::sniff(&head) {
            TableFormat::Csv => csv_kinds(file, wanted).and_then(|kinds| csv_columns(open()?, kinds)),
            TableFormat::Parquet => parquet_columns(file, wanted),
            format => {
                let mut bytes = Vec::new();
                file.take(options.max_bytes)
                    .read_to_end(&mut bytes)
                    .map_err(Error::from)
                    .and_then(|_| array_columns(format, &bytes, wanted))
            }
        };
        read.map_err(located)
    }

    /// Reads the data set in `bytes`, as [`read`](Self::read) does.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_bytes(bytes: &[u8], wanted: Option<&[&str]>) -> Result<Self> {
        match TableFormat::sniff(bytes) {
            TableFormat::Csv => csv_kinds(bytes, wanted).and_then(|kinds| csv_columns(bytes, kinds)),
            TableFormat::Parquet => parquet_columns(bytes::Bytes::copy_from_slice(bytes), wanted),
            format => array_columns(format, bytes, wanted),
        }
    }

    /// The tensors of a data set as columns: `x` for one (m,) or (m, 1), `x_0`, `x_1`, ... for one (m, k).
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a tensor of more axes; else as [`push`](Self::push).
    pub fn from_tensors(tensors: &Tensors<'_>) -> Result<Self> {
        let mut columns = Self::new();
        for (name, tensor) in tensors.iter() {
            let dense = tensor.to_dense();
            let width = match *dense.shape() {
                [_] => 1,
                [_, k] => k,
                _ => {
                    return Err(Error::new(ErrorKind::Unsupported, "an array of this shape is not a set of columns")
                        .tensor(name)
                        .actual(shape_text(dense.shape())));
                }
            };
            let kind = match dense.dtype() {
                DType::Bool | DType::String => Kind::Text,
                d if d.is_float() => Kind::Float,
                _ => Kind::Int,
            };
            let mut builders: Vec<Builder> = (0..width).map(|_| Builder::new(kind)).collect();
            super::arrays::each_cell(&dense, &mut |i, cell| {
                builders[i % width].push(cell);
                Ok(())
            })?;
            for (j, builder) in builders.into_iter().enumerate() {
                let name = if width == 1 { name.to_string() } else { format!("{name}_{j}") };
                columns.push(name, builder.column)?;
            }
        }
        Ok(columns)
    }

    fn keep(self, wanted: Option<&[&str]>) -> Result<Self> {
        let Some(wanted) = wanted else {
            return Ok(self);
        };
        if let Some(missing) = wanted.iter().find(|w| !self.names.iter().any(|n| n == *w)) {
            return Err(Self::lacks(missing, &self.names));
        }
        let kept = self.names.into_iter().zip(self.columns).filter(|(n, _)| wanted.contains(&n.as_str()));
        let (names, columns) = kept.unzip();
        Ok(Self { names, columns })
    }
}

/// The columns with their names, in order.
impl IntoIterator for Columns {
    type Item = (String, Column);
    type IntoIter = std::iter::Zip<std::vec::IntoIter<String>, std::vec::IntoIter<Column>>;

    fn into_iter(self) -> Self::IntoIter {
        self.names.into_iter().zip(self.columns)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Int,
    Float,
    Text,
}

/// Gathers the cells of a column whose kind is known.
struct Builder {
    column: Column,
    places: HashMap<String, u32>,
}

impl Builder {
    fn new(kind: Kind) -> Self {
        let column = match kind {
            Kind::Int => Column::Int(Vec::new()),
            Kind::Float => Column::Float(Vec::new()),
            Kind::Text => Column::Text { values: Vec::new(), codes: Vec::new() },
        };
        Self { column, places: HashMap::new() }
    }

    fn push(&mut self, cell: Scalar<'_>) {
        match &mut self.column {
            Column::Int(cells) => cells.push(match cell {
                Scalar::Int(i) => i,
                Scalar::Uint(u) => i64::try_from(u).unwrap_or(i64::MAX),
                Scalar::Text(text) => text.trim_ascii().parse().unwrap_or(MISSING_INT),
                _ => MISSING_INT,
            }),
            Column::Float(cells) => cells.push(match cell {
                Scalar::Int(i) => i as f64,
                Scalar::Uint(u) => u as f64,
                Scalar::Float(f) => f,
                Scalar::Text(text) => text.trim_ascii().parse().unwrap_or(f64::NAN),
                _ => f64::NAN,
            }),
            Column::Text { values, codes } => {
                let text = match cell {
                    Scalar::Text(text) => text,
                    Scalar::Bool(true) => "true",
                    Scalar::Bool(false) => "false",
                    _ => "",
                };
                codes.push(match self.places.get(text) {
                    _ if text.is_empty() => MISSING_CODE,
                    Some(&place) => place,
                    None => {
                        let place = values.len() as u32;
                        values.push(text.to_string());
                        self.places.insert(text.to_string(), place);
                        place
                    }
                });
            }
        }
    }
}

/// The columns of a CSV table that are wanted, with their kinds.
struct Layout {
    names: Vec<String>,
    kinds: Vec<Option<Kind>>,
}

fn reader<R: Read>(content: R) -> csv::Reader<R> {
    ReaderBuilder::new().has_headers(true).flexible(true).buffer_capacity(1 << 16).from_reader(content)
}

fn csv_kinds(content: impl Read, wanted: Option<&[&str]>) -> Result<Layout> {
    let mut reader = reader(content);
    let header = reader.byte_headers().map_err(super::csv_in::read_error)?;
    let mut names = Vec::with_capacity(header.len());
    for name in header {
        let name = std::str::from_utf8(name).ok().filter(|n| !n.contains('\0')).ok_or_else(|| {
            Error::new(
                ErrorKind::Malformed,
                "this is not a .csv table in UTF-8, and no .npy, .npz or .parquet file either",
            )
        })?;
        let name = name.trim().to_string();
        if names.contains(&name) {
            return Err(Error::new(ErrorKind::InvalidArgument, "the table has two columns of this name").column(name));
        }
        names.push(name);
    }
    if names.is_empty() {
        return Err(Error::new(ErrorKind::Malformed, "the table is empty; a header line was expected"));
    }
    if let Some(missing) = wanted.unwrap_or_default().iter().find(|w| !names.iter().any(|n| n == *w)) {
        return Err(Columns::lacks(missing, &names));
    }
    let is_wanted = |name: &String| wanted.is_none_or(|w| w.contains(&name.as_str()));
    let mut kinds: Vec<Option<Kind>> = names.iter().map(|n| is_wanted(n).then_some(Kind::Int)).collect();
    let mut record = ByteRecord::new();
    while next(&mut reader, &mut record, &names)? {
        for (kind, cell) in kinds.iter_mut().zip(&record) {
            let Some(kind @ (Kind::Int | Kind::Float)) = kind else {
                continue;
            };
            let text = std::str::from_utf8(cell).unwrap_or("?").trim_ascii();
            let is_int = |t: &str| t.parse::<i64>().is_ok_and(|i| i != MISSING_INT);
            if !(text.is_empty() || *kind == Kind::Int && is_int(text)) {
                *kind = if text.parse::<f64>().is_ok() { Kind::Float } else { Kind::Text };
            }
        }
    }
    Ok(Layout { names, kinds })
}

fn csv_columns(content: impl Read, layout: Layout) -> Result<Columns> {
    let mut reader = reader(content);
    let mut builders: Vec<Option<Builder>> = layout.kinds.iter().map(|k| k.map(Builder::new)).collect();
    let (mut record, mut row) = (ByteRecord::new(), 0u64);
    while next(&mut reader, &mut record, &layout.names)? {
        check_rows(row)?;
        for (j, (builder, cell)) in builders.iter_mut().zip(&record).enumerate() {
            if let Some(builder) = builder {
                let text = std::str::from_utf8(cell).map_err(|_| {
                    Error::new(ErrorKind::Malformed, "a cell is not UTF-8; save the table in that encoding")
                        .row(row)
                        .column(&layout.names[j])
                })?;
                builder.push(Scalar::Text(text));
            }
        }
        row += 1;
    }
    let mut columns = Columns::new();
    for (name, builder) in layout.names.into_iter().zip(builders) {
        if let Some(builder) = builder {
            columns.push(name, builder.column)?;
        }
    }
    Ok(columns)
}

fn next(reader: &mut csv::Reader<impl Read>, record: &mut ByteRecord, names: &[String]) -> Result<bool> {
    if !reader.read_byte_record(record).map_err(super::csv_in::read_error)? {
        return Ok(false);
    }
    if record.len() == names.len() {
        return Ok(true);
    }
    let line = record.position().map_or(0, csv::Position::line);
    Err(Error::new(
        ErrorKind::Malformed,
        format!("line {line} of the table has another number of cells than the header"),
    )
    .expected(format!("{} cells", names.len()))
    .actual(format!("{} cells", record.len())))
}

fn parquet_columns(
    file: impl parquet::file::reader::ChunkReader + 'static,
    wanted: Option<&[&str]>,
) -> Result<Columns> {
    contained(move || {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(bad)?;
        let mut gather = Gather::new(builder.schema(), wanted)?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), gather.chosen().iter().copied());
        for piece in builder.with_projection(mask).with_batch_size(PIECE_ROWS).build().map_err(bad)? {
            gather.push(&piece.map_err(bad)?)?;
        }
        gather.finish()
    })
}

/// Gathers columns from record batches.
pub(super) struct Gather {
    names: Vec<String>,
    chosen: Vec<usize>,
    builders: Vec<Builder>,
    rows: u64,
}

impl Gather {
    /// Gathers the columns of `schema` that are wanted.
    pub(super) fn new(schema: &Schema, wanted: Option<&[&str]>) -> Result<Self> {
        let fields = schema.fields();
        let names: Vec<String> = fields.iter().map(|f| f.name().clone()).collect();
        if let Some(missing) = wanted.unwrap_or_default().iter().find(|w| !names.iter().any(|n| n == *w)) {
            return Err(Columns::lacks(missing, &names));
        }
        let chosen: Vec<usize> =
            (0..names.len()).filter(|&i| wanted.is_none_or(|w| w.contains(&names[i].as_str()))).collect();
        let builders = chosen.iter().map(|&i| Builder::new(kind_of(fields[i].data_type()))).collect();
        Ok(Self { names, chosen, builders, rows: 0 })
    }

    /// The places of the wanted columns in the schema.
    pub(super) fn chosen(&self) -> &[usize] {
        &self.chosen
    }

    /// Takes the rows of a batch of the chosen columns.
    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        for (j, builder) in self.builders.iter_mut().enumerate() {
            cells(batch.column(j).as_ref(), &mut |_, cell| {
                builder.push(cell);
                Ok(())
            })
            .map_err(|e| e.column(&self.names[self.chosen[j]]))?;
        }
        self.rows += batch.num_rows() as u64;
        check_rows(self.rows)
    }

    pub(super) fn finish(self) -> Result<Columns> {
        let mut columns = Columns::new();
        for (i, builder) in self.chosen.into_iter().zip(self.builders) {
            columns.push(self.names[i].as_str(), builder.column)?;
        }
        Ok(columns)
    }
}

fn kind_of(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Dictionary(_, of_values) => kind_of(of_values),
        d if d.is_integer() => Kind::Int,
        d if d.is_numeric() => Kind::Float,
        _ => Kind::Text,
    }
}

fn array_columns(format: TableFormat, bytes: &[u8], wanted: Option<&[&str]>) -> Result<Columns> {
    let tensors = match format {
        TableFormat::Npy => Tensors::one("x", read_npy(bytes)?),
        _ => read_npz(bytes)?,
    };
    Columns::from_tensors(&tensors)?.keep(wanted)
}

fn check_rows(rows: u64) -> Result<()> {
    if rows < u64::from(u32::MAX) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::LimitExceeded, "a table held as columns has fewer than 2^32 rows"))
}
