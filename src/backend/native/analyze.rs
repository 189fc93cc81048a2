//! What a compiled graph really takes and gives, found by dry runs.
//!
//! Shapes in a file are hints: exporters declare them wrongly. So the program is run at load on two small made-up
//! batches of different sizes; what changes with the size is the batch, what does not is fixed. The same runs show
//! which axes of every value in between vary with the batch, and so whether an operator mixes rows.

use super::op::{Arg, Flow, Op, Scratch};
use super::program::Program;
use super::value::{Shape, Value};
pub(crate) use crate::backend::declared::dtype;
use crate::backend::declared::{Declared, Hint, widen};
use crate::onnx::ValueInfoProto;
use crate::{Dim, Error, ErrorKind, Limits, Result, Signature, Tensor, TensorSpec};

/// The two batch sizes of the dry runs.
const PROBES: [usize; 2] = [2, 3];
/// The size given to a named or unknown dimension in a dry run.
const FREE: usize = 4;
/// The largest tensor that a dry run may make.
const MAX_PROBE_ELEMENTS: usize = 1 << 26;

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

/// Reads the declared inputs; `program` tells what the file leaves open.
pub(super) fn declared(inputs: &[&ValueInfoProto], program: &Program) -> Result<Vec<Declared>> {
    crate::backend::declared::declared(inputs, |i| {
        let reader = Reader::of(program, i);
        Hint {
            width: reader.as_ref().and_then(|r| r.op.features()),
            categories: reader.as_ref().and_then(|r| r.op.categories()),
        }
    })
}

/// The first operator that reads a program's input, through steps that pass it on.
struct Reader<'p> {
    op: &'p dyn Op,
}

impl<'p> Reader<'p> {
    fn of(program: &'p Program, input: usize) -> Option<Self> {
        let mut slot = input as u32;
        loop {
            let step = program
                .steps
                .iter()
                .find(|s| s.args.iter().any(|a| matches!(a, Arg::Slot { index, .. } if *index == slot)))?;
            let op = &*step.op;
            if op.features().is_some() || op.categories().is_some() {
                return Some(Self { op });
            }
            let computed = step.args.iter().filter(|a| matches!(a, Arg::Slot { .. })).count();
            match step.outputs.as_slice() {
                [Some(next)] if computed == 1 && *next > slot => slot = *next,
                _ => return None,
            }
        }
    }
}

/// Runs `program` dry and tells what it is.
pub(super) fn analyze(
    program: &Program,
    mut inputs: Vec<Declared>,
    names: &[String],
    limits: &Limits,
) -> Result<Analysis> {
    let mut notes = Vec::new();
    let batched = |inputs: &[Declared]| inputs.iter().any(|d| d.dims.first() == Some(&Dim::Batch));
    let mut batching = if batched(&inputs) { Batching::Whole } else { Batching::None };
    let prober = Prober { program, limits };
    if batching == Batching::None && inputs.iter().any(|d| d.one) {
        widen(&mut inputs);
        let wide = prober.runs(&inputs).and_then(|runs| Ok((prober.outputs(&runs, names, &inputs)?, runs)));
        batching = match wide {
            Ok((found, runs))
                if found.specs.iter().all(TensorSpec::is_batched) && prober.rows_agree(&inputs, &found.outputs)? =>
            {
                notes.push("exported for a batch of 1; the graph takes any number of rows and is run so".to_owned());
                drop(runs);
                Batching::Whole
            }
            _ => Batching::RowByRow,
        };
    }
    if batching == Batching::RowByRow {
        let run = prober.run(&inputs, 1, 0)?;
        if let Some(found) = prober.single(&run, names) {
            notes.push("exported for a batch of 1 and bound to it; rows are run one by one".to_owned());
            return Ok(Analysis {
                signature: Signature::new(inputs.iter().map(Declared::spec).collect(), found.specs),
                outputs: found.outputs,
                batching,
                row_independent: true,
                elements_per_row: run.elements.max(1),
                notes,
            });
        }
        // An output without the axis of length 1: the inputs' is no batch.
        narrow(&mut inputs);
        batching = Batching::None;
    }
    let runs = prober.runs(&inputs)?;
    let found = prober.outputs(&runs, names, &inputs)?;
    let row_independent = batching == Batching::Whole
        && found.specs.iter().all(TensorSpec::is_batched)
        && !prober.mixes(&runs)
        && prober.rows_agree(&inputs, &found.outputs)?;
    Ok(Analysis {
        signature: Signature::new(inputs.iter().map(Declared::spec).collect(), found.specs),
        outputs: found.outputs,
        batching,
        row_independent,
        elements_per_row: (runs[1].elements.saturating_sub(runs[0].elements)).max(1),
        notes,
    })
}

/// Takes [`widen`] back.
fn narrow(inputs: &mut [Declared]) {
    for input in inputs.iter_mut().filter(|d| d.one) {
        input.dims[0] = Dim::Fixed(1);
    }
}

struct Prober<'p> {
    program: &'p Program,
    limits: &'p Limits,
}

/// One dry run.
struct Run {
    /// The shapes of each step's inputs and outputs.
    steps: Vec<(Vec<Shape>, Vec<Shape>)>,
    outputs: Vec<Value<'static>>,
    elements: usize,
}

struct Found {
    specs: Vec<TensorSpec>,
    outputs: Vec<Output>,
}

impl Prober<'_> {
    fn runs(&self, inputs: &[Declared]) -> Result<[Run; 2]> {
        Ok([self.run(inputs, PROBES[0], 0)?, self.run(inputs, PROBES[1], 0)?])
    }

    fn scratch(&self) -> Scratch {
        let limits = Limits { max_elements: self.limits.max_elements.min(MAX_PROBE_ELEMENTS), ..*self.limits };
        Scratch::new(limits)
    }

    fn run(&self, inputs: &[Declared], m: usize, seed: u64) -> Result<Run> {
        let mut scratch = self.scratch();
        let tensors = inputs.iter().map(|d| made_up(d, m, seed, &scratch.limits)).collect::<Result<Vec<_>>>()?;
        let values = tensors.iter().map(Value::from_tensor).collect::<Result<Vec<_>>>()?;
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
    fn mixes(&self, runs: &[Run; 2]) -> bool {
        let [a, b] = runs;
        let flows = |x: &[Shape], y: &[Shape]| -> Vec<Flow> {
            x.iter().zip(y).map(|(x, y)| Flow { shapes: [x.clone(), y.clone()] }).collect()
        };
        self.program.steps.iter().zip(a.steps.iter().zip(&b.steps)).any(|(step, (a, b))| {
            let (ins, outs) = (flows(&a.0, &b.0), flows(&a.1, &b.1));
            step.op.mixes_rows(&ins, &outs)
        })
    }

    /// The outputs of a program of which `runs` are the two dry runs.
    fn outputs(&self, runs: &[Run; 2], names: &[String], inputs: &[Declared]) -> Result<Found> {
        let batched = inputs.iter().any(|d| d.dims.first() == Some(&Dim::Batch));
        let mut found = Found { specs: Vec::new(), outputs: Vec::new() };
        for (index, name) in names.iter().enumerate() {
            let [a, b] = [&runs[0].outputs[index], &runs[1].outputs[index]];
            if let (Ok(xs), Ok(ys)) = (a.as_sequence(), b.as_sequence()) {
                if xs.len() != ys.len() {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "an output is a sequence whose length changes with the batch",
                    )
                    .tensor(name));
                }
                for (element, (x, y)) in xs.iter().zip(ys).enumerate() {
                    let name = format!("{name}_{element}");
                    self.one_output(&mut found, &name, index, Some(element), [x, y], batched)?;
                }
            } else {
                self.one_output(&mut found, name, index, None, [a, b], batched)?;
            }
        }
        Ok(found)
    }

    fn one_output(
        &self,
        found: &mut Found,
        name: &str,
        index: usize,
        element: Option<usize>,
        [a, b]: [&Value<'_>; 2],
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
        if is_batch(x, y) {
            dims[0] = Dim::Batch;
        }
        let features = self.features(index).filter(|f| dims.last() == Some(&Dim::Fixed(f.len())));
        found.specs.push(TensorSpec::new(name, dtype, dims).with_features(features.unwrap_or_default()));
        found.outputs.push(Output { index, element, drop_first });
        Ok(())
    }

    /// The outputs of a program that runs one row at a time; `None` when they are not one row each.
    fn single(&self, run: &Run, names: &[String]) -> Option<Found> {
        let mut found = Found { specs: Vec::new(), outputs: Vec::new() };
        for (index, name) in names.iter().enumerate() {
            let value = &run.outputs[index];
            let dtype = value.dtype().filter(|_| value.shape().first() == Some(&1))?;
            let mut dims: Vec<Dim> = value.shape().iter().map(|&d| Dim::Fixed(d)).collect();
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
    fn rows_agree(&self, inputs: &[Declared], outputs: &[Output]) -> Result<bool> {
        const ROWS: usize = 3;
        let mut scratch = self.scratch();
        let tensors = inputs.iter().map(|d| made_up(d, ROWS, 1, &scratch.limits)).collect::<Result<Vec<_>>>()?;
        let values = tensors.iter().map(Value::from_tensor).collect::<Result<Vec<_>>>()?;
        let Ok(together) = self.program.run(values.iter().map(Value::as_view), &mut scratch) else { return Ok(false) };
        for row in 0..ROWS {
            let alone = inputs.iter().zip(&values).map(|(d, v)| {
                if d.dims.first() == Some(&Dim::Batch) {
                    super::model::slice_rows(v, row, row + 1)
                } else {
                    v.as_view()
                }
            });
            let Ok(alone) = self.program.run(alone.collect::<Vec<_>>(), &mut scratch) else { return Ok(false) };
            for output in outputs {
                let whole = super::model::pick(&together[output.index], output);
                let single = super::model::pick(&alone[output.index], output);
                if whole.shape().first() != Some(&ROWS)
                    || single.shape().first() != Some(&1)
                    || !close(&super::model::slice_rows(&whole, row, row + 1), &single)
                {
                    return Ok(false);
                }
            }
        }
        Ok(true)
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

fn made_up(input: &Declared, m: usize, seed: u64, limits: &Limits) -> Result<Tensor<'static>> {
    crate::backend::declared::made_up(input, seed, limits, |_, dim| if *dim == Dim::Batch { m } else { FREE })
}
