//! Attention, with its parts around it.

use super::network::misfit;
use super::values::{Data, Packer, Value, unsupported};
use crate::Result;
use crate::edge::{Binary, Kind, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::{float, int};

pub(super) fn number(x: f32) -> Value {
    Value::known(&[], Kind::F32, vec![x])
}

/// The attribute `scale`, or what heads of this size take without it.
pub(super) fn scale_of(node: &NodeProto, size: usize) -> f32 {
    match float(node, "scale", 0.0) {
        0.0 => 1.0 / (size as f32).sqrt(),
        scale => scale,
    }
}

impl Packer {
    /// Packs ONNX's `Attention`.
    pub(super) fn attention(&mut self, node: &NodeProto) -> Result<()> {
        let heads = |name: &str| usize::try_from(int(node, name, 0)).unwrap_or(0);
        let given = self.input(node, 0)?;
        let flat = given.shape.len() == 3;
        let q = self.heads_of(node, given.clone(), heads("q_num_heads"))?;
        let mut states = [self.input(node, 1)?, self.input(node, 2)?];
        let mut before = 0;
        for (i, state) in states.iter_mut().enumerate() {
            *state = self.heads_of(node, state.clone(), heads("kv_num_heads"))?;
            if let Some(past) = self.opt(node, 4 + i)?.filter(|past| past.len() > 0) {
                before = past.shape.get(2).copied().unwrap_or(0);
                *state = self.concat(node, &[past, state.clone()], 2)?;
            }
        }
        let [k, v] = states;
        self.give(node, 1, k.clone());
        self.give(node, 2, v.clone());
        let [batch, n, s, _] = *q.shape.as_slice() else { return Err(misfit(node, "queries without four axes")) };
        let [k, v] = [self.repeated_heads(node, &k, n)?, self.repeated_heads(node, &v, n)?];
        let t = k.shape[2];
        let mut scores = self.scores_of(node, &q, &k)?;
        let mut shown = vec![scores.clone()];
        let cap = float(node, "softcap", 0.0);
        if cap > 0.0 {
            let part = self.zip(node, Binary::Divide, &scores, &number(cap), Kind::F32)?;
            let part = self.map(Unary::Tanh, &part, Kind::F32);
            scores = self.zip(node, Binary::Multiply, &part, &number(cap), Kind::F32)?;
        }
        shown.push(scores.clone());
        if let Some(mask) = self.opt(node, 3)? {
            let mut mask = self.added(node, mask)?;
            // A short mask hides what is behind it.
            let (rows, own) = mask.rows();
            if own < t && own != 1 {
                let places: Vec<Option<usize>> =
                    (0..rows).flat_map(|row| (0..t).map(move |i| (i < own).then_some(row * own + i))).collect();
                let shape: Vec<usize> = mask.shape[..mask.shape.len() - 1].iter().copied().chain([t]).collect();
                mask = self.windows(&mask, &shape, &places, f32::NEG_INFINITY);
            }
            scores = self.zip(node, Binary::Add, &scores, &mask, Kind::F32)?;
        }
        if int(node, "is_causal", 0) != 0 {
            let seen = (0..s).flat_map(|i| (0..t).map(move |j| if j <= before + i { 0.0 } else { f32::NEG_INFINITY }));
            let hidden = Value::known(&[s, t], Kind::F32, seen.collect());
            scores = self.zip(node, Binary::Add, &scores, &hidden, Kind::F32)?;
        }
        if let Some(lengths) = self.opt(node, 6)?.filter(|lengths| lengths.len() > 0) {
            let places = Value::known(&[t], Kind::F32, (0..t).map(|j| j as f32).collect());
            let lengths = Value { shape: vec![batch, 1, 1, 1], ..lengths };
            let seen = self.zip(node, Binary::Less, &places, &lengths, Kind::Bool)?;
            let hidden = self.added(node, seen)?;
            scores = self.zip(node, Binary::Add, &scores, &hidden, Kind::F32)?;
        }
        shown.push(scores.clone());
        let shares = self.shares(node, &scores)?;
        shown.push(shares.clone());
        let answer = self.multiplied(node, &shares, &v)?;
        let answer = if flat { self.side_by_side(&answer) } else { answer };
        self.give(node, 0, answer);
        let wanted = usize::try_from(int(node, "qk_matmul_output_mode", 0)).unwrap_or(0);
        if let Some(shown) = shown.get(wanted) {
            self.give(node, 3, shown.clone());
        }
        Ok(())
    }

    /// Packs ONNX Runtime's `MultiHeadAttention`, as far as it loads: of queries, keys and values alone.
    pub(super) fn multi_head_attention(&mut self, node: &NodeProto) -> Result<Value> {
        let n = usize::try_from(int(node, "num_heads", 0)).unwrap_or(0);
        let more = node.input.iter().skip(3).chain(node.output.iter().skip(1)).any(|name| !name.is_empty());
        if more || int(node, "unidirectional", 0) != 0 {
            return Err(unsupported(node, "attention with a bias, a mask or a past"));
        }
        let [q, k, v] = [self.input(node, 0)?, self.input(node, 1)?, self.input(node, 2)?];
        let [q, k, v] = [self.heads_of(node, q, n)?, self.heads_of(node, k, n)?, self.heads_of(node, v, n)?];
        let scores = self.scores_of(node, &q, &k)?;
        let shares = self.shares(node, &scores)?;
        let answer = self.multiplied(node, &shares, &v)?;
        Ok(self.side_by_side(&answer))
    }

    /// Packs `FlexAttention`: attention whose scores and shares go through graphs of the file.
    pub(super) fn flex_attention(&mut self, node: &NodeProto) -> Result<()> {
        let [q, k, v] = [self.input(node, 0)?, self.input(node, 1)?, self.input(node, 2)?];
        let [_, n, _, _] = *q.shape.as_slice() else { return Err(misfit(node, "queries without four axes")) };
        let [k, v] = [self.repeated_heads(node, &k, n)?, self.repeated_heads(node, &v, n)?];
        let scores = self.scores_of(node, &q, &k)?;
        let scores = self.changed(node, "score_mod", scores)?;
        let shares = self.shares(node, &scores)?;
        let shares = self.changed(node, "prob_mod", shares)?;
        let answer = self.multiplied(node, &shares, &v)?;
        self.give(node, 0, Value { kind: v.kind, ..answer });
        Ok(())
    }

    /// What a graph of the node, where it has one of this name, makes of a value of the same shape.
    fn changed(&mut self, node: &NodeProto, name: &str, value: Value) -> Result<Value> {
        let Some(graph) = node.find_attribute(name).and_then(|a| a.g.as_deref()) else { return Ok(value) };
        let shape = value.shape.clone();
        let mut given = self.inside(node, graph, vec![value])?;
        given.pop().filter(|value| value.shape == shape).ok_or_else(|| misfit(node, "a graph that changes the shape"))
    }

    /// The products of all queries and keys, scaled.
    fn scores_of(&mut self, node: &NodeProto, q: &Value, k: &Value) -> Result<Value> {
        let turned = self.permuted(k, &[0, 1, 3, 2]);
        let products = self.multiplied(node, q, &turned)?;
        self.zip(node, Binary::Multiply, &products, &number(scale_of(node, q.rows().1)), Kind::F32)
    }

    /// Heads (batch, heads, length, size) of a value that has them, or has them side by side.
    pub(super) fn heads_of(&mut self, node: &NodeProto, x: Value, heads: usize) -> Result<Value> {
        match *x.shape.as_slice() {
            [_, _, _, _] => Ok(x),
            [batch, length, width] if heads > 0 && width % heads == 0 => {
                let apart = Value { shape: vec![batch, length, heads, width / heads], ..x };
                Ok(self.permuted(&apart, &[0, 2, 1, 3]))
            }
            _ => Err(misfit(node, "heads that do not divide what they are parts of")),
        }
    }

    /// (batch, heads, length, size) as (batch, length, heads x size).
    pub(super) fn side_by_side(&mut self, x: &Value) -> Value {
        let turned = self.permuted(x, &[0, 2, 1, 3]);
        let [batch, length, heads, size] = *turned.shape.as_slice() else { return turned };
        Value { shape: vec![batch, length, heads * size], ..turned }
    }

    /// Keys or values for `n` heads, of which several may share one.
    pub(super) fn repeated_heads(&mut self, node: &NodeProto, x: &Value, n: usize) -> Result<Value> {
        let own = x.shape.get(1).copied().unwrap_or(0);
        if own == n {
            return Ok(x.clone());
        }
        if own == 0 || !n.is_multiple_of(own) {
            return Err(misfit(node, "heads of queries that keys can't be shared among"));
        }
        let mut kept: Vec<Vec<usize>> = x.shape.iter().map(|n| (0..*n).collect()).collect();
        kept[1] = (0..n).map(|head| head / (n / own)).collect();
        Ok(self.picked(x, &kept))
    }

    /// A mask as what is added to scores.
    fn added(&mut self, node: &NodeProto, mask: Value) -> Result<Value> {
        if mask.kind != Kind::Bool {
            return Ok(mask);
        }
        if let Data::Known(items) = &mask.data {
            let items = items.iter().map(|x| if *x == 0.0 { f32::NEG_INFINITY } else { 0.0 }).collect();
            return Ok(Value::known(&mask.shape, Kind::F32, items));
        }
        if mask.len() == 0 {
            return Err(misfit(node, "a mask of nothing"));
        }
        let span = self.span(&mask);
        let (zero, hidden) = (self.program.constant(&[0.0]), self.program.constant(&[f32::NEG_INFINITY]));
        Ok(Value::slot(&mask.shape, Kind::F32, self.program.select(span, zero, hidden)))
    }

    /// The softmax along the last axis.
    fn shares(&mut self, node: &NodeProto, scores: &Value) -> Result<Value> {
        if scores.len() == 0 {
            return Err(misfit(node, "attention over nothing"));
        }
        let span = self.span(scores);
        Ok(Value::slot(&scores.shape, Kind::F32, self.program.softmax(span, scores.rows().1)))
    }

    /// `RotaryEmbedding`: pairs of numbers turned by the angles of their positions.
    pub(super) fn rotary(&mut self, node: &NodeProto, [cos, sin, places]: [usize; 3]) -> Result<Value> {
        let given = self.input(node, 0)?;
        let heads = usize::try_from(int(node, "num_heads", 0)).unwrap_or(0);
        let (mut cos, mut sin) = (self.input(node, cos)?, self.input(node, sin)?);
        let flat = given.shape.len() == 3;
        let x = if flat && heads == 0 {
            let [batch, length, width] = *given.shape.as_slice() else { return Err(misfit(node, "three axes")) };
            let size = 2 * cos.rows().1;
            if size == 0 || width % size != 0 {
                return Err(misfit(node, "heads that do not divide what they are parts of"));
            }
            let apart = Value { shape: vec![batch, length, width / size, size], ..given.clone() };
            self.permuted(&apart, &[0, 2, 1, 3])
        } else {
            self.heads_of(node, given.clone(), heads)?
        };
        let size = x.rows().1;
        let turned = match usize::try_from(int(node, "rotary_embedding_dim", 0)).unwrap_or(0) {
            0 => size,
            n => n,
        };
        let length = x.shape[2];
        if turned > size || turned % 2 != 0 {
            return Err(misfit(node, "a part to turn that is larger than a head"));
        }
        for table in [&mut cos, &mut sin] {
            let own = match self.opt(node, places)? {
                // ONNX Runtime gives the first position alone where there is one number.
                Some(Value { data: Data::Known(items), .. }) if items.len() == 1 && table.shape.len() == 2 => {
                    let at = (0..length).map(|i| items[0] + i as f32).collect();
                    self.taken(node, table, &Value::known(&[1, length], Kind::I64, at), 0)?
                }
                Some(places) if table.shape.len() == 2 => self.taken(node, table, &places, 0)?,
                _ => table.clone(),
            };
            let [batch, length, half] = *own.shape.as_slice() else {
                return Err(misfit(node, "angles of another number of axes"));
            };
            if half * 2 != turned {
                return Err(misfit(node, "angles for another number of pairs"));
            }
            *table = Value { shape: vec![batch, 1, length, half], ..own };
        }
        let all = |n: usize| (0..n).collect::<Vec<usize>>();
        let paired = int(node, "interleaved", 0) != 0;
        let pick = |packer: &mut Self, places: Vec<usize>| {
            let kept = [all(x.shape[0]), all(x.shape[1]), all(length), places];
            packer.picked(&x, &kept)
        };
        let half = turned / 2;
        let a = pick(self, (0..half).map(|i| if paired { 2 * i } else { i }).collect());
        let b = pick(self, (0..half).map(|i| if paired { 2 * i + 1 } else { half + i }).collect());
        let rest = pick(self, (turned..size).collect());
        let [ac, as_, bc, bs] = [(&a, &cos), (&a, &sin), (&b, &cos), (&b, &sin)]
            .map(|(x, by)| self.zip(node, Binary::Multiply, x, by, Kind::F32));
        let real = self.zip(node, Binary::Subtract, &ac?, &bs?, Kind::F32)?;
        let imaginary = self.zip(node, Binary::Add, &bc?, &as_?, Kind::F32)?;
        let mut whole = self.concat(node, &[real, imaginary], 3)?;
        if paired {
            let kept =
                [all(x.shape[0]), all(x.shape[1]), all(length), (0..turned).map(|i| i / 2 + i % 2 * half).collect()];
            whole = self.picked(&whole, &kept);
        }
        if turned < size {
            whole = self.concat(node, &[whole, rest], 3)?;
        }
        let whole = if flat { self.side_by_side(&whole) } else { whole };
        Ok(Value { kind: given.kind, ..whole })
    }
}
