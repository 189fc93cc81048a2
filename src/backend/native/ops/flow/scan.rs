//! Scan.

use super::body::Body;
use super::looped::lost_state;
use super::nearest;
use super::stack::Stack;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::{axis_of, move_axis, no_sequence};
use crate::backend::native::value::{Shape, Value, typed};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Scan", build)];

/// A subgraph run once for each place along an axis of its scanned inputs. Its states go from one iteration to the
/// next; its other outputs are stacked.
#[derive(Debug)]
pub(super) struct Scan {
    body: Body,
    states: usize,
    /// The scanned inputs.
    inputs: Vec<Along>,
    /// The stacked outputs.
    outputs: Vec<Along>,
    /// Whether every input has the batch at axis 0 and is scanned along axis 1, as in version 8.
    batched: bool,
}

/// The axis along which a value is scanned or stacked.
#[derive(Debug, Clone, Copy)]
struct Along {
    axis: i64,
    reverse: bool,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let body = Body::of(node, "body")?;
    let batched = node.opset() < 9;
    let scanned = node.int("num_scan_inputs")?.and_then(|n| usize::try_from(n).ok());
    let scanned = scanned.ok_or_else(|| node.malformed("Scan has no `num_scan_inputs`"))?;
    let states = body.inputs().checked_sub(scanned).filter(|&states| states <= body.outputs() && scanned > 0);
    let states = states.ok_or_else(|| node.malformed("the body of Scan does not fit its `num_scan_inputs`"))?;
    if node.proto.input.len() != body.inputs() + usize::from(batched) || node.outputs() > body.outputs() {
        return Err(node.malformed("Scan has other numbers of inputs or outputs than its body"));
    }
    let stacked = body.outputs() - states;
    let list = |name: &str, n: usize| -> Result<Vec<i64>> {
        let given = node.ints(name)?.unwrap_or_default();
        match given.len() {
            0 => Ok(vec![0; n]),
            len if len == n => Ok(given.to_vec()),
            _ => Err(node.malformed(format!("`{name}` of Scan needs one number for each input or output"))),
        }
    };
    let along = |axes: &str, directions: &str, n: usize| -> Result<Vec<Along>> {
        let (axes, directions) = (list(axes, n)?, list(directions, n)?);
        if directions.iter().any(|d| ![0, 1].contains(d)) {
            return Err(node.malformed("a direction of Scan must be 0 or 1"));
        }
        Ok(axes.iter().zip(directions).map(|(&axis, d)| Along { axis, reverse: d == 1 }).collect())
    };
    let (inputs, outputs) = if batched {
        (along("", "directions", scanned)?, vec![Along { axis: 0, reverse: false }; stacked])
    } else {
        (
            along("scan_input_axes", "scan_input_directions", scanned)?,
            along("scan_output_axes", "scan_output_directions", stacked)?,
        )
    };
    let metric = nearest::metric(node).filter(|_| {
        let plain = |a: &Along| a.axis == 0 && !a.reverse;
        !batched && states == 1 && inputs.iter().all(plain) && outputs.iter().all(plain)
    });
    let scan = Scan { body, states, inputs, outputs, batched };
    Ok(match metric.zip(node.constant(1)) {
        Some((metric, points)) => nearest::build(scan, points, metric),
        None => Box::new(scan),
    })
}

/// Element `i` along axis 0.
fn element<'s>(value: &'s Value<'_>, i: usize) -> Result<Value<'s>> {
    let shape = &value.shape()[1..];
    let n: usize = crate::tensor::checked_len(shape).unwrap_or(0);
    typed!(value.data(), T, items => Ok(Value::borrowed::<T>(shape, &items[i * n..(i + 1) * n])), _seq => Err(no_sequence()))
}

/// States that move from one iteration to the next, and the stacked outputs.
type Done<'x> = (Vec<Option<Value<'x>>>, Vec<Stack>);

impl Scan {
    /// Whether the state is the same in every iteration.
    fn is_fixed(&self, state: usize) -> bool {
        self.body.passes(state) == Some(state)
    }

    /// Runs `n` iterations over `scanned`, whose axis 0 is walked. A state is in `fixed` when no iteration changes it,
    /// else in `states`.
    fn iterate<'x>(
        &'x self,
        fixed: &'x [Option<Value<'_>>],
        mut states: Vec<Option<Value<'x>>>,
        scanned: &'x [Value<'_>],
        n: usize,
        views: &[Value<'x>],
        cx: &mut Scratch,
    ) -> Result<Done<'x>> {
        let mut stacks: Vec<Stack> = self.outputs.iter().map(|_| Stack::new(n)).collect();
        for i in 0..n {
            let mut inputs = Vec::with_capacity(self.body.inputs() + views.len());
            for (state, fixed) in states.iter_mut().zip(fixed) {
                inputs.push(match (state.take(), fixed) {
                    (Some(state), _) => state,
                    (None, Some(fixed)) => fixed.as_view(),
                    (None, None) => return Err(lost_state()),
                });
            }
            for (value, along) in scanned.iter().zip(&self.inputs) {
                inputs.push(element(value, if along.reverse { n - 1 - i } else { i })?);
            }
            inputs.extend(views.iter().cloned());
            let mut outs = self.body.iterate(i, inputs, cx)?.into_iter();
            for (state, fixed) in states.iter_mut().zip(fixed) {
                let next = outs.next();
                if fixed.is_none() {
                    *state = next;
                }
            }
            for (stack, piece) in stacks.iter_mut().zip(outs) {
                stack.push(piece, cx)?;
            }
        }
        Ok((states, stacks))
    }

    fn scan<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let mut fixed: Vec<Option<Value<'v>>> = Vec::with_capacity(self.states);
        let mut taken = Vec::with_capacity(self.states);
        for state in 0..self.states {
            let value = args.take(state)?;
            let (lent, given) = if self.is_fixed(state) { (Some(value), None) } else { (None, Some(value)) };
            fixed.push(lent);
            taken.push(given);
        }
        let (moved, stacks) = {
            let mut scanned = Vec::with_capacity(self.inputs.len());
            let mut n = None;
            for (i, along) in self.inputs.iter().enumerate() {
                let value = args.get(self.states + i)?;
                let axis = axis_of(along.axis, value.rank())?;
                let length = value.shape()[axis];
                if *n.get_or_insert(length) != length {
                    return Err(Error::new(ErrorKind::WrongShape, "the scanned inputs of Scan differ in length")
                        .expected(format!("{} along axis {axis}", n.unwrap_or(0)))
                        .actual(shape_text(value.shape())));
                }
                scanned.push(if axis == 0 { value.as_view() } else { move_axis(value, axis, 0, cx)? });
            }
            let views = self.body.views(args)?;
            let (states, stacks) = self.iterate(&fixed, taken, &scanned, n.unwrap_or(0), &views, cx)?;
            (states.into_iter().map(|s| s.map(Value::into_static)).collect::<Vec<_>>(), stacks)
        };
        let mut outs = Outs::with_capacity(self.body.outputs());
        for (moved, fixed) in moved.into_iter().zip(fixed) {
            outs.push(match moved {
                Some(state) => state,
                None => fixed.ok_or_else(lost_state)?,
            });
        }
        for (i, (stack, along)) in stacks.into_iter().zip(&self.outputs).enumerate() {
            let stacked = stack.finish(along.reverse, &self.body.declared(self.states + i))?;
            let axis = axis_of(along.axis, stacked.rank())?;
            outs.push(if axis == 0 { stacked } else { move_axis(&stacked, 0, axis, cx)? });
        }
        Ok(outs)
    }

    /// Version 8: every sequence of the batch by itself, as long as input 0 says, the rest of its outputs zero.
    fn scan_batch<'v>(&self, args: &Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let bad =
            || Error::new(ErrorKind::WrongShape, "inputs of Scan must be (batch, length, ...), states (batch, ...)");
        let of = |i: usize| args.get(1 + i);
        let first = of(self.states)?.shape();
        let &[batch, length, ..] = first else { return Err(bad()) };
        for i in 0..self.body.inputs() {
            let shape = of(i)?.shape();
            let wanted = if i < self.states { &[batch][..] } else { &[batch, length][..] };
            if !shape.starts_with(wanted) {
                return Err(bad().expected(shape_text(wanted)).actual(shape_text(shape)));
            }
        }
        let lengths = match args.opt(0) {
            None => vec![length; batch],
            Some(lengths) => {
                let lengths = lengths.to_i64s()?;
                let usable = lengths.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n <= length));
                usable.collect::<Option<Vec<_>>>().filter(|n| n.len() == batch).ok_or_else(bad)?
            }
        };
        let views = self.body.views(args)?;
        let fixed: Vec<Option<Value<'_>>> = vec![None; self.states];
        let mut all: Vec<Stack> = (0..self.body.outputs()).map(|_| Stack::new(batch)).collect();
        for (b, &n) in lengths.iter().enumerate() {
            let states = (0..self.states).map(|i| Ok(Some(element(of(i)?, b)?))).collect::<Result<Vec<_>>>()?;
            let mut scanned = Vec::with_capacity(self.inputs.len());
            for i in 0..self.inputs.len() {
                // Only the sequence itself is walked, so that a reverse walk begins at its end.
                scanned.push(padded(element(of(self.states + i)?, b)?, n)?);
            }
            let (states, stacks) = self.iterate(&fixed, states, &scanned, n, &views, cx)?;
            let (done, stacked) = all.split_at_mut(self.states);
            for (all, state) in done.iter_mut().zip(states) {
                all.push(state.ok_or_else(lost_state)?, cx)?;
            }
            for (i, (all, stack)) in stacked.iter_mut().zip(stacks).enumerate() {
                let stacked = stack.finish(false, &self.body.declared(self.states + i))?;
                all.push(padded(stacked, length)?, cx)?;
            }
        }
        all.into_iter().enumerate().map(|(i, stack)| stack.finish(false, &self.body.declared(i))).collect()
    }
}

/// `value` with zeros added, or elements left out, along axis 0 up to `length`.
fn padded(value: Value<'_>, length: usize) -> Result<Value<'_>> {
    let mut shape = Shape::from_slice(value.shape());
    let each = value.len().checked_div(shape[0]).unwrap_or(0);
    if shape[0] == length {
        return Ok(value);
    }
    shape[0] = length;
    typed!(value.data(), T, _items => {
        let mut items = value.into_vec::<T>()?;
        items.resize(crate::tensor::checked_len(&shape).unwrap_or(each), T::default());
        Ok(Value::new(shape, items))
    }, _seq => Err(no_sequence()))
}

impl Op for Scan {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        cx.nested(|cx| if self.batched { self.scan_batch(args, cx) } else { self.scan(args, cx) })
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        let captured = self.body.captured_flows(inputs);
        if self.batched {
            return captured.iter().any(Flow::any) || inputs.iter().any(|i| !i.only_first());
        }
        let Some((states, rest)) = inputs.split_at_checked(self.states) else { return true };
        let scanned = rest.iter().zip(&self.inputs);
        if scanned.clone().any(|(flow, along)| flow.varies_signed(along.axis)) {
            // The rows are the iterations: they stay apart where nothing is carried and each sees only its own row.
            let row_only = scanned.clone().all(|(flow, along)| {
                let axis = axis_of(along.axis, flow.rank()).unwrap_or(usize::MAX);
                !along.reverse && (0..flow.rank()).all(|a| flow.varies(a) == (a == axis))
            });
            let carried = (0..self.states).any(|s| !self.is_fixed(s)) || states.iter().any(Flow::any);
            let backwards = self.outputs.iter().any(|along| along.reverse);
            return !row_only || carried || backwards || captured.iter().any(Flow::any);
        }
        if !states.iter().zip(outputs).all(|(i, o)| i.shapes == o.shapes) {
            return true;
        }
        let mut flows = states.to_vec();
        for (flow, along) in scanned {
            let Ok(axis) = axis_of(along.axis, flow.rank()) else { return true };
            let mut flow = flow.clone();
            for shape in flow.shapes.iter_mut().filter(|s| axis < s.len()) {
                shape.remove(axis);
            }
            flows.push(flow);
        }
        flows.extend(captured);
        flows.iter().any(Flow::any) && self.body.mixes(&flows)
    }

    fn parameters(&self) -> usize {
        self.body.parameters()
    }
}
