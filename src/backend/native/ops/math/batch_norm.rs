//! Batch normalisation with statistics that were learned, or with those of the batch.

use smallvec::smallvec;

use super::float_work::{FloatWork, weights, with_floats};
use super::num::Float;
use super::{axes, dispatch};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::wide::{floats, rounded};
use crate::backend::native::value::Value;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("BatchNormalization", build)];

/// scale (x - mean) / sqrt(variance + epsilon) + bias, with weights for every channel.
#[derive(Debug)]
struct BatchNorm {
    epsilon: f32,
    /// Whether the weights stand for every element of an observation, not for every channel.
    per_element: bool,
    /// Factors and summands for single precision, when the weights are constant.
    packed: Option<[Value<'static>; 2]>,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if node.opset() >= 14 && node.flag("training_mode", false)? {
        let (epsilon, momentum) = (node.float_or("epsilon", 1e-5)?.into(), node.float_or("momentum", 0.9)?.into());
        return Ok(Box::new(Training { epsilon, momentum }));
    }
    if (1..node.outputs()).any(|i| node.has_output(i)) {
        return Err(node.unsupported("BatchNormalization in training mode, with statistics as outputs"));
    }
    let per_element = node.opset() < 9 && !node.flag("spatial", true)?;
    let epsilon = node.float_or("epsilon", 1e-5)?;
    let constants: Option<Vec<_>> = (1..5).map(|i| node.constant(i)).collect();
    let packed = match constants.as_deref() {
        Some(&[scale, bias, mean, variance]) => {
            let packed = pack::<f32>([scale, bias, mean, variance], epsilon)?;
            Some(packed.map(|v| Value::new([v.len()].as_slice(), v)))
        }
        _ => None,
    };
    Ok(Box::new(BatchNorm { epsilon, per_element, packed }))
}

/// The weights as one factor and one summand.
fn pack<F: Float>([scale, bias, mean, variance]: [&Value<'_>; 4], epsilon: f32) -> Result<[Vec<F>; 2]> {
    let [s, b, m, v] = [weights::<F>(scale)?, weights::<F>(bias)?, weights::<F>(mean)?, weights::<F>(variance)?];
    if [b.len(), m.len(), v.len()].iter().any(|&n| n != s.len()) {
        return Err(Error::new(ErrorKind::WrongShape, "the weights of a batch normalisation differ in length"));
    }
    let epsilon = F::from_double(epsilon.into());
    let factors: Vec<F> = s.iter().zip(&*v).map(|(s, v)| s.over(v.plus(epsilon).sqrt())).collect();
    let summands = factors.iter().zip(b.iter().zip(&*m)).map(|(f, (b, m))| b.minus(m.times(*f))).collect();
    Ok([factors, summands])
}

/// One [`BatchNorm`] with the inputs of a call.
struct Call<'c> {
    op: &'c BatchNorm,
    weights: [&'c Value<'c>; 4],
}

impl FloatWork for Call<'_> {
    fn work<F: Float>(&self, items: &mut [F], shape: &[usize], _cx: &mut Scratch) -> Result<()> {
        // A vector is observations of one channel.
        let channels = match (self.op.per_element, shape) {
            (true, [_, rest @ ..]) => axes::product(rest),
            (_, [_]) => 1,
            (_, [_, channels, ..]) => *channels,
            (_, []) => return Err(Error::new(ErrorKind::WrongShape, "a batch normalisation needs an axis")),
        };
        let packed: [Vec<F>; 2];
        let ready = self.op.packed.as_ref().and_then(|[a, b]| Some((a.try_slice::<F>()?, b.try_slice::<F>()?)));
        let (factors, summands) = match ready {
            Some(ready) => ready,
            None => {
                packed = pack::<F>(self.weights, self.op.epsilon)?;
                (&packed[0][..], &packed[1][..])
            }
        };
        if factors.len() != channels {
            return Err(Error::new(
                ErrorKind::WrongShape,
                "the weights of a batch normalisation do not fit the channels",
            )
            .expected(channels)
            .actual(factors.len()));
        }
        if items.is_empty() {
            return Ok(());
        }
        let per_channel = if self.op.per_element { 1 } else { axes::product(shape.get(2..).unwrap_or_default()) };
        if per_channel == 1 {
            for row in items.chunks_exact_mut(channels) {
                row.iter_mut().zip(factors.iter().zip(summands)).for_each(|(x, (&f, &s))| *x = x.times(f).plus(s));
            }
        } else {
            let all = factors.iter().zip(summands).cycle();
            for (run, (&f, &s)) in items.chunks_exact_mut(per_channel).zip(all) {
                run.iter_mut().for_each(|x| *x = x.times(f).plus(s));
            }
        }
        Ok(())
    }
}

impl Op for BatchNorm {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        let call = Call { op: self, weights: [args.get(1)?, args.get(2)?, args.get(3)?, args.get(4)?] };
        Ok(smallvec![with_floats(&call, value, cx)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

/// The same with the statistics of the batch, which also move those that were learned.
#[derive(Debug)]
struct Training {
    epsilon: f64,
    /// The share of the old statistics in the new ones.
    momentum: f64,
}

impl Op for Training {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let &[count, channels, ref rest @ ..] = value.shape() else {
            return Err(Error::new(ErrorKind::WrongShape, "a batch normalisation needs a batch and channels")
                .actual(shape_text(value.shape())));
        };
        let (weights, statistics) = ([args.get(1)?, args.get(2)?], [args.get(3)?, args.get(4)?]);
        if weights.iter().chain(&statistics).any(|w| *w.shape() != [channels]) {
            return Err(Error::new(
                ErrorKind::WrongShape,
                "the weights of a batch normalisation do not fit the channels",
            )
            .expected(channels));
        }
        let (mut items, pixels) = (floats(value)?, axes::product(rest));
        let [scale, bias] = [floats(weights[0])?, floats(weights[1])?];
        let mut moved = [floats(statistics[0])?, floats(statistics[1])?];
        let n = (count * pixels) as f64;
        for channel in 0..channels {
            let places =
                || (0..count).flat_map(|i| (i * channels + channel) * pixels..(i * channels + channel + 1) * pixels);
            let mean = places().map(|p| items[p]).sum::<f64>() / n;
            let variance = places().map(|p| (items[p] - mean).powi(2)).sum::<f64>() / n;
            let factor = scale[channel] / (variance + self.epsilon).sqrt();
            places().for_each(|p| items[p] = (items[p] - mean) * factor + bias[channel]);
            for (moved, now) in moved.iter_mut().zip([mean, variance]) {
                moved[channel] = self.momentum * moved[channel] + (1.0 - self.momentum) * now;
            }
        }
        let [mean, variance] = moved;
        Ok(smallvec![
            rounded(items, value.shape(), value.data()),
            rounded(mean, [channels].as_slice(), statistics[0].data()),
            rounded(variance, [channels].as_slice(), statistics[1].data())
        ])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
    }
}
