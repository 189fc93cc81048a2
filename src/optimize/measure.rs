//! A changed model held against the first one: answers, layers, metric, latency.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::data::Data;
use super::file::Original;
use super::quantize::Noise;
use super::report::{Fidelity, LatencyChange, MetricChange, Report};
use crate::backend::native::Tap;
use crate::onnx::edit::Editor;
use crate::tensor::shape_text;
use crate::{
    Error, ErrorKind, Limits, Model, NoProgress, Progress, ProgressMeter, Result, Tensor, Tensors, bench, validate,
};

/// The rows on which layers are compared.
const LAYER_ROWS: usize = 256;

/// The metric of both models, and how they differ on the same rows.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] where the metric has no value, with the reason; else as [`Data::judge`].
pub(super) fn metric(
    data: &Data<'_>,
    before: &dyn Model,
    baseline: &validate::Report,
    after: &dyn Model,
) -> Result<Option<MetricChange>> {
    let Some(judged) = data.judge(after, Some(before))? else { return Ok(None) };
    // Of what was asked for, the first that has a value.
    let both = baseline.metrics.iter().zip(&judged.metrics);
    let found = both.clone().find_map(|(a, b)| Some((a, b, a.value.value()?, b.value.value()?)));
    let Some((a, b, old, new)) = found else {
        let reason = both.flat_map(|(a, b)| [a.value.reason(), b.value.reason()]).flatten().next();
        let what = format!("the metric has no value: {}", reason.unwrap_or("nothing was measured"));
        return Err(Error::new(ErrorKind::InvalidArgument, what));
    };
    let against = judged.against.as_ref();
    Ok(Some(MetricChange {
        metric: a.metric.clone(),
        before: a.value.clone(),
        after: b.value.clone(),
        drop: if a.metric.higher_is_better() { old - new } else { new - old },
        loss_difference: against.and_then(|c| c.interval),
        flips: against.and_then(|c| c.flips),
        rows: judged.rows,
    }))
}

/// How near every output stayed to what it was, over all the data.
///
/// # Errors
/// Those of reading the data and of predicting.
pub(super) fn fidelity(data: &Data<'_>, before: &dyn Model, after: &dyn Model) -> Result<Vec<Fidelity>> {
    let mut all: Vec<(String, Nearness)> = Vec::new();
    data.each_batch(before.signature(), &mut |inputs, _| {
        let (old, new) = (before.predict_batch(inputs)?, after.predict_batch(inputs)?);
        for (i, (name, tensor)) in old.iter().enumerate() {
            let Ok(other) = new.tensor(name) else { continue };
            if tensor.shape() != other.shape() {
                return Err(Error::new(ErrorKind::WrongShape, "the changed model gives an output of another shape")
                    .tensor(name)
                    .expected(shape_text(tensor.shape()))
                    .actual(shape_text(other.shape())));
            }
            if all.len() <= i {
                all.resize_with(i + 1, || (name.to_string(), Nearness::default()));
            }
            all[i].1.add(tensor, other)?;
        }
        Ok(())
    })?;
    Ok(all.into_iter().map(|(output, n)| n.fidelity(output)).collect())
}

#[derive(Debug, Default)]
struct Nearness {
    equal: u64,
    compared: u64,
    cosines: f64,
    rows: u64,
    most: Option<f64>,
    same_largest: u64,
    wide: bool,
}

impl Nearness {
    fn add(&mut self, old: &Tensor<'_>, new: &Tensor<'_>) -> Result<()> {
        if old.dtype().is_float() && new.dtype().is_float() {
            let shape = old.shape();
            let rows = shape.first().copied().unwrap_or(1);
            let (a, b) = (numbers(old), numbers(new));
            let width = (a.len() / rows.max(1)).max(1);
            // Of a sequence of vectors each counts.
            let vector = if shape.len() > 2 { shape[shape.len() - 1].max(1) } else { width };
            self.wide |= shape.len() == 2 && vector > 1;
            for (a, b) in a.chunks_exact(vector).zip(b.chunks_exact(vector)) {
                let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
                let norm = (dot(a, a) * dot(b, b)).sqrt();
                self.cosines += if norm > 0.0 { dot(a, b) / norm } else { f64::from(u8::from(a == b)) };
                self.rows += 1;
                self.same_largest += u64::from(largest(a) == largest(b));
                let most = a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
                self.most = Some(self.most.unwrap_or(0.0).max(most));
            }
            return Ok(());
        }
        let (a, b) = (texts(old), texts(new));
        self.equal += a.iter().zip(&b).filter(|(x, y)| x == y).count() as u64;
        self.compared += a.len() as u64;
        Ok(())
    }

    fn fidelity(&self, output: String) -> Fidelity {
        let share = |part: u64, of: u64| (of > 0).then(|| part as f64 / of as f64);
        Fidelity {
            output,
            agreement: share(self.equal, self.compared),
            cosine: (self.rows > 0).then(|| self.cosines / self.rows as f64),
            max_difference: self.most,
            same_largest: share(self.same_largest, self.rows).filter(|_| self.wide),
        }
    }
}

fn largest(row: &[f64]) -> usize {
    row.iter().enumerate().fold(0, |best, (i, x)| if *x > row[best] { i } else { best })
}

/// The elements of a tensor of numbers; none of one of text.
pub(super) fn numbers(tensor: &Tensor<'_>) -> Vec<f64> {
    macro_rules! each {
        ($($variant:ident),*) => {
            match tensor {
                $(Tensor::$variant(a) => a.iter().map(|x| f64::from(*x)).collect(),)*
                Tensor::I64(a) => a.iter().map(|x| *x as f64).collect(),
                Tensor::U64(a) => a.iter().map(|x| *x as f64).collect(),
                _ => Vec::new(),
            }
        };
    }
    each!(Bool, U8, U16, U32, I8, I16, I32, F16, Bf16, F32, F64)
}

fn texts(tensor: &Tensor<'_>) -> Vec<String> {
    macro_rules! each {
        ($($variant:ident),*) => {
            match tensor {
                $(Tensor::$variant(a) => a.iter().map(ToString::to_string).collect(),)*
                _ => Vec::new(),
            }
        };
    }
    each!(Bool, U8, U16, U32, U64, I8, I16, I32, I64, F16, Bf16, F32, F64, String)
}

/// Fills in the signal to noise ratio of every layer: what it gives in the changed model against what it gives in the
/// first one. A graph that the backend `native` can't run has none, and a note says so.
///
/// # Errors
/// Those of reading the data and of running the models.
pub(super) fn layers(
    report: &mut Report,
    original: &Original,
    changed: &Editor,
    data: &Data<'_>,
    model: &dyn Model,
) -> Result<()> {
    let editor = original.edit()?;
    let given = |editor: &Editor| -> HashSet<String> {
        editor.graph().node.iter().flat_map(|n| n.output.iter().cloned()).collect()
    };
    let (old, new) = (given(&editor), given(changed));
    let names: Vec<String> =
        report.layers.iter().map(|l| l.output.clone()).filter(|y| old.contains(y) && new.contains(y)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let limits = Limits::default();
    let taps = Tap::new(&editor.model, original.external(), &names, &limits)
        .and_then(|a| Ok((a, Tap::new(&changed.model, original.external(), &names, &limits)?)));
    let (a, b) = match taps {
        Ok(taps) => taps,
        Err(e) if e.kind() == ErrorKind::Unsupported => {
            report.notes.push(format!("layers were not compared, since the backend `native` can't run the graph: {e}"));
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    let rows = data.first(model.signature(), LAYER_ROWS)?;
    let mut noises = vec![Noise::default(); names.len()];
    for ((noise, old), new) in noises.iter_mut().zip(a.run(&rows)?).zip(b.run(&rows)?) {
        // What lost units can't be compared element by element.
        if old.shape() == new.shape()
            && let (Ok(old), Ok(new)) = (old.as_slice::<f32>(), new.as_slice::<f32>())
        {
            old.iter().zip(new).for_each(|(&x, &y)| noise.add(x, y));
        }
    }
    for layer in &mut report.layers {
        let at = names.iter().position(|name| *name == layer.output);
        layer.sqnr_db = at.and_then(|at| noises[at].decibels()).filter(|db| db.is_finite());
    }
    Ok(())
}

/// How often each model has its turn.
const TURNS: u32 = 9;

/// The latency of both models on the same rows: medians over turns that they take one after the other, so that a slow spell
/// of the machine falls on both. `time` is what each has in all; models of few calls in that time have fewer turns.
///
/// # Errors
/// As [`bench::measure`].
pub(super) fn latency(
    before: &dyn Model,
    after: &dyn Model,
    rows: &Tensors<'_>,
    batch: usize,
    time: Duration,
    progress: &dyn Progress,
) -> Result<LatencyChange> {
    let mut meter = ProgressMeter::new(progress, "bench", "turns", Some(TURNS.into()));
    let began = Instant::now();
    let (mut turns, mut of_call) = ([Vec::new(), Vec::new()], batch);
    while turns[0].is_empty() || (turns[0].len() < TURNS as usize && began.elapsed() < 2 * time) {
        for (model, turns) in [before, after].into_iter().zip(&mut turns) {
            let timing = bench::measure(model, rows, batch, time / TURNS, &NoProgress)?;
            of_call = timing.batch;
            turns.push(timing.ns_per_row.median);
        }
        meter.advance(1);
    }
    meter.finish();
    let [old, new] = turns.map(|mut turns| {
        turns.sort_unstable_by(f64::total_cmp);
        turns[turns.len() / 2]
    });
    Ok(LatencyChange { batch: of_call, before_ns_per_row: old, after_ns_per_row: new })
}
