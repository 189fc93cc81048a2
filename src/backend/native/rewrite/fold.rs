//! Constants worked out beforehand: those that a graph makes of a shape, and normalisations that weights take in.

use super::view::View;
use crate::Limits;
use crate::backend::native::compile::MAX_FOLDED_ELEMENTS;
use crate::onnx::node::input;
use crate::onnx::{DenseTensor, GraphProto, NodeProto, TensorData, TensorProto, builder};

/// The most elements that are filled in all: a small file may ask for any number.
const MOST_FILLED: usize = 1 << 26;

/// Writes `ConstantOfShape` of a constant shape as the floats it gives, so that rules see weights in them. What is too large
/// for that stays as it is.
pub(super) fn filled(graph: &mut GraphProto, limits: &Limits) {
    let made: Vec<(usize, NodeProto)> = {
        let view = View::new(graph, limits);
        let mut left = MOST_FILLED;
        (0..graph.node.len()).filter_map(|at| Some((at, constant(&view, at, limits, &mut left)?))).collect()
    };
    for (at, node) in made {
        graph.node[at] = node;
    }
}

fn constant(view: &View<'_>, at: usize, limits: &Limits, left: &mut usize) -> Option<NodeProto> {
    let node = view.is(at, "ConstantOfShape")?;
    let TensorData::I64(shape) = view.values(node.input.first()?)?.data else { return None };
    let dims: Vec<usize> = shape.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<_>>()?;
    let most = limits.max_elements.min(MAX_FOLDED_ELEMENTS);
    let count = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n <= most)?;
    let value = match node.find_attribute("value") {
        None => 0.0,
        Some(attribute) => match attribute.t.as_deref()?.to_dense(None, 1).ok()?.data {
            TensorData::F32(value) => *value.first()?,
            _ => return None,
        },
    };
    *left = left.checked_sub(count)?;
    let tensor = builder::f32_tensor("", &dims, vec![value; count]).ok()?;
    Some(builder::node("Constant", "", &[], &[&node.output[0]], [builder::tensor("value", tensor)]))
}

/// A convolution that takes in the normalisation at `at`, with its weights and its bias.
struct Folded {
    at: usize,
    node: NodeProto,
    constants: [TensorProto; 2],
}

/// Lets convolutions of constant weights take in the `BatchNormalization` that follows: with the factor f = scale /
/// sqrt(variance + epsilon) of each channel, the weights become f w and the bias f (b - mean) + shift.
pub(super) fn batch_norms(graph: &mut GraphProto, limits: &Limits) {
    let folded: Vec<Folded> = {
        let view = View::new(graph, limits);
        (0..graph.node.len()).filter_map(|at| batch_norm(&view, at, limits)).collect()
    };
    for Folded { at, node, constants } in folded {
        graph.node[at] = node;
        graph.initializer.extend(constants);
    }
}

fn batch_norm(view: &View<'_>, at: usize, limits: &Limits) -> Option<Folded> {
    let norm = view.is(at, "BatchNormalization")?;
    let is = |name: &str, value: i64| norm.find_attribute(name).is_none_or(|a| a.i == Some(value));
    let given = norm.output.iter().filter(|name| !name.is_empty()).count();
    if given != 1 || !is("training_mode", 0) || !is("spatial", 1) || norm.find_attribute("is_test").is_some() {
        return None;
    }
    let conv = view.made_by(norm.input.first()?, "Conv")?;
    if view.only_user(conv.output.first()?) != Some(at) {
        return None;
    }
    let floats = |tensor: DenseTensor| match tensor.data {
        TensorData::F32(items) => Some(items),
        _ => None,
    };
    let weights = view.constant(conv.input.get(1)?)?.to_dense(None, limits.max_elements).ok()?;
    let dims = weights.dims.clone();
    let mut weights = floats(weights)?;
    let (&channels, true) = (dims.first()?, dims.len() > 2 && !weights.is_empty()) else { return None };
    let of_channels = |name: &str| floats(view.values(name)?).filter(|items| items.len() == channels);
    let parameters: Vec<Vec<f32>> = norm.input[1..].iter().map(|name| of_channels(name)).collect::<Option<_>>()?;
    let [scale, shift, mean, variance] = <[_; 4]>::try_from(parameters).ok()?;
    let bias = match input(conv, 2) {
        "" => vec![0.0; channels],
        name => of_channels(name)?,
    };
    let epsilon = f64::from(norm.find_attribute("epsilon").and_then(|a| a.f).unwrap_or(1e-5));
    let factors: Vec<f64> =
        scale.iter().zip(&variance).map(|(&s, &v)| f64::from(s) / (f64::from(v) + epsilon).sqrt()).collect();
    if !factors.iter().all(|f| f.is_finite()) {
        return None;
    }
    let per_channel = weights.len() / channels;
    for (weights, f) in weights.chunks_exact_mut(per_channel).zip(&factors) {
        weights.iter_mut().for_each(|w| *w = (f64::from(*w) * f) as f32);
    }
    let bias: Vec<f32> = (0..channels)
        .map(|c| ((f64::from(bias[c]) - f64::from(mean[c])) * factors[c] + f64::from(shift[c])) as f32)
        .collect();
    let names = ["weights", "bias"].map(|what| format!("{} with {what} of {}", norm.output[0], conv.output[0]));
    if names.iter().any(|name| view.constant(name).is_some() || view.producer(name).is_some()) {
        return None;
    }
    let constants =
        [builder::f32_tensor(&names[0], &dims, weights).ok()?, builder::f32_tensor(&names[1], &[channels], bias).ok()?];
    let mut node = conv.clone();
    node.input.truncate(1);
    node.input.extend(names);
    node.output = vec![norm.output[0].clone()];
    Some(Folded { at, node, constants })
}
