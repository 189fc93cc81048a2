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
    pub(super) fn mask(&self, args: &Args<'_, '_>, rank: usize, all: bool) -> Result<Mask> {
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

/// Some of the axes of a tensor, a bit each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask(u64);

impl Mask {
    /// Whether `axis` is one of them.
    pub(super) fn has(self, axis: usize) -> bool {
        self.0 >> axis & 1 == 1
    }

    /// `shape` with these axes of length 1.
    pub(super) fn ones_in(self, shape: &[usize]) -> Shape {
        let mut kept = Shape::from_slice(shape);
        kept.iter_mut().enumerate().filter(|(axis, _)| self.has(*axis)).for_each(|(_, d)| *d = 1);
        kept
    }

    /// `shape` without these axes.
    pub(super) fn out_of(self, shape: &[usize]) -> Shape {
        let mut left = Shape::new();
        for (axis, &d) in shape.iter().enumerate() {
            if !self.has(axis) {
                left.push(d);
            }
        }
        left
    }
}

fn mask(axes: &[i64], rank: usize, all: bool) -> Result<Mask> {
    if rank > u64::BITS as usize {
        return Err(Error::new(ErrorKind::Unsupported, "a reduction of a tensor of more than 64 axes").actual(rank));
    }
    if axes.is_empty() {
        return Ok(Mask(if all { u64::MAX } else { 0 }));
    }
    let mut mask = 0;
    // A scalar has no axis to name; files name its first one all the same.
    for &axis in axes.iter().filter(|&&axis| rank > 0 || !(-1..=0).contains(&axis)) {
        mask |= 1 << axis_of(axis, rank)?;
    }
    Ok(Mask(mask))
}
