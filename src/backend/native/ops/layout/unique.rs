//! Unique.

use std::cmp::Ordering;

use smallvec::smallvec;

use super::Group;
use super::common::{around, axis_of, no_sequence};
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Item, Shape, Value, typed};

pub(super) const GROUP: Group = &[("Unique", build)];

/// The different elements of input 0, or the different pieces along an axis; where each occurs first; which of them
/// each element is; how often each occurs.
#[derive(Debug)]
struct Unique {
    axis: Option<i64>,
    sorted: bool,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Unique { axis: node.int("axis")?, sorted: node.flag("sorted", true)? }))
}

/// A total order: NaN after all numbers and equal to itself.
fn order<T: PartialOrd>(a: &T, b: &T) -> Ordering {
    #[allow(clippy::eq_op, reason = "only NaN differs from itself")]
    let is_nan = |v: &T| v != v;
    a.partial_cmp(b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)))
}

/// The pieces that are equal, by index.
struct Groups {
    /// The first index of each group.
    first: Vec<usize>,
    /// The group of each index.
    of: Vec<i64>,
    counts: Vec<i64>,
}

fn groups(n: usize, sorted: bool, compare: impl Fn(usize, usize) -> Ordering) -> Groups {
    let mut indices: Vec<usize> = (0..n).collect();
    indices.sort_by(|&i, &j| compare(i, j).then(i.cmp(&j)));
    let mut runs: Vec<&[usize]> = indices.chunk_by(|&i, &j| compare(i, j) == Ordering::Equal).collect();
    if !sorted {
        runs.sort_by_key(|run| run[0]);
    }
    let mut of = vec![0; n];
    for (group, run) in runs.iter().enumerate() {
        run.iter().for_each(|&i| of[i] = group as i64);
    }
    let first = runs.iter().map(|run| run[0]).collect();
    Groups { first, of, counts: runs.iter().map(|run| run.len() as i64).collect() }
}

impl Unique {
    fn find<'v, T: Item + PartialOrd>(&self, shape: &[usize], items: &[T], cx: &mut Scratch) -> Result<Outs<'v>> {
        let (mut shape, axis) = match self.axis {
            Some(axis) => (Shape::from_slice(shape), axis_of(axis, shape.len())?),
            None => (smallvec![items.len()], 0),
        };
        let (outer, n, inner) = around(&shape, axis);
        let piece = |block: usize, i: usize| &items[(block * n + i) * inner..(block * n + i + 1) * inner];
        let found = groups(n, self.sorted, |i, j| {
            (0..outer)
                .flat_map(|block| piece(block, i).iter().zip(piece(block, j)))
                .map(|(a, b)| order(a, b))
                .find(|o| o.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        shape[axis] = found.first.len();
        let mut out = cx.buffer::<T>(outer * found.first.len() * inner);
        for block in 0..outer {
            found.first.iter().for_each(|&i| out.extend_from_slice(piece(block, i)));
        }
        let ints = |items: Vec<i64>| Value::new([items.len()].as_slice(), items);
        Ok(smallvec![
            Value::new(shape, out),
            ints(found.first.iter().map(|&i| i as i64).collect()),
            ints(found.of),
            ints(found.counts),
        ])
    }
}

impl Op for Unique {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        typed!(value.data(), T, items => self.find::<T>(value.shape(), items, cx), _seq => Err(no_sequence()))
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
    }
}
