//! The operators of ONNX itself.

use super::values::{Data, Packer, Value, common_shape, strided, unsupported, whole};
use crate::edge::{Binary, Kind, Reduction, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::{float, int};
use crate::{Error, ErrorKind, Result};

/// Axis `axis` of `rank`, which may count from the end.
fn axis_of(node: &NodeProto, axis: i64, rank: usize) -> Result<usize> {
    let at = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(at).ok().filter(|at| *at < rank).ok_or_else(|| {
        Error::new(ErrorKind::Malformed, "an axis that the value does not have")
            .node(node.label())
            .expected(format!("less than {rank}"))
            .actual(axis)
    })
}

fn unary_of(operator: &str) -> Option<Unary> {
    Some(match operator {
        "Neg" => Unary::Negate,
        "Abs" => Unary::Absolute,
        "Relu" => Unary::Relu,
        "Sigmoid" => Unary::Sigmoid,
        "Tanh" => Unary::Tanh,
        "Exp" => Unary::Exp,
        "Log" => Unary::Log,
        "Sqrt" => Unary::Sqrt,
        "Reciprocal" => Unary::Reciprocal,
        "Not" => Unary::Not,
        "IsNaN" => Unary::IsNan,
        "Floor" => Unary::Floor,
        "Ceil" => Unary::Ceil,
        "Round" => Unary::Round,
        "Erf" => Unary::Erf,
        "Sign" => Unary::Sign,
        _ => return None,
    })
}

fn binary_of(operator: &str) -> Option<Binary> {
    Some(match operator {
        "Add" | "Sum" => Binary::Add,
        "Sub" => Binary::Subtract,
        "Mul" => Binary::Multiply,
        "Div" => Binary::Divide,
        "Pow" => Binary::Power,
        "Min" => Binary::Minimum,
        "Max" => Binary::Maximum,
        "Equal" => Binary::Equal,
        "Less" => Binary::Less,
        "LessOrEqual" => Binary::LessOrEqual,
        "Greater" => Binary::Greater,
        "GreaterOrEqual" => Binary::GreaterOrEqual,
        "And" => Binary::And,
        "Or" => Binary::Or,
        "Xor" => Binary::Xor,
        _ => return None,
    })
}

fn reduction_of(operator: &str) -> Option<Reduction> {
    Some(match operator {
        "ReduceSum" => Reduction::Sum,
        "ReduceMean" => Reduction::Mean,
        "ReduceMax" => Reduction::Maximum,
        "ReduceMin" => Reduction::Minimum,
        "ReduceProd" => Reduction::Product,
        "ReduceL1" => Reduction::L1,
        "ReduceL2" => Reduction::L2,
        "ReduceSumSquare" => Reduction::SumSquare,
        "ReduceLogSumExp" => Reduction::LogSumExp,
        "ArgMax" => Reduction::ArgMax,
        "ArgMin" => Reduction::ArgMin,
        _ => return None,
    })
}

impl Packer {
    /// Packs a node of the standard domain.
    pub(super) fn standard(&mut self, node: &NodeProto) -> Result<()> {
        let operator = node.operator();
        let value = if let Some(f) = unary_of(operator) {
            let x = self.input(node, 0)?;
            let kind = if matches!(f, Unary::Not | Unary::IsNan) { Kind::Bool } else { x.kind };
            self.map(f, &x, kind)
        } else if let Some(f) = binary_of(operator) {
            self.folded(node, f)?
        } else if let Some(f) = reduction_of(operator) {
            self.reduced(node, f)?
        } else {
            match operator {
                "Identity" => self.input(node, 0)?,
                "Dropout" => self.input(node, 0)?,
                "Constant" => self.constant(node)?,
                "Cast" => self.cast(node)?,
                "Shape" => {
                    let shape = self.input(node, 0)?.shape;
                    let (from, to) = (int(node, "start", 0), int(node, "end", shape.len() as i64));
                    let end = |at: i64| {
                        (if at < 0 { at + shape.len() as i64 } else { at }).clamp(0, shape.len() as i64) as usize
                    };
                    let items: Vec<f32> =
                        shape.get(end(from)..end(to)).unwrap_or_default().iter().map(|n| *n as f32).collect();
                    Value::known(&[items.len()], Kind::I64, items)
                }
                "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => self.reshaped(node)?,
                "Concat" => self.joined(node)?,
                "Slice" => self.sliced(node)?,
                "Gather" => self.gathered(node)?,
                "Transpose" => self.transposed(node)?,
                "ConstantOfShape" => self.filled(node)?,
                "Expand" => {
                    let x = self.input(node, 0)?;
                    let wanted = self.sizes(node, 1)?;
                    let shape = common_shape(node, &x.shape, &wanted)?;
                    self.check(node, &shape)?;
                    self.spread(&x, &shape)
                }
                "Where" => self.selected(node)?,
                "Clip" => self.clipped(node)?,
                "MatMul" | "Gemm" => self.product(node)?,
                "Softmax" | "LogSoftmax" => self.softmax(node)?,
                "LpNormalization" => {
                    let x = self.input(node, 0)?;
                    let f = if int(node, "p", 2) == 1 { Reduction::L1 } else { Reduction::L2 };
                    if axis_of(node, int(node, "axis", -1), x.shape.len())? + 1 != x.shape.len() {
                        return Err(unsupported(node, "a normalisation along another axis than the last"));
                    }
                    self.normalised(&x, f)
                }
                "LeakyRelu" => {
                    let x = self.input(node, 0)?;
                    let span = self.span(&x);
                    let scaled = self.program.zip_with(Binary::Multiply, span, float(node, "alpha", 0.01));
                    let negative = self.program.zip_with(Binary::Less, span, 0.0);
                    Value::slot(&x.shape, x.kind, self.program.select(negative, scaled, span))
                }
                _ => return Err(unsupported(node, &format!("the operator `{operator}`"))),
            }
        };
        self.give(node, 0, value);
        Ok(())
    }

    /// Two inputs or more, one after the other.
    fn folded(&mut self, node: &NodeProto, f: Binary) -> Result<Value> {
        let mut value = self.input(node, 0)?;
        for i in 1..node.input.len() {
            let other = self.input(node, i)?;
            if value.kind == Kind::Text && f != Binary::Equal {
                return Err(unsupported(node, "arithmetic on texts"));
            }
            let kind = if (f as u8) >= Binary::Equal as u8 { Kind::Bool } else { value.kind };
            let whole = f == Binary::Divide && value.kind == Kind::I64;
            value = self.zip(node, f, &value, &other, kind)?;
            if whole {
                value = self.map(Unary::Truncate, &value, Kind::I64);
            }
        }
        Ok(value)
    }

    fn constant(&mut self, node: &NodeProto) -> Result<Value> {
        if let Some(tensor) = node.find_attribute("value").and_then(|a| a.t.as_deref()) {
            return self.tensor(tensor);
        }
        let found = |name: &str| node.find_attribute(name);
        if let Some(x) = found("value_float").and_then(|a| a.f) {
            return Ok(Value::known(&[], Kind::F32, vec![x]));
        }
        if let Some(x) = found("value_int").and_then(|a| a.i) {
            return Ok(Value::known(&[], Kind::I64, vec![whole(x)?]));
        }
        if let Some(a) = found("value_floats") {
            return Ok(Value::known(&[a.floats.len()], Kind::F32, a.floats.clone()));
        }
        if let Some(a) = found("value_ints") {
            return Ok(Value::known(
                &[a.ints.len()],
                Kind::I64,
                a.ints.iter().map(|x| whole(*x)).collect::<Result<_>>()?,
            ));
        }
        Err(unsupported(node, "this constant"))
    }

    fn cast(&mut self, node: &NodeProto) -> Result<Value> {
        use crate::onnx::data_type as t;
        let x = self.input(node, 0)?;
        let kind = match int(node, "to", 0) as i32 {
            t::FLOAT | t::DOUBLE | t::FLOAT16 => Kind::F32,
            t::BOOL => Kind::Bool,
            t::INT64 | t::INT32 => Kind::I64,
            t::STRING if x.kind == Kind::Text => Kind::Text,
            _ => return Err(unsupported(node, "a cast to this type")),
        };
        match (x.kind, kind) {
            (Kind::Text, Kind::Text) => Ok(x),
            (Kind::Text, _) => Err(unsupported(node, "a cast of texts to numbers")),
            (Kind::F32, Kind::I64) => Ok(self.map(Unary::Truncate, &x, kind)),
            (Kind::F32 | Kind::I64, Kind::Bool) => Ok(self.map(Unary::Truth, &x, kind)),
            _ => Ok(Value { kind, ..x }),
        }
    }

    /// Input `i` as sizes.
    fn sizes(&self, node: &NodeProto, i: usize) -> Result<Vec<usize>> {
        let sizes = self.ints(node, i)?.unwrap_or_default();
        sizes.into_iter().map(|n| usize::try_from(n).map_err(|_| unsupported(node, "a negative size"))).collect()
    }

    /// The attribute `name`, or input `i`, as axes.
    fn axes(&self, node: &NodeProto, name: &str, i: usize, rank: usize) -> Result<Option<Vec<usize>>> {
        let axes = match node.find_attribute(name) {
            Some(a) => Some(a.ints.clone()),
            None => self.ints(node, i)?,
        };
        axes.map(|axes| axes.into_iter().map(|axis| axis_of(node, axis, rank)).collect()).transpose()
    }

    fn reshaped(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let shape = match node.operator() {
            "Reshape" => {
                let wanted = match node.find_attribute("shape") {
                    Some(a) => a.ints.clone(),
                    None => self.ints(node, 1)?.unwrap_or_default(),
                };
                let size = |(i, n): (usize, &i64)| match *n {
                    0 if int(node, "allowzero", 0) == 0 => x.shape.get(i).copied(),
                    -1 => Some(1),
                    n => usize::try_from(n).ok(),
                };
                let mut shape: Vec<usize> = wanted
                    .iter()
                    .enumerate()
                    .map(size)
                    .collect::<Option<_>>()
                    .ok_or_else(|| unsupported(node, "this shape"))?;
                if let Some(open) = wanted.iter().position(|n| *n == -1) {
                    shape[open] = x.len() / self.check(node, &shape)?.max(1);
                }
                shape
            }
            "Flatten" => {
                let axis = int(node, "axis", 1);
                let at = if axis == x.shape.len() as i64 { x.shape.len() } else { axis_of(node, axis, x.shape.len())? };
                vec![x.shape[..at].iter().product(), x.shape[at..].iter().product()]
            }
            "Squeeze" => {
                let axes = self.axes(node, "axes", 1, x.shape.len())?;
                let gone = |axis: usize| axes.as_ref().map_or(x.shape[axis] == 1, |axes| axes.contains(&axis));
                (0..x.shape.len()).filter(|axis| !gone(*axis)).map(|axis| x.shape[axis]).collect()
            }
            _ => {
                let count =
                    node.find_attribute("axes").map_or(self.ints(node, 1)?.unwrap_or_default().len(), |a| a.ints.len());
                let rank = x.shape.len() + count;
                let axes = self.axes(node, "axes", 1, rank)?.unwrap_or_default();
                let mut rest = x.shape.iter();
                (0..rank).map(|axis| if axes.contains(&axis) { 1 } else { rest.next().copied().unwrap_or(1) }).collect()
            }
        };
        if self.check(node, &shape)? != x.len() {
            return Err(Error::new(ErrorKind::Malformed, "a shape of another number of elements").node(node.label()));
        }
        Ok(Value { shape, ..x })
    }

    /// Several values along an axis.
    fn joined(&mut self, node: &NodeProto) -> Result<Value> {
        let parts = (0..node.input.len()).map(|i| self.input(node, i)).collect::<Result<Vec<_>>>()?;
        self.concat(node, &parts, int(node, "axis", -1))
    }

    /// `parts` along `axis`.
    pub(super) fn concat(&mut self, node: &NodeProto, parts: &[Value], axis: i64) -> Result<Value> {
        let Some(first) = parts.first() else { return Err(unsupported(node, "a join of nothing")) };
        let axis = axis_of(node, axis, first.shape.len())?;
        let mut shape = first.shape.clone();
        shape[axis] = 0;
        for part in parts {
            let mut like = part.shape.clone();
            let same = like.len() == shape.len() && {
                shape[axis] += like[axis];
                like[axis] = shape[axis];
                like == shape
            };
            if !same {
                return Err(
                    Error::new(ErrorKind::WrongShape, "parts of a join that do not fit each other").node(node.label())
                );
            }
        }
        self.check(node, &shape)?;
        let inner: usize = shape[axis + 1..].iter().product();
        let outer: usize = shape[..axis].iter().product();
        // Where each element of the whole lies: in which part, and where in it.
        let mut places = Vec::with_capacity(shape.iter().product());
        for o in 0..outer {
            for (p, part) in parts.iter().enumerate() {
                let run = part.shape[axis] * inner;
                places.extend((0..run).map(|i| (p, o * run + i)));
            }
        }
        let known: Option<Vec<&Vec<f32>>> =
            parts.iter().map(|p| if let Data::Known(items) = &p.data { Some(items) } else { None }).collect();
        if let Some(known) = known {
            return Ok(Value::known(&shape, first.kind, places.iter().map(|(p, i)| known[*p][*i]).collect()));
        }
        let spans: Vec<_> = parts.iter().map(|part| self.span(part)).collect();
        let start = spans.iter().map(|s| s.at).min().unwrap_or(0);
        let end = spans.iter().map(|s| s.at + s.len).max().unwrap_or(0);
        let places: Vec<usize> = places.into_iter().map(|(p, i)| spans[p].at + i - start).collect();
        let span = self.program.gather(super::program::Span { at: start, len: end - start }, &places);
        Ok(Value::slot(&shape, first.kind, span))
    }

    fn sliced(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let list = |name: &str, i: usize| -> Result<Option<Vec<i64>>> {
            match node.find_attribute(name) {
                Some(a) => Ok(Some(a.ints.clone())),
                None => self.ints(node, i),
            }
        };
        let (starts, ends) = (list("starts", 1)?.unwrap_or_default(), list("ends", 2)?.unwrap_or_default());
        let axes = list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = self.ints(node, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        let mut kept: Vec<Vec<usize>> = x.shape.iter().map(|n| (0..*n).collect()).collect();
        for (i, axis) in axes.iter().enumerate() {
            let axis = axis_of(node, *axis, x.shape.len())?;
            let n = x.shape[axis] as i64;
            let (Some(start), Some(end), Some(step)) = (starts.get(i), ends.get(i), steps.get(i)) else {
                return Err(unsupported(node, "a slice whose lists differ in length"));
            };
            let at = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
            let (mut from, to) = if *step > 0 {
                (at(*start).clamp(0, n), at(*end).clamp(0, n))
            } else {
                (at(*start).clamp(-1, n - 1), if *end < -n { -1 } else { at(*end).clamp(-1, n - 1) })
            };
            if *step == 0 {
                return Err(unsupported(node, "a slice with steps of 0"));
            }
            kept[axis].clear();
            while (*step > 0 && from < to) || (*step < 0 && from > to) {
                kept[axis].push(from as usize);
                from += step;
            }
        }
        Ok(self.picked(&x, &kept))
    }

    /// The elements of `x` at the places `kept` along each axis.
    fn picked(&mut self, x: &Value, kept: &[Vec<usize>]) -> Value {
        let mut places = vec![0];
        for (kept, dim) in kept.iter().zip(&x.shape) {
            places = places.iter().flat_map(|place| kept.iter().map(move |i| place * dim + i)).collect();
        }
        let shape: Vec<usize> = kept.iter().map(Vec::len).collect();
        self.arranged(x, &shape, &places)
    }

    fn gathered(&mut self, node: &NodeProto) -> Result<Value> {
        let (x, at) = (self.input(node, 0)?, self.input(node, 1)?);
        let axis = axis_of(node, int(node, "axis", 0), x.shape.len())?;
        if let (Data::Known(items), Data::Slot(places), [_]) = (&x.data, &at.data, x.shape.as_slice()) {
            return Ok(self.looked_up(items, x.kind, *places, &at.shape));
        }
        let places = self.ints(node, 1)?.unwrap_or_default();
        let n = x.shape[axis] as i64;
        let mut kept: Vec<Vec<usize>> = x.shape.iter().map(|n| (0..*n).collect()).collect();
        kept[axis] = places
            .into_iter()
            .map(|i| usize::try_from(if i < 0 { i + n } else { i }).ok().filter(|i| (*i as i64) < n))
            .collect::<Option<_>>()
            .ok_or_else(|| unsupported(node, "an index past the end"))?;
        let mut value = self.picked(&x, &kept);
        value.shape.splice(axis..=axis, at.shape);
        Ok(value)
    }

    fn transposed(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let rank = x.shape.len();
        let order = match node.find_attribute("perm") {
            Some(a) => a.ints.iter().map(|axis| axis_of(node, *axis, rank)).collect::<Result<Vec<_>>>()?,
            None => (0..rank).rev().collect(),
        };
        if order.len() != rank {
            return Err(unsupported(node, "a transposition of some of the axes"));
        }
        let step = |axis: usize| -> usize { x.shape[axis + 1..].iter().product() };
        let shape: Vec<usize> = order.iter().map(|axis| x.shape[*axis]).collect();
        let steps: Vec<usize> = order.iter().map(|axis| step(*axis)).collect();
        Ok(self.arranged(&x, &shape, &strided(&shape, &steps)))
    }

    fn filled(&mut self, node: &NodeProto) -> Result<Value> {
        let shape = self.sizes(node, 0)?;
        let count = self.check(node, &shape)?;
        let item = match node.find_attribute("value").and_then(|a| a.t.as_deref()) {
            Some(tensor) => self.tensor(tensor)?,
            None => Value::known(&[1], Kind::F32, vec![0.0]),
        };
        let Data::Known(items) = &item.data else { return Err(unsupported(node, "this value")) };
        Ok(Value::known(&shape, item.kind, vec![items.first().copied().unwrap_or(0.0); count]))
    }

    fn selected(&mut self, node: &NodeProto) -> Result<Value> {
        let [condition, a, b] = [self.input(node, 0)?, self.input(node, 1)?, self.input(node, 2)?];
        let shape = common_shape(node, &a.shape, &b.shape)?;
        let shape = common_shape(node, &shape, &condition.shape)?;
        self.check(node, &shape)?;
        let kind = a.kind;
        let [condition, a, b] = [condition, a, b].map(|value| {
            let value = self.spread(&value, &shape);
            self.span(&value)
        });
        Ok(Value::slot(&shape, kind, self.program.select(condition, a, b)))
    }

    fn clipped(&mut self, node: &NodeProto) -> Result<Value> {
        let mut x = self.input(node, 0)?;
        let bounds = [("min", 1, Binary::Maximum), ("max", 2, Binary::Minimum)];
        for (name, i, f) in bounds {
            let bound = match node.find_attribute(name).and_then(|a| a.f) {
                Some(bound) => Some(Value::known(&[], x.kind, vec![bound])),
                None => self.opt(node, i)?,
            };
            if let Some(bound) = bound {
                x = self.zip(node, f, &x, &bound, x.kind)?;
            }
        }
        Ok(x)
    }

    fn product(&mut self, node: &NodeProto) -> Result<Value> {
        let (x, weights) = (self.input(node, 0)?, self.input(node, 1)?);
        let gemm = node.operator() == "Gemm";
        let items = self.known(node, 1)?.unwrap_or_default();
        let &[rows, columns] = weights.shape.as_slice() else {
            return Err(unsupported(node, "a product with anything but a matrix of weights"));
        };
        if gemm && int(node, "transA", 0) != 0 {
            return Err(unsupported(node, "a product with a transposed input"));
        }
        let turned = gemm && int(node, "transB", 0) != 0;
        let (k, n) = if turned { (columns, rows) } else { (rows, columns) };
        if x.rows().1 != k || k == 0 || n == 0 {
            return Err(Error::new(ErrorKind::WrongShape, "a product with rows of another length").node(node.label()));
        }
        let alpha = if gemm { float(node, "alpha", 1.0) } else { 1.0 };
        let at = |j: usize, i: usize| alpha * if turned { items[j * k + i] } else { items[i * n + j] };
        let by_column: Vec<f32> = (0..n).flat_map(|j| (0..k).map(move |i| (j, i))).map(|(j, i)| at(j, i)).collect();
        let bias = if gemm { self.opt(node, 2)? } else { None };
        let mut shape = x.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = n;
        }
        let span = self.span(&x);
        let span = self.program.dense(span, k, &by_column, &vec![0.0; n]);
        let value = Value::slot(&shape, Kind::F32, span);
        let Some(bias) = bias else { return Ok(value) };
        let scale = Value::known(&[], Kind::F32, vec![float(node, "beta", 1.0)]);
        let bias = self.zip(node, Binary::Multiply, &bias, &scale, Kind::F32)?;
        self.zip(node, Binary::Add, &value, &bias, Kind::F32)
    }

    fn softmax(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let rank = x.shape.len();
        let (axis, len) = if self.opset < 13 {
            let axis = axis_of(node, int(node, "axis", 1), rank)?;
            (axis, x.shape[axis..].iter().product())
        } else {
            let axis = axis_of(node, int(node, "axis", -1), rank)?;
            (axis, x.shape[axis])
        };
        if self.opset >= 13 && axis + 1 != rank {
            return Err(unsupported(node, "a softmax along another axis than the last"));
        }
        let span = self.span(&x);
        let span = self.program.softmax(span, len);
        let value = Value::slot(&x.shape, Kind::F32, span);
        Ok(if node.operator() == "Softmax" { value } else { self.map(Unary::Log, &value, Kind::F32) })
    }

    fn reduced(&mut self, node: &NodeProto, f: Reduction) -> Result<Value> {
        let x = self.input(node, 0)?;
        let rank = x.shape.len();
        let picks = matches!(f, Reduction::ArgMax | Reduction::ArgMin);
        let axes = if picks {
            if int(node, "select_last_index", 0) != 0 {
                return Err(unsupported(node, "the last of the greatest"));
            }
            vec![axis_of(node, int(node, "axis", 0), rank)?]
        } else {
            let mut axes = self.axes(node, "axes", 1, rank)?.unwrap_or_default();
            if axes.is_empty() {
                if int(node, "noop_with_empty_axes", 0) != 0 {
                    return Ok(x);
                }
                axes = (0..rank).collect();
            }
            axes.sort_unstable();
            axes
        };
        // Axes of length 1 between others change nothing.
        let long: Vec<usize> = axes.iter().copied().filter(|axis| x.shape[*axis] != 1).collect();
        if x.len() == 0 || long.windows(2).any(|pair| x.shape[pair[0] + 1..pair[1]].iter().any(|n| *n != 1)) {
            return Err(unsupported(node, "a reduction along axes that do not stand side by side"));
        }
        let len: usize = long.iter().map(|axis| x.shape[*axis]).product();
        let inner: usize = long.last().map_or(1, |last| x.shape[last + 1..].iter().product());
        let keep = int(node, "keepdims", 1) != 0;
        let shape: Vec<usize> = (0..rank)
            .filter(|axis| keep || !axes.contains(axis))
            .map(|axis| if axes.contains(&axis) { 1 } else { x.shape[axis] })
            .collect();
        let span = self.span(&x);
        let span = self.program.reduce(f, span, len, inner);
        Ok(Value::slot(&shape, if picks { Kind::I64 } else { x.kind }, span))
    }

    /// Rows over what `f` makes of them; a row of which that is 0 stays.
    pub(super) fn normalised(&mut self, x: &Value, f: Reduction) -> Value {
        let (rows, n) = x.rows();
        let span = self.span(x);
        let norm = self.program.reduce(f, span, n.max(1), 1);
        let zero = self.program.zip_with(Binary::Equal, norm, 0.0);
        let one = self.program.constant(&vec![1.0; norm.len]);
        let norm = self.program.select(zero, one, norm);
        let places: Vec<usize> = (0..rows).flat_map(|row| std::iter::repeat_n(row, n)).collect();
        let norm = self.program.gather(norm, &places);
        Value::slot(&x.shape, Kind::F32, self.program.zip(Binary::Divide, span, norm))
    }
}
