//! Steps of optimisers (`ai.onnx.preview.training`): `Adagrad`, `Adam`, `Momentum`.

use smallvec::SmallVec;

use super::Group;
use super::wide::{floats, rounded, scalar};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::Value;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Adagrad", adagrad), ("Adam", adam), ("Momentum", momentum)];

/// The rule of an optimiser, with its constants.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Adagrad { decay: f64, epsilon: f64 },
    Adam { alpha: f64, beta: f64, epsilon: f64, after: f64 },
    Momentum { alpha: f64, beta: f64, nesterov: bool },
}

#[derive(Debug)]
struct Optimiser {
    rule: Rule,
    /// The share of a weight that is added to its gradient.
    norm: f64,
}

fn number(node: &Node<'_>, name: &str, default: f32) -> Result<f64> {
    Ok(node.float_or(name, default)?.into())
}

fn adagrad(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let rule = Rule::Adagrad { decay: number(node, "decay_factor", 0.0)?, epsilon: number(node, "epsilon", 1e-6)? };
    Ok(Box::new(Optimiser { rule, norm: number(node, "norm_coefficient", 0.0)? }))
}

fn adam(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let rule = Rule::Adam {
        alpha: number(node, "alpha", 0.9)?,
        beta: number(node, "beta", 0.999)?,
        epsilon: number(node, "epsilon", 1e-6)?,
        after: number(node, "norm_coefficient_post", 0.0)?,
    };
    Ok(Box::new(Optimiser { rule, norm: number(node, "norm_coefficient", 0.0)? }))
}

fn momentum(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let nesterov = match node.string_or("mode", "standard")? {
        "standard" => false,
        "nesterov" => true,
        other => return Err(node.malformed("an unknown `mode`").actual(other)),
    };
    let rule = Rule::Momentum { alpha: number(node, "alpha", 0.0)?, beta: number(node, "beta", 0.0)?, nesterov };
    Ok(Box::new(Optimiser { rule, norm: number(node, "norm_coefficient", 0.0)? }))
}

impl Optimiser {
    /// The number of tensors that a weight has beside itself: its gradient and its states.
    const fn states(&self) -> usize {
        match self.rule {
            Rule::Adam { .. } => 2,
            _ => 1,
        }
    }

    /// A weight and its states after a step of the rate `r` with the gradient `g`; `t` steps were made before.
    fn step(&self, r: f64, t: f64, x: f64, g: f64, states: [f64; 2]) -> (f64, [f64; 2]) {
        let g = self.norm * x + g;
        let [v, h] = states;
        match self.rule {
            Rule::Adagrad { decay, epsilon } => {
                let sum = v + g * g;
                (x - r / (1.0 + t * decay) * g / (sum.sqrt() + epsilon), [sum, 0.0])
            }
            Rule::Adam { alpha, beta, epsilon, after } => {
                let v = alpha * v + (1.0 - alpha) * g;
                let h = beta * h + (1.0 - beta) * g * g;
                let rate = if t > 0.0 { r * (1.0 - beta.powf(t)).sqrt() / (1.0 - alpha.powf(t)) } else { r };
                ((1.0 - after) * (x - rate * v / (h.sqrt() + epsilon)), [v, h])
            }
            Rule::Momentum { alpha, beta, nesterov } => {
                let v = alpha * v + if t > 0.0 { beta } else { 1.0 } * g;
                (x - r * if nesterov { g + alpha * v } else { v }, [v, 0.0])
            }
        }
    }
}

impl Op for Optimiser {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, _cx: &mut Scratch) -> Result<Outs<'v>> {
        let (rate, steps) = (scalar(args.get(0)?)?, scalar(args.get(1)?)?);
        let (kinds, tensors) = (2 + self.states(), args.len().saturating_sub(2));
        if tensors % kinds != 0 {
            return Err(Error::new(ErrorKind::Malformed, "an optimiser takes as many gradients and states as weights")
                .actual(tensors));
        }
        let count = tensors / kinds;
        // All weights, then the first states of all, then the second ones.
        let mut outs: Vec<Vec<Value<'static>>> = vec![Vec::new(); 1 + self.states()];
        for i in 0..count {
            let of = |kind: usize| args.get(2 + kind * count + i);
            let weight = of(0)?;
            let read = |kind: usize| -> Result<Vec<f64>> {
                let value = of(kind)?;
                if value.shape() != weight.shape() {
                    return Err(Error::new(ErrorKind::WrongShape, "a gradient or state does not fit its weight")
                        .expected(shape_text(weight.shape()))
                        .actual(shape_text(value.shape())));
                }
                floats(value)
            };
            let (mut x, g) = (read(0)?, read(1)?);
            let mut states = (0..self.states()).map(|s| read(2 + s)).collect::<Result<Vec<_>>>()?;
            for at in 0..x.len() {
                let before = [states[0][at], states.get(1).map_or(0.0, |h| h[at])];
                let (new, after) = self.step(rate, steps, x[at], g[at], before);
                x[at] = new;
                states.iter_mut().zip(after).for_each(|(state, new)| state[at] = new);
            }
            for (out, items) in outs.iter_mut().zip(std::iter::once(x).chain(states)) {
                out.push(rounded(items, weight.shape(), weight.data()));
            }
        }
        Ok(outs.into_iter().flatten().collect::<SmallVec<_>>())
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
    }
}
