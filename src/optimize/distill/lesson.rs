//! What a teacher says about the rows of a data set.

use crate::optimize::data::Data;
use crate::optimize::measure::numbers;
use crate::{DType, Dim, Error, ErrorKind, Model, Progress, ProgressMeter, Result, Signature, TensorSpec};

/// The least probability that a logarithm is taken of.
const LEAST: f32 = 1e-6;

/// How the teacher answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answers {
    /// Probabilities of k classes, in the output of this name.
    Probabilities,
    /// Sums of k classes before the softmax.
    Logits,
    /// Numbers.
    Numbers,
}

/// Rows with the teacher's soft answers.
#[derive(Debug)]
pub(super) struct Lesson {
    /// The inputs of the teacher that the features stand in, with their widths.
    pub(super) inputs: Vec<(TensorSpec, usize)>,
    /// The output that is learned.
    pub(super) output: TensorSpec,
    /// The output of labels, where there is one beside it.
    pub(super) label: Option<TensorSpec>,
    pub(super) answers: Answers,
    /// Features (m, n).
    pub(super) x: Vec<f32>,
    pub(super) n: usize,
    /// Logarithms of probabilities, or numbers, (m, k).
    pub(super) y: Vec<f32>,
    pub(super) k: usize,
    /// The true class of each row, where the data have labels that the teacher knows.
    #[cfg_attr(not(feature = "candle"), allow(dead_code, reason = "perceptrons need candle"))]
    pub(super) truth: Option<Vec<u32>>,
}

fn width(spec: &TensorSpec) -> Option<usize> {
    match spec.dims() {
        [Dim::Batch] => Some(1),
        [Dim::Batch, Dim::Fixed(k)] => Some(*k),
        _ => None,
    }
}

/// The output to learn, and the one of labels beside it.
fn outputs(signature: &Signature) -> Result<(TensorSpec, Option<TensorSpec>)> {
    let all = || signature.outputs().iter().filter(|s| width(s).is_some());
    let soft = all().find(|s| s.dtype().is_float() && width(s).is_some_and(|k| k > 1));
    let soft = soft.or_else(|| all().find(|s| s.dtype().is_float()));
    let Some(soft) = soft else {
        let what = "the teacher gives no probabilities or numbers, a row each; a student learns from those";
        let have: Vec<String> = signature.outputs().iter().map(ToString::to_string).collect();
        return Err(Error::new(ErrorKind::Unsupported, what).actual(have.join("; ")));
    };
    let label = all().find(|s| !s.dtype().is_float() && width(s) == Some(1)).cloned();
    Ok((soft.clone(), label.filter(|_| width(soft).is_some_and(|k| k > 1))))
}

impl Lesson {
    /// Asks `teacher` about all rows.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a teacher that takes or gives other than numbers, a row each;
    /// [`ErrorKind::InvalidArgument`] for data without rows; [`ErrorKind::InvalidValue`] for NaN.
    pub(super) fn of(teacher: &dyn Model, data: &Data<'_>, progress: &dyn Progress) -> Result<Self> {
        let signature = teacher.signature();
        let mut inputs = Vec::new();
        for spec in signature.inputs() {
            match width(spec) {
                Some(n) if spec.dtype() != DType::String => inputs.push((spec.clone(), n)),
                _ => {
                    let what = "students take numbers, a row each; this input of the teacher is of another kind";
                    return Err(Error::new(ErrorKind::Unsupported, what).tensor(spec.name()).actual(spec.to_string()));
                }
            }
        }
        let (output, label) = outputs(signature)?;
        let n = inputs.iter().map(|(_, n)| n).sum();
        let k = width(&output).unwrap_or(1);
        let (mut x, mut y, mut row) = (Vec::new(), Vec::new(), 0u64);
        let mut meter = ProgressMeter::new(progress, "ask the teacher", "rows", data.rows());
        data.each_batch(signature, &mut |batch, rows| {
            let answers = teacher.predict_batch(batch)?;
            let columns: Vec<(Vec<f64>, usize)> =
                inputs.iter().map(|(s, n)| Ok((numbers(batch.tensor(s.name())?), *n))).collect::<Result<_>>()?;
            for i in 0..rows {
                for (values, width) in &columns {
                    x.extend(values[i * width..(i + 1) * width].iter().map(|&v| v as f32));
                }
            }
            let said = numbers(answers.tensor(output.name())?);
            if let Some(at) = said.iter().position(|v| !v.is_finite()) {
                return Err(Error::new(ErrorKind::InvalidValue, "the teacher answers NaN or infinity")
                    .tensor(output.name())
                    .row(row + (at / k) as u64));
            }
            y.extend(said.iter().map(|&v| v as f32));
            row += rows as u64;
            meter.advance(rows as u64);
            Ok(())
        })?;
        meter.finish();
        if row < 10 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a student needs more rows to learn from; give some hundred",
            )
            .actual(row));
        }
        if let Some(at) = x.iter().position(|v| !v.is_finite()) {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "a feature is NaN or infinite, which no student learns from",
            )
            .row((at / n) as u64));
        }
        let likely = k > 1
            && y.chunks_exact(k)
                .all(|row| row.iter().all(|p| *p >= 0.0) && (row.iter().sum::<f32>() - 1.0).abs() < 1e-3);
        let answers = match (k > 1, likely) {
            (true, true) => Answers::Probabilities,
            (true, false) => Answers::Logits,
            _ => Answers::Numbers,
        };
        match answers {
            Answers::Probabilities => y.iter_mut().for_each(|p| *p = p.max(LEAST).ln()),
            Answers::Logits => y.chunks_exact_mut(k).for_each(log_softmax),
            Answers::Numbers => {}
        }
        let truth = if answers == Answers::Numbers { None } else { truth(data, &output, k)? };
        Ok(Self { inputs, output, label, answers, x, n, y, k, truth })
    }

    pub(super) fn rows(&self) -> usize {
        self.y.len() / self.k
    }
}

/// A row of sums as logarithms of probabilities.
pub(super) fn log_softmax(row: &mut [f32]) {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = row.iter().map(|x| (x - most).exp()).sum();
    let shift = most + sum.ln();
    row.iter_mut().for_each(|x| *x -= shift);
}

/// The true classes, where the data name them and every one is among the teacher's.
fn truth(data: &Data<'_>, output: &TensorSpec, k: usize) -> Result<Option<Vec<u32>>> {
    let Some(labels) = data.labels()? else { return Ok(None) };
    let names: Vec<String> = match output.features() {
        [] => (0..k).map(|i| i.to_string()).collect(),
        names => names.to_vec(),
    };
    let find = |label: &String| names.iter().position(|n| n == label).map(|i| i as u32);
    Ok(labels.iter().map(find).collect())
}
