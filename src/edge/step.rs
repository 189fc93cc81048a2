//! The steps of a program, read in place.

use super::Error;
use super::format::{Aggregate, Binary, Code, LEAF, NODE, Reduction, Test, Unary};
use super::read::{Cursor, index};

/// Numbers of four bytes, little-endian.
type Words<'a> = &'a [[u8; 4]];

/// Numbers in the scratch: where they begin, and how many they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) at: usize,
    pub(super) len: usize,
}

impl Span {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        Ok(Self { at: cursor.size()?, len: cursor.size()? })
    }

    /// Whether it lies within so many floats.
    pub(super) fn within(self, floats: usize) -> bool {
        self.at.checked_add(self.len).is_some_and(|end| end <= floats)
    }
}

/// One step: numbers of the scratch in, numbers of the scratch out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Constant {
        to: Span,
        values: Words<'a>,
    },
    /// `to[i] = from[places[i]]`
    Gather {
        from: Span,
        to: Span,
        places: Words<'a>,
    },
    Map {
        f: Unary,
        from: Span,
        to: Span,
    },
    /// Two spans of the length of `to`.
    Zip {
        f: Binary,
        a: Span,
        b: Span,
        to: Span,
    },
    /// `a` where the condition is not 0, else `b`.
    Select {
        condition: Span,
        a: Span,
        b: Span,
        to: Span,
    },
    /// Rows of `from` times the transposed weights (n, k), plus the bias of each of the n columns.
    Dense {
        from: Span,
        to: Span,
        k: usize,
        weights: Words<'a>,
        bias: Words<'a>,
    },
    /// Along the middle axis of (outer, len, inner).
    Reduce {
        f: Reduction,
        from: Span,
        to: Span,
        len: usize,
        inner: usize,
    },
    /// Over each `len` numbers.
    Softmax {
        from: Span,
        to: Span,
        len: usize,
    },
    /// The value whose key equals the number (NaN equals NaN), or `other`.
    Lookup {
        from: Span,
        to: Span,
        keys: Words<'a>,
        values: Words<'a>,
        other: f32,
    },
    /// For each number, 1 at the key that it equals and 0 elsewhere.
    OneHot {
        from: Span,
        to: Span,
        keys: Words<'a>,
    },
    Trees(Trees<'a>),
    /// The squared Euclidean distance of `from` to each of the points (n, k).
    Distances {
        from: Span,
        to: Span,
        points: Words<'a>,
    },
}

/// An ensemble of trees on the features `from`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trees<'a> {
    pub(super) from: Span,
    pub(super) to: Span,
    pub(super) aggregate: Aggregate,
    pub(super) base: Words<'a>,
    /// The first node of each tree.
    pub(super) roots: Words<'a>,
    pub(super) nodes: &'a [[u8; NODE]],
    /// Pairs of a target and a value; a leaf has a range of them.
    pub(super) votes: Words<'a>,
}

/// A node of a tree.
#[derive(Debug, Clone, Copy)]
pub(super) enum Node {
    /// Rows that pass go to the next node, others to `other`.
    Branch { feature: usize, test: Test, nan_passes: bool, threshold: f32, other: usize },
    /// `count` votes from `first` on.
    Leaf { first: usize, count: usize },
}

impl Trees<'_> {
    /// Node `i`.
    pub(super) fn node(&self, i: usize) -> Result<Node, Error> {
        let [f0, f1, test, nan, t0, t1, t2, t3, o0, o1, o2, o3] = *self.nodes.get(i).ok_or(Error::Malformed)?;
        let (feature, other) = (u16::from_le_bytes([f0, f1]), u32::from_le_bytes([o0, o1, o2, o3]) as usize);
        let middle = [t0, t1, t2, t3];
        if feature == LEAF {
            return Ok(Node::Leaf { first: other, count: index(middle) });
        }
        let test = Test::of(test)?;
        let threshold = f32::from_le_bytes(middle);
        Ok(Node::Branch { feature: feature.into(), test, nan_passes: nan != 0, threshold, other })
    }

    fn check(&self) -> Result<(), Error> {
        let votes = self.votes.len() / 2;
        let fits = self.base.len() == self.to.len
            && self.votes.len().is_multiple_of(2)
            && self.votes.as_chunks::<2>().0.iter().all(|[target, _]| index(*target) < self.to.len)
            && self.roots.first().map_or(self.nodes.is_empty(), |root| index(*root) == 0);
        if !fits {
            return Err(Error::Malformed);
        }
        // Each tree has the nodes up to the next root, children stand behind their parents, and leaves share no votes: so a walk
        // ends, and all of them together take no longer than the bytes are many.
        let mut seen = 0usize;
        for (i, root) in self.roots.iter().enumerate() {
            let (start, end) = (index(*root), self.roots.get(i + 1).map_or(self.nodes.len(), |next| index(*next)));
            if start >= end || end > self.nodes.len() {
                return Err(Error::Malformed);
            }
            for at in start..end {
                let fits = match self.node(at)? {
                    Node::Branch { feature, other, .. } => {
                        feature < self.from.len && other > at && other < end && at + 1 < end
                    }
                    Node::Leaf { first, count } => {
                        let fits = first == seen && count <= votes - seen;
                        seen += if fits { count } else { 0 };
                        fits
                    }
                };
                if !fits {
                    return Err(Error::Malformed);
                }
            }
        }
        Ok(())
    }
}

impl<'a> Step<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        let code = Code::of(cursor.byte()?)?;
        let span = |cursor: &mut Cursor<'a>| Span::read(cursor);
        Ok(match code {
            Code::Constant => {
                let to = span(cursor)?;
                Self::Constant { to, values: cursor.words(to.len)? }
            }
            Code::Gather => {
                let (from, to) = (span(cursor)?, span(cursor)?);
                Self::Gather { from, to, places: cursor.words(to.len)? }
            }
            Code::Map => {
                let f = Unary::of(cursor.byte()?)?;
                Self::Map { f, from: span(cursor)?, to: span(cursor)? }
            }
            Code::Zip => {
                let f = Binary::of(cursor.byte()?)?;
                Self::Zip { f, a: span(cursor)?, b: span(cursor)?, to: span(cursor)? }
            }
            Code::Select => {
                Self::Select { condition: span(cursor)?, a: span(cursor)?, b: span(cursor)?, to: span(cursor)? }
            }
            Code::Dense => {
                let (from, to, k, n) = (span(cursor)?, span(cursor)?, cursor.size()?, cursor.size()?);
                let weights = cursor.words(k.checked_mul(n).ok_or(Error::Truncated)?)?;
                Self::Dense { from, to, k, weights, bias: cursor.words(n)? }
            }
            Code::Reduce => {
                let f = Reduction::of(cursor.byte()?)?;
                Self::Reduce { f, from: span(cursor)?, to: span(cursor)?, len: cursor.size()?, inner: cursor.size()? }
            }
            Code::Softmax => Self::Softmax { from: span(cursor)?, to: span(cursor)?, len: cursor.size()? },
            Code::Lookup => {
                let (from, to, n, other) = (span(cursor)?, span(cursor)?, cursor.size()?, cursor.float()?);
                Self::Lookup { from, to, keys: cursor.words(n)?, values: cursor.words(n)?, other }
            }
            Code::OneHot => {
                let (from, to, n) = (span(cursor)?, span(cursor)?, cursor.size()?);
                Self::OneHot { from, to, keys: cursor.words(n)? }
            }
            Code::Distances => {
                let (from, to) = (span(cursor)?, span(cursor)?);
                let points = cursor.words(from.len.checked_mul(to.len).ok_or(Error::Truncated)?)?;
                Self::Distances { from, to, points }
            }
            Code::Trees => {
                let aggregate = Aggregate::of(cursor.byte()?)?;
                let (from, to) = (span(cursor)?, span(cursor)?);
                let (trees, nodes, votes) = (cursor.size()?, cursor.size()?, cursor.size()?);
                let base = cursor.words(to.len)?;
                let roots = cursor.words(trees)?;
                let nodes = cursor.take(nodes.checked_mul(NODE).ok_or(Error::Truncated)?)?.as_chunks().0;
                let votes = cursor.words(votes.checked_mul(2).ok_or(Error::Truncated)?)?;
                Self::Trees(Trees { from, to, aggregate, base, roots, nodes, votes })
            }
        })
    }

    /// Holds everything that running it relies on against `floats` of scratch.
    pub(super) fn check(&self, floats: usize) -> Result<(), Error> {
        let behind = |from: Span, to: Span| from.at + from.len <= to.at;
        let (inputs, to, fits) = match *self {
            Self::Constant { to, .. } => ([None; 3], to, true),
            Self::Gather { from, to, places } => {
                ([Some(from), None, None], to, places.iter().all(|place| index(*place) < from.len))
            }
            Self::Map { from, to, .. } => ([Some(from), None, None], to, from.len == to.len),
            Self::Zip { a, b, to, .. } => ([Some(a), Some(b), None], to, a.len == to.len && b.len == to.len),
            Self::Select { condition, a, b, to } => {
                ([Some(condition), Some(a), Some(b)], to, [condition, a, b].iter().all(|s| s.len == to.len))
            }
            Self::Dense { from, to, k, bias, .. } => {
                let n = bias.len();
                // Where a usize has 32 bits, a hostile length would overflow.
                let fits = k > 0 && n > 0 && from.len % k == 0 && (from.len / k).checked_mul(n) == Some(to.len);
                ([Some(from), None, None], to, fits)
            }
            Self::Reduce { from, to, len, inner, .. } => {
                let each = len.checked_mul(inner).unwrap_or(0);
                let fits = each > 0 && from.len % each == 0 && from.len / each * inner == to.len;
                ([Some(from), None, None], to, fits)
            }
            Self::Softmax { from, to, len } => {
                ([Some(from), None, None], to, from.len == to.len && len > 0 && to.len % len == 0)
            }
            Self::Lookup { from, to, .. } => ([Some(from), None, None], to, from.len == to.len),
            Self::OneHot { from, to, keys } => {
                ([Some(from), None, None], to, from.len.checked_mul(keys.len()) == Some(to.len))
            }
            Self::Distances { from, to, .. } => ([Some(from), None, None], to, from.len > 0),
            Self::Trees(trees) => {
                trees.check()?;
                ([Some(trees.from), None, None], trees.to, true)
            }
        };
        let within = to.within(floats) && inputs.into_iter().flatten().all(|s| s.within(floats) && behind(s, to));
        if fits && within { Ok(()) } else { Err(Error::Malformed) }
    }

    /// The number of learned numbers.
    #[cfg(feature = "std")]
    pub(super) fn parameters(&self) -> usize {
        match self {
            Self::Dense { weights, bias, .. } => weights.len() + bias.len(),
            Self::Distances { points, .. } => points.len(),
            Self::Trees(trees) => trees.nodes.len() + trees.votes.len() / 2,
            _ => 0,
        }
    }
}
