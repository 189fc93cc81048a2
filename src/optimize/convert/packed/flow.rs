//! Branches and loops, which are decided and unrolled while a model is packed.

use super::learned::ints;
use super::values::{Data, Packer, Value, unsupported};
use crate::edge::Kind;
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
                let holds = self.known(node, 0)?.and_then(|c| c.first().copied()).unwrap_or(0.0) != 0.0;
                let branch = graph(node, if holds { "then_branch" } else { "else_branch" })?;
                let values = self.inside(node, branch, Vec::new())?;
                values.into_iter().enumerate().for_each(|(i, value)| self.give(node, i, value));
                Ok(())
            }
            "Loop" => self.repeated_body(node),
            _ => self.scanned(node),
        }
    }

    /// The outputs of a graph within a graph.
    fn inside(&mut self, node: &NodeProto, graph: &GraphProto, inputs: Vec<Value>) -> Result<Vec<Value>> {
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
            self.values.get(name).cloned().ok_or_else(|| {
                Error::new(ErrorKind::Malformed, "nothing in a body gives one of its outputs").tensor(name)
            })
        };
        graph.output.iter().map(value).collect()
    }

    fn repeated_body(&mut self, node: &NodeProto) -> Result<()> {
        let body = graph(node, "body")?;
        let most = self.known(node, 0)?.and_then(|m| m.first().copied());
        let mut goes_on = self.known(node, 1)?.and_then(|c| c.first().copied()).unwrap_or(1.0) != 0.0;
        let mut states = (2..node.input.len()).map(|i| self.input(node, i)).collect::<Result<Vec<_>>>()?;
        let mut gathered: Vec<Vec<Value>> = Vec::new();
        let mut round = 0;
        while goes_on && most.is_none_or(|most| (round as f32) < most) {
            if round == MOST_ROUNDS {
                return Err(unsupported(node, "a loop of so many rounds"));
            }
            let count = Value::known(&[], Kind::I64, vec![round as f32]);
            let inputs = [count, Value::known(&[], Kind::Bool, vec![1.0])].into_iter().chain(states.iter().cloned());
            let mut outputs = self.inside(node, body, inputs.collect())?.into_iter();
            goes_on = match outputs.next().map(|value| value.data) {
                Some(Data::Known(items)) => items.first().is_some_and(|c| *c != 0.0),
                _ => return Err(unsupported(node, "a loop whose end is computed")),
            };
            states = outputs.by_ref().take(states.len()).collect();
            gathered.push(outputs.collect());
            round += 1;
        }
        let count = states.len();
        states.into_iter().enumerate().for_each(|(i, value)| self.give(node, i, value));
        self.stacked(node, count, gathered)
    }

    /// Gives the outputs from number `from` on, each made of what all rounds gave for it.
    fn stacked(&mut self, node: &NodeProto, from: usize, rounds: Vec<Vec<Value>>) -> Result<()> {
        for i in from..node.output.len() {
            let parts: Option<Vec<Value>> = rounds.iter().map(|round| round.get(i - from).cloned()).collect();
            let parts = parts.filter(|parts| !parts.is_empty());
            let parts = parts.ok_or_else(|| unsupported(node, "what a loop of no rounds gathers"))?;
            let part =
                |value: Value| Value { shape: [1].into_iter().chain(value.shape.iter().copied()).collect(), ..value };
            let parts: Vec<Value> = parts.into_iter().map(part).collect();
            let whole = self.concat(node, &parts, 0)?;
            self.give(node, i, whole);
        }
        Ok(())
    }

    fn scanned(&mut self, node: &NodeProto) -> Result<()> {
        let body = graph(node, "body")?;
        let scanned = usize::try_from(int(node, "num_scan_inputs", 0)).unwrap_or(0);
        let names = ["scan_input_axes", "scan_input_directions", "scan_output_axes", "scan_output_directions"];
        let plain = names.iter().all(|name| ints(node, name).iter().all(|n| *n == 0));
        let count = node.input.len().checked_sub(scanned).filter(|_| scanned > 0 && plain && self.opset > 8);
        let count = count.ok_or_else(|| unsupported(node, "a scan of this form"))?;
        let mut states = (0..count).map(|i| self.input(node, i)).collect::<Result<Vec<_>>>()?;
        let lists = (count..node.input.len()).map(|i| self.input(node, i)).collect::<Result<Vec<_>>>()?;
        let rounds = lists.first().and_then(|list| list.shape.first().copied()).unwrap_or(0);
        if lists.iter().any(|list| list.shape.first() != Some(&rounds)) || rounds > MOST_ROUNDS {
            return Err(unsupported(node, "a scan of so many rounds, or of lists of several lengths"));
        }
        if let ([state], [Value { shape, data: Data::Known(points), .. }]) = (states.as_slice(), lists.as_slice())
            && let ([1, k], [n, own]) = (state.shape.as_slice(), shape.as_slice())
            && measures(body)
            && k == own
        {
            let (state, k, n) = (state.clone(), *k, *n);
            let span = self.span(&state);
            let span = self.program.distances(span, n, &points[..n * k]);
            self.give(node, 0, state);
            self.give(node, 1, Value::slot(&[n, 1], Kind::F32, span));
            return Ok(());
        }
        let mut gathered = Vec::new();
        for round in 0..rounds {
            let mut inputs = states;
            for list in &lists {
                let each = list.len() / rounds;
                let places: Vec<usize> = (round * each..(round + 1) * each).collect();
                inputs.push(self.arranged(list, &list.shape[1..], &places));
            }
            let mut outputs = self.inside(node, body, inputs)?.into_iter();
            states = outputs.by_ref().take(count).collect();
            gathered.push(outputs.collect());
        }
        states.into_iter().enumerate().for_each(|(i, value)| self.give(node, i, value));
        self.stacked(node, count, gathered)
    }
}
