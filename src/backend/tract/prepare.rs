//! What is done to a file before tract sees it.
//!
//! Only what the wanted outputs need is kept, in an order in which every node stands after those it needs. Tensors are
//! checked against their bytes and the limits, and those in other files are put in, so that tract reads none itself.
//! What the exporter wrote about shapes is taken out, since tract takes such hints for truth.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::support;
use crate::backend::file::used_names;
use crate::backend::{rewrite, sizes};
use crate::onnx::{
    ExternalData, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorData, TensorProto, ValueInfoProto,
    data_location, data_type,
};
use crate::{Error, ErrorKind, Limits, Result};

/// A file as tract gets it.
pub(super) struct Prepared {
    pub(super) proto: ModelProto,
    /// The inputs as the file declares them, without those that are constants.
    pub(super) inputs: Vec<ValueInfoProto>,
    /// How many numbers the constants of the graph hold.
    pub(super) parameters: u64,
    /// The bytes that the constants take.
    pub(super) weight_bytes: u64,
    /// The operators that were rewritten into standard ones, each once.
    pub(super) rewritten: Vec<String>,
    /// Numbers of the graph's small constants that may be sizes: exporters write an axis as the size that they saw.
    pub(super) sizes: Vec<usize>,
}

/// Prepares a file of which `outputs` are wanted.
///
/// # Errors
/// [`ErrorKind::Unsupported`] naming the operator or version that tract lacks; [`ErrorKind::Malformed`] for a graph
/// that contradicts itself; what reading tensors gives.
pub(super) fn prepare(
    mut proto: ModelProto,
    outputs: &[String],
    external: Option<&ExternalData>,
    limits: &Limits,
) -> Result<Prepared> {
    let opset = support::check_opset(&proto)?;
    let mut graph = *proto.graph.take().expect("the caller has seen the graph");
    if !graph.sparse_initializer.is_empty() {
        return Err(Error::new(ErrorKind::Unsupported, "the backend `tract` does not read sparse initialisers"));
    }
    let initialised: HashSet<&str> = graph.initializer.iter().filter_map(|t| t.name.as_deref()).collect();
    graph.input.retain(|i| !initialised.contains(i.name.as_deref().unwrap_or_default()));
    let inputs = graph.input.clone();
    select(&mut graph, outputs)?;
    let ranks = rewrite::ranks(&graph);
    let mut weights = Weights::default();
    clean(&mut graph, external, limits, &mut weights)?;
    for input in &mut graph.input {
        if let Some(tensor) = input.r#type.as_deref_mut().and_then(|t| t.tensor_type.as_deref_mut()) {
            tensor.shape = None;
        }
    }
    let rewritten = rewrite::rewrite(rewrite::Reader::Tract, &mut graph, opset, &ranks, limits)?;
    drop_unused(&mut graph);
    support::check_operators(&graph)?;
    sizes::check_sizes(&graph, limits)?;
    unique_names(&mut graph);
    let standard = OperatorSetIdProto { version: Some(opset), ..OperatorSetIdProto::default() };
    let proto = ModelProto {
        ir_version: proto.ir_version,
        graph: Some(Box::new(graph)),
        opset_import: vec![standard],
        ..ModelProto::default()
    };
    let sizes = weights.sizes.into_iter().collect();
    Ok(Prepared { proto, inputs, parameters: weights.numbers, weight_bytes: weights.bytes, rewritten, sizes })
}

/// Keeps the nodes that `outputs` need, each after those it needs itself.
fn select(graph: &mut GraphProto, outputs: &[String]) -> Result<()> {
    let mut producer: HashMap<&str, usize> = HashMap::new();
    for (i, node) in graph.node.iter().enumerate() {
        for name in node.output.iter().filter(|n| !n.is_empty()) {
            if producer.insert(name, i).is_some() {
                return Err(Error::new(ErrorKind::Malformed, "two nodes of the graph give the same value")
                    .tensor(name)
                    .node(node.label()));
            }
        }
    }
    let given: HashSet<&str> = (graph.input.iter().filter_map(|i| i.name.as_deref()))
        .chain(graph.initializer.iter().filter_map(|t| t.name.as_deref()))
        .collect();
    for name in outputs {
        if !producer.contains_key(name.as_str()) && !given.contains(name.as_str()) {
            return Err(Error::new(ErrorKind::Malformed, "nothing in the graph gives this output").tensor(name));
        }
    }
    let needs = |i: usize| -> Result<Vec<usize>> {
        let node = &graph.node[i];
        for name in node.input.iter().filter(|n| !n.is_empty()) {
            if !producer.contains_key(name.as_str()) && !given.contains(name.as_str()) {
                return Err(Error::new(ErrorKind::Malformed, "nothing in the graph gives a value that a node takes")
                    .tensor(name)
                    .node(node.label()));
            }
        }
        let mut names = Vec::new();
        used_names(node, &mut names);
        let own: HashSet<usize> = node.input.iter().filter_map(|n| producer.get(n.as_str()).copied()).collect();
        // A subgraph may have names of its own that happen to be the node's outputs; that is no cycle.
        Ok(names.iter().filter_map(|n| producer.get(n).copied()).filter(|&n| n != i || own.contains(&i)).collect())
    };
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut state = vec![State::New; graph.node.len()];
    let mut order = Vec::new();
    let mut stack: Vec<(usize, Vec<usize>)> = Vec::new();
    for name in outputs {
        let Some(&root) = producer.get(name.as_str()) else { continue };
        if state[root] == State::New {
            state[root] = State::Open;
            stack.push((root, needs(root)?));
        }
        while let Some((node, open)) = stack.last_mut() {
            match open.pop() {
                Some(next) if state[next] == State::New => {
                    state[next] = State::Open;
                    stack.push((next, needs(next)?));
                }
                Some(next) if state[next] == State::Open => {
                    return Err(Error::new(
                        ErrorKind::Malformed,
                        "the graph has a cycle: nodes need each other's outputs",
                    )
                    .node(graph.node[next].label()));
                }
                Some(_) => {}
                None => {
                    state[*node] = State::Done;
                    order.push(*node);
                    stack.pop();
                }
            }
        }
    }
    let mut nodes: Vec<Option<NodeProto>> = std::mem::take(&mut graph.node).into_iter().map(Some).collect();
    graph.node = order.into_iter().filter_map(|i| nodes[i].take()).collect();
    let named = |name: &String| ValueInfoProto { name: Some(name.clone()), ..ValueInfoProto::default() };
    graph.output = outputs.iter().map(named).collect();
    drop_unused(graph);
    Ok(())
}

/// Leaves out the constants that no node and no output uses.
fn drop_unused(graph: &mut GraphProto) {
    let mut used: HashSet<String> = graph.output.iter().filter_map(|o| o.name.clone()).collect();
    for node in &graph.node {
        let mut names = Vec::new();
        used_names(node, &mut names);
        used.extend(names.into_iter().map(str::to_owned));
    }
    graph.initializer.retain(|t| t.name.as_ref().is_some_and(|n| used.contains(n)));
}

/// What the constants of a graph come to.
#[derive(Default)]
struct Weights {
    numbers: u64,
    bytes: u64,
    sizes: BTreeSet<usize>,
}

impl Weights {
    /// The most numbers of a constant that may be sizes: as many as a shape has axes.
    const AXES: usize = 8;
    const SIZES: std::ops::RangeInclusive<i64> = 2..=4096;

    fn note_sizes(&mut self, data: &TensorData) {
        if let TensorData::I64(values) = data
            && values.len() <= Self::AXES
        {
            self.sizes.extend(values.iter().filter(|n| Self::SIZES.contains(n)).map(|n| *n as usize));
        }
    }
}

/// Takes hints about shapes out of a graph and its subgraphs, and puts every tensor's values in.
fn clean(
    graph: &mut GraphProto,
    external: Option<&ExternalData>,
    limits: &Limits,
    weights: &mut Weights,
) -> Result<()> {
    graph.value_info.clear();
    graph.quantization_annotation.clear();
    graph.metadata_props.clear();
    graph.doc_string = None;
    for output in &mut graph.output {
        output.r#type = None;
    }
    for dim in graph
        .input
        .iter_mut()
        .filter_map(|i| i.r#type.as_deref_mut()?.tensor_type.as_deref_mut()?.shape.as_deref_mut())
        .flat_map(|shape| &mut shape.dim)
    {
        dim.dim_param = None;
        dim.dim_value = dim.dim_value.filter(|n| *n >= 0);
    }
    for tensor in &mut graph.initializer {
        whole(tensor, external, limits, weights)?;
    }
    for node in &mut graph.node {
        node.doc_string = None;
        node.metadata_props.clear();
        let label = node.label();
        for attribute in &mut node.attribute {
            for tensor in attribute.t.as_deref_mut().into_iter().chain(&mut attribute.tensors) {
                whole(tensor, external, limits, weights)
                    .map_err(|e| if e.node_name().is_none() { e.node(&label) } else { e })?;
            }
            for inner in attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs) {
                clean(inner, external, limits, weights)?;
            }
        }
    }
    Ok(())
}

/// Checks a tensor against its bytes, and puts its values into the message as raw data.
fn whole(
    tensor: &mut TensorProto,
    external: Option<&ExternalData>,
    limits: &Limits,
    weights: &mut Weights,
) -> Result<()> {
    if tensor.is_packed() {
        *tensor = tensor.packed_whole(external, limits.max_elements)?;
        let bytes = tensor.raw_data.as_ref().map_or(0, |raw| raw.len());
        weights.numbers += 2 * bytes as u64;
        weights.bytes += bytes as u64;
        return Ok(());
    }
    let dense = tensor.to_dense(external, limits.max_elements)?;
    let code = tensor.data_type.unwrap_or_default();
    weights.numbers += dense.data.len() as u64;
    weights.note_sizes(&dense.data);
    let size = super::super::declared::dtype(code).and_then(crate::DType::size_bytes).unwrap_or(24);
    weights.bytes += (dense.data.len() * size) as u64;
    let outside = tensor.data_location.unwrap_or_default() == data_location::EXTERNAL;
    if outside || (tensor.raw_data.is_none() && code != data_type::STRING) {
        *tensor = TensorProto::from_dense(tensor.name.as_deref().unwrap_or_default(), &dense);
    }
    Ok(())
}

/// Gives every node a name of its own: tract's messages and some of its passes go by name.
fn unique_names(graph: &mut GraphProto) {
    let mut seen = HashSet::new();
    for (i, node) in graph.node.iter_mut().enumerate() {
        let name = node.name.take().filter(|n| !n.is_empty() && !seen.contains(n));
        let name = name.unwrap_or_else(|| {
            let output = node.output.iter().find(|o| !o.is_empty() && !seen.contains(*o));
            output.cloned().unwrap_or_else(|| format!("{}#{i}", node.op_type.as_deref().unwrap_or_default()))
        });
        seen.insert(name.clone());
        node.name = Some(name);
    }
}
