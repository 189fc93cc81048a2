use std::io::Read;

use half::f16;
use ndarray::{Array, IxDyn, ShapeBuilder};

use super::header::{Header, Item};
use crate::{DType, Element, Error, ErrorKind, Result, Tensor};

/// How many bytes are decoded at a time.
const PIECE_BYTES: usize = 1 << 16;

/// The array in the bytes of an `.npy` file: numbers, truth values or text, of any shape, byte order and memory order.
///
/// ```
/// use modelberth::{table::read_npy, DType};
/// # let bytes = b"\x93NUMPY\x01\x00\x38\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n\0\0\x80\x3f\0\0\0\x40";
/// let array = read_npy(bytes)?; // numpy.save("a.npy", numpy.array([1, 2], numpy.float32))
/// assert_eq!((array.dtype(), array.as_slice::<f32>()?), (DType::F32, &[1.0, 2.0][..]));
/// # Ok::<(), modelberth::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Malformed`] when the bytes are not a whole array; [`ErrorKind::Unsupported`] for Python objects,
/// structured types, complex numbers and dates.
pub fn read_npy(bytes: &[u8]) -> Result<Tensor<'static>> {
    read(&mut &bytes[..], bytes.len() as u64, u64::MAX)
}

/// The array in `content`, which has `available` bytes, if the array has no more than `limit`.
pub(in crate::table) fn read(content: &mut dyn Read, available: u64, limit: u64) -> Result<Tensor<'static>> {
    let (header, header_bytes) = Header::read(content)?;
    let (count, bytes) = header.size()?;
    if header.item.size_bytes() == 0 && count > 0 {
        return Err(Error::new(ErrorKind::Malformed, "the .npy array has elements without any bytes"));
    }
    if bytes > available.saturating_sub(header_bytes) {
        return Err(truncated(bytes, available.saturating_sub(header_bytes)));
    }
    if bytes > limit {
        return Err(Error::new(ErrorKind::LimitExceeded, "an array is larger than `TableOptions::max_bytes`")
            .expected(format!("at most {limit} bytes"))
            .actual(format!("{bytes} bytes")));
    }
    let mut data = Data { content, left: bytes, total: bytes };
    macro_rules! number {
        ($t:ty) => {{
            let big = header.big_endian;
            data.decode(&header, |b| {
                let b = b.try_into().expect("elements are cut to their size");
                Ok(if big { <$t>::from_be_bytes(b) } else { <$t>::from_le_bytes(b) })
            })
        }};
    }
    match header.item {
        Item::Plain(DType::Bool) => data.decode(&header, |b| Ok(b[0] != 0)),
        Item::Plain(DType::U8) => number!(u8),
        Item::Plain(DType::U16) => number!(u16),
        Item::Plain(DType::U32) => number!(u32),
        Item::Plain(DType::U64) => number!(u64),
        Item::Plain(DType::I8) => number!(i8),
        Item::Plain(DType::I16) => number!(i16),
        Item::Plain(DType::I32) => number!(i32),
        Item::Plain(DType::I64) => number!(i64),
        Item::Plain(DType::F16) => number!(f16),
        Item::Plain(DType::F32) => number!(f32),
        Item::Plain(DType::F64) => number!(f64),
        Item::Unicode(_) => data.decode(&header, |b| code_points(b, header.big_endian)),
        Item::Bytes(_) => data.decode(&header, text),
        Item::Plain(other) => Err(Error::new(ErrorKind::Unsupported, "NumPy has no such element type").actual(other)),
    }
}

fn truncated(expected: u64, actual: u64) -> Error {
    Error::new(ErrorKind::Malformed, "the .npy array is truncated: its shape asks for more data than there is")
        .expected(format!("{expected} bytes"))
        .actual(format!("{actual} bytes"))
}

/// Text of four bytes per character, without the zeros that pad it.
fn code_points(bytes: &[u8], big_endian: bool) -> Result<String> {
    let end = bytes.chunks_exact(4).rposition(|c| c != [0; 4]).map_or(0, |last| (last + 1) * 4);
    bytes[..end]
        .chunks_exact(4)
        .map(|c| {
            let c = [c[0], c[1], c[2], c[3]];
            let code = if big_endian { u32::from_be_bytes(c) } else { u32::from_le_bytes(c) };
            char::from_u32(code).ok_or_else(|| {
                Error::new(ErrorKind::Malformed, "an .npy array of text holds a number that is no character")
                    .actual(format!("{code:#x}"))
            })
        })
        .collect()
}

/// UTF-8 text, without the zeros that pad it.
fn text(bytes: &[u8]) -> Result<String> {
    let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
    std::str::from_utf8(&bytes[..end]).map(Into::into).map_err(|_| {
        Error::new(ErrorKind::Malformed, "an .npy array of bytes is not UTF-8 text; save it as `array.astype(str)`")
    })
}

/// The bytes after the header.
struct Data<'r> {
    content: &'r mut dyn Read,
    left: u64,
    total: u64,
}

impl Data<'_> {
    fn decode<T: Element>(&mut self, header: &Header, one: impl Fn(&[u8]) -> Result<T>) -> Result<Tensor<'static>> {
        let size = header.item.size_bytes();
        let count: usize = header.shape.iter().product();
        // The size comes from the file, so memory is taken as the data arrives, doubling.
        let mut elements = Vec::with_capacity(count.min(PIECE_BYTES));
        let whole_elements = (PIECE_BYTES / size.max(1)).max(1) * size;
        let mut piece = vec![0; whole_elements.min(self.left as usize)];
        while self.left > 0 {
            let length = piece.len().min(self.left as usize);
            let piece = &mut piece[..length];
            self.content.read_exact(piece).map_err(|e| match e.kind() {
                std::io::ErrorKind::UnexpectedEof => truncated(self.total, self.total - self.left),
                _ => Error::from(e),
            })?;
            self.left -= length as u64;
            for bytes in piece.chunks_exact(size) {
                elements.push(one(bytes)?);
            }
        }
        let array = Array::from_shape_vec(IxDyn(&header.shape).set_f(header.fortran), elements);
        // A tensor is row-major: an array in column order is copied into it here.
        array.map(Tensor::from).map_err(|_| {
            Error::new(ErrorKind::Malformed, "the shape of the .npy array is not possible")
                .actual(crate::tensor::shape_text(&header.shape))
        })
    }
}
