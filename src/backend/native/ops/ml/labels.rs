//! Class labels, as integers or as text.

use crate::backend::native::node::Node;
use crate::backend::native::op::Scratch;
use crate::backend::native::value::Value;
use crate::{Error, ErrorKind, Result};

/// The labels of a classifier's classes, in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Labels {
    Ints(Vec<i64>),
    Strings(Vec<String>),
}

impl Labels {
    /// Reads the two attributes of which one must be given.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when neither or both are.
    pub(crate) fn of(node: &Node<'_>, ints: &str, strings: &str) -> Result<Self> {
        let given_ints = node.ints(ints)?.filter(|l| !l.is_empty());
        let given_strings = node.strings(strings)?.filter(|l| !l.is_empty());
        match (given_strings, given_ints) {
            (Some(l), None) => Ok(Self::Strings(l)),
            (None, Some(l)) => Ok(Self::Ints(l.to_vec())),
            (None, None) => {
                Err(node.malformed("there are no class labels").expected(format!("`{ints}` or `{strings}`")))
            }
            (Some(_), Some(_)) => {
                Err(node.malformed(format!("both `{ints}` and `{strings}` are given; only one may be")))
            }
        }
    }

    /// The number of classes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Ints(l) => l.len(),
            Self::Strings(l) => l.len(),
        }
    }

    /// The labels as text.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Ints(l) => l.iter().map(ToString::to_string).collect(),
            Self::Strings(l) => l.clone(),
        }
    }

    /// The labels (m,) of the classes `winners`.
    ///
    /// # Errors
    /// [`ErrorKind::Backend`] when a winner is none of the classes.
    pub(crate) fn of_winners(&self, winners: &[u32], cx: &mut Scratch) -> Result<Value<'static>> {
        let m = winners.len();
        let unknown = || Error::new(ErrorKind::Backend, "a classifier chose a class that it has no label for");
        match self {
            Self::Ints(l) => {
                let mut out = cx.buffer::<i64>(m);
                for &w in winners {
                    out.push(*l.get(w as usize).ok_or_else(unknown)?);
                }
                Ok(Value::new([m].as_slice(), out))
            }
            Self::Strings(l) => {
                let mut out = cx.buffer::<String>(m);
                for &w in winners {
                    out.push(l.get(w as usize).ok_or_else(unknown)?.clone());
                }
                Ok(Value::new([m].as_slice(), out))
            }
        }
    }
}
