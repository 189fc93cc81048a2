//! Numbers that are moved while they are quantised.
//!
//! `onnxruntime.quantization` puts a dequantisation in front of every operator that it takes in and a quantisation
//! behind it, also where the operator only moves numbers. With the same parameters on both sides they come out as they
//! went in. So the 8-bit numbers themselves are moved: the same answers from a quarter of the bytes and fewer nodes.

use std::collections::HashMap;

use super::drop_unneeded;
use crate::onnx::{GraphProto, NodeProto, TensorData, TensorProto, data_type};

/// Operators whose answers are numbers of their first input. The largest of several is one of them, whatever they stand
/// for.
const MOVES: &[&str] =
    &["Expand", "Flatten", "Identity", "MaxPool", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"];

/// Takes the dequantisation and the quantisation around operators that only move numbers out of `graph`.
pub(super) fn move_quantized(graph: &mut GraphProto) {
    let mut moved = Vec::new();
    {
        let around = Around::of(graph);
        for (i, node) in graph.node.iter().enumerate() {
            if let Some(mut moving) = around.moves(node) {
                // Each quantised part of a split comes from a split of its own.
                let given = moving.output.iter().position(|output| *output == node.input[0]);
                for (j, output) in moving.output.iter_mut().enumerate().filter(|(_, output)| !output.is_empty()) {
                    *output = match &node.output[0] {
                        name if Some(j) == given => name.clone(),
                        name => format!("{name}/part#{j}"),
                    };
                }
                moved.push((i, moving));
            }
        }
    }
    for (i, node) in moved {
        graph.node[i] = node;
    }
    drop_unneeded(graph);
}

/// Where the values of a graph come from.
struct Around<'g> {
    producers: HashMap<&'g str, &'g NodeProto>,
    constants: HashMap<&'g str, &'g TensorProto>,
}

impl<'g> Around<'g> {
    fn of(graph: &'g GraphProto) -> Self {
        let producers = graph.node.iter().flat_map(|n| n.output.iter().map(move |output| (output.as_str(), n)));
        let constants = graph.initializer.iter().filter_map(|t| Some((t.name.as_deref()?, t)));
        Self { producers: producers.collect(), constants: constants.collect() }
    }

    /// The node that gives the 8-bit answers of `quantize` from 8-bit numbers, but for its outputs.
    fn moves(&self, quantize: &NodeProto) -> Option<NodeProto> {
        if quantize.operator() != "QuantizeLinear" {
            return None;
        }
        let [x, scale, zero] = quantize.input.as_slice() else { return None };
        let mover = self.producers.get(x.as_str())?;
        // Where the largest number stands is no number of the input.
        let places = mover.operator() == "MaxPool" && mover.output.get(1).is_some_and(|o| !o.is_empty());
        if !mover.operator_domain().is_empty() || !MOVES.contains(&mover.operator()) || places {
            return None;
        }
        let dequantize = self.producers.get(mover.input.first()?.as_str())?;
        if dequantize.operator() != "DequantizeLinear" {
            return None;
        }
        let [from, from_scale, from_zero] = dequantize.input.as_slice() else { return None };
        if !self.same(scale, from_scale) || !self.same(zero, from_zero) || !self.is_usual(scale) {
            return None;
        }
        let mut node = (*mover).clone();
        node.name = None;
        node.input[0].clone_from(from);
        Some(node)
    }

    /// Whether two constants are one, or hold the same.
    fn same(&self, a: &str, b: &str) -> bool {
        let held = |name: &str| {
            let tensor = self.constants.get(name)?;
            Some((tensor.data_type, &tensor.dims, tensor.raw_data.as_ref()?))
        };
        a == b || held(a).is_some_and(|a| Some(a) == held(b))
    }

    /// Whether this is one scale with which 8 bits are taken to real numbers and back without a loss.
    fn is_usual(&self, scale: &str) -> bool {
        let Some(tensor) = self.constants.get(scale).filter(|t| t.data_type == Some(data_type::FLOAT)) else {
            return false;
        };
        match tensor.to_dense(None, 1).map(|dense| dense.data) {
            Ok(TensorData::F32(numbers)) => matches!(numbers[..], [s] if s.is_normal() && s > 0.0 && s < 1e30),
            _ => false,
        }
    }
}
