//! A product with a constant matrix, and what was merged into it.

use std::any::Any;

use smallvec::smallvec;

use crate::backend::native::chain::{Filling, Handed};
use crate::backend::native::op::{Args, Flow, Op, Outs, RowMap, Scratch};
use crate::backend::native::pool::Share;
use crate::backend::native::value::{Item, Shape, Value};
use crate::kernel::{Packed, Real};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

/// Rows of length k times a constant matrix (k, n), after an offset is taken away and before an activation.
#[derive(Debug, Clone)]
pub(super) struct Dense<T> {
    /// Taken away from every row first. It is not folded into the bias: where it is large beside the spread of the
    /// feature, that would cancel.
    offset: Vec<T>,
    packed: Packed<T>,
    activation: Activation,
    /// Whether the matrix was a vector, so that the answer has no last axis.
    vector: bool,
}

/// What is done to each answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Activation {
    None,
    Relu,
}

impl<T: Real + Item> Dense<T> {
    /// The product with the matrix (k, n) whose elements `at` gives, plus a bias of n elements or none.
    pub(super) fn new(k: usize, n: usize, at: impl Fn(usize, usize) -> T, bias: Option<&[T]>) -> Self {
        Self { offset: Vec::new(), packed: Packed::new(k, n, at, bias), activation: Activation::None, vector: false }
    }

    /// The same, for a matrix that was a vector.
    pub(super) fn of_vector(vector: &[T]) -> Self {
        Self { vector: true, ..Self::new(vector.len(), 1, |i, _| vector[i], None) }
    }

    pub(super) fn k(&self) -> usize {
        self.packed.k()
    }

    pub(super) fn n(&self) -> usize {
        self.packed.n()
    }

    /// Learned numbers.
    pub(super) fn parameters(&self) -> usize {
        self.k() * self.n() + self.n() + self.offset.len()
    }

    /// The answers for the rows of `x`, (m, k) -> (m, n), in a buffer of `cx`.
    pub(super) fn answers(&self, x: &[T], m: usize, cx: &mut Scratch) -> Result<Vec<T>> {
        let n = cx.check_shape(&[m, self.n()])?;
        let mut out = cx.stale::<T>(n);
        self.write(x, m, &mut out, cx);
        Ok(out)
    }

    /// The elements that are read, where they are rows that the matrix takes.
    pub(super) fn rows_of<'f>(&self, rows: &Filling<'f, '_>) -> Option<&'f [f32]> {
        f32::read(rows.x).filter(|x| x.len() == rows.m * self.k())
    }

    /// Writes the answers for the rows of `x`, (m, k) -> (m, n), into `out`.
    pub(super) fn write(&self, x: &[T], m: usize, out: &mut [T], cx: &mut Scratch) {
        if self.offset.is_empty() {
            return self.multiply(x, m, out, cx);
        }
        let mut centred = cx.buffer::<T>(x.len());
        for row in x.chunks_exact(self.k()) {
            centred.extend(row.iter().zip(&self.offset).map(|(x, o)| *x - *o));
        }
        self.multiply(&centred, m, out, cx);
        cx.recycle_buffer(centred);
    }

    /// The product with the rows of `x`, on the threads of `cx`.
    fn multiply(&self, x: &[T], m: usize, out: &mut [T], cx: &Scratch) {
        let (k, n) = (self.k(), self.n());
        cx.threads.rows(&mut out[..m * n], n, Share::product(k, n), |from, out| {
            let rows = out.len() / n.max(1);
            self.packed.multiply_into(&x[from * k..(from + rows) * k], rows, out);
        });
    }

    /// The same matrix with `f(i, j)` applied to each element.
    fn rescaled(&self, f: impl Fn(usize, usize, T) -> T, bias: impl Fn(usize) -> T) -> Self {
        let bias: Vec<T> = (0..self.n()).map(bias).collect();
        let packed = Packed::new(self.k(), self.n(), |i, j| f(i, j, self.packed.at(i, j)), Some(&bias));
        Self { packed, ..self.clone() }
    }

    /// One product that does what `map` on the rows and then this one do.
    pub(super) fn after(&self, map: &RowMap) -> Option<Self> {
        let k = self.k();
        let fits = |v: &[f64]| v.len() == k || v.len() == 1;
        let get = |v: &[f64], i: usize| T::from_f64(if v.len() == 1 { v[0] } else { v[i] });
        let offset = |v: &[f64], sign: f64| -> Vec<T> {
            (0..k).map(|i| T::from_f64(sign * if v.len() == 1 { v[0] } else { v[i] })).collect()
        };
        match map {
            RowMap::Subtract(v) if self.offset.is_empty() && fits(v) => {
                Some(Self { offset: offset(v, 1.0), ..self.clone() })
            }
            RowMap::Add(v) if self.offset.is_empty() && fits(v) => {
                Some(Self { offset: offset(v, -1.0), ..self.clone() })
            }
            // A later offset is in units of the scaled rows, which the merged form has no place for.
            RowMap::Multiply(v) if self.offset.is_empty() && v.len() == 1 => {
                Some(self.rescaled(|i, _, w| w * get(v, i), |j| self.packed.bias(j)))
            }
            RowMap::Scale { offset: o, scale } if self.offset.is_empty() && fits(o) && fits(scale) => {
                let scaled = self.rescaled(|i, _, w| w * get(scale, i), |j| self.packed.bias(j));
                Some(Self { offset: offset(o, 1.0), ..scaled })
            }
            _ => None,
        }
    }

    /// One product that does what this one and then `map` on its answers do.
    pub(super) fn before(&self, map: &RowMap) -> Option<Self> {
        if self.activation != Activation::None || self.vector {
            return None;
        }
        let n = self.n();
        let fits = |v: &[f64]| v.len() == n || v.len() == 1;
        let get = |v: &[f64], j: usize| T::from_f64(if v.len() == 1 { v[0] } else { v[j] });
        match map {
            RowMap::Add(v) if fits(v) => Some(self.rescaled(|_, _, w| w, |j| self.packed.bias(j) + get(v, j))),
            RowMap::Subtract(v) if fits(v) => Some(self.rescaled(|_, _, w| w, |j| self.packed.bias(j) - get(v, j))),
            RowMap::Multiply(v) if fits(v) => {
                Some(self.rescaled(|_, j, w| w * get(v, j), |j| self.packed.bias(j) * get(v, j)))
            }
            RowMap::Relu => Some(Self { activation: Activation::Relu, ..self.clone() }),
            _ => None,
        }
    }
}

impl<T: Real + Item> Dense<T> {
    fn activate(&self, out: &mut [T]) {
        if self.activation == Activation::Relu {
            // NaN stays NaN, as it does in ONNX Runtime.
            out.iter_mut().for_each(|v| *v = if *v < T::ZERO { T::ZERO } else { *v });
        }
    }

    /// The output for the rows `x`, whose axes but the last are `lead`.
    fn finish(&self, x: &[T], lead: &[usize], cx: &mut Scratch) -> Result<Value<'static>> {
        let mut out = self.answers(x, lead.iter().product(), cx)?;
        self.activate(&mut out);
        let mut shape = Shape::from_slice(lead);
        if !self.vector {
            shape.push(self.n());
        }
        Ok(Value::new(shape, out))
    }
}

impl<T: Real + Item> Op for Dense<T> {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let input = args.get(0)?;
        let x = input.as_slice::<T>()?;
        let Some((&last, lead)) = input.shape().split_last() else {
            return Err(Error::new(ErrorKind::WrongShape, "a matrix product can't take a scalar"));
        };
        // What was merged may have spread one column over all.
        if last == 1 && self.offset.len() > 1 && self.k() > 1 {
            let spread: Vec<T> = x.iter().flat_map(|&v| std::iter::repeat_n(v, self.k())).collect();
            return Ok(smallvec![self.finish(&spread, lead, cx)?]);
        }
        if last != self.k() {
            return Err(Error::new(ErrorKind::WrongShape, "a matrix product was given rows of another length")
                .expected(self.k())
                .actual(shape_text(input.shape())));
        }
        Ok(smallvec![self.finish(x, lead, cx)?])
    }

    fn fill(&self, rows: Filling<'_, '_>, cx: &mut Scratch) -> Option<Result<()>> {
        let this = (self as &dyn Any).downcast_ref::<Dense<f32>>()?;
        let (m, x, [out]) = (rows.m, this.rows_of(&rows)?, rows.out) else { return None };
        let out = f32::write(out).filter(|out| out.len() == m * this.n())?;
        this.write(x, m, out, cx);
        this.activate(out);
        Some(Ok(()))
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| x.rank() == 0 || x.varies(x.rank() - 1))
    }

    fn parameters(&self) -> usize {
        Dense::parameters(self)
    }

    fn holds(&self, i: usize) -> bool {
        i > 0
    }

    fn features(&self) -> Option<usize> {
        Some(self.k())
    }

    fn absorb_previous(&self, previous: &dyn Op) -> Option<Box<dyn Op>> {
        self.after(&previous.row_map()?).map(|d| Box::new(d) as _)
    }

    fn absorb_next(&self, _output: usize, next: &dyn Op) -> Option<Box<dyn Op>> {
        self.before(&next.row_map()?).map(|d| Box::new(d) as _)
    }
}
