use std::io::{self, Write};

use crate::tensor::shape_text;
use crate::{DType, Element, Error, ErrorKind, Result, Tensor};

/// The rows of one output, gathered until they can be written as an array: the header holds their number, and that
/// of text the longest one.
#[derive(Debug)]
pub(in crate::table) struct Column {
    /// The shape; axis 0 grows when the output has a batch axis.
    shape: Vec<usize>,
    batched: bool,
    dtype: DType,
    data: Data,
}

#[derive(Debug)]
enum Data {
    /// Elements, little-endian.
    Plain {
        descr: &'static str,
        bytes: Vec<u8>,
    },
    Text(Vec<String>),
}

impl Column {
    /// A column that starts with `tensor`.
    pub(in crate::table) fn new(tensor: &Tensor<'_>, batched: bool) -> Result<Self> {
        let descr = match tensor {
            Tensor::Bool(_) => "|b1",
            Tensor::U8(_) => "|u1",
            Tensor::U16(_) => "<u2",
            Tensor::U32(_) => "<u4",
            Tensor::U64(_) => "<u8",
            Tensor::I8(_) => "|i1",
            Tensor::I16(_) => "<i2",
            Tensor::I32(_) => "<i4",
            Tensor::I64(_) => "<i8",
            Tensor::F16(_) => "<f2",
            // NumPy has no bfloat16; f32 holds every value of it.
            Tensor::Bf16(_) | Tensor::F32(_) | Tensor::CsrF32(_) => "<f4",
            Tensor::F64(_) | Tensor::CsrF64(_) => "<f8",
            Tensor::String(_) => "",
        };
        let data = if descr.is_empty() { Data::Text(Vec::new()) } else { Data::Plain { descr, bytes: Vec::new() } };
        let mut column = Self { shape: tensor.shape().to_vec(), batched, dtype: tensor.dtype(), data };
        column.extend(tensor)?;
        Ok(column)
    }

    /// Adds the rows of `tensor`.
    pub(in crate::table) fn push(&mut self, tensor: &Tensor<'_>) -> Result<()> {
        let shape = tensor.shape();
        if !self.batched {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "an output without a batch axis can't be put together from several batches; predict all rows in one batch",
            ));
        }
        if shape.is_empty() || shape[1..] != self.shape[1..] {
            return Err(Error::new(ErrorKind::WrongShape, "an output changed its shape from one batch to the next")
                .expected(shape_text(&self.shape))
                .actual(shape_text(shape)));
        }
        if tensor.dtype() != self.dtype {
            return Err(changed_type().expected(self.dtype).actual(tensor.dtype()));
        }
        self.shape[0] += shape[0];
        self.extend(tensor)
    }

    fn extend(&mut self, tensor: &Tensor<'_>) -> Result<()> {
        macro_rules! plain {
            ($out:expr, $array:expr, $x:ident => $bytes:expr) => {
                $array.iter().for_each(|$x| $out.extend_from_slice(&$bytes))
            };
        }
        match &mut self.data {
            Data::Text(texts) => texts.extend(String::view(tensor).ok_or_else(changed_type)?.iter().cloned()),
            Data::Plain { bytes, .. } => match &tensor.to_dense() {
                Tensor::Bool(a) => plain!(bytes, a, x => [u8::from(*x)]),
                Tensor::U8(a) => plain!(bytes, a, x => [*x]),
                Tensor::U16(a) => plain!(bytes, a, x => x.to_le_bytes()),
                Tensor::U32(a) => plain!(bytes, a, x => x.to_le_bytes()),
                Tensor::U64(a) => plain!(bytes, a, x => x.to_le_bytes()),
                Tensor::I8(a) => plain!(bytes, a, x => x.to_le_bytes()),
                Tensor::I16(a) => plain!(bytes, a, x => x.to_le_bytes()),
                Tensor::I32(a) => plain!(bytes, a, x => x.to_le_bytes()),
                Tensor::I64(a) => plain!(bytes, a, x => x.to_le_bytes()),
                Tensor::F16(a) => plain!(bytes, a, x => x.to_le_bytes()),
                Tensor::Bf16(a) => plain!(bytes, a, x => x.to_f32().to_le_bytes()),
                Tensor::F32(a) => plain!(bytes, a, x => x.to_le_bytes()),
                Tensor::F64(a) => plain!(bytes, a, x => x.to_le_bytes()),
                _ => return Err(changed_type()),
            },
        }
        Ok(())
    }

    /// The size of the file that [`write_to`](Self::write_to) writes, or a little more.
    pub(in crate::table) fn file_bytes(&self) -> u64 {
        let data = match &self.data {
            Data::Plain { bytes, .. } => bytes.len() as u64,
            Data::Text(texts) => texts.len() as u64 * 4 * longest(texts) as u64,
        };
        data + 1024
    }

    /// Writes the array as an `.npy` file.
    pub(in crate::table) fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let descr = match &self.data {
            Data::Plain { descr, .. } => (*descr).to_string(),
            Data::Text(texts) => format!("<U{}", longest(texts)),
        };
        let shape = match self.shape.as_slice() {
            [one] => format!("({one},)"),
            many => format!("({})", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        // The data starts at a multiple of 64 bytes, so that it can be mapped.
        while !(10 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let length = u16::try_from(header.len()).map_err(|_| io::Error::other("the shape has too many dimensions"))?;
        out.write_all(b"\x93NUMPY\x01\x00")?;
        out.write_all(&length.to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        match &self.data {
            Data::Plain { bytes, .. } => out.write_all(bytes),
            Data::Text(texts) => {
                let mut element = vec![0; 4 * longest(texts)];
                texts.iter().try_for_each(|text| {
                    element.fill(0);
                    element.chunks_exact_mut(4).zip(text.chars()).for_each(|(at, c)| {
                        at.copy_from_slice(&u32::from(c).to_le_bytes());
                    });
                    out.write_all(&element)
                })
            }
        }
    }
}

/// The characters of the longest text; at least one, as NumPy writes it.
fn longest(texts: &[String]) -> usize {
    texts.iter().map(|t| t.chars().count()).max().unwrap_or(0).max(1)
}

fn changed_type() -> Error {
    Error::new(ErrorKind::WrongType, "an output changed its element type from one batch to the next")
}
