//! A network run by tract as a [`Model`].

use std::sync::Arc;

use tract_onnx::prelude::{TValue, TVec, TypedModel};

use super::contain::contained;
use super::convert::Form;
use super::plan::{Answers, Plans};
use super::{convert, independence, prepare};
use crate::backend::declared::{self, Declared, Hint};
use crate::backend::network::analyze::{self, Analysis, Batching};
use crate::backend::network::{Engine, Network};
use crate::backend::{file, inline};
use crate::load::Source;
use crate::{
    Checked, Description, Error, ErrorKind, Limits, Loader, Model, Result, Tensor, TensorSpec, Tensors, kernel,
};

/// What runs the graph, with its version.
const ENGINE: &str = "tract 0.23.9";

/// The model in an ONNX file; `reason` says why this backend was chosen.
pub(crate) fn load(source: &Source, loader: &Loader, reason: String) -> Result<Arc<dyn Model>> {
    let limits = &loader.limits;
    let mut proto = file::decode(source, limits)?;
    if let Some(whole) = inline::inline_functions(&proto)? {
        proto.graph = Some(Box::new(whole));
    }
    let graph = proto.graph.as_deref().expect("`decode` gives a file with a graph");
    let names = file::wanted(graph, loader.outputs.as_deref())?;
    let mut description = Description::new("onnx", "tract", ENGINE);
    description.reason = reason;
    description.operators = file::operators(graph);
    description.threads = loader.threads;
    let written_by = file::written_by(&proto);

    let external = source.external();
    let prepared = prepare::prepare(proto, &names, external.as_ref(), limits)?;
    let inputs = declared::declared(&prepared.inputs.iter().collect::<Vec<_>>(), |_| Hint::default())?;
    let types = inputs
        .iter()
        .map(|d| convert::datum_type(d.dtype).map_err(|e| e.tensor(&d.name)))
        .collect::<Result<Vec<_>>>()?;
    description.parameters = prepared.parameters;
    description.bytes = prepared.weight_bytes;
    // Each thread may get a part of a batch that is a row longer than the others.
    let least_kept = if loader.threads > 1 { 2 } else { 1 };
    let mut plans = Plans::parse(&prepared.proto.encode_to_vec(), types, prepared.weight_bytes, least_kept, limits)?;
    drop(prepared.proto);
    let mut analysis = analyzed(&mut plans, inputs, &names, &prepared.sizes, limits)?;
    description.row_independent = match analysis.batching {
        Batching::RowByRow => true,
        Batching::Whole => analysis.rows_agree && rows_independent(&plans, &analysis),
        Batching::None => false,
    };
    plans.settle();
    if plans.is_large() {
        kernel::release_free_pages();
    }
    description.engine = format!(
        "{ENGINE}, compiled {}",
        if plans.is_general() { "once for all shapes" } else { "per shape of the inputs" }
    );

    description.notes = std::mem::take(&mut analysis.notes);
    if !prepared.rewritten.is_empty() {
        description.notes.push(format!("rewritten into standard operators: {}", prepared.rewritten.join(", ")));
    }
    description.notes.extend(written_by);
    let pool = match loader.threads {
        0 | 1 => None,
        n => Some(rayon::ThreadPoolBuilder::new().num_threads(n).build().map_err(|e| {
            Error::new(ErrorKind::Backend, "the threads of the model could not be started").with_source(e)
        })?),
    };
    let artifact = file::artifact(source, external.as_ref())?;
    Ok(Arc::new(Checked::new(Network { engine: plans, analysis, pool, description, artifact }).cast(loader.cast)))
}

/// What the dry runs tell; through one plan for all shapes where the weights are large and tract can make one.
fn analyzed(
    plans: &mut Plans,
    inputs: Vec<Declared>,
    names: &[String],
    written: &[usize],
    limits: &Limits,
) -> Result<Analysis> {
    let analyze = |plans: &Plans, inputs| {
        analyze::analyze(&|tensors: &[Tensor<'_>]| Engine::run(plans, tensors), inputs, names, written, limits)
    };
    let mut open = inputs.clone();
    if !open.iter().any(Declared::is_batched) {
        open.iter_mut().for_each(|d| d.widen(true));
    }
    if !plans.is_large() {
        return analyze(plans, inputs);
    }
    let refused = match plans.generalize(&open.iter().map(|d| d.dims.as_slice()).collect::<Vec<_>>()) {
        Ok(()) => {
            // What tract makes of open sizes is believed only where it gives what the sizes themselves give.
            let found = analyze(plans, inputs.clone());
            match found.and_then(|found| Ok((generally_right(plans, &found.probe)?, found))) {
                Ok((true, found)) => return Ok(found),
                Ok((false, _)) => "its answers were not those of the form for the sizes themselves".to_owned(),
                Err(error) => told(&error),
            }
        }
        Err(error) => told(&error),
    };
    plans.specialize();
    let mut found = analyze(plans, inputs)?;
    found.notes.push(format!("tract has no form for all shapes: {refused}"));
    Ok(found)
}

/// What an error comes from.
fn told(error: &Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(below) = deepest.source() {
        deepest = below;
    }
    deepest.to_string()
}

/// Whether the plan for all shapes answers as the one for the shapes of `probe`.
fn generally_right(plans: &Plans, probe: &[Tensor<'_>]) -> Result<bool> {
    let alone = plans.run_alone(given(probe)?, outputs)?;
    let all = Engine::run(plans, probe)?;
    Ok(alone.len() == all.len() && alone.iter().zip(&all).all(|(a, b)| analyze::close(a, b)))
}

/// Whether tract's own graph keeps rows apart.
fn rows_independent(plans: &Plans, analysis: &Analysis) -> bool {
    let shapes: Vec<&[usize]> = analysis.probe.iter().map(|t| t.shape()).collect();
    let batched: Vec<bool> = analysis.signature.inputs().iter().map(|s| s.is_batched()).collect();
    let tracked = plans.typed(&shapes).and_then(|typed: TypedModel| {
        contained(ErrorKind::Backend, "following the batch axis", || {
            independence::rows_independent(&typed.into_decluttered()?, &batched)
        })
    });
    tracked.unwrap_or(false)
}

fn given(inputs: &[Tensor<'_>]) -> Result<TVec<TValue>> {
    inputs.iter().map(|tensor| convert::to_tract(tensor, Form::Same)).collect()
}

fn outputs(values: Answers<'_>) -> Result<Vec<Tensor<'static>>> {
    values.map(|value| convert::from_tract(value, Form::Same)).collect()
}

impl Engine for Plans {
    fn run(&self, inputs: &[Tensor<'_>]) -> Result<Vec<Tensor<'static>>> {
        self.run(given(inputs)?, outputs)
    }

    fn run_named(&self, inputs: &Tensors<'_>, outputs: &[TensorSpec], rows: Option<usize>) -> Result<Tensors<'static>> {
        let form = rows.map_or(Form::One, Form::Rows);
        let values = inputs.iter().map(|(_, tensor)| convert::to_tract(tensor, form));
        self.run(values.collect::<Result<TVec<TValue>>>()?, |values| {
            let mut answers = Tensors::with_capacity(outputs.len());
            for (spec, value) in outputs.iter().zip(values) {
                let tensor = convert::from_tract(value, form).map_err(|e| e.tensor(spec.name()))?;
                answers.push(spec.name().clone(), tensor);
            }
            Ok(answers)
        })
    }
}
