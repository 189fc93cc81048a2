//! Normalisations of groups of elements by their own statistics.

use smallvec::smallvec;

use super::axes::{self, Axes, axis_of};
use super::broadcast::{self, Plan};
use super::cast;
use super::dispatch;
use super::float_work::{FloatWork, weights, with_floats};
use super::num::Float;
use super::reduce::{self, total};
use super::softmax;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Shape, Value};
use crate::tensor::shape_text;
use crate::{DType, Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[
    ("LayerNormalization", |n| layer(n, true)),
    ("RMSNormalization", |n| layer(n, false)),
    ("InstanceNormalization", instance),
    ("GroupNormalization", group),
    ("LpNormalization", lp),
    ("MeanVarianceNormalization", mean_variance),
];

/// The mean of a group, taken off when `center`, and the factor that brings its variance to 1. Both are applied.
fn standardise<F: Float>(run: &mut [F], center: bool, epsilon: F) -> [F; 2] {
    let n = F::from_double(run.len() as f64);
    let mean = if center { total(run, |x| x).over(n) } else { F::ZERO };
    let variance = total(run, |x| x.minus(mean).times(x.minus(mean))).over(n);
    let scale = F::ONE.over(variance.plus(epsilon).sqrt());
    run.iter_mut().for_each(|x| *x = x.minus(mean).times(scale));
    [mean, scale]
}

/// Multiplies by a weight, then adds a bias, both stretched to `shape`.
fn scale_and_shift<F: Float>(
    items: &mut [F],
    shape: &[usize],
    scale: (&[usize], &Value<'_>),
    bias: Option<(&[usize], &Value<'_>)>,
) -> Result<()> {
    for (i, (of, value)) in std::iter::once(scale).chain(bias).enumerate() {
        if !broadcast::fits(of, shape) {
            return Err(Error::new(ErrorKind::WrongShape, "a weight of a normalisation does not fit the input")
                .expected(shape_text(shape))
                .actual(shape_text(of)));
        }
        let weights = weights::<F>(value)?;
        let plan = Plan::new(shape, [shape, of]);
        match i {
            0 => broadcast::zip_in_place(&plan, items, &weights, F::times),
            _ => broadcast::zip_in_place(&plan, items, &weights, F::plus),
        }
    }
    Ok(())
}

/// The axes from one on brought to mean 0 (unless only the root mean square counts) and variance 1.
#[derive(Debug)]
struct Layer {
    axis: i64,
    epsilon: f32,
    center: bool,
    /// The type of the statistics, where they are wanted.
    stash: DType,
    outputs: usize,
}

fn layer(node: &Node<'_>, center: bool) -> Result<Box<dyn Op>> {
    let stash = node.int_or("stash_type", 1)?;
    let stash = i32::try_from(stash).ok().and_then(cast::dtype).filter(|d| d.is_float());
    Ok(Box::new(Layer {
        axis: node.int_or("axis", -1)?,
        epsilon: node.float_or("epsilon", 1e-5)?,
        center,
        stash: stash.ok_or_else(|| node.malformed("`stash_type` must be a type of floats"))?,
        outputs: node.outputs().min(if center { 3 } else { 1 }),
    }))
}

/// One [`Layer`] with the inputs of a call.
struct LayerCall<'c> {
    layer: &'c Layer,
    scale: &'c Value<'c>,
    bias: Option<&'c Value<'c>>,
    /// Means and factors, where they are wanted.
    statistics: std::cell::RefCell<[Vec<f64>; 2]>,
}

impl FloatWork for LayerCall<'_> {
    fn work<F: Float>(&self, items: &mut [F], shape: &[usize], _cx: &mut Scratch) -> Result<()> {
        let along = axes::product(&shape[axis_of(self.layer.axis, shape.len())?..]);
        let mut statistics = self.statistics.borrow_mut();
        if !items.is_empty() {
            for run in items.chunks_exact_mut(along) {
                let found = standardise(run, self.layer.center, F::from_double(self.layer.epsilon.into()));
                if self.layer.outputs > 1 {
                    statistics.iter_mut().zip(found).for_each(|(all, one)| all.push(one.to_double()));
                }
            }
        }
        scale_and_shift(items, shape, (self.scale.shape(), self.scale), self.bias.map(|b| (b.shape(), b)))
    }
}

impl Op for Layer {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        let axis = axis_of(self.axis, value.rank())?;
        let mut shape = Shape::from_slice(&value.shape()[..axis]);
        shape.extend(std::iter::repeat_n(1, value.rank() - axis));
        let bias = if self.center { args.opt(2) } else { None };
        let call = LayerCall { layer: self, scale: args.get(1)?, bias, statistics: Default::default() };
        let mut outs: Outs<'v> = smallvec![with_floats(&call, value, cx)?];
        for mut all in call.statistics.into_inner().into_iter().take(self.outputs.saturating_sub(1)) {
            // Groups without elements have no statistics.
            all.resize(cx.check_shape(&shape)?, f64::NAN);
            outs.push(cast::cast(&Value::new(shape.clone(), all), self.stash, cx)?);
        }
        Ok(outs)
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let Some(x) = inputs.first() else { return false };
        let first = if self.axis < 0 { self.axis.saturating_add(x.rank() as i64) } else { self.axis };
        (usize::try_from(first).unwrap_or(0)..x.rank()).any(|axis| x.varies(axis))
    }
}

/// The channels of each observation, alone or several together, brought to mean 0 and variance 1.
#[derive(Debug)]
struct Channels {
    epsilon: f32,
    /// The number of groups that the channels form; each its own when absent.
    groups: Option<usize>,
    /// Whether the weights stand for groups, not for channels.
    weights_of_groups: bool,
}

fn instance(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Channels { epsilon: node.float_or("epsilon", 1e-5)?, groups: None, weights_of_groups: false }))
}

fn group(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let groups = node.int("num_groups")?.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    let groups = groups.ok_or_else(|| node.malformed("GroupNormalization needs a positive `num_groups`"))?;
    let weights_of_groups = node.opset() < 21;
    Ok(Box::new(Channels { epsilon: node.float_or("epsilon", 1e-5)?, groups: Some(groups), weights_of_groups }))
}

/// One [`Channels`] with the inputs of a call.
struct ChannelsCall<'c> {
    channels: &'c Channels,
    scale: &'c Value<'c>,
    bias: &'c Value<'c>,
}

impl FloatWork for ChannelsCall<'_> {
    fn work<F: Float>(&self, items: &mut [F], shape: &[usize], _cx: &mut Scratch) -> Result<()> {
        let [observations, channels, ..] = *shape else {
            return Err(Error::new(ErrorKind::WrongShape, "a normalisation of channels needs an axis of channels")
                .actual(shape_text(shape)));
        };
        let groups = self.channels.groups.unwrap_or(channels);
        if groups != channels && (groups == 0 || channels % groups != 0) {
            return Err(Error::new(ErrorKind::WrongShape, "the channels can't be split into `num_groups` groups")
                .expected(format!("a multiple of {groups}"))
                .actual(channels));
        }
        let weighted = if self.channels.weights_of_groups { groups } else { channels };
        for value in [self.scale, self.bias] {
            if value.len() != weighted {
                return Err(Error::new(ErrorKind::WrongShape, "a weight of a normalisation does not fit the input")
                    .expected(weighted)
                    .actual(value.len()));
            }
        }
        if items.is_empty() {
            return Ok(());
        }
        let per_observation = items.len() / observations;
        for run in items.chunks_exact_mut(per_observation / groups) {
            standardise(run, true, F::from_double(self.channels.epsilon.into()));
        }
        let shape = [observations, weighted, per_observation / weighted];
        scale_and_shift(items, &shape, (&[weighted, 1], self.scale), Some((&[weighted, 1], self.bias)))
    }
}

impl Op for Channels {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        let call = ChannelsCall { channels: self, scale: args.get(1)?, bias: args.get(2)? };
        Ok(smallvec![with_floats(&call, value, cx)?])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let first = if self.groups.is_some() { 1 } else { 2 };
        inputs.first().is_some_and(|x| (first..x.rank()).any(|axis| x.varies(axis)))
    }
}

/// Elements divided by the norm of their group; zeros stay.
#[derive(Debug)]
struct Lp {
    axis: i64,
    /// Whether the norm is the sum of magnitudes, not the root of the sum of squares.
    sum: bool,
}

fn lp(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let sum = match node.int_or("p", 2)? {
        1 => true,
        2 => false,
        other => return Err(node.malformed("the norm `p` of LpNormalization must be 1 or 2").actual(other)),
    };
    Ok(Box::new(Lp { axis: node.int_or("axis", -1)?, sum }))
}

impl FloatWork for Lp {
    fn work<F: Float>(&self, items: &mut [F], shape: &[usize], _cx: &mut Scratch) -> Result<()> {
        let [_, along, after] = axes::around(shape, axis_of(self.axis, shape.len())?);
        softmax::groups(items, along, after, |run| {
            let norm = if self.sum { total(run, F::magnitude) } else { total(run, |x| x.times(x)).sqrt() };
            if norm == F::ZERO {
                run.fill(F::ZERO);
            } else {
                run.iter_mut().for_each(|x| *x = x.over(norm));
            }
        });
        Ok(())
    }
}

impl Op for Lp {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        Ok(smallvec![with_floats(self, value, cx)?])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|x| x.varies_signed(self.axis))
    }
}

/// Elements less the mean along some axes, divided by the standard deviation plus 1e-9.
#[derive(Debug)]
struct MeanVariance {
    axes: Axes,
}

fn mean_variance(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let axes = node.ints("axes")?.unwrap_or(&[0, 2, 3]);
    Ok(Box::new(MeanVariance { axes: Axes::Fixed(axes.into()) }))
}

/// One [`MeanVariance`] with the shape of the statistics.
struct MeanVarianceCall(Shape);

impl FloatWork for MeanVarianceCall {
    fn work<F: Float>(&self, items: &mut [F], shape: &[usize], cx: &mut Scratch) -> Result<()> {
        let kept = &self.0[..];
        let count = cx.check_shape(kept)?;
        let plan = Plan::new(shape, [shape, kept]);
        let mut statistics = cx.buffer::<F>(count);
        reduce::fold::<F, reduce::Mean>(items, shape, kept, count, &mut statistics);
        broadcast::zip_in_place(&plan, items, &statistics, F::minus);
        reduce::fold::<F, reduce::SumSquare>(items, shape, kept, count, &mut statistics);
        let n = F::from_double(items.len().checked_div(count).unwrap_or(0) as f64);
        statistics.iter_mut().for_each(|x| *x = x.over(n).sqrt().plus(F::from_double(1e-9)));
        broadcast::zip_in_place(&plan, items, &statistics, F::over);
        cx.recycle_buffer(statistics);
        Ok(())
    }
}

impl Op for MeanVariance {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        let mask = self.axes.mask(args, value.rank(), false)?;
        let call = MeanVarianceCall(mask.ones_in(value.shape()));
        Ok(smallvec![with_floats(&call, value, cx)?])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        self.axes.vary(inputs.first(), false)
    }
}
