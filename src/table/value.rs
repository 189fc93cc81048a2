//! From the cells of a table to the elements of a tensor: the rules that every format shares.
//!
//! Decimal text is parsed straight to the declared type, floats round to nearest, and what would change a value
//! beyond that is refused: a fraction as an integer, a number out of range, something finite that becomes infinite.

use half::{bf16, f16};

use crate::tensor::{Number, Wide};
use crate::{DType, Element, Error, ErrorKind, Result, Tensor};

/// One cell as its format holds it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    /// Nothing: a null in Parquet.
    Missing,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(&'a str),
}

/// Why a cell can't be an element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Refusal {
    Empty,
    NotANumber,
    NotABool,
    Fraction,
    Range,
    Infinite,
    NotText,
}

impl Refusal {
    const fn message(self) -> &'static str {
        match self {
            Self::Empty => "a cell is empty, and only float and string inputs can have missing values; fill it",
            Self::NotANumber => "a cell is not a number; correct it or drop the row",
            Self::NotABool => "a cell is neither true nor false; write `true`, `false`, `1` or `0`",
            Self::Fraction => "a number has a fraction, but the model takes integers here; round it yourself",
            Self::Range => "a number is out of the range of the input's element type",
            Self::Infinite => "a finite number is too large for the input's element type and would become infinite",
            Self::NotText => "a number stands where the model takes strings; store the column as text",
        }
    }

    /// The error for `cell` in data row `row` of `column`.
    #[cold]
    pub(super) fn error(self, cell: Scalar<'_>, dtype: DType, row: u64, column: &str) -> Error {
        let shown = match cell {
            Scalar::Missing | Scalar::Text("") => "an empty cell".to_string(),
            Scalar::Bool(b) => b.to_string(),
            Scalar::Int(i) => i.to_string(),
            Scalar::Uint(u) => u.to_string(),
            Scalar::Float(f) => format!("{f:?}"),
            Scalar::Text(text) => {
                let short: String = text.chars().take(40).collect();
                format!("`{}`{}", short.escape_debug(), if short.len() < text.len() { "..." } else { "" })
            }
        };
        Error::new(ErrorKind::InvalidValue, format!("{}; data rows count from 0", self.message()))
            .row(row)
            .column(column)
            .expected(dtype)
            .actual(shown)
    }
}

/// An element that a cell can become.
pub(super) trait Cell: Element {
    fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Refusal>;
}

/// Why `wide` was refused by an integer type, or else that it overflowed a float.
fn why(wide: Wide, integer: bool) -> Refusal {
    match wide {
        Wide::Float(f) if integer && f.is_nan() => Refusal::NotANumber,
        Wide::Float(f) if integer && f.is_finite() && f.fract() != 0.0 => Refusal::Fraction,
        Wide::Float(_) if !integer => Refusal::Infinite,
        _ => Refusal::Range,
    }
}

fn narrow<T: Number>(wide: Wide) -> Result<T, Refusal> {
    T::narrow(wide).ok_or_else(|| why(wide, !T::DTYPE.is_float()))
}

macro_rules! integers {
    ($($t:ty),*) => {$(
        impl Cell for $t {
            fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Refusal> {
                match scalar {
                    Scalar::Int(i) => Self::try_from(i).map_err(|_| Refusal::Range),
                    Scalar::Uint(u) => Self::try_from(u).map_err(|_| Refusal::Range),
                    Scalar::Bool(b) => Ok(Self::from(b)),
                    Scalar::Float(f) => narrow(Wide::Float(f)),
                    Scalar::Missing => Err(Refusal::Empty),
                    Scalar::Text(text) => match text.trim_ascii().parse() {
                        Ok(i) => Ok(i),
                        Err(_) => integer_from_text(text.trim_ascii()).and_then(|i| Self::try_from(i).map_err(|_| Refusal::Range)),
                    },
                }
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, i8, i16, i32, i64);

/// The integer that `text` is when it does not parse as one of the type asked for: out of its range, or written as
/// `3.0` or `1e3`.
#[cold]
fn integer_from_text(text: &str) -> Result<i128, Refusal> {
    if let Ok(i) = text.parse::<i128>() {
        return Ok(i);
    }
    if text.is_empty() {
        return Err(Refusal::Empty);
    }
    match text.parse::<f64>() {
        Ok(f) if f.is_nan() => Err(Refusal::NotANumber),
        // Beyond 2^53 the text may have lost digits on the way.
        Ok(f) if f.abs() > 9_007_199_254_740_992.0 => Err(Refusal::Range),
        Ok(f) if f.fract() != 0.0 => Err(Refusal::Fraction),
        Ok(f) => Ok(f as i128),
        Err(_) => Err(Refusal::NotANumber),
    }
}

macro_rules! floats {
    ($($t:ty: $parse:expr, $infinite:expr;)*) => {$(
        impl Cell for $t {
            fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Refusal> {
                match scalar {
                    Scalar::Float(f) => narrow(Wide::Float(f)),
                    Scalar::Int(i) => narrow(Wide::Int(i.into())),
                    Scalar::Uint(u) => narrow(Wide::Int(u.into())),
                    Scalar::Bool(b) => narrow(Wide::Int(b.into())),
                    Scalar::Missing => narrow(Wide::Float(f64::NAN)),
                    Scalar::Text(text) => {
                        let text = text.trim_ascii();
                        if text.is_empty() {
                            return narrow(Wide::Float(f64::NAN));
                        }
                        let value: Self = $parse(text).map_err(|_| Refusal::NotANumber)?;
                        // Only the words `inf` and `infinity` may give an infinity.
                        if $infinite(value) && text.bytes().any(|b| b.is_ascii_digit()) {
                            return Err(Refusal::Infinite);
                        }
                        Ok(value)
                    }
                }
            }
        }
    )*};
}

floats! {
    f16: |t: &str| t.parse().map(f16::from_f64), f16::is_infinite;
    bf16: |t: &str| t.parse().map(bf16::from_f64), bf16::is_infinite;
    f32: str::parse, f32::is_infinite;
    f64: str::parse, f64::is_infinite;
}

impl Cell for bool {
    fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Refusal> {
        let number = match scalar {
            Scalar::Bool(b) => return Ok(b),
            Scalar::Missing => return Err(Refusal::Empty),
            Scalar::Int(i) => Wide::Int(i.into()),
            Scalar::Uint(u) => Wide::Int(u.into()),
            Scalar::Float(f) => Wide::Float(f),
            Scalar::Text(text) => match text.trim_ascii() {
                "" => return Err(Refusal::Empty),
                "true" | "True" | "TRUE" => return Ok(true),
                "false" | "False" | "FALSE" => return Ok(false),
                other => Wide::Float(other.parse().map_err(|_| Refusal::NotABool)?),
            },
        };
        Self::narrow(number).ok_or(Refusal::NotABool)
    }
}

impl Cell for String {
    fn from_scalar(scalar: Scalar<'_>) -> Result<Self, Refusal> {
        match scalar {
            Scalar::Text(text) => Ok(text.to_string()),
            Scalar::Missing => Ok(Self::new()),
            // An integer has one decimal text, the same that a CSV file would hold.
            Scalar::Int(i) => Ok(i.to_string()),
            Scalar::Uint(u) => Ok(u.to_string()),
            Scalar::Bool(_) | Scalar::Float(_) => Err(Refusal::NotText),
        }
    }
}

/// The growing elements of one input.
pub(super) trait Sink: Send {
    fn dtype(&self) -> DType;
    /// Makes room for `count` more elements, which hold the default.
    fn grow(&mut self, count: usize);
    /// Sets the element at `at`.
    fn put(&mut self, at: usize, cell: Scalar<'_>) -> Result<(), Refusal>;
    /// Adds an element at the end.
    fn push(&mut self, cell: Scalar<'_>) -> Result<(), Refusal>;
    /// The elements so far as a tensor; the sink is empty afterwards.
    fn take(&mut self, shape: &[usize]) -> Result<Tensor<'static>>;
}

struct Elements<T>(Vec<T>);

impl<T: Cell> Sink for Elements<T> {
    fn dtype(&self) -> DType {
        T::DTYPE
    }

    fn grow(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, T::default());
    }

    fn put(&mut self, at: usize, cell: Scalar<'_>) -> Result<(), Refusal> {
        self.0[at] = T::from_scalar(cell)?;
        Ok(())
    }

    fn push(&mut self, cell: Scalar<'_>) -> Result<(), Refusal> {
        self.0.push(T::from_scalar(cell)?);
        Ok(())
    }

    fn take(&mut self, shape: &[usize]) -> Result<Tensor<'static>> {
        // The next batch will most often be as long as this one.
        let next = Vec::with_capacity(self.0.len());
        Tensor::from_vec(shape, std::mem::replace(&mut self.0, next))
    }
}

/// Text of whatever a cell holds: numbers in their shortest form, nothing for what is missing.
#[derive(Debug, Clone, Default, PartialEq)]
struct Texts(Vec<String>);

impl Texts {
    fn of(cell: Scalar<'_>) -> String {
        match cell {
            Scalar::Text(text) => text.to_string(),
            Scalar::Int(i) => i.to_string(),
            Scalar::Uint(u) => u.to_string(),
            Scalar::Bool(b) => b.to_string(),
            Scalar::Float(f) if f.is_nan() => String::new(),
            Scalar::Float(f) => f.to_string(),
            Scalar::Missing => String::new(),
        }
    }
}

impl Sink for Texts {
    fn dtype(&self) -> DType {
        DType::String
    }

    fn grow(&mut self, count: usize) {
        self.0.resize(self.0.len() + count, String::new());
    }

    fn put(&mut self, at: usize, cell: Scalar<'_>) -> Result<(), Refusal> {
        self.0[at] = Self::of(cell);
        Ok(())
    }

    fn push(&mut self, cell: Scalar<'_>) -> Result<(), Refusal> {
        self.0.push(Self::of(cell));
        Ok(())
    }

    fn take(&mut self, shape: &[usize]) -> Result<Tensor<'static>> {
        Tensor::from_vec(shape, std::mem::take(&mut self.0))
    }
}

/// An empty sink for text of any cells.
pub(super) fn texts() -> Box<dyn Sink> {
    Box::new(Texts::default())
}

/// An empty sink for elements of `dtype`.
pub(super) fn sink(dtype: DType) -> Box<dyn Sink> {
    fn of<T: Cell>() -> Box<dyn Sink> {
        Box::new(Elements::<T>(Vec::new()))
    }
    match dtype {
        DType::Bool => of::<bool>(),
        DType::U8 => of::<u8>(),
        DType::U16 => of::<u16>(),
        DType::U32 => of::<u32>(),
        DType::U64 => of::<u64>(),
        DType::I8 => of::<i8>(),
        DType::I16 => of::<i16>(),
        DType::I32 => of::<i32>(),
        DType::I64 => of::<i64>(),
        DType::F16 => of::<f16>(),
        DType::Bf16 => of::<bf16>(),
        DType::F32 => of::<f32>(),
        DType::F64 => of::<f64>(),
        DType::String => of::<String>(),
    }
}
