use super::{TableReader, TableWriter};
use crate::{Model, Progress, ProgressMeter, Result};

/// The rows per batch that [`predict_table`] uses where nothing else is asked for.
pub const DEFAULT_BATCH: usize = 8192;

/// Predicts every row of `input` and writes the answers to `output`; the number of rows.
///
/// `batch` is the number of rows that are read, predicted and written at a time. Without one it is
/// [`DEFAULT_BATCH`], or all rows at once for a model whose rows are not
/// [independent](crate::Description::row_independent), since its answers depend on how they are split.
///
/// # Errors
/// Those of [`TableReader::next_batch`], [`Model::predict_batch`] and [`TableWriter`]; then no file is written.
pub fn predict_table(
    model: &dyn Model,
    input: &mut TableReader,
    mut output: TableWriter,
    batch: Option<usize>,
    progress: &dyn Progress,
) -> Result<u64> {
    let batch = batch.unwrap_or_else(|| if model.describe().row_independent { DEFAULT_BATCH } else { usize::MAX });
    let mut meter = ProgressMeter::new(progress, "predict", "rows", input.total_rows());
    let mut before = input.rows_read();
    while let Some(inputs) = input.next_batch(batch)? {
        output.write(&model.predict_batch(&inputs)?)?;
        meter.set_share(input.share_read());
        meter.advance(input.rows_read() - before);
        before = input.rows_read();
    }
    output.finish()?;
    meter.finish();
    Ok(before)
}
