//! A compiled graph and how it is run.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::clock::timed;
use super::op::{Arg, Args, Op, Outs, Scratch};
use super::value::Value;
use crate::{Error, ErrorKind, Result};

/// One step of a [`Program`].
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) op: Box<dyn Op>,
    /// The node as messages name it: `Add (node_17)`.
    pub(crate) label: String,
    pub(crate) args: Vec<Arg>,
    /// The slot of each output; `None` where nobody wants it.
    pub(crate) outputs: Vec<Option<u32>>,
}

/// A graph in the order in which it is run: inputs fill the first slots, each step fills its own.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) inputs: usize,
    pub(crate) slots: usize,
    pub(crate) constants: Vec<Value<'static>>,
    pub(crate) steps: Vec<Step>,
    pub(crate) outputs: Vec<Arg>,
}

/// Sees the values of every step of a run: the step's index, its inputs and its outputs.
pub(crate) type Watcher<'w> = &'w mut dyn FnMut(usize, &[Option<Cow<'_, [usize]>>], &[Value<'_>]);

/// The values of a run, by slot.
pub(crate) type Slots<'v> = SmallVec<[Value<'v>; 4]>;

impl Program {
    /// The number of inputs.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// The outputs for these inputs.
    pub(crate) fn run<'v>(&'v self, inputs: impl IntoIterator<Item = Value<'v>>, cx: &mut Scratch) -> Result<Outs<'v>> {
        self.run_watched(inputs, cx, None)
    }

    /// The outputs for these inputs, with every step shown to `watcher`.
    pub(crate) fn run_watched<'v>(
        &'v self,
        inputs: impl IntoIterator<Item = Value<'v>>,
        cx: &mut Scratch,
        watcher: Option<Watcher<'_>>,
    ) -> Result<Outs<'v>> {
        let mut slots: Slots<'v> = SmallVec::with_capacity(self.slots);
        slots.extend(inputs);
        self.run_slots(slots, cx, watcher)
    }

    /// The outputs for the inputs in the first slots.
    pub(crate) fn run_slots<'v>(
        &'v self,
        mut slots: Slots<'v>,
        cx: &mut Scratch,
        mut watcher: Option<Watcher<'_>>,
    ) -> Result<Outs<'v>> {
        if slots.len() != self.inputs {
            return Err(Error::new(ErrorKind::InvalidArgument, "a program was given another number of inputs")
                .expected(self.inputs)
                .actual(slots.len()));
        }
        slots.resize_with(self.slots, Value::default);
        for (i, step) in self.steps.iter().enumerate() {
            let mut args = Args { slots: &mut slots, constants: &self.constants, args: &step.args };
            let shapes: Vec<Option<Cow<'_, [usize]>>> = match watcher {
                Some(_) => (0..args.len()).map(|a| args.opt(a).map(|v| Cow::Owned(v.shape().to_vec()))).collect(),
                None => Vec::new(),
            };
            let outs = timed(&step.label, || step.op.run(&mut args, cx)).map_err(|e| label(e, step))?;
            if let Some(watcher) = &mut watcher {
                watcher(i, &shapes, &outs);
            }
            if outs.len() < step.outputs.len() && step.outputs[outs.len()..].iter().any(Option::is_some) {
                return Err(label(
                    Error::new(ErrorKind::Malformed, "the node declares more outputs than its operator has"),
                    step,
                ));
            }
            for arg in &step.args {
                if let Arg::Slot { index, last: true } = arg {
                    cx.recycle(std::mem::take(&mut slots[*index as usize]));
                }
            }
            for (slot, value) in step.outputs.iter().zip(outs) {
                match slot {
                    Some(slot) => slots[*slot as usize] = value,
                    None => cx.recycle(value),
                }
            }
        }
        let mut args = Args { slots: &mut slots, constants: &self.constants, args: &self.outputs };
        (0..self.outputs.len()).map(|i| args.take(i)).collect()
    }

    /// Marks the last use of every slot, so that its buffer can be taken or reused.
    pub(crate) fn mark_last_uses(&mut self) {
        let mut needed = vec![false; self.slots];
        let mark = |arg: &mut Arg, needed: &mut Vec<bool>| {
            if let Arg::Slot { index, last } = arg {
                *last = !std::mem::replace(&mut needed[*index as usize], true);
            }
        };
        for arg in self.outputs.iter_mut().rev() {
            mark(arg, &mut needed);
        }
        for step in self.steps.iter_mut().rev() {
            for arg in step.args.iter_mut().rev() {
                mark(arg, &mut needed);
            }
        }
    }

    /// The number of learned numbers in constants and operators.
    pub(crate) fn parameters(&self) -> u64 {
        let constants: usize = self.constants.iter().map(Value::len).sum();
        let ops: usize = self.steps.iter().map(|s| s.op.parameters()).sum();
        (constants + ops) as u64
    }
}

/// The error, with the step where it came up if it names none.
#[cold]
pub(super) fn label(error: Error, step: &Step) -> Error {
    if error.node_name().is_none() { error.node(&step.label) } else { error }
}
