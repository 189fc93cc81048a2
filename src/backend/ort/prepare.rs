//! What is done to a file before ONNX Runtime sees it.
//!
//! The file is held against the limits. Weights in other files are found here first, so that none is read outside of the
//! model's directory; where the files are in memory they are put in. Maps of classes, which no tensor can hold, are left
//! out: what they are made of is given instead.

use std::collections::HashSet;

use crate::backend::declared::dtype;
use crate::backend::sizes;
use crate::load::Source;
use crate::onnx::{
    ExternalData, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, data_location, data_type,
};
use crate::{DType, Limits, Result};

/// A file as ONNX Runtime gets it.
pub(super) struct Prepared {
    /// The file's bytes, where they are not those that it was read from.
    pub(super) bytes: Option<Vec<u8>>,
    /// Whether its weights are in other files, which ONNX Runtime is to find.
    pub(super) beside: bool,
    /// The inputs as the file declares them, without those that are constants.
    pub(super) inputs: Vec<ValueInfoProto>,
    /// How many numbers the initialisers hold.
    pub(super) parameters: u64,
    /// The bytes that they take.
    pub(super) weight_bytes: u64,
    /// How many maps were left out.
    pub(super) maps: usize,
}

/// Prepares a file.
///
/// # Errors
/// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) for a tensor that is too large; what finding weights beside the
/// file gives.
pub(super) fn prepare(
    mut proto: ModelProto,
    source: &Source,
    external: Option<&ExternalData>,
    limits: &Limits,
) -> Result<Prepared> {
    let mut graph = *proto.graph.take().expect("the caller has seen the graph");
    sizes::check_sizes(&graph, limits)?;
    // A file that ONNX Runtime can't read by itself because the others are in memory.
    let inline = source.path().is_none();
    let mut weights = Weights { external, limits, inline, numbers: 0, bytes: 0, changed: false };
    weights.visit(&mut graph)?;
    let initialised: HashSet<&str> = graph.initializer.iter().filter_map(|t| t.name.as_deref()).collect();
    let free = |i: &&ValueInfoProto| !initialised.contains(i.name.as_deref().unwrap_or_default());
    let inputs = graph.input.iter().filter(free).cloned().collect();
    let maps = without_maps(&mut graph);
    let (parameters, weight_bytes, changed) = (weights.numbers, weights.bytes, weights.changed || maps > 0);
    let beside = !inline && external.is_some_and(|e| !e.used().is_empty());
    if changed && beside {
        // What is not read from its place finds nothing beside it.
        let mut weights = Weights { external, limits, inline: true, numbers: 0, bytes: 0, changed: false };
        weights.visit(&mut graph)?;
    }
    proto.graph = Some(Box::new(graph));
    let bytes = changed.then(|| proto.encode_to_vec());
    Ok(Prepared { bytes, beside: beside && !changed, inputs, parameters, weight_bytes, maps })
}

struct Weights<'w> {
    external: Option<&'w ExternalData>,
    limits: &'w Limits,
    inline: bool,
    numbers: u64,
    bytes: u64,
    changed: bool,
}

impl Weights<'_> {
    /// Checks the tensors of a graph and its subgraphs, and puts in those that lie elsewhere where this is asked for.
    fn visit(&mut self, graph: &mut GraphProto) -> Result<()> {
        for tensor in &mut graph.initializer {
            self.tensor(tensor)?;
        }
        for attribute in graph.node.iter_mut().flat_map(|n| &mut n.attribute) {
            for tensor in attribute.t.as_deref_mut().into_iter().chain(&mut attribute.tensors) {
                self.tensor(tensor)?;
            }
            for inner in attribute.g.as_deref_mut().into_iter().chain(&mut attribute.graphs) {
                self.visit(inner)?;
            }
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: &mut TensorProto) -> Result<()> {
        let (_, count) = tensor.checked_dims(self.limits.max_elements)?;
        let code = tensor.data_type.unwrap_or_default();
        let bits = match (dtype(code).and_then(DType::size_bytes), code) {
            (Some(bytes), _) => 8 * bytes,
            (None, data_type::INT4 | data_type::UINT4) => 4,
            (None, _) => 8,
        };
        let length = count.saturating_mul(bits).div_ceil(8);
        self.numbers += count as u64;
        self.bytes += length as u64;
        if tensor.data_location.unwrap_or_default() != data_location::EXTERNAL {
            return Ok(());
        }
        if !self.inline
            && let Some(external) = self.external
        {
            return external.locate(tensor, length);
        }
        let dense = if tensor.is_packed() {
            tensor.packed_whole(self.external, self.limits.max_elements)?
        } else {
            let dense = tensor.to_dense(self.external, self.limits.max_elements)?;
            TensorProto::from_dense(tensor.name.as_deref().unwrap_or_default(), &dense)
        };
        self.changed = true;
        *tensor = dense;
        Ok(())
    }
}

/// Makes every map of classes that is an output the tensor that it is made of; how many there were.
fn without_maps(graph: &mut GraphProto) -> usize {
    let mut maps: HashSet<String> = HashSet::new();
    for node in graph.node.iter_mut().filter(|n| n.operator() == "ZipMap" && n.operator_domain() == "ai.onnx.ml") {
        maps.extend(node.output.iter().cloned());
        *node = NodeProto {
            input: std::mem::take(&mut node.input),
            output: std::mem::take(&mut node.output),
            name: node.name.take(),
            op_type: Some("Identity".to_owned()),
            ..NodeProto::default()
        };
    }
    for output in &mut graph.output {
        if output.name.as_ref().is_some_and(|name| maps.contains(name)) {
            // The type is worked out anew where none is declared.
            output.r#type = None;
        }
    }
    maps.len()
}
