//! Softmax, its logarithm and its limit.

use smallvec::smallvec;

use super::axes::{self, axis_of};
use super::dispatch;
use super::float_work::{FloatWork, with_floats};
use super::num::Float;
use super::reduce::{self, Fold, Max, total};
use crate::backend::native::chain::Filling;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::kernel::{self, Isa};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[
    ("Softmax", |n| build(n, Kind::Soft)),
    ("LogSoftmax", |n| build(n, Kind::Log)),
    ("Hardmax", |n| build(n, Kind::Hard)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Soft,
    Log,
    Hard,
}

/// Groups of elements brought to a distribution.
#[derive(Debug)]
pub(crate) struct Softmax {
    kind: Kind,
    axis: i64,
    /// Whether the axes from `axis` on form one group, as before operator set 13.
    flat: bool,
}

fn build(node: &Node<'_>, kind: Kind) -> Result<Box<dyn Op>> {
    let flat = node.opset() < 13;
    Ok(Box::new(Softmax { kind, axis: node.int_or("axis", if flat { 1 } else { -1 })?, flat }))
}

impl Softmax {
    /// The number of groups before, the elements of a group, and the groups that lie between two of its elements.
    fn groups(&self, shape: &[usize]) -> Result<[usize; 3]> {
        if !self.flat {
            // A scalar is a group of its own.
            let axis = axis_of(self.axis, shape.len().max(1))?;
            return Ok(if shape.is_empty() { [1; 3] } else { axes::around(shape, axis) });
        }
        let rank = shape.len() as i64;
        let axis = if self.axis < 0 { self.axis.saturating_add(rank) } else { self.axis };
        match usize::try_from(axis) {
            Ok(axis) if axis <= shape.len() => Ok([axes::product(&shape[..axis]), axes::product(&shape[axis..]), 1]),
            _ => Err(Error::new(ErrorKind::WrongShape, "an operator names an axis that its input does not have")
                .expected(format!("one of {rank} axes"))
                .actual(self.axis)),
        }
    }
}

impl Op for Softmax {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        Ok(smallvec![with_floats(self, value, cx)?])
    }

    fn fill(&self, rows: Filling<'_, '_>, cx: &mut Scratch) -> Option<Result<()>> {
        // Rows that don't look at each other can only be groups by themselves.
        let (m, items) = (rows.m, rows.in_place()?);
        let along = items.len() / m.max(1);
        matches!(self.axis, 1 | -1).then(|| self.work(items, &[m, along], cx))
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let Some(x) = inputs.first() else { return false };
        if !self.flat {
            return x.varies_signed(self.axis);
        }
        let first = if self.axis < 0 { self.axis.saturating_add(x.rank() as i64) } else { self.axis };
        (usize::try_from(first).unwrap_or(0)..x.rank()).any(|axis| x.varies(axis))
    }
}

impl FloatWork for Softmax {
    fn work<F: Float>(&self, items: &mut [F], shape: &[usize], _cx: &mut Scratch) -> Result<()> {
        let [_, along, after] = self.groups(shape)?;
        match self.kind {
            Kind::Soft if after == 1 => softmax_rows(items, along),
            Kind::Log if after == 1 => log_softmax_rows(items, along),
            Kind::Soft => groups(items, along, after, |run| softmax_rows(run, along)),
            Kind::Log => groups(items, along, after, |run| log_softmax_rows(run, along)),
            Kind::Hard => groups(items, along, after, hardmax),
        }
        Ok(())
    }
}

/// Calls `f` with every group of `along` elements, of which `after` groups interleave.
pub(super) fn groups<F: Float>(items: &mut [F], along: usize, after: usize, f: impl Fn(&mut [F])) {
    if items.is_empty() {
        return;
    }
    if after == 1 {
        return items.chunks_exact_mut(along).for_each(f);
    }
    let mut group = Vec::with_capacity(along);
    for block in items.chunks_exact_mut(along * after) {
        for first in 0..after {
            group.clear();
            group.extend(block[first..].iter().step_by(after));
            f(&mut group);
            block[first..].iter_mut().step_by(after).zip(&group).for_each(|(x, y)| *x = *y);
        }
    }
}

/// Takes the largest element of each row of `n` off all of it, so that no power overflows.
#[inline(always)]
fn lowered<F: Float>(items: &mut [F], n: usize) {
    for run in items.chunks_exact_mut(n) {
        let most = reduce::fold_run::<F, Max>(run);
        run.iter_mut().for_each(|x| *x = x.minus(most));
    }
}

/// e^x over its sum, in place, for rows of `n` elements.
pub(crate) fn softmax_rows<F: Float>(items: &mut [F], n: usize) {
    if n == 0 {
        return;
    }
    if let Some(items) = F::singles(items) {
        return kernel::softmax_rows(Isa::best(), items, n);
    }
    lowered(items, n);
    // All rows at once: they may be shorter than a register.
    items.iter_mut().for_each(|x| *x = x.exp());
    for run in items.chunks_exact_mut(n) {
        let scale = F::ONE.over(total(run, |x| x));
        run.iter_mut().for_each(|x| *x = x.times(scale));
    }
}

/// x - ln(sum of e^x), in place, for rows of `n` elements.
fn log_softmax_rows<F: Float>(items: &mut [F], n: usize) {
    /// Elements whose powers are kept at a time.
    const BLOCK: usize = 4096;
    if n == 0 {
        return;
    }
    lowered(items, n);
    let mut powers = Vec::with_capacity(items.len().min(BLOCK.max(n)));
    for block in items.chunks_mut((BLOCK / n).max(1) * n) {
        powers.clear();
        powers.extend(block.iter().map(|x| x.exp()));
        for (run, powers) in block.chunks_exact_mut(n).zip(powers.chunks_exact(n)) {
            let sum = total(powers, |x| x).ln();
            run.iter_mut().for_each(|x| *x = x.minus(sum));
        }
    }
}

/// 1 for the first of the largest elements, 0 for the others; only zeros when the first element is NaN.
fn hardmax<F: Float>(run: &mut [F]) {
    let Some(&first) = run.first() else { return };
    let most = Max::join(first, reduce::fold_run::<F, Max>(run));
    let at = run.iter().position(|&x| x == most);
    run.fill(F::ZERO);
    if let Some(at) = at {
        run[at] = F::ONE;
    }
}
