use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// How tree ensembles are scored. Every engine gives the same answers bit for bit; which one is fastest depends on the
/// trees, the processor and the number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TreeEngine {
    /// Chosen for the trees at hand; `describe()` says which and why.
    #[default]
    Auto,
    /// All tests of a tree asked of many rows at once, each ruling out leaves in a bit vector: trees of few leaves.
    BitVector,
    /// Many rows in flight from node to node: deep trees.
    Walk,
    /// The comparisons of a level as the bits of the leaf's number: trees whose levels ask one question each.
    Oblivious,
    /// One row after the other, one tree after the other.
    Scalar,
    /// Chosen as [`Auto`](Self::Auto) does, for a processor of which nothing is known: no instructions beyond those that
    /// every processor of the target has.
    Portable,
}

impl TreeEngine {
    /// Every choice.
    pub const ALL: [Self; 6] = [Self::Auto, Self::BitVector, Self::Walk, Self::Oblivious, Self::Scalar, Self::Portable];

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::BitVector => "bit-vector",
            Self::Walk => "walk",
            Self::Oblivious => "oblivious",
            Self::Scalar => "scalar",
            Self::Portable => "portable",
        }
    }
}

impl fmt::Display for TreeEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TreeEngine {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|e| e.as_str() == s).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "no engine for trees has this name")
                .expected("auto, bit-vector, walk, oblivious, scalar or portable")
                .actual(s)
        })
    }
}
