//! Lines, keys and numbers of a model file.

use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// The lines of a file, ended by LF or CRLF.
#[derive(Debug, Clone)]
pub(super) struct Lines<'f> {
    rest: &'f str,
    /// The number of the line that was read last, counted from 1.
    pub(super) number: usize,
}

impl<'f> Lines<'f> {
    /// # Errors
    /// [`ErrorKind::Malformed`] where the file is no text.
    pub(super) fn new(bytes: &'f [u8]) -> Result<Self> {
        let rest = std::str::from_utf8(bytes).map_err(|e| {
            let line = 1 + bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
            malformed(line, "the file is not UTF-8; feature names in another encoding must be converted first")
        })?;
        Ok(Self { rest, number: 0 })
    }

    /// Whether the last line that was read had an end.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'f> Iterator for Lines<'f> {
    type Item = &'f str;

    fn next(&mut self) -> Option<&'f str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.number += 1;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }
}

/// An error about a line.
#[cold]
pub(super) fn malformed(line: usize, message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Malformed, format!("line {line}: {message}"))
}

/// The value of a key, with where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'f> {
    pub(super) key: &'f str,
    pub(super) value: &'f str,
    pub(super) line: usize,
}

/// What a list is made of.
pub(super) trait Item: FromStr {
    const WHAT: &'static str;
}

impl Item for f64 {
    const WHAT: &'static str = "a number with a decimal point";
}

macro_rules! whole {
    ($($t:ty),*) => {$(
        impl Item for $t {
            const WHAT: &'static str = concat!("a whole number that fits ", stringify!($t));
        }
    )*};
}
whole!(i8, i32, u32, usize);

impl<'f> Field<'f> {
    /// Sets `slot` to this value.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it was set before.
    pub(super) fn set(self, slot: &mut Option<Self>) -> Result<()> {
        match slot.replace(self) {
            None => Ok(()),
            Some(first) => Err(self.malformed(format_args!("was given before, on line {}", first.line))),
        }
    }

    /// An error about this field; `what` goes on after its key.
    #[cold]
    pub(super) fn malformed(&self, what: impl std::fmt::Display) -> Error {
        malformed(self.line, format_args!("`{}` {what}", self.key))
    }

    fn parse<T: Item>(&self, text: &str) -> Result<T> {
        text.parse().map_err(|_| {
            let shown: String = text.chars().take(40).collect();
            self.malformed(format_args!("holds `{shown}` where {} must stand", T::WHAT))
        })
    }

    /// The one number that this is.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where it is none.
    pub(super) fn one<T: Item>(&self) -> Result<T> {
        self.parse(self.value.trim())
    }

    /// The `count` numbers that stand here. Memory is taken for what is there, whatever the count says.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where one is none, or there are more or fewer.
    pub(super) fn list<T: Item>(&self, count: usize) -> Result<Vec<T>> {
        // A number and the space after it take at least two bytes.
        let mut items = Vec::with_capacity(count.min(self.value.len() / 2 + 1));
        for text in self.words() {
            if items.len() == count {
                return Err(self.malformed(format_args!("holds more than the {count} numbers that the tree needs")));
            }
            items.push(self.parse(text)?);
        }
        if items.len() < count {
            let found = items.len();
            return Err(self.malformed(format_args!("holds {found} numbers where the tree needs {count}")));
        }
        Ok(items)
    }

    /// What stands between spaces.
    pub(super) fn words(&self) -> impl Iterator<Item = &'f str> {
        let (text, bytes, mut at) = (self.value, self.value.as_bytes(), 0);
        std::iter::from_fn(move || {
            let from = at + bytes[at..].iter().position(|&b| b != b' ')?;
            at = next_space(bytes, from);
            Some(&text[from..at])
        })
    }
}

/// Where the first space at or after `at` stands, or the end. Words are so short that a search by a library would cost more
/// than it finds; eight bytes at a time are looked at in a register.
fn next_space(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    while let Some(Ok(eight)) = bytes.get(at..at + 8).map(<[u8; 8]>::try_from) {
        // A space becomes zero, and the lowest zero byte is where a subtraction of ones first borrows.
        let word = u64::from_le_bytes(eight) ^ (ONES * u64::from(b' '));
        let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zeros != 0 {
            return at + zeros.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    bytes[at..].iter().position(|&b| b == b' ').map_or(bytes.len(), |p| at + p)
}

/// The field that must be there.
///
/// # Errors
/// [`ErrorKind::Malformed`] where it is not; `line` is one of those where it should stand.
pub(super) fn need<'f>(field: Option<Field<'f>>, key: &str, line: usize) -> Result<Field<'f>> {
    field.ok_or_else(|| malformed(line, format_args!("the key `{key}` is missing above; the file may be damaged")))
}
