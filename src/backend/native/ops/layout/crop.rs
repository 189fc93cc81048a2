//! `CenterCropPad`: the middle of a tensor, cut or with zeros around it.

use smallvec::smallvec;

use super::Group;
use super::common::{Ints, axes_of, axis_of, no_sequence};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Item, Shape, Value, typed};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("CenterCropPad", build)];

#[derive(Debug)]
struct CenterCropPad {
    shape: Ints,
    axes: Option<Vec<i64>>,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(CenterCropPad { shape: Ints::input(node, 1)?, axes: node.ints("axes")?.map(<[i64]>::to_vec) }))
}

/// What of `items` (before, from, after) is in the middle of `to` places, the rest empty.
fn centred<T: Item>(items: &[T], [from, to, after]: [usize; 3], out: &mut Vec<T>) {
    for block in items.chunks_exact((from * after).max(1)).take(if from * after == 0 { 0 } else { usize::MAX }) {
        if to <= from {
            let first = (from - to) / 2;
            out.extend_from_slice(&block[first * after..(first + to) * after]);
        } else {
            let first = (to - from) / 2;
            out.resize(out.len() + first * after, T::default());
            out.extend_from_slice(block);
            out.resize(out.len() + (to - from - first) * after, T::default());
        }
    }
}

impl Op for CenterCropPad {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let wanted = self.shape.get(args)?;
        let axes: Vec<usize> = match &self.axes {
            Some(axes) => {
                axes_of(axes, value.rank())?;
                axes.iter().map(|&a| axis_of(a, value.rank())).collect::<Result<_>>()?
            }
            None => (0..value.rank()).collect(),
        };
        if wanted.len() != axes.len() {
            return Err(Error::new(ErrorKind::WrongShape, "CenterCropPad takes a length for each of its axes")
                .expected(axes.len())
                .actual(wanted.len()));
        }
        let mut shape = Shape::from_slice(value.shape());
        for (&axis, &length) in axes.iter().zip(wanted.iter()) {
            shape[axis] = usize::try_from(length).map_err(|_| {
                Error::new(ErrorKind::InvalidValue, "a length of CenterCropPad is negative").actual(length)
            })?;
        }
        let count = cx.check_shape(&shape)?;
        // Axes that are cut come first, so that nothing in between is larger than the answer or the input.
        let mut order = axes;
        order.sort_by_key(|&axis| shape[axis] > value.shape()[axis]);
        let answer = typed!(value.data(), T, items => {
            let mut now = Shape::from_slice(value.shape());
            let mut out: Vec<T> = items.to_vec();
            for &axis in order.iter().filter(|&&axis| shape[axis] != value.shape()[axis]) {
                let after = now[axis + 1..].iter().product();
                let mut next = Vec::new();
                centred(&out, [now[axis], shape[axis], after], &mut next);
                now[axis] = shape[axis];
                out = next;
            }
            // Out of nothing there is only padding.
            out.resize(count, T::default());
            Value::new(shape, out)
        }, _seq => return Err(no_sequence()));
        Ok(smallvec![answer])
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        let kept =
            outputs.iter().zip(inputs).all(|(o, x)| (0..2).all(|run| o.shapes[run].first() == x.shapes[run].first()));
        !kept || inputs.first().is_none_or(|x| !x.only_first()) || inputs.iter().skip(1).any(Flow::any)
    }
}
