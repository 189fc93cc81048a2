use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Model, Progress, ProgressMeter, Result, Tensors};

/// How long a model took at one batch size.
///
/// Serialised: `{"batch":1,"backend":"native","ns_per_row":{"median":81.0,"p99":96.0},"rows_per_s":12345678.0}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timing {
    /// The rows per call.
    pub batch: usize,
    /// The backend that answered.
    pub backend: String,
    /// The time per row.
    pub ns_per_row: NsPerRow,
    /// The rows answered per second of calls.
    pub rows_per_s: f64,
}

/// Nanoseconds per row: the time of a call divided by its rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NsPerRow {
    /// Of half of the calls, no more than this.
    pub median: f64,
    /// Of 99 calls in 100, no more than this.
    pub p99: f64,
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "batch {:>8}  median {:>10.1} ns/row  p99 {:>10.1} ns/row  {:>14.0} rows/s",
            self.batch, self.ns_per_row.median, self.ns_per_row.p99, self.rows_per_s
        )
    }
}

/// A clock costs some 20 ns to read, so calls that are shorter than this are timed in groups that are not.
const SHORTEST_NS: u128 = 5_000;
/// At most so many timings are kept; then every other one is dropped and half as many are taken.
const MOST_SAMPLES: usize = 1 << 20;

/// Times `predict_batch` of `model` for `time`, over windows of `batch` consecutive rows of `inputs`, wrapping round.
///
/// A call is timed as a host makes it: inputs are borrowed from `inputs` for each, checked and answered; the answers
/// are dropped. A batch of one is `predict_batch` with a window of one row. Calls of less than 5 µs are timed in groups,
/// so their p99 is that of the group's mean. A model without a batch axis answers its inputs whole, as a batch of 1.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] when `batch` is 0 or `inputs` have no row; else as [`Model::predict_batch`].
pub fn measure(
    model: &dyn Model,
    inputs: &Tensors<'_>,
    batch: usize,
    time: Duration,
    progress: &dyn Progress,
) -> Result<Timing> {
    let windows = Windows::new(model, inputs, batch)?;
    let batch = windows.batch;
    let mut at = 0;
    let mut call = || -> Result<()> {
        let answers = model.predict_batch(&windows.window(at)?)?;
        at += batch;
        if at >= windows.rows {
            at %= windows.rows;
        }
        std::hint::black_box(answers);
        Ok(())
    };

    // Caches, buffers and the branch predictor are filled before the clock counts.
    let warm = time.min(Duration::from_millis(200)) / 4;
    let began = Instant::now();
    let mut calls = 0u128;
    while calls == 0 || began.elapsed() < warm {
        call()?;
        calls += 1;
    }
    let per_call_ns = (began.elapsed().as_nanos() / calls).max(1);
    let group = usize::try_from(SHORTEST_NS.div_ceil(per_call_ns)).unwrap_or(1);

    let mut meter = ProgressMeter::new(progress, "bench", "rows", None);
    let mut samples: Vec<f64> = Vec::new();
    let (mut rows, mut busy, mut stride, mut skipped) = (0u64, Duration::ZERO, 1usize, 0usize);
    let began = Instant::now();
    while samples.is_empty() || began.elapsed() < time {
        let start = Instant::now();
        for _ in 0..group {
            call()?;
        }
        let took = start.elapsed();
        let of_group = (group * batch) as u64;
        busy += took;
        rows += of_group;
        skipped += 1;
        if skipped >= stride {
            skipped = 0;
            samples.push(took.as_nanos() as f64 / of_group as f64);
        }
        if samples.len() >= MOST_SAMPLES {
            let mut odd = false;
            samples.retain(|_| {
                odd = !odd;
                odd
            });
            stride *= 2;
        }
        meter.set_share(Some(began.elapsed().as_secs_f64() / time.as_secs_f64().max(f64::MIN_POSITIVE)));
        meter.advance(of_group);
    }
    meter.finish();
    samples.sort_unstable_by(f64::total_cmp);
    Ok(Timing {
        batch,
        backend: model.describe().backend,
        ns_per_row: NsPerRow { median: tenth(quantile(&samples, 0.5)), p99: tenth(quantile(&samples, 0.99)) },
        rows_per_s: (rows as f64 / busy.as_secs_f64().max(1e-9)).round(),
    })
}

/// The value at share `q` of `sorted`, between neighbours where it falls between them. `sorted` is not empty.
pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let below = sorted[at.floor() as usize];
    below + (sorted[at.ceil() as usize] - below) * at.fract()
}

pub(super) fn tenth(ns: f64) -> f64 {
    (ns * 10.0).round() / 10.0
}

/// Windows of consecutive rows, wrapping round: the rows are repeated until each window lies in one piece.
pub(super) struct Windows {
    inputs: Tensors<'static>,
    /// Which inputs have a batch axis.
    batched: Vec<bool>,
    pub(super) rows: usize,
    pub(super) batch: usize,
}

impl Windows {
    pub(super) fn new(model: &dyn Model, inputs: &Tensors<'_>, batch: usize) -> Result<Self> {
        if batch == 0 {
            return Err(Error::new(ErrorKind::InvalidArgument, "a batch has at least one row"));
        }
        let signature = model.signature();
        let batched = |name: &str| signature.input(name).is_none_or(|s| s.is_batched());
        if !signature.is_batched() {
            let batched = vec![false; inputs.len()];
            return Ok(Self { inputs: inputs.as_view().into_owned(), batched, rows: 1, batch: 1 });
        }
        let first = inputs.iter().find(|(name, _)| batched(name));
        let rows = first.and_then(|(_, tensor)| tensor.shape().first().copied()).unwrap_or(0);
        if rows == 0 {
            return Err(Error::new(ErrorKind::InvalidArgument, "there is no row to time the model with"));
        }
        let repeats = (rows + batch - 1).div_ceil(rows);
        let repeated = inputs
            .iter()
            .map(|(name, tensor)| {
                if !batched(name) {
                    return Ok((name.clone(), tensor.as_view().into_owned()));
                }
                let mut parts = vec![tensor.as_view(); repeats - 1];
                parts.push(tensor.rows(0..(rows + batch - 1) - (repeats - 1) * rows).map_err(|e| e.tensor(name))?);
                Ok((name.clone(), crate::Tensor::concat_rows(&parts)?))
            })
            .collect::<Result<_>>()?;
        let batched = inputs.iter().map(|(name, _)| batched(name)).collect();
        Ok(Self { inputs: repeated, batched, rows, batch })
    }

    /// What a host does for a call: a set of borrowed inputs.
    #[inline]
    pub(super) fn window(&self, at: usize) -> Result<Tensors<'_>> {
        let mut window = Tensors::with_capacity(self.inputs.len());
        for ((name, tensor), &batched) in self.inputs.iter().zip(&self.batched) {
            window.push(name.clone(), if batched { tensor.rows(at..at + self.batch)? } else { tensor.as_view() });
        }
        Ok(window)
    }
}
