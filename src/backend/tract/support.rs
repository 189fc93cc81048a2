//! Which operators tract has, by domain.
//!
//! tract registers operators by type alone and ignores the domain, so `com.example:Conv` would run as the standard
//! `Conv`. Here the domain counts: an operator outside the standard domain is taken only where tract means that one.

use std::collections::HashSet;
use std::sync::OnceLock;

#[cfg(feature = "native")]
use crate::backend::rewrite;
use crate::onnx::{GraphProto, ModelProto, NodeProto};
use crate::{Error, ErrorKind, Result};

/// The versions of the standard operators that are taken.
pub(super) const OPSETS: std::ops::RangeInclusive<i64> = 7..=23;

/// What tract has of `ai.onnx.ml`.
const ML: &[&str] = &[
    "ArrayFeatureExtractor",
    "CategoryMapper",
    "LinearClassifier",
    "LinearRegressor",
    "Normalizer",
    "TreeEnsembleClassifier",
];

/// What tract has of `com.microsoft`.
const MICROSOFT: &[&str] = &[
    "BiasGelu",
    "FastGelu",
    "GatherBlockQuantized",
    "Gelu",
    "GroupQueryAttention",
    "MatMulNBits",
    "MultiHeadAttention",
    "QuickGelu",
    "RotaryEmbedding",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
];

/// The operator types that tract registers.
fn registered() -> &'static HashSet<String> {
    static REGISTERED: OnceLock<HashSet<String>> = OnceLock::new();
    REGISTERED.get_or_init(|| tract_onnx::onnx().op_register.0.into_keys().collect())
}

/// Whether there is an operator of the name and domain of `node`, or a way to write it in others, and of every node in
/// its subgraphs.
#[cfg(feature = "native")]
pub(crate) fn has(node: &NodeProto) -> bool {
    let inner = node.attribute.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs));
    (registers(node) || rewrite::rewrites(node)) && inner.flat_map(|graph| &graph.node).all(has)
}

fn registers(node: &NodeProto) -> bool {
    let operator = node.operator();
    match node.operator_domain() {
        "" => registered().contains(operator) && !ML.contains(&operator),
        "ai.onnx.ml" => ML.contains(&operator),
        "com.microsoft" => MICROSOFT.contains(&operator),
        _ => false,
    }
}

/// Refuses a graph with an operator that tract lacks.
///
/// # Errors
/// [`ErrorKind::Unsupported`] naming the operator, its domain and its node.
pub(super) fn check_operators(graph: &GraphProto) -> Result<()> {
    for node in &graph.node {
        if !registers(node) {
            let domain = node.operator_domain();
            let shown = if domain.is_empty() { "the standard domain" } else { domain };
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the backend `tract` has no operator `{}` of {shown}", node.operator()),
            )
            .node(node.label()));
        }
        for inner in node.attribute.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs)) {
            check_operators(inner)?;
        }
    }
    Ok(())
}

/// The version of the standard operators.
///
/// # Errors
/// [`ErrorKind::Unsupported`] when it is not one of [`OPSETS`]; [`ErrorKind::Malformed`] when the file names none.
pub(super) fn check_opset(proto: &ModelProto) -> Result<i64> {
    let standard =
        proto.opset_import.iter().find(|o| matches!(o.domain.as_deref().unwrap_or_default(), "" | "ai.onnx"));
    let Some(version) = standard.map(|o| o.version.unwrap_or(1)) else {
        return Err(Error::new(ErrorKind::Malformed, "the ONNX file does not say which operator set it is written in"));
    };
    if OPSETS.contains(&version) {
        return Ok(version);
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "the backend `tract` does not know this version of the standard operators; export with another opset",
    )
    .expected(format!("opset {} to {}", OPSETS.start(), OPSETS.end()))
    .actual(format!("opset {version}")))
}
