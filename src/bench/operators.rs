use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::measure::{Windows, quantile, tenth};
use crate::{Error, ErrorKind, Model, Progress, ProgressMeter, Result, Tensors};

/// How long one operator of a model took in a call.
///
/// Serialised: `{"operator":"MatMul giving 'h'","median_us":81.0,"share":0.5}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OperatorTime {
    /// The operator and its node or output, as messages name them; of nodes that were made one, the last.
    pub operator: String,
    /// Microseconds in a call: of half of the calls, no more than this.
    pub median_us: f64,
    /// The part of all operators' time that it took.
    pub share: f64,
}

impl fmt::Display for OperatorTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12.1} us  {:>5.1} %  {}", self.median_us, 100.0 * self.share, self.operator)
    }
}

/// Times the operators of `model`, in the order in which they are run, over calls of
/// [`predict_batch`](Model::predict_batch) as [`measure`](super::measure) makes them.
///
/// Operators that the loader made one are timed as one. Only the backend `native` tells its operators, and of those of a
/// call that is shared among threads only the calling thread's are seen.
///
/// # Errors
/// [`ErrorKind::Unsupported`] when the model tells no operators; [`ErrorKind::InvalidArgument`] when `batch` is 0 or
/// `inputs` have no row; else as [`Model::predict_batch`].
pub fn operators(
    model: &dyn Model,
    inputs: &Tensors<'_>,
    batch: usize,
    time: Duration,
    progress: &dyn Progress,
) -> Result<Vec<OperatorTime>> {
    let windows = Windows::new(model, inputs, batch)?;
    let mut order: Vec<String> = Vec::new();
    let mut samples: HashMap<String, Vec<f64>> = HashMap::new();
    let mut meter = ProgressMeter::new(progress, "bench", "rows", None);
    let began = Instant::now();
    let mut at = 0;
    // The first call fills caches and buffers, and is not counted.
    for call in 0.. {
        let (answers, spent) = recorded(model, &windows.window(at)?);
        std::hint::black_box(answers?);
        if spent.is_empty() {
            return Err(Error::new(ErrorKind::Unsupported, "the model tells no operators, so none can be timed")
                .expected("a graph that the backend `native` runs")
                .actual(model.describe().backend));
        }
        if call == 0 {
            order.extend(spent.iter().map(|(operator, _)| operator.clone()));
        } else {
            for (operator, took) in spent {
                samples.entry(operator).or_default().push(took.as_secs_f64() * 1e6);
            }
            if began.elapsed() >= time {
                break;
            }
        }
        at = (at + windows.batch) % windows.rows;
        meter.set_share(Some(began.elapsed().as_secs_f64() / time.as_secs_f64().max(f64::MIN_POSITIVE)));
        meter.advance(windows.batch as u64);
    }
    meter.finish();
    let mut medians = |operator: &String| {
        let mut samples = samples.remove(operator).unwrap_or_else(|| vec![0.0]);
        samples.sort_unstable_by(f64::total_cmp);
        quantile(&samples, 0.5)
    };
    let medians: Vec<f64> = order.iter().map(&mut medians).collect();
    let all = medians.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let time_of = |(operator, median): (String, f64)| OperatorTime {
        operator,
        median_us: tenth(median),
        share: (median / all * 1e4).round() / 1e4,
    };
    Ok(order.into_iter().zip(medians).map(time_of).collect())
}

/// The answers, and what each operator took.
fn recorded(model: &dyn Model, inputs: &Tensors<'_>) -> (Result<Tensors<'static>>, Vec<(String, Duration)>) {
    #[cfg(feature = "native")]
    return crate::backend::native::record(|| model.predict_batch(inputs));
    #[cfg(not(feature = "native"))]
    (model.predict_batch(inputs), Vec::new())
}
