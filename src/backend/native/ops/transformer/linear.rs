//! `LinearAttention` and `CausalConvWithState`: layers that carry a state from one call to the next.

use smallvec::smallvec;

use super::scaled::Heads;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::wide::{floats, rounded};
use crate::backend::native::value::Value;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("LinearAttention", attention), ("CausalConvWithState", causal_conv)];

#[derive(Debug)]
struct LinearAttention {
    /// Of the queries, and of keys and values.
    heads: [usize; 2],
    /// Whether the state fades, and whether what it already knows of a key is taken off its value.
    gated: bool,
    delta: bool,
    scale: f64,
}

fn attention(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let heads = |name: &str| -> Result<usize> {
        let n = usize::try_from(node.int_or(name, 0)?).ok().filter(|&n| n > 0);
        n.ok_or_else(|| node.malformed(format!("LinearAttention needs `{name}`")))
    };
    let (gated, delta) = match node.string_or("update_rule", "gated_delta")? {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => return Err(node.malformed("an unknown `update_rule`").actual(other)),
    };
    let heads = [heads("q_num_heads")?, heads("kv_num_heads")?];
    if heads[0] % heads[1] != 0 || gated != node.has_input(4) || delta != node.has_input(5) {
        return Err(node.malformed("the heads or inputs of LinearAttention do not fit its `update_rule`"));
    }
    Ok(Box::new(LinearAttention { heads, gated, delta, scale: node.float_or("scale", 0.0)?.into() }))
}

#[cold]
fn wrong(what: &str, shape: &[usize]) -> Error {
    Error::new(ErrorKind::WrongShape, what).actual(shape_text(shape))
}

impl Op for LinearAttention {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let [q_heads, kv_heads] = self.heads;
        let query = args.get(0)?;
        let q = Heads::of(query, Some(q_heads))?;
        let (k, v) = (Heads::of(args.get(1)?, Some(kv_heads))?, Heads::of(args.get(2)?, Some(kv_heads))?);
        let (batch, steps, keys, size) = (q.batch, q.length, k.size, v.size);
        let same = k.batch == batch && v.batch == batch && k.length == steps && v.length == steps;
        if !same || q.size != keys || [q.heads, k.heads, v.heads] != [q_heads, kv_heads, kv_heads] {
            return Err(wrong("queries, keys and values of LinearAttention do not fit each other", query.shape()));
        }
        let state_shape = [batch, kv_heads, keys, size];
        let count = cx.check_shape(&state_shape)?;
        let past = args.opt(3).filter(|s| s.len() > 0 || count == 0);
        let mut states = match past {
            Some(past) if *past.shape() == state_shape => floats(past)?,
            Some(past) => return Err(wrong("the state of LinearAttention does not fit its keys", past.shape())),
            None => vec![0.0; count],
        };
        // (batch, steps, width), with a number for each head, for each key of a head, or for all.
        let gate = |i: usize, widths: [usize; 2]| -> Result<Option<(Vec<f64>, usize)>> {
            let Some(value) = args.opt(i) else { return Ok(None) };
            match *value.shape() {
                [b, t, width] if b == batch && t == steps && widths.contains(&width) => {
                    Ok(Some((floats(value)?, width)))
                }
                _ => Err(wrong("a gate of LinearAttention does not fit its heads", value.shape())),
            }
        };
        let decay = if self.gated { gate(4, [kv_heads, kv_heads * keys])? } else { None };
        let beta = if self.delta { gate(5, [kv_heads, 1])? } else { None };
        let scale = if self.scale == 0.0 { 1.0 / (keys as f64).sqrt() } else { self.scale };
        let (group, width) = (q_heads / kv_heads, q_heads * size);
        let mut out = vec![0.0; cx.check_shape(&[batch, steps, width])?];
        for (b, h) in (0..batch).flat_map(|b| (0..kv_heads).map(move |h| (b, h))) {
            let state = &mut states[(b * kv_heads + h) * keys * size..][..keys * size];
            for t in 0..steps {
                let key = k.row(b, h, t);
                let mut value = v.row(b, h, t).to_vec();
                if let Some((decay, width)) = &decay {
                    let row = &decay[(b * steps + t) * width..][..*width];
                    for (d, line) in state.chunks_exact_mut(size.max(1)).enumerate() {
                        let fade = if *width == kv_heads { row[h] } else { row[h * keys + d] }.exp();
                        line.iter_mut().for_each(|s| *s *= fade);
                    }
                }
                if let Some((beta, width)) = &beta {
                    let rate = beta[(b * steps + t) * width + if *width == 1 { 0 } else { h }];
                    for (m, value) in value.iter_mut().enumerate() {
                        let known: f64 = key.iter().enumerate().map(|(d, k)| k * state[d * size + m]).sum();
                        *value = rate * (*value - known);
                    }
                }
                for (line, k) in state.chunks_exact_mut(size.max(1)).zip(key) {
                    line.iter_mut().zip(&value).for_each(|(s, v)| *s += k * v);
                }
                for head in h * group..(h + 1) * group {
                    let answer = &mut out[(b * steps + t) * width + head * size..][..size];
                    for (line, q) in state.chunks_exact(size.max(1)).zip(q.row(b, head, t)) {
                        answer.iter_mut().zip(line).for_each(|(o, s)| *o += scale * q * s);
                    }
                }
            }
        }
        let like = past.unwrap_or(query).data();
        let state = rounded(states, state_shape.as_slice(), like);
        Ok(smallvec![rounded(out, [batch, steps, width].as_slice(), query.data()), state])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(|x| !x.only_first())
    }
}

/// A convolution of each channel by itself with what came before, and the end of that as the next state.
#[derive(Debug)]
struct CausalConv {
    silu: bool,
}

fn causal_conv(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let silu = match node.string_or("activation", "none")? {
        "none" => false,
        "silu" | "swish" => true,
        other => return Err(node.malformed("an unknown `activation`").actual(other)),
    };
    Ok(Box::new(CausalConv { silu }))
}

impl Op for CausalConv {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (value, weights) = (args.get(0)?, args.get(1)?);
        let (&[batch, channels, length], &[of, 1, reach]) = (value.shape(), weights.shape()) else {
            return Err(wrong(
                "CausalConvWithState takes (batch, channels, length) and weights (channels, 1, k)",
                value.shape(),
            ));
        };
        let given = |i: usize| args.opt(i).filter(|v| v.len() > 0);
        if of != channels || reach == 0 || given(2).is_some_and(|b| *b.shape() != [channels]) {
            return Err(wrong("the weights of CausalConvWithState do not fit its channels", weights.shape()));
        }
        let before = reach - 1;
        let state_shape = [batch, channels, before];
        cx.check_shape(&[batch, channels, before.saturating_add(length)])?;
        let past = match given(3) {
            Some(past) if *past.shape() == state_shape => floats(past)?,
            Some(past) => return Err(wrong("the state of CausalConvWithState does not fit its weights", past.shape())),
            None => vec![0.0; batch * channels * before],
        };
        let (items, weights) = (floats(value)?, floats(weights)?);
        let bias = given(2).map(floats).transpose()?;
        let (mut out, mut state) = (Vec::with_capacity(items.len()), Vec::with_capacity(past.len()));
        for line in 0..batch * channels {
            let channel = line % channels;
            let mut whole = past[line * before..(line + 1) * before].to_vec();
            whole.extend_from_slice(&items[line * length..(line + 1) * length]);
            let filter = &weights[channel * reach..(channel + 1) * reach];
            for window in whole.windows(reach) {
                let sum: f64 = window.iter().zip(filter).map(|(x, w)| x * w).sum();
                let sum = sum + bias.as_ref().map_or(0.0, |b| b[channel]);
                out.push(if self.silu { sum / (1.0 + (-sum).exp()) } else { sum });
            }
            state.extend_from_slice(&whole[length..]);
        }
        let answer: Value<'static> = rounded(out, value.shape(), value.data());
        Ok(smallvec![answer, rounded(state, state_shape.as_slice(), value.data())])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().enumerate().any(|(i, x)| if i == 0 || i == 3 { !x.only_first() } else { x.any() })
    }
}
