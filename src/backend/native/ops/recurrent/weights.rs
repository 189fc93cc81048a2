//! The weights of recurrent layers, float or 8-bit, as packed products.

use crate::backend::native::node::Node;
use crate::backend::native::value::{Data, Value};
use crate::kernel::Packed;
use crate::{Error, ErrorKind, Result};

/// The products of one direction.
#[derive(Debug)]
pub(super) struct Direction {
    /// (inputs, gates * n), with the biases that stand outside of the state's share.
    pub(super) input: Packed<f32>,
    /// (n, gates * n), with the others.
    pub(super) state: Packed<f32>,
}

/// Weights (directions, gates * n, inputs) as floats.
pub(super) struct Plain {
    pub(super) items: Vec<f32>,
    pub(super) directions: usize,
    pub(super) rows: usize,
    pub(super) inputs: usize,
}

/// The constant float weights at input `i`.
pub(super) fn plain(node: &Node<'_>, i: usize) -> Result<Plain> {
    let value = node.constant(i).ok_or_else(|| node.unsupported("a recurrent layer whose weights are computed"))?;
    let (Data::F32(items), &[directions, rows, inputs]) = (value.data(), value.shape()) else {
        return Err(node.unsupported("a recurrent layer of other weights than f32 with three axes"));
    };
    Ok(Plain { items: items.to_vec(), directions, rows, inputs })
}

/// The constant 8-bit weights (directions, inputs, gates * n) at input `i`, as floats. Scale and zero point stand at
/// `quantisation`, one for each direction or for each of its columns.
///
/// ONNX Runtime also rounds the inputs of every step to 8 bits over a range taken from the whole batch; that is left out,
/// so that rows stay independent.
pub(super) fn dequantised(node: &Node<'_>, i: usize, quantisation: [usize; 2]) -> Result<Plain> {
    let constant = |i: usize| {
        node.constant(i).ok_or_else(|| node.unsupported("a recurrent layer whose weights or scales are computed"))
    };
    let value = constant(i)?;
    let &[directions, inputs, rows] = value.shape() else {
        return Err(node.malformed("the weights of a recurrent layer have three axes"));
    };
    let bytes: Vec<f32> = match value.data() {
        Data::U8(items) => items.iter().map(|&b| b.into()).collect(),
        Data::I8(items) => items.iter().map(|&b| b.into()).collect(),
        _ => return Err(value.type_error("u8 or i8")),
    };
    let of = |value: &Value<'_>| -> Result<Vec<f32>> {
        let all = value.to_f32s()?;
        match all.len() {
            1 => Ok(vec![all[0]; directions * rows]),
            n if n == directions => Ok(all.iter().flat_map(|&v| std::iter::repeat_n(v, rows)).collect()),
            n if n == directions * rows => Ok(all),
            n => Err(Error::new(ErrorKind::WrongShape, "a recurrent layer has another number of scales than columns")
                .expected(directions * rows)
                .actual(n)),
        }
    };
    let scales = of(constant(quantisation[0])?)?;
    let zeros = match node.has_input(quantisation[1]) {
        true => of(constant(quantisation[1])?)?,
        false => vec![0.0; directions * rows],
    };
    let mut items = vec![0.0; bytes.len()];
    for (at, item) in items.iter_mut().enumerate() {
        let (d, row, input) = (at / (rows * inputs), at / inputs % rows, at % inputs);
        let column = d * rows + row;
        *item = (bytes[(d * inputs + input) * rows + row] - zeros[column]) * scales[column];
    }
    Ok(Plain { items, directions, rows, inputs })
}

/// The directions' products. Of a direction's biases (those of the input, then those of the state) the ones from row
/// `state_from` on stay with the state, the others are added up beside the input.
pub(super) fn directions(node: &Node<'_>, w: &Plain, r: &Plain, n: usize, state_from: usize) -> Result<Vec<Direction>> {
    let rows = w.rows;
    if r.rows != rows || r.inputs != n || r.directions != w.directions {
        return Err(node.malformed("the weights of a recurrent layer do not fit each other"));
    }
    let biases = match node.has_input(3) {
        true => node
            .constant(3)
            .and_then(|b| b.try_slice::<f32>())
            .filter(|b| b.len() == 2 * rows * w.directions)
            .ok_or_else(|| node.unsupported("a recurrent layer whose biases are computed"))?
            .to_vec(),
        false => vec![0.0; 2 * rows * w.directions],
    };
    let direction = |d: usize| {
        let (of_input, of_state) = biases[2 * d * rows..2 * (d + 1) * rows].split_at(rows);
        let mut kept = of_state.to_vec();
        let mut added = of_input.to_vec();
        for (i, bias) in added.iter_mut().enumerate().take(state_from) {
            *bias += std::mem::take(&mut kept[i]);
        }
        let pack = |all: &Plain, bias: &[f32]| {
            let items = &all.items[d * rows * all.inputs..(d + 1) * rows * all.inputs];
            Packed::new(all.inputs, rows, |i, j| items[j * all.inputs + i], Some(bias))
        };
        Direction { input: pack(w, &added), state: pack(r, &kept) }
    };
    Ok((0..w.directions).map(direction).collect())
}
