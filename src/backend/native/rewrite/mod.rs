//! Several nodes of a graph as one, before it is compiled: what exporters and quantisers write in many operators.
//!
//! A rule looks at one node and its neighbours and gives the node that stands for them, under the name of what the last
//! of them gives. The others stay: what nobody needs is not compiled. A rule holds back where a value in between is
//! needed elsewhere as well.

mod dynamic;
mod fold;
mod layout;
mod qdq;
#[cfg(test)]
mod tests;
mod transformer;
mod view;

use view::View;

use crate::Limits;
use crate::onnx::{GraphProto, NodeProto};

/// What stands for several nodes: the last of them, by index, and the node that takes its place.
type Fused = (usize, NodeProto);

/// Gives what the node and its neighbours can be replaced by.
type Rule = fn(&View<'_>, usize) -> Option<Fused>;

/// The rules, in passes: a later one sees what the earlier ones made.
const PASSES: &[&[Rule]] = &[
    &[transformer::commuted],
    &[dynamic::product],
    &[qdq::movement],
    &[qdq::product, qdq::pair],
    &[layout::relu, transformer::gelu, transformer::norm, transformer::attention],
];

/// The graph with several nodes in one wherever a rule allows it. Subgraphs stay as they are.
pub(super) fn rewrite(graph: &GraphProto, limits: &Limits) -> GraphProto {
    let mut graph = graph.clone();
    fold::filled(&mut graph, limits);
    fold::batch_norms(&mut graph, limits);
    for rules in PASSES {
        let view = View::new(&graph, limits);
        let fused: Vec<Fused> =
            (0..graph.node.len()).filter_map(|i| rules.iter().find_map(|rule| rule(&view, i))).collect();
        drop(view);
        for (at, node) in fused {
            graph.node[at] = node;
        }
    }
    layout::lay_out(&mut graph, limits);
    graph
}
