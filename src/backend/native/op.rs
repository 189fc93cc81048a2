//! The contract between the executor and an operator.

use std::any::Any;
use std::fmt::Debug;

use smallvec::SmallVec;

use super::chain::Filling;
use super::pool::Threads;
use super::value::{Item, Pools, Shape, Value};
use crate::tensor::{checked_len, shape_text};
use crate::{Error, ErrorKind, Limits, Result};

/// The outputs of one step.
pub(crate) type Outs<'v> = SmallVec<[Value<'v>; 2]>;

/// One operator of a graph, with its attributes resolved and its constants packed.
pub(crate) trait Op: Debug + Send + Sync + Any {
    /// The outputs for these inputs. Must not panic, whatever the inputs hold.
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>>;

    /// Writes the outputs for `rows` over what stands there, where rows are all that the operator needs beside constants: a step
    /// of a [`Chain`](super::chain::Chain), whose rows don't look at each other. `None`, always or never, where there is no
    /// such road for these types and sizes.
    fn fill(&self, _rows: Filling<'_, '_>, _cx: &mut Scratch) -> Option<Result<()>> {
        None
    }

    /// Whether an entry along the batch in an output can depend on other entries along the batch. `inputs` and
    /// `outputs` tell which axes vary with the batch. When in doubt, `true`.
    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool;

    /// The number of learned numbers.
    fn parameters(&self) -> usize {
        0
    }

    /// What runs it and why, where there was a choice.
    fn engine(&self) -> Option<String> {
        None
    }

    /// The number of features along the last axis of input 0 that the operator insists on.
    fn features(&self) -> Option<usize> {
        None
    }

    /// The names along the last axis of input 0, where the operator knows them: the keys of a map.
    fn input_features(&self) -> Option<Vec<String>> {
        None
    }

    /// The names along the last axis of output `output`, where the operator knows them: classes, categories.
    fn output_features(&self, _output: usize) -> Option<Vec<String>> {
        None
    }

    /// The categories that the operator knows for its string input 0.
    fn categories(&self) -> Option<Vec<String>> {
        None
    }

    /// Whether the operator holds constant input `i` in a form of its own and does not ask for it when it runs.
    fn holds(&self, _i: usize) -> bool {
        false
    }

    /// What the operator does to every row (the last axis) of input 0, where that can be merged into a neighbour.
    fn row_map(&self) -> Option<RowMap> {
        None
    }

    /// One operator that does what `previous` (one input) and then this one on input 0 do.
    fn absorb_previous(&self, _previous: &dyn Op) -> Option<Box<dyn Op>> {
        None
    }

    /// One operator that does what this one and then `next` (one input besides constants, one output) on output
    /// `output` do; the result has this one's outputs, with `output` replaced.
    fn absorb_next(&self, _output: usize, _next: &dyn Op) -> Option<Box<dyn Op>> {
        None
    }
}

/// What an operator does to every row, as far as a matrix product beside it can take it over. A vector has one number
/// per column, or a single one for all columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RowMap {
    /// x + v
    Add(Vec<f64>),
    /// x - v
    Subtract(Vec<f64>),
    /// x * v
    Multiply(Vec<f64>),
    /// (x - offset) * scale
    Scale { offset: Vec<f64>, scale: Vec<f64> },
    /// max(x, 0)
    Relu,
    /// x over the sum of magnitudes of its row; a row of zeros stays.
    NormaliseL1,
}

/// Which axes of a value vary with the batch: its shapes in two dry runs of different batch sizes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flow {
    pub(crate) shapes: [Shape; 2],
}

impl Flow {
    pub(crate) fn rank(&self) -> usize {
        self.shapes[0].len()
    }

    /// Whether `axis` varies with the batch. A change of rank counts for every axis.
    pub(crate) fn varies(&self, axis: usize) -> bool {
        let [a, b] = &self.shapes;
        a.len() != b.len() || a.get(axis) != b.get(axis)
    }

    /// Whether any axis varies with the batch.
    pub(crate) fn any(&self) -> bool {
        self.shapes[0] != self.shapes[1]
    }

    /// Whether `axis`, which may count from the end, varies with the batch.
    pub(crate) fn varies_signed(&self, axis: i64) -> bool {
        let rank = self.rank() as i64;
        let axis = if axis < 0 { axis + rank } else { axis };
        usize::try_from(axis).is_ok_and(|axis| self.varies(axis))
    }

    /// Whether nothing but axis 0 varies.
    pub(crate) fn only_first(&self) -> bool {
        (1..self.rank()).all(|axis| !self.varies(axis))
    }
}

/// Where an argument of a step comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arg {
    /// An optional input that was left out.
    Absent,
    /// A constant of the program.
    Constant(u32),
    /// A value computed before; `last` when no later step needs it.
    Slot { index: u32, last: bool },
}

/// The inputs of one step.
pub(crate) struct Args<'s, 'v> {
    pub(super) slots: &'s mut [Value<'v>],
    pub(super) constants: &'v [Value<'static>],
    pub(super) args: &'s [Arg],
}

impl<'v> Args<'_, 'v> {
    /// The number of inputs, absent ones in the middle included.
    pub(crate) fn len(&self) -> usize {
        self.args.len()
    }

    /// Input `i`.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it was left out.
    #[inline]
    pub(crate) fn get(&self, i: usize) -> Result<&Value<'v>> {
        self.opt(i).ok_or_else(|| absent(i))
    }

    /// Input `i`, unless it was left out.
    #[inline]
    pub(crate) fn opt(&self, i: usize) -> Option<&Value<'v>> {
        match *self.args.get(i)? {
            Arg::Absent => None,
            Arg::Constant(at) => self.constants.get(at as usize),
            Arg::Slot { index, .. } => self.slots.get(index as usize),
        }
    }

    /// Input `i`, out of its slot when this step is its last user, else borrowed or copied. Owned elements can be
    /// changed in place.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it was left out.
    pub(crate) fn take(&mut self, i: usize) -> Result<Value<'v>> {
        if let Some(index) = self.free_slot(i) {
            return Ok(std::mem::take(&mut self.slots[index]));
        }
        match self.args.get(i) {
            Some(&Arg::Slot { index, .. }) => Ok(self.slots[index as usize].clone()),
            Some(&Arg::Constant(at)) => Ok(self.constants[at as usize].as_view()),
            Some(Arg::Absent) | None => Err(absent(i)),
        }
    }

    /// Input `i` out of its slot, when this step is its last user and its elements are owned, so that they can be
    /// changed in place; else it stays where it is, for [`get`](Self::get).
    pub(crate) fn take_owned(&mut self, i: usize) -> Option<Value<'v>> {
        let index = self.free_slot(i)?;
        self.slots[index].is_owned().then(|| std::mem::take(&mut self.slots[index]))
    }

    /// The slot of input `i`, if nobody needs it after this step and no other input of the step is the same.
    fn free_slot(&self, i: usize) -> Option<usize> {
        let Some(&Arg::Slot { index, last: true }) = self.args.get(i) else { return None };
        let same = |a: &&Arg| matches!(a, Arg::Slot { index: other, .. } if *other == index);
        (self.args.iter().filter(same).count() == 1).then_some(index as usize)
    }
}

#[cold]
fn absent(i: usize) -> Error {
    Error::new(ErrorKind::Malformed, format!("input {i}, which the operator needs, was left out"))
}

/// What a step borrows from the thread it runs on: free buffers, and the limits of the model.
#[derive(Default)]
pub(crate) struct Scratch {
    pools: Pools,
    pub(crate) limits: Limits,
    /// The threads that a step may share its work among; none where they have parts of the call already.
    pub(crate) threads: Threads,
    /// How deep the subgraphs are nested.
    pub(crate) depth: usize,
    /// Whether this is a dry run on made-up values: none may be refused for what it is, and subgraphs keep the shapes
    /// they see.
    pub(crate) dry: bool,
    /// What loops have cost since the outermost of them began, in elements.
    work: usize,
}

/// What an iteration of a loop costs at least, in elements.
const ITERATION_COST: usize = 64;

/// Free buffers kept per element type; more are given back to the allocator.
const POOLED_BUFFERS: usize = 8;
/// The most that the free buffers of an element type may hold together, in bytes.
const POOLED_BYTES: usize = 32 << 20;

impl Scratch {
    /// No buffers yet, and these limits.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// An empty vector with room for `capacity` elements.
    pub(crate) fn buffer<T: Item>(&mut self, capacity: usize) -> Vec<T> {
        let mut buffer = self.free_buffer(capacity);
        buffer.clear();
        buffer.reserve(capacity);
        buffer
    }

    /// A vector of `len` elements that hold anything, for a step that writes them all.
    pub(crate) fn stale<T: Item + Copy + Default>(&mut self, len: usize) -> Vec<T> {
        let mut buffer = self.free_buffer(len);
        if buffer.capacity() < len {
            // Not grown in place, which would copy what it holds.
            buffer = Vec::with_capacity(len);
        }
        buffer.resize(len, T::default());
        buffer
    }

    /// A free buffer with room for `capacity` elements where there is one, else any, or a new one; it may hold elements.
    fn free_buffer<T: Item>(&mut self, capacity: usize) -> Vec<T> {
        let pool = T::pool(&mut self.pools);
        match pool.iter().rposition(|buffer| buffer.capacity() >= capacity) {
            Some(at) => pool.swap_remove(at),
            None => pool.pop().unwrap_or_default(),
        }
    }

    /// Takes back the buffer of a value that nobody needs any more.
    pub(crate) fn recycle(&mut self, value: Value<'_>) {
        super::value::typed!(value.into_data(), T, items => {
            if let std::borrow::Cow::Owned(buffer) = items {
                self.recycle_buffer::<T>(buffer);
            }
        }, _seq => ());
    }

    /// Takes back a buffer.
    pub(crate) fn recycle_buffer<T: Item>(&mut self, mut buffer: Vec<T>) {
        let pool = T::pool(&mut self.pools);
        let kept: usize = pool.iter().map(Vec::capacity).sum();
        let bytes = (kept + buffer.capacity()).saturating_mul(size_of::<T>());
        if buffer.capacity() > 0 && bytes <= POOLED_BYTES && pool.len() < POOLED_BUFFERS {
            if std::mem::needs_drop::<T>() {
                buffer.clear();
            }
            pool.push(buffer);
        }
    }

    /// Runs `f`, the subgraphs of an operator, one level deeper.
    pub(crate) fn nested<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        if self.depth == 0 {
            self.work = 0;
        }
        self.depth += 1;
        let answer = f(self);
        self.depth -= 1;
        answer
    }

    /// Counts an iteration of a loop that makes `elements` elements.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] when the loops have made more elements than one tensor may have.
    pub(crate) fn charge(&mut self, elements: usize) -> Result<()> {
        self.work = self.work.saturating_add(elements).saturating_add(ITERATION_COST);
        if self.work > self.limits.max_elements {
            return Err(Error::new(ErrorKind::LimitExceeded, "the loops of the graph run longer than `Limits` allow")
                .expected(format!("at most {} elements in all iterations", self.limits.max_elements)));
        }
        Ok(())
    }

    /// The number of elements of `shape`, if the limits allow a tensor of this size. Every operator whose output can be
    /// larger than its inputs asks before it takes memory.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`].
    pub(crate) fn check_shape(&self, shape: &[usize]) -> Result<usize> {
        match checked_len(shape) {
            Some(n) if n <= self.limits.max_elements => Ok(n),
            _ => {
                Err(Error::new(ErrorKind::LimitExceeded, "a tensor of the graph is larger than `Limits::max_elements`")
                    .expected(format!("at most {} elements", self.limits.max_elements))
                    .actual(shape_text(shape)))
            }
        }
    }
}
