//! Broadcasting: shapes aligned at their last axes, with axes of length 1 stretched.

use smallvec::SmallVec;

use crate::backend::native::op::Flow;
use crate::backend::native::value::Shape;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

/// The shape that operands of these shapes broadcast to.
///
/// # Errors
/// [`ErrorKind::WrongShape`] when two lengths of an axis differ and neither is 1.
pub(crate) fn broadcast<'s>(shapes: impl IntoIterator<Item = &'s [usize]>) -> Result<Shape> {
    let mut out = Shape::new();
    for shape in shapes {
        if shape.len() > out.len() {
            out.insert_many(0, std::iter::repeat_n(1, shape.len() - out.len()));
        }
        let first = out.len() - shape.len();
        for (axis, &d) in shape.iter().enumerate() {
            let have = out[first + axis];
            if have == 1 {
                out[first + axis] = d;
            } else if d != 1 && d != have {
                return Err(mismatch(&out, shape));
            }
        }
    }
    Ok(out)
}

#[cold]
fn mismatch(a: &[usize], b: &[usize]) -> Error {
    Error::new(ErrorKind::WrongShape, "the operands of an operator can't be broadcast to one shape")
        .expected(shape_text(a))
        .actual(shape_text(b))
}

/// Whether an operand of shape `from` can be stretched to exactly `to`.
pub(crate) fn fits(from: &[usize], to: &[usize]) -> bool {
    from.len() <= to.len() && from.iter().rev().zip(to.iter().rev()).all(|(&f, &t)| f == t || f == 1)
}

/// Whether operands that vary with the batch meet along different axes, so that an entry of the output depends on
/// several entries along the batch: `(m, 1)` and `(1, m)` give `(m, m)`.
pub(crate) fn crosses(outputs: &[Flow]) -> bool {
    outputs.iter().any(|out| (0..out.rank()).filter(|&axis| out.varies(axis)).count() > 1)
}

/// How N row-major operands are walked together over an output shape: axes of length 1 left out, neighbouring axes that
/// every operand walks alike made one.
#[derive(Debug)]
pub(crate) struct Plan<const N: usize> {
    /// Lengths of the axes, outermost first.
    dims: SmallVec<[usize; 4]>,
    /// The step of each operand along each axis; 0 where it is stretched.
    strides: SmallVec<[[usize; N]; 4]>,
    empty: bool,
}

impl<const N: usize> Plan<N> {
    /// The walk over `out` of operands of `shapes`, each of which [`fits`] it.
    pub(crate) fn new(out: &[usize], shapes: [&[usize]; N]) -> Self {
        debug_assert!(shapes.iter().all(|s| fits(s, out)), "{shapes:?} to {out:?}");
        let mut sizes = [1usize; N];
        Self::with_steps(out, |back| {
            std::array::from_fn(|k| {
                let shape = shapes[k];
                let d = shape.len().checked_sub(back + 1).map_or(1, |axis| shape[axis]);
                if d == 1 {
                    return 0;
                }
                let step = sizes[k];
                sizes[k] = sizes[k].saturating_mul(d);
                step
            })
        })
    }

    /// The walk over `out` of operands whose steps along each axis, counted from the last one, `steps` gives.
    pub(crate) fn with_steps(out: &[usize], mut steps: impl FnMut(usize) -> [usize; N]) -> Self {
        let mut plan = Self { dims: SmallVec::new(), strides: SmallVec::new(), empty: out.contains(&0) };
        // From the innermost axis outwards; turned round at the end.
        for (back, &length) in out.iter().rev().enumerate() {
            let stride = steps(back);
            if length == 1 {
                continue;
            }
            match (plan.dims.last_mut(), plan.strides.last()) {
                (Some(inner), Some(steps)) if (0..N).all(|k| stride[k] == steps[k].saturating_mul(*inner)) => {
                    *inner = inner.saturating_mul(length);
                }
                _ => {
                    plan.dims.push(length);
                    plan.strides.push(stride);
                }
            }
        }
        plan.dims.reverse();
        plan.strides.reverse();
        plan
    }

    /// Calls `f` for every run along the innermost axis, in row-major order of the output, with the offset of each
    /// operand, the length of the run, and the step of each operand in it: for a dense operand 1, or 0 where it stands
    /// still.
    #[inline]
    pub(crate) fn runs(&self, mut f: impl FnMut([usize; N], usize, [usize; N])) {
        if self.empty {
            return;
        }
        let Some((&length, outer)) = self.dims.split_last() else { return f([0; N], 1, [0; N]) };
        let steps = self.strides[outer.len()];
        let mut offsets = [0; N];
        let mut index: SmallVec<[usize; 4]> = SmallVec::from_elem(0, outer.len());
        loop {
            f(offsets, length, steps);
            let mut axis = outer.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                let stride = self.strides[axis];
                index[axis] += 1;
                for k in 0..N {
                    offsets[k] += stride[k];
                }
                if index[axis] < outer[axis] {
                    break;
                }
                for k in 0..N {
                    offsets[k] -= stride[k] * outer[axis];
                }
                index[axis] = 0;
            }
        }
    }
}

impl Plan<2> {
    /// The length of the rows, when operand 0 is dense and operand 1 is one row for all of its rows.
    fn one_row_for_all(&self) -> Option<usize> {
        let (&[_, n], [[_, 0], [1, 1]]) = (&self.dims[..], &self.strides[..]) else { return None };
        Some(n)
    }
}

/// Rows shorter than this are repeated, so that a loop over them is worth starting.
const SHORT: usize = 80;

/// A short row that all rows of `plan` share, as often as makes it long.
fn repeated<B: Copy>(plan: &Plan<2>, b: &[B]) -> Option<Vec<B>> {
    let n = plan.one_row_for_all().filter(|&n| (1..SHORT).contains(&n) && plan.dims[0] > 4 && b.len() == n)?;
    Some(b.repeat((2 * SHORT / n).min(plan.dims[0])))
}

/// `items` of shape `from`, stretched to `to`, at the end of `out`.
#[allow(dead_code, reason = "for operators of other groups")]
pub(crate) fn expand<T: Clone>(items: &[T], from: &[usize], to: &[usize], out: &mut Vec<T>) {
    Plan::new(to, [from]).runs(|[i], n, [step]| match step {
        0 => out.extend(std::iter::repeat_n(&items[i], n).cloned()),
        _ => out.extend_from_slice(&items[i..i + n]),
    });
}

/// Pairs of elements combined by `f`, at the end of `out`.
#[inline]
pub(crate) fn zip<A: Copy, B: Copy, O: Clone>(
    plan: &Plan<2>,
    (a, b): (&[A], &[B]),
    out: &mut Vec<O>,
    f: impl Fn(A, B) -> O + Copy,
) {
    if let Some(b) = repeated(plan, b) {
        a.chunks(b.len()).for_each(|a| out.extend(a.iter().zip(&b).map(|(&x, &y)| f(x, y))));
        return;
    }
    plan.runs(|[i, j], n, steps| match steps {
        [1, 1] => out.extend(a[i..i + n].iter().zip(&b[j..j + n]).map(|(&x, &y)| f(x, y))),
        [1, _] => {
            let y = b[j];
            out.extend(a[i..i + n].iter().map(|&x| f(x, y)));
        }
        [_, 1] => {
            let x = a[i];
            out.extend(b[j..j + n].iter().map(|&y| f(x, y)));
        }
        _ => out.extend(std::iter::repeat_n(f(a[i], b[j]), n)),
    });
}

/// Combines every element of `a`, which has the output's shape, with its partner in `b`, in place.
#[inline]
pub(crate) fn zip_in_place<A: Copy, B: Copy>(plan: &Plan<2>, a: &mut [A], b: &[B], f: impl Fn(A, B) -> A + Copy) {
    if let Some(b) = repeated(plan, b) {
        a.chunks_mut(b.len()).for_each(|a| a.iter_mut().zip(&b).for_each(|(x, &y)| *x = f(*x, y)));
        return;
    }
    plan.runs(|[i, j], n, steps| match steps {
        [_, 1] => a[i..i + n].iter_mut().zip(&b[j..j + n]).for_each(|(x, &y)| *x = f(*x, y)),
        _ => {
            let y = b[j];
            a[i..i + n].iter_mut().for_each(|x| *x = f(*x, y));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let of = |shapes: &[&[usize]]| broadcast(shapes.iter().copied()).map(|s| s.to_vec());
        assert_eq!(of(&[&[2, 1, 3], &[4, 1]]).unwrap(), [2, 4, 3]);
        assert_eq!(of(&[&[], &[5], &[2, 1]]).unwrap(), [2, 5]);
        assert_eq!(of(&[&[0, 3], &[1, 1]]).unwrap(), [0, 3]);
        assert_eq!(of(&[&[2, 3], &[2]]).unwrap_err().kind(), ErrorKind::WrongShape);
        assert_eq!(of(&[&[0], &[2]]).unwrap_err().kind(), ErrorKind::WrongShape);
        assert!(fits(&[1, 3], &[2, 3]) && !fits(&[2, 3], &[1, 3]) && !fits(&[1, 1, 3], &[2, 3]));
    }

    #[test]
    fn axes_that_are_walked_alike_become_one() {
        assert_eq!(Plan::new(&[2, 3, 4], [&[2, 3, 4], &[2, 3, 4]]).dims[..], [24]);
        assert_eq!(Plan::new(&[2, 3, 4], [&[2, 3, 4], &[]]).dims[..], [24]);
        assert_eq!(Plan::new(&[2, 3, 4], [&[2, 3, 4], &[4]]).dims[..], [6, 4]);
        assert_eq!(Plan::new(&[2, 3, 4], [&[2, 3, 4], &[2, 1, 1]]).dims[..], [2, 12]);
        assert_eq!(Plan::new(&[2, 1, 4], [&[2, 1, 4], &[2, 1, 4]]).dims[..], [8]);
        assert_eq!(Plan::new(&[1, 1], [&[1, 1], &[]]).dims[..], [0usize; 0]);
    }

    #[test]
    fn every_pair_meets() {
        let (a, b): (Vec<i32>, Vec<i32>) = ((0..6).collect(), (0..4).map(|i| 10 * i).collect());
        let mut out = Vec::new();
        zip(&Plan::new(&[2, 4, 3], [&[2, 1, 3], &[4, 1]]), (&a, &b), &mut out, |x, y| x + y);
        let want: Vec<i32> =
            (0..2).flat_map(|i| (0..4).flat_map(move |j| (0..3).map(move |k| 3 * i + k + 10 * j))).collect();
        assert_eq!(out, want);
        for rows in [3, 50] {
            let (mut long, shape) = (vec![1i32; rows * 3], [rows, 3]);
            let mut fresh = Vec::new();
            let plan = Plan::new(&shape, [&shape, &[3]]);
            zip(&plan, (&long, &[1, 2, 3]), &mut fresh, |x, y| x + y);
            zip_in_place(&plan, &mut long, &[1, 2, 3], |x, y| x + y);
            assert_eq!((&long, long.len()), (&[2, 3, 4].repeat(rows), fresh.len()));
            assert_eq!(long, fresh);
        }
        let mut scalar = Vec::new();
        zip(&Plan::new(&[1, 1], [&[1, 1], &[]]), (&[7], &[8]), &mut scalar, |x: i32, y: i32| x + y);
        assert_eq!(scalar, [15]);
        let mut stretched = Vec::new();
        expand(&[1, 2], &[2, 1], &[2, 2, 3], &mut stretched);
        assert_eq!(stretched, [1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2]);
        for (shape, row) in [([0, 3], [3]), ([9, 0], [0])] {
            let plan = Plan::new(&shape, [&shape, &row]);
            zip(&plan, (&[0i32; 0], &vec![1i32; row[0]]), &mut out, |_, _| unreachable!());
        }
    }
}
