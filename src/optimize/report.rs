//! What became of a model: one report for everything that makes models smaller or faster.

use std::fmt::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::file::write_whole;
use super::quantize::layer_name;
use crate::onnx::NodeProto;
use crate::validate::{Interval, Measured, Metric};
use crate::{Error, ErrorKind, Result};

/// A number before and after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Change {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

impl Change {
    /// What is left, as a share of what there was.
    #[must_use]
    pub fn share(&self) -> f64 {
        self.after as f64 / self.before.max(1) as f64
    }
}

/// A layer that was changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// Its node's name, or what the node gives.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// The value that it gives.
    pub output: String,
    /// The weights that were changed.
    pub parameters: u64,
    /// Their bytes before.
    pub bytes_before: u64,
    /// Their bytes after, scales and zero points included.
    pub bytes_after: u64,
    /// The signal to noise ratio of the weights, in dB; none where nothing was lost.
    pub weight_sqnr_db: Option<f64>,
    /// The signal to noise ratio of what the layer gives in the changed model, against what it gives in the first one, on
    /// the same data, in dB.
    pub sqnr_db: Option<f64>,
}

/// Something that stayed as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The name of the node, the constant or the part.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// Why.
    pub reason: String,
}

impl Skipped {
    /// A node that was left as it is.
    pub(super) fn node(node: &NodeProto, reason: impl Into<String>) -> Self {
        Self { name: layer_name(node).to_owned(), operator: node.operator().to_owned(), reason: reason.into() }
    }
}

/// The end-task metric before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricChange {
    /// The metric.
    pub metric: Metric,
    /// Its value before, with its 95 % interval.
    pub before: Measured,
    /// Its value after, with its 95 % interval.
    pub after: Measured,
    /// How much worse it became; negative where it is better.
    pub drop: f64,
    /// The 95 % interval of the mean loss after less before on the same rows, by a paired bootstrap: error rates, or
    /// absolute errors.
    pub loss_difference: Option<Interval>,
    /// The share of rows whose class changed.
    pub flips: Option<f64>,
    /// The rows.
    pub rows: u64,
}

/// How long the model took before and after, measured in the call.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatencyChange {
    /// The rows of a call.
    pub batch: usize,
    /// The median time of a row before, in nanoseconds.
    pub before_ns_per_row: f64,
    /// The median time of a row after, in nanoseconds.
    pub after_ns_per_row: f64,
}

impl LatencyChange {
    /// How many times faster it became.
    #[must_use]
    pub fn speedup(&self) -> f64 {
        self.before_ns_per_row / self.after_ns_per_row.max(f64::MIN_POSITIVE)
    }
}

/// Whether a budget held.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BudgetResult {
    /// Whether all of it held.
    pub held: bool,
    /// What did not, a sentence each.
    pub missed: Vec<String>,
    /// The layers that were left as they were for it.
    pub undone: Vec<String>,
    /// How many models were tried.
    pub tried: usize,
}

/// What became of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What was done: `quantize`, `prune`, `distill`, `convert`.
    pub task: String,
    /// To what, with the settings, in words.
    pub method: String,
    /// The model's bytes.
    pub bytes: Change,
    /// The model's learned numbers.
    pub parameters: Change,
    /// The layers that were changed.
    pub layers: Vec<Layer>,
    /// What stayed as it was, and why.
    pub skipped: Vec<Skipped>,
    /// The end-task metric, where there were labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricChange>,
    /// The share of rows, or the mean cosine, on which the changed model agrees with the first one, by output.
    pub fidelity: Vec<Fidelity>,
    /// The latency, where there were data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyChange>,
    /// Whether the budget held, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetResult>,
    /// Anything else worth knowing, a sentence each.
    pub notes: Vec<String>,
}

/// How near an output stayed to what it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fidelity {
    /// The output.
    pub output: String,
    /// The share of elements that are equal, of labels and whole numbers.
    pub agreement: Option<f64>,
    /// The mean over the rows of the cosine of the angle between old and new, of floats.
    pub cosine: Option<f64>,
    /// The largest difference, of floats.
    pub max_difference: Option<f64>,
    /// The share of rows whose largest element stands at the same place, of floats with several elements a row.
    pub same_largest: Option<f64>,
}

impl Report {
    pub(super) fn new(task: &str, method: impl Into<String>) -> Self {
        Self {
            task: task.to_owned(),
            method: method.into(),
            bytes: Change::default(),
            parameters: Change::default(),
            layers: Vec::new(),
            skipped: Vec::new(),
            metric: None,
            fidelity: Vec::new(),
            latency: None,
            budget: None,
            notes: Vec::new(),
        }
    }

    /// The report as one JSON object.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when it can't be written, which nothing in it leads to.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|e| Error::new(ErrorKind::Io, "the report can't be written as JSON").with_source(e))
    }

    /// Writes the report to `path`, as Markdown where the name ends in `.md`, as JSON else. A file appears whole or not
    /// at all.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] and its like from the file system.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let markdown = path.extension().is_some_and(|e| e == "md");
        let text = if markdown { self.to_markdown() } else { self.to_json()? + "\n" };
        // Nothing takes the place of a terminal or a pipe.
        if path.metadata().is_ok_and(|m| !m.is_file()) {
            return std::fs::write(path, text).map_err(|e| Error::from(e).file(path.display()));
        }
        write_whole(path, text.as_bytes())
    }

    /// The report as a page of Markdown.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = format!("# {}: {}\n\n| | before | after | share |\n|---|---|---|---|\n", self.task, self.method);
        for (what, change) in [("bytes", &self.bytes), ("parameters", &self.parameters)] {
            let share = 100.0 * change.share();
            let _ = writeln!(text, "| {what} | {} | {} | {share:.1} % |", change.before, change.after);
        }
        if let Some(m) = &self.metric {
            let _ = writeln!(text, "| {} | {} | {} | |", m.metric, m.before, m.after);
        }
        if let Some(l) = &self.latency {
            let share = 100.0 / l.speedup();
            let [before, after] = [l.before_ns_per_row, l.after_ns_per_row];
            let _ = writeln!(text, "| ns per row, batch {} | {before:.0} | {after:.0} | {share:.1} % |", l.batch);
        }
        for line in self.sentences() {
            let _ = writeln!(text, "\n{line}");
        }
        if !self.layers.is_empty() {
            text.push_str("\n| layer | operator | parameters | bytes | SQNR of weights, dB | SQNR, dB |\n|---|---|---|---|---|---|\n");
            for l in &self.layers {
                let [weights, out] = [l.weight_sqnr_db, l.sqnr_db].map(decibels);
                let Layer { name, operator, parameters, bytes_before, bytes_after, .. } = l;
                let _ = writeln!(
                    text,
                    "| `{name}` | {operator} | {parameters} | {bytes_before} to {bytes_after} | {weights} | {out} |"
                );
            }
        }
        if !self.skipped.is_empty() {
            text.push_str("\n| left as it was | operator | why |\n|---|---|---|\n");
            for s in &self.skipped {
                let _ = writeln!(text, "| `{}` | {} | {} |", s.name, s.operator, s.reason);
            }
        }
        text
    }

    /// What is no table.
    fn sentences(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(m) = &self.metric {
            let mut line = format!("{} dropped by {:.4} on {} rows", m.metric, m.drop, m.rows);
            if let Some(i) = m.loss_difference {
                let _ = write!(line, ", the mean loss rose by [{:.4}, {:.4}] (95 %)", i.low, i.high);
            }
            if let Some(flips) = m.flips {
                let _ = write!(line, ", {:.2} % of the classes changed", 100.0 * flips);
            }
            lines.push(line);
        }
        for f in &self.fidelity {
            let mut parts = Vec::new();
            parts.extend(f.agreement.map(|x| format!("{:.2} % equal", 100.0 * x)));
            parts.extend(f.cosine.map(|x| format!("mean cosine {x:.6}")));
            parts.extend(f.same_largest.map(|x| format!("same largest {:.2} %", 100.0 * x)));
            parts.extend(f.max_difference.map(|x| format!("largest difference {x:.3e}")));
            lines.push(format!("output `{}`: {}", f.output, parts.join(", ")));
        }
        if let Some(b) = &self.budget {
            lines.push(match b.held {
                true => {
                    format!("the budget held after {} models, {} layers left as they were", b.tried, b.undone.len())
                }
                false => {
                    format!("the budget can't be held, this is the nearest of {}: {}", b.tried, b.missed.join("; "))
                }
            });
        }
        lines.extend(self.notes.iter().cloned());
        lines
    }
}

fn decibels(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |db| format!("{db:.1}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.task, self.method)?;
        for (what, c) in [("bytes", &self.bytes), ("parameters", &self.parameters)] {
            writeln!(f, "{what:<12}{:>14} to {:>14}  {:5.1} %", c.before, c.after, 100.0 * c.share())?;
        }
        if let Some(m) = &self.metric {
            writeln!(f, "{:<12}{} to {}", m.metric.to_string(), m.before, m.after)?;
        }
        if let Some(l) = &self.latency {
            let [before, after] = [l.before_ns_per_row, l.after_ns_per_row];
            writeln!(f, "latency     {before:.0} to {after:.0} ns/row at batch {}, {:.2}x", l.batch, l.speedup())?;
        }
        for line in self.sentences() {
            writeln!(f, "{line}")?;
        }
        if !self.layers.is_empty() {
            writeln!(f, "{:<44} {:<10} {:>10} {:>12} {:>8}", "layer", "operator", "weights", "weights, dB", "dB")?;
        }
        for l in &self.layers {
            let [weights, out] = [l.weight_sqnr_db, l.sqnr_db].map(decibels);
            writeln!(f, "{:<44} {:<10} {:>10} {weights:>12} {out:>8}", l.name, l.operator, l.parameters)?;
        }
        for s in &self.skipped {
            writeln!(f, "left: {} ({}): {}", s.name, s.operator, s.reason)?;
        }
        Ok(())
    }
}
