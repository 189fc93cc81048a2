//! Normalisations.

use super::attention::number;
use super::network::misfit;
use super::values::{Packer, Value, axis_of};
use crate::Result;
use crate::edge::{Binary, Kind, Reduction, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::{float, int};

impl Packer {
    /// Packs a normalisation, unless the node is of another kind.
    pub(super) fn normalising(&mut self, node: &NodeProto) -> Result<Option<Value>> {
        let epsilon = float(node, "epsilon", 1e-5);
        Ok(Some(match node.operator() {
            "BatchNormalization" if int(node, "training_mode", 0) != 0 => self.normalised_by_itself(node)?,
            "BatchNormalization" => {
                let x = self.input(node, 0)?;
                let list = |i: usize| -> Result<Vec<f32>> { Ok(self.known(node, i)?.unwrap_or_default()) };
                let (scale, bias, mean, variance) = (list(1)?, list(2)?, list(3)?, list(4)?);
                let n = scale.len();
                if [&bias, &mean, &variance].iter().any(|list| list.len() != n) {
                    return Err(misfit(node, "lists of a batch normalisation that differ in length"));
                }
                let scale: Vec<f32> = scale.iter().zip(&variance).map(|(s, v)| s / (v + epsilon).sqrt()).collect();
                let bias: Vec<f32> = bias.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
                self.by_channel(node, &x, &scale, &bias)?
            }
            "LayerNormalization" => self.layer_normalised(node)?,
            "RMSNormalization" => {
                let x = self.input(node, 0)?;
                let axis = axis_of(node, int(node, "axis", -1), x.shape.len())?;
                let scaled = self.root_mean_square(node, &x, axis, epsilon)?;
                self.zip(node, Binary::Multiply, &scaled, &self.input(node, 1)?, Kind::F32)?
            }
            "InstanceNormalization" => {
                let x = self.input(node, 0)?;
                let (scale, bias) =
                    (self.known(node, 1)?.unwrap_or_default(), self.known(node, 2)?.unwrap_or_default());
                let n: usize = x.shape.iter().skip(2).product();
                if n == 0 || x.shape.len() < 3 {
                    return Err(misfit(node, "a normalisation over nothing"));
                }
                let normal = self.standardised(&x, n, epsilon);
                self.by_channel(node, &normal, &scale, &bias)?
            }
            "GroupNormalization" => {
                let x = self.input(node, 0)?;
                let (mut scale, mut bias) =
                    (self.known(node, 1)?.unwrap_or_default(), self.known(node, 2)?.unwrap_or_default());
                let groups = usize::try_from(int(node, "num_groups", 0)).unwrap_or(0);
                let channels = x.shape.get(1).copied().unwrap_or(0);
                if groups == 0 || channels % groups != 0 || x.len() == 0 {
                    return Err(misfit(node, "groups that do not divide the channels"));
                }
                let each = channels / groups;
                let normal = self.standardised(&x, x.len() / x.shape[0] / groups, epsilon);
                // Before opset 21 the numbers stand for groups.
                for list in [&mut scale, &mut bias] {
                    if list.len() == groups {
                        *list = list.iter().flat_map(|x| std::iter::repeat_n(*x, each)).collect();
                    }
                }
                self.by_channel(node, &normal, &scale, &bias)?
            }
            "MeanVarianceNormalization" => {
                let x = self.input(node, 0)?;
                let rank = x.shape.len();
                let axes = self.axes(node, "axes", usize::MAX, rank)?.unwrap_or_else(|| vec![0, 2, 3]);
                if x.len() == 0 || axes.iter().any(|axis| *axis >= rank) {
                    return Err(misfit(node, "a normalisation over nothing"));
                }
                let order: Vec<usize> =
                    (0..rank).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
                let moved = self.permuted(&x, &order);
                let normal = self.standardised(&moved, axes.iter().map(|axis| x.shape[*axis]).product(), 1e-9);
                let back: Vec<usize> =
                    (0..rank).map(|axis| order.iter().position(|from| *from == axis).unwrap_or(axis)).collect();
                self.permuted(&normal, &back)
            }
            "LRN" => {
                let x = self.input(node, 0)?;
                let size = usize::try_from(int(node, "size", 0)).unwrap_or(0);
                let n = x.shape.get(1).copied().unwrap_or(0);
                if size == 0 || n == 0 || x.len() == 0 {
                    return Err(misfit(node, "a normalisation over nothing"));
                }
                self.check(node, &[n, n])?;
                let share = float(node, "alpha", 1e-4) / size as f32;
                let (before, behind) = ((size - 1) / 2, size / 2);
                let near = |j: usize, i: usize| i + before >= j && i <= j + behind;
                let weights: Vec<f32> =
                    (0..n).flat_map(|j| (0..n).map(move |i| if near(j, i) { share } else { 0.0 })).collect();
                let squares = self.zip(node, Binary::Multiply, &x, &x, Kind::F32)?;
                let rows = self.axis_last(&squares, 1);
                let span = self.span(&rows);
                let span = self.program.dense(span, n, &weights, &vec![float(node, "bias", 1.0); n]);
                let sums = self.axis_back(&Value::slot(&rows.shape, Kind::F32, span), 1);
                let by = Value::known(&[], Kind::F32, vec![-float(node, "beta", 0.75)]);
                let factors = self.zip(node, Binary::Power, &sums, &by, Kind::F32)?;
                self.zip(node, Binary::Multiply, &x, &factors, Kind::F32)?
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

    /// Each `n` numbers with mean 0 and variance 1.
    pub(super) fn standardised(&mut self, x: &Value, n: usize, epsilon: f32) -> Value {
        let span = self.span(x);
        Value::slot(&x.shape, Kind::F32, self.program.normalise(span, n, epsilon))
    }

    /// `x` over the root of the mean square of its axes from `axis` on.
    pub(super) fn root_mean_square(&mut self, node: &NodeProto, x: &Value, axis: usize, epsilon: f32) -> Result<Value> {
        let len: usize = x.shape[axis..].iter().product();
        if x.len() == 0 {
            return Err(misfit(node, "a normalisation of nothing"));
        }
        let span = self.span(x);
        let squares = self.program.reduce(Reduction::SumSquare, span, len, 1);
        let means = self.program.zip_with(Binary::Divide, squares, len as f32);
        let means = self.program.zip_with(Binary::Add, means, epsilon);
        let roots = self.program.map(Unary::Sqrt, means);
        let shape: Vec<usize> = (0..x.shape.len()).map(|i| if i < axis { x.shape[i] } else { 1 }).collect();
        self.zip(node, Binary::Divide, x, &Value::slot(&shape, Kind::F32, roots), Kind::F32)
    }

    /// `x` (n, channels, axes...) times a number for each channel, plus another.
    fn by_channel(&mut self, node: &NodeProto, x: &Value, scale: &[f32], bias: &[f32]) -> Result<Value> {
        let n = x.shape.iter().skip(2).product();
        let ([images, channels, ..], true) = (x.shape.as_slice(), scale.len() == bias.len()) else {
            return Err(misfit(node, "numbers that do not fit the channels"));
        };
        if *channels != scale.len() {
            return Err(misfit(node, "numbers that do not fit the channels"));
        }
        let (scale, bias) = (scale.repeat(*images), bias.repeat(*images));
        let still = [1, 1, 1, 1, 0, 1];
        let span = self.span(x);
        let span = self.program.convolve(span, scale.len(), &[still, still, [n, 1, 1, 1, 0, n]], &scale, &bias);
        Ok(Value::slot(&x.shape, Kind::F32, span))
    }

    fn layer_normalised(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let axis = axis_of(node, int(node, "axis", -1), x.shape.len())?;
        let len: usize = x.shape[axis..].iter().product();
        if x.len() == 0 {
            return Err(misfit(node, "a normalisation of nothing"));
        }
        let epsilon = float(node, "epsilon", 1e-5);
        if node.output.iter().skip(1).any(|name| !name.is_empty()) {
            let shape: Vec<usize> = (0..x.shape.len()).map(|i| if i < axis { x.shape[i] } else { 1 }).collect();
            let span = self.span(&x);
            let mean = self.program.reduce(Reduction::Mean, span, len, 1);
            let mean = Value::slot(&shape, Kind::F32, mean);
            let centred = self.zip(node, Binary::Subtract, &x, &mean, Kind::F32)?;
            let span = self.span(&centred);
            let squares = self.program.reduce(Reduction::SumSquare, span, len, 1);
            let variance = self.program.zip_with(Binary::Divide, squares, len as f32);
            let more = self.program.zip_with(Binary::Add, variance, epsilon);
            let root = self.program.map(Unary::Sqrt, more);
            let factor = self.program.map(Unary::Reciprocal, root);
            self.give(node, 1, mean);
            self.give(node, 2, Value::slot(&shape, Kind::F32, factor));
        }
        let mut value = self.standardised(&x, len, epsilon);
        for (i, f) in [(1, Binary::Multiply), (2, Binary::Add)] {
            if let Some(by) = self.opt(node, i)? {
                value = self.zip(node, f, &value, &by, Kind::F32)?;
            }
        }
        Ok(value)
    }

    /// A batch normalisation that is still trained: by the mean and the variance of each channel, which the running ones move
    /// towards.
    fn normalised_by_itself(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let (channels, rank) = (x.shape.get(1).copied().unwrap_or(0), x.shape.len());
        if x.len() == 0 || rank < 2 {
            return Err(misfit(node, "a normalisation over nothing"));
        }
        let order: Vec<usize> = [1, 0].into_iter().chain(2..rank).collect();
        let moved = self.permuted(&x, &order);
        let n = x.len() / channels;
        let rows = Value { shape: vec![channels, n], ..moved.clone() };
        let mean = |packer: &mut Self, value: &Value| {
            let span = packer.span(value);
            Value::slot(&[channels, 1], Kind::F32, packer.program.reduce(Reduction::Mean, span, n, 1))
        };
        let means = mean(self, &rows);
        let apart = self.zip(node, Binary::Subtract, &rows, &means, Kind::F32)?;
        let squares = self.zip(node, Binary::Multiply, &apart, &apart, Kind::F32)?;
        let variances = mean(self, &squares);
        let share = float(node, "momentum", 0.9);
        for (i, new) in [&means, &variances].into_iter().enumerate() {
            let own = Value { shape: vec![channels], ..new.clone() };
            let before = self.input(node, 3 + i)?;
            let kept = self.zip(node, Binary::Multiply, &before, &number(share), Kind::F32)?;
            let more = self.zip(node, Binary::Multiply, &own, &number(1.0 - share), Kind::F32)?;
            let after = self.zip(node, Binary::Add, &kept, &more, Kind::F32)?;
            self.give(node, 1 + i, after);
        }
        let floor = self.zip(node, Binary::Add, &variances, &number(float(node, "epsilon", 1e-5)), Kind::F32)?;
        let roots = self.map(Unary::Sqrt, &floor, Kind::F32);
        let normal = self.zip(node, Binary::Divide, &apart, &roots, Kind::F32)?;
        let normal = Value { shape: moved.shape, ..normal };
        let normal = self.permuted(&normal, &order);
        let by = |i: usize| -> Result<Value> {
            let shape = [channels].into_iter().chain((2..rank).map(|_| 1)).collect();
            Ok(Value { shape, ..self.input(node, i)? })
        };
        let (scale, bias) = (by(1)?, by(2)?);
        let scaled = self.zip(node, Binary::Multiply, &normal, &scale, Kind::F32)?;
        self.zip(node, Binary::Add, &scaled, &bias, x.kind)
    }
}
