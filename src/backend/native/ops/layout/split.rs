//! Split.

use super::Group;
use super::common::{Ints, around, axis_of, no_sequence};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Shape, Value, typed};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Split", build)];

/// The pieces of input 0 along an axis.
#[derive(Debug)]
struct Split {
    axis: i64,
    lengths: Ints,
    /// The number of pieces where no lengths are given.
    pieces: usize,
    /// Whether the last piece may be shorter.
    ragged: bool,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let lengths = Ints::either(node, "split", 1)?;
    let asked = node.int("num_outputs")?;
    if asked.is_some() && !lengths.is_absent() {
        return Err(node.malformed("Split has both `num_outputs` and lengths"));
    }
    if asked.is_some_and(|n| usize::try_from(n) != Ok(node.outputs())) {
        return Err(node.malformed("`num_outputs` of Split is not the number of its outputs"));
    }
    if let Some(known) = lengths.known() {
        if known.iter().any(|&n| n < 0) {
            return Err(node.malformed("a length of Split is negative"));
        }
        if known.len() != node.outputs() {
            return Err(node.malformed("Split does not have as many lengths as outputs"));
        }
    }
    Ok(Box::new(Split {
        axis: node.int_or("axis", 0)?,
        lengths,
        pieces: node.outputs().max(1),
        ragged: asked.is_some(),
    }))
}

impl Split {
    /// The length of each piece of a dimension of `dim`.
    fn lengths(&self, dim: usize, args: &Args<'_, '_>) -> Result<Vec<usize>> {
        let bad = || {
            Error::new(ErrorKind::WrongShape, "Split can't divide the axis this way")
                .expected(match self.lengths.known() {
                    Some(lengths) => format!("{lengths:?}"),
                    None => format!("{} pieces", self.pieces),
                })
                .actual(dim)
        };
        if let Some(lengths) = self.lengths.opt(args)? {
            let lengths: Vec<usize> = lengths
                .iter()
                .map(|&n| usize::try_from(n).ok().filter(|&n| n <= dim).ok_or_else(bad))
                .collect::<Result<_>>()?;
            let sum = lengths.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
            return if sum == Some(dim) && lengths.len() == self.pieces { Ok(lengths) } else { Err(bad()) };
        }
        if dim.is_multiple_of(self.pieces) {
            return Ok(vec![dim / self.pieces; self.pieces]);
        }
        let each = dim.div_ceil(self.pieces);
        match dim.checked_sub(each * (self.pieces - 1)) {
            Some(last) if self.ragged => {
                let mut lengths = vec![each; self.pieces];
                lengths[self.pieces - 1] = last;
                Ok(lengths)
            }
            _ => Err(bad()),
        }
    }
}

impl Op for Split {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let axis = axis_of(self.axis, value.rank())?;
        let lengths = self.lengths(value.shape()[axis], args)?;
        pieces(value, axis, &lengths, cx)
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|i| i.varies_signed(self.axis)) && self.pieces > 1
    }
}

/// The pieces of these lengths, which add up to the dimension, along `axis`.
pub(in crate::backend::native::ops) fn pieces<'v>(
    value: &Value<'_>,
    axis: usize,
    lengths: &[usize],
    cx: &mut Scratch,
) -> Result<Outs<'v>> {
    let (outer, dim, inner) = around(value.shape(), axis);
    let mut from = 0;
    typed!(value.data(), T, items => {
        let mut outs = Outs::with_capacity(lengths.len());
        for &n in lengths {
            let mut shape = Shape::from_slice(value.shape());
            shape[axis] = n;
            let mut out = cx.buffer::<T>(outer * n * inner);
            for block in 0..outer {
                let start = (block * dim + from) * inner;
                out.extend_from_slice(&items[start..start + n * inner]);
            }
            from += n;
            outs.push(Value::new(shape, out));
        }
        Ok(outs)
    }, _seq => Err(no_sequence()))
}
