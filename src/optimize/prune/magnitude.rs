//! The smallest weights set to zero.

use std::collections::HashSet;

use super::structured::{floats, put};
use crate::Result;
use crate::onnx::edit::Editor;
use crate::onnx::{NodeProto, data_type};
use crate::optimize::quantize::{Noise, layer_name};
use crate::optimize::report::{Layer, Skipped};
use crate::optimize::run::Changed;

/// Sets the share `share` of the weights of products and convolutions to zero: those nearest to it in each layer, or in
/// all of them.
///
/// # Errors
/// Those of reading the weights.
pub(super) fn prune(editor: &mut Editor, keep: &HashSet<String>, share: f64, global: bool) -> Result<Changed> {
    let mut changed = Changed::default();
    let is_layer = |n: &NodeProto| n.operator_domain().is_empty() && matches!(n.operator(), "MatMul" | "Gemm" | "Conv");
    let mut seen = HashSet::new();
    let mut layers: Vec<(NodeProto, Vec<f32>, Vec<usize>)> = Vec::new();
    for node in editor.graph().node.iter().filter(|n| is_layer(n)) {
        let weights = node.input.get(1).map_or("", String::as_str);
        let constant = editor
            .graph()
            .initializer
            .iter()
            .any(|t| t.name.as_deref() == Some(weights) && t.data_type == Some(data_type::FLOAT));
        let skip = |reason: &str| Skipped::node(node, reason);
        if !constant {
            changed.skipped.push(skip("its weights are computed"));
        } else if keep.contains(layer_name(node)) {
            changed.skipped.push(skip("kept whole as asked for"));
        } else if seen.insert(weights.to_owned()) {
            let (values, dims) = floats(editor, weights)?;
            layers.push((node.clone(), values, dims));
        }
    }
    let of_all =
        global.then(|| bound(layers.iter().flat_map(|(_, values, _)| values.iter().copied()).collect(), share));
    for (node, values, dims) in layers {
        let bound = of_all.unwrap_or_else(|| bound(values.clone(), share));
        let mut noise = Noise::default();
        let mut zeros = 0;
        let pruned: Vec<f32> = values
            .iter()
            .map(|&x| {
                let y = if x.abs() <= bound { 0.0 } else { x };
                noise.add(x, y);
                zeros += u64::from(y == 0.0);
                y
            })
            .collect();
        put(editor, &node.input[1], &dims, pruned)?;
        let bytes = 4 * values.len() as u64;
        changed.layers.push(Layer {
            name: layer_name(&node).to_owned(),
            operator: node.operator().to_owned(),
            output: node.output[0].clone(),
            parameters: zeros,
            bytes_before: bytes,
            bytes_after: bytes,
            weight_sqnr_db: noise.decibels().filter(|db| db.is_finite()),
            sqnr_db: None,
        });
    }
    let note = "zeros are stored as other numbers are: the file is as large as before, and compresses better";
    changed.notes.push(note.to_owned());
    Ok(changed)
}

/// The magnitude up to which the share `share` of the values lies; below 0 where that is none of them.
fn bound(mut values: Vec<f32>, share: f64) -> f32 {
    let count = (values.len() as f64 * share).floor() as usize;
    if count == 0 || values.is_empty() {
        return -1.0;
    }
    let at = count.min(values.len()) - 1;
    let (_, bound, _) = values.select_nth_unstable_by(at, |a, b| a.abs().total_cmp(&b.abs()));
    bound.abs()
}
