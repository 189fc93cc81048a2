//! A linear model as ONNX: one operator that every runtime has.

use super::Link;
use super::model::Linear;
use crate::onnx::builder::{Dim, f32_tensor, float, floats, graph, ints, model, node, string, strings, value_info};
use crate::onnx::{StringStringEntryProto, data_type};
use crate::{Artifact, Error, ErrorKind, Result};

/// An operator set that all runtimes in use read.
const OPSET: i64 = 13;
/// The operator set of `LinearClassifier`.
const ML_OPSET: i64 = 1;
/// The file layout that came with [`OPSET`].
const IR_VERSION: i64 = 7;

pub(super) fn artifact(linear: &Linear) -> Result<Artifact> {
    let (n, k, classes) = (linear.width(), linear.bias.len(), linear.classes());
    let input = linear.input.as_str();
    let batch = Dim::Symbolic("batch");
    let inputs = [value_info(input, data_type::FLOAT, &[batch, Dim::Fixed(n as i64)])];
    let numbers = |name: &str| value_info(name, data_type::FLOAT, &[batch, Dim::Fixed(classes as i64)]);

    let graph = if linear.link == Link::Identity {
        // No other tensor may be called as the input is.
        let mark = if input.starts_with("model.") { "_" } else { "" };
        let (weights, bias) = (format!("{mark}model.weights"), format!("{mark}model.bias"));
        let constants =
            [f32_tensor(&weights, &[n, k], linear.weights.clone())?, f32_tensor(&bias, &[k], linear.bias.clone())?];
        let scales = [float("alpha", 1.0), float("beta", 1.0)];
        let gemm = node("Gemm", "", &[input, &weights, &bias], &["prediction"], scales);
        graph("linear", inputs, [gemm], constants, [numbers("prediction")])
    } else {
        // The classifier has its coefficients sum by sum, (k, n).
        let by_sum: Vec<f32> = (0..k).flat_map(|j| (0..n).map(move |i| linear.weights[i * k + j])).collect();
        let (labels, kind) = if linear.classes.is_empty() {
            (ints("classlabels_ints", (0..classes as i64).collect::<Vec<_>>()), data_type::INT64)
        } else {
            let names: Vec<&str> = linear.classes.iter().map(String::as_str).collect();
            (strings("classlabels_strings", &names), data_type::STRING)
        };
        let transform = if linear.link == Link::Logistic { "LOGISTIC" } else { "SOFTMAX" };
        let attributes = [
            floats("coefficients", by_sum),
            floats("intercepts", linear.bias.clone()),
            string("post_transform", transform),
            labels,
        ];
        let classifier = node("LinearClassifier", "ai.onnx.ml", &[input], &["label", "probabilities"], attributes);
        graph("linear", inputs, [classifier], [], [value_info("label", kind, &[batch]), numbers("probabilities")])
    };
    let mut file = model(IR_VERSION, &[("", OPSET), ("ai.onnx.ml", ML_OPSET)], graph);
    let output = if linear.link == Link::Identity { "prediction" } else { "probabilities" };
    for (tensor, names) in [(input, &linear.features), (output, &linear.classes)] {
        if !names.is_empty() {
            let value = serde_json::to_string(names)
                .map_err(|e| Error::new(ErrorKind::InvalidArgument, "the names can't be written").with_source(e))?;
            file.metadata_props.push(StringStringEntryProto {
                key: Some(format!("modelberth.features.{tensor}")),
                value: Some(value),
                ..StringStringEntryProto::default()
            });
        }
    }
    Ok(Artifact::in_memory("onnx", "linear.onnx", file.encode_to_vec()))
}
