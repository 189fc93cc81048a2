//! What a graph really takes and gives, found by dry runs.
//!
//! Shapes in a file are hints: exporters declare them wrongly. So the graph is run at load on small made-up batches;
//! what changes with the number of rows is the batch, what changes with a named axis carries its name, the rest is
//! fixed.

use crate::backend::declared::{Declared, made_up};
use crate::{DType, Dim, Element, Error, ErrorKind, Limits, Result, Signature, Tensor, TensorSpec};

/// The batch sizes of the dry runs.
const ROWS: [usize; 2] = [2, 3];
/// Sizes to try for axes that are not fixed, each with another to compare with. Networks over images need some room.
const FREE: [[usize; 2]; 5] = [[4, 5], [8, 16], [32, 64], [1, 2], [224, 256]];
/// The largest tensor that a dry run may make.
const MAX_PROBE_ELEMENTS: usize = 1 << 26;
/// The most sizes out of the graph itself that are tried where none of those will do.
const MOST_WRITTEN: usize = 16;
/// The most axes that are varied one by one; with more, all are varied at once.
const MOST_VARIED: usize = 6;

/// How a batch of m rows is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batching {
    /// All rows at once.
    Whole,
    /// The file is made for one row at a time and can't be widened.
    RowByRow,
    /// The model has no batch axis.
    None,
}

/// What is done to an output of the graph to make it the model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Nothing.
    AsIs,
    /// The graph gives (1, m, ...) for (m, ...).
    DropFirst,
    /// The graph for one row gives (...) for (1, ...).
    AddFirst,
}

/// What the dry runs found.
#[derive(Debug)]
pub(crate) struct Analysis {
    pub(crate) signature: Signature,
    pub(crate) fits: Vec<Fit>,
    pub(crate) batching: Batching,
    /// Whether made-up rows got the same answers alone as together.
    pub(crate) rows_agree: bool,
    /// Made-up inputs of three rows (one where rows are run one by one), for looking at the graph.
    #[cfg_attr(not(feature = "tract"), allow(dead_code, reason = "for following the batch through tract's graph"))]
    pub(crate) probe: Vec<Tensor<'static>>,
    pub(crate) notes: Vec<String>,
}

/// A graph that can be run: tensors in, one tensor per output back.
pub(crate) type Run<'r> = &'r dyn Fn(&[Tensor<'_>]) -> Result<Vec<Tensor<'static>>>;

/// Runs a graph dry and tells what it is. `written` are numbers in it that may be sizes.
///
/// # Errors
/// What running it gives, when it runs with none of the sizes tried.
pub(crate) fn analyze(
    run: Run<'_>,
    mut inputs: Vec<Declared>,
    names: &[String],
    written: &[usize],
    limits: &Limits,
) -> Result<Analysis> {
    let limits = Limits { max_elements: limits.max_elements.min(MAX_PROBE_ELEMENTS), ..*limits };
    if inputs.iter().any(Declared::is_batched) {
        return Prober { run, inputs: &inputs, names, written, limits }.whole(Batching::Whole);
    }
    if !inputs.iter().any(Declared::is_one) || inputs.iter().any(Declared::may_be_shape) {
        return Prober { run, inputs: &inputs, names, written, limits }.whole(Batching::None);
    }
    inputs.iter_mut().for_each(|d| d.widen(true));
    let prober = Prober { run, inputs: &inputs, names, written, limits };
    if let Ok(mut wide) = prober.whole(Batching::Whole)
        && wide.rows_agree
    {
        wide.notes.push("exported for a batch of 1; the graph takes any number of rows and is run so".to_owned());
        return Ok(wide);
    }
    // Where an input lacks the axis of length 1, the others' is no batch.
    if !inputs.iter().all(|d| d.is_one() || d.dims.is_empty()) {
        inputs.iter_mut().for_each(|d| d.widen(false));
        return Prober { run, inputs: &inputs, names, written, limits }.whole(Batching::None);
    }
    let mut bound = prober.row_by_row()?;
    bound.notes.push("exported for a batch of 1 and bound to it; rows are run one by one".to_owned());
    Ok(bound)
}

/// An axis of the inputs that is neither fixed nor the batch.
#[derive(Debug, Clone, PartialEq)]
enum Variable {
    Named(String),
    /// Input and axis.
    Any(usize, usize),
}

/// The sizes of one dry run.
#[derive(Clone, Copy)]
struct Sizes<'v> {
    rows: usize,
    free: usize,
    varied: &'v [Variable],
    other: usize,
}

struct Prober<'p> {
    run: Run<'p>,
    inputs: &'p [Declared],
    names: &'p [String],
    written: &'p [usize],
    limits: Limits,
}

impl Prober<'_> {
    fn variables(&self) -> Vec<Variable> {
        let mut found = Vec::new();
        for (i, input) in self.inputs.iter().enumerate() {
            for (axis, dim) in input.dims.iter().enumerate() {
                let variable = match dim {
                    Dim::Named(name) => Variable::Named(name.clone()),
                    Dim::Any => Variable::Any(i, axis),
                    _ => continue,
                };
                if !found.contains(&variable) {
                    found.push(variable);
                }
            }
        }
        found
    }

    fn made_up(&self, sizes: Sizes<'_>, seed: u64) -> Result<Vec<Tensor<'static>>> {
        let tensors = self.inputs.iter().enumerate().map(|(i, input)| {
            made_up(input, seed, &self.limits, |axis, dim| {
                let variable = match dim {
                    Dim::Batch => return sizes.rows,
                    Dim::Named(name) => Variable::Named(name.clone()),
                    _ => Variable::Any(i, axis),
                };
                if sizes.varied.contains(&variable) { sizes.other } else { sizes.free }
            })
        });
        tensors.collect()
    }

    fn shapes(&self, sizes: Sizes<'_>) -> Result<Vec<(DType, Vec<usize>)>> {
        let outputs = (self.run)(&self.made_up(sizes, 0)?)?;
        Ok(outputs.iter().map(|t| (t.dtype(), t.shape().to_vec())).collect())
    }

    /// Tries sizes for the open axes until the graph runs with them.
    fn explore<R>(&self, f: impl Fn(Sizes<'_>, &[Variable]) -> Result<R>) -> Result<R> {
        let variables = self.variables();
        let mut first = None;
        let written = self.written.iter().take(MOST_WRITTEN).map(|&size| [size, size + 1]);
        for [free, other] in FREE.into_iter().chain(written) {
            let sizes = Sizes { rows: ROWS[0], free, varied: &[], other };
            match f(sizes, &variables) {
                Ok(found) => return Ok(found),
                Err(error) => first = first.or(Some(error)),
            }
            if variables.is_empty() {
                break;
            }
        }
        Err(first.expect("at least one size was tried"))
    }

    /// How the dims of the outputs change with each variable, on top of `dims`.
    fn vary(&self, sizes: Sizes<'_>, variables: &[Variable], shapes: &[(DType, Vec<usize>)], specs: &mut [Vec<Dim>]) {
        let groups: Vec<&[Variable]> = match variables.len() {
            0 => Vec::new(),
            n if n <= MOST_VARIED => variables.chunks(1).collect(),
            _ => vec![variables],
        };
        for group in groups {
            // A graph may tie axes to each other, so that none can be varied alone; then its outputs say nothing.
            let Ok(varied) = self.shapes(Sizes { varied: group, ..sizes }) else { continue };
            for ((dims, (_, base)), (_, varied)) in specs.iter_mut().zip(shapes).zip(&varied) {
                for (axis, dim) in dims.iter_mut().enumerate() {
                    let (was, is) = (base.get(axis), varied.get(axis));
                    if was == is {
                        continue;
                    }
                    *dim = match group {
                        [Variable::Named(name)] if was == Some(&sizes.free) && is == Some(&sizes.other) => {
                            Dim::Named(name.clone())
                        }
                        _ => Dim::Any,
                    };
                }
            }
        }
    }

    /// A graph that takes all rows at once, or has no batch.
    fn whole(&self, batching: Batching) -> Result<Analysis> {
        let batched = batching == Batching::Whole;
        self.explore(|sizes, variables| {
            let base = self.shapes(sizes)?;
            let more = if batched { self.shapes(Sizes { rows: ROWS[1], ..sizes })? } else { base.clone() };
            let is_batch =
                |x: &[usize], y: &[usize]| batched && x.first() == Some(&ROWS[0]) && y.first() == Some(&ROWS[1]);
            let mut all = Vec::new();
            for ((name, (_, x)), (_, y)) in self.names.iter().zip(&base).zip(&more) {
                if x.len() != y.len() {
                    return Err(
                        Error::new(ErrorKind::Unsupported, "an output changes its rank with the batch").tensor(name)
                    );
                }
                let mut dims: Vec<Dim> =
                    x.iter().zip(y).map(|(x, y)| if x == y { Dim::Fixed(*x) } else { Dim::Any }).collect();
                if is_batch(x, y) {
                    dims[0] = Dim::Batch;
                }
                all.push(dims);
            }
            self.vary(sizes, variables, &base, &mut all);
            let (mut specs, mut fits) = (Vec::new(), Vec::new());
            for ((name, (dtype, x)), ((_, y), mut dims)) in self.names.iter().zip(&base).zip(more.iter().zip(all)) {
                let drop = x.first() == Some(&1) && y.first() == Some(&1) && is_batch(&x[1..], &y[1..]);
                if drop {
                    dims.remove(0);
                    dims[0] = Dim::Batch;
                }
                fits.push(if drop { Fit::DropFirst } else { Fit::AsIs });
                specs.push(TensorSpec::new(name.as_str(), *dtype, dims));
            }
            let rows_agree = batched && specs.iter().all(TensorSpec::is_batched) && self.rows_agree(sizes, &fits)?;
            let probe = self.made_up(Sizes { rows: ROWS[1], ..sizes }, 1)?;
            Ok(Analysis {
                signature: Signature::new(self.inputs.iter().map(Declared::spec).collect(), specs),
                fits,
                batching,
                rows_agree,
                probe,
                notes: Vec::new(),
            })
        })
    }

    /// A graph that takes one row at a time.
    fn row_by_row(&self) -> Result<Analysis> {
        self.explore(|sizes, variables| {
            let sizes = Sizes { rows: 1, ..sizes };
            let base = self.shapes(sizes)?;
            let mut all: Vec<Vec<Dim>> =
                base.iter().map(|(_, shape)| shape.iter().map(|&n| Dim::Fixed(n)).collect()).collect();
            self.vary(sizes, variables, &base, &mut all);
            let (mut specs, mut fits) = (Vec::new(), Vec::new());
            for ((name, (dtype, _)), mut dims) in self.names.iter().zip(&base).zip(all) {
                // A graph for one row may leave the batch axis out of an output altogether.
                if dims.first() == Some(&Dim::Fixed(1)) {
                    dims[0] = Dim::Batch;
                    fits.push(Fit::AsIs);
                } else {
                    dims.insert(0, Dim::Batch);
                    fits.push(Fit::AddFirst);
                }
                specs.push(TensorSpec::new(name.as_str(), *dtype, dims));
            }
            Ok(Analysis {
                signature: Signature::new(self.inputs.iter().map(Declared::spec).collect(), specs),
                fits,
                batching: Batching::RowByRow,
                rows_agree: true,
                probe: self.made_up(sizes, 1)?,
                notes: Vec::new(),
            })
        })
    }

    /// Whether three made-up rows get the same answers alone as together.
    fn rows_agree(&self, sizes: Sizes<'_>, fits: &[Fit]) -> Result<bool> {
        const THREE: usize = 3;
        let inputs = self.made_up(Sizes { rows: THREE, ..sizes }, 1)?;
        let Ok(together) = (self.run)(&inputs) else { return Ok(false) };
        for row in 0..THREE {
            let alone = self.inputs.iter().zip(&inputs).map(|(declared, tensor)| {
                if declared.is_batched() { tensor.rows(row..row + 1) } else { Ok(tensor.as_view()) }
            });
            let Ok(alone) = (self.run)(&alone.collect::<Result<Vec<_>>>()?) else { return Ok(false) };
            for ((whole, single), fit) in together.iter().zip(&alone).zip(fits) {
                let (whole, single) = (fitted(whole.as_view(), *fit)?, fitted(single.as_view(), *fit)?);
                if whole.shape().first() != Some(&THREE)
                    || single.shape().first() != Some(&1)
                    || !close(&whole.rows(row..row + 1)?, &single)
                {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// The model's output made of the graph's.
///
/// # Errors
/// [`ErrorKind::Backend`] when the graph gave another shape than in the dry runs.
pub(crate) fn fitted<'t>(tensor: Tensor<'t>, fit: Fit) -> Result<Tensor<'t>> {
    match fit {
        Fit::AsIs => Ok(tensor),
        Fit::DropFirst if tensor.shape().first() == Some(&1) => tensor.without_batch_axis(),
        Fit::DropFirst => Err(Error::new(ErrorKind::Backend, "the graph gave another shape than it did at load")),
        Fit::AddFirst => {
            let shape = [&[1], tensor.shape()].concat();
            tensor.reshape(&shape)
        }
    }
}

/// Whether two tensors agree up to the rounding that another order of summing brings.
pub(crate) fn close(a: &Tensor<'_>, b: &Tensor<'_>) -> bool {
    fn near<T: Element>(a: &Tensor<'_>, b: &Tensor<'_>, number: impl Fn(&T) -> f64) -> bool {
        let (Ok(a), Ok(b)) = (a.view::<T>(), b.view::<T>()) else { return false };
        a.len() == b.len()
            && a.iter().zip(b.iter()).map(|(x, y)| (number(x), number(y))).all(|(x, y)| {
                x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-3 * (x.abs() + y.abs()) + 1e-5
            })
    }
    if a.shape() != b.shape() {
        return false;
    }
    match a.dtype() {
        DType::F32 => near::<f32>(a, b, |x| f64::from(*x)),
        DType::F64 => near::<f64>(a, b, |x| *x),
        DType::F16 => near::<half::f16>(a, b, |x| x.to_f64()),
        _ => a == b,
    }
}
