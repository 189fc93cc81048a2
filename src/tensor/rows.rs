//! Taking rows out of tensors and putting batches together.

use alloc::vec::Vec;
use core::ops::Range;

use ndarray::{Axis, Slice};

use super::dense::{each, shape_text};
use super::{Element, Tensor, Tensors};
use crate::{Error, ErrorKind, Result};

impl Tensor<'_> {
    /// The entries `range` along axis 0, borrowed where the tensor is dense.
    ///
    /// # Errors
    /// [`ErrorKind::WrongShape`] when the tensor is a scalar or has fewer rows.
    pub fn rows(&self, range: Range<usize>) -> Result<Tensor<'_>> {
        let have = self.shape().first().copied();
        if range.start > range.end || have.is_none_or(|m| range.end > m) {
            return Err(Error::new(ErrorKind::WrongShape, "the tensor does not have these rows")
                .expected(alloc::format!("rows {}..{}", range.start, range.end))
                .actual(shape_text(self.shape())));
        }
        Ok(match self {
            Tensor::CsrF32(c) => Tensor::CsrF32(c.select(range)),
            Tensor::CsrF64(c) => Tensor::CsrF64(c.select(range)),
            dense => {
                let slice = Slice::new(range.start as isize, Some(range.end as isize), 1);
                each!(dense, a => Element::wrap(a.slice_axis(Axis(0), slice).into()), _c => unreachable!("sparse rows are matched above"))
            }
        })
    }

    /// The tensors of `parts` one after another along axis 0.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] or [`ErrorKind::WrongShape`] when the parts differ in more than their length along
    /// axis 0; [`ErrorKind::InvalidArgument`] when there is no part.
    pub fn concat_rows(parts: &[Tensor<'_>]) -> Result<Tensor<'static>> {
        let Some(first) = parts.first() else {
            return Err(Error::new(ErrorKind::InvalidArgument, "there is nothing to concatenate"));
        };
        fn concat_typed<T: Element>(parts: &[Tensor<'_>]) -> Result<Tensor<'static>> {
            let views = parts.iter().map(Tensor::view::<T>).collect::<Result<Vec<_>>>()?;
            ndarray::concatenate(Axis(0), &views)
                .map(|a| T::wrap(a.into()))
                .map_err(|_| Error::new(ErrorKind::WrongShape, "the parts of a batch differ beyond axis 0"))
        }
        macro_rules! dispatch { ($($variant:ident: $t:ty),*) => {
            match first {
                $(Tensor::$variant(_) => concat_typed::<$t>(parts),)*
                Tensor::CsrF32(_) | Tensor::CsrF64(_) => {
                    let dense: Vec<Tensor<'_>> = parts.iter().map(Tensor::to_dense).collect();
                    Self::concat_rows(&dense)
                }
            }
        }}
        dispatch!(Bool: bool, U8: u8, U16: u16, U32: u32, U64: u64, I8: i8, I16: i16, I32: i32, I64: i64,
            F16: half::f16, Bf16: half::bf16, F32: f32, F64: f64, String: alloc::string::String)
    }
}

impl Tensors<'_> {
    /// The entries `range` along axis 0 of every tensor.
    ///
    /// # Errors
    /// [`ErrorKind::WrongShape`] when a tensor does not have these rows.
    pub fn rows(&self, range: Range<usize>) -> Result<Tensors<'_>> {
        self.iter().map(|(name, t)| Ok((name.clone(), t.rows(range.clone()).map_err(|e| e.tensor(name))?))).collect()
    }

    /// The sets of `parts` one after another along axis 0. Every part has the tensors of the first.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownTensor`] when a part lacks a tensor of the first; else as [`Tensor::concat_rows`].
    pub fn concat_rows(parts: &[Tensors<'_>]) -> Result<Tensors<'static>> {
        let Some(first) = parts.first() else {
            return Ok(Tensors::new());
        };
        first
            .iter()
            .map(|(name, _)| {
                let of_name =
                    parts.iter().map(|part| part.tensor(name).map(Tensor::as_view)).collect::<Result<Vec<_>>>()?;
                Ok((name.clone(), Tensor::concat_rows(&of_name).map_err(|e| e.tensor(name))?))
            })
            .collect()
    }
}
