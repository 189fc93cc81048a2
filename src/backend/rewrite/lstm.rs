//! `DynamicQuantizeLSTM`: an LSTM whose weights are 8-bit numbers.
//!
//! The weights become float32 once, at load, and the node a standard LSTM. ONNX Runtime also rounds the inputs of every
//! step to 8 bits over a range taken from the whole batch; that is left out, so that rows stay independent.

use super::Rule;
use super::qdq::weights as reals;
use super::site::Site;
use crate::Result;

pub(super) const RULES: &[(&str, &str, Rule)] = &[("com.microsoft", "DynamicQuantizeLSTM", lstm)];
/// Of what tract has in part.
pub(super) const KEPT: &[(&str, &str, Rule)] = &[("", "RNN", rnn)];

/// Left to tract (0.23.9) with the activation that it computes; others come out wrong.
fn rnn(site: &mut Site<'_>) -> Result<()> {
    let activations = site.node().find_attribute("activations").map_or(&[][..], |a| &a.strings);
    if activations.iter().any(|name| !name.eq_ignore_ascii_case(b"Tanh")) {
        return Err(site.unsupported("the backend `tract` takes RNN with the activation `Tanh` alone"));
    }
    site.keep();
    Ok(())
}

fn lstm(site: &mut Site<'_>) -> Result<()> {
    let x = site.required(0)?;
    let w = weights(site, site.required(1)?, [site.required(8)?, site.input(9)])?;
    let r = weights(site, site.required(2)?, [site.required(10)?, site.input(11)])?;
    // Bias, lengths, first hidden and cell state, peepholes.
    let mut inputs = vec![x, &w, &r];
    inputs.extend((3..8).map(|i| site.input(i)));
    while inputs.last() == Some(&"") {
        inputs.pop();
    }
    let kept =
        ["activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "input_forget"];
    let attributes = site.attributes(&kept);
    site.last("LSTM", &inputs, attributes);
    Ok(())
}

/// 8-bit weights (directions, n, 4 h) with a scale for each direction, or for each of its columns, as float32
/// (directions, 4 h, n).
fn weights(site: &mut Site<'_>, name: &str, [scale, zero]: [&str; 2]) -> Result<String> {
    let dims = site.values(name)?.dims;
    let [directions, n, columns] = dims[..] else {
        return Err(site.malformed("the weights of an LSTM have three axes"));
    };
    let values = reals(site, name)?;
    let scales = reals(site, scale)?;
    let zeros = if zero.is_empty() { vec![0.0] } else { reals(site, zero)? };
    let of = |all: &[f32], direction: usize, column: usize| match all.len() {
        1 => Some(all[0]),
        len if len == directions => Some(all[direction]),
        len if len == directions * columns => Some(all[direction * columns + column]),
        _ => None,
    };
    let mut turned = Vec::with_capacity(values.len());
    for direction in 0..directions {
        for column in 0..columns {
            let (Some(scale), Some(zero)) = (of(&scales, direction, column), of(&zeros, direction, column)) else {
                return Err(site.malformed("an LSTM has another number of scales than of directions or columns"));
            };
            let first = direction * n * columns + column;
            turned.extend((0..n).map(|row| (values[first + row * columns] - zero) * scale));
        }
    }
    site.tensor("weights", &[directions, columns, n], turned)
}
