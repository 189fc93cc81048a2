//! What models that are still trained hold: losses, and steps of optimisers.

use super::attention::number;
use super::learned::text;
use super::network::misfit;
use super::values::{Packer, Value, unsupported};
use crate::Result;
use crate::edge::{Binary, Kind, Reduction, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::float;

impl Packer {
    /// Packs `NegativeLogLikelihoodLoss` and `SoftmaxCrossEntropyLoss`.
    pub(super) fn loss(&mut self, node: &NodeProto) -> Result<()> {
        let (scores, target) = (self.input(node, 0)?, self.input(node, 1)?);
        let classes = match scores.shape.as_slice() {
            [n, classes, rest @ ..] if target.shape.iter().eq([n].into_iter().chain(rest)) => *classes,
            _ => return Err(misfit(node, "classes that do not fit the scores")),
        };
        if scores.len() == 0 {
            return Err(unsupported(node, "a loss of nothing"));
        }
        let mut logs = self.axis_last(&scores, 1);
        if node.operator() == "SoftmaxCrossEntropyLoss" {
            let span = self.span(&logs);
            logs = Value::slot(&logs.shape, scores.kind, self.log_softmax(span, classes));
            let shown = self.axis_back(&logs, 1);
            self.give(node, 1, shown);
        }
        let weights = match self.opt(node, 2)? {
            Some(weights) if weights.len() != classes => {
                return Err(misfit(node, "weights that do not fit the classes"));
            }
            Some(weights) => weights,
            None => Value::known(&[classes], Kind::F32, vec![1.0; classes]),
        };
        let keys: Vec<f32> = (0..classes).map(|class| class as f32).collect();
        let ignored = node.find_attribute("ignore_index").and_then(|a| a.i);
        let counts = keys.iter().map(|key| f32::from(u8::from(ignored != Some(*key as i64)))).collect();
        let counts = Value::known(&[classes], Kind::Bool, counts);
        let weights = self.chosen(node, counts, weights, number(0.0))?;
        let span = self.span(&target);
        let hot = Value::slot(&logs.shape, Kind::Bool, self.program.one_hot(span, &keys));
        // An infinite logarithm of another class is not multiplied by 0.
        let own = self.chosen(node, hot.clone(), logs, number(0.0))?;
        let own = self.span(&own);
        let own = Value::slot(&target.shape, Kind::F32, self.program.reduce(Reduction::Sum, own, classes, 1));
        let weights = self.multiplied(node, &hot, &weights)?;
        let losses = self.zip(node, Binary::Multiply, &own, &weights, scores.kind)?;
        let losses = self.map(Unary::Negate, &losses, scores.kind);
        let sum = |packer: &mut Self, value: &Value| {
            let span = packer.span(value);
            Value::slot(&[], scores.kind, packer.program.reduce(Reduction::Sum, span, value.len(), 1))
        };
        let loss = match text(node, "reduction", "mean").as_str() {
            "none" => losses,
            "sum" => sum(self, &losses),
            "mean" => {
                let (losses, weights) = (sum(self, &losses), sum(self, &weights));
                self.zip(node, Binary::Divide, &losses, &weights, scores.kind)?
            }
            _ => return Err(unsupported(node, "this reduction")),
        };
        self.give(node, 0, loss);
        Ok(())
    }

    /// Packs `Adagrad`, `Adam` and `Momentum`: the rate, the number of steps before, all weights, all gradients, then the
    /// states of all.
    pub(super) fn optimised(&mut self, node: &NodeProto) -> Result<()> {
        let states = match node.operator() {
            "Adam" => 2,
            "Adagrad" | "Momentum" => 1,
            operator => return Err(unsupported(node, &format!("the operator `{operator}`"))),
        };
        let tensors = node.input.len().saturating_sub(2);
        if !tensors.is_multiple_of(2 + states) {
            return Err(misfit(node, "other numbers of gradients or states than of weights"));
        }
        let (rate, steps) = (self.input(node, 0)?, self.input(node, 1)?);
        if rate.len() != 1 || steps.len() != 1 {
            return Err(misfit(node, "more than one rate, or number of steps"));
        }
        let [rate, steps] = [rate, steps].map(|value| Value { shape: Vec::new(), ..value });
        let count = tensors / (2 + states);
        for i in 0..count {
            let of = |kind: usize| self.input(node, 2 + kind * count + i);
            let (weight, gradient) = (of(0)?, of(1)?);
            let own = (0..states).map(|state| of(2 + state)).collect::<Result<Vec<_>>>()?;
            if [&gradient].into_iter().chain(&own).any(|value| value.shape != weight.shape) {
                return Err(misfit(node, "a gradient or state that does not fit its weight"));
            }
            for (kind, value) in self.stepped(node, [&rate, &steps], &weight, &gradient, &own)?.into_iter().enumerate()
            {
                self.give(node, kind * count + i, value);
            }
        }
        Ok(())
    }

    /// A weight and its states after a step.
    fn stepped(
        &mut self,
        node: &NodeProto,
        [rate, steps]: [&Value; 2],
        weight: &Value,
        gradient: &Value,
        states: &[Value],
    ) -> Result<Vec<Value>> {
        use Binary::{Add, Divide, Greater, Multiply, Power, Subtract};
        let setting = |name: &str, default: f32| number(float(node, name, default));
        let mut of = |f: Binary, a: &Value, b: &Value| self.zip(node, f, a, b, Kind::F32);
        let norm = of(Multiply, weight, &setting("norm_coefficient", 0.0))?;
        let gradient = of(Add, &norm, gradient)?;
        let is_later = of(Greater, steps, &number(0.0))?;
        match node.operator() {
            "Adagrad" => {
                let square = of(Multiply, &gradient, &gradient)?;
                let sum = of(Add, &states[0], &square)?;
                let root = self.map(Unary::Sqrt, &sum, Kind::F32);
                let mut of = |f: Binary, a: &Value, b: &Value| self.zip(node, f, a, b, Kind::F32);
                let fade = of(Multiply, steps, &setting("decay_factor", 0.0))?;
                let fade = of(Add, &fade, &number(1.0))?;
                let rate = of(Divide, rate, &fade)?;
                let root = of(Add, &root, &setting("epsilon", 1e-6))?;
                let step = of(Divide, &gradient, &root)?;
                let step = of(Multiply, &step, &rate)?;
                Ok(vec![of(Subtract, weight, &step)?, sum])
            }
            "Adam" => {
                let (alpha, beta) = (float(node, "alpha", 0.9), float(node, "beta", 0.999));
                let square = of(Multiply, &gradient, &gradient)?;
                let mut after = Vec::new();
                for (state, new, by) in [(&states[0], &gradient, alpha), (&states[1], &square, beta)] {
                    let (kept, more) = (of(Multiply, state, &number(by))?, of(Multiply, new, &number(1.0 - by))?);
                    after.push(of(Add, &kept, &more)?);
                }
                let mut rest = Vec::new();
                for by in [alpha, beta] {
                    let power = of(Power, &number(by), steps)?;
                    rest.push(of(Subtract, &number(1.0), &power)?);
                }
                let root = self.map(Unary::Sqrt, &after[1], Kind::F32);
                let square = self.map(Unary::Sqrt, &rest[1], Kind::F32);
                let mut of = |f: Binary, a: &Value, b: &Value| self.zip(node, f, a, b, Kind::F32);
                let scaled = of(Multiply, rate, &square)?;
                let scaled = of(Divide, &scaled, &rest[0])?;
                let root = of(Add, &root, &setting("epsilon", 1e-6))?;
                let step = of(Divide, &after[0], &root)?;
                let rate = self.chosen(node, is_later, scaled, rate.clone())?;
                let step = self.zip(node, Multiply, &step, &rate, Kind::F32)?;
                let weight = self.zip(node, Subtract, weight, &step, Kind::F32)?;
                let kept = number(1.0 - float(node, "norm_coefficient_post", 0.0));
                let weight = self.zip(node, Multiply, &weight, &kept, Kind::F32)?;
                Ok([weight].into_iter().chain(after).collect())
            }
            _ => {
                let (alpha, beta) = (setting("alpha", 0.0), setting("beta", 0.0));
                let share = self.chosen(node, is_later, beta, number(1.0))?;
                let mut of = |f: Binary, a: &Value, b: &Value| self.zip(node, f, a, b, Kind::F32);
                let (kept, more) = (of(Multiply, &states[0], &alpha)?, of(Multiply, &gradient, &share)?);
                let state = of(Add, &kept, &more)?;
                let step = if text(node, "mode", "standard") == "nesterov" {
                    let ahead = of(Multiply, &state, &alpha)?;
                    of(Add, &gradient, &ahead)?
                } else {
                    state.clone()
                };
                let step = of(Multiply, &step, rate)?;
                Ok(vec![of(Subtract, weight, &step)?, state])
            }
        }
    }
}
