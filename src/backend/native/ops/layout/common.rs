//! Axes, index lists and strided copies that the operators of this module share.

use std::borrow::Cow;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Scratch};
use crate::backend::native::value::{Item, Shape, Value, typed};
use crate::{Error, ErrorKind, Result};

/// The index of `axis`, which may count from the end, among `rank` axes.
///
/// # Errors
/// [`ErrorKind::Malformed`] when there is no such axis.
pub(in crate::backend::native::ops) fn axis_of(axis: i64, rank: usize) -> Result<usize> {
    let signed = rank as i64;
    let from_start = if axis < 0 { axis.checked_add(signed) } else { Some(axis) };
    from_start.filter(|a| (0..signed).contains(a)).map(|a| a as usize).ok_or_else(|| no_axis(axis, rank))
}

#[cold]
fn no_axis(axis: i64, rank: usize) -> Error {
    Error::new(ErrorKind::Malformed, "an operator names an axis that its input does not have")
        .expected(format!("one of {rank} axes"))
        .actual(axis)
}

/// The indices of `axes` in ascending order.
///
/// # Errors
/// [`ErrorKind::Malformed`] when one is out of range or named twice.
pub(super) fn axes_of(axes: &[i64], rank: usize) -> Result<Shape> {
    let mut found = axes.iter().map(|&a| axis_of(a, rank)).collect::<Result<Shape>>()?;
    found.sort_unstable();
    if found.windows(2).any(|w| w[0] == w[1]) {
        return Err(Error::new(ErrorKind::Malformed, "an operator names the same axis twice"));
    }
    Ok(found)
}

/// Whole numbers that an operator takes as an attribute, a constant or a computed input.
#[derive(Debug, Clone)]
pub(in crate::backend::native::ops) enum Ints {
    /// Not given.
    Absent,
    /// Known when the operator is built.
    Known(Vec<i64>),
    /// The input of this index.
    Input(usize),
}

impl Ints {
    /// Input `i` of `node`, which may be left out.
    pub(in crate::backend::native::ops) fn input(node: &Node<'_>, i: usize) -> Result<Self> {
        Ok(match node.constant(i) {
            Some(value) => Self::Known(value.to_i64s()?),
            None if node.has_input(i) => Self::Input(i),
            None => Self::Absent,
        })
    }

    /// The attribute `name` of `node`, which may be left out.
    pub(in crate::backend::native::ops) fn attribute(node: &Node<'_>, name: &str) -> Result<Self> {
        Ok(node.ints(name)?.map_or(Self::Absent, |ints| Self::Known(ints.to_vec())))
    }

    /// The attribute `name`, else input `i`: operators whose attribute became an input in a later version.
    pub(in crate::backend::native::ops) fn either(node: &Node<'_>, name: &str, i: usize) -> Result<Self> {
        match Self::attribute(node, name)? {
            Self::Absent => Self::input(node, i),
            known => Ok(known),
        }
    }

    /// The numbers, if they are given.
    pub(in crate::backend::native::ops) fn opt<'a>(&'a self, args: &'a Args<'_, '_>) -> Result<Option<Cow<'a, [i64]>>> {
        Ok(match self {
            Self::Absent => None,
            Self::Known(ints) => Some(Cow::Borrowed(ints)),
            Self::Input(i) => {
                let value = args.get(*i)?;
                Some(match value.try_slice::<i64>() {
                    Some(ints) => Cow::Borrowed(ints),
                    None => Cow::Owned(value.to_i64s()?),
                })
            }
        })
    }

    /// The numbers.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when they are not given.
    pub(in crate::backend::native::ops) fn get<'a>(&'a self, args: &'a Args<'_, '_>) -> Result<Cow<'a, [i64]>> {
        self.opt(args)?.ok_or_else(|| Error::new(ErrorKind::Malformed, "an input that the operator needs was left out"))
    }

    /// The numbers, if they are known without running anything.
    pub(in crate::backend::native::ops) fn known(&self) -> Option<&[i64]> {
        match self {
            Self::Known(ints) => Some(ints),
            _ => None,
        }
    }

    /// Whether they are given at all.
    pub(in crate::backend::native::ops) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// The only number of `value`.
///
/// # Errors
/// [`ErrorKind::WrongShape`] when there is not exactly one; [`ErrorKind::WrongType`] when it is not whole.
pub(in crate::backend::native::ops) fn scalar_i64(value: &Value<'_>) -> Result<i64> {
    if let Some(&[one]) = value.try_slice::<i64>() {
        return Ok(one);
    }
    match value.to_i64s()?.as_slice() {
        &[one] => Ok(one),
        _ => Err(one_expected(value)),
    }
}

#[cold]
pub(super) fn one_expected(value: &Value<'_>) -> Error {
    Error::new(ErrorKind::WrongShape, "an operator takes one number here")
        .expected("one element")
        .actual(crate::tensor::shape_text(value.shape()))
}

/// The error for a sequence where a tensor is needed.
#[cold]
pub(in crate::backend::native::ops) fn no_sequence() -> Error {
    Error::new(ErrorKind::WrongType, "an operator was given a sequence where it takes a tensor")
}

/// The product of some dimensions of a shape: where it passes what fits, another dimension of the shape is 0.
pub(super) fn volume(dims: &[usize]) -> usize {
    dims.iter().fold(1, |n, &d| n.saturating_mul(d))
}

/// The number of elements before, along and after `axis`.
pub(super) fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    (volume(&shape[..axis]), shape[axis], volume(&shape[axis + 1..]))
}

/// The distance in elements between neighbours along each axis, row-major.
pub(super) fn strides(shape: &[usize]) -> SmallStrides {
    let mut strides = SmallStrides::from_elem(0, shape.len());
    let mut step = 1isize;
    for (stride, &dim) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.saturating_mul(dim as isize);
    }
    strides
}

/// Distances in elements, one an axis.
pub(super) type SmallStrides = smallvec::SmallVec<[isize; 4]>;

/// `index`, which may count from the end, in a dimension of `dim`.
///
/// # Errors
/// [`ErrorKind::InvalidValue`] when it is out of range.
#[inline]
pub(in crate::backend::native::ops) fn index_of(index: i64, dim: usize) -> Result<usize> {
    let signed = if index < 0 { index.wrapping_add(dim as i64) } else { index };
    if (signed as u64) < dim as u64 { Ok(signed as usize) } else { Err(bad_index(index, dim)) }
}

#[cold]
fn bad_index(index: i64, dim: usize) -> Error {
    Error::new(ErrorKind::InvalidValue, "an index is out of range")
        .expected(format!("an index from -{dim} to {}", dim as i64 - 1))
        .actual(index)
}

/// A walk over the elements of an array in another order: `dims` are walked row-major, `strides` tell how far apart
/// the neighbours along each lie, `start` is where the walk begins. Whoever makes one sees to it that every place it
/// visits is inside the array.
pub(super) struct Walk {
    pub(super) start: usize,
    pub(super) dims: Shape,
    pub(super) strides: SmallStrides,
}

impl Walk {
    /// Leaves out axes of length 1 and joins neighbours that are walked as one.
    fn simplify(&mut self) {
        let (mut dims, mut strides) = (Shape::new(), SmallStrides::new());
        for (&dim, &stride) in self.dims.iter().zip(&self.strides) {
            if dim == 1 {
                continue;
            }
            match (dims.last_mut(), strides.last_mut()) {
                (Some(d), Some(s)) if *s == stride * dim as isize => {
                    *d *= dim;
                    *s = stride;
                }
                _ => {
                    dims.push(dim);
                    strides.push(stride);
                }
            }
        }
        (self.dims, self.strides) = (dims, strides);
    }

    /// Appends the elements visited to `out`.
    pub(super) fn copy<T: Item>(mut self, items: &[T], out: &mut Vec<T>) {
        if self.dims.contains(&0) {
            return;
        }
        self.simplify();
        let Some((&n, &step)) = self.dims.last().zip(self.strides.last()) else {
            out.push(items[self.start].clone());
            return;
        };
        let (outer, outer_strides) = (&self.dims[..self.dims.len() - 1], &self.strides[..self.strides.len() - 1]);
        if step != 1
            && let (Some(&rows), Some(&1)) = (outer.last(), outer_strides.last())
        {
            let (planes, plane_strides) = (&outer[..outer.len() - 1], &outer_strides[..outer.len() - 1]);
            each(planes, plane_strides, self.start, |at| transpose(items, at, rows, n, step, out));
            return;
        }
        each(outer, outer_strides, self.start, |at| match step {
            1 => out.extend_from_slice(&items[at..at + n]),
            0 => out.extend(std::iter::repeat_n(&items[at], n).cloned()),
            _ => out.extend((0..n as isize).map(|i| items[at.wrapping_add_signed(i * step)].clone())),
        });
    }
}

/// Calls `f` with the place of every index of `dims`, row-major. No dimension may be 0.
pub(super) fn each(dims: &[usize], strides: &[isize], start: usize, mut f: impl FnMut(usize)) {
    let mut index = Shape::from_elem(0, dims.len());
    let mut at = start;
    loop {
        f(at);
        let mut axis = dims.len();
        loop {
            let Some(next) = axis.checked_sub(1) else { return };
            axis = next;
            index[axis] += 1;
            at = at.wrapping_add_signed(strides[axis]);
            if index[axis] < dims[axis] {
                break;
            }
            at = at.wrapping_add_signed(-(strides[axis] * dims[axis] as isize));
            index[axis] = 0;
        }
    }
}

/// Appends (rows, n), whose columns lie in one piece and `step` apart, in tiles so that both sides stay in the cache.
fn transpose<T: Item>(items: &[T], at: usize, rows: usize, n: usize, step: isize, out: &mut Vec<T>) {
    const TILE: usize = 16;
    let base = out.len();
    out.resize(base + rows * n, T::default());
    let out = &mut out[base..];
    for r0 in (0..rows).step_by(TILE) {
        let r1 = rows.min(r0 + TILE);
        for c0 in (0..n).step_by(TILE) {
            for c in c0..n.min(c0 + TILE) {
                let column = at.wrapping_add_signed(c as isize * step);
                for (r, item) in (r0..r1).zip(&items[column + r0..column + r1]) {
                    out[r * n + c] = item.clone();
                }
            }
        }
    }
}

/// A value of `shape` with the elements of `value` that `walk` visits.
pub(super) fn walked<'v>(value: &Value<'_>, shape: &[usize], walk: Walk, cx: &mut Scratch) -> Result<Value<'v>> {
    let n = cx.check_shape(shape)?;
    typed!(value.data(), T, items => {
        let mut out = cx.buffer::<T>(n);
        walk.copy(items, &mut out);
        Ok(Value::new(shape, out))
    }, _seq => Err(no_sequence()))
}

/// `value` with axis `from` moved to place `to`, the others in order.
pub(in crate::backend::native::ops) fn move_axis<'v>(
    value: &Value<'_>,
    from: usize,
    to: usize,
    cx: &mut Scratch,
) -> Result<Value<'v>> {
    let mut order: Vec<usize> = (0..value.rank()).filter(|&a| a != from).collect();
    order.insert(to.min(order.len()), from);
    permuted(value, &order, cx)
}

/// `value` with its axes in this order.
pub(in crate::backend::native::ops) fn permuted<'v>(
    value: &Value<'_>,
    order: &[usize],
    cx: &mut Scratch,
) -> Result<Value<'v>> {
    let from = strides(value.shape());
    let shape: Shape = order.iter().map(|&a| value.shape()[a]).collect();
    let walk = Walk { start: 0, dims: shape.clone(), strides: order.iter().map(|&a| from[a]).collect() };
    walked(value, &shape, walk, cx)
}

/// Whether more than one axis of an output varies with the batch, so that its entries belong to pairs of rows.
pub(in crate::backend::native::ops) fn spreads(outputs: &[Flow]) -> bool {
    outputs.iter().any(|o| (0..o.rank()).filter(|&a| o.varies(a)).count() > 1)
}
