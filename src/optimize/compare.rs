//! Two models side by side.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::data::Data;
use super::measure;
use super::report::{Change, Fidelity, LatencyChange, MetricChange};
use crate::{Error, ErrorKind, Model, Progress, Result};

/// What two models make of the same rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The bytes of their files.
    pub bytes: Change,
    /// Their learned numbers.
    pub parameters: Change,
    /// How near the second's outputs are to the first's.
    pub outputs: Vec<Fidelity>,
    /// The end-task metric, where there were labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricChange>,
    /// The latency.
    pub latency: LatencyChange,
}

/// Compares model `b` with `a`: outputs, metric, bytes, latency in calls of `batch` rows, each timed for `time`.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] when they take different inputs or the data have no rows; else those of reading the
/// data and of predicting.
pub fn compare(
    a: &dyn Model,
    b: &dyn Model,
    data: &Data<'_>,
    batch: usize,
    time: Duration,
    progress: &dyn Progress,
) -> Result<Comparison> {
    let names =
        |m: &dyn Model| -> Vec<String> { m.signature().inputs().iter().map(|s| s.name().to_string()).collect() };
    if names(a) != names(b) {
        return Err(Error::new(ErrorKind::InvalidArgument, "the models take different inputs and can't be compared")
            .expected(names(a).join(", "))
            .actual(names(b).join(", ")));
    }
    let bytes = |m: &dyn Model| match m.artifact() {
        Ok(artifact) => artifact.files.iter().map(|f| f.bytes).sum(),
        Err(_) => m.describe().bytes,
    };
    let rows = data.first(a.signature(), batch)?;
    let outputs = measure::fidelity(data, a, b)?;
    let metric = match data.judge(a, None)? {
        Some(baseline) => measure::metric(data, a, &baseline, b)?,
        None => None,
    };
    Ok(Comparison {
        bytes: Change { before: bytes(a), after: bytes(b) },
        parameters: Change { before: a.describe().parameters, after: b.describe().parameters },
        outputs,
        metric,
        latency: measure::latency(a, b, &rows, batch, time, progress)?,
    })
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24} {:>16} {:>16}", "", "first", "second")?;
        for (what, c) in [("bytes", &self.bytes), ("parameters", &self.parameters)] {
            writeln!(f, "{what:<24} {:>16} {:>16}  {:.1} %", c.before, c.after, 100.0 * c.share())?;
        }
        if let Some(m) = &self.metric {
            writeln!(f, "{:<24} {} {}", m.metric.to_string(), m.before, m.after)?;
            if let Some(i) = m.loss_difference {
                writeln!(f, "{:<24} [{:.4}, {:.4}] (95 %, {} rows)", "mean loss rose by", i.low, i.high, m.rows)?;
            }
        }
        for o in &self.outputs {
            let part = |what: &str, x: Option<f64>| x.map_or_else(String::new, |x| format!("  {what} {x:.6}"));
            let all = [
                part("equal", o.agreement),
                part("cosine", o.cosine),
                part("same largest", o.same_largest),
                part("largest difference", o.max_difference),
            ];
            writeln!(f, "output `{}`{}", o.output, all.concat())?;
        }
        let l = &self.latency;
        let (a, b) = (l.before_ns_per_row, l.after_ns_per_row);
        let what = format!("ns/row at batch {}", l.batch);
        writeln!(f, "{what:<24} {a:>16.0} {b:>16.0}  {:.2}x", l.speedup())
    }
}
