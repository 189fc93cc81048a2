//! Rows of the input, in each form in which they may be given.

use std::borrow::Cow;
use std::collections::HashMap;

use super::booster::{Categories, Features, Unseen};
use crate::backend::native::trees::Number;
use crate::{Csr, Error, ErrorKind, Result, Tensor};

/// Dense rows (m, n), row-major.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rows<'r> {
    F32(&'r [f32]),
    F64(&'r [f64]),
    Text(&'r [String]),
}

impl<'r> Rows<'r> {
    /// The rows `from..to` of `n` columns.
    pub(super) fn slice(self, from: usize, to: usize, n: usize) -> Self {
        match self {
            Self::F32(x) => Self::F32(&x[from * n..to * n]),
            Self::F64(x) => Self::F64(&x[from * n..to * n]),
            Self::Text(x) => Self::Text(&x[from * n..to * n]),
        }
    }
}

/// The rows of a call: those of `x`, and (m, k) text where there is a second input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'r> {
    pub(super) x: Given<'r>,
    pub(super) text: &'r [String],
}

/// Cells of categories as the text by which they are known: whole numbers in decimal, truth as 1 or 0.
///
/// # Errors
/// None for a tensor that was checked against the signature.
pub(super) fn as_text<'t>(tensor: &'t Tensor<'_>) -> Result<Cow<'t, [String]>> {
    macro_rules! written {
        ($($variant:ident),*) => {
            match tensor {
                $(Tensor::$variant(cells) => Ok(cells.iter().map(ToString::to_string).collect()),)*
                Tensor::Bool(cells) => Ok(cells.iter().map(|&b| u8::from(b).to_string()).collect()),
                _ => Ok(Cow::Borrowed(tensor.as_slice()?)),
            }
        };
    }
    written!(U8, U16, U32, U64, I8, I16, I32, I64)
}

/// The rows of an input tensor.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'r> {
    Dense(Rows<'r>),
    SparseF32(&'r Csr<'r, f32>),
    SparseF64(&'r Csr<'r, f64>),
}

impl<'r> Given<'r> {
    /// The rows of a tensor that was checked against the signature.
    pub(super) fn of(tensor: &'r Tensor<'_>) -> Result<Self> {
        Ok(match tensor {
            Tensor::CsrF32(rows) => Self::SparseF32(rows),
            Tensor::CsrF64(rows) => Self::SparseF64(rows),
            Tensor::F32(_) => Self::Dense(Rows::F32(tensor.as_slice()?)),
            Tensor::F64(_) => Self::Dense(Rows::F64(tensor.as_slice()?)),
            _ => Self::Dense(Rows::Text(tensor.as_slice()?)),
        })
    }
}

/// What text stands for.
#[derive(Debug, Default)]
pub(super) struct Codes {
    names: Vec<String>,
    /// The number of columns.
    count: usize,
    /// For a column of categories the code of each, and what the others are.
    categories: Vec<Option<(HashMap<String, u32>, Categories)>>,
}

impl Codes {
    pub(super) fn new(features: &Features) -> Self {
        let of_column = |categories: &Option<Categories>| {
            let categories = categories.clone()?;
            Some((categories.known.iter().cloned().zip(0..).collect(), categories))
        };
        Self {
            names: features.names.clone(),
            count: features.count,
            categories: features.categories.iter().map(of_column).collect(),
        }
    }

    /// Text (m, n) as the numbers that columns are compared as: codes of categories, and what is written as a number.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] naming the row, counted from `first`, and the column.
    pub(super) fn read(&self, text: &[String], first: usize, numbers: &mut Vec<f64>) -> Result<()> {
        numbers.clear();
        numbers.reserve(text.len());
        for (r, row) in text.chunks_exact(self.count.max(1)).enumerate() {
            for (column, text) in row.iter().enumerate() {
                let number = match self.categories.get(column) {
                    Some(Some((codes, categories))) => category(text, codes, categories),
                    _ => number(text),
                };
                let located = |e: Error| {
                    let e = e.row((first + r) as u64).actual(format!("`{text}`"));
                    match self.names.get(column) {
                        Some(name) => e.column(name),
                        None => e,
                    }
                };
                numbers.push(number.map_err(located)?);
            }
        }
        Ok(())
    }
}

/// What is written as a number, or NaN where nothing is written.
///
/// # Errors
/// [`ErrorKind::InvalidValue`] where it is something else.
pub(crate) fn number(text: &str) -> Result<f64> {
    match text.trim() {
        "" | "NA" | "N/A" | "null" | "None" | "<NA>" => Ok(f64::NAN),
        text => text.parse().map_err(|_| {
            Error::new(ErrorKind::InvalidValue, "text stands in a column that the model takes as a number")
        }),
    }
}

fn category(text: &str, codes: &HashMap<String, u32>, categories: &Categories) -> Result<f64> {
    match (codes.get(text), categories.unseen) {
        (Some(&code), _) => Ok(code.into()),
        (None, _) if text.is_empty() => Ok(f64::NAN),
        (None, Unseen::Missing) => Ok(f64::NAN),
        (None, Unseen::Refused) => {
            Err(Error::new(ErrorKind::InvalidValue, "the model was trained without this category")
                .expected(known(&categories.known)))
        }
    }
}

/// The first few of the categories, for a message.
fn known(categories: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = categories.iter().take(SHOWN).map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", ");
    if categories.len() > SHOWN {
        text.push_str(", ...");
    }
    text
}

/// A number type that columns are compared in, from those that rows are given in.
pub(super) trait Compared: Number {
    fn of<S: Number>(x: S) -> Self;
}

impl Compared for f32 {
    #[inline(always)]
    fn of<S: Number>(x: S) -> Self {
        // Exact for f32, rounded once for f64.
        x.to_f64() as Self
    }
}

impl Compared for f64 {
    #[inline(always)]
    fn of<S: Number>(x: S) -> Self {
        x.to_f64()
    }
}
