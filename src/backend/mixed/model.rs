//! The parts of a cut graph as one [`Model`].

use std::sync::Arc;

use super::cut::{Cut, Place};
use crate::backend::{file, inline, native, tract};
use crate::load::Source;
use crate::onnx::builder::{Dim as Length, value_info};
use crate::onnx::{GraphProto, ModelProto, ValueInfoProto, code_of};
use crate::{
    Artifact, Checked, Description, Dim, Error, ErrorKind, Loader, Model, Pipeline, Result, Signature, TensorSpec,
    Tensors,
};

/// The model in an ONNX file that is cut between the backends.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where it can't be cut; what loading the parts gives.
pub(crate) fn load(source: &Source, loader: &Loader, reason: String) -> Result<Arc<dyn Model>> {
    let mut proto = file::decode(source, &loader.limits)?;
    if let Some(whole) = inline::inline_functions(&proto)? {
        proto.graph = Some(Box::new(whole));
        proto.functions.clear();
    }
    let graph = *proto.graph.take().expect("`decode` gives a file with a graph");
    let wanted = file::wanted(&graph, loader.outputs.as_deref())?;
    let cut = Cut::of(&graph)?;
    let parts_of = Loader { outputs: None, backend: None, ..loader.clone() };
    let mut parts: Vec<(&str, Arc<dyn Model>)> = Vec::new();
    for place in Place::ALL {
        let (takes, gives) = cut.boundary(place, &wanted);
        if gives.is_empty() {
            continue;
        }
        let inputs = takes.iter().map(|name| declaration(&graph, &parts, name)).collect::<Result<Vec<_>>>()?;
        let part = GraphProto {
            node: cut.nodes(place),
            initializer: graph.initializer.clone(),
            sparse_initializer: graph.sparse_initializer.clone(),
            input: inputs,
            output: gives.iter().map(|name| output(&graph, name)).collect(),
            name: graph.name.clone(),
            ..GraphProto::default()
        };
        let bytes = ModelProto { graph: Some(Box::new(part)), ..proto.clone() }.encode_to_vec();
        let part = source.with_bytes(bytes);
        let (name, model) = match place {
            Place::Front => ("front", native::load(&part, &parts_of, "tract lacks operators of it".to_owned())?),
            Place::Network => ("network", tract::load(&part, &parts_of, "native lacks operators of it".to_owned())?),
            Place::Back => ("back", native::load(&part, &parts_of, "tract lacks operators of it".to_owned())?),
        };
        parts.push((name, model));
    }
    let artifact = artifact(source, &parts)?;
    let model = assembled(&graph, &wanted, &parts, artifact, loader, reason)?;
    Ok(Arc::new(Checked::new(model).cast(loader.cast)))
}

/// The declaration of a value that a part takes: the file's own, or what an earlier part found that it gives.
fn declaration(graph: &GraphProto, parts: &[(&str, Arc<dyn Model>)], name: &str) -> Result<ValueInfoProto> {
    if let Some(spec) = parts.iter().rev().find_map(|(_, model)| model.signature().output(name)) {
        let lengths: Vec<Length<'_>> = spec
            .dims()
            .iter()
            .map(|dim| match dim {
                Dim::Fixed(n) => Length::Fixed(i64::try_from(*n).unwrap_or(i64::MAX)),
                Dim::Named(name) => Length::Symbolic(name),
                Dim::Batch | Dim::Any => Length::Unknown,
            })
            .collect();
        return Ok(value_info(name, code_of(spec.dtype()), &lengths));
    }
    let declared = graph.input.iter().find(|i| i.name.as_deref() == Some(name));
    declared.cloned().ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "a part of the graph takes a value that no other part gives").tensor(name)
    })
}

/// The declaration of an output: the file's own where it is one of the file's.
fn output(graph: &GraphProto, name: &str) -> ValueInfoProto {
    let declared = graph.output.iter().find(|o| o.name.as_deref() == Some(name)).cloned();
    declared.unwrap_or_else(|| ValueInfoProto { name: Some(name.to_owned()), ..ValueInfoProto::default() })
}

/// The file, and those beside it that a part has read.
fn artifact(source: &Source, parts: &[(&str, Arc<dyn Model>)]) -> Result<Artifact> {
    let mut files = vec![source.main_file()];
    for (_, part) in parts {
        for file in part.artifact()?.files.into_iter().skip(1) {
            if files.iter().all(|known| known.path != file.path) {
                files.push(file);
            }
        }
    }
    Ok(Artifact { format: "onnx".to_owned(), files })
}

fn assembled(
    graph: &GraphProto,
    wanted: &[String],
    parts: &[(&str, Arc<dyn Model>)],
    artifact: Artifact,
    loader: &Loader,
    reason: String,
) -> Result<MixedModel> {
    let Some(((_, last), earlier)) = parts.split_last() else {
        return Err(Error::new(ErrorKind::Unsupported, "no part of the graph gives an output"));
    };
    let mut builder = Pipeline::builder();
    for (name, model) in parts {
        builder = builder.stage(*name, Arc::clone(model));
    }
    for output in wanted {
        if last.signature().output(output).is_some() {
            continue;
        }
        let from = earlier.iter().find(|(_, model)| model.signature().output(output).is_some());
        let Some((stage, _)) = from else {
            let message = "an output of a graph that is cut does not depend on its inputs";
            return Err(Error::new(ErrorKind::Unsupported, message).tensor(output));
        };
        builder = builder.output(*stage, output);
    }
    let pipeline = builder.build()?;
    let given = pipeline.signature();
    // In the order of the file; a sequence of the file is several outputs here.
    let place = |names: Vec<&str>, spec: &TensorSpec| {
        let name = spec.name().as_str();
        names.iter().position(|n| *n == name || name.strip_prefix(n).is_some_and(|rest| rest.starts_with('_')))
    };
    let mut inputs = given.inputs().to_vec();
    inputs.sort_by_key(|spec| place(graph.input.iter().filter_map(|i| i.name.as_deref()).collect(), spec));
    let mut outputs = given.outputs().to_vec();
    outputs.sort_by_key(|spec| place(wanted.iter().map(String::as_str).collect(), spec));
    let signature = Signature::new(inputs, outputs);

    let inner = pipeline.describe();
    let mut description = Description::new("onnx", "composed", "");
    description.engine = format!(
        "cut into {}",
        parts.iter().map(|(name, m)| format!("{name} ({})", m.describe().backend)).collect::<Vec<_>>().join(" -> ")
    );
    description.reason = reason;
    description.operators = file::operators(graph);
    description.threads = loader.threads;
    description.row_independent = inner.row_independent;
    (description.parameters, description.bytes) = (inner.parameters, inner.bytes);
    description.parts = inner.parts;
    Ok(MixedModel { pipeline, signature, description, artifact })
}

/// A graph cut between the backends.
#[derive(Debug)]
struct MixedModel {
    pipeline: Pipeline,
    signature: Signature,
    description: Description,
    artifact: Artifact,
}

impl MixedModel {
    /// The answers in the order of the signature.
    fn ordered(&self, mut answers: Tensors<'static>) -> Result<Tensors<'static>> {
        let specs = self.signature.outputs();
        let mut outputs = Tensors::with_capacity(specs.len());
        for spec in specs {
            outputs.push(spec.name().clone(), answers.take(spec.name())?);
        }
        Ok(outputs)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Model for MixedModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        self.ordered(self.pipeline.predict_batch(inputs)?)
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        self.ordered(self.pipeline.predict(input)?)
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn artifact(&self) -> Result<Artifact> {
        Ok(self.artifact.clone())
    }
}
