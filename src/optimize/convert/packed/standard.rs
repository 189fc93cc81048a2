//! The operators of ONNX itself.

use super::values::{Data, Packer, Value, axis_of, common_shape, unsupported, whole};
use crate::Result;
use crate::edge::{Binary, Kind, Reduction, Unary};
use crate::onnx::data_type as t;
use crate::onnx::node::int;
use crate::onnx::{NodeProto, TensorProto};

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
        "Sin" => Unary::Sin,
        "Cos" => Unary::Cos,
        "Tan" => Unary::Tan,
        "Asin" => Unary::Asin,
        "Acos" => Unary::Acos,
        "Atan" => Unary::Atan,
        "Sinh" => Unary::Sinh,
        "Cosh" => Unary::Cosh,
        "Asinh" => Unary::Asinh,
        "Acosh" => Unary::Acosh,
        "Atanh" => Unary::Atanh,
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
        "BitwiseAnd" => Binary::BitAnd,
        "BitwiseOr" => Binary::BitOr,
        "BitwiseXor" => Binary::BitXor,
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

/// What the numbers of an element type of ONNX are.
pub(super) const fn kind_of_code(code: i32) -> Option<Kind> {
    Some(match code {
        t::FLOAT => Kind::F32,
        t::DOUBLE => Kind::F64,
        t::FLOAT16 => Kind::F16,
        t::BFLOAT16 => Kind::Bf16,
        t::BOOL => Kind::Bool,
        t::INT64 => Kind::I64,
        t::INT32 => Kind::I32,
        t::INT16 => Kind::I16,
        t::INT8 => Kind::I8,
        t::INT4 => Kind::I4,
        t::UINT64 => Kind::U64,
        t::UINT32 => Kind::U32,
        t::UINT16 => Kind::U16,
        t::UINT8 => Kind::U8,
        t::UINT4 => Kind::U4,
        t::STRING => Kind::Text,
        _ => return None,
    })
}

/// Whether a node is a constant, or works number by number.
pub(super) fn is_plain(node: &NodeProto) -> bool {
    let operator = node.operator();
    let kept = ["value", "value_float", "value_int", "value_floats", "value_ints"];
    let constant = operator == "Constant" && kept.iter().any(|name| node.find_attribute(name).is_some());
    operator == "Identity" || constant || unary_of(operator).is_some() || binary_of(operator).is_some()
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
        } else if let Some(value) = self.shaped(node)? {
            value
        } else if let Some(value) = self.activated(node)? {
            value
        } else if let Some(value) = self.layered(node)? {
            value
        } else if let Some(value) = self.windowed(node)? {
            value
        } else if let Some(value) = self.normalising(node)? {
            value
        } else {
            match operator {
                "Identity" => self.input(node, 0)?,
                "Dropout" => {
                    let drops = |i: usize, default: f32| -> Result<bool> {
                        Ok(self.known(node, i)?.and_then(|items| items.first().copied()).unwrap_or(default) != 0.0)
                    };
                    if drops(2, 0.0)? && drops(1, 0.5)? {
                        return Err(unsupported(node, "what is dropped at random"));
                    }
                    let x = self.input(node, 0)?;
                    self.give(node, 1, Value::known(&x.shape, Kind::Bool, vec![1.0; x.len()]));
                    x
                }
                "Constant" => match node.find_attribute("value").and_then(|a| a.t.as_deref()) {
                    Some(tensor) => {
                        let name = node.output.first().map(ToString::to_string);
                        return self.constant_tensor(&TensorProto { name, ..tensor.clone() });
                    }
                    None => self.constant(node)?,
                },
                "Cast" => self.cast(node)?,
                "CastLike" => {
                    let (x, like) = (self.input(node, 0)?, self.input(node, 1)?);
                    self.cast_to(node, x, like.kind)?
                }
                "Where" => self.selected(node)?,
                "Clip" => self.clipped(node)?,
                "Mean" => {
                    let sum = self.folded(node, Binary::Add)?;
                    let by = Value::known(&[], Kind::F32, vec![node.input.len() as f32]);
                    self.zip(node, Binary::Divide, &sum, &by, sum.kind)?
                }
                "Mod" => self.remainder(node)?,
                "BitShift" => self.shifted(node)?,
                "BitwiseNot" => {
                    let x = self.input(node, 0)?;
                    let Some([low, high]) = x.kind.range() else {
                        return Err(unsupported(node, "bits of numbers of more than 16"));
                    };
                    self.zip(node, Binary::Subtract, &Value::known(&[], x.kind, vec![low + high]), &x, x.kind)?
                }
                "IsInf" => {
                    let x = self.input(node, 0)?;
                    let [up, down] = ["detect_positive", "detect_negative"].map(|name| int(node, name, 1) != 0);
                    let x = match (up, down) {
                        (true, false) => x,
                        (false, true) => self.map(Unary::Negate, &x, x.kind),
                        (true, true) => self.map(Unary::Absolute, &x, x.kind),
                        (false, false) => Value::known(&x.shape, x.kind, vec![0.0; x.len()]),
                    };
                    self.zip(node, Binary::Equal, &x, &Value::known(&[], x.kind, vec![f32::INFINITY]), Kind::Bool)?
                }
                "ReduceLogSum" => {
                    let sum = self.reduced(node, Reduction::Sum)?;
                    self.map(Unary::Log, &sum, sum.kind)
                }
                "OneHot" => self.one_of(node)?,
                "Einsum" => self.summed_products(node)?,
                "Resize" | "Upsample" => self.resized(node)?,
                "BitCast" => self.same_bits(node)?,
                "GridSample" => self.sampled(node)?,
                "RoiAlign" => self.largest_of_regions(node)?,
                "Det" => self.determinant(node)?,
                "Scatter" | "ScatterElements" | "ScatterND" => self.scattered(node)?,
                "GatherND" => self.gathered_tuples(node)?,
                "TfIdfVectorizer" => self.grams(node)?,
                "RotaryEmbedding" => self.rotary(node, [1, 2, 3])?,
                "Attention" => return self.attention(node),
                "CausalConvWithState" => return self.causal_convolution(node),
                "LinearAttention" => return self.linear_attention(node),
                "Split" => return self.split(node),
                "TopK" => return self.top(node),
                "GRU" | "LSTM" | "RNN" => return self.recurrence(node),
                "If" | "Loop" | "Scan" => return self.flow(node),
                "NegativeLogLikelihoodLoss" | "SoftmaxCrossEntropyLoss" => return self.loss(node),
                _ => match self.quantised(node)? {
                    Some(()) => return Ok(()),
                    None => return Err(unsupported(node, &format!("the operator `{operator}`"))),
                },
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
            if value.kind == Kind::Text {
                // Texts that no table holds are all the same number.
                let known = [&value, &other].iter().any(|value| matches!(value.data, Data::Known(_)));
                if f != Binary::Equal || !known {
                    return Err(unsupported(node, "arithmetic on texts, or comparing two that are computed,"));
                }
            }
            if matches!(f, Binary::BitAnd | Binary::BitOr | Binary::BitXor) && value.kind.range().is_none() {
                return Err(unsupported(node, "bits of numbers of more than 16"));
            }
            let kind = if f.is_test() { Kind::Bool } else { value.kind };
            let whole = f == Binary::Divide && kind.is_whole();
            value = self.zip(node, f, &value, &other, kind)?;
            if whole {
                value = self.map(Unary::Truncate, &value, kind);
            }
            if matches!(f, Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Power) {
                value = self.wrapped(node, value)?;
            }
        }
        Ok(value)
    }

    /// `Mod`: with the sign of the divisor, or with that of what is divided where `fmod` says so.
    fn remainder(&mut self, node: &NodeProto) -> Result<Value> {
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let rest = self.zip(node, Binary::Remainder, &a, &b, a.kind)?;
        if int(node, "fmod", 0) != 0 || rest.len() == 0 {
            return Ok(rest);
        }
        let product = self.zip(node, Binary::Multiply, &rest, &b, a.kind)?;
        let apart = self.zip(node, Binary::Less, &product, &Value::known(&[], a.kind, vec![0.0]), Kind::Bool)?;
        let moved = self.zip(node, Binary::Add, &rest, &b, a.kind)?;
        let [apart, moved, rest_span] = [&apart, &moved, &rest].map(|value| self.span(value));
        Ok(Value::slot(&rest.shape, a.kind, self.program.select(apart, moved, rest_span)))
    }

    fn shifted(&mut self, node: &NodeProto) -> Result<Value> {
        let (a, b) = (self.input(node, 0)?, self.input(node, 1)?);
        let power = self.zip(node, Binary::Power, &Value::known(&[], Kind::F32, vec![2.0]), &b, Kind::F32)?;
        if super::learned::text(node, "direction", "") == "LEFT" {
            let product = self.zip(node, Binary::Multiply, &a, &power, a.kind)?;
            return self.wrapped(node, product);
        }
        let quotient = self.zip(node, Binary::Divide, &a, &power, a.kind)?;
        Ok(self.map(Unary::Floor, &quotient, a.kind))
    }

    /// `OneHot`: one of two numbers at every place of a new axis.
    fn one_of(&mut self, node: &NodeProto) -> Result<Value> {
        let (x, depth, values) = (self.input(node, 0)?, self.known(node, 1)?, self.known(node, 2)?);
        let kind = self.input(node, 2)?.kind;
        let n = depth.and_then(|d| d.first().copied()).filter(|n| *n >= 1.0);
        let (Some(n), Some([off, on])) = (n, values.as_deref()) else {
            return Err(unsupported(node, "a choice among none"));
        };
        let n = n as usize;
        let mut shape = x.shape.clone();
        shape.push(n);
        self.check(node, &shape)?;
        // Places may count from the end.
        let span = self.span(&x);
        let negative = self.program.zip_with(Binary::Less, span, 0.0);
        let moved = self.program.zip_with(Binary::Add, span, n as f32);
        let span = self.program.select(negative, moved, span);
        let hot = self.program.one_hot(span, &(0..n).map(|i| i as f32).collect::<Vec<_>>());
        let scaled = self.program.zip_with(Binary::Multiply, hot, on - off);
        let hot = Value::slot(&shape, kind, self.program.zip_with(Binary::Add, scaled, *off));
        let axis = axis_of(node, int(node, "axis", -1), shape.len())?;
        Ok(self.axis_back(&hot, axis))
    }

    fn constant(&mut self, node: &NodeProto) -> Result<Value> {
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
        let x = self.input(node, 0)?;
        let kind = i32::try_from(int(node, "to", 0)).ok().and_then(kind_of_code);
        let kind = kind.ok_or_else(|| unsupported(node, "a cast to this type"))?;
        self.cast_to(node, x, kind)
    }

    fn cast_to(&mut self, node: &NodeProto, x: Value, kind: Kind) -> Result<Value> {
        let narrower = |range: [f32; 2]| x.kind.range().is_none_or(|own| own[0] < range[0] || own[1] > range[1]);
        match (x.kind, kind) {
            (Kind::Text, Kind::Text) => Ok(x),
            (Kind::Text, _) => Err(unsupported(node, "a cast of texts to numbers")),
            (_, Kind::Text) => Err(unsupported(node, "a cast of numbers to texts")),
            (Kind::Bool, _) => Ok(Value { kind, ..x }),
            (_, Kind::Bool) => Ok(self.map(Unary::Truth, &x, kind)),
            (from, to) if to.is_whole() => {
                let narrower = to.range().is_some_and(narrower);
                let x = if from.is_whole() { Value { kind, ..x } } else { self.map(Unary::Truncate, &x, kind) };
                if narrower { self.wrapped(node, x) } else { Ok(x) }
            }
            _ => Ok(Value { kind, ..x }),
        }
    }

    /// `BitCast` between whole numbers of 8 or 16 bits, of which one kind has a sign.
    fn same_bits(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let to = i32::try_from(int(node, "to", 0)).ok().and_then(kind_of_code);
        let whole = |kind: Kind| kind.is_whole().then(|| kind.range()).flatten();
        let count = |[low, high]: [f32; 2]| high - low;
        match to.and_then(|to| Some((to, whole(x.kind)?, whole(to)?))) {
            Some((kind, from, to)) if count(from) == count(to) => self.wrapped(node, Value { kind, ..x }),
            _ if Some(x.kind) == to || (x.kind == Kind::Bool && to == Some(Kind::U8)) => {
                Ok(Value { kind: to.unwrap_or(x.kind), ..x })
            }
            _ => Err(unsupported(node, "bits of numbers of more than 16, or of floats,")),
        }
    }

    /// Numbers of a narrow type that left its range come in again at the other end.
    fn wrapped(&mut self, node: &NodeProto, x: Value) -> Result<Value> {
        let Some([low, high]) = x.kind.range() else { return Ok(x) };
        let count = high - low + 1.0;
        let mut turns = x.clone();
        for (f, by) in [(Binary::Subtract, low), (Binary::Divide, count)] {
            turns = self.zip(node, f, &turns, &Value::known(&[], Kind::F32, vec![by]), Kind::F32)?;
        }
        let turns = self.map(Unary::Floor, &turns, Kind::F32);
        let turns = self.zip(node, Binary::Multiply, &turns, &Value::known(&[], Kind::F32, vec![count]), Kind::F32)?;
        self.zip(node, Binary::Subtract, &x, &turns, x.kind)
    }

    fn selected(&mut self, node: &NodeProto) -> Result<Value> {
        let [condition, a, b] = [self.input(node, 0)?, self.input(node, 1)?, self.input(node, 2)?];
        self.chosen(node, condition, a, b)
    }

    /// `a` where the condition holds, else `b`.
    pub(super) fn chosen(&mut self, node: &NodeProto, condition: Value, a: Value, b: Value) -> Result<Value> {
        let shape = common_shape(node, &a.shape, &b.shape)?;
        let shape = common_shape(node, &shape, &condition.shape)?;
        let len = self.check(node, &shape)?;
        let kind = a.kind;
        if let (Data::Known(condition), 1) = (&condition.data, condition.len()) {
            let chosen = if condition.first().is_some_and(|c| *c != 0.0) { a } else { b };
            return Ok(self.spread(&chosen, &shape));
        }
        if len == 0 {
            return Ok(Value::known(&shape, kind, Vec::new()));
        }
        let parts = [condition, a, b].map(|value| self.repeated(&value, &shape));
        if let [Data::Known(condition), Data::Known(a), Data::Known(b)] =
            [&parts[0].data, &parts[1].data, &parts[2].data]
        {
            let each = condition.iter().cycle().zip(a.iter().cycle().zip(b.iter().cycle())).take(len);
            return Ok(Value::known(&shape, kind, each.map(|(c, (a, b))| if *c != 0.0 { *a } else { *b }).collect()));
        }
        let [condition, a, b] = parts.map(|value| self.span(&value));
        // One of the three has all elements: that of which the first long axis comes.
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

    fn reduced(&mut self, node: &NodeProto, f: Reduction) -> Result<Value> {
        let x = self.input(node, 0)?;
        let rank = x.shape.len();
        let picks = matches!(f, Reduction::ArgMax | Reduction::ArgMin);
        let mut last = None;
        let mut x = x;
        let axes = if picks {
            let axis = axis_of(node, int(node, "axis", 0), rank)?;
            if int(node, "select_last_index", 0) != 0 {
                // The first from the other end.
                let mut kept: Vec<Vec<usize>> = x.shape.iter().map(|n| (0..*n).collect()).collect();
                kept[axis].reverse();
                x = self.picked(&x, &kept);
                last = Some(x.shape[axis] as f32 - 1.0);
            }
            vec![axis]
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
        if x.len() == 0 {
            return Err(unsupported(node, "a reduction of nothing"));
        }
        let keep = int(node, "keepdims", 1) != 0;
        let shape: Vec<usize> = (0..rank)
            .filter(|axis| keep || !axes.contains(axis))
            .map(|axis| if axes.contains(&axis) { 1 } else { x.shape[axis] })
            .collect();
        // Axes of length 1 between others change nothing; other axes are brought together.
        let mut long: Vec<usize> = axes.iter().copied().filter(|axis| x.shape[*axis] != 1).collect();
        if long.windows(2).any(|pair| x.shape[pair[0] + 1..pair[1]].iter().any(|n| *n != 1)) {
            let order: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
            x = self.permuted(&x, &order);
            long = (rank - axes.len()..rank).collect();
        }
        let len: usize = long.iter().map(|axis| x.shape[*axis]).product();
        let inner: usize = long.last().map_or(1, |last| x.shape[last + 1..].iter().product());
        let span = self.span(&x);
        let mut span = self.program.reduce(f, span, len, inner);
        if let Some(last) = last {
            let last = self.program.constant(&[last]);
            span = self.program.zip(Binary::Subtract, last, span);
        }
        Ok(Value::slot(&shape, if picks { Kind::I64 } else { x.kind }, span))
    }

    /// Rows over what `f` makes of them; a row of which that is 0 stays.
    pub(super) fn normalised(&mut self, x: &Value, f: Reduction) -> Value {
        let (rows, n) = x.rows();
        let span = self.span(x);
        let norm = self.program.reduce(f, span, n.max(1), 1);
        let zero = self.program.zip_with(Binary::Equal, norm, 0.0);
        let one = self.program.constant(&[1.0]);
        let mut norm = self.program.select(zero, one, norm);
        if rows > 1 {
            let places: Vec<usize> = (0..rows).flat_map(|row| std::iter::repeat_n(row, n)).collect();
            norm = self.program.gather(norm, &places);
        }
        Value::slot(&x.shape, Kind::F32, self.program.zip(Binary::Divide, span, norm))
    }
}
