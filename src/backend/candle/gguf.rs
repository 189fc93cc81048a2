//! Weights in the GGUF format: floats, and blocks of 8 and 4 bits.
//!
//! The [format](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) of version 2 and 3, little endian. Blocks become
//! f32 when they are read.

use half::f16;

use crate::tensor::{checked_len, shape_text};
use crate::{Error, ErrorKind, Limits, Result};

/// The elements that share a scale.
pub(crate) const BLOCK: usize = 32;
/// Where tensors begin, where the file does not say.
const ALIGNMENT: u64 = 32;

/// A tensor of the file.
#[derive(Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

struct Bytes<'b> {
    all: &'b [u8],
    at: usize,
}

fn cut_short() -> Error {
    Error::new(ErrorKind::Malformed, "the GGUF file is cut short or damaged; write it again")
}

impl<'b> Bytes<'b> {
    fn take(&mut self, n: u64) -> Result<&'b [u8]> {
        let end = usize::try_from(n).ok().and_then(|n| self.at.checked_add(n)).ok_or_else(cut_short)?;
        let part = self.all.get(self.at..end).ok_or_else(cut_short)?;
        self.at = end;
        Ok(part)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| cut_short())?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into().map_err(|_| cut_short())?))
    }

    fn text(&mut self) -> Result<&'b str> {
        let length = self.u64()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| cut_short())
    }

    /// Passes over a value of metadata; the number that it is, where it is one of 32 bits.
    fn value(&mut self, kind: u32, depth: usize) -> Result<Option<u32>> {
        match kind {
            0 | 1 | 7 => self.take(1)?,
            2 | 3 => self.take(2)?,
            4 => return self.u32().map(Some),
            5 | 6 => self.take(4)?,
            10..=12 => self.take(8)?,
            8 => self.text()?.as_bytes(),
            9 if depth < 4 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                // An element takes a byte at least, so that this ends with the file.
                for _ in 0..count {
                    self.value(kind, depth + 1)?;
                }
                &[]
            }
            _ => return Err(cut_short()),
        };
        Ok(None)
    }
}

/// The tensors of the file in `all`.
///
/// # Errors
/// [`ErrorKind::Malformed`] for a file that is none, is damaged or ends early; [`ErrorKind::Unsupported`] naming a type of
/// blocks other than Q4_0 and Q8_0; [`ErrorKind::LimitExceeded`].
pub(super) fn read(all: &[u8], limits: &Limits) -> Result<Vec<Stored>> {
    let mut bytes = Bytes { all, at: 0 };
    if bytes.take(4)? != b"GGUF" || !(2..=3).contains(&bytes.u32()?) {
        return Err(Error::new(ErrorKind::Malformed, "this is no GGUF file of version 2 or 3"));
    }
    let (count, pairs) = (bytes.u64()?, bytes.u64()?);
    let mut alignment = ALIGNMENT;
    for _ in 0..pairs {
        let key = bytes.text()?;
        let kind = bytes.u32()?;
        if let (Some(value), "general.alignment") = (bytes.value(kind, 0)?, key) {
            alignment = u64::from(value).max(1);
        }
    }
    let mut infos = Vec::new();
    for _ in 0..count {
        let name = bytes.text()?.to_owned();
        let rank = bytes.u32()?;
        if rank > 8 {
            return Err(cut_short());
        }
        let dims = (0..rank).map(|_| bytes.u64()).collect::<Result<Vec<u64>>>()?;
        let (kind, offset) = (bytes.u32()?, bytes.u64()?);
        // Innermost first in the file.
        let shape: Option<Vec<usize>> = dims.iter().rev().map(|&d| usize::try_from(d).ok()).collect();
        let shape = shape.ok_or_else(cut_short)?;
        if checked_len(&shape).is_none_or(|n| n > limits.max_elements) {
            return Err(Error::new(ErrorKind::LimitExceeded, "a tensor is larger than `Limits::max_elements`")
                .tensor(&name)
                .expected(format!("at most {} elements", limits.max_elements))
                .actual(shape_text(&shape)));
        }
        infos.push((name, shape, kind, offset));
    }
    let start = (bytes.at as u64).next_multiple_of(alignment);
    infos
        .into_iter()
        .map(|(name, shape, kind, offset)| {
            let n: usize = shape.iter().product();
            let per_block = |size: u64| (n as u64 / BLOCK as u64) * size;
            let length = match kind {
                0 => 4 * n as u64,
                1 => 2 * n as u64,
                2 if n.is_multiple_of(BLOCK) => per_block(18),
                8 if n.is_multiple_of(BLOCK) => per_block(34),
                _ => {
                    let what = "a tensor of this type of GGUF is not read; F32, F16, Q8_0 and Q4_0 are";
                    return Err(Error::new(ErrorKind::Unsupported, what).tensor(name).actual(kind));
                }
            };
            let at = start.checked_add(offset).and_then(|at| usize::try_from(at).ok()).ok_or_else(cut_short)?;
            let data = Bytes { all, at }.take(length).map_err(|e| e.tensor(&name))?;
            let values = match kind {
                0 => data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
                1 => data.as_chunks::<2>().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
                2 => data.as_chunks::<18>().0.iter().flat_map(four_bits).collect(),
                _ => data.as_chunks::<34>().0.iter().flat_map(eight_bits).collect(),
            };
            Ok(Stored { name, shape, values })
        })
        .collect()
}

/// A block of Q4_0: its scale in f16, then the lower halves of 16 bytes and after them the upper ones, less 8.
fn four_bits(block: &[u8; 18]) -> [f32; BLOCK] {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    std::array::from_fn(|i| {
        let byte = block[2 + i % 16];
        let number = if i < 16 { byte & 15 } else { byte >> 4 };
        (f32::from(number) - 8.0) * scale
    })
}

/// A block of Q8_0: its scale in f16, then 32 i8.
fn eight_bits(block: &[u8; 34]) -> [f32; BLOCK] {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    std::array::from_fn(|i| f32::from(block[2 + i] as i8) * scale)
}
