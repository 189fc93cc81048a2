//! Operators that make something large of something small, held against the limits before an engine runs them.
//!
//! Engines compute at load what depends on constants alone, so `ConstantOfShape` of a few bytes can ask for terabytes
//! there. What a shape computed from the inputs comes to is not known here.

use std::collections::HashMap;

use crate::onnx::{GraphProto, NodeProto, TensorData, TensorProto};
use crate::{Error, ErrorKind, Limits, Result};

/// Refuses a graph whose constants ask for a tensor beyond `limits`.
///
/// # Errors
/// [`ErrorKind::LimitExceeded`] naming the node.
pub(crate) fn check_sizes(graph: &GraphProto, limits: &Limits) -> Result<()> {
    let mut constants: HashMap<&str, &TensorProto> =
        graph.initializer.iter().map(|t| (t.name.as_deref().unwrap_or_default(), t)).collect();
    for node in graph.node.iter().filter(|n| n.operator() == "Constant") {
        if let (Some(name), Some(t)) = (node.output.first(), node.find_attribute("value").and_then(|a| a.t.as_deref()))
        {
            constants.insert(name, t);
        }
    }
    for node in &graph.node {
        let numbers = |input: usize| -> Option<Vec<f64>> {
            let tensor = constants.get(node.input.get(input)?.as_str())?;
            Some(match tensor.to_dense(None, limits.max_elements).ok()?.data {
                TensorData::I64(values) => values.into_iter().map(|v| v as f64).collect(),
                TensorData::I32(values) => values.into_iter().map(f64::from).collect(),
                TensorData::F32(values) => values.into_iter().map(f64::from).collect(),
                TensorData::F64(values) => values,
                _ => return None,
            })
        };
        if let Some(elements) = elements(node, &numbers)
            && elements > limits.max_elements as f64
        {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                "a tensor of the graph is larger than `Limits::max_elements`",
            )
            .node(node.label())
            .expected(format!("at most {} elements", limits.max_elements))
            .actual(format!("{elements:.0}")));
        }
        for inner in node.attribute.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs)) {
            check_sizes(inner, limits)?;
        }
    }
    Ok(())
}

/// The fewest elements that a node's output has, as far as its constants tell.
fn elements(node: &NodeProto, numbers: &dyn Fn(usize) -> Option<Vec<f64>>) -> Option<f64> {
    let product = |values: Vec<f64>| values.iter().map(|v| v.max(1.0)).product::<f64>();
    let scalar = |input: usize| numbers(input).and_then(|v| v.first().copied());
    match node.operator() {
        "ConstantOfShape" => numbers(0).map(product),
        "Expand" | "Tile" | "Reshape" | "Upsample" => numbers(1).map(product),
        "OneHot" => scalar(1),
        "Pad" => Some(numbers(1)?.iter().map(|v| v.max(0.0)).sum()),
        "Range" => Some(((scalar(1)? - scalar(0)?) / scalar(2)?).abs()),
        "Resize" => numbers(3).or_else(|| numbers(2)).map(product),
        "RandomNormal" | "RandomUniform" => {
            Some(node.find_attribute("shape")?.ints.iter().map(|v| (*v as f64).max(1.0)).product())
        }
        "HannWindow" | "HammingWindow" | "BlackmanWindow" => scalar(0),
        _ => None,
    }
}
