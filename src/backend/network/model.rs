//! A graph run whole by an engine as a [`Model`].

use std::fmt::Debug;
use std::ops::Range;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::analyze::{Analysis, Batching, Fit, fitted};
use crate::{Artifact, Description, Dim, Error, ErrorKind, Model, Result, Signature, Tensor, TensorSpec, Tensors};

/// The fewest rows worth a thread of their own.
const ROWS_PER_THREAD: usize = 8;

/// What runs a graph whole: as many tensors as it has inputs in, one per output back.
pub(crate) trait Engine: Debug + Send + Sync + 'static {
    /// The outputs of the graph for `inputs`.
    ///
    /// # Errors
    /// What the engine finds wrong.
    fn run(&self, inputs: &[Tensor<'_>]) -> Result<Vec<Tensor<'static>>>;

    /// The answers of the graph by the names in `outputs`, of a graph all of whose inputs and outputs have a batch axis: for this
    /// many rows, or for one observation, where the axis is wanting here.
    ///
    /// # Errors
    /// What the engine finds wrong; [`ErrorKind::Backend`] when an output is of another length.
    fn run_named(&self, inputs: &Tensors<'_>, outputs: &[TensorSpec], rows: Option<usize>) -> Result<Tensors<'static>> {
        let given = |tensor| if rows.is_some() { Tensor::as_view(tensor) } else { Tensor::with_batch_axis(tensor) };
        let batch: Vec<Tensor<'_>> = inputs.iter().map(|(_, tensor)| given(tensor)).collect();
        let answers = self.run(&batch)?;
        match rows {
            Some(m) => named(answers, outputs, m, Ok),
            None => named(answers, outputs, 1, Tensor::without_batch_axis),
        }
    }
}

/// A graph that an engine runs, with what the dry runs found, as a model.
#[derive(Debug)]
pub(crate) struct Network<E> {
    pub(crate) engine: E,
    pub(crate) analysis: Analysis,
    /// Threads that share the rows of a batch, where the engine itself runs on one.
    pub(crate) pool: Option<rayon::ThreadPool>,
    pub(crate) description: Description,
    pub(crate) artifact: Artifact,
}

impl<E: Engine> Network<E> {
    /// Whether the outputs of the graph are those of the model.
    fn as_is(&self) -> bool {
        self.analysis.fits.iter().all(|fit| *fit == Fit::AsIs)
    }

    /// Whether the tensors of a call, with their batch axes, are those of the graph.
    fn is_direct(&self) -> bool {
        let signature = &self.analysis.signature;
        self.as_is() && signature.inputs().iter().chain(signature.outputs()).all(TensorSpec::is_batched)
    }

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
        let mut values = (self.analysis.signature.inputs().iter().zip(inputs.iter()))
            .map(|(spec, (_, tensor))| given(tensor, spec.is_batched()));
        // A lone input, which most graphs have, costs no allocation.
        let outputs = match (values.len(), values.next()) {
            (1, Some(value)) => self.engine.run(&[value?])?,
            (_, first) => self.engine.run(&first.into_iter().chain(values).collect::<Result<Vec<_>>>()?)?,
        };
        if self.as_is() {
            return Ok(outputs);
        }
        outputs.into_iter().zip(&self.analysis.fits).map(|(v, f)| fitted(v, *f)).collect()
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

/// `answers` by their names in `specs`, those with a batch axis as `of_rows` makes them of answers for `m` rows.
fn named(
    answers: Vec<Tensor<'static>>,
    specs: &[TensorSpec],
    m: usize,
    of_rows: impl Fn(Tensor<'static>) -> Result<Tensor<'static>>,
) -> Result<Tensors<'static>> {
    let mut outputs = Tensors::with_capacity(answers.len());
    for (spec, tensor) in specs.iter().zip(answers) {
        if !spec.is_batched() {
            outputs.push(spec.name().clone(), tensor);
            continue;
        }
        if tensor.shape().first() != Some(&m) {
            let what = "the graph gave another number of answers than it was given observations";
            return Err(Error::new(ErrorKind::Backend, what)
                .tensor(spec.name())
                .expected(m)
                .actual(crate::tensor::shape_text(tensor.shape())));
        }
        outputs.push(spec.name().clone(), of_rows(tensor)?);
    }
    Ok(outputs)
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
impl<E: Engine> Model for Network<E> {
    fn signature(&self) -> &Signature {
        &self.analysis.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let batched = self.analysis.batching != Batching::None;
        let m = self.rows(inputs);
        if batched && m == 0 {
            return self.empty(inputs);
        }
        if self.analysis.batching == Batching::Whole && self.pool.is_none() && self.is_direct() {
            return self.engine.run_named(inputs, self.analysis.signature.outputs(), Some(m));
        }
        let answers = if batched { self.run_batch(inputs, m)? } else { self.run(inputs, 0..1)? };
        named(answers, self.analysis.signature.outputs(), m, Ok)
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        if self.analysis.batching == Batching::None {
            return crate::model::predict_as_batch(self, input);
        }
        let outputs = self.analysis.signature.outputs();
        if self.is_direct() {
            return self.engine.run_named(input, outputs, None);
        }
        let answers = self.run_graph(input, |tensor, batched| {
            Ok(if batched { tensor.with_batch_axis() } else { tensor.as_view() })
        })?;
        named(answers, outputs, 1, Tensor::without_batch_axis)
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn artifact(&self) -> Result<Artifact> {
        Ok(self.artifact.clone())
    }
}
