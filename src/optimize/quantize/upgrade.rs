//! Operator sets that are too old for what the quantiser writes: upgraded where that is safe, else refused by name.

use crate::onnx::edit::{Editor, Site};
use crate::onnx::node::int;
use crate::onnx::{NodeProto, attribute_type, builder};
use crate::{Error, ErrorKind, Result};

/// From this set on an upgrade to [`NEWEST`] keeps every operator's meaning but those below.
const OLDEST: i64 = 13;
/// The set with `DequantizeLinear` in blocks and 4-bit integers.
const NEWEST: i64 = 21;

/// Operators whose meaning or form changed between 13 and 21 in ways that are not rewritten here.
const CHANGED: &[&str] =
    &["GridSample", "DFT", "GroupNormalization", "Upsample", "Resize", "Scan", "RoiAlign", "BatchNormalization"];

/// Reductions that take their axes as an input since set 18.
const REDUCTIONS: &[&str] = &[
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
];

/// Makes sure that the standard operator set is `needed` or newer, for what `operator` says.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where it is older and can't be raised, naming why.
pub(super) fn require(editor: &mut Editor, needed: i64, operator: &str) -> Result<Option<String>> {
    let have = editor.opset("").unwrap_or(0);
    if have >= needed {
        return Ok(None);
    }
    let refuse = |why: &str| {
        let what = format!(
            "{operator} needs opset {needed}, and the model is of opset {have}, {why}; export it with a newer opset"
        );
        Err(Error::new(ErrorKind::Unsupported, what).expected(needed).actual(have))
    };
    if have < OLDEST {
        return refuse("too old to be upgraded");
    }
    if let Some(node) = editor.graph().node.iter().find(|n| {
        n.operator_domain().is_empty()
            && (CHANGED.contains(&n.operator()) && !(n.operator() == "BatchNormalization" && n.output.len() == 1))
    }) {
        let why = format!("whose {} means something else there", node.label());
        return refuse(&why);
    }
    editor.rewrite(&mut |node, site| {
        let node = raised(node, have, site)?;
        site.push(node);
        Ok(())
    })?;
    editor.import("", NEWEST.min(needed.max(NEWEST)));
    // The version of the file format that goes with opset 21.
    editor.raise_ir(10);
    Ok(Some(format!("the model was raised from opset {have} to {NEWEST}")))
}

/// The node in the form that set 21 has.
fn raised(mut node: NodeProto, have: i64, site: &mut Site<'_>) -> Result<NodeProto> {
    if !node.operator_domain().is_empty() || have >= 18 {
        return Ok(node);
    }
    if REDUCTIONS.contains(&node.operator()) {
        let axes = node.attribute.iter().position(|a| a.name.as_deref() == Some("axes"));
        if let Some(at) = axes {
            let axes = node.attribute.remove(at).ints;
            let name = site.fresh(&format!("{}_axes", node.output.first().map_or("", String::as_str)));
            site.add_beside("", builder::dense_tensor(&name, &[axes.len()], axes)?);
            node.input.push(name);
        }
    }
    // Equal parts are counted since set 18 where they are not listed.
    if node.operator() == "Split" && node.input.get(1).is_none_or(String::is_empty) && int(&node, "num_outputs", 0) == 0
    {
        node.input.truncate(1);
        let mut parts = builder::int("num_outputs", node.output.len() as i64);
        parts.r#type = Some(attribute_type::INT);
        node.attribute.push(parts);
    }
    Ok(node)
}
