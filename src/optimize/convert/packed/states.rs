//! Layers that carry a state from step to step, written out step by step.

use super::attention::{number, scale_of};
use super::learned::text;
use super::network::misfit;
use super::values::{Packer, Value};
use crate::Result;
use crate::edge::{Binary, Kind, Unary};
use crate::onnx::node::int;
use crate::onnx::{NodeProto, builder};

impl Packer {
    /// `CausalConvWithState`: each channel with what came before it, and the end of that.
    pub(super) fn causal_convolution(&mut self, node: &NodeProto) -> Result<()> {
        let (x, w) = (self.input(node, 0)?, self.input(node, 1)?);
        let ([batch, channels, length], [_, 1, reach]) = (x.shape.as_slice(), w.shape.as_slice()) else {
            return Err(misfit(node, "weights that do not fit the channels"));
        };
        let before = reach.saturating_sub(1);
        let none = Value::known(&[*batch, *channels, before], Kind::F32, vec![0.0; batch * channels * before]);
        let past = self.opt(node, 3)?.filter(|past| past.len() > 0).unwrap_or(none);
        let whole = self.concat(node, &[past, x.clone()], 2)?;
        let all = |n: usize| (0..n).collect::<Vec<usize>>();
        let state = self.picked(&whole, &[all(*batch), all(*channels), (*length..length + before).collect()]);
        let bias = self.known(node, 2)?.filter(|bias| !bias.is_empty());
        let attributes = [builder::int("group", *channels as i64)];
        let plain = NodeProto { attribute: attributes.into_iter().collect(), ..node.clone() };
        let mut answer = self.convolved(&plain, &whole, &w, bias.as_deref())?;
        if text(node, "activation", "none") != "none" {
            let gate = self.map(Unary::Sigmoid, &answer, Kind::F32);
            answer = self.zip(node, Binary::Multiply, &answer, &gate, Kind::F32)?;
        }
        self.give(node, 0, answer);
        self.give(node, 1, state);
        Ok(())
    }

    /// `LinearAttention`: a state of keys by values for each head, to which every step adds.
    pub(super) fn linear_attention(&mut self, node: &NodeProto) -> Result<()> {
        let heads = |name: &str| usize::try_from(int(node, name, 0)).unwrap_or(0);
        let (queries, shared) = (heads("q_num_heads"), heads("kv_num_heads"));
        let mut parts = [self.input(node, 0)?, self.input(node, 1)?, self.input(node, 2)?];
        for (part, heads) in parts.iter_mut().zip([queries, shared, shared]) {
            *part = self.heads_of(node, part.clone(), heads)?;
        }
        let [q, k, v] = parts;
        let [batch, _, steps, keys] = *q.shape.as_slice() else {
            return Err(misfit(node, "queries without four axes"));
        };
        let size = v.rows().1;
        let shape = [batch, shared, keys, size];
        let none = Value::known(&shape, Kind::F32, vec![0.0; shape.iter().product()]);
        let mut state = self.opt(node, 3)?.filter(|state| state.len() > 0).unwrap_or(none);
        // (batch, steps, width), with a number for each head, each key of a head, or all.
        let mut gates = [self.opt(node, 4)?, self.opt(node, 5)?];
        for gate in gates.iter_mut().flatten() {
            let [_, _, width] = *gate.shape.as_slice() else {
                return Err(misfit(node, "a gate without three axes"));
            };
            let shape = if width == 1 { [batch, steps, 1, 1] } else { [batch, steps, shared, width / shared.max(1)] };
            if shape.iter().product::<usize>() != gate.len() {
                return Err(misfit(node, "a gate that does not fit the heads"));
            }
            let apart = Value { shape: shape.to_vec(), ..gate.clone() };
            *gate = self.permuted(&apart, &[0, 2, 1, 3]);
        }
        let scale = scale_of(node, keys);
        let mut answers = Vec::new();
        for t in 0..steps {
            let at = |packer: &mut Self, x: &Value| {
                let mut kept: Vec<Vec<usize>> = x.shape.iter().map(|n| (0..*n).collect()).collect();
                kept[2] = vec![t];
                packer.picked(x, &kept)
            };
            let (query, key, mut value) = (at(self, &q), at(self, &k), at(self, &v));
            if let Some(gate) = &gates[0] {
                let gate = at(self, gate);
                let fade = self.map(Unary::Exp, &self.turned(&gate), Kind::F32);
                state = self.zip(node, Binary::Multiply, &state, &fade, Kind::F32)?;
            }
            if let Some(gate) = &gates[1] {
                let known = self.multiplied(node, &key, &state)?;
                value = self.zip(node, Binary::Subtract, &value, &known, Kind::F32)?;
                let gate = at(self, gate);
                value = self.zip(node, Binary::Multiply, &value, &gate, Kind::F32)?;
            }
            let more = self.zip(node, Binary::Multiply, &self.turned(&key), &value, Kind::F32)?;
            state = self.zip(node, Binary::Add, &state, &more, Kind::F32)?;
            let own = self.repeated_heads(node, &state, queries)?;
            answers.push(self.multiplied(node, &query, &own)?);
        }
        let answer = self.concat(node, &answers, 2)?;
        let answer = self.zip(node, Binary::Multiply, &answer, &number(scale), Kind::F32)?;
        let answer = self.side_by_side(&answer);
        self.give(node, 0, answer);
        self.give(node, 1, state);
        Ok(())
    }

    /// One row of each head as a column.
    fn turned(&self, x: &Value) -> Value {
        let mut shape = x.shape.clone();
        shape.swap(2, 3);
        Value { shape, ..x.clone() }
    }
}
