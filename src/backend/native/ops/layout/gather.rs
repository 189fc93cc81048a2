//! Operators that take elements by index along one axis: Gather and GatherElements.

use std::borrow::Cow;

use smallvec::smallvec;

use super::Group;
use super::common::{Ints, around, axis_of, each, index_of, no_sequence, spreads, strides};
use crate::backend::native::chain::{ElementsMut, Filling, Handed};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Item, Shape, Value, typed};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Gather", gather), ("GatherElements", gather_elements)];

/// Pieces of input 0 along an axis, in the order of the indices in input 1.
#[derive(Debug)]
struct Gather {
    axis: i64,
    indices: Ints,
}

fn gather(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Gather { axis: node.int_or("axis", 0)?, indices: Ints::input(node, 1)? }))
}

/// Indices into a dimension of `dim`, none of them negative.
pub(super) fn places(indices: &[i64], dim: usize) -> Result<Vec<usize>> {
    indices.iter().map(|&i| index_of(i, dim)).collect()
}

impl Op for Gather {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (value, at) = (args.get(0)?, args.get(1)?);
        let axis = axis_of(self.axis, value.rank())?;
        let (outer, dim, inner) = around(value.shape(), axis);
        let mut shape = Shape::from_slice(&value.shape()[..axis]);
        shape.extend_from_slice(at.shape());
        shape.extend_from_slice(&value.shape()[axis + 1..]);
        let n = cx.check_shape(&shape)?;
        let indices = self.indices.get(args)?;
        let places = places(&indices, dim)?;
        typed!(value.data(), T, items => {
            let mut out = cx.buffer::<T>(n);
            take(items, [outer, dim, inner], &places, &mut out);
            Ok(smallvec![Value::new(shape, out)])
        }, _seq => Err(no_sequence()))
    }

    fn fill(&self, rows: Filling<'_, '_>, _cx: &mut Scratch) -> Option<Result<()>> {
        let (table, [out]) = (rows.args.opt(0)?, rows.out) else { return None };
        let indices = i64::read(rows.x).filter(|_| table.rank() == 1)?;
        looked_up(table, indices, |i| index_of(i, table.len()), out)
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        let [data, indices, ..] = inputs else { return true };
        data.varies_signed(self.axis) || (data.any() && indices.any()) || spreads(outputs)
    }
}

/// Writes the elements of `table` at the places that `place` gives for `indices`, one each, over `out`.
pub(in crate::backend::native::ops) fn looked_up(
    table: &Value<'_>,
    indices: &[i64],
    place: impl Fn(i64) -> Result<usize>,
    out: &mut ElementsMut<'_>,
) -> Option<Result<()>> {
    fn each<T: Item>(
        table: &[T],
        indices: &[i64],
        place: impl Fn(i64) -> Result<usize>,
        out: &mut [T],
    ) -> Option<Result<()>> {
        let mut write = |(&i, to): (&i64, &mut T)| -> Result<()> {
            to.clone_from(&table[place(i)?]);
            Ok(())
        };
        (out.len() == indices.len()).then(|| indices.iter().zip(out).try_for_each(&mut write))
    }
    match out {
        ElementsMut::F32(out) => each(table.try_slice::<f32>()?, indices, place, out),
        ElementsMut::I32(out) => each(table.try_slice::<i32>()?, indices, place, out),
        ElementsMut::I64(out) => each(table.try_slice::<i64>()?, indices, place, out),
        ElementsMut::String(out) => each(table.try_slice::<String>()?, indices, place, out),
        ElementsMut::Unwanted => None,
    }
}

fn take<T: Item>(items: &[T], [outer, dim, inner]: [usize; 3], places: &[usize], out: &mut Vec<T>) {
    if inner == 0 || places.is_empty() {
        return;
    }
    for block in items.chunks_exact((dim * inner).max(1)).take(outer) {
        if inner == 1 {
            out.extend(places.iter().map(|&p| block[p].clone()));
        } else {
            places.iter().for_each(|&p| out.extend_from_slice(&block[p * inner..(p + 1) * inner]));
        }
    }
}

/// For each place of the indices, the element of input 0 at that place with the index put in along the axis.
#[derive(Debug)]
struct GatherElements {
    axis: i64,
}

fn gather_elements(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(GatherElements { axis: node.int_or("axis", 0)? }))
}

/// The indices in `value`, which has the rank of `data` and is no longer than it beside `axis`.
pub(super) fn element_places<'a>(
    value: &'a Value<'_>,
    data: &[usize],
    axis: usize,
) -> Result<(Cow<'a, [i64]>, Vec<usize>)> {
    let fits =
        value.rank() == data.len() && value.shape().iter().zip(data).enumerate().all(|(a, (i, d))| a == axis || i <= d);
    if !fits {
        return Err(Error::new(ErrorKind::WrongShape, "the indices do not fit the data")
            .expected(format!("at most {} beside axis {axis}", shape_text(data)))
            .actual(shape_text(value.shape())));
    }
    let indices = match value.try_slice::<i64>() {
        Some(indices) => Cow::Borrowed(indices),
        None => Cow::Owned(value.to_i64s()?),
    };
    let places = places(&indices, data[axis])?;
    Ok((indices, places))
}

impl Op for GatherElements {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (value, indices) = (args.get(0)?, args.get(1)?);
        let axis = axis_of(self.axis, value.rank())?;
        let (_, places) = element_places(indices, value.shape(), axis)?;
        let mut steps = strides(value.shape());
        let along = std::mem::take(&mut steps[axis]) as usize;
        typed!(value.data(), T, items => {
            let mut out = cx.buffer::<T>(places.len());
            if !places.is_empty() {
                let mut next = places.iter();
                each(indices.shape(), &steps, 0, |at| {
                    let place = next.next().map_or(at, |&place| at + place * along);
                    out.extend_from_slice(&items[place..=place]);
                });
            }
            Ok(smallvec![Value::new(indices.shape(), out)])
        }, _seq => Err(no_sequence()))
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        let [data, indices, ..] = inputs else { return true };
        let crosses = (0..data.rank()).any(|a| data.varies(a) && !indices.varies(a));
        data.varies_signed(self.axis) || crosses || spreads(outputs)
    }
}
