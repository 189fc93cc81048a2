//! Recurrent layers.

use super::learned::{text, texts};
use super::network::misfit;
use super::program::Span;
use super::values::{Data, Packer, Value, unsupported};
use crate::Result;
use crate::edge::{Cell, Kind};
use crate::onnx::NodeProto;
use crate::onnx::node::int;

/// The cell of a node.
fn cell_of(node: &NodeProto, directions: usize) -> Result<Cell> {
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
        .ok_or_else(|| unsupported(node, "a recurrence with functions of its own"))
}

/// What a recurrent layer has of weights, and over what it goes.
struct Layer {
    cell: Cell,
    /// Numbers of a step, and of a state.
    width: usize,
    hidden: usize,
    directions: usize,
    backward: bool,
    batch: usize,
    steps: usize,
    /// Whether the batch is the first axis of everything.
    batch_first: bool,
    /// Of all directions: (gates x hidden, width), (gates x hidden, hidden), (2 x gates x hidden).
    own: Vec<f32>,
    recurrent: Vec<f32>,
    bias: Vec<f32>,
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
        let weights = self.input(node, 1)?;
        let [directions, rows, k] = *weights.shape.as_slice() else {
            return Err(misfit(node, "weights of another number of axes"));
        };
        let cell = cell_of(node, directions)?;
        let hidden = rows / cell.gates();
        let (own, recurrent) = (self.known(node, 1)?.unwrap_or_default(), self.known(node, 2)?.unwrap_or_default());
        let bias = self.known(node, 3)?.unwrap_or_else(|| vec![0.0; directions * 2 * rows]);
        let fits = k == width
            && rows == hidden * cell.gates()
            && own.len() == directions * rows * k
            && recurrent.len() == directions * rows * hidden
            && bias.len() == directions * 2 * rows
            && [steps, hidden, k, directions, batch].iter().all(|n| *n > 0);
        if !fits {
            return Err(misfit(node, "weights of a recurrence that do not fit"));
        }
        if self.opt(node, 7)?.is_some() {
            return Err(unsupported(node, "a recurrence with peepholes"));
        }
        let backward = text(node, "direction", "forward") == "reverse";
        let lengths = self.known(node, 4)?.unwrap_or_else(|| vec![steps as f32; batch]);
        if lengths.len() != batch || lengths.iter().any(|n| !(1.0..=steps as f32).contains(n)) {
            return Err(unsupported(node, "a recurrence over sequences of no steps, or more than there are,"));
        }
        let layer =
            Layer { cell, width, hidden, directions, backward, batch, steps, batch_first, own, recurrent, bias };
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
            if named(i) && (i == 1 || cell == Cell::Lstm) {
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
        let Layer { cell, width, hidden, directions, .. } = *layer;
        let (steps, rows) = (x.shape[0], cell.gates() * hidden);
        let (mut all, mut last, mut last_cells) = (Vec::new(), Vec::new(), Vec::new());
        for d in 0..directions {
            let backward = d == 1 || layer.backward;
            let part = |list: &[f32], each: usize| list[d * each..(d + 1) * each].to_vec();
            let (w, r) = (part(&layer.own, rows * width), part(&layer.recurrent, rows * hidden));
            let bias = part(&layer.bias, 2 * rows);
            // The bias of the last gate's recurrent product stands apart where the reset gate comes behind it.
            let apart = if cell == Cell::GruBehind { 2 * hidden } else { rows };
            let sums: Vec<f32> = (0..rows).map(|i| bias[i] + if i < apart { bias[rows + i] } else { 0.0 }).collect();
            let turned = |packer: &mut Self, x: &Value, width: usize| {
                let order: Vec<usize> = (0..steps).rev().flat_map(|t| t * width..(t + 1) * width).collect();
                if backward { packer.arranged(x, &x.shape, &order) } else { x.clone() }
            };
            let x = turned(self, x, width);
            let span = self.span(&x);
            let gates = self.program.dense(span, width, &w, &sums);
            let state = self.state(node, 5, layer, [d, b])?;
            let none = Span { at: 0, len: 0 };
            let cell_state = if cell == Cell::Lstm { self.state(node, 6, layer, [d, b])? } else { none };
            let (states, cells) = self.program.recurrent(cell, gates, [state, cell_state], &r, &bias[rows + apart..]);
            let end = Span { at: states.at + (steps - 1) * hidden, len: hidden };
            last.push(Value::slot(&[1, 1, hidden], Kind::F32, end));
            last_cells.push(Value::slot(&[1, 1, hidden], Kind::F32, cells));
            let states = turned(self, &Value::slot(&[steps, hidden], Kind::F32, states), hidden);
            // Behind the end of a short sequence stand zeros.
            let count = layer.steps * hidden;
            let places: Vec<Option<usize>> = (0..count).map(|i| Some(i).filter(|i| *i < steps * hidden)).collect();
            all.push(self.windows(&states, &[1, layer.steps, 1, hidden], &places, 0.0));
        }
        let last_cells = if cell == Cell::Lstm { self.concat(node, &last_cells, 1)? } else { last[0].clone() };
        Ok([self.concat(node, &all, 2)?, self.concat(node, &last, 1)?, last_cells])
    }

    /// The state of a direction and a sequence before the first step: of input `i`, or nothing.
    fn state(&mut self, node: &NodeProto, i: usize, layer: &Layer, [d, b]: [usize; 2]) -> Result<Span> {
        let Layer { hidden, directions, batch, .. } = *layer;
        let row = if layer.batch_first { b * directions + d } else { d * batch + b };
        Ok(match self.opt(node, i)? {
            None => self.program.constant(&vec![0.0; hidden]),
            Some(value) if value.len() != directions * batch * hidden => {
                return Err(misfit(node, "a state of another length"));
            }
            Some(Value { data: Data::Known(items), .. }) => self.program.constant(&items[row * hidden..][..hidden]),
            Some(Value { data: Data::Slot(span), .. }) => Span { at: span.at + row * hidden, len: hidden },
        })
    }
}
