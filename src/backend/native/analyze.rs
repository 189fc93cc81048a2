//! What a compiled graph really takes and gives, found by dry runs.
//!
//! Shapes in a file are hints: exporters declare them wrongly. So the program is run at load on two small made-up
//! batches of different sizes; what changes with the size is the batch, what does not is fixed. The same runs show
//! which axes of every value in between vary with the batch, and so whether an operator mixes rows.

use std::collections::HashSet;

use super::op::{Arg, Flow, Op, Scratch};
use super::program::Program;
use super::value::{Shape, Value};
use crate::onnx::{DimensionValue, MapType, TypeValue, ValueInfoProto, data_type};
use crate::{DType, Dim, Error, ErrorKind, Limits, Result, Signature, TensorSpec};

/// The two batch sizes of the dry runs.
const PROBES: [usize; 2] = [2, 3];
/// The size given to a named or unknown dimension in a dry run, and in one more that tells which dimensions follow it.
const FREE: [usize; 2] = [4, 5];
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

/// An input as the file declares it.
pub(super) struct Declared {
    name: String,
    dtype: DType,
    dims: Vec<Dim>,
    /// Whether axis 0 is declared as exactly 1.
    one: bool,
    features: Vec<String>,
    categories: Vec<Vec<String>>,
}

impl Declared {
    fn spec(&self) -> TensorSpec {
        TensorSpec::new(self.name.as_str(), self.dtype, self.dims.clone())
            .with_features(self.features.clone())
            .with_categories(self.categories.clone())
    }
}

/// Reads the declared inputs; `program` tells what the file leaves open.
pub(super) fn declared(inputs: &[&ValueInfoProto], program: &Program) -> Result<Vec<Declared>> {
    let mut batch_name: Option<String> = None;
    // A symbol that also stands at another axis is a size like any other, not the number of observations.
    let inner: HashSet<&str> = inputs.iter().flat_map(|info| inner_symbols(info)).collect();
    inputs
        .iter()
        .enumerate()
        .map(|(i, info)| {
            let name = info.name.clone().unwrap_or_default();
            let bad = |kind, message: &str| Error::new(kind, message).tensor(&name);
            let value = match &info.r#type {
                Some(t) => t.value()?,
                None => None,
            };
            let tensor = match value {
                Some(TypeValue::Tensor(tensor)) => tensor,
                Some(TypeValue::Map(map)) => return of_map(name, map, Reader::of(program, i)),
                Some(_) => {
                    return Err(bad(
                        ErrorKind::Unsupported,
                        "an input of the graph is a map, a sequence or optional; only tensors are taken",
                    ));
                }
                None => return Err(bad(ErrorKind::Malformed, "an input of the graph has no type")),
            };
            let dtype = dtype(tensor.elem_type.unwrap_or(0)).ok_or_else(|| {
                bad(ErrorKind::Unsupported, "an input of the graph has an element type that is not carried")
                    .actual(data_type::name(tensor.elem_type.unwrap_or(0)))
            })?;
            let reader = Reader::of(program, i);
            let width = reader.as_ref().and_then(|r| r.op.features());
            let mut one = false;
            let dims = match &tensor.shape {
                None => vec![Dim::Batch, width.map_or(Dim::Any, Dim::Fixed)],
                Some(shape) => {
                    let rank = shape.dim.len();
                    let mut dims = Vec::with_capacity(rank);
                    for (axis, dim) in shape.dim.iter().enumerate() {
                        let last_of_table = rank == 2 && axis == 1;
                        dims.push(match dim.value() {
                            DimensionValue::Fixed(-1) | DimensionValue::Unknown if axis == 0 => Dim::Batch,
                            DimensionValue::Symbolic(symbol) if axis == 0 => {
                                if !inner.contains(symbol)
                                    && *batch_name.get_or_insert_with(|| symbol.to_owned()) == symbol
                                {
                                    Dim::Batch
                                } else {
                                    Dim::Named(symbol.to_owned())
                                }
                            }
                            DimensionValue::Fixed(-1) | DimensionValue::Unknown => {
                                width.filter(|_| last_of_table).map_or(Dim::Any, Dim::Fixed)
                            }
                            DimensionValue::Symbolic(symbol) => width
                                .filter(|_| last_of_table)
                                .map_or_else(|| Dim::Named(symbol.to_owned()), Dim::Fixed),
                            DimensionValue::Fixed(n) => {
                                one |= axis == 0 && n == 1;
                                Dim::Fixed(usize::try_from(n).map_err(|_| {
                                    bad(ErrorKind::Malformed, "an input of the graph has a negative dimension")
                                        .actual(n)
                                })?)
                            }
                        });
                    }
                    dims
                }
            };
            let categories = reader.as_ref().filter(|_| dtype == DType::String).and_then(|r| r.op.categories());
            Ok(Declared { name, dtype, dims, one, features: Vec::new(), categories: categories.into_iter().collect() })
        })
        .collect()
}

/// The symbols that stand at any axis but the first.
fn inner_symbols(info: &ValueInfoProto) -> impl Iterator<Item = &str> {
    let shape = info.r#type.as_deref().and_then(|t| t.tensor_type.as_deref()).and_then(|t| t.shape.as_deref());
    shape.into_iter().flat_map(|s| s.dim.iter().skip(1)).filter_map(|dim| match dim.value() {
        DimensionValue::Symbolic(symbol) => Some(symbol),
        _ => None,
    })
}

/// An input that the file declares as a map: a table (m, keys), for the operator that reads it names the keys.
fn of_map(name: String, map: &MapType, reader: Option<Reader<'_>>) -> Result<Declared> {
    let values = match &map.value_type {
        Some(t) => t.value()?,
        None => None,
    };
    let dtype = match values {
        Some(TypeValue::Tensor(tensor)) => dtype(tensor.elem_type.unwrap_or(0)),
        _ => None,
    };
    let dtype = dtype.ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "an input of the graph is a map of something else than numbers or text")
            .tensor(&name)
    })?;
    let op = reader.map(|r| r.op);
    let width = op.and_then(Op::features).map_or(Dim::Any, Dim::Fixed);
    let features = op.and_then(Op::input_features).unwrap_or_default();
    Ok(Declared { name, dtype, dims: vec![Dim::Batch, width], one: false, features, categories: Vec::new() })
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

/// The element type of a code of [`data_type`].
pub(crate) fn dtype(code: i32) -> Option<DType> {
    Some(match code {
        data_type::BOOL => DType::Bool,
        data_type::UINT8 => DType::U8,
        data_type::UINT16 => DType::U16,
        data_type::UINT32 => DType::U32,
        data_type::UINT64 => DType::U64,
        data_type::INT8 => DType::I8,
        data_type::INT16 => DType::I16,
        data_type::INT32 => DType::I32,
        data_type::INT64 => DType::I64,
        data_type::FLOAT16 => DType::F16,
        data_type::BFLOAT16 => DType::Bf16,
        data_type::FLOAT => DType::F32,
        data_type::DOUBLE => DType::F64,
        data_type::STRING => DType::String,
        _ => return None,
    })
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
        let wide = prober.runs(&inputs).and_then(|runs| prober.outputs(&runs, names, &inputs));
        batching = match wide {
            Ok(found)
                if found.specs.iter().all(TensorSpec::is_batched) && prober.rows_agree(&inputs, &found.outputs)? =>
            {
                notes.push("exported for a batch of 1; the graph takes any number of rows and is run so".to_owned());
                Batching::Whole
            }
            _ => Batching::RowByRow,
        };
    }
    if batching == Batching::RowByRow {
        let run = prober.run(&inputs, [1, FREE[0]])?;
        let other = prober.other_free(&inputs, 1);
        if let Some(found) = prober.single(&run, other.as_ref(), names) {
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
        elements_per_row: runs.batches[1].elements.saturating_sub(runs.batches[0].elements).max(1),
        notes,
    })
}

/// Takes axis 0 of inputs declared (1, ...) for the batch.
fn widen(inputs: &mut [Declared]) {
    for input in inputs.iter_mut().filter(|d| d.one) {
        input.dims[0] = Dim::Batch;
    }
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

/// The dry runs of a graph that takes batches.
struct Runs {
    /// Of different batch sizes.
    batches: [Run; 2],
    /// As the first but with other sizes for dimensions that are neither fixed nor the batch, where there are any and
    /// the graph takes another size.
    free: Option<Run>,
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
    fn runs(&self, inputs: &[Declared]) -> Result<Runs> {
        let batches = [self.run(inputs, [PROBES[0], FREE[0]])?, self.run(inputs, [PROBES[1], FREE[0]])?];
        Ok(Runs { batches, free: self.other_free(inputs, PROBES[0]) })
    }

    fn other_free(&self, inputs: &[Declared], m: usize) -> Option<Run> {
        let any = inputs.iter().flat_map(|d| &d.dims).any(|d| matches!(d, Dim::Named(_) | Dim::Any));
        any.then(|| self.run(inputs, [m, FREE[1]]).ok()).flatten()
    }

    fn scratch(&self) -> Scratch {
        let limits = Limits { max_elements: self.limits.max_elements.min(MAX_PROBE_ELEMENTS), ..*self.limits };
        let mut scratch = Scratch::new(limits);
        scratch.dry = true;
        scratch
    }

    fn run(&self, inputs: &[Declared], sizes: [usize; 2]) -> Result<Run> {
        let mut scratch = self.scratch();
        let values = inputs.iter().map(|d| made_up(d, sizes, 0, &scratch)).collect::<Result<Vec<_>>>()?;
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
    fn mixes(&self, runs: &Runs) -> bool {
        let [a, b] = &runs.batches;
        let flows = |x: &[Shape], y: &[Shape]| -> Vec<Flow> {
            x.iter().zip(y).map(|(x, y)| Flow { shapes: [x.clone(), y.clone()] }).collect()
        };
        self.program.steps.iter().zip(a.steps.iter().zip(&b.steps)).any(|(step, (a, b))| {
            let (ins, outs) = (flows(&a.0, &b.0), flows(&a.1, &b.1));
            step.op.mixes_rows(&ins, &outs)
        })
    }

    /// The outputs of a program of which `runs` are the two dry runs.
    fn outputs(&self, runs: &Runs, names: &[String], inputs: &[Declared]) -> Result<Found> {
        let batched = inputs.iter().any(|d| d.dims.first() == Some(&Dim::Batch));
        let mut found = Found { specs: Vec::new(), outputs: Vec::new() };
        for (index, name) in names.iter().enumerate() {
            let [a, b] = [&runs.batches[0].outputs[index], &runs.batches[1].outputs[index]];
            let c = runs.free.as_ref().map(|run| &run.outputs[index]);
            if let (Ok(xs), Ok(ys)) = (a.as_sequence(), b.as_sequence()) {
                let zs = c.and_then(|c| c.as_sequence().ok());
                if xs.len() != ys.len() || zs.is_some_and(|zs| zs.len() != xs.len()) {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "an output is a sequence whose length changes with the inputs",
                    )
                    .tensor(name));
                }
                for (element, (x, y)) in xs.iter().zip(ys).enumerate() {
                    let name = format!("{name}_{element}");
                    let z = zs.map(|zs| &zs[element]);
                    self.one_output(&mut found, &name, (index, Some(element)), [x, y], z, batched)?;
                }
            } else {
                self.one_output(&mut found, name, (index, None), [a, b], c, batched)?;
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
        c: Option<&Value<'_>>,
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
        free_dims(&mut dims, usize::from(drop_first), c).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "an output changes its rank with the inputs").tensor(name)
        })?;
        let features = self.features(index).filter(|f| dims.last() == Some(&Dim::Fixed(f.len())));
        found.specs.push(TensorSpec::new(name, dtype, dims).with_features(features.unwrap_or_default()));
        found.outputs.push(Output { index, element, drop_first });
        Ok(())
    }

    /// The outputs of a program that runs one row at a time; `None` when they are not one row each.
    fn single(&self, run: &Run, other: Option<&Run>, names: &[String]) -> Option<Found> {
        let mut found = Found { specs: Vec::new(), outputs: Vec::new() };
        for (index, name) in names.iter().enumerate() {
            let value = &run.outputs[index];
            let dtype = value.dtype().filter(|_| value.shape().first() == Some(&1))?;
            let mut dims: Vec<Dim> = value.shape().iter().map(|&d| Dim::Fixed(d)).collect();
            free_dims(&mut dims, 0, other.map(|run| &run.outputs[index]))?;
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
        let values = inputs.iter().map(|d| made_up(d, [ROWS, FREE[0]], 1, &scratch)).collect::<Result<Vec<_>>>()?;
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

/// Marks as free the fixed dimensions of an output that came otherwise in `other`, the run with other free sizes; the
/// output's first `skipped` axes are not among `dims`. `None` where the ranks differ.
fn free_dims(dims: &mut [Dim], skipped: usize, other: Option<&Value<'_>>) -> Option<()> {
    let Some(other) = other else { return Some(()) };
    let sizes = other.shape().get(skipped..).filter(|sizes| sizes.len() == dims.len())?;
    for (dim, &size) in dims.iter_mut().zip(sizes) {
        if matches!(dim, Dim::Fixed(n) if *n != size) {
            *dim = Dim::Any;
        }
    }
    Some(())
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

/// Numbers between 0 and 1 for floats, zeros for integers, known categories or empty text for strings.
///
/// The first of the sizes is the batch's, the other that of free dimensions.
fn made_up(input: &Declared, [m, free]: [usize; 2], seed: u64, scratch: &Scratch) -> Result<Value<'static>> {
    let shape: Shape = input
        .dims
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(n) => *n,
            Dim::Batch => m,
            Dim::Named(_) | Dim::Any => free,
        })
        .collect();
    let count = scratch.check_shape(&shape).map_err(|e| e.tensor(&input.name))?;
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66;
    let mut unit = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    Ok(match input.dtype {
        DType::F32 => Value::new(shape, (0..count).map(|_| unit()).collect()),
        DType::F64 => Value::new(shape, (0..count).map(|_| f64::from(unit())).collect()),
        DType::F16 => Value::new(shape, (0..count).map(|_| half::f16::from_f32(unit())).collect()),
        DType::Bf16 => Value::new(shape, (0..count).map(|_| half::bf16::from_f32(unit())).collect()),
        DType::Bool => Value::new(shape, vec![false; count]),
        DType::U8 => Value::new(shape, vec![0u8; count]),
        DType::U16 => Value::new(shape, vec![0u16; count]),
        DType::U32 => Value::new(shape, vec![0u32; count]),
        DType::U64 => Value::new(shape, vec![0u64; count]),
        DType::I8 => Value::new(shape, vec![0i8; count]),
        DType::I16 => Value::new(shape, vec![0i16; count]),
        DType::I32 => Value::new(shape, vec![0i32; count]),
        DType::I64 => Value::new(shape, vec![0i64; count]),
        DType::String => {
            let known = input.categories.first().map_or(&[][..], Vec::as_slice);
            let pick = |i: usize| {
                if known.is_empty() { String::new() } else { known[(i + seed as usize) % known.len()].clone() }
            };
            Value::new(shape, (0..count).map(pick).collect())
        }
    })
}
