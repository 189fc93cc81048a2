//! Operators of ONNX Runtime's own, rewritten into standard ones: for tract, and for the packed form.
//!
//! `onnxruntime.quantization` writes operators of the domain `com.microsoft` that compute on 8-bit numbers. Each
//! becomes what it stands for: its inputs dequantised, the plain operator, its output quantised. The arithmetic
//! between is float32 instead of int32, which is exact up to 2^24 and else within rounding.

mod attention;
mod blocks;
mod embed;
mod linear;
mod lstm;
mod moves;
mod pick;
mod qdq;
mod site;

use std::collections::{HashMap, HashSet};

use site::{Site, Surroundings};

use crate::backend::file::used_names;
use crate::onnx::{GraphProto, NodeProto, TensorProto, ValueInfoProto};
use crate::{Limits, Result};

/// Rewrites one node.
type Rule = fn(&mut Site<'_>) -> Result<()>;

/// Rules by domain and operator.
type Rules = &'static [&'static [(&'static str, &'static str, Rule)]];

/// Who reads the graph.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reader {
    #[cfg(feature = "tract")]
    Tract,
    /// The packer of the packed form.
    #[cfg(feature = "optimize")]
    Packer,
}

impl Reader {
    const fn rules(self) -> Rules {
        match self {
            #[cfg(feature = "tract")]
            Self::Tract => FOR_TRACT,
            #[cfg(feature = "optimize")]
            Self::Packer => FUSED,
        }
    }

    /// Whether products and tables of weights in blocks may stay what they are.
    const fn takes_blocks(self) -> bool {
        match self {
            #[cfg(feature = "tract")]
            Self::Tract => true,
            #[cfg(feature = "optimize")]
            Self::Packer => false,
        }
    }
}

/// Those that tract wants.
const FOR_TRACT: Rules =
    &[attention::RULES, blocks::RULES, embed::RULES, linear::RULES, lstm::RULES, lstm::KEPT, pick::RULES, qdq::RULES];
/// Those of operators that do the work of many.
#[cfg(feature = "optimize")]
const FUSED: Rules = &[attention::RULES, blocks::RULES, embed::RULES, lstm::RULES];

/// Rewrites the nodes of `graph` and of its subgraphs for `reader`; gives the operators that were rewritten, each once.
///
/// # Errors
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a form of an operator that has no standard
/// counterpart, [`ErrorKind::Malformed`](crate::ErrorKind::Malformed) for a node that contradicts its operator.
pub(crate) fn rewrite(
    reader: Reader,
    graph: &mut GraphProto,
    opset: i64,
    inputs: &HashMap<String, usize>,
    limits: &Limits,
) -> Result<Vec<String>> {
    moves::move_quantized(graph);
    let mut whole = Whole { reader, opset, inputs, limits, serial: 0, rewritten: Vec::new() };
    whole.rewrite(graph)?;
    drop_unneeded(graph);
    Ok(whole.rewritten)
}

/// How many axes the inputs are declared with.
pub(crate) fn ranks(graph: &GraphProto) -> HashMap<String, usize> {
    let rank = |info: &ValueInfoProto| {
        let shape = info.r#type.as_deref()?.tensor_type.as_deref()?.shape.as_deref()?;
        Some((info.name.clone()?, shape.dim.len()))
    };
    graph.input.iter().filter_map(rank).collect()
}

/// Leaves out the nodes that no output needs; every node stands behind those it needs.
fn drop_unneeded(graph: &mut GraphProto) {
    let mut needed: HashSet<String> = graph.output.iter().filter_map(|o| o.name.clone()).collect();
    let mut kept = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node).into_iter().rev() {
        if node.output.iter().any(|output| needed.contains(output)) {
            let mut names = Vec::new();
            used_names(&node, &mut names);
            needed.extend(names.into_iter().map(str::to_owned));
            kept.push(node);
        }
    }
    kept.reverse();
    graph.node = kept;
}

fn rule_for(rules: Rules, node: &NodeProto) -> Option<&'static (&'static str, &'static str, Rule)> {
    let mut rules = rules.iter().copied().flatten();
    rules.find(|(domain, op, _)| *domain == node.operator_domain() && *op == node.operator())
}

/// Whether a node is written in standard operators for tract.
#[cfg(all(feature = "native", feature = "tract"))]
pub(super) fn rewrites(node: &NodeProto) -> bool {
    rule_for(FOR_TRACT, node).is_some()
}

/// What is the same for a graph and its subgraphs.
struct Whole<'w> {
    reader: Reader,
    opset: i64,
    /// How many axes the inputs of the graph are declared with.
    inputs: &'w HashMap<String, usize>,
    limits: &'w Limits,
    serial: usize,
    rewritten: Vec<String>,
}

impl Whole<'_> {
    fn rewrite(&mut self, graph: &mut GraphProto) -> Result<()> {
        let nodes = std::mem::take(&mut graph.node);
        let mut made = Vec::with_capacity(nodes.len());
        let mut initializers = Vec::new();
        let mut constants: HashMap<&str, &TensorProto> =
            graph.initializer.iter().map(|t| (t.name.as_deref().unwrap_or_default(), t)).collect();
        let mut producers = HashMap::new();
        let mut consumers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
        let mut taken = Vec::new();
        for node in &nodes {
            used_names(node, &mut taken);
            taken.drain(..).for_each(|name| consumers.entry(name).or_default().push(node));
            producers.extend(node.output.iter().map(|output| (output.as_str(), node)));
            if node.operator() == "Constant"
                && node.operator_domain().is_empty()
                && let (Some(name), Some(tensor)) =
                    (node.output.first(), node.find_attribute("value").and_then(|a| a.t.as_deref()))
            {
                constants.insert(name, tensor);
            }
        }
        let around = Surroundings { producers, consumers, inputs: self.inputs };
        for node in &nodes {
            let Some((domain, operator, rule)) = rule_for(self.reader.rules(), node) else {
                let mut node = node.clone();
                for inner in node.attribute.iter_mut().flat_map(|a| a.g.as_deref_mut().into_iter().chain(&mut a.graphs))
                {
                    self.rewrite(inner)?;
                }
                made.push(node);
                continue;
            };
            let mut site = Site::new(node, &constants, &around, self.opset, self.limits, &mut self.serial);
            site.takes_blocks = self.reader.takes_blocks();
            rule(&mut site).map_err(|e| e.node(node.label()))?;
            let (nodes, tensors) = site.finish();
            let kept = nodes.len() == 1 && nodes[0] == *node;
            made.extend(nodes);
            initializers.extend(tensors);
            let shown = format!("{domain}:{operator}");
            if !domain.is_empty() && !kept && !self.rewritten.contains(&shown) {
                self.rewritten.push(shown);
            }
        }
        graph.node = made;
        graph.initializer.extend(initializers);
        Ok(())
    }
}
