//! Recurrent layers.

use super::learned::{text, texts};
use super::program::Span;
use super::values::{Data, Packer, Value, unsupported};
use crate::edge::{Cell, Kind};
use crate::onnx::NodeProto;
use crate::onnx::node::int;
use crate::{Error, ErrorKind, Result};

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

impl Packer {
    /// Packs a recurrent layer over one sequence.
    pub(super) fn recurrence(&mut self, node: &NodeProto) -> Result<()> {
        let x = self.input(node, 0)?;
        let batch_first = int(node, "layout", 0) != 0;
        let (steps, width) = match (x.shape.as_slice(), batch_first) {
            ([steps, 1, width], false) | ([1, steps, width], true) => (*steps, *width),
            _ => return Err(unsupported(node, "a recurrence over several sequences for one observation")),
        };
        let weights = self.input(node, 1)?;
        let [directions, rows, k] = *weights.shape.as_slice() else {
            return Err(unsupported(node, "weights of this shape"));
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
            && [steps, hidden, k, directions].iter().all(|n| *n > 0);
        if !fits {
            return Err(Error::new(ErrorKind::WrongShape, "weights of a recurrence that do not fit").node(node.label()));
        }
        if self.known(node, 4)?.is_some_and(|lengths| lengths.iter().any(|n| *n != steps as f32)) {
            return Err(unsupported(node, "a recurrence over a part of the sequence"));
        }
        if self.opt(node, 7)?.is_some() {
            return Err(unsupported(node, "a recurrence with peepholes"));
        }
        let direction = text(node, "direction", "forward");
        let (mut all, mut last, mut last_cells) = (Vec::new(), Vec::new(), Vec::new());
        for d in 0..directions {
            let backward = d == 1 || direction == "reverse";
            let rows_at = |list: &[f32], each: usize| list[d * each..(d + 1) * each].to_vec();
            let (w, r, b) = (rows_at(&own, rows * k), rows_at(&recurrent, rows * hidden), rows_at(&bias, 2 * rows));
            // The bias of the last gate's recurrent product stands apart where the reset gate comes behind it.
            let apart = if cell == Cell::GruBehind { 2 * hidden } else { rows };
            let sums: Vec<f32> = (0..rows).map(|i| b[i] + if i < apart { b[rows + i] } else { 0.0 }).collect();
            let order: Vec<usize> = (0..steps).rev().flat_map(|t| t * k..(t + 1) * k).collect();
            let rows_of = if backward { self.arranged(&x, &x.shape, &order) } else { x.clone() };
            let span = self.span(&rows_of);
            let gates = self.program.dense(span, k, &w, &sums);
            let state = self.state(node, 5, d, hidden)?;
            let cell_state = if cell == Cell::Lstm { self.state(node, 6, d, hidden)? } else { Span { at: 0, len: 0 } };
            let (states, cells) = self.program.recurrent(cell, gates, [state, cell_state], &r, &b[rows + apart..]);
            last.push(Value::slot(&[1, hidden], Kind::F32, Span { at: states.at + (steps - 1) * hidden, len: hidden }));
            last_cells.push(Value::slot(&[1, hidden], Kind::F32, cells));
            let states = Value::slot(&[steps, 1, hidden], Kind::F32, states);
            let order: Vec<usize> = (0..steps).rev().flat_map(|t| t * hidden..(t + 1) * hidden).collect();
            all.push(if backward { self.arranged(&states, &states.shape, &order) } else { states });
        }
        let named = |i: usize| node.output.get(i).is_some_and(|name| !name.is_empty());
        if named(0) {
            let states = self.concat(node, &all, 1)?;
            let shape =
                if batch_first { vec![1, steps, directions, hidden] } else { vec![steps, directions, 1, hidden] };
            self.give(node, 0, Value { shape, ..states });
        }
        for (i, parts) in [(1, last), (2, last_cells)] {
            if named(i) && (i == 1 || cell == Cell::Lstm) {
                let states = self.concat(node, &parts, 0)?;
                let shape = if batch_first { vec![1, directions, hidden] } else { vec![directions, 1, hidden] };
                self.give(node, i, Value { shape, ..states });
            }
        }
        Ok(())
    }

    /// The state of direction `d` before the first step: input `i`, or nothing.
    fn state(&mut self, node: &NodeProto, i: usize, d: usize, hidden: usize) -> Result<Span> {
        Ok(match self.opt(node, i)? {
            None => self.program.constant(&vec![0.0; hidden]),
            Some(value) if value.len() < (d + 1) * hidden => {
                return Err(Error::new(ErrorKind::WrongShape, "a state of another length").node(node.label()));
            }
            Some(Value { data: Data::Known(items), .. }) => self.program.constant(&items[d * hidden..][..hidden]),
            Some(Value { data: Data::Slot(span), .. }) => Span { at: span.at + d * hidden, len: hidden },
        })
    }
}
