//! What a compiled graph really takes and gives, found by dry runs.
//!
//! Shapes in a file are hints: exporters declare them wrongly. So the program is run at load on two small made-up
//! batches of different sizes; what changes with the size is the batch, what does not is fixed. The same runs show
//! which axes of every value in between vary with the batch, and so whether an operator mixes rows.

mod declared;
mod probe;

pub(super) use declared::{Declared, declared, dtype};
use probe::{Found, Prober};

use super::program::Program;
use crate::onnx::ValueInfoProto;
use crate::{Dim, Error, ErrorKind, Limits, Result, Signature, TensorSpec};

/// How a batch of m rows is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batching {
    /// All rows at once.
    Whole,
    /// The file is made for one row at a time and can't be widened.
    RowByRow,
    /// The model has no batch axis.
    None,
}

/// Where an output of the model comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Output {
    /// The program's output.
    pub(super) index: usize,
    /// The element, when that output is a sequence.
    pub(super) element: Option<usize>,
    /// Whether the graph gives (1, m, ...) for (m, ...).
    pub(super) drop_first: bool,
}

/// What the dry runs found.
#[derive(Debug)]
pub(super) struct Analysis {
    pub(super) signature: Signature,
    pub(super) outputs: Vec<Output>,
    pub(super) batching: Batching,
    pub(super) row_independent: bool,
    /// The elements that one row takes in all values between the steps, for choosing how many rows to run at once.
    pub(super) elements_per_row: usize,
    pub(super) notes: Vec<String>,
}

/// Runs `program` dry and tells what it is. `outputs` are what the file declares, in the program's order.
pub(super) fn analyze(
    program: &Program,
    mut inputs: Vec<Declared>,
    outputs: &[&ValueInfoProto],
    limits: &Limits,
) -> Result<Analysis> {
    let names: Vec<String> = outputs.iter().map(|o| o.name.clone().unwrap_or_default()).collect();
    let prober = Prober { program, limits };
    let mut notes = Vec::new();
    let mut batching = if inputs.iter().any(Declared::is_batched) { Batching::Whole } else { Batching::None };
    if batching == Batching::None && inputs.iter().any(Declared::is_one) && !inputs.iter().any(Declared::may_be_shape) {
        inputs.iter_mut().for_each(|d| d.widen(true));
        if takes_any_batch(&prober, &inputs, &names)? {
            notes.push("exported for a batch of 1; the graph takes any number of rows and is run so".to_owned());
            batching = Batching::Whole;
        } else {
            if bound_to_one(&inputs)
                && let Ok(run) = prober.run(&inputs, 1, 0)
                && let Some(found) = prober.single(&run, prober.other(&inputs, 1, 0).as_ref(), &names)
            {
                notes.push("exported for a batch of 1 and bound to it; rows are run one by one".to_owned());
                return Ok(found.analysis(&inputs, Batching::RowByRow, true, run.elements, notes));
            }
            // An output without the axis of length 1: the inputs' is no batch.
            inputs.iter_mut().for_each(|d| d.widen(false));
        }
    }
    let runs = match prober.runs(&inputs) {
        Ok(runs) => runs,
        // What is wrong with the graph is so for every input.
        Err(e) if matches!(e.kind(), ErrorKind::LimitExceeded | ErrorKind::Unsupported) => return Err(e),
        // So are contradictions, but for those of axes and shapes that come in as inputs.
        Err(e) if e.kind() == ErrorKind::Malformed && !inputs.iter().any(|d| d.dtype.is_integer()) => return Err(e),
        Err(e) if e.kind() == ErrorKind::WrongType => return Err(lacks_type(e)),
        Err(e) => {
            let Some(found) = as_declared(outputs, batching) else { return Err(undeclared(e)) };
            notes.push(
                "made-up inputs were refused by an operator, so the outputs are as the file declares them".to_owned(),
            );
            return Ok(found.analysis(&inputs, batching, false, 1, notes));
        }
    };
    let found = prober.outputs(&runs, &names, &inputs)?;
    let row_independent = batching == Batching::Whole
        && found.specs.iter().all(TensorSpec::is_batched)
        && !prober.mixes(&runs)
        && prober.rows_agree(&inputs, &found.outputs)?;
    let [a, b] = &runs.sizes;
    Ok(found.analysis(&inputs, batching, row_independent, b.elements.saturating_sub(a.elements), notes))
}

/// The error for outputs of which neither dry runs nor the file tell anything.
fn undeclared(error: Error) -> Error {
    let message = "made-up inputs were refused by an operator, and the file does not say what its outputs are";
    Error::new(ErrorKind::Unsupported, message).with_source(error)
}

/// Whether the axis that is declared as 1 can be the batch of a graph that is bound to one row: every input has it.
fn bound_to_one(inputs: &[Declared]) -> bool {
    inputs.iter().all(|d| d.is_one() || d.dims.is_empty())
}

/// What an operator says of an element type that it lacks, as a refusal: types do not depend on what a graph is given,
/// and another backend may have the operator for this one.
fn lacks_type(error: Error) -> Error {
    let message = "the backend `native` lacks an operator of the graph for the element type that it gets";
    let refusal = Error::new(ErrorKind::Unsupported, message);
    let refusal = match error.node_name() {
        Some(node) => refusal.node(node),
        None => refusal,
    };
    refusal.with_source(error)
}

/// Whether a graph declared for a batch of 1 gives the same answers for any.
fn takes_any_batch(prober: &Prober<'_>, inputs: &[Declared], names: &[String]) -> Result<bool> {
    let Ok(runs) = prober.runs(inputs) else { return Ok(false) };
    let Ok(found) = prober.outputs(&runs, names, inputs) else { return Ok(false) };
    Ok(found.specs.iter().all(TensorSpec::is_batched) && prober.rows_agree(inputs, &found.outputs)?)
}

/// The outputs as the file declares them, if it declares them all.
fn as_declared(outputs: &[&ValueInfoProto], batching: Batching) -> Option<Found> {
    let mut found = Found { specs: Vec::new(), outputs: Vec::new() };
    for (index, info) in outputs.iter().enumerate() {
        let tensor = info.r#type.as_deref()?.tensor_type.as_deref()?;
        let mut dims: Vec<Dim> = tensor.shape.as_deref()?.dim.iter().map(declared::output_dim).collect();
        if batching == Batching::Whole && dims.first() == Some(&Dim::Any) {
            dims[0] = Dim::Batch;
        }
        found.specs.push(TensorSpec::new(info.name.as_deref()?, dtype(tensor.elem_type?)?, dims));
        found.outputs.push(Output { index, element: None, drop_first: false });
    }
    Some(found)
}

impl Found {
    fn analysis(
        self,
        inputs: &[Declared],
        batching: Batching,
        row_independent: bool,
        elements_per_row: usize,
        notes: Vec<String>,
    ) -> Analysis {
        Analysis {
            signature: Signature::new(inputs.iter().map(Declared::spec).collect(), self.specs),
            outputs: self.outputs,
            batching,
            row_independent,
            elements_per_row: elements_per_row.max(1),
            notes,
        }
    }
}
