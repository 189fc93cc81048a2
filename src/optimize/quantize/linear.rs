//! Linear models of `ai.onnx.ml` as products, whose weights are constants that can be quantised.
//!
//! W x + b is I (W x) + b: a `MatMul` takes the coefficients, and the operator stays behind it with those of the identity,
//! for its intercepts, its labels and its link.

use super::layers::{Outcome, name};
use super::settings::Settings;
use crate::Result;
use crate::onnx::edit::{Editor, Site};
use crate::onnx::node::{input, int};
use crate::onnx::{GraphProto, NodeProto, builder, data_type};

/// Models with fewer coefficients stay as they are: the nodes would take more bytes than they save.
const LEAST: usize = 1024;
const DOMAIN: &str = "ai.onnx.ml";

/// Puts products before the linear models that are large enough.
///
/// # Errors
/// None but those of making the constants.
pub(super) fn lower(editor: &mut Editor, settings: &Settings, outcome: &mut Outcome) -> Result<()> {
    let floats = given_as_floats(editor.graph());
    editor.rewrite(&mut |mut node, site| {
        let outputs = match (node.operator_domain(), node.operator()) {
            (DOMAIN, "LinearClassifier") => list(&node, "intercepts").len(),
            (DOMAIN, "LinearRegressor") => usize::try_from(int(&node, "targets", 1)).unwrap_or(0),
            _ => return site.leave(node),
        };
        let coefficients = list(&node, "coefficients").to_vec();
        let terms = coefficients.len() / outputs.max(1);
        // The coefficients of the identity are floats.
        let worthwhile = coefficients.len() >= LEAST.max(2 * outputs * outputs);
        if !worthwhile || outputs * terms != coefficients.len() || settings.keeps(&node) {
            let reason = match worthwhile {
                true => "kept in f32 as asked for",
                false => "it has too few coefficients for this to make it smaller",
            };
            outcome.skip(&node, reason);
            return site.leave(node);
        }
        let given = input(&node, 0).to_owned();
        let x = if floats.contains(&given) { given } else { cast(&given, site) };
        let base = name(&node).to_owned();
        let [weights, product] = ["coefficients", "product"].map(|what| site.fresh(&format!("{base}_{what}")));
        let across = super::grid::transposed(&coefficients, outputs, terms);
        site.add_beside("", builder::f32_tensor(&weights, &[terms, outputs], across)?);
        let mut heart = builder::node("MatMul", "", &[&x, &weights], &[&product], []);
        // The layer is called what the model is called.
        heart.name = node.name.replace(site.fresh(&format!("{base}_link"))).or(heart.name);
        site.push(heart);
        node.input[0] = product;
        let identity = (0..outputs * outputs).map(|i| f32::from(u8::from(i % (outputs + 1) == 0)));
        for attribute in &mut node.attribute {
            if attribute.name.as_deref() == Some("coefficients") {
                attribute.floats = identity.clone().collect();
            }
        }
        site.push(node);
        Ok(())
    })
}

fn list<'n>(node: &'n NodeProto, name: &str) -> &'n [f32] {
    node.find_attribute(name).map_or(&[], |a| &a.floats)
}

fn cast(x: &str, site: &mut Site<'_>) -> String {
    let floats = site.fresh(&format!("{x}_floats"));
    site.push(builder::node("Cast", "", &[x], &[&floats], [builder::int("to", data_type::FLOAT.into())]));
    floats
}

/// The values of a graph that are f32 for certain.
fn given_as_floats(graph: &GraphProto) -> Vec<String> {
    let declared = graph.input.iter().filter(|i| {
        let tensor = i.r#type.as_deref().and_then(|t| t.tensor_type.as_deref());
        tensor.and_then(|t| t.elem_type) == Some(data_type::FLOAT)
    });
    let made = graph.node.iter().filter(|n| {
        n.operator_domain() == DOMAIN && matches!(n.operator(), "Scaler" | "Normalizer" | "FeatureVectorizer")
    });
    declared.filter_map(|i| i.name.clone()).chain(made.filter_map(|n| n.output.first().cloned())).collect()
}
