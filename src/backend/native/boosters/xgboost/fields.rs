//! Looking things up in a document, with errors that name what was looked up.

use super::value::{Value, special};
use crate::{Error, ErrorKind, Result};

/// An error about the entry `key`.
#[cold]
pub(super) fn malformed(key: &str, what: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("`{key}` {what}"))
}

impl Value {
    /// The entry of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The entry of a map that must have it.
    pub(super) fn need(&self, key: &str) -> Result<&Self> {
        self.get(key).ok_or_else(|| malformed(key, "is not where an XGBoost model has it; is the file whole?"))
    }

    /// The text at `key`.
    pub(super) fn text(&self, key: &str) -> Result<&str> {
        match self.need(key)? {
            Self::Text(text) => Ok(text),
            _ => Err(malformed(key, "is not a text")),
        }
    }

    /// The list of numbers at `key`.
    pub(super) fn numbers(&self, key: &str) -> Result<&[f64]> {
        match self.need(key)? {
            Self::Numbers(numbers) => Ok(numbers),
            _ => Err(malformed(key, "is not a list of numbers")),
        }
    }

    /// The list of numbers at `key`; empty where there is none.
    pub(super) fn numbers_if_any(&self, key: &str) -> Result<&[f64]> {
        if self.get(key).is_some() { self.numbers(key) } else { Ok(&[]) }
    }

    /// The list of texts at `key`; empty where there is none.
    pub(super) fn texts_if_any(&self, key: &str) -> Result<Vec<&str>> {
        let not_texts = || malformed(key, "is not a list of texts");
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Self::Numbers(numbers)) if numbers.is_empty() => Ok(Vec::new()),
            Some(Self::List(list)) => list
                .iter()
                .map(|v| if let Self::Text(text) = v { Ok(text.as_str()) } else { Err(not_texts()) })
                .collect(),
            Some(_) => Err(not_texts()),
        }
    }

    /// The entries of the list at `key`.
    pub(super) fn list(&self, key: &str) -> Result<&[Self]> {
        match self.need(key)? {
            Self::List(list) => Ok(list),
            Self::Numbers(numbers) if numbers.is_empty() => Ok(&[]),
            _ => Err(malformed(key, "is not a list")),
        }
    }

    /// The whole number at `key`, which XGBoost writes as text; `otherwise` where there is none.
    pub(super) fn count(&self, key: &str, otherwise: usize) -> Result<usize> {
        let Some(value) = self.get(key) else { return Ok(otherwise) };
        let number = match value {
            Self::Number(x) if x.fract() == 0.0 && (0.0..9e15).contains(x) => Some(*x as usize),
            Self::Text(text) => text.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| malformed(key, "is not a whole number").actual(format!("{value:.40?}")))
    }

    /// One number or a list of them at `key`, either of them perhaps as text: `5E-1`, `[5E-1,2E-1]`.
    pub(super) fn one_or_many(&self, key: &str) -> Result<Vec<f64>> {
        let bad = || malformed(key, "is neither a number nor a list of numbers");
        match self.need(key)? {
            Self::Number(x) => Ok(vec![*x]),
            Self::Numbers(numbers) => Ok(numbers.clone()),
            Self::Text(text) => {
                let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
                let number = |t: &str| special(t.trim()).or_else(|| t.trim().parse().ok()).ok_or_else(bad);
                inner.split(',').map(number).collect()
            }
            _ => Err(bad()),
        }
    }
}

/// A number of a list as an index below `end`.
pub(super) fn index(x: f64, end: usize) -> Option<usize> {
    (x.fract() == 0.0 && x >= 0.0 && x < end as f64).then_some(x as usize)
}
