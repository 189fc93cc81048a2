//! Recurrent layers.

use super::learned::{text, texts};
use super::network::misfit;
use super::program::Span;
use super::unrolled::Direction;
use super::values::{Data, Packer, Value, unsupported};
use crate::Result;
use crate::edge::{Cell, Kind};
use crate::onnx::NodeProto;
use crate::onnx::node::int;

/// The cell of a node, where one step of a program is as it says.
fn cell_of(node: &NodeProto, directions: usize) -> Option<Cell> {
    let names: Vec<String> = texts(node, "activations").iter().map(|name| name.to_lowercase()).collect();
    let all = |expected: &[&str]| names.is_empty() || names.iter().eq(expected.repeat(directions).iter());
    let cell = match node.operator() {
        "LSTM" if all(&["sigmoid", "tanh", "tanh"]) && int(node, "input_forget", 0) == 0 => Some(Cell::Lstm),
        "GRU" if all(&["sigmoid", "tanh"]) && int(node, "linear_before_reset", 0) != 0 => Some(Cell::GruBehind),
        "GRU" if all(&["sigmoid", "tanh"]) => Some(Cell::GruBefore),
        "RNN" if all(&["tanh"]) => Some(Cell::Tanh),
        "RNN" if all(&["relu"]) => Some(Cell::Relu),
        _ => None,
    };
    cell.filter(|_| node.find_attribute("clip").is_none())
}

/// What a recurrent layer has of weights, and over what it goes.
struct Layer {
    /// The rows of all gates.
    rows: usize,
    hidden: usize,
    directions: usize,
    backward: bool,
    batch: usize,
    steps: usize,
    /// Whether the batch is the first axis of everything.
    batch_first: bool,
    /// Of all directions: (gates x hidden, width), (gates x hidden, hidden), (2 x gates x hidden), (3 x hidden).
    own: Value,
    recurrent: Value,
    bias: Value,
    peepholes: Option<Value>,
}

impl Packer {
    /// Packs a recurrent layer.
    pub(super) fn recurrence(&mut self, node: &NodeProto) -> Result<()> {
        let x = self.input(node, 0)?;
        let batch_first = int(node, "layout", 0) != 0;
        let (steps, batch, width) = match (x.shape.as_slice(), batch_first) {
            ([steps, batch, width], false) | ([batch, steps, width], true) => (*steps, *batch, *width),
            _ => return Err(misfit(node, "sequences of another number of axes")),
        };
        let (own, recurrent) = (self.input(node, 1)?, self.input(node, 2)?);
        let [directions, rows, k] = *own.shape.as_slice() else {
            return Err(misfit(node, "weights of another number of axes"));
        };
        let gates = match node.operator() {
            "LSTM" => 4,
            "GRU" => 3,
            _ => 1,
        };
        let hidden = rows / gates;
        let given = |i: usize| -> Result<Option<Value>> { Ok(self.opt(node, i)?.filter(|value| value.len() > 0)) };
        let none = Value::known(&[directions, 2 * rows], Kind::F32, vec![0.0; directions * 2 * rows]);
        let (bias, peepholes) = (given(3)?.unwrap_or(none), given(7)?.filter(|_| gates == 4));
        let fits = k == width
            && rows == hidden * gates
            && recurrent.len() == directions * rows * hidden
            && bias.len() == directions * 2 * rows
            && peepholes.as_ref().is_none_or(|peepholes| peepholes.len() == directions * 3 * hidden)
            && [steps, hidden, k, directions, batch].iter().all(|n| *n > 0);
        if !fits {
            return Err(misfit(node, "weights of a recurrence that do not fit"));
        }
        let backward = text(node, "direction", "forward") == "reverse";
        let lengths = self.known(node, 4)?.unwrap_or_else(|| vec![steps as f32; batch]);
        if lengths.len() != batch || lengths.iter().any(|n| !(1.0..=steps as f32).contains(n)) {
            return Err(unsupported(node, "a recurrence over sequences of no steps, or more than there are,"));
        }
        let layer =
            Layer { rows, hidden, directions, backward, batch, steps, batch_first, own, recurrent, bias, peepholes };
        let (mut all, mut last, mut last_cells) = (Vec::new(), Vec::new(), Vec::new());
        for (b, length) in lengths.iter().enumerate() {
            let at = |t: usize| (if batch_first { b * steps + t } else { t * batch + b }) * width;
            let places: Vec<usize> = (0..*length as usize).flat_map(|t| at(t)..at(t) + width).collect();
            let own = self.arranged(&x, &[*length as usize, width], &places);
            let [states, end, cells] = self.sequence(node, &layer, b, &own)?;
            all.push(states);
            last.push(end);
            last_cells.push(cells);
        }
        // All are (batch, steps, directions, hidden), or without the steps.
        let named = |i: usize| node.output.get(i).is_some_and(|name| !name.is_empty());
        if named(0) {
            let states = self.concat(node, &all, 0)?;
            let states = if batch_first { states } else { self.permuted(&states, &[1, 2, 0, 3]) };
            self.give(node, 0, states);
        }
        for (i, parts) in [(1, last), (2, last_cells)] {
            if named(i) && (i == 1 || gates == 4) {
                let states = self.concat(node, &parts, 0)?;
                let states = if batch_first { states } else { self.permuted(&states, &[1, 0, 2]) };
                self.give(node, i, states);
            }
        }
        Ok(())
    }

    /// Sequence `b`, (steps, width): all states (1, steps, directions, hidden), the last, and the last of the cells
    /// (1, directions, hidden).
    fn sequence(&mut self, node: &NodeProto, layer: &Layer, b: usize, x: &Value) -> Result<[Value; 3]> {
        let Layer { hidden, directions, rows, .. } = *layer;
        let steps = x.shape[0];
        let (mut all, mut last, mut last_cells) = (Vec::new(), Vec::new(), Vec::new());
        for d in 0..directions {
            let backward = d == 1 || layer.backward;
            let mut part = |list: &Value, shape: &[usize], from: usize| {
                let n: usize = shape.iter().product();
                let first = list.len() / directions * d + from;
                self.arranged(list, shape, &(first..first + n).collect::<Vec<_>>())
            };
            let direction = Direction {
                own: part(&layer.own, &[rows, x.shape[1]], 0),
                recurrent: part(&layer.recurrent, &[rows, hidden], 0),
                bias: [part(&layer.bias, &[rows], 0), part(&layer.bias, &[rows], rows)],
                peepholes: layer.peepholes.as_ref().map(|list| part(list, &[1, 3 * hidden], 0)),
                d,
                directions,
            };
            let turned = |packer: &mut Self, x: &Value| {
                let width = x.shape[1];
                let order: Vec<usize> = (0..steps).rev().flat_map(|t| t * width..(t + 1) * width).collect();
                if backward { packer.arranged(x, &x.shape, &order) } else { x.clone() }
            };
            let x = turned(self, x);
            let before = [self.state(node, 5, layer, [d, b])?, self.state(node, 6, layer, [d, b])?];
            let [states, end, cells] = match self.stepwise(node, &direction, &x, &before) {
                Some(found) => found,
                None => self.unrolled(node, &direction, &x, before)?,
            };
            last.push(Value { shape: vec![1, 1, hidden], ..end });
            last_cells.push(Value { shape: vec![1, 1, hidden], ..cells });
            let states = turned(self, &states);
            // Behind the end of a short sequence stand zeros.
            let count = layer.steps * hidden;
            let places: Vec<Option<usize>> = (0..count).map(|i| Some(i).filter(|i| *i < steps * hidden)).collect();
            all.push(self.windows(&states, &[1, layer.steps, 1, hidden], &places, 0.0));
        }
        Ok([self.concat(node, &all, 2)?, self.concat(node, &last, 1)?, self.concat(node, &last_cells, 1)?])
    }

    /// All states, the last and the last of the cells by one step of the program, where there is one for this form.
    fn stepwise(
        &mut self,
        node: &NodeProto,
        direction: &Direction,
        x: &Value,
        before: &[Value; 2],
    ) -> Option<[Value; 3]> {
        let cell = cell_of(node, direction.directions)?;
        let numbers = |value: &Value| match &value.data {
            Data::Known(items) => Some(items.clone()),
            Data::Slot(_) => None,
        };
        let (w, r) = (numbers(&direction.own)?, numbers(&direction.recurrent)?);
        let bias = [numbers(&direction.bias[0])?, numbers(&direction.bias[1])?];
        if direction.peepholes.is_some() {
            return None;
        }
        let (hidden, rows, [steps, width]) = (before[0].len(), bias[0].len(), [x.shape[0], x.shape[1]]);
        // The bias of the last gate's recurrent product stands apart where the reset gate comes behind it.
        let apart = if cell == Cell::GruBehind { 2 * hidden } else { rows };
        let sums: Vec<f32> = (0..rows).map(|i| bias[0][i] + if i < apart { bias[1][i] } else { 0.0 }).collect();
        let span = self.span(x);
        let gates = self.program.dense(span, width, &w, &sums);
        let state = self.span(&before[0]);
        let cells = if cell == Cell::Lstm { self.span(&before[1]) } else { Span { at: 0, len: 0 } };
        let (states, cells) = self.program.recurrent(cell, gates, [state, cells], &r, &bias[1][apart..]);
        let end = Span { at: states.at + (steps - 1) * hidden, len: hidden };
        let of = |shape: &[usize], span: Span| Value::slot(shape, Kind::F32, span);
        let end = of(&[1, hidden], end);
        let cells = if cell == Cell::Lstm { of(&[1, hidden], cells) } else { end.clone() };
        Some([of(&[steps, hidden], states), end, cells])
    }

    /// The state of a direction and a sequence before the first step, (1, hidden): of input `i`, or nothing.
    fn state(&mut self, node: &NodeProto, i: usize, layer: &Layer, [d, b]: [usize; 2]) -> Result<Value> {
        let Layer { hidden, directions, batch, .. } = *layer;
        let row = if layer.batch_first { b * directions + d } else { d * batch + b };
        match self.opt(node, i)?.filter(|value| value.len() > 0) {
            None => Ok(Value::known(&[1, hidden], Kind::F32, vec![0.0; hidden])),
            Some(value) if value.len() != directions * batch * hidden => Err(misfit(node, "a state of another length")),
            Some(value) => {
                Ok(self.arranged(&value, &[1, hidden], &(row * hidden..(row + 1) * hidden).collect::<Vec<_>>()))
            }
        }
    }
}
