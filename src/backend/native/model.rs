//! A compiled graph as a [`Model`].

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::analyze::{self, Analysis, Batching, Output};
use super::chain::Chain;
use super::compile::{self, Context};
use super::op::Scratch;
use super::pool::{Pool, Threads};
use super::program::{Program, Slots};
use super::rewrite;
use super::value::{Shape, Value, typed};
use crate::backend::{file, inline};
use crate::load::Source;
use crate::onnx::{GraphProto, ModelProto};
use crate::{
    Artifact, Checked, DType, Description, Dim, Error, ErrorKind, Limits, Loader, Model, Result, Signature, Tensor,
    TensorSpec, Tensors,
};

/// The elements that the values of one block of rows may take, so that they stay in the cache.
const BLOCK_ELEMENTS: usize = 1 << 16;
/// As many as there are weights, which every block reads anew, but no more than this.
const MOST_BLOCK_ELEMENTS: usize = 1 << 22;

/// The model in an ONNX file; `reason` says why this backend was chosen.
pub(crate) fn load(source: &Source, loader: &Loader, reason: String) -> Result<Arc<dyn Model>> {
    let limits = &loader.limits;
    let proto = file::decode(source, limits)?;
    let graph = proto.graph.as_deref().expect("`decode` gives a file with a graph");
    let inlined = inline::inline_functions(&proto)?;
    let graph = inlined.as_ref().unwrap_or(graph);
    let context = Context {
        opsets: proto
            .opset_import
            .iter()
            .map(|o| (domain(o.domain.as_deref()).to_owned(), o.version.unwrap_or(1)))
            .collect(),
        limits: *limits,
        external: source.external(),
        tree_engine: loader.tree_engine,
        row_ranges: loader.row_ranges,
    };
    let names = file::wanted(graph, loader.outputs.as_deref())?;
    let rewritten = rewrite::rewrite(graph, limits);
    let original = graph;
    let graph = &rewritten;
    let program = compile::compile(&context, graph, Some(&names), None)?.program;
    let initialised: HashSet<&str> = graph.initializer.iter().filter_map(|t| t.name.as_deref()).collect();
    let inputs: Vec<_> =
        graph.input.iter().filter(|i| !initialised.contains(i.name.as_deref().unwrap_or_default())).collect();
    unique(inputs.iter().map(|i| i.name.as_deref().unwrap_or_default()), "two inputs of the graph have the same name")?;
    let declared = analyze::declared(&inputs, &program)?;
    let outputs: Vec<_> = names
        .iter()
        .filter_map(|name| graph.output.iter().find(|o| o.name.as_deref().unwrap_or_default() == name))
        .collect();
    let analysis = analyze::analyze(&program, declared, &outputs, limits)?;
    // Here and not before: the elements of a sequence get names of their own.
    let named = analysis.signature.outputs().iter().map(|o| o.name().as_str());
    unique(named, "two outputs of the graph have the same name")?;
    let pool = Pool::new(loader.threads, analysis.elements_per_row)?;
    let weights = usize::try_from(program.parameters()).unwrap_or(usize::MAX);
    let block = weights.clamp(BLOCK_ELEMENTS, MOST_BLOCK_ELEMENTS) / analysis.elements_per_row;
    // Kernels take twelve rows at once, or six or four.
    let block = block.clamp(12, 4096) / 12 * 12;
    let plain = is_plain(&analysis);
    let chained = plain && analysis.row_independent;
    let chain = chained.then(|| Chain::of(&program, &analysis.signature, limits)).flatten();
    let mut description = describe(&proto, original, &program, &analysis, loader, reason);
    if chain.is_some() {
        description.engine += ", a chain where rows are few";
    }
    let artifact = file::artifact(source, context.external.as_ref())?;
    let model = NativeModel { program, analysis, plain, chain, limits: *limits, pool, block, description, artifact };
    Ok(Arc::new(Checked::new(model).cast(loader.cast)))
}

/// Whether the program's outputs are the model's, and a batch is run at once.
fn is_plain(analysis: &Analysis) -> bool {
    analysis.batching == Batching::Whole
        && analysis.outputs.iter().enumerate().all(|(i, o)| o.index == i && o.element.is_none() && !o.drop_first)
}

/// Refuses names that are there twice.
fn unique<'n>(names: impl Iterator<Item = &'n str>, message: &str) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Error::new(ErrorKind::Malformed, message).tensor(name));
        }
    }
    Ok(())
}

fn domain(name: Option<&str>) -> &str {
    match name.unwrap_or_default() {
        "ai.onnx" => "",
        name => name,
    }
}

fn describe(
    proto: &ModelProto,
    graph: &GraphProto,
    program: &Program,
    analysis: &Analysis,
    loader: &Loader,
    reason: String,
) -> Description {
    let parameters = program.parameters();
    let mut description = Description::new("onnx", "native", "");
    description.engine = format!("{} steps compiled from {} nodes", program.steps.len(), graph.node.len());
    description.reason = reason;
    description.parameters = parameters;
    description.bytes =
        program.constants.iter().map(|c| c.len() * c.dtype().and_then(DType::size_bytes).unwrap_or(24)).sum::<usize>()
            as u64
            + 4 * program.steps.iter().map(|s| s.op.parameters()).sum::<usize>() as u64;
    description.threads = loader.threads;
    description.row_independent = analysis.row_independent;
    description.operators = file::operators(graph);
    description.notes = analysis.notes.clone();
    description.notes.extend(file::written_by(proto));
    description.parts = program
        .steps
        .iter()
        .map(|step| {
            let mut part = Description::new("", "native", &step.label);
            part.notes.extend(step.op.engine());
            part
        })
        .collect();
    description
}

/// A compiled graph.
struct NativeModel {
    program: Program,
    analysis: Analysis,
    /// Whether the program's outputs are the model's, and a batch is run at once.
    plain: bool,
    /// The short road for few rows, where the program has one.
    chain: Option<Chain>,
    limits: Limits,
    pool: Pool,
    /// How many rows are run at once where rows are independent.
    block: usize,
    description: Description,
    artifact: Artifact,
}

impl fmt::Debug for NativeModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeModel")
            .field("signature", &self.analysis.signature)
            .field("steps", &self.program.steps.iter().map(|s| s.label.as_str()).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// The buffers of this thread, shared by all models it runs.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Runs `f` with the buffers of this thread, or with fresh ones when they are in use further up the stack.
fn with_scratch<R>(limits: Limits, threads: Threads, f: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => {
            scratch.limits = limits;
            scratch.threads = threads;
            scratch.depth = 0;
            let answer = f(&mut scratch);
            // Not kept: a thread that ends would wait for them.
            scratch.threads = Threads::default();
            answer
        }
        Err(_) => {
            let mut scratch = Scratch::new(limits);
            scratch.threads = threads;
            f(&mut scratch)
        }
    })
}

/// The rows `from..to` of a value.
pub(super) fn slice_rows<'s>(value: &'s Value<'_>, from: usize, to: usize) -> Value<'s> {
    let mut shape = Shape::from_slice(value.shape());
    let per_row: usize = shape.iter().skip(1).product();
    shape[0] = to - from;
    typed!(value.data(), T, items => Value::borrowed::<T>(&shape, &items[from * per_row..to * per_row]), _seq => Value::default())
}

/// The model's output inside a program's.
pub(super) fn pick<'s>(value: &'s Value<'_>, output: &Output) -> Value<'s> {
    let value = match (output.element, value.as_sequence()) {
        (Some(i), Ok(values)) => values.get(i).map(Value::as_view).unwrap_or_default(),
        _ => value.as_view(),
    };
    if output.drop_first && value.shape().first() == Some(&1) {
        let shape = Shape::from_slice(&value.shape()[1..]);
        return Value::from_parts(shape, value.into_data());
    }
    value
}

impl NativeModel {
    fn specs(&self) -> &[TensorSpec] {
        self.analysis.signature.outputs()
    }

    /// The batch as values that borrow from `inputs`.
    fn values<'v>(&self, inputs: &'v Tensors<'_>) -> Result<Vec<Value<'v>>> {
        inputs.iter().map(|(_, tensor)| Value::from_tensor(tensor)).collect()
    }

    fn rows(&self, inputs: &Tensors<'_>) -> usize {
        let batched = self.analysis.signature.inputs().iter().zip(inputs.iter()).find(|(spec, _)| spec.is_batched());
        batched.map_or(1, |(_, (_, tensor))| tensor.shape()[0])
    }

    /// The outputs of the rows `range`, one `Value` an output.
    fn run_rows(&self, values: &[Value<'_>], range: Range<usize>, cx: &mut Scratch) -> Result<Vec<Value<'static>>> {
        let specs = self.analysis.signature.inputs();
        let rows = specs.iter().zip(values).map(|(spec, value)| {
            if spec.is_batched() { slice_rows(value, range.start, range.end) } else { value.as_view() }
        });
        let outs = self.program.run(rows, cx)?;
        if self.analysis.outputs.iter().all(|o| o.element.is_none() && !o.drop_first) {
            // Outputs stand in the program's order, one each.
            return Ok(outs.into_iter().map(Value::into_static).collect());
        }
        Ok(self.analysis.outputs.iter().map(|o| pick(&outs[o.index], o).into_static()).collect())
    }

    /// The outputs of the rows `range`, a block at a time.
    fn run_blocks(
        &self,
        values: &[Value<'_>],
        range: Range<usize>,
        block: usize,
        threads: Threads,
    ) -> Result<Vec<Value<'static>>> {
        with_scratch(self.limits, threads, |cx| {
            if range.len() <= block {
                return self.run_rows(values, range, cx);
            }
            let mut parts = Joined::new(range.len());
            let mut from = range.start;
            while from < range.end {
                let to = range.end.min(from + block);
                parts.add(self.run_rows(values, from..to, cx)?, to - from, cx)?;
                from = to;
            }
            Ok(parts.finish())
        })
    }

    /// The answers of one observation, or of a batch that is one block: the road without anything that few rows need
    /// not pay for.
    fn run_once(&self, inputs: &Tensors<'_>, rows: Rows) -> Result<Tensors<'static>> {
        with_scratch(self.limits, self.pool.threads(), |cx| {
            let mut slots = Slots::with_capacity(self.program.slots);
            for (spec, (_, tensor)) in self.analysis.signature.inputs().iter().zip(inputs.iter()) {
                let one = rows == Rows::One && spec.is_batched();
                slots.push(if one { Value::from_row(tensor)? } else { Value::from_tensor(tensor)? });
            }
            self.name_outputs(self.program.run_slots(slots, cx, None)?, rows)
        })
    }

    /// The answers that a chain gives to one observation, or to a batch of `m`.
    fn run_chain(&self, chain: &Chain, inputs: &Tensors<'_>, m: Option<usize>) -> Result<Tensors<'static>> {
        let x = inputs.single()?.as_slice::<f32>()?;
        let mut outputs = chain.answers(self.specs(), m)?;
        with_scratch(self.limits, self.pool.threads(), |cx| {
            chain.write(&self.program, x, m.unwrap_or(1), &mut outputs, cx)
        })?;
        Ok(outputs)
    }

    fn run_batch(&self, values: &[Value<'_>], m: usize) -> Result<Vec<Value<'static>>> {
        match self.analysis.batching {
            Batching::None => with_scratch(self.limits, self.pool.threads(), |cx| {
                let outs = self.program.run(values.iter().map(Value::as_view), cx)?;
                Ok(self.analysis.outputs.iter().map(|o| pick(&outs[o.index], o).into_static()).collect())
            }),
            Batching::RowByRow => self.run_threads(values, m, 1),
            Batching::Whole if self.analysis.row_independent => self.run_threads(values, m, self.block),
            Batching::Whole => self.run_blocks(values, 0..m, usize::MAX, self.pool.threads()),
        }
    }

    fn run_threads(&self, values: &[Value<'_>], m: usize, block: usize) -> Result<Vec<Value<'static>>> {
        // Threads that take rows leave none for the steps; with too few rows for that, steps are shared.
        let threads = if self.pool.splits(m) { Threads::default() } else { self.pool.threads() };
        let part = |range: Range<usize>| Ok((range.len(), self.run_blocks(values, range, block, threads.clone())?));
        let mut done = self.pool.split(m, part)?;
        if done.len() == 1 {
            return Ok(done.pop().expect("the list was seen to hold one").1);
        }
        let mut joined = Joined::new(m);
        let mut cx = Scratch::default();
        for (rows, part) in done {
            joined.add(part, rows, &mut cx)?;
        }
        Ok(joined.finish())
    }

    /// Empty outputs of the promised shapes, where those are known.
    fn empty(&self) -> Option<Result<Tensors<'static>>> {
        // What has no batch axis is computed from whatever there is.
        let known = |s: &TensorSpec| s.is_batched() && s.dims().iter().all(|d| matches!(d, Dim::Fixed(_) | Dim::Batch));
        let known = self.specs().iter().all(known);
        known.then(|| self.specs().iter().map(|spec| Ok((spec.name().clone(), empty_tensor(spec)?))).collect())
    }

    fn name_outputs<'v>(&self, values: impl IntoIterator<Item = Value<'v>>, rows: Rows) -> Result<Tensors<'static>> {
        let mut outputs = Tensors::with_capacity(self.specs().len());
        for (spec, value) in self.specs().iter().zip(values) {
            let tensor = match rows.count().filter(|_| spec.is_batched()) {
                Some(m) if value.shape().first() != Some(&m) => return Err(miscounted(spec, m, &value)),
                Some(_) if rows == Rows::One => value.into_row()?,
                _ => value.into_tensor()?,
            };
            outputs.push(spec.name().clone(), tensor);
        }
        Ok(outputs)
    }
}

/// What the inputs of a call hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// So many observations along axis 0.
    Batch(usize),
    /// One observation, without that axis.
    One,
    /// The shapes that the model declares.
    Declared,
}

impl Rows {
    /// The number of observations, where there are any.
    fn count(self) -> Option<usize> {
        match self {
            Self::Batch(m) => Some(m),
            Self::One => Some(1),
            Self::Declared => None,
        }
    }
}

#[cold]
fn miscounted(spec: &TensorSpec, m: usize, value: &Value<'_>) -> Error {
    Error::new(ErrorKind::Backend, "the graph gave another number of answers than it was given observations")
        .tensor(spec.name())
        .expected(m)
        .actual(crate::tensor::shape_text(value.shape()))
}

fn empty_tensor(spec: &TensorSpec) -> Result<Tensor<'static>> {
    let shape: Vec<usize> = spec.dims().iter().map(|d| if let Dim::Fixed(n) = d { *n } else { 0 }).collect();
    let count: usize = shape.iter().product();
    crate::tensor::zeros(spec.dtype(), &shape, count)
}

#[deny(clippy::missing_trait_methods)]
impl Model for NativeModel {
    fn signature(&self) -> &Signature {
        &self.analysis.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let m = self.rows(inputs);
        let batched = self.analysis.signature.is_batched();
        if m == 0
            && batched
            && let Some(empty) = self.empty()
        {
            return empty;
        }
        let rows = if batched { Rows::Batch(m) } else { Rows::Declared };
        let at_once = m <= self.block && !(self.analysis.row_independent && self.pool.splits(m));
        if let Some(chain) = self.chain.as_ref().filter(|chain| at_once && chain.suits(m)) {
            return self.run_chain(chain, inputs, Some(m));
        }
        if at_once && self.plain {
            return self.run_once(inputs, rows);
        }
        let values = self.values(inputs)?;
        self.name_outputs(self.run_batch(&values, m)?, rows)
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        if self.analysis.batching == Batching::None {
            return crate::model::predict_as_batch(self, input);
        }
        if let Some(chain) = &self.chain {
            return self.run_chain(chain, input, None);
        }
        if self.plain {
            return self.run_once(input, Rows::One);
        }
        let specs = self.analysis.signature.inputs();
        let values = specs
            .iter()
            .zip(input.iter())
            .map(
                |(spec, (_, tensor))| {
                    if spec.is_batched() { Value::from_row(tensor) } else { Value::from_tensor(tensor) }
                },
            )
            .collect::<Result<Vec<_>>>()?;
        self.name_outputs(self.run_blocks(&values, 0..1, 1, self.pool.threads())?, Rows::One)
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn artifact(&self) -> Result<Artifact> {
        Ok(self.artifact.clone())
    }
}

/// Outputs of consecutive rows, put together.
struct Joined {
    rows: usize,
    parts: Vec<Value<'static>>,
}

impl Joined {
    fn new(rows: usize) -> Self {
        Self { rows, parts: Vec::new() }
    }

    /// Adds the outputs of the next `rows` rows.
    fn add(&mut self, outs: Vec<Value<'static>>, rows: usize, cx: &mut Scratch) -> Result<()> {
        if self.parts.is_empty() {
            self.parts = outs.iter().map(|v| grown(v, self.rows, rows)).collect();
        }
        for (whole, part) in self.parts.iter_mut().zip(outs) {
            append(whole, &part)?;
            cx.recycle(part);
        }
        Ok(())
    }

    fn finish(self) -> Vec<Value<'static>> {
        self.parts
    }
}

/// An empty value of the kind of `value`, with room for `rows` rows where `value` holds `of`.
fn grown(value: &Value<'_>, rows: usize, of: usize) -> Value<'static> {
    let mut shape = Shape::from_slice(value.shape());
    match shape.first_mut() {
        Some(first) => *first = 0,
        None => shape.push(0),
    }
    let capacity = value.len() / of.max(1) * rows;
    typed!(value.data(), T, _items => Value::new(shape, Vec::<T>::with_capacity(capacity)), _seq => Value::default())
}

/// Adds the rows of `part` at the end of `whole`; a part without rows of its own counts as one.
fn append(whole: &mut Value<'static>, part: &Value<'_>) -> Result<()> {
    let taken = std::mem::take(whole);
    let mut shape = Shape::from_slice(taken.shape());
    let rows = if part.rank() == shape.len() { part.shape().first().copied().unwrap_or(1) } else { 1 };
    let tail = if part.rank() == shape.len() { part.shape().get(1..).unwrap_or_default() } else { part.shape() };
    if shape.get(1..).unwrap_or_default() != tail {
        return Err(Error::new(ErrorKind::Backend, "rows of one batch gave outputs of different shapes")
            .expected(crate::tensor::shape_text(&shape))
            .actual(crate::tensor::shape_text(part.shape())));
    }
    shape[0] += rows;
    *whole = typed!(part.data(), T, items => {
        let mut all = taken.into_vec::<T>()?;
        all.extend_from_slice(items);
        Value::new(shape, all)
    }, _seq => return Err(Error::new(ErrorKind::Unsupported, "sequences of rows can't be put together")));
    Ok(())
}
