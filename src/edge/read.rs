//! Numbers and texts out of bytes.

use super::Error;

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.bytes.split_at_checked(n).ok_or(Error::Truncated)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>().ok_or(Error::Truncated)?;
        self.bytes = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn size(&mut self) -> Result<usize, Error> {
        usize::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| Error::Malformed)
    }

    pub(super) fn float(&mut self) -> Result<f32, Error> {
        self.array().map(f32::from_le_bytes)
    }

    /// `n` numbers of four bytes.
    pub(super) fn words(&mut self, n: usize) -> Result<&'a [[u8; 4]], Error> {
        self.take(n.checked_mul(4).ok_or(Error::Truncated)?).map(|bytes| bytes.as_chunks().0)
    }

    /// A text after its length.
    pub(super) fn text(&mut self) -> Result<&'a str, Error> {
        let n = self.size()?;
        core::str::from_utf8(self.take(n)?).map_err(|_| Error::Malformed)
    }
}

/// The floats that `words` hold.
pub(super) fn floats(words: &[[u8; 4]]) -> impl Iterator<Item = f32> + '_ {
    words.iter().map(|word| f32::from_le_bytes(*word))
}

/// The whole number that `word` holds.
pub(super) fn index(word: [u8; 4]) -> usize {
    u32::from_le_bytes(word) as usize
}
