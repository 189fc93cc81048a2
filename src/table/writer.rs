use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Cursor, Write};
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use tempfile::NamedTempFile;

use super::npy::Column;
use super::wide::Columns;
use super::{TableFormat, csv_out, npz, parquet_out};
use crate::{Error, ErrorKind, Result, Signature, Tensors};

/// Writes the outputs of a model as a file, a batch at a time. See [the module](super) for the formats.
///
/// The file stands beside its place under another name until [`finish`](Self::finish), so that it appears whole or not
/// at all. CSV and Parquet are written as the batches come; the arrays of `.npy` and `.npz` are held until the end.
pub struct TableWriter {
    sink: Sink,
    format: TableFormat,
    signature: Signature,
    name: String,
    rows: u64,
}

type Out = Box<dyn Write + Send>;

enum Sink {
    /// Nothing was written yet.
    New(Target),
    Arrays(Target, Vec<(String, Column)>),
    Csv(Box<csv::Writer<Target>>, Columns),
    Parquet(Box<ArrowWriter<Target>>, Columns),
    /// The first batch could not be written; nothing can follow.
    Failed,
}

/// Where the bytes go.
enum Target {
    /// A temporary file that takes its place at the end.
    File(BufWriter<NamedTempFile>, PathBuf),
    /// A stream, such as standard output or a pipe.
    Stream(Out),
}

impl fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableWriter")
            .field("name", &self.name)
            .field("format", &self.format)
            .field("rows_written", &self.rows)
            .finish_non_exhaustive()
    }
}

impl TableWriter {
    /// Writes to `path`, in the format of its extension, the outputs of a model of this signature.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the extension is not one of `npy`, `npz`, `csv` and `parquet`, or an `.npy`
    /// file was asked for and the model has several outputs; [`ErrorKind::Io`] when the directory can't be written to.
    pub fn create(path: impl AsRef<Path>, signature: &Signature) -> Result<Self> {
        let path = path.as_ref();
        let shown = path.display().to_string();
        let format = TableFormat::from_path(path).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "the extension of the output file names no table format")
                .file(&shown)
                .expected(".npz, .csv, .parquet or .npy")
        })?;
        check_single(format, signature)?;
        let target = Target::create(path).map_err(|e| {
            let e = Error::from(e);
            Error::new(e.kind(), format!("the output file can't be written: {}", e.message())).file(&shown)
        })?;
        Ok(Self::new(target, format, signature, shown))
    }

    /// Writes to a stream, such as standard output; `name` is for messages.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when an `.npy` stream was asked for and the model has several outputs.
    pub fn to_stream(
        name: &str,
        out: impl Write + Send + 'static,
        format: TableFormat,
        signature: &Signature,
    ) -> Result<Self> {
        check_single(format, signature)?;
        Ok(Self::new(Target::Stream(Box::new(BufWriter::new(out))), format, signature, name.to_string()))
    }

    fn new(target: Target, format: TableFormat, signature: &Signature, name: String) -> Self {
        Self { sink: Sink::New(target), format, signature: signature.clone(), name, rows: 0 }
    }

    /// The format that is written.
    #[must_use]
    pub fn format(&self) -> TableFormat {
        self.format
    }

    /// How many rows were written so far.
    #[must_use]
    pub fn rows_written(&self) -> u64 {
        self.rows
    }

    /// Adds the outputs of a batch.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when an output has a shape that the format can't hold; [`ErrorKind::WrongShape`] or
    /// [`ErrorKind::WrongType`] when it differs from the batch before; [`ErrorKind::Io`].
    pub fn write(&mut self, outputs: &Tensors<'_>) -> Result<()> {
        let written = self.write_batch(outputs);
        written.map_err(|e| if e.file_name().is_none() { e.file(&self.name) } else { e })?;
        let batched = |name: &str| self.signature.output(name).is_none_or(|s| s.is_batched());
        let rows = outputs.iter().find(|(name, _)| batched(name)).and_then(|(_, t)| t.shape().first().copied());
        self.rows += rows.unwrap_or(1) as u64;
        Ok(())
    }

    fn write_batch(&mut self, outputs: &Tensors<'_>) -> Result<()> {
        match &mut self.sink {
            Sink::New(_) | Sink::Failed => self.start(outputs),
            Sink::Arrays(_, columns) => columns
                .iter_mut()
                .try_for_each(|(name, column)| column.push(outputs.tensor(name)?).map_err(|e| e.tensor(&*name))),
            Sink::Csv(out, columns) => csv_out::rows(out, columns, outputs),
            Sink::Parquet(out, columns) => {
                out.write(&parquet_out::batch(columns, outputs)?).map_err(parquet_out::write_error)
            }
        }
    }

    /// Writes the first batch, which fixes names, types and shapes.
    fn start(&mut self, outputs: &Tensors<'_>) -> Result<()> {
        let Sink::New(target) = std::mem::replace(&mut self.sink, Sink::Failed) else { return Err(failed()) };
        self.sink = match self.format {
            TableFormat::Npy | TableFormat::Npz => {
                let batched = |name: &str| self.signature.output(name).is_none_or(|s| s.is_batched());
                let columns = outputs
                    .iter()
                    .map(|(name, tensor)| Ok((name.to_string(), Column::new(tensor, batched(name))?)))
                    .collect::<Result<_>>()?;
                Sink::Arrays(target, columns)
            }
            TableFormat::Csv => {
                let columns = Columns::new(outputs, &self.signature)?;
                let mut out = csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(target);
                csv_out::header(&mut out, &columns)?;
                csv_out::rows(&mut out, &columns, outputs)?;
                Sink::Csv(Box::new(out), columns)
            }
            TableFormat::Parquet => {
                let columns = Columns::new(outputs, &self.signature)?;
                let batch = parquet_out::batch(&columns, outputs)?;
                let mut out = parquet_out::start(target, &batch)?;
                out.write(&batch).map_err(parquet_out::write_error)?;
                Sink::Parquet(Box::new(out), columns)
            }
        };
        Ok(())
    }

    /// Writes what is held back and puts the file in its place. A writer that is dropped without this leaves no file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; [`ErrorKind::InvalidArgument`] when no batch was written, or the first could not be.
    pub fn finish(self) -> Result<()> {
        let name = self.name;
        let finished = match self.sink {
            Sink::New(_) => Err(Error::new(ErrorKind::InvalidArgument, "no batch of outputs was written")),
            Sink::Failed => Err(failed()),
            Sink::Arrays(target, columns) => finish_arrays(target, self.format, &columns),
            Sink::Csv(out, _) => match out.into_inner() {
                Ok(target) => target.finish().map_err(Error::from),
                Err(e) => Err(e.into_error().into()),
            },
            Sink::Parquet(out, _) => {
                out.into_inner().map_err(parquet_out::write_error).and_then(|t| t.finish().map_err(Error::from))
            }
        };
        finished.map_err(|e| if e.file_name().is_none() { e.file(name) } else { e })
    }
}

fn failed() -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        "the first batch could not be written, so nothing was; begin again with a new writer",
    )
}

fn check_single(format: TableFormat, signature: &Signature) -> Result<()> {
    if format != TableFormat::Npy || signature.outputs().len() == 1 {
        return Ok(());
    }
    let names: Vec<&str> = signature.outputs().iter().map(|s| s.name().as_str()).collect();
    Err(Error::new(
        ErrorKind::InvalidArgument,
        "an .npy file holds one array, and the model has several outputs; write .npz, or choose one output",
    )
    .actual(super::layout::list(&names)))
}

fn finish_arrays(mut target: Target, format: TableFormat, columns: &[(String, Column)]) -> Result<()> {
    if let (TableFormat::Npy, [(_, column)]) = (format, columns) {
        column.write_to(&mut target)?;
        return Ok(target.finish()?);
    }
    match target {
        Target::File(out, path) => {
            let out = npz::write(out, columns)?;
            Ok(Target::File(out, path).finish()?)
        }
        // A zip archive is written back and forth, which a stream can't.
        Target::Stream(mut out) => {
            out.write_all(npz::write(Cursor::new(Vec::new()), columns)?.get_ref())?;
            Ok(out.flush()?)
        }
    }
}

impl Target {
    fn create(path: &Path) -> io::Result<Self> {
        // What is no regular file (a pipe, a terminal, /dev/null) can't be replaced, only written to.
        if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            return Ok(Self::Stream(Box::new(BufWriter::new(File::create(path)?))));
        }
        // A link keeps pointing at its file.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".modelberth-").suffix(".part");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(directory)?;
        Ok(Self::File(BufWriter::with_capacity(1 << 16, file), path))
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::File(out, path) => {
                let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
                file.persist(path).map_err(|e| e.error)?;
                Ok(())
            }
            Self::Stream(mut out) => out.flush(),
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(out, _) => out.write(bytes),
            Self::Stream(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(out, _) => out.flush(),
            Self::Stream(out) => out.flush(),
        }
    }
}
