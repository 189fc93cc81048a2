//! A product with constant 8-bit weights, and what was merged into it.

use smallvec::smallvec;

use super::product;
use super::weights::{matrix, panels, small, spread};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::pool::{Share, Threads};
use crate::backend::native::value::{Data, Shape, Value};
use crate::kernel::bytes::{ByteMatrix, Bytes, Held, NR, ToBytes, ToFloats, ToSums, covering, extremes, range};
use crate::kernel::{Isa, Left};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(in crate::backend::native::ops) const GROUP: Group =
    &[("MatMulInteger", matmul_integer), ("QLinearMatMul", qlinear_matmul)];
pub(in crate::backend::native::ops) const MICROSOFT: Group =
    &[("MatMulIntegerToFloat", integer_to_float), ("DynamicQuantizeMatMul", dynamic_matmul), ("QGemm", qgemm)];
/// x; its scale and zero point; weights, their scale and zero point; bias; scale and zero point of the answer. The
/// attribute `dynamic` says that x is to be quantised by its own range, `row_ranges` that by that of each of its rows.
pub(in crate::backend::native::ops) const FUSED: Group = &[("Linear", fused)];

/// How input 0 becomes 8-bit numbers.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend::native::ops) enum Input {
    /// Floats, by their own range: that of the whole value, or of each row.
    Dynamic { rows: bool },
    /// Floats by this scale, or bytes that were made by it.
    Static { scale: f32, zero: i32, signed: bool },
    /// Bytes, whose zero point is an input of the step, if it is there.
    Given { zero: usize, scale: Option<usize> },
}

/// What becomes of the sums.
#[derive(Debug)]
pub(in crate::backend::native::ops) enum Output {
    Sums,
    Floats { bias: Vec<[f32; NR]>, relu: bool },
    Bytes { bias: Vec<[i32; NR]>, factors: Vec<[f32; NR]>, bounds: [i32; 2], zero: i32, signed: bool },
}

/// Rows of length k times a constant matrix (k, n) of 8-bit weights.
#[derive(Debug)]
struct Linear {
    matrix: ByteMatrix,
    /// The scale of each column.
    columns: Vec<[f32; NR]>,
    input: Input,
    output: Output,
}

impl Linear {
    /// The rows of input 0 as 8-bit numbers; adds the scale of each, or one for all, to `scales`.
    fn rows(&self, args: &Args<'_, '_>, cx: &mut Scratch, scales: &mut Vec<f32>) -> Result<Bytes> {
        let value = args.get(0)?;
        let by = Quantised::of(self.input, args)?;
        let mut bytes = Bytes::new(self.matrix.dot(), cx.buffer(value.len() + 4), cx.buffer(0));
        by.push(value, self.matrix.k(), &mut bytes, scales, &cx.threads)?;
        bytes.end();
        Ok(bytes)
    }
}

/// An [`Input`] with the numbers of a call.
pub(in crate::backend::native::ops) enum Quantised {
    Dynamic { rows: bool },
    Static { scale: f32, zero: i32, signed: bool },
}

impl Quantised {
    pub(in crate::backend::native::ops) fn of(input: Input, args: &Args<'_, '_>) -> Result<Self> {
        Ok(match input {
            Input::Dynamic { rows } => Self::Dynamic { rows },
            Input::Static { scale, zero, signed } => Self::Static { scale, zero, signed },
            Input::Given { zero, scale } => {
                let zero = match args.opt(zero) {
                    Some(value) if value.len() == 1 => small(value.to_i64s()?[0])?,
                    Some(value) => {
                        return Err(Error::new(ErrorKind::Unsupported, "a zero point for each row of a product")
                            .expected("one for all")
                            .actual(value.len()));
                    }
                    None => 0,
                };
                let scale = match scale.and_then(|at| args.opt(at)) {
                    Some(value) => value.to_f32s()?.first().copied().unwrap_or(1.0),
                    None => 1.0,
                };
                Self::Static { scale, zero, signed: args.get(0)?.try_slice::<i8>().is_some() }
            }
        })
    }

    /// Adds the numbers of `value`, whose rows are `k` long, to `bytes`, and the scale of each row or of all to `scales`,
    /// on `threads`.
    pub(in crate::backend::native::ops) fn push(
        &self,
        value: &Value<'_>,
        k: usize,
        bytes: &mut Bytes,
        scales: &mut Vec<f32>,
        threads: &Threads,
    ) -> Result<()> {
        let isa = Isa::best();
        match (self, value.data()) {
            (Self::Dynamic { rows: false }, Data::F32(x)) => {
                let (scale, zero) = shared_range(isa, x, threads);
                bytes.start(zero, false);
                push_floats(isa, x, scale, bytes, threads);
                scales.push(scale);
            }
            (Self::Dynamic { rows: true }, Data::F32(x)) => {
                push_rows(isa, x, k, bytes, scales);
            }
            (&Self::Static { scale, zero, signed }, Data::F32(x)) => {
                bytes.start(zero, signed);
                push_floats(isa, x, scale, bytes, threads);
                scales.push(scale);
            }
            (&Self::Static { scale, zero, .. }, Data::U8(x)) => {
                bytes.start(zero, false);
                bytes.push_unsigned(x);
                scales.push(scale);
            }
            (&Self::Static { scale, zero, .. }, Data::I8(x)) => {
                bytes.start(zero, true);
                bytes.push_signed(x);
                scales.push(scale);
            }
            _ => return Err(value.type_error("f32, u8 or i8")),
        }
        Ok(())
    }
}

/// Floats are quantised, or looked at for their range, as fast as so many multiplications go.
const FLOATS: Share = Share { cost: 8, together: 64 };

/// [`range`], by parts on all threads.
fn shared_range(isa: Isa, x: &[f32], threads: &Threads) -> (f32, i32) {
    const PART: usize = 1 << 12;
    if x.len() < 2 * PART {
        return range(isa, x);
    }
    let mut found = vec![[0.0f32; 2]; x.len().div_ceil(PART)];
    threads.rows(&mut found, 1, Share { cost: PART * FLOATS.cost, together: 1 }, |from, found| {
        for (part, found) in x[from * PART..].chunks(PART).zip(found) {
            *found = extremes(isa, part);
        }
    });
    covering(found.into_iter().fold([0.0; 2], |[low, high], part| [low.min(part[0]), high.max(part[1])]))
}

/// [`Bytes::push_floats`] on all threads.
fn push_floats(isa: Isa, x: &[f32], scale: f32, bytes: &mut Bytes, threads: &Threads) {
    let (by, room) = bytes.room(x.len());
    match room {
        Held::Wide(room) => {
            threads.rows(room, 1, FLOATS, |from, room| by.wide(isa, &x[from..][..room.len()], scale, room));
        }
        Held::Narrow(room) => {
            threads.rows(room, 1, FLOATS, |from, room| by.narrow(isa, &x[from..][..room.len()], scale, room));
        }
    }
}

/// Fills `bytes` with the rows of `x`, `k` long, each by its own range, and adds their scales to `scales`.
pub(in crate::backend::native::ops) fn push_rows(
    isa: Isa,
    x: &[f32],
    k: usize,
    bytes: &mut Bytes,
    scales: &mut Vec<f32>,
) {
    // Rows of different zero points can't stand beside each other, so all have the one in the middle.
    bytes.start(0, true);
    for row in x.chunks_exact(k) {
        let most = row.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        let scale = if most > 0.0 { most / 127.0 } else { 1.0 };
        bytes.push_floats(isa, row, scale);
        scales.push(scale);
    }
}

impl Op for Linear {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (k, n) = (self.matrix.k(), self.matrix.n());
        let input = args.get(0)?;
        let (len, mut shape) = (input.len(), Shape::from_slice(input.shape()));
        match shape.last_mut() {
            Some(last) if *last == k => *last = n,
            _ => {
                return Err(Error::new(ErrorKind::WrongShape, "a matrix product was given rows of another length")
                    .expected(k)
                    .actual(shape_text(input.shape())));
            }
        }
        let (m, count) = (len / k, cx.check_shape(&shape)?);
        let mut scales = cx.buffer::<f32>(1);
        let bytes = self.rows(args, cx, &mut scales)?;
        // Multiplications of bytes take half the time of others. Where a row begins must fit 32 bits.
        let cost = if u32::try_from(len).is_ok() { k * n / 2 } else { 0 };
        let share = Share { cost, ..Share::product(k, n) };
        let part = |from: usize, out: usize| (out / n.max(1), [(from * k) as u32]);
        let answer = match &self.output {
            Output::Sums => {
                let mut out = cx.stale::<i32>(count);
                self.matrix.multiply(&bytes, Left::rows(m, k), &mut ToSums { n, out: &mut out });
                Value::new(shape, out)
            }
            Output::Floats { bias, relu } => {
                let mut out = cx.stale::<f32>(count);
                let columns = &*self.columns;
                cx.threads.rows(&mut out, n, share, |from, out| {
                    let (m, pieces) = part(from, out.len());
                    let left = Left { pieces: &pieces, ..Left::rows(m, k) };
                    let rows = if scales.len() == 1 { &*scales } else { &scales[from..from + m] };
                    self.matrix.multiply(&bytes, left, &mut ToFloats { n, rows, columns, bias, relu: *relu, out });
                });
                Value::new(shape, out)
            }
            Output::Bytes { bias, factors, bounds, zero, signed } => {
                let mut out = cx.stale::<u8>(count);
                cx.threads.rows(&mut out, n, share, |from, out| {
                    let (m, pieces) = part(from, out.len());
                    let left = Left { pieces: &pieces, ..Left::rows(m, k) };
                    let finish = &mut ToBytes { n, bias, factors, bounds: *bounds, zero: *zero, out };
                    self.matrix.multiply(&bytes, left, finish);
                });
                bytes_value(shape, out, *signed, cx)
            }
        };
        recycle(bytes, cx);
        cx.recycle_buffer(scales);
        Ok(smallvec![answer])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let Some(x) = inputs.first() else { return true };
        let whole = matches!(self.input, Input::Dynamic { rows: false }) && x.any();
        whole || x.rank() == 0 || x.varies(x.rank() - 1) || inputs.iter().skip(1).any(Flow::any)
    }

    fn parameters(&self) -> usize {
        self.matrix.k() * self.matrix.n() + self.columns.len() * NR
    }

    fn engine(&self) -> Option<String> {
        Some(format!("8-bit weights ({}, {})", self.matrix.k(), self.matrix.n()))
    }

    fn features(&self) -> Option<usize> {
        Some(self.matrix.k())
    }
}

/// Takes back the buffers of numbers that nobody needs any more.
pub(in crate::backend::native::ops) fn recycle(bytes: Bytes, cx: &mut Scratch) {
    let (wide, narrow) = bytes.into_buffers();
    cx.recycle_buffer(wide);
    cx.recycle_buffer(narrow);
}

/// Bytes as u8, or as the i8 whose bits they are.
pub(in crate::backend::native::ops) fn bytes_value(
    shape: Shape,
    out: Vec<u8>,
    signed: bool,
    cx: &mut Scratch,
) -> Value<'static> {
    if !signed {
        return Value::new(shape, out);
    }
    let mut items = cx.buffer::<i8>(out.len());
    items.extend(out.iter().map(|&b| b as i8));
    cx.recycle_buffer(out);
    Value::new(shape, items)
}

/// A constant with one element, as a float.
pub(in crate::backend::native::ops) fn one(node: &Node<'_>, input: usize) -> Result<f32> {
    let value = node.constant(input).ok_or_else(|| node.unsupported("a scale that is computed"))?;
    match value.to_f32s()?[..] {
        [one] => Ok(one),
        _ => Err(node.unsupported("scales of this quantised product must be one for all")),
    }
}

/// The zero point at `input`, 0 where there is none, and whether it is of i8.
pub(in crate::backend::native::ops) fn zero_point(node: &Node<'_>, input: usize) -> Result<(i32, bool)> {
    if !node.has_input(input) {
        return Ok((0, false));
    }
    let value = node.constant(input).ok_or_else(|| node.unsupported("a zero point that is computed"))?;
    match value.to_i64s()?[..] {
        [zero] => Ok((small(zero)?, value.try_slice::<i8>().is_some())),
        _ => Err(node.unsupported("zero points of this quantised product must be one for all")),
    }
}

/// Where the inputs of a product stand among those of its node.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend::native::ops) struct Places {
    pub(in crate::backend::native::ops) weights: usize,
    pub(in crate::backend::native::ops) weight_scale: Option<usize>,
    pub(in crate::backend::native::ops) weight_zero: usize,
    pub(in crate::backend::native::ops) bias: Option<usize>,
    /// Scale and zero point of the answer.
    pub(in crate::backend::native::ops) answer: Option<[usize; 2]>,
}

/// What becomes of the sums of `n` columns, whose weights have the scales `columns`.
pub(in crate::backend::native::ops) fn output(
    node: &Node<'_>,
    at: Places,
    n: usize,
    x_scale: f32,
    columns: &[f32],
    relu: bool,
) -> Result<Output> {
    let bias = match at.bias.filter(|&b| node.has_input(b)) {
        Some(b) => Some(node.constant(b).ok_or_else(|| node.unsupported("a bias that is computed"))?),
        None => None,
    };
    let whole = bias.is_some_and(|b| b.try_slice::<i32>().is_some());
    let unit = |j: usize| if whole { x_scale * columns[j] } else { 1.0 };
    let reals = match bias {
        Some(b) => spread(&b.to_f32s()?, n, "the biases")?,
        None => vec![0.0; n],
    };
    let Some([scale, zero]) = at.answer.filter(|a| node.has_input(a[0])) else {
        let bias: Vec<f32> = reals.iter().enumerate().map(|(j, b)| b * unit(j)).collect();
        return Ok(Output::Floats { bias: panels(&bias, 0.0), relu });
    };
    let scale = one(node, scale)?;
    let (zero, signed) = zero_point(node, zero)?;
    let bias: Vec<i32> = match bias.and_then(|b| b.try_slice::<i32>()) {
        Some(items) => spread(items, n, "the biases")?,
        None => reals.iter().enumerate().map(|(j, b)| (b / (x_scale * columns[j])).round_ties_even() as i32).collect(),
    };
    let factors: Vec<f32> = columns.iter().map(|c| x_scale * c / scale).collect();
    let low = if signed { -128 } else { 0 };
    let least = if relu { low.max(zero) } else { low };
    let factors = panels(&factors, 0.0);
    Ok(Output::Bytes { bias: panels(&bias, 0), factors, bounds: [least, low + 255], zero, signed })
}

/// The scale of each of `n` columns.
pub(in crate::backend::native::ops) fn column_scales(node: &Node<'_>, at: Places, n: usize) -> Result<Vec<f32>> {
    let Some(input) = at.weight_scale else { return Ok(vec![1.0; n]) };
    let value = node.constant(input).ok_or_else(|| node.unsupported("scales of weights that are computed"))?;
    spread(&value.to_f32s()?, n, "the scales")
}

/// The operator, where the weights are constant.
fn linear(
    node: &Node<'_>,
    at: Places,
    input: Input,
    transposed: bool,
    output: impl FnOnce(usize, &[f32]) -> Result<Output>,
) -> Result<Box<dyn Op>> {
    let computed = || node.unsupported("a quantised product of two computed values");
    let weights = node.constant(at.weights).ok_or_else(computed)?;
    let zero = match node.has_input(at.weight_zero) {
        true => Some(node.constant(at.weight_zero).ok_or_else(computed)?),
        false => None,
    };
    let matrix = matrix(node, weights, zero, transposed)?;
    let columns = column_scales(node, at, matrix.n())?;
    let output = output(matrix.n(), &columns)?;
    Ok(Box::new(Linear { matrix, columns: panels(&columns, 0.0), input, output }))
}

fn matmul_integer(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if node.constant(1).is_none_or(|b| b.rank() != 2) {
        return product::integer(node);
    }
    let at = Places { weights: 1, weight_scale: None, weight_zero: 3, bias: None, answer: None };
    linear(node, at, Input::Given { zero: 2, scale: None }, false, |_, _| Ok(Output::Sums))
}

fn integer_to_float(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let at = Places { weights: 1, weight_scale: Some(3), weight_zero: 5, bias: Some(6), answer: None };
    let input = Input::Given { zero: 4, scale: Some(2) };
    linear(node, at, input, false, |n, columns| output(node, at, n, 1.0, columns, false))
}

fn dynamic_matmul(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let at = Places { weights: 1, weight_scale: Some(2), weight_zero: 3, bias: Some(4), answer: None };
    let input = Input::Dynamic { rows: node.row_ranges() };
    linear(node, at, input, false, |n, columns| output(node, at, n, 1.0, columns, false))
}

/// The static quantisation of input 0 by the scale and zero point that follow it.
pub(in crate::backend::native::ops) fn fixed(node: &Node<'_>) -> Result<(Input, f32)> {
    let scale = one(node, 1)?;
    let (zero, signed) = zero_point(node, 2)?;
    Ok((Input::Static { scale, zero, signed }, scale))
}

fn qlinear_matmul(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if node.constant(3).is_none_or(|b| b.rank() != 2) {
        return product::qlinear(node);
    }
    let at = Places { weights: 3, weight_scale: Some(4), weight_zero: 5, bias: None, answer: Some([6, 7]) };
    let (input, scale) = fixed(node)?;
    linear(node, at, input, false, |n, columns| output(node, at, n, scale, columns, false))
}

fn qgemm(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let at = Places { weights: 3, weight_scale: Some(4), weight_zero: 5, bias: Some(6), answer: Some([7, 8]) };
    if node.float_or("alpha", 1.0)? != 1.0 || node.flag("transA", false)? {
        return Err(node.unsupported("QGemm with `alpha` or `transA`"));
    }
    let (input, scale) = fixed(node)?;
    linear(node, at, input, node.flag("transB", false)?, |n, columns| output(node, at, n, scale, columns, false))
}

fn fused(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let at = Places { weights: 3, weight_scale: Some(4), weight_zero: 5, bias: Some(6), answer: Some([7, 8]) };
    let relu = node.flag("relu", false)?;
    let (input, scale) =
        if node.flag("dynamic", false)? { (Input::Dynamic { rows: node.row_ranges() }, 1.0) } else { fixed(node)? };
    linear(node, at, input, node.flag("transB", false)?, |n, columns| output(node, at, n, scale, columns, relu))
}
