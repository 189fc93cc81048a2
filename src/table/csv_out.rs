//! Writing CSV.

use std::io::{self, Write};

use super::wide::Columns;
use crate::{Error, Result, Tensor, Tensors};

pub(super) fn header<W: Write>(out: &mut csv::Writer<W>, columns: &Columns) -> Result<()> {
    out.write_record(columns.names()).map_err(write_error)
}

/// Writes the rows of one batch. Floats are written with the fewest digits that give the same value back.
pub(super) fn rows<W: Write>(out: &mut csv::Writer<W>, columns: &Columns, outputs: &Tensors<'_>) -> Result<()> {
    let (m, tensors) = columns.rows(outputs)?;
    let mut text = Vec::with_capacity(32);
    for i in 0..m {
        for (tensor, width) in &tensors {
            for at in i * width..(i + 1) * width {
                if let Tensor::String(strings) = tensor {
                    let strings = strings.as_slice().unwrap_or(&[]);
                    out.write_field(&strings[at]).map_err(write_error)?;
                    continue;
                }
                text.clear();
                cell(&mut text, tensor, at)?;
                out.write_field(&text).map_err(write_error)?;
            }
        }
        out.write_record(None::<&[u8]>).map_err(write_error)?;
    }
    Ok(())
}

fn cell(text: &mut Vec<u8>, tensor: &Tensor<'_>, at: usize) -> io::Result<()> {
    macro_rules! write_at {
        ($array:expr, $format:literal) => {
            match $array.as_slice().and_then(|values| values.get(at)) {
                Some(value) => write!(text, $format, value),
                None => Ok(()),
            }
        };
    }
    match tensor {
        Tensor::Bool(a) => write_at!(a, "{}"),
        Tensor::U8(a) => write_at!(a, "{}"),
        Tensor::U16(a) => write_at!(a, "{}"),
        Tensor::U32(a) => write_at!(a, "{}"),
        Tensor::U64(a) => write_at!(a, "{}"),
        Tensor::I8(a) => write_at!(a, "{}"),
        Tensor::I16(a) => write_at!(a, "{}"),
        Tensor::I32(a) => write_at!(a, "{}"),
        Tensor::I64(a) => write_at!(a, "{}"),
        Tensor::F16(a) => write_at!(a, "{:?}"),
        Tensor::Bf16(a) => write_at!(a, "{:?}"),
        Tensor::F32(a) => write_at!(a, "{:?}"),
        Tensor::F64(a) => write_at!(a, "{:?}"),
        Tensor::String(_) | Tensor::CsrF32(_) | Tensor::CsrF64(_) => Ok(()),
    }
}

pub(super) fn write_error(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(e) => e.into(),
        other => Error::new(crate::ErrorKind::Io, format!("the table can't be written as CSV: {other:?}")),
    }
}
