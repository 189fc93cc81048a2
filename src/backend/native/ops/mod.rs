//! The operators, registered by domain and name.

pub(crate) mod constant;
mod conv;
mod flow;
mod identity;
mod layout;
mod linear;
mod loss;
mod math;
mod ml;
pub(crate) mod post;
pub(super) mod quant;
mod recurrent;
mod signal;
#[cfg(test)]
mod tests;
mod text;
mod training;
mod transformer;
mod trees;
#[cfg(test)]
pub(crate) mod trial;
mod vision;
mod wide;

#[cfg(feature = "optimize")]
pub(crate) use conv::{Border, stand};
#[cfg(feature = "optimize")]
pub(crate) use layout::{Equation, Label, Labels};
#[cfg(feature = "optimize")]
pub(crate) use vision::Sampling;

use super::node::Node;
use super::op::Op;
use crate::{Error, ErrorKind, Result};

/// Builds an operator from its node.
pub(super) type Build = fn(&Node<'_>) -> Result<Box<dyn Op>>;

/// The names of a group's operators, each with its builder.
type Group = &'static [(&'static str, Build)];

/// The groups of every module, by domain.
const GROUPS: &[&[(&str, Group)]] = &[
    &[("", constant::GROUP), ("", identity::GROUP)],
    math::GROUPS,
    layout::GROUPS,
    linear::GROUPS,
    ml::GROUPS,
    trees::GROUPS,
    flow::GROUPS,
    text::GROUPS,
];

/// The groups of what only networks have.
const NETWORKS: &[&[(&str, Group)]] = &[
    quant::GROUPS,
    conv::GROUPS,
    conv::GENERAL,
    recurrent::GROUPS,
    transformer::GROUPS,
    vision::GROUPS,
    signal::GROUPS,
    &[("", loss::GROUP), ("ai.onnx.preview.training", training::GROUP)],
];

/// The operator of `node`.
///
/// # Errors
/// [`ErrorKind::Unsupported`] naming the operator and its domain when there is none.
pub(crate) fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let (name, domain) = (node.op_type(), node.domain());
    match find(GROUPS, domain, name).or_else(|| find(NETWORKS, domain, name)) {
        Some(build) => build(node),
        None => {
            let shown = if domain.is_empty() { "the standard domain" } else { domain };
            Err(Error::new(ErrorKind::Unsupported, format!("the backend `native` has no operator `{name}` of {shown}")))
        }
    }
}

fn find(groups: &[&[(&str, Group)]], domain: &str, name: &str) -> Option<Build> {
    let groups = groups.iter().copied().flatten().filter(|(d, _)| *d == domain);
    groups.flat_map(|(_, group)| group.iter()).find(|(n, _)| *n == name).map(|(_, build)| *build)
}

/// Whether there is an operator of the name and domain of `node`, and of every node in its subgraphs. Those of networks do
/// not count: a graph is cut where this backend refused it whole, as a rule for the form of one of them.
#[cfg(feature = "tract")]
pub(crate) fn has(node: &crate::onnx::NodeProto) -> bool {
    let inner = node.attribute.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs));
    find(GROUPS, node.operator_domain(), node.operator()).is_some() && inner.flat_map(|graph| &graph.node).all(has)
}
