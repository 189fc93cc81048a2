//! Where along an axis the extreme element stands.

use smallvec::smallvec;

use super::axes::{self, axis_of};
use super::dispatch::numbers;
use super::num::Num;
use crate::backend::native::chain::{ElementsMut, Filling, Handed};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Shape, Value};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("ArgMax", |n| build(n, true)), ("ArgMin", |n| build(n, false))];

/// The index of the largest or smallest element along an axis. Elements are compared in order with the best one so far,
/// so that NaN at the start wins and loses elsewhere, as in ONNX Runtime.
#[derive(Debug)]
struct ArgExtreme {
    largest: bool,
    axis: i64,
    keep: bool,
    /// Whether the last one of equal elements counts, not the first.
    last: bool,
}

fn build(node: &Node<'_>, largest: bool) -> Result<Box<dyn Op>> {
    Ok(Box::new(ArgExtreme {
        largest,
        axis: node.int_or("axis", 0)?,
        keep: node.flag("keepdims", true)?,
        last: node.flag("select_last_index", false)?,
    }))
}

impl Op for ArgExtreme {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let axis = axis_of(self.axis, value.rank())?;
        let [before, along, after] = axes::around(value.shape(), axis);
        if along == 0 && before > 0 && after > 0 {
            return Err(Error::new(ErrorKind::WrongShape, "there is no largest or smallest element of none"));
        }
        let mut shape = Shape::from_slice(value.shape());
        if self.keep {
            shape[axis] = 1;
        } else {
            shape.remove(axis);
        }
        let mut out = cx.stale::<i64>(cx.check_shape(&shape)?);
        numbers!(value.data(), T, items => self.find::<T>(items, [along, after], &mut out), return Err(value.type_error("a number")));
        Ok(smallvec![Value::new(shape, out)])
    }

    fn fill(&self, rows: Filling<'_, '_>, _cx: &mut Scratch) -> Option<Result<()>> {
        // Rows that don't look at each other can only be groups by themselves.
        let (m, x, [ElementsMut::I64(out)]) = (rows.m, f32::read(rows.x)?, rows.out) else { return None };
        if !matches!(self.axis, 1 | -1) || out.len() != m || x.len() < m {
            return None;
        }
        self.find(x, [x.len() / m.max(1), 1], out);
        Some(Ok(()))
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|x| x.varies_signed(self.axis))
    }
}

impl ArgExtreme {
    /// Writes the index of the best element of each group of `along` elements, of which `after` groups interleave, to `out`.
    fn find<T: Num>(&self, items: &[T], [along, after]: [usize; 2], out: &mut [i64]) {
        match (self.largest, self.last) {
            (true, false) => find(items, along, after, |x, best| x > best, out),
            (true, true) => find(items, along, after, |x, best| x >= best, out),
            (false, false) => find(items, along, after, |x, best| x < best, out),
            (false, true) => find(items, along, after, |x, best| x <= best, out),
        }
    }
}

fn find<T: Num>(items: &[T], along: usize, after: usize, better: impl Fn(T, T) -> bool, out: &mut [i64]) {
    if items.is_empty() {
        return;
    }
    if after == 1 {
        for (run, at) in items.chunks_exact(along).zip(out) {
            let mut best = (0, run[0]);
            for (i, &x) in run.iter().enumerate().skip(1) {
                if better(x, best.1) {
                    best = (i, x);
                }
            }
            *at = best.0 as i64;
        }
        return;
    }
    for (block, out) in items.chunks_exact(along * after).zip(out.chunks_exact_mut(after)) {
        let mut best = block[..after].to_vec();
        out.fill(0);
        for (i, layer) in block.chunks_exact(after).enumerate().skip(1) {
            for ((&x, best), at) in layer.iter().zip(&mut best).zip(&mut *out) {
                if better(x, *best) {
                    (*best, *at) = (x, i as i64);
                }
            }
        }
    }
}
