//! What XGBoost's JSON and UBJSON files hold in common.

use crate::{Error, ErrorKind, Limits, Result};

/// A value of a document. Lists of numbers, which are most of a model, stand packed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// A list of nothing but numbers and truth values; every empty list.
    Numbers(Vec<f64>),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// The number of a value that may stand among [`Numbers`](Self::Numbers).
    pub(super) fn as_listed(&self) -> Option<f64> {
        match self {
            Self::Number(x) => Some(*x),
            Self::Bool(b) => Some(f64::from(u8::from(*b))),
            Self::Text(text) => special(text),
            _ => None,
        }
    }
}

/// The numbers that JSON has no form for and XGBoost writes nonetheless.
pub(super) fn special(text: &str) -> Option<f64> {
    match text {
        "NaN" | "nan" | "-nan" => Some(f64::NAN),
        "Infinity" | "inf" => Some(f64::INFINITY),
        "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Puts a list together, packed as long as that can be.
#[derive(Debug)]
pub(super) enum ListBuilder {
    Numbers(Vec<f64>),
    Mixed(Vec<Value>),
}

impl ListBuilder {
    pub(super) fn new() -> Self {
        Self::Numbers(Vec::new())
    }

    pub(super) fn push(&mut self, value: Value) {
        match self {
            Self::Numbers(numbers) => match value.as_listed() {
                Some(x) => numbers.push(x),
                None => {
                    let mut mixed: Vec<Value> = numbers.iter().map(|&x| Value::Number(x)).collect();
                    mixed.push(value);
                    *self = Self::Mixed(mixed);
                }
            },
            Self::Mixed(mixed) => mixed.push(value),
        }
    }

    pub(super) fn finish(self) -> Value {
        match self {
            Self::Numbers(numbers) => Value::Numbers(numbers),
            Self::Mixed(mixed) => Value::List(mixed),
        }
    }
}

/// What is left of the limits of a document.
#[derive(Debug)]
pub(super) struct Budget {
    values: std::cell::Cell<usize>,
    pub(super) max_depth: usize,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { values: limits.max_messages.into(), max_depth: limits.max_depth }
    }

    /// Counts one value, list or map; the numbers of packed lists are not counted.
    ///
    /// # Errors
    /// [`ErrorKind::LimitExceeded`] when there are too many.
    pub(super) fn take(&self) -> Result<()> {
        match self.values.get().checked_sub(1) {
            Some(left) => self.values.set(left),
            None => {
                let message = "the document holds more values than `Limits::max_messages`";
                return Err(Error::new(ErrorKind::LimitExceeded, message));
            }
        }
        Ok(())
    }

    /// # Errors
    /// [`ErrorKind::LimitExceeded`] for a depth that is too deep.
    pub(super) fn deeper(&self, depth: usize) -> Result<usize> {
        if depth >= self.max_depth {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                "the document is nested more deeply than `Limits::max_depth`",
            )
            .expected(format!("at most {} levels", self.max_depth)));
        }
        Ok(depth + 1)
    }
}

/// Whether the list or map under this key is of no use here; these are a third of a file.
pub(super) fn is_ignored(key: &str) -> bool {
    matches!(key, "loss_changes" | "parents" | "leaf_child_counts")
}
