//! What the backends for ONNX files say about a file in the same way.

use std::collections::{BTreeMap, HashSet};

use crate::load::Source;
#[cfg(any(feature = "tract", feature = "optimize"))]
use crate::onnx::NodeProto;
use crate::onnx::{DecodeLimits, ExternalData, GraphProto, ModelProto};
use crate::{Artifact, Error, ErrorKind, Limits, Result};

/// The messages of the file, and its graph.
///
/// # Errors
/// [`ErrorKind::Malformed`] when the file is broken or holds no graph; [`ErrorKind::LimitExceeded`].
pub(crate) fn decode(source: &Source, limits: &Limits) -> Result<ModelProto> {
    let decode = DecodeLimits { max_depth: limits.max_depth, max_messages: limits.max_messages };
    let proto = ModelProto::decode(source.bytes.clone(), &decode)?;
    if proto.graph.is_none() {
        return Err(Error::new(
            ErrorKind::Malformed,
            "the ONNX file holds no graph; it is truncated or of another kind",
        ));
    }
    Ok(proto)
}

/// The names of the outputs to give.
///
/// # Errors
/// [`ErrorKind::UnknownTensor`] when one of `chosen` is not there; [`ErrorKind::Malformed`] when the graph has none.
pub(crate) fn wanted(graph: &GraphProto, chosen: Option<&[String]>) -> Result<Vec<String>> {
    let all: Vec<String> = graph.output.iter().map(|o| o.name.clone().unwrap_or_default()).collect();
    if all.is_empty() {
        return Err(Error::new(ErrorKind::Malformed, "the graph has no outputs"));
    }
    if let Some(name) = repeated(&all) {
        return Err(Error::new(ErrorKind::Malformed, "two outputs of the graph have the same name").tensor(name));
    }
    let Some(chosen) = chosen else { return Ok(all) };
    if let Some(name) = repeated(chosen) {
        return Err(Error::new(ErrorKind::InvalidArgument, "an output is asked for twice").tensor(name));
    }
    match chosen.iter().find(|name| !all.contains(name)) {
        Some(name) => Err(Error::new(ErrorKind::UnknownTensor, "the model has no output of this name")
            .tensor(name)
            .expected(all.join(", "))),
        None if (1..chosen.len()).any(|i| chosen[..i].contains(&chosen[i])) => {
            Err(Error::new(ErrorKind::InvalidArgument, "an output is asked for twice").actual(chosen.join(", ")))
        }
        None if chosen.is_empty() => {
            Err(Error::new(ErrorKind::InvalidArgument, "no output is asked for").expected(all.join(", ")))
        }
        None => Ok(chosen.to_vec()),
    }
}

/// The first name that was there before.
fn repeated(names: &[String]) -> Option<&String> {
    let mut seen = HashSet::new();
    names.iter().find(|name| !seen.insert(name.as_str()))
}

/// The operators of the graph with how often each occurs, by name.
pub(crate) fn operators(graph: &GraphProto) -> Vec<(String, usize)> {
    let mut operators: BTreeMap<String, usize> = BTreeMap::new();
    for node in &graph.node {
        let name = match node.operator_domain() {
            "" => node.operator().to_owned(),
            domain => format!("{domain}:{}", node.operator()),
        };
        *operators.entry(name).or_default() += 1;
    }
    operators.into_iter().collect()
}

/// Every name that a node or its subgraphs use; those that a subgraph defines itself are among them.
#[cfg(any(feature = "tract", feature = "optimize"))]
pub(crate) fn used_names<'g>(node: &'g NodeProto, names: &mut Vec<&'g str>) {
    names.extend(node.input.iter().map(String::as_str));
    for graph in node.attribute.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs)) {
        names.extend(graph.output.iter().filter_map(|o| o.name.as_deref()));
        graph.node.iter().for_each(|inner| used_names(inner, names));
    }
}

/// The tool that wrote the file, as a note.
pub(crate) fn written_by(proto: &ModelProto) -> Option<String> {
    let producer = proto.producer_name.as_deref().filter(|p| !p.is_empty())?;
    let version = proto.producer_version.as_deref().unwrap_or_default();
    Some(format!("written by {producer} {version}").trim().to_owned())
}

/// The file and those beside it that were read.
///
/// # Errors
/// What reading the files beside it gives.
pub(crate) fn artifact(source: &Source, external: Option<&ExternalData>) -> Result<Artifact> {
    let mut files = vec![source.main_file()];
    for path in external.map(ExternalData::used).unwrap_or_default() {
        files.push(source.file(&path)?);
    }
    Ok(Artifact { format: "onnx".to_owned(), files })
}
