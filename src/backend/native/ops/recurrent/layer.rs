//! Recurrent layers.

use smallvec::smallvec;

use super::general;
use super::weights::{Direction, Given, directions, plain, quantised};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::{Build, Group};
use crate::backend::native::value::Value;
use crate::kernel::{Isa, gru_step, lstm_step};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[
    ("RNN", |node| general::build(node, general::Kind::Rnn)),
    ("GRU", |node| usual(node, gru, general::Kind::Gru)),
    ("LSTM", |node| usual(node, lstm, general::Kind::Lstm)),
];
pub(super) const MICROSOFT: Group = &[("DynamicQuantizeLSTM", quantised_lstm)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gru,
    Lstm,
}

impl Kind {
    fn gates(self) -> usize {
        match self {
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }
}

/// A layer of one or two directions.
#[derive(Debug)]
struct Layer {
    kind: Kind,
    directions: Vec<Direction>,
    /// Whether the first direction runs backwards.
    backwards: bool,
    /// The length of a state.
    n: usize,
    inputs: usize,
    wanted: [bool; 3],
}

/// Refuses forms that have no place here; tells whether the first direction runs backwards, and how many there are.
fn form(node: &Node<'_>, kind: Kind) -> Result<(bool, usize)> {
    let (backwards, count) = match node.string_or("direction", "forward")? {
        "forward" => (false, 1),
        "reverse" => (true, 1),
        "bidirectional" => (false, 2),
        other => return Err(node.malformed("an unknown `direction`").actual(other)),
    };
    let usual: &[&str] = match kind {
        Kind::Gru => &["Sigmoid", "Tanh"],
        Kind::Lstm => &["Sigmoid", "Tanh", "Tanh"],
    };
    let activations = node.strings("activations")?.unwrap_or_default();
    if !activations.iter().enumerate().all(|(i, a)| a.eq_ignore_ascii_case(usual[i % usual.len()])) {
        return Err(node.unsupported("a recurrent layer with other activations than sigmoid and tanh"));
    }
    if node.has("clip") || node.flag("input_forget", false)? {
        return Err(node.unsupported("a recurrent layer with `clip` or `input_forget`"));
    }
    Ok((backwards, count))
}

/// The layer in its usual form where it has that, else in the general one.
fn usual(node: &Node<'_>, build: Build, kind: general::Kind) -> Result<Box<dyn Op>> {
    match build(node) {
        Err(e) if e.kind() == ErrorKind::Unsupported => general::build(node, kind),
        done => done,
    }
}

fn gru(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if !node.flag("linear_before_reset", false)? {
        return Err(node.unsupported("a GRU whose reset gate comes before the product"));
    }
    build(node, Kind::Gru, plain(node, 1)?, plain(node, 2)?)
}

fn lstm(node: &Node<'_>) -> Result<Box<dyn Op>> {
    build(node, Kind::Lstm, plain(node, 1)?, plain(node, 2)?)
}

fn quantised_lstm(node: &Node<'_>) -> Result<Box<dyn Op>> {
    build(node, Kind::Lstm, quantised(node, 1, [8, 9])?, quantised(node, 2, [10, 11])?)
}

fn build(node: &Node<'_>, kind: Kind, w: Given<'_>, r: Given<'_>) -> Result<Box<dyn Op>> {
    let (backwards, count) = form(node, kind)?;
    if kind == Kind::Lstm && node.has_input(7) {
        return Err(node.unsupported("an LSTM with peepholes"));
    }
    let n = w.rows / kind.gates();
    if n == 0 || w.inputs == 0 || n * kind.gates() != w.rows || w.directions != count {
        return Err(node.malformed("the weights of a recurrent layer do not fit its gates and directions"));
    }
    // The reset gate of a GRU scales the third share of the state with its bias.
    let state_from = if kind == Kind::Gru { 2 * n } else { w.rows };
    let directions = directions(node, &w, &r, n, state_from)?;
    if node.flag("layout", false)? {
        return Err(node.unsupported("a recurrent layer whose batch stands first"));
    }
    let wanted = [node.has_output(0), node.has_output(1), node.has_output(2)];
    Ok(Box::new(Layer { kind, directions, backwards, n, inputs: w.inputs, wanted }))
}

/// The first states at `input`, (directions, batch, n), or zeros.
fn states(args: &Args<'_, '_>, input: usize, [count, batch, n]: [usize; 3], cx: &mut Scratch) -> Result<Vec<f32>> {
    let len = cx.check_shape(&[count, batch, n])?;
    let mut states = cx.buffer::<f32>(len);
    match args.opt(input) {
        Some(value) if value.shape() == [count, batch, n] => states.extend_from_slice(value.as_slice::<f32>()?),
        Some(value) => {
            return Err(Error::new(ErrorKind::WrongShape, "the first states of a recurrent layer do not fit it")
                .expected(shape_text(&[count, batch, n]))
                .actual(shape_text(value.shape())));
        }
        None => states.resize(len, 0.0),
    }
    Ok(states)
}

impl Layer {
    /// Runs direction `d` over `x` (steps, batch, inputs), writing its states into `h`, `c` and, where they are wanted,
    /// those of each step into `all` (steps, directions, batch, n).
    #[allow(clippy::too_many_arguments, reason = "the parts of one state")]
    fn run_direction(
        &self,
        d: usize,
        x: &[f32],
        [steps, batch]: [usize; 2],
        lengths: Option<&[usize]>,
        h: &mut [f32],
        c: &mut [f32],
        all: &mut [f32],
        cx: &mut Scratch,
    ) -> Result<()> {
        let isa = Isa::best();
        let (n, count, direction) = (self.n, self.directions.len(), &self.directions[d]);
        let width = self.kind.gates() * n;
        let backwards = if d == 0 { self.backwards } else { true };
        let mut gates = cx.buffer::<f32>(cx.check_shape(&[steps, batch, width])?);
        direction.input.multiply(x, steps * batch, &mut gates, cx);
        let mut of_state = cx.buffer::<f32>(batch * width);
        let mut held = [cx.buffer::<f32>(0), cx.buffer::<f32>(0)];
        for i in 0..steps {
            let step = if backwards { steps - 1 - i } else { i };
            let gates = &mut gates[step * batch * width..(step + 1) * batch * width];
            of_state.clear();
            direction.state.multiply(h, batch, &mut of_state, cx);
            if lengths.is_some() {
                held[0].clear();
                held[0].extend_from_slice(h);
                held[1].clear();
                held[1].extend_from_slice(c);
            }
            match self.kind {
                Kind::Gru => gru_step(isa, gates, &of_state, h, n),
                Kind::Lstm => {
                    gates.iter_mut().zip(&of_state).for_each(|(g, s)| *g += *s);
                    lstm_step(isa, gates, h, c, n);
                }
            }
            let given = all.get_mut((step * count + d) * batch * n..(step * count + d + 1) * batch * n);
            let mut given = given.filter(|g| !g.is_empty());
            if let Some(given) = &mut given {
                given.copy_from_slice(h);
            }
            // Past its end a sequence keeps its state and gives zeros.
            for (row, _) in lengths.unwrap_or_default().iter().enumerate().filter(|(_, len)| step >= **len) {
                let row = row * n..(row + 1) * n;
                h[row.clone()].copy_from_slice(&held[0][row.clone()]);
                if self.kind == Kind::Lstm {
                    c[row.clone()].copy_from_slice(&held[1][row.clone()]);
                }
                if let Some(given) = &mut given {
                    given[row].fill(0.0);
                }
            }
        }
        let [a, b] = held;
        [gates, of_state, a, b].into_iter().for_each(|buffer| cx.recycle_buffer(buffer));
        Ok(())
    }
}

impl Op for Layer {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let &[first, second, inputs] = value.shape() else {
            return Err(Error::new(ErrorKind::WrongShape, "a recurrent layer takes steps, batch and inputs")
                .actual(shape_text(value.shape())));
        };
        if inputs != self.inputs {
            return Err(Error::new(ErrorKind::WrongShape, "a recurrent layer was given inputs of another length")
                .expected(self.inputs)
                .actual(inputs));
        }
        let (steps, batch, n, count) = (first, second, self.n, self.directions.len());
        let x = value.as_slice::<f32>()?;
        let lengths: Option<Vec<usize>> = match args.opt(4) {
            Some(lengths) if lengths.len() == batch => {
                Some(lengths.to_i64s()?.into_iter().map(|l| usize::try_from(l).unwrap_or(0)).collect())
            }
            Some(lengths) => {
                return Err(Error::new(ErrorKind::WrongShape, "a recurrent layer has a length for each sequence")
                    .expected(batch)
                    .actual(lengths.len()));
            }
            None => None,
        };
        let mut h = states(args, 5, [count, batch, n], cx)?;
        let mut c = states(args, if self.kind == Kind::Lstm { 6 } else { usize::MAX }, [count, batch, n], cx)?;
        let all_len = cx.check_shape(&[steps, count, batch, n])?;
        let mut all = cx.buffer::<f32>(if self.wanted[0] { all_len } else { 0 });
        all.resize(if self.wanted[0] { all_len } else { 0 }, 0.0);
        if batch > 0 {
            for d in 0..count {
                let own = d * batch * n..(d + 1) * batch * n;
                let (h, c) = (&mut h[own.clone()], &mut c[own]);
                self.run_direction(d, x, [steps, batch], lengths.as_deref(), h, c, &mut all, cx)?;
            }
        }
        let all = if self.wanted[0] { Value::new([steps, count, batch, n].as_slice(), all) } else { Value::default() };
        let h = Value::new([count, batch, n].as_slice(), h);
        let c = Value::new([count, batch, n].as_slice(), c);
        Ok(match self.kind {
            Kind::Gru => {
                cx.recycle(c);
                smallvec![all, h]
            }
            Kind::Lstm => smallvec![all, h, c],
        })
    }

    /// The batch is the second axis of the input.
    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| x.rank() != 3 || x.varies(0) || x.varies(2))
    }

    fn parameters(&self) -> usize {
        let products = self.directions.iter().flat_map(|d| [d.input.shape(), d.state.shape()]);
        products.map(|[k, n]| (k + 1) * n).sum()
    }
}
