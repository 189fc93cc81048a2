//! Dry runs of a program on made-up batches.

use super::Output;
use super::declared::{Declared, made_up};
use crate::backend::native::op::{Arg, Flow, Scratch};
use crate::backend::native::program::Program;
use crate::backend::native::value::{Shape, Value};
use crate::{Dim, Error, ErrorKind, Limits, Result, TensorSpec};

/// The two batch sizes of the dry runs.
const PROBES: [usize; 2] = [2, 3];
/// The size given to a named or unknown dimension in a dry run, and in one more that tells what follows it.
const FREE: [usize; 2] = [4, 5];
/// How many kinds of values are tried.
const MAX_ATTEMPTS: u8 = 3;
/// The largest tensor that a dry run may make.
const MAX_PROBE_ELEMENTS: usize = 1 << 26;

/// Runs a program dry.
pub(super) struct Prober<'p> {
    pub(super) program: &'p Program,
    pub(super) limits: &'p Limits,
}

/// One dry run.
pub(super) struct Run {
    /// The shapes of each step's inputs and outputs.
    steps: Vec<(Vec<Shape>, Vec<Shape>)>,
    outputs: Vec<Value<'static>>,
    pub(super) elements: usize,
}

/// Dry runs on batches of two sizes.
pub(super) struct Runs {
    pub(super) sizes: [Run; 2],
    /// A run of the second size on other values.
    other: Option<Run>,
}

/// The outputs that dry runs showed.
pub(super) struct Found {
    pub(super) specs: Vec<TensorSpec>,
    pub(super) outputs: Vec<Output>,
}

impl Prober<'_> {
    /// Runs on batches of two sizes, and a third on other values of the second size. Values are made up until some
    /// are found that every operator takes.
    pub(super) fn runs(&self, inputs: &[Declared]) -> Result<Runs> {
        let attempt = |seed: u8| -> Result<Runs> {
            let sizes = [self.run(inputs, PROBES[0], seed)?, self.run(inputs, PROBES[1], seed)?];
            Ok(Runs { sizes, other: self.other(inputs, PROBES[1], seed) })
        };
        let first = attempt(0);
        match first {
            Err(e) if e.kind() != ErrorKind::LimitExceeded => {
                (1..MAX_ATTEMPTS).find_map(|seed| attempt(seed).ok()).ok_or(e)
            }
            done => done,
        }
    }

    /// A run on other values and other free sizes, as far as the operators take them.
    pub(super) fn other(&self, inputs: &[Declared], m: usize, seed: u8) -> Option<Run> {
        let tries = [(FREE[1], seed + 1), (FREE[1], seed), (FREE[0], seed + 1)];
        tries.into_iter().find_map(|(free, seed)| self.run_sized(inputs, [m, free], seed).ok())
    }

    fn scratch(&self) -> Scratch {
        let limits = Limits { max_elements: self.limits.max_elements.min(MAX_PROBE_ELEMENTS), ..*self.limits };
        let mut scratch = Scratch::new(limits);
        scratch.dry = true;
        scratch
    }

    pub(super) fn run(&self, inputs: &[Declared], m: usize, seed: u8) -> Result<Run> {
        self.run_sized(inputs, [m, FREE[0]], seed)
    }

    fn run_sized(&self, inputs: &[Declared], sizes: [usize; 2], seed: u8) -> Result<Run> {
        let mut scratch = self.scratch();
        let values = inputs.iter().map(|d| made_up(d, sizes, seed, &scratch)).collect::<Result<Vec<_>>>()?;
        let (mut steps, mut elements) = (Vec::new(), values.iter().map(Value::len).sum());
        let mut watch = |_: usize, args: &[Option<std::borrow::Cow<'_, [usize]>>], outs: &[Value<'_>]| {
            let ins = args.iter().map(|a| a.as_ref().map_or_else(Shape::new, |s| Shape::from_slice(s))).collect();
            elements += outs.iter().map(Value::len).sum::<usize>();
            steps.push((ins, outs.iter().map(|v| Shape::from_slice(v.shape())).collect()));
        };
        let outputs = self.program.run_watched(values, &mut scratch, Some(&mut watch))?;
        let outputs = outputs.into_iter().map(Value::into_static).collect();
        Ok(Run { steps, outputs, elements })
    }

    /// Whether any operator mixes rows, by the axes that vary between the two runs.
    pub(super) fn mixes(&self, runs: &Runs) -> bool {
        let [a, b] = &runs.sizes;
        let flows = |x: &[Shape], y: &[Shape]| -> Vec<Flow> {
            x.iter().zip(y).map(|(x, y)| Flow { shapes: [x.clone(), y.clone()] }).collect()
        };
        self.program.steps.iter().zip(a.steps.iter().zip(&b.steps)).any(|(step, (a, b))| {
            let (ins, outs) = (flows(&a.0, &b.0), flows(&a.1, &b.1));
            step.op.mixes_rows(&ins, &outs)
        })
    }

    /// The outputs of a program of which `runs` are the two dry runs.
    pub(super) fn outputs(&self, runs: &Runs, names: &[String], inputs: &[Declared]) -> Result<Found> {
        let batched = inputs.iter().any(Declared::is_batched);
        let mut found = Found { specs: Vec::new(), outputs: Vec::new() };
        for (index, name) in names.iter().enumerate() {
            let [a, b] = runs.sizes.each_ref().map(|run| &run.outputs[index]);
            let other = runs.other.as_ref().map(|run| &run.outputs[index]);
            if let (Ok(xs), Ok(ys)) = (a.as_sequence(), b.as_sequence()) {
                if xs.len() != ys.len() {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "an output is a sequence whose length changes with the batch",
                    )
                    .tensor(name));
                }
                if other.is_some_and(|o| o.as_sequence().is_ok_and(|o| o.len() != xs.len())) {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "an output is a sequence whose length depends on the values of the inputs",
                    )
                    .tensor(name));
                }
                for (element, (x, y)) in xs.iter().zip(ys).enumerate() {
                    let name = format!("{name}_{element}");
                    let other = other.and_then(|o| o.as_sequence().ok()?.get(element));
                    self.one_output(&mut found, &name, (index, Some(element)), [x, y], other, batched)?;
                }
            } else {
                self.one_output(&mut found, name, (index, None), [a, b], other, batched)?;
            }
        }
        Ok(found)
    }

    fn one_output(
        &self,
        found: &mut Found,
        name: &str,
        (index, element): (usize, Option<usize>),
        [a, b]: [&Value<'_>; 2],
        other: Option<&Value<'_>>,
        batched: bool,
    ) -> Result<()> {
        let dtype = a
            .dtype()
            .ok_or_else(|| Error::new(ErrorKind::Unsupported, "an output is a sequence of sequences").tensor(name))?;
        let (mut x, mut y) = (a.shape(), b.shape());
        let is_batch =
            |x: &[usize], y: &[usize]| batched && x.first() == Some(&PROBES[0]) && y.first() == Some(&PROBES[1]);
        let drop_first = x.first() == Some(&1) && y.first() == Some(&1) && is_batch(&x[1..], &y[1..]);
        if drop_first {
            (x, y) = (&x[1..], &y[1..]);
        }
        let mut dims: Vec<Dim> = if x.len() == y.len() {
            x.iter().zip(y).map(|(x, y)| if x == y { Dim::Fixed(*x) } else { Dim::Any }).collect()
        } else {
            return Err(Error::new(ErrorKind::Unsupported, "an output changes its rank with the batch").tensor(name));
        };
        if let Some(other) = other.map(|o| if drop_first { &o.shape()[1..] } else { o.shape() }) {
            free_dims(&mut dims, y, other);
        }
        if is_batch(x, y) && dims[0] == Dim::Any && other.is_none_or(|o| o.shape().first() == b.shape().first()) {
            dims[0] = Dim::Batch;
        }
        let features = self.features(index).filter(|f| dims.last() == Some(&Dim::Fixed(f.len())));
        found.specs.push(TensorSpec::new(name, dtype, dims).with_features(features.unwrap_or_default()));
        found.outputs.push(Output { index, element, drop_first });
        Ok(())
    }

    /// The outputs of a program that runs one row at a time; `None` when they are not one row each.
    pub(super) fn single(&self, run: &Run, other: Option<&Run>, names: &[String]) -> Option<Found> {
        let mut found = Found { specs: Vec::new(), outputs: Vec::new() };
        for (index, name) in names.iter().enumerate() {
            let value = &run.outputs[index];
            let dtype = value.dtype().filter(|_| value.shape().first() == Some(&1))?;
            let mut dims: Vec<Dim> = value.shape().iter().map(|&d| Dim::Fixed(d)).collect();
            if let Some(other) = other {
                free_dims(&mut dims, value.shape(), other.outputs[index].shape());
            }
            dims[0] = Dim::Batch;
            let features = self.features(index).filter(|f| dims.last() == Some(&Dim::Fixed(f.len())));
            found.specs.push(TensorSpec::new(name.as_str(), dtype, dims).with_features(features.unwrap_or_default()));
            found.outputs.push(Output { index, element: None, drop_first: false });
        }
        Some(found)
    }

    /// The names along the last axis of output `index`: from the operator that knows them, through those that pass
    /// them on.
    fn features(&self, index: usize) -> Option<Vec<String>> {
        let mut at = *self.program.outputs.get(index)?;
        loop {
            let Arg::Slot { index: slot, .. } = at else { return None };
            let (step, output) = self
                .program
                .steps
                .iter()
                .find_map(|s| s.outputs.iter().position(|o| *o == Some(slot)).map(|output| (s, output)))?;
            if let Some(names) = step.op.output_features(output) {
                return Some(names);
            }
            at = *step.args.first()?;
        }
    }

    /// Whether three made-up rows get the same answers alone as together.
    pub(super) fn rows_agree(&self, inputs: &[Declared], outputs: &[Output]) -> Result<bool> {
        const ROWS: usize = 3;
        let mut scratch = self.scratch();
        let values = inputs.iter().map(|d| made_up(d, [ROWS, FREE[0]], 1, &scratch)).collect::<Result<Vec<_>>>()?;
        let Ok(together) = self.program.run(values.iter().map(Value::as_view), &mut scratch) else { return Ok(false) };
        for row in 0..ROWS {
            let alone = inputs.iter().zip(&values).map(|(d, v)| {
                if d.is_batched() { crate::backend::native::model::slice_rows(v, row, row + 1) } else { v.as_view() }
            });
            let Ok(alone) = self.program.run(alone.collect::<Vec<_>>(), &mut scratch) else { return Ok(false) };
            for output in outputs {
                let whole = crate::backend::native::model::pick(&together[output.index], output);
                let single = crate::backend::native::model::pick(&alone[output.index], output);
                if whole.shape().first() != Some(&ROWS)
                    || single.shape().first() != Some(&1)
                    || !close(&crate::backend::native::model::slice_rows(&whole, row, row + 1), &single)
                {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Frees the dimensions of an output that came otherwise with other values: they are no promise.
fn free_dims(dims: &mut [Dim], shape: &[usize], other: &[usize]) {
    for (i, dim) in dims.iter_mut().enumerate() {
        if other.get(i) != shape.get(i) {
            *dim = Dim::Any;
        }
    }
}

/// Whether two values agree up to the rounding that another order of summing brings.
fn close(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a.to_f32s(), b.to_f32s()) {
        (Ok(x), Ok(y)) => {
            x.len() == y.len()
                && x.iter().zip(&y).all(|(x, y)| {
                    x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= 1e-3 * (x.abs() + y.abs()) + 1e-5
                })
        }
        _ => a == b,
    }
}
