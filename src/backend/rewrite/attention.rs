//! `Attention` of ONNX Runtime's transformer fusion, and `QAttention`, which its quantiser makes of it.

use super::Rule;
use super::qdq::{dequantized, weights};
use super::site::Site;
use crate::Result;
use crate::onnx::{TensorData, builder, data_type};

const MS: &str = "com.microsoft";

pub(super) const RULES: &[(&str, &str, Rule)] = &[(MS, "Attention", attention), (MS, "QAttention", q_attention)];

/// What both operators take.
struct Parts<'g> {
    /// (m, s, h)
    x: String,
    /// (h, 3 k) or of three widths, all of one query, key and value after the other.
    weights: &'g str,
    /// The weights as float32.
    values: Vec<f32>,
    bias: &'g str,
    mask: &'g str,
    past: &'g str,
}

/// Input, weights, bias, mask, past state, a bias of the scores.
fn attention(site: &mut Site<'_>) -> Result<()> {
    if !site.input(5).is_empty() || !site.input(6).is_empty() {
        return Err(site.unsupported("`Attention` with a bias of the scores or a shared past is not taken"));
    }
    let weights = site.required(1)?;
    let TensorData::F32(values) = site.values(weights)?.data else {
        return Err(site.unsupported("the weights of `Attention` are taken as float32"));
    };
    let (bias, mask, past) = (site.input(2), site.input(3), site.input(4));
    run(site, Parts { x: site.required(0)?.to_owned(), weights, values, bias, mask, past })
}

/// Input, weights, bias, their scales, a mask, their zero points, past state.
fn q_attention(site: &mut Site<'_>) -> Result<()> {
    let x = dequantized(site, [site.required(0)?, site.required(3)?, site.input(6)], 1)?;
    let weights = site.required(1)?;
    let values = columns(site, weights, [site.required(4)?, site.input(7)])?;
    let (bias, mask, past) = (site.required(2)?, site.input(5), site.input(8));
    run(site, Parts { x, weights, values, bias, mask, past })
}

/// 8-bit weights (h, k) with one scale or one for each column, as float32.
fn columns(site: &Site<'_>, name: &str, [scale, zero]: [&str; 2]) -> Result<Vec<f32>> {
    let width = site.values(name)?.dims.last().copied().unwrap_or_default();
    let scales = weights(site, scale)?;
    let zeros = if zero.is_empty() { vec![0.0] } else { weights(site, zero)? };
    if [&scales, &zeros].iter().any(|all| all.len() != 1 && all.len() != width) || width == 0 {
        return Err(site.malformed("there must be one scale and zero point, or one for each column of the weights"));
    }
    let mut values = weights(site, name)?;
    for (at, v) in values.iter_mut().enumerate() {
        let column = at % width;
        *v = (*v - zeros[column % zeros.len()]) * scales[column % scales.len()];
    }
    Ok(values)
}

fn run(site: &mut Site<'_>, parts: Parts<'_>) -> Result<()> {
    let heads = site.int("num_heads", 0);
    let dims = site.values(parts.weights)?.dims;
    let [h, width] = dims[..] else { return Err(site.malformed("the weights of attention have two axes")) };
    let widths: Vec<usize> = match site.ints("qkv_hidden_sizes") {
        [] => vec![width / 3; 3],
        sizes => sizes.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect(),
    };
    let per_head = |n: usize| if heads > 0 && n as i64 % heads == 0 { n as i64 / heads } else { 0 };
    let fits = widths.len() == 3
        && widths.iter().try_fold(0usize, |sum, n| sum.checked_add(*n)) == Some(width)
        && widths.iter().all(|n| per_head(*n) > 0)
        && widths[0] == widths[1];
    if !fits {
        return Err(site.malformed("the weights of attention do not divide into queries, keys and values of all heads"));
    }
    if site.int("do_rotary", 0) != 0 {
        return Err(site.unsupported("attention with rotary positions is not taken"));
    }
    let bias = if parts.bias.is_empty() { vec![0.0; width] } else { weights(site, parts.bias)? };
    if bias.len() != width {
        return Err(site.malformed("the bias of attention does not fit its weights"));
    }
    let (mut made, mut from) = (Vec::new(), 0);
    for n in &widths {
        let part: Vec<f32> = (0..h).flat_map(|row| &parts.values[row * width + from..][..*n]).copied().collect();
        let w = site.tensor("weights", &[h, *n], part)?;
        let b = site.tensor("bias", &[*n], bias[from..from + n].to_vec())?;
        let product = site.add("MatMul", &[&parts.x, &w], Vec::new());
        let sum = site.add("Add", &[&product, &b], Vec::new());
        let split = site.reshaped(&sum, &[0, 0, heads, per_head(*n)])?;
        made.push(site.add("Transpose", &[&split], vec![builder::ints("perm", [0, 2, 1, 3])]));
        from += n;
    }
    // All (m, heads, s, width of a head).
    let [q, mut k, mut v] = [made[0].clone(), made[1].clone(), made[2].clone()];
    if !parts.past.is_empty() {
        for (at, now) in [(0, &mut k), (1, &mut v)] {
            let index = site.whole(at)?;
            let before = site.add("Gather", &[parts.past, &index], vec![builder::int("axis", 0)]);
            *now = site.add("Concat", &[&before, now], vec![builder::int("axis", 2)]);
        }
    }
    let turned = site.add("Transpose", &[&k], vec![builder::ints("perm", [0, 1, 3, 2])]);
    let mut scores = site.add("MatMul", &[&q, &turned], Vec::new());
    let usual = 1.0 / (per_head(widths[0]) as f32).sqrt();
    let scale = match site.float("scale", 0.0) {
        0.0 => usual,
        given => given,
    };
    let scale = site.tensor("scale", &[], vec![scale])?;
    scores = site.add("Mul", &[&scores, &scale], Vec::new());
    if let Some(hidden) = mask(site, parts.mask, &scores)? {
        scores = site.add("Add", &[&scores, &hidden], Vec::new());
    }
    if site.int("unidirectional", 0) != 0 {
        let hidden = later(site, &q, &k)?;
        scores = site.add("Add", &[&scores, &hidden], Vec::new());
    }
    let shares = site.add("Softmax", &[&scores], vec![builder::int("axis", 3)]);
    let mixed = site.add("MatMul", &[&shares, &v], Vec::new());
    let mixed = site.add("Transpose", &[&mixed], vec![builder::ints("perm", [0, 2, 1, 3])]);
    let shape = site.tensor("shape", &[3], vec![0, 0, widths[2] as i64])?;
    site.give(0, "Reshape", &[&mixed, &shape], Vec::new());
    if site.gives(1) {
        let (k, v) = (site.unsqueezed(&k, &[0])?, site.unsqueezed(&v, &[0])?);
        site.give(1, "Concat", &[&k, &v], vec![builder::int("axis", 0)]);
    }
    Ok(())
}

/// What is added to the scores (m, heads, s, t) of places that a mask hides, to broadcast against them.
///
/// A mask is (m, t) or (m, s, t) with 0 where it hides, or (m) with the number of places that count.
fn mask(site: &mut Site<'_>, mask: &str, scores: &str) -> Result<Option<String>> {
    if mask.is_empty() {
        return Ok(None);
    }
    let seen = match site.rank(mask) {
        Some(1) => {
            let (zero, one) = (site.whole(0)?, site.whole(1)?);
            let length = site.length(scores, 3)?;
            let places = site.add("Range", &[&zero, &length, &one], Vec::new());
            let counts = site.cast(mask, data_type::INT64);
            let counts = site.reshaped(&counts, &[-1, 1])?;
            let seen = site.add("Less", &[&places, &counts], Vec::new());
            site.unsqueezed(&seen, &[1, 2])?
        }
        Some(2) => site.unsqueezed(mask, &[1, 2])?,
        Some(3) => site.unsqueezed(mask, &[1])?,
        _ => return Err(site.unsupported("attention takes a mask only where it is told how many axes the mask has")),
    };
    let seen = site.float_of(&seen);
    let one = site.tensor("one", &[], vec![1.0f32])?;
    let hidden = site.add("Sub", &[&one, &seen], Vec::new());
    let filter = filter(site)?;
    Ok(Some(site.add("Mul", &[&hidden, &filter], Vec::new())))
}

fn filter(site: &mut Site<'_>) -> Result<String> {
    let filter = site.float("mask_filter_value", -10_000.0);
    site.tensor("filter", &[], vec![filter])
}

/// What is added to the scores of places that come later than the one that looks, (s, t).
fn later(site: &mut Site<'_>, q: &str, k: &str) -> Result<String> {
    let (zero, one) = (site.whole(0)?, site.whole(1)?);
    let (s, t) = (site.length(q, 2)?, site.length(k, 2)?);
    let places = site.add("Range", &[&zero, &t, &one], Vec::new());
    // With a past, the first that looks stands after it.
    let before = site.add("Sub", &[&t, &s], Vec::new());
    let own = site.add("Range", &[&before, &t, &one], Vec::new());
    let own = site.reshaped(&own, &[-1, 1])?;
    let hidden = site.add("Greater", &[&places, &own], Vec::new());
    let hidden = site.float_of(&hidden);
    let filter = filter(site)?;
    Ok(site.add("Mul", &[&hidden, &filter], Vec::new()))
}
