//! Compiled forms of a graph: one per shape of the inputs, or one for all.
//!
//! tract runs fastest when every size is known, so a graph is compiled anew for every combination of input shapes, and
//! the last few are kept. Every plan has its own copy of the weights, packed for the kernels. A graph with large weights
//! is therefore compiled once for sizes that stay open, and nothing else of it is kept. A plan is shared by all threads;
//! what one run changes is its own.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::optim::Optimizer;

use super::contain::contained;
use super::recurrent;
use crate::{Dim, Error, ErrorKind, Limits, Result, kernel};

/// From this many bytes of weights on, one plan for all shapes is tried.
const LARGE_BYTES: u64 = 4 << 20;
/// The bytes of compiled weights that a model may hold for shapes other than the last one.
const KEPT_BYTES: u64 = 64 << 20;
/// The most shapes that are kept.
const MOST_KEPT: u64 = 16;
/// The states that a plan keeps for the next runs.
const IDLE_STATES: usize = 16;

/// A graph compiled for one combination of input shapes.
struct Plan {
    plan: Arc<TypedSimplePlan>,
    /// The nodes of the inputs.
    sources: TVec<usize>,
    /// Whether every size of the inputs is known.
    is_exact: bool,
    /// States of finished runs; making one costs an allocation per node. Empty where a run is not repeatable.
    #[expect(clippy::vec_box, reason = "a state is large, and is taken out and put back by every run")]
    idle: Mutex<Vec<Box<TypedSimpleState>>>,
    repeatable: bool,
}

impl Plan {
    fn compile(mut typed: TypedModel) -> TractResult<Self> {
        recurrent::begin_anew(&mut typed);
        let plan = optimized(typed)?.into_runnable()?;
        let repeatable = recurrent::is_repeatable(plan.model());
        let outlets = plan.model().input_outlets()?;
        let sources = outlets.iter().map(|outlet| outlet.node).collect();
        let mut is_exact = true;
        for outlet in outlets {
            is_exact &= plan.model().outlet_fact(*outlet)?.shape.is_concrete();
        }
        Ok(Self { plan, sources, is_exact, idle: Mutex::default(), repeatable })
    }

    /// What `give` makes of the outputs for `inputs`, which have the types and the ranks of the plan, and the sizes where
    /// it is exact.
    fn run<R>(&self, inputs: TVec<TValue>, give: impl FnOnce(Answers<'_>) -> Result<R>) -> TractResult<Result<R>> {
        let state = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let used = state.is_some();
        let mut state = match state {
            Some(state) => state,
            None => Box::new(self.plan.spawn()?),
        };
        let given = if used && self.is_exact {
            // What tract does for inputs of any size, without holding them against the plan a second time, and without taking the
            // outputs out of the state.
            for (source, input) in self.sources.iter().zip(inputs) {
                state.set_value(*source, input)?;
            }
            state.exec()?;
            kernel::clear_upper_halves();
            let values = &state.turn_state.values;
            let mut outputs = tvec![];
            for outlet in self.plan.model().output_outlets()? {
                let value = values.get(outlet.node).and_then(|slots| slots.as_ref()?.get(outlet.slot));
                outputs.push(value.ok_or_else(|| TractError::msg("an output was not computed"))?);
            }
            let given = give(&mut outputs.iter().copied());
            drop(outputs);
            state.reset_turn()?;
            given
        } else {
            let outputs = state.run(inputs)?;
            kernel::clear_upper_halves();
            give(&mut outputs.iter())
        };
        if self.repeatable {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_STATES {
                idle.push(state);
            }
        }
        Ok(given)
    }
}

/// The outputs of a run, in order.
pub(super) type Answers<'r> = &'r mut dyn Iterator<Item = &'r TValue>;

/// `typed` in the form that tract runs.
///
/// tract takes axes of one element out wherever it can. In a batch of one row that can part a bias or an activation from
/// the product before it, which would have taken them in, so the form that keeps the axes is made as well, and the one with fewer
/// nodes is taken.
fn optimized(typed: TypedModel) -> TractResult<TypedModel> {
    let mut alone = false;
    for outlet in typed.input_outlets()? {
        alone |= typed.outlet_fact(*outlet)?.shape.first().is_some_and(|size| size.is_one());
    }
    if !alone {
        return typed.into_optimized();
    }
    let usual = typed.clone().into_optimized()?;
    Ok(with_axes(typed).ok().filter(|kept| kept.nodes.len() < usual.nodes.len()).unwrap_or(usual))
}

/// `typed` optimised, its axes left where they are.
fn with_axes(mut typed: TypedModel) -> TractResult<TypedModel> {
    let mut declutter = Optimizer::declutter();
    // The pass has no other name.
    declutter.passes.retain(|pass| format!("{pass:?}") != "ChangeAxes");
    declutter.optimize(&mut typed)?;
    typed.optimize()?;
    Ok(typed)
}

/// A plan that is there, or that one thread is making while others wait for it.
#[derive(Default)]
struct Slot {
    plan: OnceLock<Plan>,
    making: Mutex<()>,
}

impl Slot {
    fn get_or_make(&self, make: impl FnOnce() -> Result<Plan>) -> Result<&Plan> {
        if let Some(plan) = self.plan.get() {
            return Ok(plan);
        }
        let _alone = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        match self.plan.get() {
            Some(plan) => Ok(plan),
            None => {
                let made = make()?;
                Ok(self.plan.get_or_init(|| made))
            }
        }
    }
}

/// A plan for all shapes, with the shapes for which the sizes of its tensors were held against the limits.
struct General {
    plan: Plan,
    checked: Mutex<Vec<Vec<usize>>>,
}

/// A parsed graph with its compiled forms.
pub(super) struct Plans {
    /// Not there once everything runs through `general`.
    graph: Option<InferenceModel>,
    types: Vec<DatumType>,
    max_elements: usize,
    /// The sizes of all inputs one after another, oldest use first.
    kept: Mutex<Vec<(Vec<usize>, Arc<Slot>)>>,
    most_kept: usize,
    large: bool,
    general: Option<General>,
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.general {
            Some(general) => write!(f, "Plans(one of {} nodes)", general.plan.plan.model().nodes.len()),
            None => write!(f, "Plans(one for each of the last {} shapes)", self.most_kept),
        }
    }
}

impl Plans {
    /// Parses the bytes of a prepared file whose inputs have the element types `types`.
    /// Where weights are large, plans for at least `least_kept` shapes are kept.
    pub(super) fn parse(
        bytes: &[u8],
        types: Vec<DatumType>,
        weight_bytes: u64,
        least_kept: u64,
        limits: &Limits,
    ) -> Result<Self> {
        let parsed = contained(ErrorKind::Unsupported, "reading the graph", || {
            let onnx = tract_onnx::onnx().with_ignore_value_info(true);
            let proto = onnx.proto_model_for_read(&mut &*bytes)?;
            onnx.parse(&proto, None)
        })?;
        if let Some(name) = parsed.unresolved_inputs.first() {
            return Err(
                Error::new(ErrorKind::Malformed, "nothing in the graph gives a value that a node takes").tensor(name)
            );
        }
        if parsed.model.inputs.len() != types.len() {
            return Err(Error::new(ErrorKind::Backend, "tract sees another number of inputs than the file declares"));
        }
        let most_kept = (KEPT_BYTES / weight_bytes.max(1)).clamp(least_kept, MOST_KEPT) as usize;
        Ok(Self {
            graph: Some(parsed.model),
            types,
            max_elements: limits.max_elements,
            kept: Mutex::default(),
            most_kept,
            large: weight_bytes >= LARGE_BYTES,
            general: None,
        })
    }

    /// Makes one plan for all shapes of a graph with large weights, where tract can; `dims` are those of the inputs.
    ///
    /// Its answers are to be compared with those of [`run_alone`](Self::run_alone) before they are relied on.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn generalize(&mut self, dims: &[&[Dim]]) -> Result<()> {
        let Some(graph) = self.graph.as_ref().filter(|_| self.large) else {
            return Err(Error::new(ErrorKind::Unsupported, "the weights are small"));
        };
        let plan = contained(ErrorKind::Unsupported, "compiling the graph for all shapes", || {
            let mut graph = graph.clone();
            let mut named: HashMap<String, Symbol> = HashMap::new();
            for (i, (dims, dtype)) in dims.iter().zip(&self.types).enumerate() {
                let mut shape: TVec<TDim> = tvec![];
                for dim in *dims {
                    let symbol = match dim {
                        Dim::Fixed(n) => {
                            shape.push(n.to_dim());
                            continue;
                        }
                        Dim::Any => graph.symbols.new_with_prefix("any"),
                        // No name of a file begins like this.
                        Dim::Batch => {
                            named.entry("\0".into()).or_insert_with(|| graph.symbols.new_with_prefix("m")).clone()
                        }
                        Dim::Named(name) => {
                            named.entry(name.clone()).or_insert_with(|| graph.symbols.new_with_prefix("size")).clone()
                        }
                    };
                    shape.push(symbol.to_dim());
                }
                graph.set_input_fact(i, InferenceFact::dt_shape(*dtype, shape))?;
            }
            if named.is_empty() {
                return Err(TractError::msg("every size is known"));
            }
            Plan::compile(graph.into_typed()?)
        })?;
        self.general = Some(General { plan, checked: Mutex::default() });
        Ok(())
    }

    /// Whether one plan for all shapes is worth trying.
    pub(super) fn is_large(&self) -> bool {
        self.large
    }

    /// Whether one plan serves all shapes.
    pub(super) fn is_general(&self) -> bool {
        self.general.is_some()
    }

    /// Makes a plan for each shape again.
    pub(super) fn specialize(&mut self) {
        self.general = None;
    }

    /// Forgets what is not needed to run.
    pub(super) fn settle(&mut self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
        if self.general.is_some() {
            self.graph = None;
        }
    }

    /// The graph for inputs of these shapes, before tract chooses its kernels.
    pub(super) fn typed(&self, shapes: &[&[usize]]) -> Result<TypedModel> {
        let Some(graph) = &self.graph else {
            return Err(Error::new(ErrorKind::Backend, "the graph was let go after load"));
        };
        let model = contained(ErrorKind::Unsupported, "working out the graph's types and shapes", || {
            let mut graph = graph.clone();
            for (i, (shape, dtype)) in shapes.iter().zip(&self.types).enumerate() {
                graph.set_input_fact(i, InferenceFact::dt_shape(*dtype, shape.iter().copied()))?;
            }
            graph.into_typed()
        })?;
        self.check_sizes(&model, &SymbolValues::default())?;
        Ok(model)
    }

    /// Holds the sizes of all tensors against the limits.
    fn check_sizes(&self, model: &TypedModel, symbols: &SymbolValues) -> Result<()> {
        for fact in model.nodes.iter().flat_map(|n| &n.outputs).map(|o| &o.fact) {
            let mut count = Some(1usize);
            let mut known = true;
            for dim in fact.shape.iter() {
                match dim.eval_to_i64(symbols) {
                    Ok(n) => count = count.and_then(|count| count.checked_mul(usize::try_from(n).ok()?)),
                    // What depends on the numbers in a tensor is known when it is there.
                    Err(_) => known = false,
                }
            }
            if known && count.is_none_or(|n| n > self.max_elements) {
                return Err(Error::new(
                    ErrorKind::LimitExceeded,
                    "a tensor of the graph is larger than `Limits::max_elements`",
                )
                .expected(format!("at most {} elements", self.max_elements))
                .actual(format!("{:?}", fact.shape)));
            }
        }
        Ok(())
    }

    /// Runs the plan for all shapes.
    fn run_general<R>(
        &self,
        general: &General,
        inputs: TVec<TValue>,
        give: impl FnOnce(Answers<'_>) -> Result<R>,
    ) -> Result<R> {
        let shapes: TVec<&[usize]> = inputs.iter().map(|t| t.shape()).collect();
        let known = |checked: &Mutex<Vec<Vec<usize>>>| {
            checked.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|key| is_key(key, &shapes))
        };
        if !known(&general.checked) {
            let model = general.plan.plan.model();
            let mut symbols = SymbolValues::default();
            for (outlet, input) in model.inputs.iter().zip(&inputs) {
                let fact = &model.nodes[outlet.node].outputs[outlet.slot].fact;
                for (dim, size) in fact.shape.iter().zip(input.shape()) {
                    if let TDim::Sym(symbol) = dim {
                        symbols.set(symbol, *size as i64);
                    }
                }
            }
            contained(ErrorKind::Backend, "working out sizes", || Ok(self.check_sizes(model, &symbols)))??;
            let mut checked = general.checked.lock().unwrap_or_else(PoisonError::into_inner);
            if checked.len() >= MOST_KEPT as usize {
                checked.remove(0);
            }
            checked.push(shapes.concat());
        }
        drop(shapes);
        contained(ErrorKind::Backend, "running the graph", || general.plan.run(inputs, give))?
    }

    fn compile(&self, shapes: &[&[usize]]) -> Result<Plan> {
        let typed = self.typed(shapes)?;
        contained(ErrorKind::Unsupported, "compiling the graph", || Plan::compile(typed))
    }

    /// The slot of these shapes, now the last used.
    fn slot(&self, shapes: &[&[usize]]) -> Arc<Slot> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.iter().rposition(|(key, _)| is_key(key, shapes)) {
            Some(at) if at + 1 == kept.len() => {}
            Some(at) => kept[at..].rotate_left(1),
            None => {
                if kept.len() >= self.most_kept {
                    kept.remove(0);
                }
                kept.push((shapes.concat(), Arc::default()));
            }
        }
        kept.last().map(|(_, slot)| Arc::clone(slot)).unwrap_or_default()
    }

    /// What `give` makes of the outputs for `inputs`.
    ///
    /// # Errors
    /// Those of `give`; [`ErrorKind::Backend`] when tract fails or panics, [`ErrorKind::Unsupported`] when it can't compile
    /// the graph for these shapes, [`ErrorKind::LimitExceeded`] when a tensor in between would be too large.
    pub(super) fn run<R>(&self, inputs: TVec<TValue>, give: impl FnOnce(Answers<'_>) -> Result<R>) -> Result<R> {
        match &self.general {
            Some(general) => self.run_general(general, inputs, give),
            None => self.run_alone(inputs, give),
        }
    }

    /// The same, of a plan for their very shapes.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(super) fn run_alone<R>(&self, inputs: TVec<TValue>, give: impl FnOnce(Answers<'_>) -> Result<R>) -> Result<R> {
        let shapes: TVec<&[usize]> = inputs.iter().map(|t| t.shape()).collect();
        let slot = self.slot(&shapes);
        let plan = slot.get_or_make(|| self.compile(&shapes))?;
        drop(shapes);
        contained(ErrorKind::Backend, "running the graph", || plan.run(inputs, give))?
    }
}

/// Whether `key` holds the sizes of these shapes one after another. The ranks of the inputs never change.
fn is_key(key: &[usize], shapes: &[&[usize]]) -> bool {
    key.iter().eq(shapes.iter().copied().flatten())
}
