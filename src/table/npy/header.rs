//! The header of an `.npy` file: magic bytes, a version, and a Python dictionary as text.

use std::io::Read;

use crate::{DType, Error, ErrorKind, Result};

/// The longest header that is read. NumPy itself refuses more than 10,000 bytes unless told otherwise.
const MAX_HEADER_BYTES: usize = 1 << 16;
const MAX_RANK: usize = 32;
/// The longest text that one element may hold.
const MAX_TEXT: usize = 1 << 20;

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Item {
    /// A number or truth value.
    Plain(DType),
    /// Text of at most this many code points, four bytes each, padded with zeros (`<U8`).
    Unicode(usize),
    /// Text of at most this many bytes, padded with zeros (`|S8`).
    Bytes(usize),
}

impl Item {
    pub(super) const fn size_bytes(self) -> usize {
        match self {
            Self::Plain(dtype) => match dtype.size_bytes() {
                Some(size) => size,
                None => 0,
            },
            Self::Unicode(n) => n * 4,
            Self::Bytes(n) => n,
        }
    }
}

/// What the data of an `.npy` file is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub(super) item: Item,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

fn bad(message: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("the .npy header is broken: {message}"))
}

impl Header {
    /// Reads a header, and gives how many bytes it had.
    pub(super) fn read(content: &mut dyn Read) -> Result<(Self, u64)> {
        let mut start = [0; 8];
        content.read_exact(&mut start).map_err(|_| bad("the file ends inside it"))?;
        if start[..6] != *b"\x93NUMPY" {
            return Err(Error::new(ErrorKind::Malformed, "this is not an .npy array: it has other magic bytes"));
        }
        let length_bytes = match start[6] {
            1 => 2,
            2 | 3 => 4,
            other => {
                return Err(Error::new(ErrorKind::Unsupported, "this version of the .npy format is not known")
                    .expected("1, 2 or 3")
                    .actual(other));
            }
        };
        let mut length = [0; 4];
        content.read_exact(&mut length[..length_bytes]).map_err(|_| bad("the file ends inside it"))?;
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_HEADER_BYTES {
            return Err(bad("it is far too long").expected(format!("at most {MAX_HEADER_BYTES} bytes")).actual(length));
        }
        let mut text = vec![0; length];
        content.read_exact(&mut text).map_err(|_| bad("the file ends inside it"))?;
        Ok((Self::parse(&text)?, (8 + length_bytes + length) as u64))
    }

    /// A header from its dictionary, `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &[u8]) -> Result<Self> {
        let mut literal = Literal { text, at: 0 };
        let (mut item, mut fortran, mut shape) = (None, None, None);
        literal.expect(b'{')?;
        while !literal.take(b'}') {
            let key = literal.string()?;
            literal.expect(b':')?;
            match key.as_str() {
                "descr" if literal.peek() == Some(b'[') => {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "this .npy array has named fields (a structured type); save each field as its own array in an .npz",
                    ));
                }
                "descr" => item = Some(parse_descr(&literal.string()?)?),
                "fortran_order" => fortran = Some(literal.truth()?),
                "shape" => shape = Some(literal.shape()?),
                _ => return Err(bad("it has an unknown key")),
            }
            if !literal.take(b',') {
                literal.expect(b'}')?;
                break;
            }
        }
        match (item, fortran, shape) {
            (Some((item, big_endian)), Some(fortran), Some(shape)) => Ok(Self { item, big_endian, fortran, shape }),
            _ => Err(bad("`descr`, `fortran_order` or `shape` is missing")),
        }
    }

    /// The number of elements and the bytes they take, unless they overflow.
    pub(super) fn size(&self) -> Result<(usize, u64)> {
        let count = crate::tensor::checked_len(&self.shape);
        let bytes = count.and_then(|n| n.checked_mul(self.item.size_bytes()));
        match (count, bytes) {
            (Some(n), Some(bytes)) if isize::try_from(bytes).is_ok() => Ok((n, bytes as u64)),
            _ => Err(bad("the array would be larger than any memory").actual(crate::tensor::shape_text(&self.shape))),
        }
    }
}

/// `<f4`, `|b1`, `>i8`, `<U12`, ... as what an element is and whether it is big-endian.
fn parse_descr(descr: &str) -> Result<(Item, bool)> {
    let refuse = |why: &str| {
        let shown: String = descr.chars().take(20).collect();
        Err(Error::new(ErrorKind::Unsupported, format!("arrays of this NumPy type are not read; {why}"))
            .expected("bool, an integer, float16 to float64, or text")
            .actual(format!("`{}`", shown.escape_debug())))
    };
    let (order, code) = match descr.as_bytes() {
        [order @ (b'<' | b'>' | b'|' | b'='), rest @ ..] => (*order, rest),
        rest => (b'<', rest),
    };
    let [kind, digits @ ..] = code else { return refuse("save it as another") };
    if *kind == b'O' {
        return refuse("Python objects can only be read by Python: save the array with a type, as `array.astype(str)`");
    }
    if matches!(kind, b'M' | b'm') {
        return refuse("save dates and durations as numbers or text");
    }
    let digits = std::str::from_utf8(digits).unwrap_or("");
    let size = match digits.parse::<usize>() {
        Ok(size) if size <= MAX_TEXT && digits.bytes().all(|b| b.is_ascii_digit()) => size,
        _ => return refuse("save it as another"),
    };
    let dtype = match (kind, size) {
        (b'b', 1) => DType::Bool,
        (b'u', 1) => DType::U8,
        (b'u', 2) => DType::U16,
        (b'u', 4) => DType::U32,
        (b'u', 8) => DType::U64,
        (b'i', 1) => DType::I8,
        (b'i', 2) => DType::I16,
        (b'i', 4) => DType::I32,
        (b'i', 8) => DType::I64,
        (b'f', 2) => DType::F16,
        (b'f', 4) => DType::F32,
        (b'f', 8) => DType::F64,
        (b'U', n) => return Ok((Item::Unicode(n), order == b'>')),
        (b'S' | b'a', n) => return Ok((Item::Bytes(n), false)),
        (b'c', _) => return refuse("split complex numbers into two arrays"),
        _ => return refuse("save it as another"),
    };
    Ok((Item::Plain(dtype), order == b'>'))
}

/// The few Python literals that a header consists of.
struct Literal<'t> {
    text: &'t [u8],
    at: usize,
}

impl Literal<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.take(byte) { Ok(()) } else { Err(bad("it is not the dictionary that NumPy writes")) }
    }

    fn string(&mut self) -> Result<String> {
        let quote = self.peek().filter(|q| matches!(q, b'\'' | b'"')).ok_or_else(|| bad("a string is missing"))?;
        let rest = &self.text[self.at + 1..];
        let end = rest.iter().position(|&b| b == quote).ok_or_else(|| bad("a string does not end"))?;
        self.at += end + 2;
        match std::str::from_utf8(&rest[..end]) {
            Ok(text) if !text.contains('\\') => Ok(text.into()),
            _ => Err(bad("a string is not plain text")),
        }
    }

    fn word(&mut self) -> &[u8] {
        self.peek();
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_alphanumeric) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn truth(&mut self) -> Result<bool> {
        match self.word() {
            b"True" => Ok(true),
            b"False" => Ok(false),
            _ => Err(bad("`fortran_order` is neither True nor False")),
        }
    }

    fn shape(&mut self) -> Result<Vec<usize>> {
        self.expect(b'(')?;
        let mut shape = Vec::new();
        while !self.take(b')') {
            let word = self.word();
            // Python 2 wrote its long integers as `3L`.
            let digits = word.strip_suffix(b"L").unwrap_or(word);
            let size = std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok());
            shape.push(size.ok_or_else(|| bad("a dimension is not a whole number that memory could hold"))?);
            if shape.len() > MAX_RANK {
                return Err(bad("it has more dimensions than any array"));
            }
            if !self.take(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }
}
