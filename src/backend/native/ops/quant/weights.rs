//! 8-bit weights and their scales, read from constants.

use crate::backend::native::node::Node;
use crate::backend::native::value::{Data, Value};
use crate::kernel::bytes::{ByteMatrix, Dot, NR};
use crate::{Error, ErrorKind, Result};

/// A constant of 8-bit numbers.
#[derive(Debug, Clone, Copy)]
pub(in crate::backend::native::ops) enum Weights<'a> {
    Unsigned(&'a [u8]),
    Signed(&'a [i8]),
}

impl<'a> Weights<'a> {
    /// The weights in `value`.
    pub(in crate::backend::native::ops) fn of(value: &'a Value<'_>) -> Result<Self> {
        match value.data() {
            Data::U8(items) => Ok(Self::Unsigned(items)),
            Data::I8(items) => Ok(Self::Signed(items)),
            _ => Err(value.type_error("u8 or i8")),
        }
    }

    /// Weight `i` as i8: u8 are moved down by 128, and so are their zero points.
    #[inline(always)]
    pub(in crate::backend::native::ops) fn at(self, i: usize) -> i8 {
        match self {
            Self::Unsigned(items) => (items[i] ^ 0x80) as i8,
            Self::Signed(items) => items[i],
        }
    }

    /// How far weights were moved down.
    pub(in crate::backend::native::ops) fn moved(self) -> i32 {
        match self {
            Self::Unsigned(_) => 128,
            Self::Signed(_) => 0,
        }
    }
}

/// One number for each of `n` columns, from a value that holds one for each or one for all.
pub(in crate::backend::native::ops) fn spread<T: Copy>(items: &[T], n: usize, what: &str) -> Result<Vec<T>> {
    match items {
        [one] => Ok(vec![*one; n]),
        all if all.len() == n => Ok(all.to_vec()),
        all => Err(Error::new(ErrorKind::WrongShape, format!("{what} of a quantised product do not fit its columns"))
            .expected(format!("1 or {n}"))
            .actual(all.len())),
    }
}

/// A zero point, which must be one of 8 bits.
pub(in crate::backend::native::ops) fn small(zero: i64) -> Result<i32> {
    i32::try_from(zero).ok().filter(|z| (-128..=255).contains(z)).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "the zero point of a quantised product is not one of 8 bits").actual(zero)
    })
}

/// The zero points of `n` columns; none given are zeros.
pub(in crate::backend::native::ops) fn zeros(value: Option<&Value<'_>>, n: usize) -> Result<Vec<i32>> {
    let Some(value) = value else { return Ok(vec![0; n]) };
    let items = value.to_i64s()?.into_iter().map(small).collect::<Result<Vec<i32>>>()?;
    spread(&items, n, "the zero points")
}

/// Numbers in whole panels, filled up with `fill`.
pub(in crate::backend::native::ops) fn panels<T: Copy>(items: &[T], fill: T) -> Vec<[T; NR]> {
    items
        .chunks(NR)
        .map(|chunk| {
            let mut panel = [fill; NR];
            panel[..chunk.len()].copy_from_slice(chunk);
            panel
        })
        .collect()
}

/// The matrix (k, n) in a value, or its transpose (n, k), packed.
pub(in crate::backend::native::ops) fn matrix(
    node: &Node<'_>,
    value: &Value<'_>,
    zero: Option<&Value<'_>>,
    transposed: bool,
) -> Result<ByteMatrix> {
    let &[rows, columns] = value.shape() else {
        return Err(node.unsupported("a quantised product takes constant weights with two axes"));
    };
    let weights = Weights::of(value)?;
    let (k, n) = if transposed { (columns, rows) } else { (rows, columns) };
    if k == 0 || k > 1 << 15 {
        return Err(node.unsupported("a quantised product takes rows of 1 to 32,768 numbers").actual(k));
    }
    let zeros = zeros(zero, n)?;
    let at = |_: usize, i: usize, j: usize| weights.at(if transposed { j * columns + i } else { i * columns + j });
    Ok(ByteMatrix::new(Dot::best(), [1, k, n], at, |j| zeros[j] - weights.moved()))
}
