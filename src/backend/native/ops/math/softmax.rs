//! Softmax, its logarithm and its limit.

use smallvec::smallvec;

use super::axes::{self, axis_of};
use super::dispatch::{self, narrowed, numbers, widened};
use super::num::{Float, Num};
use super::reduce::{self, Max, total};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Item, Shape, Value};
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
            Ok(axis) if axis <= shape.len() => Ok([shape[..axis].iter().product(), shape[axis..].iter().product(), 1]),
            _ => Err(Error::new(ErrorKind::WrongShape, "an operator names an axis that its input does not have")
                .expected(format!("one of {rank} axes"))
                .actual(self.axis)),
        }
    }
}

impl Op for Softmax {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = dispatch::own(args, 0, cx)?;
        let [_, along, after] = self.groups(value.shape())?;
        if self.kind == Kind::Hard {
            return Ok(smallvec![hardest(value, along, after)?]);
        }
        if matches!(value.data(), Data::F16(_) | Data::Bf16(_)) {
            let wide = widened(&value, cx);
            let done = self.floats(wide, along, after)?.into_static();
            return Ok(smallvec![narrowed(done, value.data(), cx)]);
        }
        Ok(smallvec![self.floats(value, along, after)?])
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

impl Softmax {
    fn floats<'v>(&self, value: Value<'v>, along: usize, after: usize) -> Result<Value<'v>> {
        let shape = Shape::from_slice(value.shape());
        let data = match value.into_data() {
            Data::F32(mut items) => {
                self.all(items.to_mut(), along, after);
                Data::F32(items)
            }
            Data::F64(mut items) => {
                self.all(items.to_mut(), along, after);
                Data::F64(items)
            }
            other => return Err(Value::from_parts(shape, other).type_error("a float")),
        };
        Ok(Value::from_parts(shape, data))
    }

    fn all<F: Float>(&self, items: &mut [F], along: usize, after: usize) {
        groups(
            items,
            along,
            after,
            match self.kind {
                Kind::Soft => softmax,
                _ => log_softmax,
            },
        );
    }
}

/// Calls `f` with every group of `along` elements, of which `after` groups interleave.
pub(super) fn groups<T: Item + Copy>(items: &mut [T], along: usize, after: usize, f: impl Fn(&mut [T])) {
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

/// e^x over its sum, in place. The largest element is taken off before, so that nothing overflows.
pub(crate) fn softmax<F: Float>(run: &mut [F]) {
    let most = reduce::fold_run::<F, Max>(run);
    run.iter_mut().for_each(|x| *x = x.minus(most).exp());
    let scale = F::ONE.over(total(run, |x| x));
    run.iter_mut().for_each(|x| *x = x.times(scale));
}

/// x - ln(sum of e^x), in place.
fn log_softmax<F: Float>(run: &mut [F]) {
    let most = reduce::fold_run::<F, Max>(run);
    let sum = total(run, |x| x.minus(most).exp()).ln();
    run.iter_mut().for_each(|x| *x = x.minus(most).minus(sum));
}

/// 1 for the first of the largest elements of each group, 0 for the others and for all when one is NaN.
fn hardest(value: Value<'_>, along: usize, after: usize) -> Result<Value<'_>> {
    fn hardmax<T: Num>(run: &mut [T]) {
        let most = reduce::fold_run::<T, Max>(run);
        let first = run.iter().position(|&x| x == most);
        run.fill(T::ZERO);
        if let Some(first) = first {
            run[first] = T::ONE;
        }
    }
    let shape = Shape::from_slice(value.shape());
    if value.dtype().is_none_or(|d| !d.is_float()) {
        return Err(value.type_error("a float"));
    }
    let data: Data<'_> = numbers!(value.into_data(), T, items => {
        let mut items = items;
        groups::<T>(items.to_mut(), along, after, hardmax);
        T::data(items)
    }, Data::Sequence(Vec::new()));
    Ok(Value::from_parts(shape, data))
}
