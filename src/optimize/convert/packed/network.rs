//! The layers of networks.

use super::learned::{ints, text};
use super::program::{Axis, Span};
use super::values::{Data, Packer, Value, axis_of, common_shape, unsupported};
use crate::backend::native::{Border, stand};
use crate::edge::{Binary, Kind, MOST_COMPARED, Reduction, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::{float, int};
use crate::{Error, ErrorKind, Result};

/// How a kernel walks over the axes behind batch and channels.
pub(super) struct Walk {
    axes: Vec<Axis>,
}

#[cold]
fn misfit(node: &NodeProto, what: &str) -> Error {
    Error::new(ErrorKind::WrongShape, what).node(node.label())
}

impl Walk {
    /// Of a node with the usual attributes, over axes of lengths `input` by a kernel of lengths `kernel`.
    pub(super) fn of(node: &NodeProto, input: &[usize], kernel: &[usize]) -> Result<Self> {
        let rank = input.len();
        let list = |name: &str, n: usize, default: i64| -> Result<Vec<usize>> {
            let given = ints(node, name);
            let given = if given.is_empty() { vec![default; n] } else { given.to_vec() };
            let sizes: Option<Vec<usize>> =
                given.iter().map(|v| usize::try_from(*v).ok().filter(|v| *v < 1 << 30)).collect();
            sizes
                .filter(|sizes| sizes.len() == n)
                .ok_or_else(|| misfit(node, "strides, pads and dilations that do not fit"))
        };
        let (strides, dilations) = (list("strides", rank, 1)?, list("dilations", rank, 1)?);
        let pads = list("pads", 2 * rank, 0)?;
        if rank == 0 || rank > 3 || kernel.len() != rank || strides.iter().chain(&dilations).any(|n| *n == 0) {
            return Err(unsupported(node, "a kernel over these axes"));
        }
        let ceil = int(node, "ceil_mode", 0) != 0;
        let auto = text(node, "auto_pad", "NOTSET");
        let mut axes = Vec::new();
        for i in 0..rank {
            let (n, k, stride, dilation) = (input[i], kernel[i], strides[i], dilations[i]);
            let reach = k.saturating_sub(1).checked_mul(dilation).map_or(usize::MAX, |reach| reach.saturating_add(1));
            if k == 0 || n == 0 || reach > 1 << 31 {
                return Err(misfit(node, "a kernel of nothing, or over nothing"));
            }
            let border = match auto.as_str() {
                "NOTSET" | "" => Border::Given(pads[i], pads[rank + i]),
                "VALID" => Border::Given(0, 0),
                "SAME_UPPER" => Border::Same { upper: true },
                "SAME_LOWER" => Border::Same { upper: false },
                _ => return Err(unsupported(node, "this `auto_pad`")),
            };
            let found = stand(n, reach, stride, border, ceil)
                .map_err(|_| misfit(node, "a kernel that is larger than what it walks over"))?;
            let (before, output) = (found.before, found.windows);
            axes.push([n, k, stride, dilation, before, output]);
        }
        Ok(Self { axes })
    }

    pub(super) fn outputs(&self) -> impl Iterator<Item = usize> + '_ {
        self.axes.iter().map(|axis| axis[5])
    }

    /// As three axes.
    fn three(&self) -> [Axis; 3] {
        let mut three = [[1, 1, 1, 1, 0, 1]; 3];
        let skipped = 3 - self.axes.len();
        three[skipped..].copy_from_slice(&self.axes);
        three
    }

    /// For each output, then each element of the kernel, the place in the input that it meets.
    fn places(&self) -> Vec<Option<usize>> {
        let mut places: Vec<Vec<Option<usize>>> = vec![vec![Some(0)]];
        for &[n, kernel, stride, dilation, before, output] in &self.axes {
            let meets = |o: usize, k: usize| (o * stride + k * dilation).checked_sub(before).filter(|at| *at < n);
            let next = |window: &Vec<Option<usize>>| -> Vec<Vec<Option<usize>>> {
                let at = |o: usize| {
                    window.iter().flat_map(move |place| (0..kernel).map(move |k| Some((*place)? * n + meets(o, k)?)))
                };
                (0..output).map(|o| at(o).collect()).collect()
            };
            places = places.iter().flat_map(next).collect();
        }
        places.into_iter().flatten().collect()
    }
}

impl Packer {
    /// Packs a layer, unless the node is of another kind.
    pub(super) fn layered(&mut self, node: &NodeProto) -> Result<Option<Value>> {
        Ok(Some(match node.operator() {
            "MatMul" => {
                let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
                self.multiplied(node, &a, &b)?
            }
            "Gemm" => self.gemm(node)?,
            "Softmax" | "LogSoftmax" | "Hardmax" => self.softmax(node)?,
            "Conv" => {
                let (x, w) = (self.input(node, 0)?, self.input(node, 1)?);
                let bias = self.known(node, 2)?;
                self.convolved(node, &x, &w, bias.as_deref())?
            }
            "MaxPool" => self.greatest_of_windows(node)?,
            "AveragePool" => self.mean_of_windows(node)?,
            "GlobalAveragePool" => self.pooled(node, Reduction::Mean)?,
            "GlobalMaxPool" => self.pooled(node, Reduction::Maximum)?,
            "BatchNormalization" => {
                let x = self.input(node, 0)?;
                let list = |i: usize| -> Result<Vec<f32>> { Ok(self.known(node, i)?.unwrap_or_default()) };
                let (scale, bias, mean, variance) = (list(1)?, list(2)?, list(3)?, list(4)?);
                let n = scale.len();
                if [&bias, &mean, &variance].iter().any(|list| list.len() != n) || int(node, "training_mode", 0) != 0 {
                    return Err(misfit(node, "lists of a batch normalisation that differ in length"));
                }
                let epsilon = float(node, "epsilon", 1e-5);
                let scale: Vec<f32> = scale.iter().zip(&variance).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
                let bias: Vec<f32> = bias.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
                self.by_channel(node, &x, &scale, &bias)?
            }
            "LayerNormalization" => self.layer_normalised(node)?,
            "InstanceNormalization" => {
                let x = self.input(node, 0)?;
                let n: usize = x.shape.iter().skip(2).product();
                let (scale, bias) =
                    (self.known(node, 1)?.unwrap_or_default(), self.known(node, 2)?.unwrap_or_default());
                if n == 0 || x.shape.len() < 3 {
                    return Err(misfit(node, "a normalisation over nothing"));
                }
                let span = self.span(&x);
                let span = self.program.normalise(span, n, float(node, "epsilon", 1e-5));
                self.by_channel(node, &Value::slot(&x.shape, Kind::F32, span), &scale, &bias)?
            }
            "LpNormalization" => {
                let x = self.input(node, 0)?;
                let f = if int(node, "p", 2) == 1 { Reduction::L1 } else { Reduction::L2 };
                let axis = axis_of(node, int(node, "axis", -1), x.shape.len())?;
                let rows = self.axis_last(&x, axis);
                let rows = self.normalised(&rows, f);
                self.axis_back(&rows, axis)
            }
            _ => return Ok(None),
        }))
    }

    /// The product of matrices, or of stacks of them that are spread to each other.
    pub(super) fn multiplied(&mut self, node: &NodeProto, a: &Value, b: &Value) -> Result<Value> {
        let mut a = a.clone();
        let mut b = b.clone();
        let (row, column) = (a.shape.len() == 1, b.shape.len() == 1);
        if row {
            a.shape.insert(0, 1);
        }
        if column {
            b.shape.push(1);
        }
        let ([.., m, k], [.., rows, n]) = (a.shape.as_slice(), b.shape.as_slice()) else {
            return Err(misfit(node, "a product of scalars"));
        };
        let (m, k, n) = (*m, *k, *n);
        if k != *rows || k == 0 || n == 0 {
            return Err(misfit(node, "a product of matrices that do not fit each other"));
        }
        let stacks = common_shape(node, &a.shape[..a.shape.len() - 2], &b.shape[..b.shape.len() - 2])?;
        let mut shape = [&stacks[..], &[m, n]].concat();
        self.check(node, &shape)?;
        let span = match &b.data {
            Data::Known(items) if b.len() == k * n => {
                let weights: Vec<f32> = (0..n).flat_map(|j| (0..k).map(move |i| items[i * n + j])).collect();
                let spread = self.spread(&a, &[&stacks[..], &[m, k]].concat());
                let span = self.span(&spread);
                self.program.dense(span, k, &weights, &vec![0.0; n])
            }
            _ => {
                let a = self.spread(&a, &[&stacks[..], &[m, k]].concat());
                let b = self.spread(&b, &[&stacks[..], &[k, n]].concat());
                if a.len() == 0 {
                    return Err(misfit(node, "a product of nothing"));
                }
                let (a, b) = (self.span(&a), self.span(&b));
                self.program.product(a, b, k, n)
            }
        };
        if column {
            shape.pop();
        }
        if row {
            shape.remove(shape.len() - if column { 1 } else { 2 });
        }
        Ok(Value::slot(&shape, Kind::F32, span))
    }

    fn gemm(&mut self, node: &NodeProto) -> Result<Value> {
        let [mut a, mut b] = [self.input(node, 0)?, self.input(node, 1)?];
        if a.shape.len() != 2 || b.shape.len() != 2 {
            return Err(misfit(node, "a product of anything but two matrices"));
        }
        for (name, x) in [("transA", &mut a), ("transB", &mut b)] {
            if int(node, name, 0) != 0 {
                *x = self.permuted(x, &[1, 0]);
            }
        }
        let scaled = |packer: &mut Self, x: Value, by: f32| match by {
            1.0 => Ok(x),
            by => packer.zip(node, Binary::Multiply, &x, &Value::known(&[], Kind::F32, vec![by]), Kind::F32),
        };
        let b = scaled(self, b, float(node, "alpha", 1.0))?;
        let product = self.multiplied(node, &a, &b)?;
        let Some(bias) = self.opt(node, 2)? else { return Ok(product) };
        let bias = scaled(self, bias, float(node, "beta", 1.0))?;
        self.zip(node, Binary::Add, &product, &bias, Kind::F32)
    }

    fn softmax(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let rank = x.shape.len();
        let old = self.opset < 13;
        let axis = axis_of(node, int(node, "axis", if old { 1 } else { -1 }), rank)?;
        // Before opset 13 all axes from this one on are one.
        let rows = if old { x.clone() } else { self.axis_last(&x, axis) };
        let len: usize = if old { x.shape[axis..].iter().product() } else { x.shape[axis] };
        if x.len() == 0 {
            return Err(misfit(node, "a softmax of nothing"));
        }
        let span = self.span(&rows);
        let span = match node.operator() {
            "Hardmax" => {
                let winners = self.program.reduce(Reduction::ArgMax, span, len, 1);
                let keys: Vec<f32> = (0..len).map(|i| i as f32).collect();
                self.program.one_hot(winners, &keys)
            }
            "Softmax" => self.program.softmax(span, len),
            _ => {
                let outer = span.len / len;
                let sums = self.program.reduce(Reduction::LogSumExp, span, len, 1);
                let places: Vec<usize> = (0..outer).flat_map(|row| std::iter::repeat_n(row, len)).collect();
                let sums = if outer > 1 { self.program.gather(sums, &places) } else { sums };
                self.program.zip(Binary::Subtract, span, sums)
            }
        };
        let value = Value::slot(&rows.shape, Kind::F32, span);
        Ok(if old { value } else { self.axis_back(&value, axis) })
    }

    /// A convolution of `x` (1, channels, axes...) with known weights (filters, channels of a group, axes...).
    pub(super) fn convolved(&mut self, node: &NodeProto, x: &Value, w: &Value, bias: Option<&[f32]>) -> Result<Value> {
        let Data::Known(weights) = &w.data else {
            return Err(unsupported(node, "a convolution with computed weights"));
        };
        let groups = usize::try_from(int(node, "group", 1)).unwrap_or(0);
        let ([1, channels, input @ ..], [filters, own, kernel @ ..]) = (x.shape.as_slice(), w.shape.as_slice()) else {
            return Err(unsupported(node, "a convolution of several images for one observation"));
        };
        let fits = groups > 0
            && own.checked_mul(groups) == Some(*channels)
            && filters.is_multiple_of(groups)
            && bias.is_none_or(|bias| bias.len() == *filters)
            && input.len() == kernel.len();
        if !fits {
            return Err(misfit(node, "weights that do not fit the channels"));
        }
        let walk = Walk::of(node, input, kernel)?;
        let shape: Vec<usize> = [1, *filters].into_iter().chain(walk.outputs()).collect();
        self.check(node, &shape)?;
        let span = self.span(x);
        let none = vec![0.0; *filters];
        let span = self.program.convolve(span, groups, &walk.three(), weights, bias.unwrap_or(&none));
        Ok(Value::slot(&shape, Kind::F32, span))
    }

    /// `x` (1, channels, axes...) times a number for each channel, plus another.
    fn by_channel(&mut self, node: &NodeProto, x: &Value, scale: &[f32], bias: &[f32]) -> Result<Value> {
        let n = x.shape.iter().skip(2).product();
        if x.shape.first() != Some(&1) || x.shape.get(1) != Some(&scale.len()) || bias.len() != scale.len() {
            return Err(misfit(node, "numbers that do not fit the channels"));
        }
        let still = [1, 1, 1, 1, 0, 1];
        let span = self.span(x);
        let span = self.program.convolve(span, scale.len(), &[still, still, [n, 1, 1, 1, 0, n]], scale, bias);
        Ok(Value::slot(&x.shape, Kind::F32, span))
    }

    /// The windows over each channel of input 0.
    fn walk(&self, node: &NodeProto, x: &Value) -> Result<Walk> {
        let [1, _, input @ ..] = x.shape.as_slice() else {
            return Err(unsupported(node, "a pool of several images for one observation"));
        };
        let kernel: Vec<usize> = ints(node, "kernel_shape").iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
        Walk::of(node, input, &kernel)
    }

    fn greatest_of_windows(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        if node.output.get(1).is_some_and(|name| !name.is_empty()) {
            return Err(unsupported(node, "the places of a pool's greatest"));
        }
        let walk = self.walk(node, &x)?;
        let shape: Vec<usize> = x.shape[..2].iter().copied().chain(walk.outputs()).collect();
        let kernel: usize = walk.axes.iter().map(|axis| axis[1]).product();
        self.check(node, &[&shape[..], &[kernel]].concat())?;
        let (own, plane) = (walk.places(), x.shape[2..].iter().product::<usize>());
        let places: Vec<Option<usize>> =
            (0..x.shape[1]).flat_map(|c| own.iter().map(move |place| Some((*place)? + c * plane))).collect();
        let windows = self.windows(&x, &[places.len()], &places, f32::NEG_INFINITY);
        let span = self.span(&windows);
        let span = self.program.reduce(Reduction::Maximum, span, kernel, 1);
        Ok(Value::slot(&shape, x.kind, span))
    }

    fn mean_of_windows(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let walk = self.walk(node, &x)?;
        let shape: Vec<usize> = x.shape[..2].iter().copied().chain(walk.outputs()).collect();
        let kernel: usize = walk.axes.iter().map(|axis| axis[1]).product();
        self.check(node, &[&shape[..], &[kernel]].concat())?;
        let (channels, span) = (x.shape[1], self.span(&x));
        let weights = vec![1.0 / kernel as f32; channels * kernel];
        let span = self.program.convolve(span, channels, &walk.three(), &weights, &vec![0.0; channels]);
        let means = Value::slot(&shape, Kind::F32, span);
        let padded =
            |axis: &Axis| axis[4] > 0 || (axis[5] - 1) * axis[2] + (axis[1] - 1) * axis[3] >= axis[0] + axis[4];
        if !walk.axes.iter().any(padded) {
            return Ok(means);
        }
        // How much of each window counts.
        let counted: Vec<f32> = if int(node, "count_include_pad", 0) == 0 {
            walk.places().chunks_exact(kernel).map(|window| window.iter().flatten().count() as f32).collect()
        } else if int(node, "ceil_mode", 0) == 0 {
            return Ok(means);
        } else {
            return Err(unsupported(node, "a mean of windows that reach beyond what is padded"));
        };
        let by = counted.iter().map(|n| kernel as f32 / n.max(1.0)).collect();
        self.zip(node, Binary::Multiply, &means, &Value::known(&shape[2..], Kind::F32, by), Kind::F32)
    }

    /// One number for each channel.
    fn pooled(&mut self, node: &NodeProto, f: Reduction) -> Result<Value> {
        let x = self.input(node, 0)?;
        let len: usize = x.shape.iter().skip(2).product();
        if x.shape.len() < 2 || len == 0 {
            return Err(misfit(node, "a pool of nothing"));
        }
        let shape: Vec<usize> = x.shape.iter().enumerate().map(|(axis, n)| if axis < 2 { *n } else { 1 }).collect();
        let span = self.span(&x);
        Ok(Value::slot(&shape, x.kind, self.program.reduce(f, span, len, 1)))
    }

    fn layer_normalised(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        if node.output.iter().skip(1).any(|name| !name.is_empty()) {
            return Err(unsupported(node, "the mean and deviation of a normalisation"));
        }
        let axis = axis_of(node, int(node, "axis", -1), x.shape.len())?;
        let len: usize = x.shape[axis..].iter().product();
        if x.len() == 0 {
            return Err(misfit(node, "a normalisation of nothing"));
        }
        let span = self.span(&x);
        let span = self.program.normalise(span, len, float(node, "epsilon", 1e-5));
        let mut value = Value::slot(&x.shape, Kind::F32, span);
        for (i, f) in [(1, Binary::Multiply), (2, Binary::Add)] {
            if let Some(by) = self.opt(node, i)? {
                value = self.zip(node, f, &value, &by, Kind::F32)?;
            }
        }
        Ok(value)
    }

    /// `CumSum`: each row times a triangle of ones.
    pub(super) fn running(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let axis = self.ints(node, 1)?.and_then(|axes| axes.first().copied()).unwrap_or(0);
        let axis = axis_of(node, axis, x.shape.len())?;
        let n = x.shape[axis];
        self.check(node, &[n, n])?;
        let (exclusive, reverse) = (int(node, "exclusive", 0) != 0, int(node, "reverse", 0) != 0);
        let counts = |j: usize, i: usize| if reverse { i > j } else { i < j } || (i == j && !exclusive);
        let ones: Vec<f32> = (0..n).flat_map(|j| (0..n).map(move |i| f32::from(u8::from(counts(j, i))))).collect();
        if x.len() == 0 {
            return Ok(x);
        }
        let rows = self.axis_last(&x, axis);
        let span = self.span(&rows);
        let span = self.program.dense(span, n, &ones, &vec![0.0; n]);
        Ok(self.axis_back(&Value::slot(&rows.shape, x.kind, span), axis))
    }

    /// `TopK`: values and places.
    pub(super) fn top(&mut self, node: &NodeProto) -> Result<()> {
        let x = self.input(node, 0)?;
        let axis = axis_of(node, int(node, "axis", -1), x.shape.len())?;
        let k = match node.find_attribute("k").and_then(|a| a.i) {
            Some(k) => k,
            None => self.ints(node, 1)?.and_then(|k| k.first().copied()).unwrap_or(0),
        };
        let n = x.shape[axis];
        let k = usize::try_from(k).ok().filter(|k| *k <= n && *k > 0 && x.len() > 0);
        let k = k.ok_or_else(|| misfit(node, "more of the first than there are, or none"))?;
        if n.saturating_mul(k) > MOST_COMPARED {
            return Err(unsupported(node, "sorting so many numbers"));
        }
        let rows = self.axis_last(&x, axis);
        let span = self.span(&rows);
        let places = self.program.order(span, n, k, int(node, "largest", 1) != 0);
        let values = self.program.pick(span, places, n, 1);
        let mut shape = rows.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = k;
        }
        for (i, (kind, span)) in [(x.kind, values), (Kind::I64, places)].into_iter().enumerate() {
            let value = self.axis_back(&Value::slot(&shape, kind, span), axis);
            self.give(node, i, value);
        }
        Ok(())
    }

    /// Packs a function of each number that takes more than one step, unless the node is of another kind.
    pub(super) fn activated(&mut self, node: &NodeProto) -> Result<Option<Value>> {
        use Binary::{Add, Divide, Less, Maximum, Minimum, Multiply, Subtract};
        let alpha = |default: f32| float(node, "alpha", default);
        let x = match node.input.first() {
            Some(name) if !name.is_empty() => self.input(node, 0)?,
            _ => return Ok(None),
        };
        let known = [
            "LeakyRelu",
            "ThresholdedRelu",
            "Elu",
            "Celu",
            "Selu",
            "HardSigmoid",
            "HardSwish",
            "Softplus",
            "Softsign",
            "Gelu",
            "Mish",
            "PRelu",
            "Swish",
            "Shrink",
        ];
        if !known.contains(&node.operator()) || x.len() == 0 {
            return Ok(None);
        }
        let span = self.span(&x);
        let p = &mut self.program;
        // Below 0 (or another bound) one thing, else the other.
        let below = |p: &mut super::program::Program, bound: f32, low: Span, high: Span| {
            let less = p.zip_with(Less, span, bound);
            p.select(less, low, high)
        };
        let hard = |p: &mut super::program::Program, a: f32, b: f32| {
            let scaled = p.zip_with(Multiply, span, a);
            let moved = p.zip_with(Add, scaled, b);
            let low = p.zip_with(Maximum, moved, 0.0);
            p.zip_with(Minimum, low, 1.0)
        };
        let less_one = |p: &mut super::program::Program, by: f32| {
            let scaled = p.zip_with(Divide, span, by);
            let power = p.map(Unary::Exp, scaled);
            p.zip_with(Subtract, power, 1.0)
        };
        let out = match node.operator() {
            "LeakyRelu" => {
                let scaled = p.zip_with(Multiply, span, alpha(0.01));
                below(p, 0.0, scaled, span)
            }
            "ThresholdedRelu" => {
                let above = p.zip_with(Binary::Greater, span, alpha(1.0));
                let zero = p.constant(&[0.0]);
                p.select(above, span, zero)
            }
            "Elu" | "Celu" => {
                let by = if node.operator() == "Celu" { alpha(1.0) } else { 1.0 };
                let low = less_one(p, by);
                let low = p.zip_with(Multiply, low, alpha(1.0));
                below(p, 0.0, low, span)
            }
            "Selu" => {
                let low = less_one(p, 1.0);
                let low = p.zip_with(Multiply, low, alpha(1.673_263_2));
                let both = below(p, 0.0, low, span);
                p.zip_with(Multiply, both, float(node, "gamma", 1.050_701))
            }
            "HardSigmoid" => hard(p, alpha(0.2), float(node, "beta", 0.5)),
            "HardSwish" => {
                let gate = hard(p, 1.0 / 6.0, 0.5);
                p.zip(Multiply, span, gate)
            }
            "Swish" => {
                let scaled = p.zip_with(Multiply, span, alpha(1.0));
                let gate = p.map(Unary::Sigmoid, scaled);
                p.zip(Multiply, span, gate)
            }
            "Softplus" | "Mish" => {
                // max(x, 0) + log(1 + e^-|x|) does not overflow.
                let size = p.map(Unary::Absolute, span);
                let negative = p.map(Unary::Negate, size);
                let power = p.map(Unary::Exp, negative);
                let more = p.zip_with(Add, power, 1.0);
                let log = p.map(Unary::Log, more);
                let relu = p.map(Unary::Relu, span);
                let soft = p.zip(Add, relu, log);
                if node.operator() == "Softplus" {
                    soft
                } else {
                    let gate = p.map(Unary::Tanh, soft);
                    p.zip(Multiply, span, gate)
                }
            }
            "Softsign" => {
                let size = p.map(Unary::Absolute, span);
                let more = p.zip_with(Add, size, 1.0);
                p.zip(Divide, span, more)
            }
            "Gelu" => {
                let inner = if text(node, "approximate", "none") == "tanh" {
                    let square = p.zip(Multiply, span, span);
                    let scaled = p.zip_with(Multiply, square, 0.044_715);
                    let more = p.zip_with(Add, scaled, 1.0);
                    let cubic = p.zip(Multiply, span, more);
                    let scaled = p.zip_with(Multiply, cubic, (2.0 / std::f32::consts::PI).sqrt());
                    p.map(Unary::Tanh, scaled)
                } else {
                    let scaled = p.zip_with(Multiply, span, std::f32::consts::FRAC_1_SQRT_2);
                    p.map(Unary::Erf, scaled)
                };
                let more = p.zip_with(Add, inner, 1.0);
                let half = p.zip_with(Multiply, more, 0.5);
                p.zip(Multiply, span, half)
            }
            "Shrink" => {
                let (bias, lambd) = (float(node, "bias", 0.0), float(node, "lambd", 0.5));
                let (up, down) = (p.zip_with(Add, span, bias), p.zip_with(Subtract, span, bias));
                let zero = p.constant(&[0.0]);
                let above = p.zip_with(Binary::Greater, span, lambd);
                let rest = p.select(above, down, zero);
                below(p, -lambd, up, rest)
            }
            _ => {
                let slope = self.input(node, 1)?;
                let scaled = self.zip(node, Multiply, &x, &slope, x.kind)?;
                let scaled = self.span(&scaled);
                below(&mut self.program, 0.0, scaled, span)
            }
        };
        Ok(Some(Value::slot(&x.shape, x.kind, out)))
    }
}
