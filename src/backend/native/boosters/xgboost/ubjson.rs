//! UBJSON (Universal Binary JSON, draft 12), as XGBoost writes it: big-endian, with typed and counted lists.

use super::value::{Budget, ListBuilder, Value, is_ignored};
use crate::{Error, ErrorKind, Limits, Result};

/// The value that `bytes` hold.
///
/// # Errors
/// [`ErrorKind::Malformed`] saying where; [`ErrorKind::LimitExceeded`].
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Value> {
    let mut reader = Reader { bytes, at: 0, budget: Budget::new(limits) };
    let marker = reader.marker()?;
    let value = reader.value(marker, 0)?;
    // Padding is allowed, anything else behind the end is not.
    while reader.at < bytes.len() {
        if reader.byte()? != b'N' {
            return Err(reader.bad("something stands behind the end of the document"));
        }
    }
    Ok(value)
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    budget: Budget,
}

/// The end of a list or map that says its length, or its type, in front.
struct Header {
    kind: Option<u8>,
    count: Option<usize>,
}

impl Reader<'_> {
    #[cold]
    fn bad(&self, what: &str) -> Error {
        Error::new(ErrorKind::Malformed, format!("the UBJSON is broken at byte {}: {what}", self.at))
    }

    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let from = self.at;
        let Some(taken) = from.checked_add(count).and_then(|to| self.bytes.get(from..to)) else {
            return Err(self.bad("the file ends too early; is it truncated?"));
        };
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("`take` gives as many bytes as it was asked for"))
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// The next marker; no-ops are passed over.
    fn marker(&mut self) -> Result<u8> {
        loop {
            match self.byte()? {
                b'N' => {}
                marker => return Ok(marker),
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// A number whose marker was read.
    fn number(&mut self, marker: u8) -> Result<f64> {
        Ok(match marker {
            b'i' => f64::from(self.array::<1>()?[0].cast_signed()),
            b'U' => f64::from(self.byte()?),
            b'I' => f64::from(i16::from_be_bytes(self.array()?)),
            b'l' => f64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?) as f64,
            b'd' => f64::from(f32::from_be_bytes(self.array()?)),
            b'D' => f64::from_be_bytes(self.array()?),
            _ => return Err(self.bad("a number was expected")),
        })
    }

    /// A length, with its marker.
    fn length(&mut self) -> Result<usize> {
        let marker = self.byte()?;
        if !matches!(marker, b'i' | b'U' | b'I' | b'l' | b'L') {
            return Err(self.bad("a length was expected"));
        }
        let length = self.number(marker)?;
        // Whatever has a length takes at least as many bytes, but for values without any, which are refused as types.
        if length < 0.0 || length > (self.bytes.len() - self.at) as f64 {
            return Err(self.bad("a length goes beyond the end of the file").actual(length));
        }
        Ok(length as usize)
    }

    fn text(&mut self) -> Result<String> {
        let length = self.length()?;
        let taken = self.take(length)?.to_vec();
        String::from_utf8(taken).map_err(|_| self.bad("a text is not UTF-8"))
    }

    fn header(&mut self) -> Result<Header> {
        let mut header = Header { kind: None, count: None };
        if self.peek() == Some(b'$') {
            self.at += 1;
            header.kind = Some(self.byte()?);
            if self.peek() != Some(b'#') {
                return Err(self.bad("a typed list must say its length"));
            }
        }
        if self.peek() == Some(b'#') {
            self.at += 1;
            header.count = Some(self.length()?);
        }
        Ok(header)
    }

    fn value(&mut self, marker: u8, depth: usize) -> Result<Value> {
        Ok(match marker {
            b'Z' => Value::Null,
            b'T' => Value::Bool(true),
            b'F' => Value::Bool(false),
            b'S' | b'H' => {
                self.budget.take()?;
                Value::Text(self.text()?)
            }
            b'C' => Value::Text(char::from(self.byte()?).to_string()),
            b'[' => self.list(depth)?,
            b'{' => self.map(depth)?,
            number => Value::Number(self.number(number)?),
        })
    }

    fn list(&mut self, depth: usize) -> Result<Value> {
        self.budget.take()?;
        let depth = self.budget.deeper(depth)?;
        let header = self.header()?;
        if let (Some(kind), Some(count)) = (header.kind, header.count)
            && let Some(size) = size_of_kind(kind)
        {
            if count.checked_mul(size).is_none_or(|bytes| bytes > self.bytes.len() - self.at) {
                return Err(self.bad("a list goes beyond the end of the file; is it truncated?"));
            }
            return (0..count).map(|_| self.number(kind)).collect::<Result<_>>().map(Value::Numbers);
        }
        let mut list = ListBuilder::new();
        let mut left = header.count;
        loop {
            match &mut left {
                Some(0) => return Ok(list.finish()),
                Some(left) => *left -= 1,
                None => {}
            }
            let marker = match header.kind {
                // A list of a kind without bytes would be as long as it says, whatever the file's size.
                Some(kind @ (b'[' | b'{' | b'S' | b'H' | b'C')) => kind,
                Some(_) => return Err(self.bad("a list is of a type that no list can have")),
                None => self.marker()?,
            };
            if marker == b']' && left.is_none() {
                return Ok(list.finish());
            }
            let value = self.value(marker, depth)?;
            list.push(value);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value> {
        self.budget.take()?;
        let depth = self.budget.deeper(depth)?;
        let header = self.header()?;
        if header.kind.is_some_and(|kind| size_of_kind(kind).is_none() && !matches!(kind, b'[' | b'{' | b'S')) {
            return Err(self.bad("a map is of a type that no map can have"));
        }
        let mut entries = Vec::new();
        let mut left = header.count;
        loop {
            match &mut left {
                Some(0) => break,
                Some(left) => *left -= 1,
                None => {
                    while self.peek() == Some(b'N') {
                        self.at += 1;
                    }
                    if self.peek() == Some(b'}') {
                        self.at += 1;
                        break;
                    }
                }
            }
            self.budget.take()?;
            let key = self.text()?;
            let marker = match header.kind {
                Some(kind) => kind,
                None => self.marker()?,
            };
            let value = self.value(marker, depth)?;
            if !is_ignored(&key) {
                entries.push((key, value));
            }
        }
        Ok(Value::Map(entries))
    }
}

/// The bytes of a number of this type.
fn size_of_kind(kind: u8) -> Option<usize> {
    match kind {
        b'i' | b'U' => Some(1),
        b'I' => Some(2),
        b'l' | b'd' => Some(4),
        b'L' | b'D' => Some(8),
        _ => None,
    }
}
