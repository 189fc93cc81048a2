//! A linear model as ONNX, from operators that every runtime has.

use std::string::String;
use std::vec;
use std::vec::Vec;

use super::Link;
use super::model::Linear;
use crate::onnx::builder::{Dim, f32_tensor, float, graph, int, ints, model, node, strings, value_info};
use crate::onnx::{StringStringEntryProto, data_type};
use crate::{Artifact, Error, ErrorKind, Result};

/// The newest operator set that all runtimes in use read; `Gemm`, `Softmax` and `ArgMax` mean the same in later ones.
const OPSET: i64 = 13;
/// The operator set of `LabelEncoder`, for classes with names.
const ML_OPSET: i64 = 2;
/// The file layout that came with [`OPSET`].
const IR_VERSION: i64 = 7;

pub(super) fn artifact(linear: &Linear) -> Result<Artifact> {
    let (n, k, classes) = (linear.width(), linear.bias.len(), linear.classes());
    let input = linear.input.as_str();
    let name = |wanted: &str| if wanted == input { std::format!("{wanted}_") } else { String::from(wanted) };
    let (weights, bias, sums, first, one, index) =
        (name("weights"), name("bias"), name("sums"), name("first"), name("one"), name("index"));
    let logistic = name("second");
    let mut constants =
        vec![f32_tensor(&weights, &[n, k], linear.weights.clone())?, f32_tensor(&bias, &[k], linear.bias.clone())?];

    let identity = linear.link == Link::Identity;
    let gemm = |to: &str| node("Gemm", "", &[input, &weights, &bias], &[to], [float("alpha", 1.0), float("beta", 1.0)]);
    let mut nodes = vec![gemm(if identity { "prediction" } else { &sums })];
    match linear.link {
        Link::Identity => {}
        Link::Logistic => {
            constants.push(f32_tensor(&one, &[1], [1.0])?);
            nodes.push(node("Sigmoid", "", &[&sums], &[&logistic], []));
            nodes.push(node("Sub", "", &[&one, &logistic], &[&first], []));
            nodes.push(node("Concat", "", &[&first, &logistic], &["probabilities"], [int("axis", 1)]));
        }
        Link::Softmax => nodes.push(node("Softmax", "", &[&sums], &["probabilities"], [int("axis", 1)])),
    }
    let named = !linear.classes.is_empty();
    let numbers = [Dim::Symbolic("batch"), Dim::Fixed(classes as i64)];
    let mut outputs = Vec::new();
    if identity {
        outputs.push(value_info("prediction", data_type::FLOAT, &numbers));
    } else {
        let to = if named { index.as_str() } else { "label" };
        nodes.push(node("ArgMax", "", &["probabilities"], &[to], [int("axis", 1), int("keepdims", 0)]));
        if named {
            let names: Vec<&str> = linear.classes.iter().map(String::as_str).collect();
            let keys: Vec<i64> = (0..classes as i64).collect();
            let attributes = [ints("keys_int64s", keys), strings("values_strings", &names)];
            nodes.push(node("LabelEncoder", "ai.onnx.ml", &[&index], &["label"], attributes));
        }
        let labels = if named { data_type::STRING } else { data_type::INT64 };
        outputs.push(value_info("label", labels, &[Dim::Symbolic("batch")]));
        outputs.push(value_info("probabilities", data_type::FLOAT, &numbers));
    }

    let inputs = [value_info(input, data_type::FLOAT, &[Dim::Symbolic("batch"), Dim::Fixed(n as i64)])];
    let graph = graph("linear", inputs, nodes, constants, outputs);
    let opsets: &[(&str, i64)] = if named { &[("", OPSET), ("ai.onnx.ml", ML_OPSET)] } else { &[("", OPSET)] };
    let mut file = model(IR_VERSION, opsets, graph);
    let output = if identity { "prediction" } else { "probabilities" };
    for (tensor, names) in [(input, &linear.features), (output, &linear.classes)] {
        if !names.is_empty() {
            let value = serde_json::to_string(names)
                .map_err(|e| Error::new(ErrorKind::InvalidArgument, "the names can't be written").with_source(e))?;
            file.metadata_props.push(StringStringEntryProto {
                key: Some(std::format!("modelberth.features.{tensor}")),
                value: Some(value),
                ..StringStringEntryProto::default()
            });
        }
    }
    Ok(Artifact::in_memory("onnx", "linear.onnx", file.encode_to_vec()))
}
