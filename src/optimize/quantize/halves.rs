//! f16 and bf16: weights stored in half the bytes and cast to f32 where the graph begins.
//!
//! The computation stays in f32, so that every runtime takes the file and answers move by the rounding of the weights
//! alone. Weights that f16 can't hold stay as they are.

use half::{bf16, f16};

use super::grid::Noise;
use super::settings::{Settings, Target};
use crate::Result;
use crate::onnx::edit::{Editor, subgraphs, uses};
use crate::onnx::{GraphProto, NodeProto, TensorData, TensorProto, builder, data_type};
use crate::optimize::quantize::layers::Outcome;
use crate::optimize::report::{Layer, Skipped};

/// Constants with fewer numbers stay as they are: the cast would be larger than what it saves.
const LEAST_NUMBERS: usize = 64;
/// The share of numbers other than 0 that may become 0.
const MOST_LOST: f64 = 1e-3;

/// Stores the constants of f32 in half the bytes.
///
/// # Errors
/// Those of reading them.
pub(super) fn halve(editor: &mut Editor, settings: &Settings) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut graph = std::mem::take(editor.graph_mut());
    let overridable: Vec<String> = graph.input.iter().filter_map(|i| i.name.clone()).collect();
    let used = uses(&graph);
    let mut casts = Vec::new();
    let mut tensors = std::mem::take(&mut graph.initializer);
    for tensor in &mut tensors {
        let name = tensor.name.clone().unwrap_or_default();
        let count: i64 = tensor.dims.iter().product();
        if tensor.data_type != Some(data_type::FLOAT) || !used.contains_key(&name) {
            continue;
        }
        let reason = if overridable.contains(&name) {
            Some("the caller may give other values for it".to_owned())
        } else if count < LEAST_NUMBERS as i64 {
            Some(format!("it has fewer than {LEAST_NUMBERS} numbers"))
        } else if settings.keeps_tensor(&name) || user(&graph, &name).is_some_and(|node| settings.keeps(node)) {
            Some("kept in f32 as asked for".to_owned())
        } else {
            match half(editor, tensor, settings.target)? {
                Ok((halved, noise)) => {
                    let stored = editor.fresh(&format!("{name}_{}", settings.target));
                    outcome.layers.push(Layer {
                        name: name.clone(),
                        operator: user(&graph, &name).map_or_else(String::new, |n| n.operator().to_owned()),
                        output: user(&graph, &name).and_then(|n| n.output.first().cloned()).unwrap_or_default(),
                        parameters: count as u64,
                        bytes_before: 4 * count as u64,
                        bytes_after: 2 * count as u64,
                        weight_sqnr_db: noise.decibels().filter(|db| db.is_finite()),
                        sqnr_db: None,
                    });
                    casts.push(builder::node(
                        "Cast",
                        "",
                        &[&stored],
                        &[&name],
                        [builder::int("to", data_type::FLOAT.into())],
                    ));
                    tensor.data_type = halved.data_type;
                    tensor.raw_data = halved.raw_data;
                    tensor.float_data.clear();
                    tensor.external_data.clear();
                    tensor.data_location = None;
                    tensor.name = Some(stored);
                    None
                }
                Err(reason) => Some(reason),
            }
        };
        if let Some(reason) = reason {
            outcome.skipped.push(Skipped { name, operator: "constant".to_owned(), reason });
        }
    }
    graph.initializer = tensors;
    casts.append(&mut graph.node);
    graph.node = casts;
    *editor.graph_mut() = graph;
    Ok(outcome)
}

/// The first node of the graph that uses `name`.
fn user<'g>(graph: &'g GraphProto, name: &str) -> Option<&'g NodeProto> {
    graph.node.iter().find(|n| {
        n.input.iter().any(|i| i == name)
            || subgraphs(n).any(|inner| inner.node.iter().any(|n| n.input.iter().any(|i| i == name)))
    })
}

/// The tensor in half the bytes, or why it stays.
fn half(editor: &Editor, tensor: &TensorProto, target: Target) -> Result<Result<(TensorProto, Noise), String>> {
    let dense = editor.dense(tensor)?;
    let TensorData::F32(values) = dense.data else { return Ok(Err("it is not of f32".into())) };
    let mut noise = Noise::default();
    let (mut lost, mut some) = (0usize, 0usize);
    let mut check = |x: f32, y: f32| {
        noise.add(x, y);
        some += usize::from(x != 0.0);
        lost += usize::from(x != 0.0 && y == 0.0);
        y.is_finite()
    };
    let (data, fits): (TensorData, bool) = match target {
        Target::Bf16 => {
            let halves: Vec<bf16> = values.iter().map(|&x| bf16::from_f32(x)).collect();
            let fits = values.iter().zip(&halves).all(|(&x, y)| check(x, y.to_f32()));
            (halves.into(), fits)
        }
        _ => {
            let halves: Vec<f16> = values.iter().map(|&x| f16::from_f32(x)).collect();
            let fits = values.iter().zip(&halves).all(|(&x, y)| check(x, y.to_f32()));
            (halves.into(), fits)
        }
    };
    if !fits {
        return Ok(Err(format!("it holds numbers out of the range of {target}, NaN or infinity")));
    }
    if lost as f64 > MOST_LOST * some as f64 {
        return Ok(Err(format!("{lost} of its {some} numbers would become 0 in {target}")));
    }
    Ok(Ok((builder::dense_tensor("", &dense.dims, data)?, noise)))
}
