//! Recurrent layers with functions of their own, peepholes or computed weights, written out step by step.

use super::attention::number;
use super::learned::{floats, texts};
use super::network::misfit;
use super::values::{Packer, Value, unsupported};
use crate::Result;
use crate::edge::{Binary, Kind};
use crate::onnx::node::{float, int};
use crate::onnx::{NodeProto, builder};

/// A function of a gate: an operator, with its parameters.
struct Activation {
    operator: &'static str,
    alpha: f32,
    beta: f32,
}

/// The functions of all directions, in order. `activation_alpha` and `activation_beta` go to those that take them, one after
/// the other.
fn activations(node: &NodeProto, directions: usize) -> Result<Vec<Activation>> {
    let usual: &[&str] = match node.operator() {
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        "GRU" => &["Sigmoid", "Tanh"],
        _ => &["Tanh"],
    };
    let mut names = texts(node, "activations");
    if names.is_empty() {
        names = usual.repeat(directions).iter().map(|name| (*name).to_owned()).collect();
    }
    if names.len() != usual.len() * directions {
        return Err(misfit(node, "another number of functions than of gates"));
    }
    let (mut alphas, mut betas) =
        (floats(node, "activation_alpha").iter().copied(), floats(node, "activation_beta").iter().copied());
    let mut activation = |name: &String| {
        let (operator, alpha, beta) = match name.to_lowercase().as_str() {
            "relu" => ("Relu", None, None),
            "tanh" => ("Tanh", None, None),
            "sigmoid" => ("Sigmoid", None, None),
            "softsign" => ("Softsign", None, None),
            "softplus" => ("Softplus", None, None),
            "affine" => ("Affine", Some(1.0), Some(0.0)),
            "leakyrelu" => ("LeakyRelu", Some(0.01), None),
            "thresholdedrelu" => ("ThresholdedRelu", Some(1.0), None),
            "scaledtanh" => ("ScaledTanh", Some(1.0), Some(1.0)),
            "hardsigmoid" => ("HardSigmoid", Some(0.2), Some(0.5)),
            "elu" => ("Elu", Some(1.0), None),
            _ => return Err(unsupported(node, &format!("the function `{name}` of a gate"))),
        };
        let given = |list: &mut dyn Iterator<Item = f32>, default: Option<f32>| {
            default.map_or(0.0, |default| list.next().unwrap_or(default))
        };
        Ok(Activation { operator, alpha: given(&mut alphas, alpha), beta: given(&mut betas, beta) })
    };
    names.iter().map(&mut activation).collect()
}

/// What one direction has.
pub(super) struct Direction {
    /// (gates x hidden, width), (gates x hidden, hidden), and two of gates x hidden.
    pub(super) own: Value,
    pub(super) recurrent: Value,
    pub(super) bias: [Value; 2],
    /// Of the input, output and forget gates, hidden each.
    pub(super) peepholes: Option<Value>,
    /// Its number among `directions`.
    pub(super) d: usize,
    pub(super) directions: usize,
}

impl Packer {
    /// All states (steps, hidden) over `x` (steps, width), and the last state and cells, from those before (1, hidden).
    pub(super) fn unrolled(
        &mut self,
        node: &NodeProto,
        direction: &Direction,
        x: &Value,
        [mut state, mut cells]: [Value; 2],
    ) -> Result<[Value; 3]> {
        use Binary::{Add, Multiply, Subtract};
        let hidden = state.len();
        let all = activations(node, direction.directions)?;
        let functions = &all[direction.d * all.len() / direction.directions..];
        let turned = self.permuted(&direction.own, &[1, 0]);
        let sums = self.multiplied(node, x, &turned)?;
        let sums = self.zip(node, Add, &sums, &direction.bias[0], Kind::F32)?;
        let recurrent = self.permuted(&direction.recurrent, &[1, 0]);
        let columns = |packer: &mut Self, x: &Value, gate: usize| {
            let (rows, width) = x.rows();
            let places: Vec<usize> =
                (0..rows).flat_map(|row| (0..hidden).map(move |i| row * width + gate * hidden + i)).collect();
            packer.arranged(x, &[rows, hidden], &places)
        };
        let row = |packer: &mut Self, x: &Value, row: usize| {
            let width = x.rows().1;
            let places: Vec<usize> = (row * width..(row + 1) * width).collect();
            packer.arranged(x, &[1, width], &places)
        };
        let bias = Value { shape: vec![1, direction.bias[1].len()], ..direction.bias[1].clone() };
        let mut states = Vec::new();
        for t in 0..x.shape[0] {
            let given = row(self, &sums, t);
            let before = self.multiplied(node, &state, &recurrent)?;
            let before = self.zip(node, Add, &before, &bias, Kind::F32)?;
            let gate = |packer: &mut Self, gate: usize, f: usize, cells: Option<&Value>| -> Result<Value> {
                let (own, other) = (columns(packer, &given, gate), columns(packer, &before, gate));
                let mut sum = packer.zip(node, Add, &own, &other, Kind::F32)?;
                if let (Some(cells), Some(peepholes)) = (cells, &direction.peepholes) {
                    let peephole = columns(packer, peepholes, gate);
                    let seen = packer.zip(node, Multiply, cells, &peephole, Kind::F32)?;
                    sum = packer.zip(node, Add, &sum, &seen, Kind::F32)?;
                }
                packer.gated(node, &functions[f], sum)
            };
            match node.operator() {
                "LSTM" => {
                    let input = gate(self, 0, 0, Some(&cells))?;
                    let forget = if int(node, "input_forget", 0) != 0 {
                        self.zip(node, Subtract, &number(1.0), &input, Kind::F32)?
                    } else {
                        gate(self, 2, 0, Some(&cells))?
                    };
                    let new = gate(self, 3, 1, None)?;
                    let kept = self.zip(node, Multiply, &forget, &cells, Kind::F32)?;
                    let more = self.zip(node, Multiply, &input, &new, Kind::F32)?;
                    cells = self.zip(node, Add, &kept, &more, Kind::F32)?;
                    let output = gate(self, 1, 0, Some(&cells))?;
                    let shown = self.function(node, &functions[2], &cells)?;
                    state = self.zip(node, Multiply, &output, &shown, Kind::F32)?;
                }
                "GRU" => {
                    let (update, reset) = (gate(self, 0, 0, None)?, gate(self, 1, 0, None)?);
                    let own = columns(self, &given, 2);
                    let other = if int(node, "linear_before_reset", 0) != 0 {
                        let before = columns(self, &before, 2);
                        self.zip(node, Multiply, &reset, &before, Kind::F32)?
                    } else {
                        let kept = self.zip(node, Multiply, &reset, &state, Kind::F32)?;
                        let weights = columns(self, &recurrent, 2);
                        let product = self.multiplied(node, &kept, &weights)?;
                        let bias = columns(self, &bias, 2);
                        self.zip(node, Add, &product, &bias, Kind::F32)?
                    };
                    let sum = self.zip(node, Add, &own, &other, Kind::F32)?;
                    let new = self.gated(node, &functions[1], sum)?;
                    // (1 - z) new + z h
                    let apart = self.zip(node, Subtract, &state, &new, Kind::F32)?;
                    let moved = self.zip(node, Multiply, &update, &apart, Kind::F32)?;
                    state = self.zip(node, Add, &new, &moved, Kind::F32)?;
                }
                _ => state = gate(self, 0, 0, None)?,
            }
            states.push(state.clone());
        }
        Ok([self.concat(node, &states, 0)?, state, cells])
    }

    /// The function of a gate, of what is bounded by `clip`.
    fn gated(&mut self, node: &NodeProto, f: &Activation, mut x: Value) -> Result<Value> {
        if node.find_attribute("clip").is_some() {
            let clip = float(node, "clip", 0.0);
            for (f, by) in [(Binary::Maximum, -clip), (Binary::Minimum, clip)] {
                x = self.zip(node, f, &x, &number(by), Kind::F32)?;
            }
        }
        self.function(node, f, &x)
    }

    fn function(&mut self, node: &NodeProto, f: &Activation, x: &Value) -> Result<Value> {
        let times =
            |packer: &mut Self, x: &Value, by: f32| packer.zip(node, Binary::Multiply, x, &number(by), Kind::F32);
        match f.operator {
            "Affine" => {
                let scaled = times(self, x, f.alpha)?;
                self.zip(node, Binary::Add, &scaled, &number(f.beta), Kind::F32)
            }
            "ScaledTanh" => {
                let scaled = times(self, x, f.beta)?;
                let tanh = self.map(crate::edge::Unary::Tanh, &scaled, Kind::F32);
                times(self, &tanh, f.alpha)
            }
            operator => {
                // Names that no file can give.
                let names = [format!("{} x", node.label()), format!("{} y", node.label())];
                let attributes = [builder::float("alpha", f.alpha), builder::float("beta", f.beta)];
                let lone = builder::node(operator, "", &[&names[0]], &[&names[1]], attributes);
                self.values.insert(names[0].clone(), x.clone());
                self.standard(&lone)?;
                self.values.remove(&names[0]);
                self.values.remove(&names[1]).ok_or_else(|| misfit(node, "a function without an answer"))
            }
        }
    }
}
