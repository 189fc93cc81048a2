//! Loop.

use super::body::Body;
use super::branch::truth;
use super::stack::Stack;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::scalar_i64;
use crate::backend::native::value::Value;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Loop", build)];

/// A subgraph run as often as input 0 says and as long as its own condition holds. Its states go from one iteration to
/// the next; its other outputs are stacked.
#[derive(Debug)]
struct Loop {
    body: Body,
    states: usize,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let body = Body::of(node, "body")?;
    let states = body.inputs().checked_sub(2).filter(|&states| body.outputs() > states);
    let states = states.ok_or_else(|| {
        node.malformed("the body of Loop must take a counter, a condition and states, and give a condition and states")
    })?;
    if node.proto.input.len().saturating_sub(2) != states {
        return Err(node.malformed("Loop has another number of states than its body"));
    }
    if node.outputs() > body.outputs() - 1 {
        return Err(node.malformed("Loop has more outputs than its body gives"));
    }
    Ok(Box::new(Loop { body, states }))
}

impl Loop {
    /// Whether the state is the same in every iteration.
    fn is_fixed(&self, state: usize) -> bool {
        self.body.passes(1 + state) == Some(2 + state)
    }

    /// All states after the last iteration and the stacked outputs.
    fn iterate<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let trips = match args.opt(0) {
            Some(trips) => usize::try_from(scalar_i64(trips)?).unwrap_or(0),
            None => usize::MAX,
        };
        let mut going = args.opt(1).map(truth).transpose()?.unwrap_or(true);
        // States that no iteration changes are lent to the body, the others handed over.
        let mut fixed: Vec<Option<Value<'v>>> = Vec::with_capacity(self.states);
        let mut taken = Vec::with_capacity(self.states);
        for state in 0..self.states {
            let value = args.take(2 + state)?;
            let (lent, given) = if self.is_fixed(state) { (Some(value), None) } else { (None, Some(value)) };
            fixed.push(lent);
            taken.push(given);
        }
        let hint = if trips <= 1 << 16 { trips } else { 0 };
        let mut stacks: Vec<Stack> = (1 + self.states..self.body.outputs()).map(|_| Stack::new(hint)).collect();
        let moved = {
            let views = self.body.views(args)?;
            let mut states: Vec<Option<Value<'_>>> = taken;
            let mut i = 0;
            while going && i < trips {
                let mut inputs = Vec::with_capacity(2 + states.len() + views.len());
                inputs.extend([Value::scalar(i as i64), Value::scalar(going)]);
                for (state, fixed) in states.iter_mut().zip(&fixed) {
                    inputs.push(match (state.take(), fixed) {
                        (Some(state), _) => state,
                        (None, Some(fixed)) => fixed.as_view(),
                        (None, None) => return Err(lost_state()),
                    });
                }
                inputs.extend(views.iter().cloned());
                let mut outs = self.body.iterate(i, inputs, cx)?.into_iter();
                going = truth(&outs.next().ok_or_else(lost_state)?)?;
                for (state, fixed) in states.iter_mut().zip(&fixed) {
                    let next = outs.next();
                    if fixed.is_none() {
                        *state = next;
                    }
                }
                for (stack, piece) in stacks.iter_mut().zip(outs) {
                    stack.push(piece, cx)?;
                }
                i += 1;
            }
            states.into_iter().map(|s| s.map(Value::into_static)).collect::<Vec<_>>()
        };
        let mut outs = Outs::with_capacity(self.body.outputs() - 1);
        for (moved, fixed) in moved.into_iter().zip(fixed) {
            outs.push(match moved {
                Some(state) => state,
                None => fixed.ok_or_else(lost_state)?,
            });
        }
        for (i, stack) in stacks.into_iter().enumerate() {
            outs.push(stack.finish(false, &self.body.declared(1 + self.states + i))?);
        }
        Ok(outs)
    }
}

#[cold]
pub(super) fn lost_state() -> Error {
    Error::new(ErrorKind::Malformed, "the body of a loop does not give all its states")
}

impl Op for Loop {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        cx.nested(|cx| self.iterate(args, cx))
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        if !inputs.iter().any(Flow::any) {
            return outputs.iter().any(Flow::any);
        }
        // Iterations differ in nothing but values only where the states keep their shapes.
        let states = inputs.get(2..2 + self.states).unwrap_or_default();
        let kept = states.len() == self.states && states.iter().zip(outputs).all(|(i, o)| i.shapes == o.shapes);
        if !kept {
            return true;
        }
        // Outputs are stacked along a new axis 0, which must not depend on the batch.
        if outputs[self.states.min(outputs.len())..].iter().any(|o| o.varies(0)) {
            return true;
        }
        let mut flows = vec![Flow::default(), Flow::default()];
        flows.extend_from_slice(states);
        flows.extend(self.body.captured_flows(inputs));
        self.body.mixes(&flows)
    }

    fn parameters(&self) -> usize {
        self.body.parameters()
    }
}
