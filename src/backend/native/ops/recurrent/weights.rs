//! The weights of recurrent layers, float or 8-bit, as packed products.

use std::borrow::Cow;

use crate::backend::native::node::Node;
use crate::backend::native::op::Scratch;
use crate::backend::native::ops::quant::linear::{push_rows, recycle};
use crate::backend::native::ops::quant::weights::{Weights, panels, small};
use crate::backend::native::value::{Data, Value};
use crate::kernel::bytes::{ByteMatrix, Bytes, Dot, NR, ToFloats};
use crate::kernel::{Isa, Left, Packed};
use crate::{Error, ErrorKind, Result};

/// The products of one direction.
#[derive(Debug)]
pub(super) struct Direction {
    /// (inputs, gates * n), with the biases that stand outside of the state's share.
    pub(super) input: Product,
    /// (n, gates * n), with the others.
    pub(super) state: Product,
}

/// Rows of floats times a constant matrix, plus a bias.
#[derive(Debug)]
pub(super) enum Product {
    Floats(Packed<f32>),
    /// Each row becomes 8-bit numbers by its own range. ONNX Runtime takes one range for all rows of a step; here rows stay
    /// independent.
    Bytes {
        matrix: ByteMatrix,
        scales: Vec<[f32; NR]>,
        bias: Vec<[f32; NR]>,
    },
}

impl Product {
    /// The rows and columns of the matrix.
    pub(super) fn shape(&self) -> [usize; 2] {
        match self {
            Self::Floats(packed) => [packed.k(), packed.n()],
            Self::Bytes { matrix, .. } => [matrix.k(), matrix.n()],
        }
    }

    /// The product of the `m` rows of `x`, appended to `out`.
    pub(super) fn multiply(&self, x: &[f32], m: usize, out: &mut Vec<f32>, cx: &mut Scratch) {
        let (matrix, scales, bias) = match self {
            Self::Floats(packed) => return packed.multiply(x, m, out),
            Self::Bytes { matrix, scales, bias } => (matrix, scales, bias),
        };
        let [k, n] = [matrix.k(), matrix.n()];
        let mut bytes = Bytes::new(matrix.dot(), cx.buffer(x.len() + 4), cx.buffer(0));
        let mut rows = cx.buffer::<f32>(m);
        push_rows(Isa::best(), x, k, &mut bytes, &mut rows);
        bytes.end();
        let start = out.len();
        out.resize(start + m * n, 0.0);
        let out = &mut out[start..];
        let finish = &mut ToFloats { n, rows: &rows, columns: scales, bias, relu: false, out };
        matrix.multiply(&bytes, Left::rows(m, k), finish);
        recycle(bytes, cx);
        cx.recycle_buffer(rows);
    }
}

/// The constant weights of all directions at one input of a node.
pub(super) struct Given<'n> {
    numbers: Numbers<'n>,
    pub(super) directions: usize,
    /// Gates times the length of a state.
    pub(super) rows: usize,
    pub(super) inputs: usize,
}

enum Numbers<'n> {
    /// (directions, rows, inputs).
    Floats(Cow<'n, [f32]>),
    /// (directions, inputs, rows), with a scale and a zero point for each direction's rows.
    Bytes { weights: Weights<'n>, scales: Vec<f32>, zeros: Vec<f32> },
}

impl Given<'_> {
    /// The product of direction `d`.
    fn pack(&self, d: usize, bias: &[f32]) -> Result<Product> {
        let (rows, inputs) = (self.rows, self.inputs);
        match &self.numbers {
            Numbers::Floats(items) => {
                let items = &items[d * rows * inputs..(d + 1) * rows * inputs];
                Ok(Product::Floats(Packed::new(inputs, rows, |i, j| items[j * inputs + i], Some(bias))))
            }
            Numbers::Bytes { weights, scales, zeros } => {
                let own = d * rows..(d + 1) * rows;
                let at = |_: usize, i: usize, j: usize| weights.at((d * inputs + i) * rows + j);
                let zeros = zeros[own.clone()].iter().map(|&z| small(z as i64)).collect::<Result<Vec<i32>>>()?;
                let matrix = ByteMatrix::new(Dot::best(), [1, inputs, rows], at, |j| zeros[j] - weights.moved());
                Ok(Product::Bytes { matrix, scales: panels(&scales[own], 0.0), bias: panels(bias, 0.0) })
            }
        }
    }
}

/// The constant float weights at input `i`.
pub(super) fn plain<'n>(node: &'n Node<'_>, i: usize) -> Result<Given<'n>> {
    let value = node.constant(i).ok_or_else(|| node.unsupported("a recurrent layer whose weights are computed"))?;
    let (Data::F32(items), &[directions, rows, inputs]) = (value.data(), value.shape()) else {
        return Err(node.unsupported("a recurrent layer of other weights than f32 with three axes"));
    };
    Ok(Given { numbers: Numbers::Floats(Cow::Borrowed(items)), directions, rows, inputs })
}

/// The constant 8-bit weights (directions, inputs, gates * n) at input `i`. Scale and zero point stand at `quantisation`,
/// one for each direction or for each of its columns.
pub(super) fn quantised<'n>(node: &'n Node<'_>, i: usize, quantisation: [usize; 2]) -> Result<Given<'n>> {
    let constant = |i: usize| {
        node.constant(i).ok_or_else(|| node.unsupported("a recurrent layer whose weights or scales are computed"))
    };
    let value = constant(i)?;
    let &[directions, inputs, rows] = value.shape() else {
        return Err(node.malformed("the weights of a recurrent layer have three axes"));
    };
    if inputs > 1 << 15 {
        return Err(node.unsupported("a quantised product takes rows of 1 to 32,768 numbers").actual(inputs));
    }
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
    let numbers = Numbers::Bytes { weights: Weights::of(value)?, scales, zeros };
    Ok(Given { numbers, directions, rows, inputs })
}

/// The directions' products. Of a direction's biases (those of the input, then those of the state) the ones from row
/// `state_from` on stay with the state, the others are added up beside the input.
pub(super) fn directions(
    node: &Node<'_>,
    w: &Given<'_>,
    r: &Given<'_>,
    n: usize,
    state_from: usize,
) -> Result<Vec<Direction>> {
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
        Ok(Direction { input: w.pack(d, &added)?, state: r.pack(d, &kept)? })
    };
    (0..w.directions).map(direction).collect()
}
