//! Products of values that are quantised while the graph runs.

use super::Fused;
use super::view::View;
use crate::backend::native::ops::quant::FUSED;
use crate::onnx::node::input;
use crate::onnx::{AttributeProto, NodeProto, builder, data_type};

/// `DynamicQuantizeLinear`, `MatMulInteger` or `ConvInteger`, `Cast`, `Mul` by both scales, and after them `Add` of a bias
/// and `Relu` where they are there.
pub(super) fn product(view: &View<'_>, at: usize) -> Option<Fused> {
    let node = view.node(at);
    // How many axes lie behind the one along which the weights have scales and biases, and which axis of theirs it is.
    let (operator, behind, along) = match node.operator() {
        "MatMulInteger" => ("Linear", 0, 1),
        "ConvInteger" => ("Conv", 2, 0),
        _ => return None,
    };
    view.is(at, node.operator())?;
    let x = input(node, 0);
    let quantised = view.made_by(x, "DynamicQuantizeLinear")?;
    if quantised.output.first()? != x || quantised.output.get(2)? != input(node, 2) {
        return None;
    }
    let (weights, zero) = (input(node, 1), input(node, 3));
    let dims = &view.constant(weights)?.dims;
    let rank = if operator == "Linear" { 2 } else { 4 };
    let n = usize::try_from(*dims.get(along)?).ok().filter(|_| dims.len() == rank)?;
    if !zero.is_empty() {
        view.constant(zero)?;
    }
    let (_, cast) = view.next(node, "Cast")?;
    if cast.find_attribute("to")?.i? != i64::from(data_type::FLOAT) {
        return None;
    }
    let (mut last, scaled) = view.next(cast, "Mul")?;
    let factor = view.made_by(other(scaled, &cast.output[0])?, "Mul")?;
    let scale = other(factor, quantised.output.get(1)?)?;
    if view.len(scale)? != 1 {
        view.vector(scale, n, behind)?;
    }
    let mut given = scaled;
    let mut bias = "";
    if let Some((place, sum)) = view.next(given, "Add")
        && let Some(vector) = other(sum, &given.output[0]).and_then(|name| view.vector(name, n, behind))
    {
        (last, given, bias) = (place, sum, vector);
    }
    let mut attributes = vec![builder::int("dynamic", 1)];
    if let Some((place, relu)) = view.next(given, "Relu") {
        (last, given) = (place, relu);
        attributes.push(builder::int("relu", 1));
    }
    attributes.extend(node.attribute.iter().cloned());
    let inputs = [input(quantised, 0), "", "", weights, scale, zero, bias];
    Some((last, fused(node, operator, &inputs, &given.output[0], attributes)))
}

/// The other of two inputs.
pub(super) fn other<'n>(node: &'n NodeProto, one: &str) -> Option<&'n str> {
    match &node.input[..] {
        [a, b] if a == one => Some(b),
        [a, b] if b == one => Some(a),
        _ => None,
    }
}

/// A node of the fused operators, named after the one at its heart.
pub(super) fn fused(
    heart: &NodeProto,
    operator: &str,
    inputs: &[&str],
    output: &str,
    attributes: Vec<AttributeProto>,
) -> NodeProto {
    let mut node = builder::node(operator, FUSED, inputs, &[output], attributes);
    node.name = Some(heart.label());
    node
}
