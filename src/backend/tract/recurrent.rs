//! Loops that begin anew with every run.
//!
//! tract's loops, which its recurrent operators become, go on from where the last run of their state ended, as a stream
//! wants it. In ONNX a call never sees the one before it. So every loop is told to begin anew, and its state, with the
//! memory it has taken, can then serve the next call.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::EvalContext;
use tract_onnx::tract_core::ops::gru_seq::GruSeq;
use tract_onnx::tract_core::ops::logic::IfThenElse;
use tract_onnx::tract_core::ops::scan::{OptScan, Scan};

/// Makes every loop of `model`, and those inside of its operators, begin anew.
pub(super) fn begin_anew(model: &mut TypedModel) {
    for node in &mut model.nodes {
        if let Some(scan) = node.op_as_mut::<Scan>() {
            scan.reset_every_turn = true;
            begin_anew(&mut scan.body);
        } else if let Some(gru) = node.op_as_mut::<GruSeq>() {
            gru.reset_every_turn = true;
        } else if let Some(choice) = node.op_as_mut::<IfThenElse>() {
            begin_anew(&mut choice.then_body);
            begin_anew(&mut choice.else_body);
        }
    }
}

/// Whether a run of `model`, compiled, leaves nothing behind that the next one would see.
pub(super) fn is_repeatable(model: &TypedModel) -> bool {
    model.nodes.iter().all(|node| match (node.op_as::<OptScan>(), node.op_as::<GruSeq>()) {
        (Some(scan), _) => scan.reset_every_turn && is_repeatable(scan.plan.model()),
        (None, Some(gru)) => gru.reset_every_turn,
        (None, None) => matches!(node.op().state(&EvalContext::out_of_plan()), Ok(None)),
    })
}
