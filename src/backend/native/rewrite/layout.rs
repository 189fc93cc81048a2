//! Which images stay channels last between convolutions, pools and what maps single elements.

use std::collections::HashSet;

use super::Fused;
use super::view::View;
use crate::Limits;
use crate::backend::native::ops::quant::FUSED;
use crate::onnx::node::input;
use crate::onnx::{GraphProto, NodeProto, builder};

/// What a node does with images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Reads and gives them either way, each on its own.
    Windows,
    /// Reads them either way; what it gives, one number a channel, lies the same either way.
    Whole,
    /// Gives them as it reads them.
    Elements,
    /// Knows them channels first only.
    Other,
}

/// Operators that map single elements of input 0 by constants of one element.
const MAPS: &[&str] = &[
    "Relu",
    "LeakyRelu",
    "HardSwish",
    "HardSigmoid",
    "Sigmoid",
    "Tanh",
    "Elu",
    "Clip",
    "Mish",
    "Gelu",
    "Softplus",
    "QuantizeLinear",
    "DequantizeLinear",
    "Identity",
];

fn role(view: &View<'_>, at: usize) -> Role {
    let node = view.node(at);
    let convolution = |weights: usize| view.constant(input(node, weights)).is_some_and(|w| w.dims.len() == 4);
    let pool = || node.find_attribute("kernel_shape").is_some_and(|k| k.ints.len() == 2) && node.output.len() == 1;
    let small = || node.input[1..].iter().all(|name| name.is_empty() || view.len(name) == Some(1));
    match (node.operator_domain(), node.operator()) {
        (FUSED, "Conv") | ("", "QLinearConv") if convolution(3) => Role::Windows,
        ("" | FUSED, "Conv" | "ConvInteger" | "FloatConv") if convolution(1) => Role::Windows,
        ("", "MaxPool" | "AveragePool") if pool() => Role::Windows,
        ("", "GlobalAveragePool" | "GlobalMaxPool") => Role::Whole,
        ("", op) if MAPS.contains(&op) && !node.input.is_empty() && node.output.len() == 1 && small() => Role::Elements,
        // Two images, or an image and one number; anything else would be stretched along an axis.
        ("", "Add" | "Mul" | "Sub" | "Div" | "Sum") if node.input.len() == 2 => Role::Elements,
        _ => Role::Other,
    }
}

/// The names of the values that lie channels last.
fn channels_last<'g>(view: &View<'g>, roles: &[Role]) -> HashSet<&'g str> {
    let graph = view.graph;
    let outputs: HashSet<&str> = graph.output.iter().filter_map(|o| o.name.as_deref()).collect();
    let mut last: HashSet<&str> = HashSet::new();
    for (node, role) in graph.node.iter().zip(roles) {
        if matches!(role, Role::Windows | Role::Elements) {
            last.extend(node.output.iter().map(String::as_str).filter(|o| !outputs.contains(o) && !view.kept(o)));
        }
    }
    // What anyone needs channels first, or cannot be given otherwise, is taken out until nothing changes.
    loop {
        let before = last.len();
        for (node, role) in graph.node.iter().zip(roles) {
            let images = node.input.iter().map(String::as_str);
            match role {
                Role::Windows | Role::Whole => {
                    // Weights and parameters are no images.
                    for name in images.skip(1) {
                        last.remove(name);
                    }
                }
                Role::Elements => {
                    let operands: Vec<&str> = images.filter(|name| view.len(name) != Some(1)).collect();
                    let given = node.output.first().map(String::as_str).unwrap_or_default();
                    if !operands.iter().all(|name| last.contains(name)) || !last.contains(given) {
                        operands.iter().for_each(|name| {
                            last.remove(name);
                        });
                        last.remove(given);
                    }
                }
                Role::Other => images.for_each(|name| {
                    last.remove(name);
                }),
            }
        }
        if last.len() == before {
            return last;
        }
    }
}

/// Marks the convolutions and pools of `graph` with where they read and give images channels last, and merges `Relu`.
pub(super) fn lay_out(graph: &mut GraphProto, limits: &Limits) {
    let marked: Vec<(usize, NodeProto)> = {
        let view = View::new(graph, limits);
        let roles: Vec<Role> = (0..graph.node.len()).map(|i| role(&view, i)).collect();
        if !roles.contains(&Role::Windows) {
            return;
        }
        let last = channels_last(&view, &roles);
        let marked = graph.node.iter().zip(&roles).enumerate().filter_map(|(i, (node, role))| {
            let reads = last.contains(input(node, 0));
            let (reads, gives) = match role {
                Role::Windows => (reads, node.output.first().is_some_and(|o| last.contains(o.as_str()))),
                Role::Whole => (reads, false),
                _ => return None,
            };
            (reads || gives).then(|| (i, mark(node, reads, gives)))
        });
        marked.collect()
    };
    for (i, node) in marked {
        graph.node[i] = node;
    }
}

fn mark(node: &NodeProto, reads: bool, gives: bool) -> NodeProto {
    let mut node = node.clone();
    if node.operator_domain().is_empty() && node.operator() == "Conv" {
        node.op_type = Some("FloatConv".to_owned());
    }
    node.domain = Some(FUSED.to_owned());
    node.attribute.push(builder::int("last_in", reads.into()));
    node.attribute.push(builder::int("last_out", gives.into()));
    node
}

/// `Conv` of floats and `Relu` after it.
pub(super) fn relu(view: &View<'_>, at: usize) -> Option<Fused> {
    let node = view.is(at, "Conv")?;
    let (last, relu) = view.next(node, "Relu")?;
    let mut merged = node.clone();
    merged.op_type = Some("FloatConv".to_owned());
    merged.domain = Some(FUSED.to_owned());
    merged.output = relu.output.clone();
    merged.attribute.push(builder::int("relu", 1));
    Some((last, merged))
}
