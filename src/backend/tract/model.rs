//! A network run by tract as a [`Model`].

use std::ops::Range;
use std::sync::Arc;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use tract_onnx::prelude::{TValue, TVec, TypedModel};

use super::analyze::{self, Analysis, Batching};
use super::contain::contained;
use super::plan::Plans;
use super::{convert, independence, prepare};
use crate::backend::declared::{self, Declared, Hint};
use crate::backend::{file, inline};
use crate::load::Source;
use crate::{
    Artifact, Checked, Description, Dim, Error, ErrorKind, Limits, Loader, Model, Result, Signature, Tensor, Tensors,
};

/// What runs the graph, with its version.
const ENGINE: &str = "tract 0.23.9";
/// The fewest rows worth a thread of their own.
const ROWS_PER_THREAD: usize = 8;

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
    let mut plans = Plans::parse(&prepared.proto.encode_to_vec(), types, prepared.weight_bytes, limits)?;
    drop(prepared.proto);
    let mut analysis = analyzed(&mut plans, inputs, &names, &prepared.sizes, limits)?;
    description.row_independent = match analysis.batching {
        Batching::RowByRow => true,
        Batching::Whole => analysis.rows_agree && rows_independent(&plans, &analysis),
        Batching::None => false,
    };
    plans.settle();
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
    Ok(Arc::new(Checked::new(TractModel { plans, analysis, pool, description, artifact }).cast(loader.cast)))
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
        analyze::analyze(&|tensors: &[Tensor<'_>]| run_graph(plans, tensors), inputs, names, written, limits)
    };
    let mut open = inputs.clone();
    if !open.iter().any(Declared::is_batched) {
        open.iter_mut().for_each(|d| d.widen(true));
    }
    plans.generalize(&open.iter().map(|d| d.dims.as_slice()).collect::<Vec<_>>());
    if plans.is_general() {
        // What tract makes of open sizes is believed only where it gives what the sizes themselves give.
        if let Ok(found) = analyze(plans, inputs.clone())
            && generally_right(plans, &found.probe).unwrap_or(false)
        {
            return Ok(found);
        }
        plans.specialize();
    }
    analyze(plans, inputs)
}

/// Whether the plan for all shapes answers as the one for the shapes of `probe`.
fn generally_right(plans: &Plans, probe: &[Tensor<'_>]) -> Result<bool> {
    let values = probe.iter().map(convert::to_tract).collect::<Result<TVec<TValue>>>()?;
    let alone = plans.run_alone(values)?.into_iter().map(convert::from_tract).collect::<Result<Vec<_>>>()?;
    let all = run_graph(plans, probe)?;
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

/// The graph's outputs for these inputs.
fn run_graph(plans: &Plans, inputs: &[Tensor<'_>]) -> Result<Vec<Tensor<'static>>> {
    let values = inputs.iter().map(convert::to_tract).collect::<Result<TVec<TValue>>>()?;
    plans.run(values)?.into_iter().map(convert::from_tract).collect()
}

/// A network run by tract.
#[derive(Debug)]
struct TractModel {
    plans: Plans,
    analysis: Analysis,
    pool: Option<rayon::ThreadPool>,
    description: Description,
    artifact: Artifact,
}

impl TractModel {
    fn rows(&self, inputs: &Tensors<'_>) -> usize {
        let batched = self.analysis.signature.inputs().iter().zip(inputs.iter()).find(|(spec, _)| spec.is_batched());
        batched.map_or(1, |(_, (_, tensor))| tensor.shape()[0])
    }

    /// The outputs, in the order of the signature, for what `given` makes of an input and whether it has a batch axis.
    fn run_graph<'t>(
        &self,
        inputs: &'t Tensors<'_>,
        given: impl Fn(&'t Tensor<'_>, bool) -> Result<Tensor<'t>>,
    ) -> Result<Vec<Tensor<'static>>> {
        let specs = self.analysis.signature.inputs();
        let values = (specs.iter().zip(inputs.iter()))
            .map(|(spec, (_, tensor))| convert::to_tract(&given(tensor, spec.is_batched())?))
            .collect::<Result<TVec<TValue>>>()?;
        let outputs = self.plans.run(values)?;
        outputs
            .into_iter()
            .zip(&self.analysis.fits)
            .map(|(v, f)| analyze::fitted(convert::from_tract(v)?, *f))
            .collect()
    }

    /// The outputs for the rows `range`, in the order of the signature.
    fn run(&self, inputs: &Tensors<'_>, range: Range<usize>) -> Result<Vec<Tensor<'static>>> {
        self.run_graph(
            inputs,
            |tensor, batched| {
                if batched { tensor.rows(range.clone()) } else { Ok(tensor.as_view()) }
            },
        )
    }

    /// The outputs for the rows `range`, as the graph takes them.
    fn run_rows(&self, inputs: &Tensors<'_>, range: Range<usize>) -> Result<Vec<Tensor<'static>>> {
        if self.analysis.batching == Batching::RowByRow && range.len() != 1 {
            joined(range.map(|row| self.run(inputs, row..row + 1)).collect::<Result<Vec<_>>>()?)
        } else {
            self.run(inputs, range)
        }
    }

    fn run_batch(&self, inputs: &Tensors<'_>, m: usize) -> Result<Vec<Tensor<'static>>> {
        let split = self.description.row_independent && m >= 2 * ROWS_PER_THREAD;
        let Some(pool) = self.pool.as_ref().filter(|_| split) else {
            return self.run_rows(inputs, 0..m);
        };
        let parts = pool.current_num_threads().min(m / ROWS_PER_THREAD);
        let ranges: Vec<Range<usize>> = (0..parts).map(|i| m * i / parts..m * (i + 1) / parts).collect();
        joined(
            pool.install(|| {
                ranges.into_par_iter().map(|range| self.run_rows(inputs, range)).collect::<Result<Vec<_>>>()
            })?,
        )
    }

    /// The outputs by their names, those with a batch axis as `of_rows` makes them of answers for `m` rows.
    fn named(
        &self,
        answers: Vec<Tensor<'static>>,
        m: usize,
        of_rows: impl Fn(Tensor<'static>) -> Result<Tensor<'static>>,
    ) -> Result<Tensors<'static>> {
        let mut outputs = Tensors::with_capacity(answers.len());
        for (spec, tensor) in self.analysis.signature.outputs().iter().zip(answers) {
            if !spec.is_batched() {
                outputs.push(spec.name().clone(), tensor);
                continue;
            }
            if tensor.shape().first() != Some(&m) {
                return Err(Error::new(
                    ErrorKind::Backend,
                    "the graph gave another number of answers than it was given observations",
                )
                .tensor(spec.name())
                .expected(m)
                .actual(crate::tensor::shape_text(tensor.shape())));
            }
            outputs.push(spec.name().clone(), of_rows(tensor)?);
        }
        Ok(outputs)
    }

    /// Outputs of no rows: those of one row of zeros, with the row taken away.
    fn empty(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let outputs = self.analysis.signature.outputs();
        if outputs.iter().all(|s| s.dims().iter().all(|d| matches!(d, Dim::Fixed(_) | Dim::Batch))) {
            let tensors = outputs.iter().map(|spec| {
                let shape: Vec<usize> =
                    spec.dims().iter().map(|d| if let Dim::Fixed(n) = d { *n } else { 0 }).collect();
                let count = shape.iter().product();
                Ok((spec.name().clone(), crate::tensor::zeros(spec.dtype(), &shape, count)?))
            });
            return tensors.collect();
        }
        let specs = self.analysis.signature.inputs();
        let one = specs.iter().zip(inputs.iter()).map(|(spec, (name, tensor))| {
            if !spec.is_batched() {
                return Ok((name.clone(), tensor.as_view()));
            }
            let mut shape = tensor.shape().to_vec();
            shape[0] = 1;
            let count = shape.iter().product();
            Ok((name.clone(), crate::tensor::zeros(tensor.dtype(), &shape, count)?))
        });
        let answers = self.run_rows(&one.collect::<Result<Tensors<'_>>>()?, 0..1)?;
        let none = outputs.iter().zip(answers).map(|(spec, tensor)| {
            let tensor = if spec.is_batched() { tensor.rows(0..0)?.into_owned() } else { tensor };
            Ok((spec.name().clone(), tensor))
        });
        none.collect()
    }
}

/// The outputs of consecutive rows, put together.
fn joined(parts: Vec<Vec<Tensor<'static>>>) -> Result<Vec<Tensor<'static>>> {
    let outputs = parts.first().map_or(0, Vec::len);
    let mut columns: Vec<Vec<Tensor<'static>>> = (0..outputs).map(|_| Vec::with_capacity(parts.len())).collect();
    for part in parts {
        for (column, tensor) in columns.iter_mut().zip(part) {
            column.push(tensor);
        }
    }
    columns.iter().map(|column| Tensor::concat_rows(column)).collect()
}

#[deny(clippy::missing_trait_methods)]
impl Model for TractModel {
    fn signature(&self) -> &Signature {
        &self.analysis.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let batched = self.analysis.batching != Batching::None;
        let m = self.rows(inputs);
        if batched && m == 0 {
            return self.empty(inputs);
        }
        let answers = if batched { self.run_batch(inputs, m)? } else { self.run(inputs, 0..1)? };
        self.named(answers, m, Ok)
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        if self.analysis.batching == Batching::None {
            return crate::model::predict_as_batch(self, input);
        }
        let answers = self.run_graph(input, |tensor, batched| {
            Ok(if batched { tensor.with_batch_axis() } else { tensor.as_view() })
        })?;
        self.named(answers, 1, Tensor::without_batch_axis)
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn artifact(&self) -> Result<Artifact> {
        Ok(self.artifact.clone())
    }
}
