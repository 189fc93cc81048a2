//! `Scaler` and `Imputer`, and both in one pass.

use std::any::Any;
use std::borrow::Cow;

use smallvec::smallvec;

use super::rows::{last_axis, owned_f32s};
use crate::backend::native::chain::Filling;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, RowMap, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Item, Shape, Value};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Scaler", scaler), ("Imputer", imputer)];

/// (x - offset) * scale along the last axis, as f32. Both vectors have one number per column, or one for all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scaler {
    pub(crate) offset: Vec<f32>,
    pub(crate) scale: Vec<f32>,
}

fn scaler(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let offset = node.floats("offset")?.unwrap_or_default();
    let scale = node.floats("scale")?.unwrap_or_default();
    let (mut offset, mut scale) = (offset.to_vec(), scale.to_vec());
    // The specification makes both optional; one that is left out does nothing.
    if offset.is_empty() {
        offset = vec![0.0; scale.len().max(1)];
    }
    if scale.is_empty() {
        scale = vec![1.0; offset.len()];
    }
    if offset.len() != scale.len() {
        return Err(node
            .malformed("the attributes `offset` and `scale` differ in length")
            .expected(offset.len())
            .actual(scale.len()));
    }
    Ok(Box::new(Scaler { offset, scale }))
}

/// The error for rows of another length than `columns`.
#[cold]
fn wrong_columns(columns: usize, actual: usize) -> Error {
    Error::new(ErrorKind::WrongShape, "the rows have another number of columns than the operator has numbers for")
        .expected(columns)
        .actual(actual)
}

impl Scaler {
    /// Whether one pair of numbers serves all columns.
    fn is_scalar(&self) -> bool {
        self.scale.len() == 1
    }

    fn check(&self, value: &Value<'_>) -> Result<usize> {
        let n = last_axis(value)?;
        if self.is_scalar() || n == self.scale.len() { Ok(n) } else { Err(wrong_columns(self.scale.len(), n)) }
    }

    /// The scaled elements of rows of `n`; `f` computes one of an element, its offset and its scale.
    fn map<T: Copy>(&self, x: &[T], n: usize, out: &mut Vec<f32>, f: impl Fn(T, f32, f32) -> f32) {
        if self.is_scalar() {
            let (o, s) = (self.offset[0], self.scale[0]);
            out.extend(x.iter().map(|&x| f(x, o, s)));
        } else {
            for row in x.chunks_exact(n.max(1)) {
                out.extend(row.iter().zip(&self.offset).zip(&self.scale).map(|((&x, &o), &s)| f(x, o, s)));
            }
        }
    }

    fn in_place(&self, x: &mut [f32], n: usize) {
        if self.is_scalar() {
            let (o, s) = (self.offset[0], self.scale[0]);
            x.iter_mut().for_each(|x| *x = (*x - o) * s);
        } else {
            for row in x.chunks_exact_mut(n.max(1)) {
                for ((x, o), s) in row.iter_mut().zip(&self.offset).zip(&self.scale) {
                    *x = (*x - o) * s;
                }
            }
        }
    }

    /// The scaled value.
    pub(crate) fn apply(&self, value: Value<'_>, cx: &mut Scratch) -> Result<Value<'static>> {
        let n = self.check(&value)?;
        let shape = Shape::from_slice(value.shape());
        if let Data::F64(x) = value.data() {
            let mut out = cx.buffer::<f32>(x.len());
            self.map(x, n, &mut out, |x, o, s| ((x - f64::from(o)) * f64::from(s)) as f32);
            return Ok(Value::new(shape, out));
        }
        if let Data::F32(Cow::Borrowed(x)) = value.data() {
            let mut out = cx.buffer::<f32>(x.len());
            self.map(x, n, &mut out, |x, o, s| (x - o) * s);
            return Ok(Value::new(shape, out));
        }
        let (shape, mut items) = owned_f32s(value, cx)?;
        self.in_place(&mut items, n);
        Ok(Value::new(shape, items))
    }
}

impl Op for Scaler {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.take(0)?;
        Ok(smallvec![self.apply(value, cx)?])
    }

    fn fill(&self, rows: Filling<'_, '_>, _cx: &mut Scratch) -> Option<Result<()>> {
        let (m, items) = (rows.m, rows.in_place()?);
        let n = items.len() / m.max(1);
        (self.is_scalar() || n == self.scale.len()).then(|| {
            self.in_place(items, n);
            Ok(())
        })
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }

    fn parameters(&self) -> usize {
        self.offset.len() + self.scale.len()
    }

    fn features(&self) -> Option<usize> {
        (!self.is_scalar()).then_some(self.scale.len())
    }

    fn row_map(&self) -> Option<RowMap> {
        let wide = |v: &[f32]| v.iter().copied().map(f64::from).collect();
        Some(RowMap::Scale { offset: wide(&self.offset), scale: wide(&self.scale) })
    }

    fn absorb_previous(&self, previous: &dyn Op) -> Option<Box<dyn Op>> {
        let imputer = (previous as &dyn Any).downcast_ref::<Imputer>()?;
        let fits = imputer.columns() == 1 || self.is_scalar() || imputer.columns() == self.scale.len();
        fits.then(|| Box::new(ImputeScale { imputer: imputer.clone(), scaler: self.clone() }) as _)
    }
}

/// Puts a number in the place of one that stands for a missing value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Imputer {
    Floats(Replacement<f32>),
    Ints(Replacement<i64>),
}

/// What is replaced, and by what: one number per column, or one for all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Replacement<T> {
    pub(crate) replaced: T,
    pub(crate) values: Vec<T>,
}

fn imputer(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let floats = node.floats("imputed_value_floats")?.filter(|v| !v.is_empty());
    let ints = node.ints("imputed_value_int64s")?.filter(|v| !v.is_empty());
    Ok(Box::new(match (floats, ints) {
        (Some(floats), None) => Imputer::Floats(Replacement {
            replaced: node.float_or("replaced_value_float", 0.0)?,
            values: floats.to_vec(),
        }),
        (None, Some(ints)) => {
            Imputer::Ints(Replacement { replaced: node.int_or("replaced_value_int64", 0)?, values: ints.to_vec() })
        }
        _ => {
            return Err(node.malformed("one of `imputed_value_floats` and `imputed_value_int64s` must be given"));
        }
    }))
}

impl<T: Copy + PartialEq> Replacement<T> {
    /// Replaces in place, in rows of `n` elements; `of` brings the operator's numbers to the type of the elements.
    fn in_place<X: Copy + PartialEq>(&self, x: &mut [X], n: usize, of: impl Fn(T) -> X) -> Result<()> {
        let replaced = of(self.replaced);
        // The one value that differs from itself is NaN.
        #[allow(clippy::eq_op, reason = "tells NaN apart for any element type")]
        let missing = |x: X| if replaced == replaced { x == replaced } else { x != x };
        if self.values.len() == 1 {
            let by = of(self.values[0]);
            x.iter_mut().for_each(|x| *x = if missing(*x) { by } else { *x });
        } else if self.values.len() == n {
            for row in x.chunks_exact_mut(n) {
                for (x, &by) in row.iter_mut().zip(&self.values) {
                    *x = if missing(*x) { of(by) } else { *x };
                }
            }
        } else {
            return Err(wrong_columns(self.values.len(), n));
        }
        Ok(())
    }
}

impl Imputer {
    /// How many numbers there are to put in.
    pub(crate) fn columns(&self) -> usize {
        match self {
            Self::Floats(r) => r.values.len(),
            Self::Ints(r) => r.values.len(),
        }
    }

    /// The value with nothing missing.
    pub(crate) fn apply(&self, value: Value<'_>, cx: &mut Scratch) -> Result<Value<'static>> {
        let n = last_axis(&value)?;
        let shape = Shape::from_slice(value.shape());
        match (self, value.dtype()) {
            (Self::Floats(r), Some(crate::DType::F32)) => {
                let mut x = owned::<f32>(value, cx)?;
                r.in_place(&mut x, n, |v| v)?;
                Ok(Value::new(shape, x))
            }
            (Self::Floats(r), Some(crate::DType::F64)) => {
                let mut x = owned::<f64>(value, cx)?;
                r.in_place(&mut x, n, f64::from)?;
                Ok(Value::new(shape, x))
            }
            (Self::Ints(r), Some(crate::DType::I64)) => {
                let mut x = owned::<i64>(value, cx)?;
                r.in_place(&mut x, n, |v| v)?;
                Ok(Value::new(shape, x))
            }
            (Self::Ints(r), Some(crate::DType::I32)) => {
                // A number that no i32 can be is never found, and never put in where the file is right.
                let Ok(replaced) = i32::try_from(r.replaced) else { return Ok(value.into_static()) };
                let values = r.values.iter().map(|&v| i32::try_from(v)).collect::<Result<Vec<_>, _>>();
                let values = values.map_err(|_| {
                    Error::new(ErrorKind::InvalidValue, "a value of `imputed_value_int64s` does not fit an i32")
                })?;
                let mut x = owned::<i32>(value, cx)?;
                Replacement { replaced, values }.in_place(&mut x, n, |v| v)?;
                Ok(Value::new(shape, x))
            }
            (Self::Floats(_), _) => Err(value.type_error("f32 or f64, which `imputed_value_floats` is for")),
            (Self::Ints(_), _) => Err(value.type_error("i64 or i32, which `imputed_value_int64s` is for")),
        }
    }
}

/// The elements in a buffer of their own.
fn owned<T: Item>(value: Value<'_>, cx: &mut Scratch) -> Result<Vec<T>> {
    match T::into_cow(value.into_data()) {
        Ok(Cow::Owned(items)) => Ok(items),
        Ok(Cow::Borrowed(items)) => {
            let mut out = cx.buffer::<T>(items.len());
            out.extend_from_slice(items);
            Ok(out)
        }
        Err(data) => Err(Value::from_parts([0].as_slice(), data).type_error(T::DTYPE.as_str())),
    }
}

impl Op for Imputer {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.take(0)?;
        Ok(smallvec![self.apply(value, cx)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }

    fn parameters(&self) -> usize {
        self.columns()
    }

    fn features(&self) -> Option<usize> {
        (self.columns() > 1).then(|| self.columns())
    }
}

/// An imputer and then a scaler.
#[derive(Debug, Clone)]
pub(crate) struct ImputeScale {
    pub(crate) imputer: Imputer,
    pub(crate) scaler: Scaler,
}

impl ImputeScale {
    /// One pass over f32 rows of `n`, where each column has its own numbers.
    fn fused(&self, x: &[f32], n: usize, out: &mut Vec<f32>) -> bool {
        let (Imputer::Floats(r), Scaler { offset, scale }) = (&self.imputer, &self.scaler) else { return false };
        if n == 0 || r.values.len() != n || scale.len() != n {
            return false;
        }
        let replaced = r.replaced;
        let columns = || r.values.iter().zip(offset).zip(scale);
        if replaced.is_nan() {
            for row in x.chunks_exact(n) {
                out.extend(
                    row.iter().zip(columns()).map(|(&x, ((&by, o), s))| ((if x.is_nan() { by } else { x }) - o) * s),
                );
            }
        } else {
            for row in x.chunks_exact(n) {
                out.extend(
                    row.iter().zip(columns()).map(|(&x, ((&by, o), s))| ((if x == replaced { by } else { x }) - o) * s),
                );
            }
        }
        true
    }
}

impl Op for ImputeScale {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.take(0)?;
        if let Some(x) = value.try_slice::<f32>() {
            let n = self.scaler.check(&value)?;
            let mut out = cx.buffer::<f32>(x.len());
            if self.fused(x, n, &mut out) {
                let shape = Shape::from_slice(value.shape());
                cx.recycle(value);
                return Ok(smallvec![Value::new(shape, out)]);
            }
            cx.recycle_buffer(out);
        }
        let imputed = self.imputer.apply(value, cx)?;
        Ok(smallvec![self.scaler.apply(imputed, cx)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }

    fn parameters(&self) -> usize {
        self.imputer.parameters() + self.scaler.parameters()
    }

    fn features(&self) -> Option<usize> {
        self.scaler.features().or(self.imputer.features())
    }
}
