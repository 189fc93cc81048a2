//! `Attention` of the standard domain, in f64: grouped heads, masks, causality, caches, soft caps.

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::wide::{floats, rounded};
use crate::backend::native::value::{Data, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Attention", build)];

/// Which scores are given as the last output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Given {
    Products,
    Capped,
    Masked,
    Probabilities,
}

#[derive(Debug)]
struct Attention {
    /// Of the queries, and of keys and values; needed where heads lie side by side.
    heads: [Option<usize>; 2],
    scale: Option<f64>,
    causal: bool,
    cap: f64,
    given: Given,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let heads = |name: &str| -> Result<Option<usize>> {
        let Some(n) = node.int(name)? else { return Ok(None) };
        let n = usize::try_from(n).ok().filter(|&n| n > 0);
        n.map(Some).ok_or_else(|| node.malformed(format!("`{name}` is at least one")))
    };
    let given = match node.int_or("qk_matmul_output_mode", 0)? {
        0 => Given::Products,
        1 => Given::Capped,
        2 => Given::Masked,
        3 => Given::Probabilities,
        other => return Err(node.malformed("an unknown `qk_matmul_output_mode`").actual(other)),
    };
    Ok(Box::new(Attention {
        heads: [heads("q_num_heads")?, heads("kv_num_heads")?],
        scale: node.float("scale")?.map(f64::from),
        causal: node.flag("is_causal", false)?,
        cap: node.float_or("softcap", 0.0)?.into(),
        given,
    }))
}

/// Queries, keys or values as (batch, heads, length, size).
pub(super) struct Heads {
    pub(super) items: Vec<f64>,
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) length: usize,
    pub(super) size: usize,
}

impl Heads {
    /// Of a value of four axes, or of three, the last of which holds `heads` side by side.
    pub(super) fn of(value: &Value<'_>, heads: Option<usize>) -> Result<Self> {
        let items = floats(value)?;
        match *value.shape() {
            [batch, heads, length, size] => Ok(Self { items, batch, heads, length, size }),
            [batch, length, width] if heads.is_some_and(|h| width % h == 0) => {
                let heads = heads.unwrap_or(1);
                let size = width / heads;
                let mut turned = Vec::with_capacity(items.len());
                for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
                    for i in 0..length {
                        turned.extend_from_slice(&items[((b * length + i) * heads + h) * size..][..size]);
                    }
                }
                Ok(Self { items: turned, batch, heads, length, size })
            }
            _ => Err(Error::new(
                ErrorKind::WrongShape,
                "attention takes (batch, heads, length, size), or three axes and the number of heads",
            )
            .actual(shape_text(value.shape()))),
        }
    }

    /// The row of a head.
    pub(super) fn row(&self, batch: usize, head: usize, i: usize) -> &[f64] {
        &self.items[((batch * self.heads + head) * self.length + i) * self.size..][..self.size]
    }

    /// These after those of `past`.
    fn after(self, past: &Self) -> Result<Self> {
        if (past.batch, past.heads, past.size) != (self.batch, self.heads, self.size) {
            return Err(Error::new(ErrorKind::WrongShape, "the past of an attention does not fit its keys and values"));
        }
        let (own, before) = (self.length * self.size, past.length * past.size);
        let mut items = Vec::with_capacity(self.items.len() + past.items.len());
        for head in 0..self.batch * self.heads {
            items.extend_from_slice(&past.items[head * before..(head + 1) * before]);
            items.extend_from_slice(&self.items[head * own..(head + 1) * own]);
        }
        Ok(Self { items, length: self.length + past.length, ..self })
    }

    fn value(self, like: &Data<'_>) -> Value<'static> {
        rounded(self.items, [self.batch, self.heads, self.length, self.size].as_slice(), like)
    }
}

/// What is added to the scores: a mask that broadcasts to (batch, heads, queries, keys), short ones filled up.
struct Mask {
    items: Vec<f64>,
    shape: [usize; 4],
}

impl Mask {
    fn of(value: &Value<'_>, fits: [usize; 4]) -> Result<Self> {
        let items = match value.data() {
            Data::Bool(keep) => keep.iter().map(|&k| if k { 0.0 } else { f64::NEG_INFINITY }).collect(),
            _ => floats(value)?,
        };
        let mut shape = [1; 4];
        let rank = value.rank();
        let wrong = || {
            Error::new(ErrorKind::WrongShape, "the mask of an attention does not fit its scores")
                .expected(shape_text(&fits))
                .actual(shape_text(value.shape()))
        };
        if rank > 4 {
            return Err(wrong());
        }
        shape[4 - rank..].copy_from_slice(value.shape());
        let broadcasts = (0..3).all(|axis| shape[axis] == 1 || shape[axis] == fits[axis]);
        if !broadcasts || shape[3] > fits[3] {
            return Err(wrong());
        }
        Ok(Self { items, shape })
    }

    fn at(&self, place: [usize; 3], key: usize) -> f64 {
        let [b, h, q] = [0, 1, 2].map(|axis| if self.shape[axis] == 1 { 0 } else { place[axis] });
        let keys = self.shape[3];
        let row = (b * self.shape[1] + h) * self.shape[2] + q;
        match key {
            key if key < keys => self.items[row * keys + key],
            _ => f64::NEG_INFINITY,
        }
    }
}

/// The softmax of a row, in place.
pub(super) fn softmax(row: &mut [f64]) {
    let most = row.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x));
    row.iter_mut().for_each(|x| *x = (*x - most).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|x| *x /= sum);
}

impl Op for Attention {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (q_value, k_value, v_value) = (args.get(0)?, args.get(1)?, args.get(2)?);
        let flat = q_value.rank() == 3;
        let q = Heads::of(q_value, self.heads[0])?;
        let (mut k, mut v) = (Heads::of(k_value, self.heads[1])?, Heads::of(v_value, self.heads[1])?);
        let past = match args.opt(4).filter(|p| p.len() > 0) {
            Some(past) => {
                let past = Heads::of(past, None)?;
                k = k.after(&past)?;
                past.length
            }
            None => 0,
        };
        if let Some(past) = args.opt(5).filter(|p| p.len() > 0) {
            v = v.after(&Heads::of(past, None)?)?;
        }
        let fits = k.batch == q.batch && v.batch == q.batch && k.size == q.size && k.length == v.length;
        if !fits || k.heads != v.heads || k.heads == 0 || q.heads % k.heads != 0 {
            return Err(Error::new(
                ErrorKind::WrongShape,
                "queries, keys and values of an attention do not fit each other",
            )
            .actual(format!(
                "{}, {}, {}",
                shape_text(q_value.shape()),
                shape_text(k_value.shape()),
                shape_text(v_value.shape())
            )));
        }
        let scores_shape = [q.batch, q.heads, q.length, k.length];
        let count = cx.check_shape(&scores_shape)?;
        let mask = args.opt(3).map(|m| Mask::of(m, scores_shape)).transpose()?;
        let lengths = args.opt(6).filter(|l| l.len() > 0).map(Value::to_i64s).transpose()?;
        if lengths.as_ref().is_some_and(|l| l.len() != q.batch) {
            return Err(Error::new(ErrorKind::WrongShape, "an attention takes one length for each of the batch")
                .expected(q.batch));
        }
        let scale = self.scale.unwrap_or(1.0 / (q.size as f64).sqrt());
        cx.check_shape(&[q.batch, q.heads, q.length, v.size])?;
        let mut out = vec![0.0; q.batch * q.heads * q.length * v.size];
        let mut shown = Vec::with_capacity(count);
        let (group, width) = (q.heads / k.heads, q.heads * v.size);
        for (b, h) in (0..q.batch).flat_map(|b| (0..q.heads).map(move |h| (b, h))) {
            for i in 0..q.length {
                let query = q.row(b, h, i);
                let mut row: Vec<f64> = (0..k.length)
                    .map(|j| scale * query.iter().zip(k.row(b, h / group, j)).map(|(a, b)| a * b).sum::<f64>())
                    .collect();
                let mut show = |given: Given, row: &[f64]| {
                    if self.given == given {
                        shown.extend_from_slice(row);
                    }
                };
                show(Given::Products, &row);
                if self.cap > 0.0 {
                    row.iter_mut().for_each(|x| *x = self.cap * (*x / self.cap).tanh());
                }
                show(Given::Capped, &row);
                for (j, score) in row.iter_mut().enumerate() {
                    if let Some(mask) = &mask {
                        *score += mask.at([b, h, i], j);
                    }
                    let hidden = (self.causal && j > past + i) || lengths.as_ref().is_some_and(|l| j as i64 >= l[b]);
                    if hidden {
                        *score = f64::NEG_INFINITY;
                    }
                }
                show(Given::Masked, &row);
                softmax(&mut row);
                show(Given::Probabilities, &row);
                let to = if flat {
                    (b * q.length + i) * width + h * v.size
                } else {
                    ((b * q.heads + h) * q.length + i) * v.size
                };
                let answer = &mut out[to..to + v.size];
                for (j, share) in row.iter().enumerate().filter(|(_, share)| **share != 0.0) {
                    answer.iter_mut().zip(v.row(b, h / group, j)).for_each(|(o, v)| *o += share * v);
                }
            }
        }
        let like = q_value.data();
        let answer = match flat {
            true => rounded(out, [q.batch, q.length, width].as_slice(), like),
            false => rounded(out, [q.batch, q.heads, q.length, v.size].as_slice(), like),
        };
        let shown = rounded(shown, scores_shape.as_slice(), like);
        Ok(smallvec![answer, k.value(k_value.data()), v.value(v_value.data()), shown])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().enumerate().any(|(i, x)| match i {
            0..=2 | 4..=6 => !x.only_first() || !x.any(),
            _ => !(x.rank() == 4 && x.only_first()) && x.any(),
        })
    }
}
