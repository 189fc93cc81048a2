//! Inputs that are whole arrays, handed out in batches.

use super::value::{Scalar, sink};
use crate::tensor::shape_text;
use crate::{Dim, Error, ErrorKind, Result, Signature, Tensor, TensorSpec, Tensors};

pub(super) struct ArraySource {
    inputs: Vec<(TensorSpec, Tensor<'static>)>,
    rows: usize,
    row: usize,
    /// Whether any input has a batch axis.
    batched: bool,
}

impl ArraySource {
    /// `arrays` as the inputs of `signature`, in its order.
    pub(super) fn new(signature: &Signature, arrays: Vec<Tensor<'static>>) -> Result<Self> {
        let mut rows: Option<(usize, &TensorSpec)> = None;
        let mut inputs = Vec::with_capacity(arrays.len());
        for (spec, array) in signature.inputs().iter().zip(arrays) {
            let array = if spec.is_batched() { as_rows(spec, array)? } else { array };
            if spec.is_batched() {
                let m = array.shape().first().copied().unwrap_or(0);
                match rows {
                    Some((first, other)) if first != m => {
                        return Err(Error::new(
                            ErrorKind::WrongShape,
                            format!("the arrays hold different numbers of rows: `{}` has {first}", other.name()),
                        )
                        .tensor(spec.name())
                        .expected(format!("{first} rows"))
                        .actual(m));
                    }
                    _ => rows = Some((m, spec)),
                }
            }
            inputs.push((spec.clone(), array));
        }
        let batched = rows.is_some();
        Ok(Self { inputs, rows: rows.map_or(1, |(m, _)| m), row: 0, batched })
    }

    pub(super) fn total(&self) -> u64 {
        self.rows as u64
    }

    /// Up to `rows` further rows; none at the end. A model without a batch axis gets everything at once.
    pub(super) fn next_batch(&mut self, rows: usize) -> Result<(usize, Tensors<'static>)> {
        let from = self.row;
        let to = self.rows.min(from.saturating_add(rows));
        let whole = !self.batched || from == 0 && to == self.rows;
        self.row = to;
        let inputs = self.inputs.iter_mut();
        let set: Result<Tensors<'static>> = inputs
            .map(|(spec, array)| {
                let tensor = if !spec.is_batched() {
                    converted(array.as_view(), spec, 0)?.into_owned()
                } else if whole {
                    // All rows at once are moved out and not copied. Later calls find none.
                    let empty = array.rows(0..0)?.into_owned();
                    converted(std::mem::replace(array, empty), spec, 0)?.into_owned()
                } else {
                    let end = array.shape()[0];
                    converted(array.rows(from.min(end)..to.min(end))?, spec, from as u64)?.into_owned()
                };
                Ok((spec.name().clone(), tensor))
            })
            .collect();
        Ok((to - from, set?))
    }
}

/// An array with axis 0 as the batch: (m,) for an input (m, 1), and (m, 1) for one (m,).
fn as_rows(spec: &TensorSpec, array: Tensor<'static>) -> Result<Tensor<'static>> {
    let shape = match (spec.dims(), array.shape()) {
        ([_, Dim::Fixed(1)], &[m]) => vec![m, 1],
        ([_], &[m, 1]) => vec![m],
        (dims, shape) if dims.len() == shape.len() => return Ok(array),
        (_, shape) => {
            return Err(Error::new(ErrorKind::WrongShape, "an array has the wrong number of axes; axis 0 is the rows")
                .tensor(spec.name())
                .expected(spec.shape_text())
                .actual(shape_text(shape)));
        }
    };
    array.reshape(&shape)
}

/// `array` with an element type that the input takes. `first` is the number of its first row.
fn converted<'a>(array: Tensor<'a>, spec: &TensorSpec, first: u64) -> Result<Tensor<'a>> {
    if spec.dtypes().contains(&array.dtype()) {
        return Ok(array);
    }
    let dtype = spec.dtype();
    let mut elements = sink(dtype);
    let per_row = array.shape().iter().skip(1).product::<usize>().max(1);
    let mut push = |i: usize, cell: Scalar<'_>| {
        elements.push(cell).map_err(|refusal| {
            let (row, column) = (first + (i / per_row) as u64, i % per_row);
            let name = spec.features().get(column).map_or_else(|| format!("{column}"), Clone::clone);
            refusal.error(cell, dtype, row, &name).tensor(spec.name())
        })
    };
    each_cell(&array, &mut push)?;
    elements.take(array.shape())
}

/// Gives every element of a dense `array` to `push` with its number in row-major order.
pub(super) fn each_cell(array: &Tensor<'_>, push: &mut dyn FnMut(usize, Scalar<'_>) -> Result<()>) -> Result<()> {
    macro_rules! each {
        ($a:expr, $x:ident => $cell:expr) => {
            $a.iter().enumerate().try_for_each(|(i, $x)| push(i, $cell))
        };
    }
    match array {
        Tensor::Bool(a) => each!(a, x => Scalar::Bool(*x)),
        Tensor::U8(a) => each!(a, x => Scalar::Uint((*x).into())),
        Tensor::U16(a) => each!(a, x => Scalar::Uint((*x).into())),
        Tensor::U32(a) => each!(a, x => Scalar::Uint((*x).into())),
        Tensor::U64(a) => each!(a, x => Scalar::Uint(*x)),
        Tensor::I8(a) => each!(a, x => Scalar::Int((*x).into())),
        Tensor::I16(a) => each!(a, x => Scalar::Int((*x).into())),
        Tensor::I32(a) => each!(a, x => Scalar::Int((*x).into())),
        Tensor::I64(a) => each!(a, x => Scalar::Int(*x)),
        Tensor::F16(a) => each!(a, x => Scalar::Float((*x).into())),
        Tensor::Bf16(a) => each!(a, x => Scalar::Float((*x).into())),
        Tensor::F32(a) => each!(a, x => Scalar::Float((*x).into())),
        Tensor::F64(a) => each!(a, x => Scalar::Float(*x)),
        Tensor::String(a) => each!(a, x => Scalar::Text(x)),
        Tensor::CsrF32(_) | Tensor::CsrF64(_) => {
            return Err(Error::new(ErrorKind::WrongType, "sparse rows can't be converted"));
        }
    }
}
