//! A perceptron taught by a teacher's soft answers (Hinton, Vinyals and Dean 2015), trained with candle-nn.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW, ops};

use super::lesson::{Answers, Lesson};
use super::{Settings, Split};
use crate::backend::contained;
use crate::validate::Random;
use crate::{ErrorKind, Progress, ProgressMeter, Result};

/// The rows of a step.
const BATCH: usize = 64;

/// A layer: weights (inputs, outputs) and bias.
#[derive(Debug, Clone)]
pub(super) struct Dense {
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// Mean and standard deviation of each of `n` columns over these rows.
fn moments(values: &[f32], n: usize, rows: &[usize]) -> Vec<(f32, f32)> {
    (0..n)
        .map(|j| {
            let column = || rows.iter().map(|&i| f64::from(values[i * n + j]));
            let mean = column().sum::<f64>() / rows.len().max(1) as f64;
            let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / rows.len().max(1) as f64;
            let deviation = variance.sqrt() as f32;
            (mean as f32, if deviation > 1e-6 { deviation } else { 1.0 })
        })
        .collect()
}

struct Net {
    layers: Vec<(Var, Var)>,
}

impl Net {
    fn new(widths: &[usize], seed: u64) -> candle_core::Result<Self> {
        let mut random = Random::new(seed, 0);
        let layers = widths
            .windows(2)
            .map(|pair| {
                // Uniform with the variance 2 / inputs (He et al. 2015); a single layer has nothing to tell apart.
                let reach = if widths.len() > 2 { (6.0 / pair[0] as f32).sqrt() } else { 0.0 };
                let weights: Vec<f32> = (0..pair[0] * pair[1]).map(|_| reach * random.signed()).collect();
                let weights = Tensor::from_vec(weights, (pair[0], pair[1]), &Device::Cpu)?;
                Ok((Var::from_tensor(&weights)?, Var::zeros(pair[1], DType::F32, &Device::Cpu)?))
            })
            .collect::<candle_core::Result<_>>()?;
        Ok(Self { layers })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let mut h = x.clone();
        for (i, (weights, bias)) in self.layers.iter().enumerate() {
            h = h.matmul(weights.as_tensor())?.broadcast_add(bias.as_tensor())?;
            if i + 1 < self.layers.len() {
                h = h.relu()?;
            }
        }
        Ok(h)
    }

    fn dense(&self) -> candle_core::Result<Vec<Dense>> {
        self.layers
            .iter()
            .map(|(w, b)| {
                Ok(Dense { weights: w.as_tensor().flatten_all()?.to_vec1()?, bias: b.as_tensor().to_vec1()? })
            })
            .collect()
    }
}

/// What is learned from some rows.
struct Batch {
    x: Tensor,
    soft: Tensor,
    hard: Tensor,
}

struct Course<'l> {
    lesson: &'l Lesson,
    x: Vec<(f32, f32)>,
    y: Vec<(f32, f32)>,
    settings: &'l Settings,
}

impl Course<'_> {
    fn batch(&self, rows: &[usize]) -> candle_core::Result<Batch> {
        let (n, k) = (self.lesson.n, self.lesson.k);
        let scaled = |values: &[f32], width: usize, moments: &[(f32, f32)]| -> Vec<f32> {
            let row = |&i: &usize| {
                let row = &values[i * width..(i + 1) * width];
                row.iter().zip(moments).map(|(x, (mean, deviation))| (x - mean) / deviation).collect::<Vec<f32>>()
            };
            rows.iter().flat_map(row).collect()
        };
        let x = Tensor::from_vec(scaled(&self.lesson.x, n, &self.x), (rows.len(), n), &Device::Cpu)?;
        let y = &self.lesson.y;
        if self.lesson.answers == Answers::Numbers {
            let soft = Tensor::from_vec(scaled(y, k, &self.y), (rows.len(), k), &Device::Cpu)?;
            return Ok(Batch { x, hard: soft.clone(), soft });
        }
        let temperature = self.settings.temperature as f32;
        let mut soft = Vec::with_capacity(rows.len() * k);
        let mut hard = vec![0.0f32; rows.len() * k];
        for (at, &i) in rows.iter().enumerate() {
            let row = &y[i * k..(i + 1) * k];
            let mut logits: Vec<f32> = row.iter().map(|l| l / temperature).collect();
            super::lesson::log_softmax(&mut logits);
            soft.extend(logits.iter().map(|l| l.exp()));
            let class = match &self.lesson.truth {
                Some(truth) => truth[i] as usize,
                None => super::largest(row),
            };
            hard[at * k + class] = 1.0;
        }
        let shape = (rows.len(), k);
        let (soft, hard) = (Tensor::from_vec(soft, shape, &Device::Cpu)?, Tensor::from_vec(hard, shape, &Device::Cpu)?);
        Ok(Batch { x, soft, hard })
    }

    /// alpha T² times the cross entropy with the teacher at temperature T, plus 1 - alpha times that with the labels; of
    /// numbers the mean squared error.
    fn loss(&self, net: &Net, batch: &Batch) -> candle_core::Result<Tensor> {
        let given = net.forward(&batch.x)?;
        if self.lesson.answers == Answers::Numbers {
            return (given - &batch.soft)?.sqr()?.mean_all();
        }
        let (alpha, temperature) = (self.settings.alpha, self.settings.temperature);
        let entropy = |logits: &Tensor, target: &Tensor| -> candle_core::Result<Tensor> {
            (ops::log_softmax(logits, 1)? * target)?.sum(1)?.mean_all()?.neg()
        };
        let soft = entropy(&(&given / temperature)?, &batch.soft)?;
        let hard = entropy(&given, &batch.hard)?;
        (soft * (alpha * temperature * temperature))? + (hard * (1.0 - alpha))?
    }

    fn train(
        &self,
        widths: &[usize],
        split: &Split,
        progress: &dyn Progress,
    ) -> candle_core::Result<(Vec<Dense>, usize)> {
        let settings = self.settings;
        let net = Net::new(widths, settings.seed)?;
        let vars: Vec<Var> = net.layers.iter().flat_map(|(w, b)| [w.clone(), b.clone()]).collect();
        let steps = split.train.len().div_ceil(BATCH) * settings.epochs;
        // What a single layer learns is convex, and bears larger steps.
        let rate = if widths.len() > 2 { settings.rate } else { 10.0 * settings.rate };
        let parameters = ParamsAdamW { lr: rate, weight_decay: 1e-4, ..ParamsAdamW::default() };
        let mut optimiser = AdamW::new(vars, parameters)?;
        let held = self.batch(&split.held)?;
        let mut random = Random::new(settings.seed ^ 0x5EED, 0);
        let mut order = split.train.clone();
        let mut best = (f32::INFINITY, net.dense()?, 0);
        let mut meter = ProgressMeter::new(progress, "train", "epochs", Some(settings.epochs as u64));
        let (mut step, mut epoch) = (0, 0);
        while epoch < settings.epochs && epoch - best.2 <= settings.patience {
            random.shuffle(&mut order);
            for rows in order.chunks(BATCH) {
                // The rate falls along a half cosine (Loshchilov and Hutter 2017).
                let angle = std::f64::consts::PI * step as f64 / steps as f64;
                optimiser.set_learning_rate(rate * 0.5 * (1.0 + angle.cos()));
                optimiser.backward_step(&self.loss(&net, &self.batch(rows)?)?)?;
                step += 1;
            }
            epoch += 1;
            let loss = self.loss(&net, &held)?.to_scalar::<f32>()?;
            if loss < best.0 {
                best = (loss, net.dense()?, epoch);
            }
            meter.advance(1);
        }
        meter.finish();
        Ok((best.1, best.2))
    }
}

/// Trains a perceptron with these hidden layers; its layers for features as they are, and the epoch they are from.
///
/// # Errors
/// [`ErrorKind::Backend`] for what candle refuses.
pub(super) fn train(
    lesson: &Lesson,
    hidden: &[usize],
    split: &Split,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<(Vec<Dense>, usize)> {
    let widths: Vec<usize> = [lesson.n].into_iter().chain(hidden.iter().copied()).chain([lesson.k]).collect();
    let x = moments(&lesson.x, lesson.n, &split.train);
    let numbers = lesson.answers == Answers::Numbers;
    let y = if numbers { moments(&lesson.y, lesson.k, &split.train) } else { vec![(0.0, 1.0); lesson.k] };
    let course = Course { lesson, x, y, settings };
    let train = || course.train(&widths, split, progress);
    let (mut layers, epoch) = contained("candle", ErrorKind::Backend, "training the student", train)?;
    // (x - mean) / deviation goes into the first layer, and its inverse for numbers into the last.
    if let Some(first) = layers.first_mut() {
        let out = first.bias.len();
        for (i, (mean, deviation)) in course.x.iter().enumerate() {
            for j in 0..out {
                let weight = &mut first.weights[i * out + j];
                *weight /= deviation;
                first.bias[j] -= *weight * mean;
            }
        }
    }
    if let Some(last) = layers.last_mut().filter(|_| numbers) {
        let out = last.bias.len();
        for (j, (mean, deviation)) in course.y.iter().enumerate() {
            last.weights.iter_mut().skip(j).step_by(out).for_each(|w| *w *= deviation);
            last.bias[j] = last.bias[j] * deviation + mean;
        }
    }
    Ok((layers, epoch))
}
