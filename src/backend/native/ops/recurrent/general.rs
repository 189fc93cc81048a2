//! `RNN`, `GRU` and `LSTM` in their general form, in f64: every activation, computed weights, peepholes, clipping, either
//! layout, any float.

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::wide::{floats, rounded};
use crate::backend::native::value::{Data, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

/// A kind of layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rnn,
    Gru,
    Lstm,
}

impl Kind {
    const fn gates(self) -> usize {
        match self {
            Self::Rnn => 1,
            Self::Gru => 3,
            Self::Lstm => 4,
        }
    }

    /// The activations where none are named.
    const fn usual(self) -> &'static [&'static str] {
        match self {
            Self::Rnn => &["Tanh"],
            Self::Gru => &["Sigmoid", "Tanh"],
            Self::Lstm => &["Sigmoid", "Tanh", "Tanh"],
        }
    }
}

/// An activation with its parameters.
#[derive(Debug, Clone, Copy)]
enum Activation {
    Relu,
    Tanh,
    Sigmoid,
    Softsign,
    Softplus,
    Affine(f64, f64),
    LeakyRelu(f64),
    ThresholdedRelu(f64),
    ScaledTanh(f64, f64),
    HardSigmoid(f64, f64),
    Elu(f64),
}

impl Activation {
    fn at(self, x: f64) -> f64 {
        match self {
            Self::Relu => x.max(0.0),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Softsign => x / (1.0 + x.abs()),
            Self::Softplus => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            Self::Affine(a, b) => a * x + b,
            Self::LeakyRelu(a) => {
                if x < 0.0 {
                    a * x
                } else {
                    x
                }
            }
            Self::ThresholdedRelu(a) => {
                if x > a {
                    x
                } else {
                    0.0
                }
            }
            Self::ScaledTanh(a, b) => a * (b * x).tanh(),
            Self::HardSigmoid(a, b) => (a * x + b).clamp(0.0, 1.0),
            Self::Elu(a) => {
                if x < 0.0 {
                    a * x.exp_m1()
                } else {
                    x
                }
            }
        }
    }
}

/// The activations of a node, in order; `alpha` and `beta` go to those that take them, one after the other.
fn activations(node: &Node<'_>, kind: Kind, directions: usize) -> Result<Vec<Activation>> {
    let usual = kind.usual();
    let names = match node.strings("activations")? {
        Some(names) if !names.is_empty() => names,
        _ => usual.iter().cycle().take(directions * usual.len()).map(|&s| s.to_owned()).collect(),
    };
    if names.len() != directions * usual.len() {
        return Err(node.malformed("a recurrent layer has another number of activations").actual(names.len()));
    }
    let mut alphas = node.floats("activation_alpha")?.unwrap_or_default().iter().map(|&a| f64::from(a));
    let mut betas = node.floats("activation_beta")?.unwrap_or_default().iter().map(|&b| f64::from(b));
    let mut alpha = |default: f64| alphas.next().unwrap_or(default);
    let mut beta = |default: f64| betas.next().unwrap_or(default);
    names
        .iter()
        .map(|name| {
            Ok(match name.to_ascii_lowercase().as_str() {
                "relu" => Activation::Relu,
                "tanh" => Activation::Tanh,
                "sigmoid" => Activation::Sigmoid,
                "softsign" => Activation::Softsign,
                "softplus" => Activation::Softplus,
                "affine" => Activation::Affine(alpha(1.0), beta(0.0)),
                "leakyrelu" => Activation::LeakyRelu(alpha(f64::from(0.01f32))),
                "thresholdedrelu" => Activation::ThresholdedRelu(alpha(1.0)),
                "scaledtanh" => Activation::ScaledTanh(alpha(1.0), beta(1.0)),
                "hardsigmoid" => Activation::HardSigmoid(alpha(f64::from(0.2f32)), beta(0.5)),
                "elu" => Activation::Elu(alpha(1.0)),
                _ => return Err(node.malformed("an unknown activation").actual(name)),
            })
        })
        .collect()
}

#[derive(Debug)]
struct Layer {
    kind: Kind,
    activations: Vec<Activation>,
    /// Whether each direction runs backwards.
    backwards: Vec<bool>,
    /// The bound of what goes into an activation; infinite where there is none.
    clip: f64,
    /// Whether the forget gate is what the input gate leaves.
    coupled: bool,
    /// Whether the reset gate comes after the product with the state.
    reset_after: bool,
    batch_first: bool,
}

/// Whether the node has a form that the backend `tract` runs rightly, and faster.
fn is_tracts(node: &Node<'_>, kind: Kind) -> Result<bool> {
    let constant = |i: usize| node.constant(i).is_some_and(|w| matches!(w.data(), Data::F32(_)));
    let plain = !node.has("activations") && !node.has("clip") && !node.flag("layout", false)?;
    Ok(cfg!(feature = "tract") && kind != Kind::Lstm && plain && constant(1) && constant(2) && !node.has_input(4))
}

pub(super) fn build(node: &Node<'_>, kind: Kind) -> Result<Box<dyn Op>> {
    if is_tracts(node, kind)? {
        return Err(node.unsupported("this form of a recurrent layer is left to the backend `tract`, which is faster"));
    }
    let backwards = match node.string_or("direction", "forward")? {
        "forward" => vec![false],
        "reverse" => vec![true],
        "bidirectional" => vec![false, true],
        other => return Err(node.malformed("an unknown `direction`").actual(other)),
    };
    Ok(Box::new(Layer {
        kind,
        activations: activations(node, kind, backwards.len())?,
        backwards,
        clip: node.float("clip")?.map_or(f64::INFINITY, f64::from),
        coupled: node.flag("input_forget", false)?,
        reset_after: node.flag("linear_before_reset", false)?,
        batch_first: node.flag("layout", false)?,
    }))
}

/// The lengths of a call.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    inputs: usize,
    n: usize,
}

/// The weights of one direction: (gates * n, inputs), (gates * n, n), two biases (gates * n), peepholes (3 * n).
struct Weights<'w> {
    w: &'w [f64],
    r: &'w [f64],
    bias: Option<&'w [f64]>,
    peepholes: Option<&'w [f64]>,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Layer {
    /// One step of one sequence: `h` and `c` before become those after.
    fn step(&self, d: usize, weights: &Weights<'_>, sizes: Sizes, x: &[f64], h: &mut [f64], c: &mut [f64]) {
        let (n, k) = (sizes.n, self.kind.usual().len());
        let activation = |i: usize| self.activations[d * k + i];
        let apply = |f: usize, x: f64| activation(f).at(x.clamp(-self.clip, self.clip));
        let rows = self.kind.gates() * n;
        let of_input = |row: usize| dot(&weights.w[row * sizes.inputs..][..sizes.inputs], x);
        let of_state = |row: usize, h: &[f64]| dot(&weights.r[row * n..][..n], h);
        let biases = |row: usize| weights.bias.map_or([0.0; 2], |b| [b[row], b[rows + row]]);
        let whole = |row: usize, h: &[f64]| {
            let [a, b] = biases(row);
            of_input(row) + of_state(row, h) + a + b
        };
        let before = h.to_vec();
        match self.kind {
            Kind::Rnn => (0..n).for_each(|i| h[i] = apply(0, whole(i, &before))),
            Kind::Gru => {
                let update: Vec<f64> = (0..n).map(|i| apply(0, whole(i, &before))).collect();
                let reset: Vec<f64> = (0..n).map(|i| apply(0, whole(n + i, &before))).collect();
                let kept: Vec<f64> = before.iter().zip(&reset).map(|(h, r)| h * r).collect();
                for i in 0..n {
                    let row = 2 * n + i;
                    let [a, b] = biases(row);
                    let state = if self.reset_after {
                        reset[i] * (of_state(row, &before) + b)
                    } else {
                        of_state(row, &kept) + b
                    };
                    let new = apply(1, of_input(row) + state + a);
                    h[i] = (1.0 - update[i]) * new + update[i] * before[i];
                }
            }
            Kind::Lstm => {
                let peephole = |gate: usize, i: usize| weights.peepholes.map_or(0.0, |p| p[gate * n + i]);
                for i in 0..n {
                    let input = apply(0, whole(i, &before) + peephole(0, i) * c[i]);
                    let forget = if self.coupled {
                        1.0 - input
                    } else {
                        apply(0, whole(2 * n + i, &before) + peephole(2, i) * c[i])
                    };
                    let cell = apply(1, whole(3 * n + i, &before));
                    c[i] = forget * c[i] + input * cell;
                    let output = apply(0, whole(n + i, &before) + peephole(1, i) * c[i]);
                    h[i] = output * activation(2).at(c[i]);
                }
            }
        }
    }

    /// The states of input `i`, (directions, batch, n), or zeros.
    fn states(&self, args: &Args<'_, '_>, i: usize, sizes: Sizes, cx: &mut Scratch) -> Result<Vec<f64>> {
        let (count, batch, n) = (self.backwards.len(), sizes.batch, sizes.n);
        let all = cx.check_shape(&[count, batch, n])?;
        let Some(value) = args.opt(i).filter(|v| v.len() > 0 || all == 0) else { return Ok(vec![0.0; all]) };
        let shape = if self.batch_first { [batch, count, n] } else { [count, batch, n] };
        if *value.shape() != shape {
            return Err(wrong("the first states of a recurrent layer do not fit it", &shape, value.shape()));
        }
        let items = floats(value)?;
        Ok(if self.batch_first { swapped(&items, [batch, count], n) } else { items })
    }
}

/// `items` (a, b, n) as (b, a, n).
fn swapped(items: &[f64], [a, b]: [usize; 2], n: usize) -> Vec<f64> {
    (0..b).flat_map(|j| (0..a).flat_map(move |i| items[(i * b + j) * n..][..n].iter().copied())).collect()
}

#[cold]
fn wrong(what: &str, expected: &[usize], actual: &[usize]) -> Error {
    Error::new(ErrorKind::WrongShape, what).expected(shape_text(expected)).actual(shape_text(actual))
}

impl Op for Layer {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (x, w, r) = (args.get(0)?, args.get(1)?, args.get(2)?);
        let (&[first, second, inputs], &[_, _, n]) = (x.shape(), r.shape()) else {
            return Err(Error::new(ErrorKind::WrongShape, "a recurrent layer takes steps, batch and inputs")
                .actual(shape_text(x.shape())));
        };
        let [steps, batch] = if self.batch_first { [second, first] } else { [first, second] };
        let (count, rows) = (self.backwards.len(), self.kind.gates().saturating_mul(n));
        let sizes = Sizes { batch, inputs, n };
        let fits = |value: Option<&Value<'_>>, shape: &[usize]| match value {
            Some(value) if *value.shape() != *shape => {
                Err(wrong("the weights of a recurrent layer do not fit each other", shape, value.shape()))
            }
            _ => Ok(()),
        };
        fits(Some(w), &[count, rows, inputs])?;
        fits(Some(r), &[count, rows, n])?;
        let given = |i: usize| args.opt(i).filter(|v| v.len() > 0);
        fits(given(3), &[count, 2 * rows])?;
        let peepholes = if self.kind == Kind::Lstm { given(7) } else { None };
        fits(peepholes, &[count, 3 * n])?;
        let lengths = match given(4) {
            Some(lengths) if lengths.len() == batch => {
                let all = lengths.to_i64s()?;
                Some(all.into_iter().map(|l| usize::try_from(l).unwrap_or(0).min(steps)).collect::<Vec<_>>())
            }
            Some(lengths) => {
                return Err(wrong("a recurrent layer has a length for each sequence", &[batch], lengths.shape()));
            }
            None => None,
        };
        let all = cx.check_shape(&[steps, count, batch, n])?;
        let mut h = self.states(args, 5, sizes, cx)?;
        let mut c = match self.kind {
            Kind::Lstm => self.states(args, 6, sizes, cx)?,
            _ => vec![0.0; h.len()],
        };
        let (items, w, r) = (floats(x)?, floats(w)?, floats(r)?);
        let bias = given(3).map(floats).transpose()?;
        let peepholes = peepholes.map(floats).transpose()?;
        let mut out = vec![0.0; all];
        for (d, &backwards) in self.backwards.iter().enumerate() {
            let weights = Weights {
                w: &w[d * rows * inputs..(d + 1) * rows * inputs],
                r: &r[d * rows * n..(d + 1) * rows * n],
                bias: bias.as_ref().map(|b| &b[d * 2 * rows..(d + 1) * 2 * rows]),
                peepholes: peepholes.as_ref().map(|p| &p[d * 3 * n..(d + 1) * 3 * n]),
            };
            for row in 0..batch {
                let length = lengths.as_ref().map_or(steps, |l| l[row]);
                let own = (d * batch + row) * n..(d * batch + row + 1) * n;
                for i in 0..length {
                    let step = if backwards { length - 1 - i } else { i };
                    let at = if self.batch_first { row * steps + step } else { step * batch + row };
                    let x = &items[at * inputs..(at + 1) * inputs];
                    self.step(d, &weights, sizes, x, &mut h[own.clone()], &mut c[own.clone()]);
                    let to = match self.batch_first {
                        true => (row * steps + step) * count + d,
                        false => (step * count + d) * batch + row,
                    };
                    out[to * n..(to + 1) * n].copy_from_slice(&h[own.clone()]);
                }
            }
        }
        let like = x.data();
        let state = |items: Vec<f64>| match self.batch_first {
            true => rounded(swapped(&items, [count, batch], n), [batch, count, n].as_slice(), like),
            false => rounded(items, [count, batch, n].as_slice(), like),
        };
        let shape = if self.batch_first { [batch, steps, count, n] } else { [steps, count, batch, n] };
        let all = rounded(out, shape.as_slice(), like);
        Ok(match self.kind {
            Kind::Lstm => smallvec![all, state(h), state(c)],
            _ => smallvec![all, state(h)],
        })
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let batch = usize::from(!self.batch_first);
        let own = |x: &Flow, axis: usize| (0..x.rank()).all(|a| a == axis || !x.varies(a));
        inputs.iter().enumerate().any(|(i, x)| match i {
            0 | 5 | 6 => !own(x, batch),
            4 => false,
            _ => x.any(),
        })
    }
}
