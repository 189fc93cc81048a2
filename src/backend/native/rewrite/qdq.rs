//! Operators between `DequantizeLinear` and `QuantizeLinear`, on the 8-bit numbers themselves.

use super::Fused;
use super::dynamic::fused;
use super::view::View;
use crate::onnx::node::{float, input, int};
use crate::onnx::{NodeProto, TensorData, builder, data_type};

/// What a `DequantizeLinear` reads.
struct Quantised<'g> {
    x: &'g str,
    scale: &'g str,
    zero: &'g str,
}

/// The 8-bit numbers that `name` stands for, with one scale for all.
fn quantised<'g>(view: &View<'g>, name: &str) -> Option<Quantised<'g>> {
    let node = view.made_by(name, "DequantizeLinear")?;
    let [x, scale, zero] = [0, 1, 2].map(|i| input(node, i));
    (view.len(scale)? == 1 && view.constant(x).is_none() && eight_bits(view, zero)).then_some(Quantised {
        x,
        scale,
        zero,
    })
}

/// The same, or constant 8-bit numbers.
fn any_quantised<'g>(view: &View<'g>, name: &str) -> Option<Quantised<'g>> {
    let node = view.made_by(name, "DequantizeLinear")?;
    let [x, scale, zero] = [0, 1, 2].map(|i| input(node, i));
    let eight = view.constant(x).is_none_or(|t| matches!(t.data_type, Some(data_type::UINT8 | data_type::INT8)));
    (view.len(scale)? == 1 && eight && eight_bits(view, zero)).then_some(Quantised { x, scale, zero })
}

/// `MatMul` of two computed values, and sums, products and softmaxes, between dequantisations and a quantisation: the
/// operators that ONNX Runtime's quantiser has for them.
pub(super) fn pair(view: &View<'_>, at: usize) -> Option<Fused> {
    let node = view.node(at);
    let (operator, domain) = match node.operator() {
        "MatMul" => ("QLinearMatMul", ""),
        "Add" => ("QLinearAdd", "com.microsoft"),
        "Mul" => ("QLinearMul", "com.microsoft"),
        "Sigmoid" => ("QLinearSigmoid", "com.microsoft"),
        "Softmax" if node.find_attribute("axis").and_then(|a| a.i) == Some(-1) => ("QLinearSoftmax", "com.microsoft"),
        _ => return None,
    };
    view.is(at, node.operator())?;
    let (last, next) = next_quantise(view, node)?;
    let mut inputs = Vec::new();
    for name in &node.input {
        let from = any_quantised(view, name)?;
        inputs.extend([from.x, from.scale, from.zero]);
    }
    inputs.extend([input(next, 1), input(next, 2)]);
    let mut made = builder::node(operator, domain, &inputs, &[next.output.first()?], Vec::new());
    made.name = Some(node.label());
    Some((last, made))
}

/// Whether a zero point is a constant of 8 bits; none is one of u8.
fn eight_bits(view: &View<'_>, zero: &str) -> bool {
    let code = view.constant(zero).and_then(|t| t.data_type);
    zero.is_empty() || matches!(code, Some(data_type::UINT8 | data_type::INT8))
}

/// The `QuantizeLinear` with one scale for all that alone uses what `node` gives.
fn next_quantise<'g>(view: &View<'g>, node: &NodeProto) -> Option<(usize, &'g NodeProto)> {
    let (at, next) = view.next(node, "QuantizeLinear")?;
    (view.len(input(next, 1))? == 1 && eight_bits(view, input(next, 2))).then_some((at, next))
}

/// Operators that only move or choose elements, between a dequantisation and a quantisation by the same scale.
pub(super) fn movement(view: &View<'_>, at: usize) -> Option<Fused> {
    let last = view.is(at, "QuantizeLinear")?;
    let node = view.node(view.producer(input(last, 0))?);
    let moves = ["Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "MaxPool"];
    if !moves.contains(&node.operator()) || node.output.len() != 1 || view.only_user(&node.output[0]) != Some(at) {
        return None;
    }
    let from = quantised(view, input(node, 0))?;
    if !view.same(from.scale, input(last, 1)) || !same_zero(view, from.zero, input(last, 2)) {
        return None;
    }
    let mut moved = node.clone();
    moved.input[0] = from.x.to_owned();
    moved.output[0] = last.output.first()?.clone();
    Some((at, moved))
}

fn same_zero(view: &View<'_>, a: &str, b: &str) -> bool {
    (a.is_empty() && b.is_empty()) || (!a.is_empty() && !b.is_empty() && view.same(a, b))
}

/// `MatMul`, `Gemm` or `Conv` of dequantised values with dequantised constant weights.
pub(super) fn product(view: &View<'_>, at: usize) -> Option<Fused> {
    let node = view.node(at);
    let gemm = node.operator() == "Gemm";
    let (operator, rank) = match node.operator() {
        "MatMul" | "Gemm" => ("Linear", 2),
        "Conv" => ("Conv", 4),
        _ => return None,
    };
    view.is(at, node.operator())?;
    if gemm && (float(node, "alpha", 1.0) != 1.0 || int(node, "transA", 0) != 0 || float(node, "beta", 1.0) != 1.0) {
        return None;
    }
    let from = quantised(view, input(node, 0))?;
    let weights = view.made_by(input(node, 1), "DequantizeLinear")?;
    let [w, w_scale, w_zero] = [0, 1, 2].map(|i| input(weights, i));
    let dims = &view.constant(w)?.dims;
    let along = if operator == "Conv" || int(node, "transB", 0) != 0 { 0 } else { 1 };
    let n = usize::try_from(*dims.get(along)?).ok().filter(|_| dims.len() == rank)?;
    let axis = int(weights, "axis", 1);
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    let scales = view.len(w_scale)?;
    if !eight_bits(view, w_zero)
        || int(weights, "block_size", 0) != 0
        || !(scales == 1 || (scales == n && axis == along as i64))
    {
        return None;
    }
    let bias = match input(node, 2) {
        "" => "",
        name => bias(view, name, n, [from.scale, w_scale])?,
    };
    let mut attributes = node.attribute.clone();
    let (mut last, mut given) = (at, node);
    if let Some((place, relu)) = view.next(given, "Relu") {
        (last, given) = (place, relu);
        attributes.push(builder::int("relu", 1));
    }
    let (mut y_scale, mut y_zero) = ("", "");
    if let Some((place, next)) = next_quantise(view, given) {
        (last, given, y_scale, y_zero) = (place, next, input(next, 1), input(next, 2));
    }
    // What quantises the input for this product alone is merged as well, unless what gives that takes it itself.
    let takes = ["MatMul", "Gemm", "Conv", "Relu", "Add", "Mul", "Sigmoid", "Softmax"];
    let mut x = from.x;
    if let Some(first) = view.made_by(x, "QuantizeLinear")
        && view.only_user(x).is_some()
        && view.producer(input(first, 0)).is_none_or(|at| !takes.contains(&view.node(at).operator()))
        && view.only_user(input(node, 0)) == Some(at)
        && view.same(input(first, 1), from.scale)
        && same_zero(view, input(first, 2), from.zero)
    {
        x = input(first, 0);
    }
    let inputs = [x, from.scale, from.zero, w, w_scale, w_zero, bias, y_scale, y_zero];
    Some((last, fused(node, operator, &inputs, given.output.first()?, attributes)))
}

/// The constant that a bias of `n` elements stands for: floats, or integers whose scale is the product of those of input
/// and weights.
fn bias<'g>(view: &View<'g>, name: &'g str, n: usize, scales: [&str; 2]) -> Option<&'g str> {
    let Some(node) = view.made_by(name, "DequantizeLinear") else {
        return view.vector(name, n, 0).filter(|_| view.constant(name).is_some());
    };
    let (x, zero) = (input(node, 0), input(node, 2));
    if view.constant(x)?.data_type != Some(data_type::INT32) || view.len(x)? != n {
        return None;
    }
    let floats = |name| match view.values(name)?.data {
        TensorData::F32(items) => Some(items),
        _ => None,
    };
    let [own, of_x, of_weights] = [input(node, 1), scales[0], scales[1]].map(floats);
    let (own, of_x, of_weights) = (own?, of_x?, of_weights?);
    let one = |all: &[f32], j: usize| all.get(if all.len() == 1 { 0 } else { j }).copied();
    let fits = (0..n).all(|j| match (one(&own, j), one(&of_weights, j)) {
        (Some(own), Some(w)) => (own - of_x[0] * w).abs() <= 1e-3 * own.abs(),
        _ => false,
    });
    let zeros = zero.is_empty() || matches!(view.values(zero)?.data, TensorData::I32(z) if z.iter().all(|&z| z == 0));
    (fits && zeros).then_some(x)
}
