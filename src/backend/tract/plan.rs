//! Compiled forms of a graph, one per shape of the inputs.
//!
//! tract runs fastest when every size is known, so a graph is compiled anew for every combination of input shapes, and
//! the last few are kept. A plan is shared by all threads; what one run changes is its own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::DimLike;

use super::contain::contained;
use crate::{Error, ErrorKind, Limits, Result};

/// The bytes of compiled weights that a model may hold for shapes other than the last one.
const KEPT_BYTES: u64 = 64 << 20;
/// The most shapes that are kept.
const MOST_KEPT: u64 = 16;
/// The states that a plan keeps for the next runs.
const IDLE_STATES: usize = 16;

/// A graph compiled for one combination of input shapes.
struct Plan {
    plan: Arc<TypedSimplePlan>,
    /// States of finished runs; making one costs an allocation per node. Empty where an operator has a state of its
    /// own: tract's recurrent ones go on from the last run instead of starting anew.
    idle: Mutex<Vec<TypedSimpleState>>,
    stateless: bool,
}

impl Plan {
    fn new(plan: Arc<TypedSimplePlan>) -> TractResult<Self> {
        let state = plan.spawn()?;
        let stateless = state.op_states.iter().all(Option::is_none);
        let idle = if stateless { vec![state] } else { Vec::new() };
        Ok(Self { plan, idle: Mutex::new(idle), stateless })
    }

    fn run(&self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let state = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut state = match state {
            Some(state) => state,
            None => self.plan.spawn()?,
        };
        let outputs = state.run(inputs)?;
        if self.stateless {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_STATES {
                idle.push(state);
            }
        }
        Ok(outputs)
    }
}

/// A plan that is there, or that one thread is making while others wait for it.
type Slot = Arc<Mutex<Option<Arc<Plan>>>>;

/// A parsed graph with its compiled forms.
pub(super) struct Plans {
    graph: InferenceModel,
    types: Vec<DatumType>,
    max_elements: usize,
    /// The sizes of all inputs one after another, oldest use first.
    kept: Mutex<Vec<(Vec<usize>, Slot)>>,
    most_kept: usize,
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plans({} nodes, {} kept at most)", self.graph.nodes.len(), self.most_kept)
    }
}

impl Plans {
    /// Parses the bytes of a prepared file whose inputs have the element types `types`.
    pub(super) fn parse(bytes: &[u8], types: Vec<DatumType>, weight_bytes: u64, limits: &Limits) -> Result<Self> {
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
        let most_kept = (KEPT_BYTES / weight_bytes.max(1)).clamp(1, MOST_KEPT) as usize;
        Ok(Self { graph: parsed.model, types, max_elements: limits.max_elements, kept: Mutex::default(), most_kept })
    }

    /// The graph for inputs of these shapes, before tract chooses its kernels.
    pub(super) fn typed(&self, shapes: &[&[usize]]) -> Result<TypedModel> {
        let model = contained(ErrorKind::Unsupported, "working out the graph's types and shapes", || {
            let mut graph = self.graph.clone();
            for (i, (shape, dtype)) in shapes.iter().zip(&self.types).enumerate() {
                graph.set_input_fact(i, InferenceFact::dt_shape(*dtype, shape.iter().copied()))?;
            }
            graph.into_typed()
        })?;
        for fact in model.nodes.iter().flat_map(|n| &n.outputs).map(|o| &o.fact) {
            let count = fact.shape.iter().try_fold(1usize, |n, dim| n.checked_mul(dim.to_usize().ok()?));
            if fact.shape.is_concrete() && count.is_none_or(|n| n > self.max_elements) {
                return Err(Error::new(
                    ErrorKind::LimitExceeded,
                    "a tensor of the graph is larger than `Limits::max_elements`",
                )
                .expected(format!("at most {} elements", self.max_elements))
                .actual(format!("{:?}", fact.shape)));
            }
        }
        Ok(model)
    }

    fn compile(&self, shapes: &[&[usize]]) -> Result<Plan> {
        let typed = self.typed(shapes)?;
        contained(ErrorKind::Unsupported, "compiling the graph", || Plan::new(typed.into_optimized()?.into_runnable()?))
    }

    /// The slot of these shapes, now the last used.
    fn slot(&self, shapes: &[&[usize]]) -> Slot {
        let same = |key: &[usize]| key.iter().eq(shapes.iter().copied().flatten());
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.iter().rposition(|(key, _)| same(key)) {
            Some(at) if at + 1 == kept.len() => {}
            Some(at) => kept[at..].rotate_left(1),
            None => {
                if kept.len() >= self.most_kept {
                    kept.remove(0);
                }
                kept.push((shapes.concat(), Slot::default()));
            }
        }
        kept.last().map(|(_, slot)| Arc::clone(slot)).unwrap_or_default()
    }

    fn plan(&self, shapes: &[&[usize]]) -> Result<Arc<Plan>> {
        let slot = self.slot(shapes);
        let mut plan = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = &*plan {
            return Ok(Arc::clone(plan));
        }
        let made = Arc::new(self.compile(shapes)?);
        *plan = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The outputs for `inputs`.
    ///
    /// # Errors
    /// [`ErrorKind::Backend`] when tract fails or panics, [`ErrorKind::Unsupported`] when it can't compile the graph
    /// for these shapes, [`ErrorKind::LimitExceeded`] when a tensor in between would be too large.
    pub(super) fn run(&self, inputs: TVec<TValue>) -> Result<TVec<TValue>> {
        let shapes: TVec<&[usize]> = inputs.iter().map(|t| t.shape()).collect();
        let plan = self.plan(&shapes)?;
        drop(shapes);
        contained(ErrorKind::Backend, "running the graph", || plan.run(inputs))
    }

    /// Forgets the plans made so far.
    pub(super) fn clear(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
