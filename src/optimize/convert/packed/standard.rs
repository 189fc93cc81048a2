//! The operators of ONNX itself.

use super::values::{Data, Packer, Value, axis_of, common_shape, unsupported, whole};
use crate::Result;
use crate::edge::{Binary, Kind, Reduction, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::int;

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
        } else if let Some(value) = self.shaped(node)? {
            value
        } else if let Some(value) = self.activated(node)? {
            value
        } else if let Some(value) = self.layered(node)? {
            value
        } else {
            match operator {
                // A model that answers drops nothing.
                "Identity" | "Dropout" => self.input(node, 0)?,
                "Constant" => self.constant(node)?,
                "Cast" => self.cast(node)?,
                "CastLike" => {
                    let (x, like) = (self.input(node, 0)?, self.input(node, 1)?);
                    self.cast_to(node, x, like.kind)?
                }
                "Where" => self.selected(node)?,
                "Clip" => self.clipped(node)?,
                "CumSum" => self.running(node)?,
                "Split" => return self.split(node),
                "TopK" => return self.top(node),
                "GRU" | "LSTM" | "RNN" => return self.recurrence(node),
                "If" | "Loop" | "Scan" => return self.flow(node),
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
            if let Some(name) = node.output.first() {
                self.name_range(name, tensor);
            }
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
            t::FLOAT | t::DOUBLE | t::FLOAT16 | t::BFLOAT16 => Kind::F32,
            t::BOOL => Kind::Bool,
            t::INT64 | t::INT32 => Kind::I64,
            t::STRING => Kind::Text,
            _ => return Err(unsupported(node, "a cast to this type")),
        };
        self.cast_to(node, x, kind)
    }

    fn cast_to(&mut self, node: &NodeProto, x: Value, kind: Kind) -> Result<Value> {
        match (x.kind, kind) {
            (Kind::Text, Kind::Text) => Ok(x),
            (Kind::Text, _) => Err(unsupported(node, "a cast of texts to numbers")),
            (_, Kind::Text) => Err(unsupported(node, "a cast of numbers to texts")),
            (Kind::F32, Kind::I64) => Ok(self.map(Unary::Truncate, &x, kind)),
            (Kind::F32 | Kind::I64, Kind::Bool) => Ok(self.map(Unary::Truth, &x, kind)),
            _ => Ok(Value { kind, ..x }),
        }
    }

    fn selected(&mut self, node: &NodeProto) -> Result<Value> {
        let [condition, a, b] = [self.input(node, 0)?, self.input(node, 1)?, self.input(node, 2)?];
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
        let mut x = x;
        if long.windows(2).any(|pair| x.shape[pair[0] + 1..pair[1]].iter().any(|n| *n != 1)) {
            let order: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).chain(axes.iter().copied()).collect();
            x = self.permuted(&x, &order);
            long = (rank - axes.len()..rank).collect();
        }
        let len: usize = long.iter().map(|axis| x.shape[*axis]).product();
        let inner: usize = long.last().map_or(1, |last| x.shape[last + 1..].iter().product());
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
        let one = self.program.constant(&[1.0]);
        let mut norm = self.program.select(zero, one, norm);
        if rows > 1 {
            let places: Vec<usize> = (0..rows).flat_map(|row| std::iter::repeat_n(row, n)).collect();
            norm = self.program.gather(norm, &places);
        }
        Value::slot(&x.shape, Kind::F32, self.program.zip(Binary::Divide, span, norm))
    }
}
