//! Branches and loops, which are decided and unrolled while a model is packed.

use super::learned::ints;
use super::values::{Data, Packer, Value, axis_of, unsupported};
use crate::edge::{Binary, Kind};
use crate::onnx::node::int;
use crate::onnx::{GraphProto, NodeProto};
use crate::{Error, ErrorKind, Result};

/// How often the body of a loop is packed at most.
const MOST_ROUNDS: usize = 1 << 16;

fn graph<'n>(node: &'n NodeProto, name: &str) -> Result<&'n GraphProto> {
    node.find_attribute(name)
        .and_then(|a| a.g.as_deref())
        .ok_or_else(|| Error::new(ErrorKind::Malformed, "a branch or a body is missing").node(node.label()))
}

/// Whether a body gives the squared distance between its state and a row, as converters write it for neighbours.
fn measures(body: &GraphProto) -> bool {
    let operators = body.node.iter().map(|node| node.operator());
    let [state, row] = body.input.as_slice() else { return false };
    let name = |info: &crate::onnx::ValueInfoProto| info.name.as_deref().unwrap_or_default().to_owned();
    let (state, row) = (name(state), name(row));
    let difference = body.node.iter().find(|node| node.operator() == "Sub");
    let square = body.node.iter().find(|node| node.operator() == "ReduceSumSquare");
    operators.clone().filter(|operator| *operator != "Identity").eq(["Sub", "ReduceSumSquare"])
        && body.output.len() == 2
        && difference.is_some_and(|node| {
            node.input.iter().map(|i| i.as_str()).eq([state.as_str(), row.as_str()])
                || node.input.iter().map(|i| i.as_str()).eq([row.as_str(), state.as_str()])
        })
        && square.zip(difference).is_some_and(|(square, difference)| {
            square.input.first() == difference.output.first()
                && int(square, "keepdims", 1) == 0
                && ints(square, "axes") == [1]
        })
}

impl Packer {
    /// Packs `If`, `Loop` and `Scan`.
    pub(super) fn flow(&mut self, node: &NodeProto) -> Result<()> {
        match node.operator() {
            "If" => {
                let condition = self.input(node, 0)?;
                let mut branch = |name: &str| self.inside(node, graph(node, name)?, Vec::new());
                let values = match &condition.data {
                    Data::Known(items) if items.first().is_some_and(|c| *c != 0.0) => branch("then_branch")?,
                    Data::Known(_) => branch("else_branch")?,
                    // Both are computed, and one is taken.
                    Data::Slot(_) => {
                        let (yes, no) = (branch("then_branch")?, branch("else_branch")?);
                        self.all_chosen(node, &condition, yes, no)?
                    }
                };
                values.into_iter().enumerate().for_each(|(i, value)| self.give(node, i, value));
                Ok(())
            }
            "Loop" => self.repeated_body(node),
            _ => self.scanned(node),
        }
    }

    /// The values `yes` where a computed condition of one number holds, else `no`.
    fn all_chosen(
        &mut self,
        node: &NodeProto,
        condition: &Value,
        yes: Vec<Value>,
        no: Vec<Value>,
    ) -> Result<Vec<Value>> {
        let alike = yes.len() == no.len() && yes.iter().zip(&no).all(|(a, b)| a.shape == b.shape);
        if !alike || condition.len() != 1 {
            return Err(unsupported(node, "a computed choice between values of several shapes"));
        }
        let condition = Value { shape: Vec::new(), ..condition.clone() };
        yes.into_iter().zip(no).map(|(yes, no)| self.chosen(node, condition.clone(), yes, no)).collect()
    }

    /// The outputs of a graph within a graph.
    pub(super) fn inside(&mut self, node: &NodeProto, graph: &GraphProto, inputs: Vec<Value>) -> Result<Vec<Value>> {
        if graph.input.len() != inputs.len() {
            return Err(Error::new(ErrorKind::Malformed, "a body with another number of inputs").node(node.label()));
        }
        for tensor in &graph.initializer {
            self.constant_tensor(tensor)?;
        }
        for (info, value) in graph.input.iter().zip(inputs) {
            self.values.insert(info.name.as_deref().unwrap_or_default().to_owned(), value);
        }
        for inner in &graph.node {
            self.node(inner)?;
        }
        let value = |info: &crate::onnx::ValueInfoProto| {
            let name = info.name.as_deref().unwrap_or_default();
            self.values.get(name).cloned().ok_or_else(|| match self.sequences.contains_key(name) {
                true => unsupported(node, "a branch or a body that gives a sequence"),
                false => Error::new(ErrorKind::Malformed, "nothing in a body gives one of its outputs").tensor(name),
            })
        };
        graph.output.iter().map(value).collect()
    }

    fn repeated_body(&mut self, node: &NodeProto) -> Result<()> {
        let body = graph(node, "body")?;
        let most = self.known(node, 0)?.and_then(|m| m.first().copied());
        let mut goes_on = self.opt(node, 1)?.unwrap_or_else(|| Value::known(&[], Kind::Bool, vec![1.0]));
        let mut states = (2..node.input.len()).map(|i| self.input(node, i)).collect::<Result<Vec<_>>>()?;
        let mut gathered: Vec<Vec<Value>> = Vec::new();
        let mut round = 0;
        let ends = |goes_on: &Value| matches!(&goes_on.data, Data::Known(items) if items.first() == Some(&0.0));
        while !ends(&goes_on) && most.is_none_or(|most| (round as f32) < most) {
            let computed = matches!(goes_on.data, Data::Slot(_));
            if round == MOST_ROUNDS {
                return Err(unsupported(node, "a loop of so many rounds"));
            }
            if computed && (most.is_none() || node.output.len() > states.len()) {
                return Err(unsupported(
                    node,
                    "a loop with a computed end and no greatest number of rounds, or that gathers,",
                ));
            }
            let count = Value::known(&[], Kind::I64, vec![round as f32]);
            let inputs = [count, Value::known(&[], Kind::Bool, vec![1.0])].into_iter().chain(states.iter().cloned());
            let mut outputs = self.inside(node, body, inputs.collect())?.into_iter();
            let next = outputs.next().ok_or_else(|| unsupported(node, "a body without outputs"))?;
            let mut after: Vec<Value> = outputs.by_ref().take(states.len()).collect();
            if computed {
                // Behind its end a loop changes nothing.
                after = self.all_chosen(node, &goes_on, after, states)?;
                goes_on = self.zip(node, Binary::And, &goes_on, &next, Kind::Bool)?;
            } else {
                goes_on = next;
            }
            states = after;
            gathered.push(outputs.collect());
            round += 1;
        }
        let count = states.len();
        states.into_iter().enumerate().for_each(|(i, value)| self.give(node, i, value));
        for i in count..node.output.len() {
            let parts = self.stack_of(node, &gathered, i - count)?;
            let whole = self.concat(node, &parts, 0)?;
            self.give(node, i, whole);
        }
        Ok(())
    }

    /// What all rounds gave for the value of number `i`, each with a first axis of 1.
    fn stack_of(&self, node: &NodeProto, rounds: &[Vec<Value>], i: usize) -> Result<Vec<Value>> {
        let parts: Option<Vec<Value>> = rounds.iter().map(|round| round.get(i).cloned()).collect();
        let parts = parts.filter(|parts| !parts.is_empty());
        let parts = parts.ok_or_else(|| unsupported(node, "what a loop of no rounds gathers"))?;
        let part =
            |value: Value| Value { shape: [1].into_iter().chain(value.shape.iter().copied()).collect(), ..value };
        Ok(parts.into_iter().map(part).collect())
    }

    fn scanned(&mut self, node: &NodeProto) -> Result<()> {
        let body = graph(node, "body")?;
        let scanned = usize::try_from(int(node, "num_scan_inputs", 0)).unwrap_or(0);
        // Before opset 9 lengths come first, and everything has the batch as its first axis.
        let batched = self.opset < 9;
        let first = usize::from(batched);
        let count = node.input.len().checked_sub(first + scanned).filter(|_| scanned > 0);
        let count = count.ok_or_else(|| unsupported(node, "a scan of this form"))?;
        let states = (0..count).map(|i| self.input(node, first + i)).collect::<Result<Vec<_>>>()?;
        let mut lists = (0..scanned).map(|i| self.input(node, first + count + i)).collect::<Result<Vec<_>>>()?;
        let backward = |name: &str, i: usize| ints(node, name).get(i).is_some_and(|n| *n != 0);
        let directions = if batched { "directions" } else { "scan_input_directions" };
        let backwards: Vec<bool> = (0..scanned).map(|i| backward(directions, i)).collect();
        if batched {
            return self.scanned_batch(node, body, &states, &lists, &backwards);
        }
        for (i, list) in lists.iter_mut().enumerate() {
            let axis = axis_of(node, ints(node, "scan_input_axes").get(i).copied().unwrap_or(0), list.shape.len())?;
            let order: Vec<usize> = [axis].into_iter().chain((0..list.shape.len()).filter(|a| *a != axis)).collect();
            *list = self.permuted(list, &order);
        }
        let rounds = lists.first().and_then(|list| list.shape.first().copied()).unwrap_or(0);
        if lists.iter().any(|list| list.shape.first() != Some(&rounds)) {
            return Err(unsupported(node, "a scan of lists of several lengths"));
        }
        let backward_out = |i: usize| backward("scan_output_directions", i);
        if let ([state], [Value { shape, data: Data::Known(points), .. }]) = (states.as_slice(), lists.as_slice())
            && let ([1, k], [n, own]) = (state.shape.as_slice(), shape.as_slice())
            && measures(body)
            && k == own
            && !backwards[0]
            && !backward_out(0)
            && ints(node, "scan_output_axes").iter().all(|axis| *axis == 0)
        {
            let (state, k, n) = (state.clone(), *k, *n);
            let span = self.span(&state);
            let span = self.program.distances(span, n, &points[..n * k]);
            self.give(node, 0, state);
            self.give(node, 1, Value::slot(&[n, 1], Kind::F32, span));
            return Ok(());
        }
        let (states, gathered) = self.walked_through(node, body, states, &lists, &backwards, rounds)?;
        states.into_iter().enumerate().for_each(|(i, value)| self.give(node, i, value));
        for i in 0..node.output.len().saturating_sub(count) {
            let mut parts = self.stack_of(node, &gathered, i)?;
            if backward_out(i) {
                parts.reverse();
            }
            let whole = self.concat(node, &parts, 0)?;
            let axis = axis_of(node, ints(node, "scan_output_axes").get(i).copied().unwrap_or(0), whole.shape.len())?;
            let order: Vec<usize> = (1..=axis).chain([0]).chain(axis + 1..whole.shape.len()).collect();
            let whole = self.permuted(&whole, &order);
            self.give(node, count + i, whole);
        }
        Ok(())
    }

    /// The states behind `rounds` rounds over the first axis of `lists`, and what each round gives besides.
    fn walked_through(
        &mut self,
        node: &NodeProto,
        body: &GraphProto,
        mut states: Vec<Value>,
        lists: &[Value],
        backwards: &[bool],
        rounds: usize,
    ) -> Result<(Vec<Value>, Vec<Vec<Value>>)> {
        let fits = |list: &Value| list.shape.first().is_some_and(|n| *n >= rounds);
        if !lists.iter().all(fits) || rounds > MOST_ROUNDS {
            return Err(unsupported(node, "a scan of so many rounds"));
        }
        let count = states.len();
        let mut gathered = Vec::new();
        for round in 0..rounds {
            let mut inputs = states;
            for (list, backward) in lists.iter().zip(backwards) {
                let round = if *backward { rounds - 1 - round } else { round };
                let each = list.len() / list.shape[0];
                let places: Vec<usize> = (round * each..(round + 1) * each).collect();
                inputs.push(self.arranged(list, &list.shape[1..], &places));
            }
            let mut outputs = self.inside(node, body, inputs)?.into_iter();
            states = outputs.by_ref().take(count).collect();
            gathered.push(outputs.collect());
        }
        Ok((states, gathered))
    }

    /// Each sequence (length, ...) of lists (batch, length, ...) by itself, as long as input 0 says; zeros stand behind its end.
    fn scanned_batch(
        &mut self,
        node: &NodeProto,
        body: &GraphProto,
        states: &[Value],
        lists: &[Value],
        backwards: &[bool],
    ) -> Result<()> {
        let [batch, length, ..] = *lists[0].shape.as_slice() else {
            return Err(unsupported(node, "a scan of lists without a batch"));
        };
        let lengths = self.ints(node, 0)?.unwrap_or_else(|| vec![length as i64; batch]);
        let usable = |n: &i64| (1..=length as i64).contains(n);
        let same = |value: &Value| value.shape.first() == Some(&batch);
        if batch == 0 || lengths.len() != batch || !lengths.iter().all(usable) || !states.iter().chain(lists).all(same)
        {
            return Err(unsupported(node, "a scan over sequences of no steps, or more than there are,"));
        }
        let mut all: Vec<Vec<Value>> = vec![Vec::new(); node.output.len()];
        for (b, n) in lengths.into_iter().enumerate() {
            let mut of = |value: &Value| {
                let each = value.len() / batch;
                self.arranged(value, &value.shape[1..], &(b * each..(b + 1) * each).collect::<Vec<_>>())
            };
            let (own, lists) = (states.iter().map(&mut of).collect(), lists.iter().map(&mut of).collect::<Vec<_>>());
            let (ends, gathered) = self.walked_through(node, body, own, &lists, backwards, n as usize)?;
            for (i, all) in all.iter_mut().enumerate() {
                let mut value = match ends.get(i) {
                    Some(end) => end.clone(),
                    None => {
                        let parts = self.stack_of(node, &gathered, i - ends.len())?;
                        let whole = self.concat(node, &parts, 0)?;
                        let shape: Vec<usize> = [length].into_iter().chain(whole.shape[1..].iter().copied()).collect();
                        let places = (0..shape.iter().product()).map(|at| Some(at).filter(|at| *at < whole.len()));
                        self.windows(&whole, &shape, &places.collect::<Vec<_>>(), 0.0)
                    }
                };
                value.shape.insert(0, 1);
                all.push(value);
            }
        }
        for (i, parts) in all.iter().enumerate() {
            let whole = self.concat(node, parts, 0)?;
            self.give(node, i, whole);
        }
        Ok(())
    }
}
