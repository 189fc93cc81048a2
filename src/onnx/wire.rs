//! The protobuf wire format: a bounds-checked reader, the limits it keeps, and writers.

use super::bytes::Bytes;
use crate::error::{Error, ErrorKind, Result};
use std::{format, vec::Vec};

/// Decoding recurses, so that a greater [`DecodeLimits::max_depth`] would trade the error for a stack overflow.
const DEEPEST: usize = 256;

/// What a file may ask for while it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DecodeLimits {
    /// How deep messages may nest, the outermost counted as 1. Values above 256 count as 256.
    pub(crate) max_depth: usize,
    /// How many sub-messages (nodes, attributes, tensors, dimensions, ...) the file may hold in all.
    pub(crate) max_messages: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { max_depth: 64, max_messages: 4_000_000 }
    }
}

/// What remains of the limits in the course of one decoding.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: DecodeLimits,
    depth: usize,
    messages_left: usize,
}

impl Budget {
    /// A full budget; the outermost message is already entered.
    pub(crate) fn new(limits: &DecodeLimits) -> Self {
        Self { limits: *limits, depth: 1, messages_left: limits.max_messages }
    }

    /// How many more sub-messages may come.
    pub(crate) fn messages_left(&self) -> usize {
        self.messages_left
    }

    /// Counts a sub-message in.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] when it lies too deep or is one too many.
    pub(crate) fn enter(&mut self, reader: &Reader<'_>) -> Result<()> {
        let deepest = self.limits.max_depth.min(DEEPEST);
        if self.depth >= deepest {
            return Err(reader.error(ErrorKind::LimitExceeded, format!("messages nest deeper than {deepest}")));
        }
        self.messages_left = self.messages_left.checked_sub(1).ok_or_else(|| {
            let text = format!("the file holds more than {} messages", self.limits.max_messages);
            reader.error(ErrorKind::LimitExceeded, text)
        })?;
        self.depth += 1;
        Ok(())
    }

    /// Leaves the message entered last.
    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}

/// How the value of a field is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Seven bits a byte, least significant first, at most ten bytes.
    Varint = 0,
    /// Eight bytes, little endian.
    Fixed64 = 1,
    /// A varint length and so many bytes.
    Len = 2,
    /// Four bytes, little endian.
    Fixed32 = 5,
}

/// A cursor over one message. Offsets in its errors count from the start of the file.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    source: &'a Bytes,
    /// `source` up to the end of this message.
    data: &'a [u8],
    at: usize,
    message: &'static str,
    field: u32,
    field_start: usize,
}

impl<'a> Reader<'a> {
    /// A reader over all of `source`, which holds one message of the type named.
    pub(crate) fn new(source: &'a Bytes, message: &'static str) -> Self {
        Self { source, data: source.as_slice(), at: 0, message, field: 0, field_start: 0 }
    }

    /// An error at the field being read.
    #[cold]
    pub(crate) fn error(&self, kind: ErrorKind, what: impl AsRef<str>) -> Error {
        let Self { message, field, field_start, .. } = self;
        let what = what.as_ref();
        Error::new(kind, format!("ONNX {message}, field {field} at byte {field_start}: {what}"))
    }

    /// An error of [`ErrorKind::Malformed`] at the field being read.
    #[cold]
    pub(crate) fn malformed(&self, what: impl AsRef<str>) -> Error {
        self.error(ErrorKind::Malformed, what)
    }

    /// The number and layout of the next field, or nothing at the end of the message.
    pub(crate) fn next_field(&mut self) -> Result<Option<(u32, Wire)>> {
        if self.is_empty() {
            return Ok(None);
        }
        self.field_start = self.at;
        self.field = 0;
        let key = self.varint()?;
        self.field = match u32::try_from(key >> 3) {
            Ok(field) if (1..1 << 29).contains(&field) => field,
            _ => return Err(self.malformed("no field has this number")),
        };
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Len,
            5 => Wire::Fixed32,
            3 | 4 => return Err(self.malformed("groups have no place in an ONNX file")),
            other => return Err(self.malformed(format!("{other} is no wire type"))),
        };
        Ok(Some((self.field, wire)))
    }

    /// Whether all bytes are read.
    pub(crate) fn is_empty(&self) -> bool {
        self.at >= self.data.len()
    }

    /// Refuses a field that is laid out otherwise than its type.
    pub(crate) fn expect(&self, actual: Wire, wanted: Wire) -> Result<()> {
        if actual == wanted {
            return Ok(());
        }
        Err(self
            .malformed("the wire type does not fit the field")
            .expected(format!("{wanted:?}"))
            .actual(format!("{actual:?}")))
    }

    /// Passes over the next key, if it is that of the field being read, laid out alike. It says no, too, where a key takes
    /// more than a byte.
    #[inline]
    pub(crate) fn again(&mut self) -> bool {
        let again = self.data.get(self.at).is_some_and(|&key| key < 0x80 && key == self.data[self.field_start]);
        if again {
            self.field_start = self.at;
            self.at += 1;
        }
        again
    }

    /// A varint.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64> {
        if let Some(&byte) = self.data.get(self.at)
            && byte < 0x80
        {
            self.at += 1;
            return Ok(byte.into());
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for (index, &byte) in self.data.iter().skip(self.at).take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                return Err(self.malformed("a varint does not fit 64 bits"));
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.at += index + 1;
                return Ok(value);
            }
        }
        let truncated = self.data.len() - self.at < 10;
        Err(self.malformed(if truncated {
            "the file ends within a varint"
        } else {
            "a varint is longer than 10 bytes"
        }))
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.data.len());
        let Some(end) = end else {
            let left = self.data.len() - self.at;
            return Err(self.malformed(format!("the value takes {count} bytes and {left} are left")));
        };
        let taken = &self.data[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| self.malformed("the value is short"))
    }

    /// Four little-endian bytes.
    pub(crate) fn fixed32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight little-endian bytes.
    pub(crate) fn fixed64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The bytes of a length-delimited value.
    pub(crate) fn len_bytes(&mut self) -> Result<&'a [u8]> {
        let count = self.varint()?;
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// The bytes of a length-delimited value, shared with the file.
    pub(crate) fn len_shared(&mut self) -> Result<Bytes> {
        let count = self.len_bytes()?.len();
        Ok(self.source.slice(self.at - count, self.at))
    }

    /// A length-delimited value as UTF-8 text.
    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let bytes = self.len_bytes()?;
        core::str::from_utf8(bytes).map_err(|e| self.malformed("the text is not UTF-8").with_source(e))
    }

    /// A reader over the length-delimited value that comes next: a run of packed numbers.
    pub(crate) fn packed(&mut self) -> Result<Self> {
        let count = self.len_bytes()?.len();
        Ok(Self { data: &self.data[..self.at], at: self.at - count, ..self.clone() })
    }

    /// A reader over the length-delimited value that comes next: a message of the type named.
    pub(crate) fn nested(&mut self, message: &'static str) -> Result<Self> {
        Ok(Self { message, ..self.packed()? })
    }

    /// Passes over a value.
    pub(crate) fn skip(&mut self, wire: Wire) -> Result<()> {
        match wire {
            Wire::Varint => self.varint().map(drop),
            Wire::Fixed64 => self.take(8).map(drop),
            Wire::Len => self.len_bytes().map(drop),
            Wire::Fixed32 => self.take(4).map(drop),
        }
    }

    /// Passes over a value and keeps the whole field, key included.
    pub(crate) fn skip_into(&mut self, wire: Wire, kept: &mut Vec<u8>) -> Result<()> {
        self.skip(wire)?;
        kept.extend_from_slice(&self.data[self.field_start..self.at]);
        Ok(())
    }

    /// How many elements of the field being read come from here to the end of the message, for a list that takes
    /// exactly the memory it needs: growth by doubling could take sixteen times the bytes of the file.
    ///
    /// It ends at the first error, which the reading proper then meets too.
    pub(crate) fn count_elements(&self, element: Wire) -> usize {
        let mut ahead = self.clone();
        ahead.at = self.field_start;
        let mut count = 0;
        while let Ok(Some((field, wire))) = ahead.next_field() {
            let before = ahead.at;
            if ahead.skip(wire).is_err() {
                break;
            }
            if field == self.field && wire == element {
                count += 1;
                while ahead.again() {
                    if ahead.skip(wire).is_err() {
                        return count;
                    }
                    count += 1;
                }
                continue;
            }
            if field != self.field {
                continue;
            }
            count += match (wire, element) {
                (Wire::Len, Wire::Varint) => {
                    ahead.at = before;
                    let Ok(run) = ahead.len_bytes() else { break };
                    run.iter().filter(|&&byte| byte & 0x80 == 0).count()
                }
                (Wire::Len, Wire::Fixed32) => (ahead.at - before) / 4,
                (Wire::Len, Wire::Fixed64) => (ahead.at - before) / 8,
                _ => 1,
            };
        }
        count
    }
}

/// Where encoded bytes go: into a `Vec`, or only counted.
pub(crate) trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);

    /// Appends the body of a message, `length` bytes long, which `write` writes into a `Vec`.
    fn body(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>));

    /// Appends a varint.
    fn put_varint(&mut self, mut value: u64) {
        let mut bytes = [0_u8; 10];
        let mut used = 0;
        while value >= 0x80 {
            bytes[used] = (value & 0x7f) as u8 | 0x80;
            value >>= 7;
            used += 1;
        }
        bytes[used] = value as u8;
        self.put(&bytes[..=used]);
    }

    /// Appends the key of a field.
    fn put_key(&mut self, field: u32, wire: Wire) {
        self.put_varint(u64::from(field) << 3 | wire as u64);
    }

    /// Appends a length and the bytes.
    fn put_len_bytes(&mut self, bytes: &[u8]) {
        self.put_varint(bytes.len() as u64);
        self.put(bytes);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn body(&mut self, _length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        write(self);
    }
}

/// Counts bytes without keeping them. A message's body is not walked again once its length is known, so that counting
/// a tree of messages takes time in proportion to its size and not to two to the power of its depth.
#[derive(Debug, Default)]
pub(crate) struct Counter(pub(crate) usize);

impl Sink for Counter {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn body(&mut self, length: usize, _write: impl FnOnce(&mut Vec<u8>)) {
        self.0 += length;
    }
}
