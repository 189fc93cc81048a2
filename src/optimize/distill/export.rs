//! Students as ONNX models with the teacher's inputs and outputs.

use super::lesson::{Answers, Lesson};
use super::perceptron_or_none::Dense;
use crate::onnx::builder::{self, Dim};
use crate::onnx::{ModelProto, NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto, code_of, data_type};
use crate::optimize::trees::{Ensemble, Tree};
use crate::{DType, Error, ErrorKind, Result, TensorSpec};

const OPSET: i64 = 17;

/// A graph that grows from the teacher's inputs.
struct Draft {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    inputs: Vec<ValueInfoProto>,
    /// The features (m, n).
    features: String,
}

fn info(spec: &TensorSpec, width: usize) -> ValueInfoProto {
    let dims = [Dim::Symbolic("m"), Dim::Fixed(width as i64)];
    builder::value_info(spec.name(), code_of(spec.dtype()), &dims[..spec.dims().len().min(2)])
}

impl Draft {
    fn new(lesson: &Lesson) -> Result<Self> {
        let mut draft = Self { nodes: Vec::new(), constants: Vec::new(), inputs: Vec::new(), features: String::new() };
        let mut parts = Vec::new();
        for (spec, width) in &lesson.inputs {
            draft.inputs.push(info(spec, *width));
            let mut name = spec.name().to_string();
            if spec.dtype() != DType::F32 {
                let cast = format!("student.{name}.f32");
                let to = builder::int("to", data_type::FLOAT.into());
                draft.nodes.push(builder::node("Cast", "", &[&name], &[&cast], [to]));
                name = cast;
            }
            if spec.dims().len() == 1 {
                let column = format!("student.{}.column", spec.name());
                draft.constants.push(builder::dense_tensor("student.column", &[2], vec![-1i64, 1])?);
                draft.nodes.push(builder::node("Reshape", "", &[&name, "student.column"], &[&column], []));
                name = column;
            }
            parts.push(name);
        }
        draft.constants.dedup_by(|a, b| a.name == b.name);
        draft.features = match &parts[..] {
            [one] => one.clone(),
            _ => {
                let names: Vec<&str> = parts.iter().map(String::as_str).collect();
                draft.nodes.push(builder::node("Concat", "", &names, &["student.features"], [builder::int("axis", 1)]));
                "student.features".to_owned()
            }
        };
        Ok(draft)
    }

    /// The model whose sums, logarithms of probabilities or numbers, are called `sums`. `probable` says that they are
    /// probabilities as they are.
    fn finish(mut self, lesson: &Lesson, sums: &str, probable: bool) -> Result<ModelProto> {
        let output = lesson.output.name().to_string();
        let flat = lesson.output.dims().len() == 1;
        match lesson.answers {
            Answers::Probabilities if !probable => {
                self.nodes.push(builder::node("Softmax", "", &[sums], &[&output], [builder::int("axis", -1)]));
            }
            Answers::Logits if probable => self.nodes.push(builder::node("Log", "", &[sums], &[&output], [])),
            _ if flat => {
                self.constants.push(builder::dense_tensor("student.flat", &[1], vec![-1i64])?);
                self.nodes.push(builder::node("Reshape", "", &[sums, "student.flat"], &[&output], []));
            }
            _ => self.nodes.push(builder::node("Identity", "", &[sums], &[&output], [])),
        }
        let width = lesson.k as i64;
        let dims = [Dim::Symbolic("m"), Dim::Fixed(width)];
        let mut outputs = Vec::new();
        if let Some(label) = &lesson.label {
            let attributes = [builder::int("axis", 1), builder::int("keepdims", 0)];
            let mut names = lesson.output.features().iter().enumerate();
            if label.dtype() == DType::I64 && names.all(|(i, name)| *name == i.to_string()) {
                self.nodes.push(builder::node("ArgMax", "", &[&output], &[label.name()], attributes));
            } else {
                self.constants.push(classes(lesson, label)?);
                self.nodes.push(builder::node("ArgMax", "", &[&output], &["student.class"], attributes));
                let (from, axis) = (["student.classes", "student.class"], [builder::int("axis", 0)]);
                self.nodes.push(builder::node("Gather", "", &from, &[label.name()], axis));
            }
            outputs.push(builder::value_info(label.name(), code_of(label.dtype()), &[Dim::Symbolic("m")]));
        }
        outputs.push(builder::value_info(&output, data_type::FLOAT, if flat { &dims[..1] } else { &dims }));
        let graph = builder::graph("student", self.inputs, self.nodes, self.constants, outputs);
        let mut model = builder::model(8, &[("", OPSET), ("ai.onnx.ml", 3)], graph);
        let features = lesson.inputs.iter().map(|(s, _)| s).chain([&lesson.output]);
        for spec in features.filter(|s| !s.features().is_empty()) {
            let names = serde_json::to_string(spec.features())
                .map_err(|e| Error::new(ErrorKind::InvalidArgument, "the names can't be written").with_source(e))?;
            model.metadata_props.push(StringStringEntryProto {
                key: Some(format!("modelberth.features.{}", spec.name())),
                value: Some(names),
                ..StringStringEntryProto::default()
            });
        }
        Ok(model)
    }
}

/// The labels of the classes, in the order of the probabilities.
fn classes(lesson: &Lesson, label: &TensorSpec) -> Result<TensorProto> {
    let names: Vec<String> = match lesson.output.features() {
        [] => (0..lesson.k).map(|i| i.to_string()).collect(),
        names => names.to_vec(),
    };
    let dims = [names.len()];
    let wrong = || Error::new(ErrorKind::Unsupported, "the teacher's labels are of a type that students can't give");
    Ok(match label.dtype() {
        DType::String => builder::dense_tensor("student.classes", &dims, names)?,
        DType::I64 => {
            let numbers: Result<Vec<i64>, _> = names.iter().map(|n| n.parse()).collect();
            builder::dense_tensor("student.classes", &dims, numbers.map_err(|_| wrong())?)?
        }
        _ => return Err(wrong()),
    })
}

/// A perceptron.
pub(super) fn perceptron(lesson: &Lesson, layers: &[Dense]) -> Result<ModelProto> {
    let mut draft = Draft::new(lesson)?;
    let mut h = draft.features.clone();
    for (i, layer) in layers.iter().enumerate() {
        let [weights, bias, sums, relu] = ["weights", "bias", "sums", "relu"].map(|what| format!("student.{i}.{what}"));
        let out = layer.bias.len();
        draft.constants.push(builder::f32_tensor(&weights, &[layer.weights.len() / out, out], layer.weights.clone())?);
        draft.constants.push(builder::f32_tensor(&bias, &[out], layer.bias.clone())?);
        draft.nodes.push(builder::node("Gemm", "", &[&h, &weights, &bias], &[&sums], []));
        h = sums;
        if i + 1 < layers.len() {
            draft.nodes.push(builder::node("Relu", "", &[&h], &[&relu], []));
            h = relu;
        }
    }
    draft.finish(lesson, &h, false)
}

/// Trees whose sums are probabilities, or numbers.
pub(super) fn forest(lesson: &Lesson, trees: Vec<Tree>) -> Result<ModelProto> {
    let mut draft = Draft::new(lesson)?;
    let mut node = builder::node(
        "TreeEnsembleRegressor",
        "ai.onnx.ml",
        &[&draft.features],
        &["student.sums"],
        [builder::int("n_targets", lesson.k as i64), builder::string("post_transform", "NONE")],
    );
    Ensemble { trees, base: Vec::new() }.write(&mut node);
    draft.nodes.push(node);
    draft.finish(lesson, "student.sums", lesson.answers != Answers::Numbers)
}
