//! The blocks of transformers: attention, GELU written with `Erf`, normalisation of a sum.

use super::Fused;
use super::dynamic::{fused, other};
use super::view::View;
use crate::backend::native::ops::quant::FUSED;
use crate::onnx::node::{input, int};
use crate::onnx::{NodeProto, builder};

/// `Add` and `Mul` with a constant first, the other way round: what follows looks for it second.
pub(super) fn commuted(view: &View<'_>, at: usize) -> Option<Fused> {
    let node = view.is(at, "Add").or_else(|| view.is(at, "Mul"))?;
    let [a, b] = &node.input[..] else { return None };
    (view.constant(a).is_some() && view.constant(b).is_none()).then(|| {
        let mut turned = node.clone();
        turned.input.swap(0, 1);
        (at, turned)
    })
}

/// Whether `name` is a constant of one float near `value`.
fn is_near(view: &View<'_>, name: &str, value: f32) -> bool {
    view.scalar(name).is_some_and(|x| (x - value).abs() <= 1e-4 * value)
}

/// x / 2 (1 + erf(x / sqrt 2)), in the orders in which it is written.
pub(super) fn gelu(view: &View<'_>, at: usize) -> Option<Fused> {
    let node = view.is(at, "Erf")?;
    let inner = view.node(view.producer(input(node, 0))?);
    let x = input(inner, 0);
    let root = std::f32::consts::SQRT_2;
    let scaled = match inner.operator() {
        "Div" => is_near(view, input(inner, 1), root),
        "Mul" => is_near(view, input(inner, 1), 1.0 / root),
        _ => false,
    };
    let (_, sum) = view.next(node, "Add")?;
    if !scaled || !is_near(view, other(sum, &node.output[0])?, 1.0) {
        return None;
    }
    let (first_at, first) = view.next(sum, "Mul")?;
    let factor = other(first, &sum.output[0])?;
    let half_of_x = |name: &str| {
        view.made_by(name, "Mul").is_some_and(|m| other(m, x).is_some_and(|half| is_near(view, half, 0.5)))
    };
    let (last, given) = if half_of_x(factor) {
        (first_at, first)
    } else {
        let (last, second) = view.next(first, "Mul")?;
        let rest = other(second, &first.output[0])?;
        let fits = (factor == x && is_near(view, rest, 0.5)) || (rest == x && is_near(view, factor, 0.5));
        fits.then_some((last, second))?
    };
    let mut made = builder::node("Gelu", "com.microsoft", &[x], &[given.output.first()?], Vec::new());
    made.name = Some(node.label());
    Some((last, made))
}

/// `LayerNormalization` along the last axis, of a sum where nothing else needs that.
pub(super) fn norm(view: &View<'_>, at: usize) -> Option<Fused> {
    let node = view.is(at, "LayerNormalization")?;
    let (scale, shift) = (input(node, 1), input(node, 2));
    let n = view.len(scale)?;
    view.vector(scale, n, 0)?;
    if node.output.len() != 1 || int(node, "axis", -1) != -1 || int(node, "stash_type", 1) != 1 {
        return None;
    }
    if !shift.is_empty() {
        view.vector(shift, n, 0)?;
    }
    let x = input(node, 0);
    let terms = match view.made_by(x, "Add") {
        Some(sum) if view.only_user(x) == Some(at) && sum.input.iter().all(|t| view.constant(t).is_none()) => {
            [input(sum, 0), input(sum, 1)]
        }
        _ => [x, ""],
    };
    let inputs = [terms[0], terms[1], scale, shift];
    Some((at, fused(node, "Norm", &inputs, &node.output[0], node.attribute.clone())))
}

/// The input of a `Transpose` with these axes.
fn turned<'g>(view: &View<'g>, name: &str, axes: [i64; 4]) -> Option<&'g str> {
    let node = view.made_by(name, "Transpose")?;
    (node.find_attribute("perm")?.ints == axes).then(|| input(node, 0))
}

/// Softmax of products of queries and keys, times values.
pub(super) fn attention(view: &View<'_>, at: usize) -> Option<Fused> {
    let node = view.is(at, "Softmax")?;
    // Before operator set 13 the axis is 1 where it is not given, so that it must be.
    if node.find_attribute("axis")?.i? != -1 {
        return None;
    }
    let sole = |name: &str| view.only_user(name).is_some();
    let mut name = input(node, 0);
    let mut mask = "";
    if let Some(sum) = view.made_by(name, "Add").filter(|_| sole(name)) {
        let leads = |name: &str| {
            let from = view.producer(name).map(|at| view.node(at).operator());
            sole(name) && matches!(from, Some("MatMul" | "Div" | "Mul"))
        };
        let [a, b] = &sum.input[..] else { return None };
        (name, mask) = if leads(a) {
            (a, b)
        } else if leads(b) {
            (b, a)
        } else {
            return None;
        };
    }
    let mut scale = 1.0;
    if let Some(division) = view.made_by(name, "Div").filter(|_| sole(name)) {
        scale = 1.0 / view.scalar(input(division, 1))?;
        name = input(division, 0);
    } else if let Some(product) = view.made_by(name, "Mul").filter(|_| sole(name)) {
        scale = view.scalar(input(product, 1))?;
        name = input(product, 0);
    }
    let scores = view.made_by(name, "MatMul").filter(|_| sole(name))?;
    let (mut q, mut k) = (input(scores, 0), input(scores, 1));
    let (_, product) = view.next(node, "MatMul")?;
    if input(product, 0) != node.output[0] || [q, k, input(product, 1)].iter().any(|n| view.constant(n).is_some()) {
        return None;
    }
    let mut v = input(product, 1);
    let heads_last = [0, 2, 1, 3];
    let mut flags = [0; 4];
    if let Some(source) = turned(view, q, heads_last) {
        (q, flags[0]) = (source, 1);
    }
    if let Some(source) = turned(view, k, [0, 2, 3, 1]) {
        (k, flags[1]) = (source, 1);
    } else if let Some(source) = turned(view, k, [0, 1, 3, 2]) {
        (k, flags[1]) = turned(view, source, heads_last).map_or((source, 2), |source| (source, 1));
    }
    if let Some(source) = turned(view, v, heads_last) {
        (v, flags[2]) = (source, 1);
    }
    let (mut last, mut given) = (view.only_user(&node.output[0])?, product);
    if let Some((place, transpose)) = view.next(product, "Transpose")
        && transpose.find_attribute("perm").is_some_and(|p| p.ints == heads_last)
    {
        (last, given, flags[3]) = (place, transpose, 1);
    }
    let names = ["q_heads_last", "k_form", "v_heads_last", "out_heads_last"];
    let mut attributes: Vec<_> = names.iter().zip(flags).map(|(name, flag)| builder::int(name, flag)).collect();
    attributes.push(builder::float("scale", scale));
    let made: NodeProto = fused(node, "Attention", &[q, k, v, mask], &given.output[0], attributes);
    debug_assert_eq!(made.operator_domain(), FUSED);
    Some((last, made))
}
