//! Axes of a tensor as attributes and inputs name them.

use smallvec::SmallVec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow};
use crate::backend::native::value::Shape;
use crate::{Error, ErrorKind, Result};

/// One axis of a tensor of `rank` axes; negative ones count from the end.
///
/// # Errors
/// [`ErrorKind::WrongShape`] when there is no such axis.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize> {
    let from_start = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(from_start).ok().filter(|&a| a < rank).ok_or_else(|| {
        Error::new(ErrorKind::WrongShape, "an operator names an axis that its input does not have")
            .expected(format!("one of {rank} axes"))
            .actual(axis)
    })
}

/// The number of elements that axes of these lengths hold, which can only overflow where another axis has length 0.
pub(super) fn product(lengths: &[usize]) -> usize {
    lengths.iter().fold(1, |n, &d| n.saturating_mul(d))
}

/// The number of elements before, along and after an axis.
pub(super) fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [product(&shape[..axis]), shape[axis], product(&shape[axis + 1..])]
}

/// The axes that a reduction takes together.
#[derive(Debug)]
pub(super) enum Axes {
    /// These; when there are none, all or none, as the operator says.
    Fixed(SmallVec<[i64; 4]>),
    /// Those that input `i` gives.
    Input(usize),
}

impl Axes {
    /// The attribute `axes`, or the input `i`, which is usually constant.
    pub(super) fn of(node: &Node<'_>, i: usize) -> Result<Self> {
        if let Some(axes) = node.ints("axes")? {
            return Ok(Self::Fixed(SmallVec::from_slice(axes)));
        }
        match node.constant(i) {
            Some(constant) => Ok(Self::Fixed(SmallVec::from_vec(constant.to_i64s()?))),
            None if node.has_input(i) => Ok(Self::Input(i)),
            None => Ok(Self::Fixed(SmallVec::new())),
        }
    }

    /// Which axes of a shape of `rank` axes are meant; `all` or none when none is named.
    pub(super) fn mask(&self, args: &Args<'_, '_>, rank: usize, all: bool) -> Result<SmallVec<[bool; 4]>> {
        match self {
            Self::Fixed(axes) => mask(axes, rank, all),
            Self::Input(i) => mask(&args.get(*i)?.to_i64s()?, rank, all),
        }
    }

    /// Whether one of the axes varies with the batch; `all` says what no axes mean.
    pub(super) fn vary(&self, input: Option<&Flow>, all: bool) -> bool {
        let Some(input) = input else { return false };
        match self {
            Self::Fixed(axes) if axes.is_empty() => all && input.any(),
            Self::Fixed(axes) => axes.iter().any(|&axis| input.varies_signed(axis)),
            Self::Input(_) => input.any(),
        }
    }
}

fn mask(axes: &[i64], rank: usize, all: bool) -> Result<SmallVec<[bool; 4]>> {
    let mut mask = SmallVec::from_elem(axes.is_empty() && all, rank);
    // A scalar has no axis to name; files name its first one all the same.
    for &axis in axes.iter().filter(|&&axis| rank > 0 || !(-1..=0).contains(&axis)) {
        mask[axis_of(axis, rank)?] = true;
    }
    Ok(mask)
}

/// `shape` with the axes in `mask` of length 1.
pub(super) fn with_ones(shape: &[usize], mask: &[bool]) -> Shape {
    shape.iter().zip(mask).map(|(&d, &gone)| if gone { 1 } else { d }).collect()
}

/// `shape` without the axes in `mask`.
pub(super) fn without(shape: &[usize], mask: &[bool]) -> Shape {
    shape.iter().zip(mask).filter(|(_, gone)| !**gone).map(|(&d, _)| d).collect()
}
