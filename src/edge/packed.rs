//! A packed model and what it says of itself.

use core::fmt;

use super::format::{CHECKSUM, HEADER, Kind, MAGIC, VERSION, WHOLE, checksum};
use super::read::{Cursor, index};
use super::step::{Span, Step};

/// What is wrong with packed bytes, or with the arrays of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not begin as a packed model does.
    NotPacked,
    /// The bytes are of a later version of the format.
    Version(u16),
    /// The bytes end too early, or there are more of them than the model has.
    Truncated,
    /// The checksum is not that of the bytes.
    Checksum,
    /// A field of the bytes makes no sense.
    Malformed,
    /// The input, the scratch or the output of a call has another length.
    Length {
        /// How many floats are needed.
        expected: usize,
        /// How many were given.
        actual: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPacked => f.write_str("the bytes are no packed model; `modelberth convert --to packed` makes one"),
            Self::Version(version) => {
                write!(f, "the packed model is of version {version} of the format; version 1 is known")
            }
            Self::Truncated => f.write_str("the packed model is cut off, or has bytes behind its end"),
            Self::Checksum => f.write_str("the packed model was damaged: its checksum does not hold; copy it again"),
            Self::Malformed => f.write_str("the packed model says things that make no sense"),
            Self::Length { expected, actual } => write!(f, "{expected} floats are needed, {actual} were given"),
        }
    }
}

impl core::error::Error for Error {}

/// An input or an output of a packed model.
#[derive(Debug, Clone, Copy)]
pub struct Port<'a> {
    name: &'a str,
    pub(crate) kind: Kind,
    whole: bool,
    dims: &'a [[u8; 4]],
    span: Span,
}

impl<'a> Port<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        let name = cursor.text()?;
        let kind = cursor.byte()?;
        let (kind, whole) = (Kind::of(kind & !WHOLE)?, kind & WHOLE != 0);
        let rank = cursor.byte()?;
        let dims = cursor.words(rank.into())?;
        let len = dims.iter().try_fold(1usize, |len, dim| len.checked_mul(index(*dim))).ok_or(Error::Malformed)?;
        Ok(Self { name, kind, whole, dims, span: Span { at: cursor.size()?, len } })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// How many floats it has for one observation.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.span.len
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.span.len == 0
    }

    /// Its shape for one observation.
    pub fn dims(&self) -> impl Iterator<Item = usize> + 'a {
        self.dims.iter().map(|dim| index(*dim))
    }

    /// Whether a host has no batch axis in front of [`dims`](Self::dims).
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether its floats are places in the table of texts.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.kind == Kind::Text
    }
}

/// What was found in the bytes of a model when they were checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    scratch: usize,
    texts: usize,
    inputs: usize,
    outputs: usize,
    steps: usize,
    /// The floats of all inputs, and of all outputs.
    floats: [usize; 2],
    /// Where the ports and the steps begin.
    ports_at: usize,
    steps_at: usize,
}

/// A packed model over its bytes.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    bytes: &'a [u8],
    parts: Parts,
}

impl fmt::Debug for Packed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { texts, inputs, outputs, steps, .. } = self.parts;
        write!(f, "Packed({inputs} inputs, {outputs} outputs, {steps} steps, {texts} texts)")
    }
}

impl<'a> Packed<'a> {
    /// Whether `bytes` begin as a packed model does.
    #[must_use]
    pub fn is_packed(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// The model in `bytes`, all of which are checked, once: [`predict`](Self::predict) then fails for arrays of the wrong
    /// length alone.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut header = Cursor { bytes: bytes.get(..HEADER).ok_or(Error::NotPacked)? };
        if header.take(MAGIC.len())? != MAGIC {
            return Err(Error::NotPacked);
        }
        let version = header.take(4)?;
        if version[..2] != VERSION.to_le_bytes() {
            return Err(Error::Version(u16::from_le_bytes([version[0], version[1]])));
        }
        if header.size()? != bytes.len() {
            return Err(Error::Truncated);
        }
        let sum = header.take(4)?;
        if checksum(&bytes[CHECKSUM + 4..]).to_le_bytes() != *sum {
            return Err(Error::Checksum);
        }
        let scratch = header.size()?;
        let [texts, inputs, outputs, steps] = [header.size()?, header.size()?, header.size()?, header.size()?];
        let at = |cursor: &Cursor<'_>| bytes.len() - cursor.bytes.len();
        let mut cursor = Cursor { bytes: &bytes[HEADER..] };
        for _ in 0..texts {
            cursor.text()?;
        }
        let ports_at = at(&cursor);
        let mut floats = [0usize; 2];
        for (sum, count) in floats.iter_mut().zip([inputs, outputs]) {
            for _ in 0..count {
                let port = Port::read(&mut cursor)?;
                *sum = sum.checked_add(port.len()).ok_or(Error::Malformed)?;
                if !port.span.within(scratch) {
                    return Err(Error::Malformed);
                }
            }
        }
        let steps_at = at(&cursor);
        for _ in 0..steps {
            Step::read(&mut cursor)?.check(scratch)?;
        }
        if !cursor.bytes.is_empty() {
            return Err(Error::Truncated);
        }
        Ok(Self { bytes, parts: Parts { scratch, texts, inputs, outputs, steps, floats, ports_at, steps_at } })
    }

    /// What was found when the bytes were checked.
    #[cfg(feature = "std")]
    pub(crate) const fn parts(&self) -> Parts {
        self.parts
    }

    /// The model in bytes in which [`new`](Self::new) found `parts`; other bytes give errors or nonsense.
    #[cfg(feature = "std")]
    pub(crate) const fn of_parts(bytes: &'a [u8], parts: Parts) -> Self {
        Self { bytes, parts }
    }

    fn cursor(&self, at: usize) -> Cursor<'a> {
        Cursor { bytes: self.bytes.get(at..).unwrap_or_default() }
    }

    fn steps(&self) -> impl Iterator<Item = Result<Step<'a>, Error>> + use<'a> {
        let mut cursor = self.cursor(self.parts.steps_at);
        (0..self.parts.steps).map(move |_| Step::read(&mut cursor))
    }

    /// The number of learned numbers: weights, and what the nodes and leaves of trees hold.
    #[cfg(feature = "std")]
    pub(crate) fn parameters(&self) -> usize {
        self.steps().flatten().map(|step| step.parameters()).sum()
    }

    /// The floats of scratch that a call needs.
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        self.parts.scratch
    }

    /// The floats of one observation, all inputs together.
    #[must_use]
    pub const fn input_len(&self) -> usize {
        self.parts.floats[0]
    }

    /// The floats of an answer, all outputs together.
    #[must_use]
    pub const fn output_len(&self) -> usize {
        self.parts.floats[1]
    }

    fn ports(&self) -> impl Iterator<Item = Port<'a>> + use<'a> {
        let mut cursor = self.cursor(self.parts.ports_at);
        (0..self.parts.inputs.saturating_add(self.parts.outputs)).map_while(move |_| Port::read(&mut cursor).ok())
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> impl Iterator<Item = Port<'a>> + use<'a> {
        self.ports().take(self.parts.inputs)
    }

    /// The outputs, in order.
    pub fn outputs(&self) -> impl Iterator<Item = Port<'a>> + use<'a> {
        self.ports().skip(self.parts.inputs)
    }

    /// The texts that the model knows: categories and labels.
    pub fn texts(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut cursor = self.cursor(HEADER);
        (0..self.parts.texts).map_while(move |_| cursor.text().ok())
    }

    /// The float that stands for `text` in an input of texts; -1, which is no category, for one that the model does not know.
    #[must_use]
    pub fn code(&self, text: &str) -> f32 {
        self.texts().position(|known| known == text).map_or(-1.0, |at| at as f32)
    }

    /// The text for which a float of an output of texts stands.
    #[must_use]
    pub fn text(&self, code: f32) -> Option<&'a str> {
        if code >= 0.0 { self.texts().nth(code as usize) } else { None }
    }

    /// Answers one observation: `input` holds [`input_len`](Self::input_len) floats, `output` takes
    /// [`output_len`](Self::output_len), and `scratch`, of [`scratch_len`](Self::scratch_len), may hold anything before and
    /// after.
    ///
    /// # Errors
    /// [`Error::Length`] for arrays of another length.
    pub fn predict(&self, input: &[f32], scratch: &mut [f32], output: &mut [f32]) -> Result<(), Error> {
        for (expected, actual) in
            [(self.input_len(), input.len()), (self.scratch_len(), scratch.len()), (self.output_len(), output.len())]
        {
            if expected != actual {
                return Err(Error::Length { expected, actual });
            }
        }
        let mut rest = input;
        for port in self.inputs() {
            let (given, behind) = rest.split_at_checked(port.len()).ok_or(Error::Malformed)?;
            scratch
                .get_mut(port.span.at..)
                .and_then(|s| s.get_mut(..port.len()))
                .ok_or(Error::Malformed)?
                .copy_from_slice(given);
            rest = behind;
        }
        for step in self.steps() {
            step?.run(scratch)?;
        }
        let mut rest = output;
        for port in self.outputs() {
            let (to, behind) = rest.split_at_mut_checked(port.len()).ok_or(Error::Malformed)?;
            to.copy_from_slice(scratch.get(port.span.at..).and_then(|s| s.get(..port.len())).ok_or(Error::Malformed)?);
            rest = behind;
        }
        Ok(())
    }
}
