//! Rows that a model is calibrated, measured and timed on.

use std::path::{Path, PathBuf};

use crate::table::{CellValue, Columns, TableOptions, TableReader};
use crate::validate::{self, Metric, MetricCheck, Suite};
use crate::{Error, ErrorKind, Model, Result, Signature, Tensors};

/// The rows of a batch, where nothing else is asked for.
const BATCH_ROWS: usize = 64;

/// Gives the batches anew each time it is called.
type Stream<'d> = dyn Fn() -> Box<dyn Iterator<Item = Result<Tensors<'static>>> + 'd> + Send + Sync + 'd;

/// Rows like those that the model will be asked about, with the truth where an end-task metric is wanted.
///
/// A data set in a file is read a batch at a time and never held whole.
pub struct Data<'d> {
    source: Source<'d>,
    label: Option<String>,
    metric: Option<Metric>,
    batch: usize,
}

enum Source<'d> {
    File(PathBuf),
    Arrays { inputs: Tensors<'d>, columns: Option<Columns> },
    Stream(Box<Stream<'d>>),
}

impl std::fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data").field("label", &self.label).field("metric", &self.metric).finish_non_exhaustive()
    }
}

impl<'d> Data<'d> {
    fn new(source: Source<'d>) -> Self {
        Self { source, label: None, metric: None, batch: BATCH_ROWS }
    }

    /// The data set in a file: `.npy`, `.npz`, `.csv` or `.parquet`, as [`crate::table`] reads it.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(Source::File(path.into()))
    }

    /// Rows in memory.
    #[must_use]
    pub fn arrays(inputs: Tensors<'d>) -> Self {
        Self::new(Source::Arrays { inputs, columns: None })
    }

    /// Rows in memory, and beside them columns, one of which is the [`label`](Self::label).
    #[must_use]
    pub fn labelled_arrays(inputs: Tensors<'d>, columns: Columns) -> Self {
        Self::new(Source::Arrays { inputs, columns: Some(columns) })
    }

    /// Batches that `batches` gives anew each time it is called; they may differ in shape.
    #[must_use]
    pub fn stream(
        batches: impl Fn() -> Box<dyn Iterator<Item = Result<Tensors<'static>>> + 'd> + Send + Sync + 'd,
    ) -> Self {
        Self::new(Source::Stream(Box::new(batches)))
    }

    /// Names the column, or array of an `.npz`, that holds the truth.
    #[must_use]
    pub fn label(mut self, column: impl Into<String>) -> Self {
        self.label = Some(column.into());
        self
    }

    /// Measures this metric, instead of accuracy for classes and the mean absolute error for numbers.
    #[must_use]
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metric = Some(metric);
        self
    }

    /// How many rows are run at a time; 64 unless set.
    #[must_use]
    pub fn batch(mut self, rows: usize) -> Self {
        self.batch = rows.max(1);
        self
    }

    /// Whether the truth is there.
    #[must_use]
    pub fn is_labelled(&self) -> bool {
        self.label.is_some()
    }

    /// The number of rows, where it is known without reading them.
    pub(super) fn rows(&self) -> Option<u64> {
        match &self.source {
            Source::Arrays { inputs, .. } => inputs.at(0).and_then(|(_, t)| t.shape().first().map(|&n| n as u64)),
            _ => None,
        }
    }

    /// Shows `see` the rows a batch at a time, with how many it holds.
    ///
    /// # Errors
    /// Those of reading the data and of `see`.
    pub(super) fn each_batch(
        &self,
        signature: &Signature,
        see: &mut dyn FnMut(&Tensors<'_>, usize) -> Result<()>,
    ) -> Result<()> {
        let rows_of = |inputs: &Tensors<'_>| {
            let batched = inputs.iter().find(|(name, _)| signature.input(name).is_none_or(|s| s.is_batched()));
            batched.and_then(|(_, t)| t.shape().first().copied()).unwrap_or(usize::from(!inputs.is_empty()))
        };
        match &self.source {
            Source::File(path) => {
                let options = TableOptions::default().extra_columns(true);
                let mut reader = TableReader::open_with(path, signature, &options)?;
                while let Some(inputs) = reader.next_batch(self.batch)? {
                    let rows = rows_of(&inputs);
                    if rows > 0 {
                        see(&inputs, rows)?;
                    }
                }
            }
            Source::Arrays { inputs, .. } => {
                let (all, mut at) = (rows_of(inputs), 0);
                while at < all {
                    let to = all.min(at + self.batch);
                    let part = inputs.iter().map(|(name, tensor)| {
                        let batched = signature.input(name).is_none_or(|s| s.is_batched());
                        Ok((name.clone(), if batched { tensor.rows(at..to)? } else { tensor.as_view() }))
                    });
                    see(&part.collect::<Result<Tensors<'_>>>()?, to - at)?;
                    at = to;
                }
            }
            Source::Stream(batches) => {
                for inputs in batches() {
                    let inputs = inputs?;
                    let rows = rows_of(&inputs);
                    if rows > 0 {
                        see(&inputs, rows)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The first rows, `most` at most; of a stream those of its first batch.
    ///
    /// # Errors
    /// Those of reading the data; [`ErrorKind::InvalidArgument`] where there are none.
    pub(super) fn first(&self, signature: &Signature, most: usize) -> Result<Tensors<'static>> {
        let mut parts: Vec<Tensors<'static>> = Vec::new();
        let mut rows = 0;
        let streamed = matches!(self.source, Source::Stream(_));
        let done = self.each_batch(signature, &mut |inputs, n| {
            parts.push(inputs.as_view().into_owned());
            rows += n;
            // An error ends the walk; it is told from others by the rows.
            if rows >= most || streamed { Err(Error::new(ErrorKind::LimitExceeded, "enough")) } else { Ok(()) }
        });
        if let Err(e) = done
            && !(rows >= most || (streamed && rows > 0))
        {
            return Err(e);
        }
        match parts.len() {
            0 => Err(Error::new(ErrorKind::InvalidArgument, "the data have no rows; give some that the model can run")),
            1 => Ok(parts.swap_remove(0)),
            _ => Tensors::concat_rows(&parts),
        }
    }

    /// All rows in memory.
    ///
    /// # Errors
    /// As [`first`](Self::first).
    #[allow(dead_code, reason = "what fits models needs all rows")]
    pub(super) fn all(&self, signature: &Signature) -> Result<Tensors<'static>> {
        match &self.source {
            Source::Arrays { inputs, .. } => Ok(inputs.as_view().into_owned()),
            _ => self.first(signature, usize::MAX),
        }
    }

    /// The labels as text, where one is named.
    ///
    /// # Errors
    /// Those of reading the data.
    pub(super) fn labels(&self) -> Result<Option<Vec<String>>> {
        let Some(label) = &self.label else { return Ok(None) };
        let read;
        let columns = match &self.source {
            Source::File(path) => {
                read = Columns::read(path, Some(&[label.as_str()]), &TableOptions::default())?;
                &read
            }
            Source::Arrays { columns: Some(columns), .. } => columns,
            _ => return Ok(None),
        };
        let column = columns.column(label)?;
        let text = |row| match column.cell(row) {
            CellValue::Text(text) => text.to_owned(),
            CellValue::Int(i) => i.to_string(),
            CellValue::Float(x) => x.to_string(),
            CellValue::Missing => String::new(),
        };
        Ok(Some((0..column.len()).map(text).collect()))
    }

    /// What the suite finds about `model`, beside `before` where that is given; `None` for data without labels.
    ///
    /// # Errors
    /// Those of [`validate::SuiteRun`](crate::validate::Suite::test).
    pub(super) fn judge(&self, model: &dyn Model, before: Option<&dyn Model>) -> Result<Option<validate::Report>> {
        let Some(label) = &self.label else { return Ok(None) };
        let mut suite = Suite::new(label.clone());
        let metrics = match &self.metric {
            Some(metric) => vec![metric.clone()],
            None => vec![Metric::Accuracy, Metric::Mae],
        };
        suite.metric = metrics
            .into_iter()
            .map(|metric| MetricCheck { metric, at_least: None, at_most: None, surely: false })
            .collect();
        let mut run = suite.test(model);
        if let Some(before) = before {
            run = run.against(before);
        }
        match &self.source {
            Source::File(path) => run.on_file(Path::new(path)).map(Some),
            Source::Arrays { inputs, columns: Some(columns) } => run.on(inputs, columns).map(Some),
            _ => {
                let what = "a label is named, but the data are rows without columns; give them with their labels";
                Err(Error::new(ErrorKind::InvalidArgument, what).column(label))
            }
        }
    }
}
