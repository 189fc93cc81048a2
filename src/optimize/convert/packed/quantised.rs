//! Operators on 8-bit numbers, which stand as whole floats here, and the fused ones of ONNX Runtime.

use super::learned::text;
use super::standard::kind_of_code;
use super::values::{Data, Packer, Value, axis_of, unsupported};
use crate::edge::{Binary, Kind, Reduction, Unary};
use crate::onnx::node::{float, int};
use crate::onnx::{NodeProto, builder};
use crate::{Error, ErrorKind, Result};

impl Packer {
    /// Packs a node that quantises or works on what is quantised, unless it is of another kind.
    pub(super) fn quantised(&mut self, node: &NodeProto) -> Result<Option<()>> {
        let value = match node.operator() {
            "QuantizeLinear" => {
                let (x, scale) = (self.input(node, 0)?, self.input(node, 1)?);
                let scale = self.along(node, &x, scale)?;
                let zero = self.opt(node, 2)?.map(|zero| self.along(node, &x, zero)).transpose()?;
                let kind = i32::try_from(int(node, "output_dtype", 0)).ok().and_then(kind_of_code);
                let zero = zero.or_else(|| kind.map(|kind| Value::known(&[], kind, vec![0.0])));
                let scaled = self.zip(node, Binary::Divide, &x, &scale, Kind::F32)?;
                self.rounded(node, &scaled, zero)?
            }
            "DequantizeLinear" => {
                let (x, scale) = (self.input(node, 0)?, self.input(node, 1)?);
                let scale = self.along(node, &x, scale)?;
                let zero = self.opt(node, 2)?.map(|zero| self.along(node, &x, zero)).transpose()?;
                let x = self.centred(node, x, zero)?;
                self.zip(node, Binary::Multiply, &x, &scale, Kind::F32)?
            }
            "DynamicQuantizeLinear" => return self.ranged(node).map(Some),
            "MatMulInteger" => {
                let (a, b) = (self.offset(node, 0, 2)?, self.offset(node, 1, 3)?);
                Value { kind: Kind::I64, ..self.multiplied(node, &a, &b)? }
            }
            "ConvInteger" => {
                let (x, w) = (self.offset(node, 0, 2)?, self.offset(node, 1, 3)?);
                Value { kind: Kind::I64, ..self.convolved(node, &x, &w, None)? }
            }
            "QLinearMatMul" => {
                let (a, b) = (self.offset(node, 0, 2)?, self.offset(node, 3, 5)?);
                let product = self.multiplied(node, &a, &b)?;
                let scaled = self.rescaled(node, &product, &[1, 4], 6)?;
                self.output(node, &scaled, 7)?
            }
            "QLinearConv" => {
                let (x, w) = (self.offset(node, 0, 2)?, self.offset(node, 3, 5)?);
                let (Data::Known(weights), [filters, ..]) = (&w.data, w.shape.as_slice()) else {
                    return Err(unsupported(node, "a convolution with computed weights"));
                };
                let scales = self.scales(node, &[1, 4], 6)?;
                let scale = |filter: usize| scales[filter % scales.len().max(1)];
                let each = (weights.len() / (*filters).max(1)).max(1);
                let folded: Vec<f32> = weights.iter().enumerate().map(|(i, w)| w * scale(i / each)).collect();
                let bias = self.known(node, 8)?;
                let bias: Option<Vec<f32>> =
                    bias.map(|bias| bias.iter().enumerate().map(|(i, b)| b * scale(i)).collect());
                let w = Value::known(&w.shape, Kind::F32, folded);
                let sums = self.convolved(node, &x, &w, bias.as_deref())?;
                self.output(node, &sums, 7)?
            }
            _ => return Ok(None),
        };
        self.give(node, 0, value);
        Ok(Some(()))
    }

    /// Packs a node of ONNX Runtime's own domain.
    pub(super) fn microsoft(&mut self, node: &NodeProto) -> Result<()> {
        let value = match node.operator() {
            "QuantizeLinear" | "DequantizeLinear" => return self.quantised(node).map(|_| ()),
            "QGemm" => self.quantised_gemm(node)?,
            "QLinearAdd" | "QLinearMul" => {
                let f = if node.operator() == "QLinearAdd" { Binary::Add } else { Binary::Multiply };
                let (a, b) = (self.dequantised(node, [0, 1, 2])?, self.dequantised(node, [3, 4, 5])?);
                let sum = self.zip(node, f, &a, &b, Kind::F32)?;
                self.requantised(node, &sum, 6, 7)?
            }
            "QLinearSoftmax"
            | "QLinearSigmoid"
            | "QLinearLeakyRelu"
            | "QLinearAveragePool"
            | "QLinearGlobalAveragePool" => {
                let x = self.dequantised(node, [0, 1, 2])?;
                let plain = match node.operator() {
                    "QLinearSoftmax" => "Softmax",
                    "QLinearSigmoid" => "Sigmoid",
                    "QLinearLeakyRelu" => "LeakyRelu",
                    _ if int(node, "channels_last", 0) != 0 => {
                        return Err(unsupported(node, "channels behind the rest"));
                    }
                    "QLinearAveragePool" => "AveragePool",
                    _ => "GlobalAveragePool",
                };
                let opset = self.opset;
                self.opset = int(node, "opset", opset);
                let plain = self.stands_for(node, plain, x);
                self.opset = opset;
                let plain = plain?;
                self.requantised(node, &plain, 3, 4)?
            }
            "QLinearReduceMean" => {
                let x = self.dequantised(node, [0, 1, 2])?;
                let mean = self.stands_for(node, "ReduceMean", x)?;
                self.requantised(node, &mean, 3, 4)?
            }
            "QLinearWhere" => {
                let (x, y) = (self.dequantised(node, [1, 2, 3])?, self.dequantised(node, [4, 5, 6])?);
                let condition = self.input(node, 0)?;
                let chosen = self.chosen(node, condition, x, y)?;
                self.requantised(node, &chosen, 7, 8)?
            }
            "QLinearConcat" => {
                let parts = (0..(node.input.len().saturating_sub(2)) / 3)
                    .map(|i| self.dequantised(node, [2 + 3 * i, 3 + 3 * i, 4 + 3 * i]))
                    .collect::<Result<Vec<_>>>()?;
                let whole = self.concat(node, &parts, int(node, "axis", 0))?;
                self.requantised(node, &whole, 0, 1)?
            }
            "MatMulIntegerToFloat" => {
                let (a, b) = (self.offset(node, 0, 4)?, self.offset(node, 1, 5)?);
                let product = self.multiplied(node, &a, &b)?;
                let scale =
                    self.zip(node, Binary::Multiply, &self.input(node, 2)?, &self.input(node, 3)?, Kind::F32)?;
                let scaled = self.zip(node, Binary::Multiply, &product, &scale, Kind::F32)?;
                self.plus(node, scaled, 6)?
            }
            "DynamicQuantizeMatMul" => {
                let x = self.input(node, 0)?;
                let [quantised, scale, zero] = self.range_of(node, &x)?;
                let a = self.centred(node, quantised, Some(zero))?;
                let b = self.offset(node, 1, 3)?;
                let product = self.multiplied(node, &a, &b)?;
                let scale = self.zip(node, Binary::Multiply, &scale, &self.input(node, 2)?, Kind::F32)?;
                let scaled = self.zip(node, Binary::Multiply, &product, &scale, Kind::F32)?;
                self.plus(node, scaled, 4)?
            }
            "FusedMatMul" => {
                let mut inputs = [self.input(node, 0)?, self.input(node, 1)?];
                for (x, name) in inputs.iter_mut().zip(["transA", "transB"]) {
                    let rank = x.shape.len();
                    if int(node, name, 0) != 0 && rank > 1 {
                        let order: Vec<usize> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
                        *x = self.permuted(x, &order);
                    }
                }
                if ["transBatchA", "transBatchB"].iter().any(|name| int(node, name, 0) != 0) {
                    return Err(unsupported(node, "a product whose batches are transposed"));
                }
                let product = self.multiplied(node, &inputs[0], &inputs[1])?;
                let alpha = Value::known(&[], Kind::F32, vec![float(node, "alpha", 1.0)]);
                self.zip(node, Binary::Multiply, &product, &alpha, Kind::F32)?
            }
            "Gelu" | "BiasGelu" | "FastGelu" => {
                let x = self.input(node, 0)?;
                let x = self.plus(node, x, 1)?;
                let mut node = node.clone();
                if node.operator() == "FastGelu" {
                    node.attribute.push(builder::string("approximate", "tanh"));
                }
                self.stands_for(&node, "Gelu", x)?
            }
            "QuickGelu" => {
                let x = self.input(node, 0)?;
                let by = Value::known(&[], Kind::F32, vec![float(node, "alpha", 1.702)]);
                let gate = self.zip(node, Binary::Multiply, &x, &by, Kind::F32)?;
                let gate = self.map(Unary::Sigmoid, &gate, Kind::F32);
                self.zip(node, Binary::Multiply, &x, &gate, Kind::F32)?
            }
            "SkipLayerNormalization" | "SkipSimplifiedLayerNormalization" => {
                let plain = node.operator() == "SkipLayerNormalization";
                let x = self.input(node, 0)?;
                let x = self.plus(node, x, 1)?;
                let x = self.plus(node, x, if plain { 4 } else { 3 })?;
                if node.output.iter().skip(1).take(2).any(|name| !name.is_empty()) {
                    return Err(unsupported(node, "what comes of a normalisation beside its answer"));
                }
                self.give(node, 3, x.clone());
                let (n, epsilon) = (x.rows().1.max(1), float(node, "epsilon", 1e-12));
                let scaled = if plain {
                    self.standardised(&x, n, epsilon)
                } else {
                    self.root_mean_square(node, &x, x.shape.len().saturating_sub(1), epsilon)?
                };
                let scaled = self.zip(node, Binary::Multiply, &scaled, &self.input(node, 2)?, Kind::F32)?;
                if plain { self.plus(node, scaled, 3)? } else { scaled }
            }
            "MultiHeadAttention" => self.multi_head_attention(node)?,
            "RotaryEmbedding" => self.rotary(node, [2, 3, 1])?,
            "CDist" => self.distances(node)?,
            other => return Err(unsupported(node, &format!("the operator `com.microsoft:{other}`"))),
        };
        self.give(node, 0, value);
        Ok(())
    }

    /// What the operator of ONNX itself gives for the attributes of `node` and one input.
    fn stands_for(&mut self, node: &NodeProto, operator: &str, x: Value) -> Result<Value> {
        // No name of a graph has a zero in it.
        let [from, to] = ["x", "y"].map(|name| format!("{name}\0{operator}"));
        let plain = NodeProto {
            op_type: Some(operator.into()),
            domain: None,
            input: [from.as_str().into()].into_iter().collect(),
            output: [to.as_str().into()].into_iter().collect(),
            ..node.clone()
        };
        self.values.insert(from, x);
        self.standard(&plain)?;
        self.values.remove(&to).ok_or_else(|| unsupported(node, "an operator that gives nothing"))
    }

    /// `value` plus input `i`, where it is there.
    fn plus(&mut self, node: &NodeProto, value: Value, i: usize) -> Result<Value> {
        match self.opt(node, i)? {
            Some(more) => self.zip(node, Binary::Add, &value, &more, Kind::F32),
            None => Ok(value),
        }
    }

    /// A scale or zero point as it is spread over `x`: one number, or one for each place of the attribute `axis`.
    fn along(&mut self, node: &NodeProto, x: &Value, by: Value) -> Result<Value> {
        if by.len() == 1 {
            return Ok(Value { shape: Vec::new(), ..by });
        }
        if by.shape.len() == x.shape.len() && !by.shape.contains(&0) {
            // A number for each block.
            let blocks = x.shape.iter().zip(&by.shape).map(|(n, m)| (*n, n.div_ceil(*m).max(1)));
            let kept: Vec<Vec<usize>> = blocks.map(|(n, each)| (0..n).map(|i| i / each).collect()).collect();
            return Ok(self.picked(&by, &kept));
        }
        let axis = axis_of(node, int(node, "axis", 1), x.shape.len())?;
        if by.shape.len() != 1 || by.len() != x.shape[axis] {
            return Err(unsupported(node, "a quantisation of this form"));
        }
        let shape = (0..x.shape.len() - axis).map(|i| if i == 0 { by.len() } else { 1 }).collect();
        Ok(Value { shape, ..by })
    }

    /// `x` less its zero point.
    fn centred(&mut self, node: &NodeProto, x: Value, zero: Option<Value>) -> Result<Value> {
        match zero {
            Some(Value { data: Data::Known(items), .. }) if items.iter().all(|zero| *zero == 0.0) => Ok(x),
            Some(zero) => self.zip(node, Binary::Subtract, &x, &zero, Kind::I64),
            None => Ok(x),
        }
    }

    /// Input `i` less the zero point in input `zero`, which may stand for the rows or columns of a matrix, or the filters.
    fn offset(&mut self, node: &NodeProto, i: usize, zero: usize) -> Result<Value> {
        let x = self.input(node, i)?;
        let Some(zero) = self.opt(node, zero)? else { return Ok(x) };
        let filters = node.operator().contains("Conv");
        let shape = match zero.len() {
            1 => Vec::new(),
            n if filters => [n].into_iter().chain(x.shape.iter().skip(1).map(|_| 1)).collect(),
            n if x.shape.last() == Some(&n) => vec![n],
            _ => return Err(unsupported(node, "a zero point for each row")),
        };
        self.centred(node, x, Some(Value { shape, ..zero }))
    }

    /// The number whose quantised form, scale and zero point stand in three inputs.
    fn dequantised(&mut self, node: &NodeProto, [x, scale, zero]: [usize; 3]) -> Result<Value> {
        let (x, scale, zero) = (self.input(node, x)?, self.input(node, scale)?, self.opt(node, zero)?);
        if scale.len() != 1 {
            return Err(unsupported(node, "a scale for each channel"));
        }
        let flat = |value: Value| Value { shape: Vec::new(), ..value };
        let x = self.centred(node, x, zero.map(flat))?;
        self.zip(node, Binary::Multiply, &x, &flat(scale), Kind::F32)
    }

    /// The scales by which whole sums become whole answers: those of inputs `of`, over that of input `to`.
    fn scales(&self, node: &NodeProto, of: &[usize], to: usize) -> Result<Vec<f32>> {
        let list = |i: usize| {
            let list = self.known(node, i)?.filter(|list| !list.is_empty());
            list.ok_or_else(|| Error::new(ErrorKind::Malformed, "a scale is missing").node(node.label()))
        };
        let mut scales = vec![1.0 / list(to)?[0]];
        for i in of {
            let by = list(*i)?;
            let n = scales.len().max(by.len());
            scales = (0..n).map(|i| scales[i % scales.len()] * by[i % by.len()]).collect();
        }
        Ok(scales)
    }

    /// Whole sums times [`scales`](Self::scales), which stand for the last axis.
    fn rescaled(&mut self, node: &NodeProto, sums: &Value, of: &[usize], to: usize) -> Result<Value> {
        let scales = self.scales(node, of, to)?;
        let shape = if scales.len() == 1 { vec![] } else { vec![scales.len()] };
        self.zip(node, Binary::Multiply, sums, &Value::known(&shape, Kind::F32, scales), Kind::F32)
    }

    /// `value` over the scale in input `scale`, as 8-bit numbers with the zero point in input `zero`.
    fn requantised(&mut self, node: &NodeProto, value: &Value, scale: usize, zero: usize) -> Result<Value> {
        let scale = self.input(node, scale)?;
        let scaled = self.zip(node, Binary::Divide, value, &Value { shape: Vec::new(), ..scale }, Kind::F32)?;
        self.output(node, &scaled, zero)
    }

    fn output(&mut self, node: &NodeProto, scaled: &Value, zero: usize) -> Result<Value> {
        let point = self.opt(node, zero)?.map(|value| Value { shape: Vec::new(), ..value });
        self.rounded(node, scaled, point)
    }

    /// Scaled numbers as whole ones around `zero`, within the range of its type; that of a u8 where there is none.
    fn rounded(&mut self, node: &NodeProto, scaled: &Value, zero: Option<Value>) -> Result<Value> {
        let kind = zero.as_ref().map_or(Kind::U8, |zero| zero.kind);
        let Some([low, high]) = kind.range() else { return Err(unsupported(node, "a zero point of this type")) };
        let mut value = self.map(Unary::Round, scaled, kind);
        if let Some(zero) = zero.filter(|z| !matches!(&z.data, Data::Known(items) if items.iter().all(|z| *z == 0.0))) {
            value = self.zip(node, Binary::Add, &value, &zero, kind)?;
        }
        for (f, bound) in [(Binary::Maximum, low), (Binary::Minimum, high)] {
            value = self.zip(node, f, &value, &Value::known(&[], kind, vec![bound]), kind)?;
        }
        Ok(value)
    }

    fn ranged(&mut self, node: &NodeProto) -> Result<()> {
        let x = self.input(node, 0)?;
        for (i, value) in self.range_of(node, &x)?.into_iter().enumerate() {
            self.give(node, i, value);
        }
        Ok(())
    }

    /// `x` as u8 over its own range, the scale and the zero point.
    fn range_of(&mut self, node: &NodeProto, x: &Value) -> Result<[Value; 3]> {
        if x.len() == 0 {
            return Err(unsupported(node, "the range of nothing"));
        }
        let span = self.span(x);
        let p = &mut self.program;
        let ends = [(Reduction::Minimum, Binary::Minimum), (Reduction::Maximum, Binary::Maximum)].map(|(reduce, f)| {
            let end = p.reduce(reduce, span, span.len, 1);
            p.zip_with(f, end, 0.0)
        });
        let width = p.zip(Binary::Subtract, ends[1], ends[0]);
        let scale = p.zip_with(Binary::Divide, width, 255.0);
        // Where all numbers are 0, any scale will do.
        let flat = p.zip_with(Binary::Equal, scale, 0.0);
        let one = p.constant(&[1.0]);
        let scale = p.select(flat, one, scale);
        let low = p.map(Unary::Negate, ends[0]);
        let zero = p.zip(Binary::Divide, low, scale);
        let zero = p.map(Unary::Round, zero);
        let zero = p.zip_with(Binary::Maximum, zero, 0.0);
        let zero = p.zip_with(Binary::Minimum, zero, 255.0);
        let (scale, zero) = (Value::slot(&[], Kind::F32, scale), Value::slot(&[], Kind::U8, zero));
        let scaled = self.zip(node, Binary::Divide, x, &scale, Kind::F32)?;
        let quantised = self.rounded(node, &scaled, Some(zero.clone()))?;
        Ok([quantised, scale, zero])
    }

    fn quantised_gemm(&mut self, node: &NodeProto) -> Result<Value> {
        let turned = |packer: &mut Self, x: Value, name: &str| match x.shape.as_slice() {
            [_, _] if int(node, name, 0) != 0 => Ok(packer.permuted(&x, &[1, 0])),
            [_, _] => Ok(x),
            _ => Err(unsupported(node, "a product of anything but two matrices")),
        };
        // Zero points of columns stand for rows of what is transposed.
        let b = self.input(node, 3)?;
        let b = turned(self, b, "transB")?;
        let b = match self.opt(node, 5)? {
            Some(zero) => {
                let shape = if zero.len() == 1 { vec![] } else { vec![zero.len()] };
                self.centred(node, b, Some(Value { shape, ..zero }))?
            }
            None => b,
        };
        let a = self.offset(node, 0, 2)?;
        let a = turned(self, a, "transA")?;
        let mut sums = self.multiplied(node, &a, &b)?;
        if let Some(bias) = self.opt(node, 6)? {
            sums = self.zip(node, Binary::Add, &sums, &bias, Kind::I64)?;
        }
        let alpha = Value::known(&[], Kind::F32, vec![float(node, "alpha", 1.0)]);
        let mut scale = self.zip(node, Binary::Multiply, &self.input(node, 1)?, &self.input(node, 4)?, Kind::F32)?;
        scale = self.zip(node, Binary::Multiply, &scale, &alpha, Kind::F32)?;
        let Some(to) = self.opt(node, 7)? else {
            return self.zip(node, Binary::Multiply, &sums, &scale, Kind::F32);
        };
        let scale = self.zip(node, Binary::Divide, &scale, &to, Kind::F32)?;
        let scaled = self.zip(node, Binary::Multiply, &sums, &scale, Kind::F32)?;
        self.output(node, &scaled, 8)
    }

    /// Distances of one row to known points.
    fn distances(&mut self, node: &NodeProto) -> Result<Value> {
        let (x, points) = (self.input(node, 0)?, self.input(node, 1)?);
        let (Data::Known(items), [n, k], (1, own)) = (&points.data, points.shape.as_slice(), x.rows()) else {
            return Err(unsupported(node, "distances to computed points"));
        };
        if own != *k || *k == 0 {
            return Err(Error::new(ErrorKind::WrongShape, "points that do not fit the rows").node(node.label()));
        }
        let span = self.span(&x);
        let squares = self.program.distances(span, *n, items);
        let span = match text(node, "metric", "sqeuclidean").as_str() {
            "sqeuclidean" => squares,
            "euclidean" => self.program.map(Unary::Sqrt, squares),
            other => return Err(unsupported(node, &format!("the metric `{other}`"))),
        };
        Ok(Value::slot(&[1, *n], Kind::F32, span))
    }
}
