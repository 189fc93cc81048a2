//! The steps of a program, read in place.

use super::Error;
use super::format::{Aggregate, Binary, Cell, Code, LEAF, MOST_COMPARED, NODE, Reduction, Test, Unary};
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

    /// Whether two that lie within a scratch share no float.
    fn apart(self, other: Self) -> bool {
        self.at + self.len <= other.at || other.at + other.len <= self.at
    }

    /// Whether it fills `to` when it is repeated.
    fn fills(self, to: Self) -> bool {
        to.len == 0 || to.len.checked_rem(self.len) == Some(0)
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
    /// Two spans, each repeated to the length of `to`.
    Zip {
        f: Binary,
        a: Span,
        b: Span,
        to: Span,
    },
    /// `a` where the condition is not 0, else `b`, each repeated to the length of `to`.
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
    /// Each `len` numbers less their mean, over the root of their variance plus `epsilon`.
    Normalise {
        from: Span,
        to: Span,
        len: usize,
        epsilon: f32,
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
    Copy {
        from: Span,
        to: Span,
    },
    /// Matrices `a` (batch, m, k) times `b` (batch, k, n).
    Product {
        a: Span,
        b: Span,
        to: Span,
        k: usize,
        n: usize,
    },
    Convolve(Convolve<'a>),
    Recurrent(Recurrent<'a>),
    /// The places of the first `k` of each `len` numbers, in descending or ascending order; the first of equals first.
    Order {
        from: Span,
        to: Span,
        len: usize,
        k: usize,
        descending: bool,
    },
    /// `inner` numbers each at computed places of the middle axis of (outer, len, inner); NaN where there is none.
    Pick {
        from: Span,
        places: Span,
        to: Span,
        len: usize,
        inner: usize,
    },
    /// Rows of a table (len, width) at computed places; NaN where there is none.
    Rows {
        from: Span,
        to: Span,
        width: usize,
        table: Words<'a>,
    },
    /// Probabilities of n classes from those of each pair that the first of it wins, then n (n + 1) floats of work.
    Couple {
        from: Span,
        to: Span,
        n: usize,
    },
}

/// How a convolution walks along one axis.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Axis {
    pub(super) input: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) dilation: usize,
    pub(super) pad: usize,
    pub(super) output: usize,
}

impl Axis {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Error> {
        let mut next = || cursor.size();
        Ok(Self { input: next()?, kernel: next()?, stride: next()?, dilation: next()?, pad: next()?, output: next()? })
    }

    /// Whether no place along it overflows.
    fn fits(&self) -> bool {
        let far = |n: usize, step: usize| n.checked_sub(1)?.checked_mul(step);
        let end =
            far(self.output, self.stride).zip(far(self.kernel, self.dilation)).and_then(|(a, b)| a.checked_add(b));
        end.is_some_and(|end| end < isize::MAX as usize) && self.pad < isize::MAX as usize
    }

    /// The place in the input that element `k` of the kernel meets at output `o`.
    pub(super) fn meets(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k * self.dilation).checked_sub(self.pad).filter(|at| *at < self.input)
    }
}

/// A convolution of `from` (channels, three axes) to (filters, three axes), with weights
/// (filters, channels of a group, three axes) and a bias for each filter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convolve<'a> {
    pub(super) from: Span,
    pub(super) to: Span,
    /// Channels of each group's input and output.
    pub(super) channels: usize,
    pub(super) filters: usize,
    pub(super) groups: usize,
    pub(super) axes: [Axis; 3],
    pub(super) weights: Words<'a>,
    pub(super) bias: Words<'a>,
}

/// The product of sizes, unless it overflows.
fn product(sizes: impl IntoIterator<Item = usize>) -> Option<usize> {
    sizes.into_iter().try_fold(1usize, usize::checked_mul)
}

impl<'a> Convolve<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        let (from, to) = (Span::read(cursor)?, Span::read(cursor)?);
        let (channels, filters, groups) = (cursor.size()?, cursor.size()?, cursor.size()?);
        let axes = [Axis::read(cursor)?, Axis::read(cursor)?, Axis::read(cursor)?];
        let all = product([filters, groups]).ok_or(Error::Truncated)?;
        let each = product([channels].into_iter().chain(axes.map(|a| a.kernel))).ok_or(Error::Truncated)?;
        let weights = cursor.words(all.checked_mul(each).ok_or(Error::Truncated)?)?;
        Ok(Self { from, to, channels, filters, groups, axes, weights, bias: cursor.words(all)? })
    }

    fn fits(&self) -> bool {
        let whole = |each: usize, of: fn(&Axis) -> usize| {
            product([each, self.groups].into_iter().chain(self.axes.iter().map(of)))
        };
        self.channels > 0
            && whole(self.channels, |axis| axis.input) == Some(self.from.len)
            && whole(self.filters, |axis| axis.output) == Some(self.to.len)
            && (self.to.len == 0 || self.axes.iter().all(Axis::fits))
    }
}

/// A recurrent network over `from` (steps, gates x hidden), what the inputs contribute to each gate. The hidden states
/// (steps, hidden) come first in `to`, then the work of the cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recurrent<'a> {
    pub(super) cell: Cell,
    pub(super) from: Span,
    /// The states before the first step; the second for an LSTM alone.
    pub(super) state: Span,
    pub(super) cell_state: Span,
    pub(super) to: Span,
    pub(super) hidden: usize,
    /// (gates x hidden, hidden)
    pub(super) weights: Words<'a>,
    /// Of the last gate's product, where the cell has one.
    pub(super) bias: Words<'a>,
}

impl<'a> Recurrent<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Error> {
        let cell = Cell::of(cursor.byte()?)?;
        let [from, state, cell_state, to] =
            [Span::read(cursor)?, Span::read(cursor)?, Span::read(cursor)?, Span::read(cursor)?];
        let hidden = cursor.size()?;
        let weights = cursor.words(product([cell.gates(), hidden, hidden]).ok_or(Error::Truncated)?)?;
        let bias = cursor.words(if cell == Cell::GruBehind { hidden } else { 0 })?;
        Ok(Self { cell, from, state, cell_state, to, hidden, weights, bias })
    }

    fn fits(&self) -> bool {
        let Self { cell, hidden, .. } = *self;
        let Some(row) = cell.gates().checked_mul(hidden).filter(|row| *row > 0) else { return false };
        let steps = self.from.len / row;
        let expected = steps.checked_add(cell.work()).and_then(|n| n.checked_mul(hidden));
        self.from.len.is_multiple_of(row)
            && self.state.len == hidden
            && self.cell_state.len == if cell == Cell::Lstm { hidden } else { 0 }
            && expected == Some(self.to.len)
    }
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
            Code::Normalise => Self::Normalise {
                from: span(cursor)?,
                to: span(cursor)?,
                len: cursor.size()?,
                epsilon: cursor.float()?,
            },
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
            Code::Copy => Self::Copy { from: span(cursor)?, to: span(cursor)? },
            Code::Product => Self::Product {
                a: span(cursor)?,
                b: span(cursor)?,
                to: span(cursor)?,
                k: cursor.size()?,
                n: cursor.size()?,
            },
            Code::Convolve => Self::Convolve(Convolve::read(cursor)?),
            Code::Recurrent => Self::Recurrent(Recurrent::read(cursor)?),
            Code::Order => {
                let descending = cursor.byte()? != 0;
                Self::Order {
                    descending,
                    from: span(cursor)?,
                    to: span(cursor)?,
                    len: cursor.size()?,
                    k: cursor.size()?,
                }
            }
            Code::Pick => Self::Pick {
                from: span(cursor)?,
                places: span(cursor)?,
                to: span(cursor)?,
                len: cursor.size()?,
                inner: cursor.size()?,
            },
            Code::Rows => {
                let (from, to, len, width) = (span(cursor)?, span(cursor)?, cursor.size()?, cursor.size()?);
                Self::Rows { from, to, width, table: cursor.words(len.checked_mul(width).ok_or(Error::Truncated)?)? }
            }
            Code::Couple => Self::Couple { from: span(cursor)?, to: span(cursor)?, n: cursor.size()? },
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
        let one = |from: Span| [Some(from), None, None];
        let (inputs, to, fits) = match *self {
            Self::Constant { to, .. } => ([None; 3], to, true),
            Self::Gather { from, to, places } => (one(from), to, places.iter().all(|place| index(*place) < from.len)),
            Self::Map { from, to, .. } | Self::Lookup { from, to, .. } | Self::Copy { from, to } => {
                (one(from), to, from.len == to.len)
            }
            Self::Zip { a, b, to, .. } => ([Some(a), Some(b), None], to, a.fills(to) && b.fills(to)),
            Self::Select { condition, a, b, to } => {
                let inputs = [condition, a, b];
                (inputs.map(Some), to, inputs.iter().all(|s| s.fills(to)))
            }
            Self::Dense { from, to, k, bias, .. } => {
                let n = bias.len();
                // Where a usize has 32 bits, a hostile length would overflow.
                let fits = k > 0 && n > 0 && from.len % k == 0 && (from.len / k).checked_mul(n) == Some(to.len);
                (one(from), to, fits)
            }
            Self::Product { a, b, to, k, n } => {
                let each = k.checked_mul(n).unwrap_or(0);
                let batch = b.len.checked_div(each).unwrap_or(0);
                let fits = batch > 0
                    && b.len % each == 0
                    && a.len % k == 0
                    && (a.len / k).is_multiple_of(batch)
                    && (a.len / k).checked_mul(n) == Some(to.len);
                ([Some(a), Some(b), None], to, fits)
            }
            Self::Reduce { from, to, len, inner, .. } => {
                let each = len.checked_mul(inner).unwrap_or(0);
                let fits = each > 0 && from.len % each == 0 && from.len / each * inner == to.len;
                (one(from), to, fits)
            }
            Self::Softmax { from, to, len } | Self::Normalise { from, to, len, .. } => {
                (one(from), to, from.len == to.len && len > 0 && to.len % len == 0)
            }
            Self::OneHot { from, to, keys } => (one(from), to, from.len.checked_mul(keys.len()) == Some(to.len)),
            Self::Distances { from, to, .. } => (one(from), to, from.len > 0),
            Self::Order { from, to, len, k, .. } => {
                let fits = len > 0
                    && k <= len
                    && len.checked_mul(k).is_some_and(|all| all <= MOST_COMPARED)
                    && from.len % len == 0
                    && from.len / len * k == to.len;
                (one(from), to, fits)
            }
            Self::Pick { from, places, to, len, inner } => {
                let outer = from.len.checked_div(len.checked_mul(inner).unwrap_or(0)).unwrap_or(0);
                let fits = outer > 0
                    && from.len == outer * len * inner
                    && places.len % outer == 0
                    && places.len.checked_mul(inner) == Some(to.len);
                ([Some(from), Some(places), None], to, fits)
            }
            Self::Rows { from, to, width, table } => {
                (one(from), to, width > 0 && !table.is_empty() && from.len.checked_mul(width) == Some(to.len))
            }
            Self::Couple { from, to, n } => {
                let pairs = n.checked_mul(n.wrapping_sub(1)).map(|twice| twice / 2);
                let room = n.checked_add(2).and_then(|m| m.checked_mul(n));
                (one(from), to, n > 1 && pairs == Some(from.len) && room == Some(to.len))
            }
            Self::Convolve(convolve) => (one(convolve.from), convolve.to, convolve.fits()),
            Self::Recurrent(r) => ([r.from, r.state, r.cell_state].map(Some), r.to, r.fits()),
            Self::Trees(trees) => {
                trees.check()?;
                (one(trees.from), trees.to, true)
            }
        };
        let within = to.within(floats) && inputs.into_iter().flatten().all(|s| s.within(floats) && s.apart(to));
        if fits && within { Ok(()) } else { Err(Error::Malformed) }
    }

    /// The number of learned numbers.
    #[cfg(feature = "std")]
    pub(super) fn parameters(&self) -> usize {
        match self {
            Self::Dense { weights, bias, .. } => weights.len() + bias.len(),
            Self::Distances { points, .. } => points.len(),
            Self::Rows { table, .. } => table.len(),
            Self::Convolve(Convolve { weights, bias, .. }) | Self::Recurrent(Recurrent { weights, bias, .. }) => {
                weights.len() + bias.len()
            }
            Self::Trees(trees) => trees.nodes.len() + trees.votes.len() / 2,
            _ => 0,
        }
    }
}
