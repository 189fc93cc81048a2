//! Einsum: any sum of products along named axes, as a chain of matrix products.

use smallvec::smallvec;

use super::Group;
use super::common::{SmallStrides, Walk, no_sequence, spreads, strides, volume, walked};
use super::equation::{Equation, Label, Labels};
use super::scatter::Combine;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::linear::product;
use crate::backend::native::value::{Data, Item, Shape, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Einsum", build)];

#[derive(Debug)]
struct Einsum(Equation);

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let equation = node.string("equation")?.ok_or_else(|| node.malformed("Einsum has no `equation`"))?;
    Ok(Box::new(Einsum(Equation::parse(equation, node.inputs())?)))
}

/// A value whose axes have names, each once.
struct Named<'s> {
    labels: Vec<Label>,
    value: Value<'s>,
}

/// The length of each label over all inputs; axes of length 1 go with any other.
struct Sizes(Vec<(Label, usize)>);

impl Sizes {
    fn of(values: &[&Value<'_>], labels: &[Vec<Label>]) -> Result<Self> {
        let mut sizes: Vec<(Label, usize)> = Vec::new();
        for (value, labels) in values.iter().zip(labels) {
            for (&label, &dim) in labels.iter().zip(value.shape()) {
                match sizes.iter_mut().find(|(l, _)| *l == label) {
                    None => sizes.push((label, dim)),
                    Some((_, size)) if *size == 1 => *size = dim,
                    Some((_, size)) if *size == dim || dim == 1 => {}
                    Some((_, size)) => {
                        return Err(Error::new(ErrorKind::WrongShape, "axes of one letter differ in length")
                            .expected(*size)
                            .actual(shape_text(value.shape())));
                    }
                }
            }
        }
        Ok(Self(sizes))
    }

    fn get(&self, label: Label) -> usize {
        self.0.iter().find(|(l, _)| *l == label).map_or(1, |(_, size)| *size)
    }

    fn shape(&self, labels: &[Label]) -> Shape {
        labels.iter().map(|&l| self.get(l)).collect()
    }
}

/// The elements of `value` with its axes in the order of `wanted`: repeated labels are walked along the diagonal,
/// short axes repeated.
fn arranged<'s>(
    value: &'s Value<'_>,
    labels: &[Label],
    wanted: &[Label],
    sizes: &Sizes,
    cx: &mut Scratch,
) -> Result<Value<'s>> {
    let shape = sizes.shape(wanted);
    if labels == wanted && value.shape() == &*shape {
        return Ok(value.as_view());
    }
    let own = strides(value.shape());
    let stride = |label: Label| {
        let axes = labels.iter().enumerate().filter(|(a, l)| **l == label && value.shape()[*a] != 1);
        axes.map(|(a, _)| own[a]).sum::<isize>()
    };
    let steps: SmallStrides = wanted.iter().map(|&l| stride(l)).collect();
    walked(value, &shape, Walk { start: 0, dims: shape.clone(), strides: steps }, cx)
}

/// Sums runs of `n` elements.
fn sums<T: Item + Combine>(items: &[T], n: usize, shape: Shape, cx: &mut Scratch) -> Result<Value<'static>> {
    let count = cx.check_shape(&shape)?;
    let mut out = cx.buffer::<T>(count);
    if n == 0 {
        out.resize(count, T::default());
    } else {
        for run in items.chunks_exact(n) {
            let (first, rest) = run.split_first().ok_or_else(no_sequence)?;
            out.push(rest.iter().try_fold(first.clone(), |sum, v| T::add(&sum, v))?);
        }
    }
    Ok(Value::new(shape, out))
}

/// `value` with the axes in `kept` left, in that order, the others summed.
fn reduced<'s>(
    value: &'s Value<'_>,
    labels: &[Label],
    kept: Vec<Label>,
    sizes: &Sizes,
    cx: &mut Scratch,
) -> Result<Named<'s>> {
    let mut order = kept.clone();
    for &label in labels {
        if !order.contains(&label) {
            order.push(label);
        }
    }
    let all = arranged(value, labels, &order, sizes, cx)?;
    if order.len() == kept.len() {
        return Ok(Named { labels: kept, value: all });
    }
    let n = volume(&sizes.shape(&order[kept.len()..]));
    let shape = sizes.shape(&kept);
    let value = match all.data() {
        Data::F32(items) => sums::<f32>(items, n, shape, cx)?,
        Data::F64(items) => sums::<f64>(items, n, shape, cx)?,
        Data::I32(items) => sums::<i32>(items, n, shape, cx)?,
        Data::I64(items) => sums::<i64>(items, n, shape, cx)?,
        Data::U32(items) => sums::<u32>(items, n, shape, cx)?,
        Data::U64(items) => sums::<u64>(items, n, shape, cx)?,
        _ => return Err(all.type_error("f32, f64, i32, i64, u32 or u64")),
    };
    Ok(Named { labels: kept, value })
}

/// The product of two values, summed over what both have and `kept` has not, as a batch of matrix products.
fn contracted(a: &Named<'_>, b: &Named<'_>, kept: &[Label], sizes: &Sizes, cx: &mut Scratch) -> Result<Named<'static>> {
    let pick = |from: &Named<'_>, f: &dyn Fn(&Label) -> bool| -> Vec<Label> {
        from.labels.iter().copied().filter(|l| f(l)).collect()
    };
    let batch = pick(a, &|l| b.labels.contains(l) && kept.contains(l));
    let inner = pick(a, &|l| b.labels.contains(l) && !kept.contains(l));
    let rows = pick(a, &|l| !b.labels.contains(l));
    let columns = pick(b, &|l| !a.labels.contains(l));
    let count = |labels: &[Label]| volume(&sizes.shape(labels));
    let left = arranged(&a.value, &a.labels, &[&*batch, &rows, &inner].concat(), sizes, cx)?;
    let right = arranged(&b.value, &b.labels, &[&*batch, &inner, &columns].concat(), sizes, cx)?;
    let left = left.with_shape([count(&batch), count(&rows), count(&inner)].as_slice())?;
    let right = right.with_shape([count(&batch), count(&inner), count(&columns)].as_slice())?;
    let labels = [batch, rows, columns].concat();
    let value = product(&left, &right, cx)?.with_shape(sizes.shape(&labels))?;
    Ok(Named { labels, value })
}

impl Op for Einsum {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let values = (0..self.0.len()).map(|i| args.get(i)).collect::<Result<Vec<_>>>()?;
        let Labels { inputs, output } = self.0.labels(values.iter().map(|v| v.rank())).ok_or_else(|| {
            Error::new(ErrorKind::WrongShape, "an input of Einsum has another number of axes than its term")
                .actual(values.iter().map(|v| shape_text(v.shape())).collect::<Vec<_>>().join(", "))
        })?;
        let sizes = Sizes::of(&values, &inputs)?;
        // What the output or a later input needs is kept.
        let needed = |from: usize| -> Vec<Label> { inputs[from..].iter().flatten().chain(&output).copied().collect() };
        let keep = |labels: &[Label], needed: &[Label]| {
            let mut kept: Vec<Label> = Vec::new();
            for label in labels.iter().filter(|l| needed.contains(l)) {
                if !kept.contains(label) {
                    kept.push(*label);
                }
            }
            kept
        };
        let mut acc = reduced(values[0], &inputs[0], keep(&inputs[0], &needed(1)), &sizes, cx)?;
        for (i, (value, labels)) in values.iter().zip(&inputs).enumerate().skip(1) {
            let later = needed(i + 1);
            let kept = keep(labels, &[&*later, &acc.labels].concat());
            let next = reduced(value, labels, kept, &sizes, cx)?;
            acc = contracted(&acc, &next, &later, &sizes, cx)?;
        }
        let answer = arranged(&acc.value, &acc.labels, &output, &sizes, cx)?;
        Ok(smallvec![answer.into_static()])
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        let Some(labels) = self.0.labels(inputs.iter().map(Flow::rank)) else { return true };
        let varying = inputs.iter().zip(&labels.inputs).flat_map(|(flow, labels)| {
            labels.iter().enumerate().filter(|(a, _)| flow.varies(*a)).map(move |(_, l)| (*l, labels))
        });
        let mut crossed = varying.map(|(label, own)| {
            let summed = !labels.output.contains(&label);
            summed || own.iter().filter(|l| **l == label).count() > 1
        });
        crossed.any(|c| c) || spreads(outputs)
    }
}
