//! Products of matrices, softmax and sorting.

use super::program::Span;
use super::values::{Data, Packer, Value, axis_of, common_shape, unsupported};
use crate::edge::{Binary, Kind, MOST_COMPARED, Reduction};
use crate::onnx::NodeProto;
use crate::onnx::node::{float, int};
use crate::{Error, ErrorKind, Result};

#[cold]
pub(super) fn misfit(node: &NodeProto, what: &str) -> Error {
    Error::new(ErrorKind::WrongShape, what).node(node.label())
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
            "CumSum" => self.running(node)?,
            "CumProd" => self.running_product(node)?,
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
            _ => self.log_softmax(span, len),
        };
        let value = Value::slot(&rows.shape, Kind::F32, span);
        Ok(if old { value } else { self.axis_back(&value, axis) })
    }

    /// The logarithms of the softmax of each `len` numbers.
    pub(super) fn log_softmax(&mut self, span: Span, len: usize) -> Span {
        let outer = span.len / len;
        let sums = self.program.reduce(Reduction::LogSumExp, span, len, 1);
        let places: Vec<usize> = (0..outer).flat_map(|row| std::iter::repeat_n(row, len)).collect();
        let sums = if outer > 1 { self.program.gather(sums, &places) } else { sums };
        self.program.zip(Binary::Subtract, span, sums)
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

    /// `CumProd`: each number times the one 1, 2, 4, ... places before it.
    fn running_product(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let axis = self.ints(node, 1)?.and_then(|axes| axes.first().copied()).unwrap_or(0);
        let axis = axis_of(node, axis, x.shape.len())?;
        let n = x.shape[axis];
        let (exclusive, reverse) = (int(node, "exclusive", 0) != 0, int(node, "reverse", 0) != 0);
        let moved = |packer: &mut Self, x: &Value, by: usize| {
            let from = |i: usize| if reverse { Some(i + by).filter(|i| *i < n) } else { i.checked_sub(by) };
            let rows = x.len() / n.max(1);
            let places: Vec<Option<usize>> =
                (0..rows).flat_map(|row| (0..n).map(move |i| from(i).map(|i| row * n + i))).collect();
            packer.windows(x, &x.shape, &places, 1.0)
        };
        let mut rows = self.axis_last(&x, axis);
        if exclusive {
            rows = moved(self, &rows, 1);
        }
        let mut by = 1;
        while by < n {
            let before = moved(self, &rows, by);
            rows = self.zip(node, Binary::Multiply, &rows, &before, x.kind)?;
            by *= 2;
        }
        Ok(self.axis_back(&rows, axis))
    }
}
