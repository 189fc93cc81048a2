//! Functions of each number that take more than one step.

use super::learned::text;
use super::program::{Program, Span};
use super::values::{Packer, Value};
use crate::Result;
use crate::edge::{Binary, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::float;

impl Packer {
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
        let below = |p: &mut Program, bound: f32, low: Span, high: Span| {
            let less = p.zip_with(Less, span, bound);
            p.select(less, low, high)
        };
        let hard = |p: &mut Program, a: f32, b: f32| {
            let scaled = p.zip_with(Multiply, span, a);
            let moved = p.zip_with(Add, scaled, b);
            let low = p.zip_with(Maximum, moved, 0.0);
            p.zip_with(Minimum, low, 1.0)
        };
        let less_one = |p: &mut Program, by: f32| {
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
                let mut slope = self.input(node, 1)?;
                // Old files give a list for the channels.
                if let ([n], [_, channels, rest @ ..]) = (slope.shape.as_slice(), x.shape.as_slice())
                    && n == channels
                    && !rest.is_empty()
                    && rest.last() != Some(n)
                {
                    slope.shape = [*n].into_iter().chain(rest.iter().map(|_| 1)).collect();
                }
                let scaled = self.zip(node, Multiply, &x, &slope, x.kind)?;
                let scaled = self.span(&scaled);
                below(&mut self.program, 0.0, scaled, span)
            }
        };
        Ok(Some(Value::slot(&x.shape, x.kind, out)))
    }
}
