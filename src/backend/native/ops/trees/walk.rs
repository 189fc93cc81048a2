//! Rows through packed trees.
//!
//! A step of one row waits for its node and its feature, so eight rows (or, for a row alone, eight trees) take their
//! steps together. Trees are the outer loop over a block of rows small enough for the first-level cache; every row
//! meets the trees in their order, so sums do not depend on how rows are grouped.

use super::forest::{Forest, Vote};
use super::number::Number;
use super::pack::{Packed, Packer, Place, Small, Tree, Wide};
use crate::Result;

/// Rows, or trees, in flight.
const LANES: usize = 8;
/// The bytes of a block of rows.
const BLOCK_BYTES: usize = 16 << 10;

/// A packed forest.
#[derive(Debug)]
pub(super) struct Engine<T> {
    nodes: Nodes<T>,
    trees: Vec<Span>,
    /// Whether NaN goes below in any node, so that rows must be searched for it.
    nan_matters: bool,
    features: usize,
    leaves: Leaves<T>,
    targets: usize,
}

/// All trees' nodes, one after another.
#[derive(Debug)]
enum Nodes<T> {
    Small(Vec<Small>),
    Wide(Vec<Wide<T>>),
}

/// One tree among the nodes.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: usize,
    to: usize,
    shallow: usize,
    deep: usize,
}

/// What the leaves add, by the place of the leaf among all nodes.
#[derive(Debug)]
enum Leaves<T> {
    /// Every leaf of a tree votes for the same target, or not at all.
    One {
        targets: Vec<u32>,
        weights: Vec<T>,
    },
    /// Most leaves vote for most targets: rows of weights.
    Dense {
        slots: Vec<u32>,
        weights: Vec<T>,
    },
    Sparse {
        slots: Vec<(u32, u32)>,
        votes: Vec<Vote<T>>,
    },
}

/// A number type with the forms its packed nodes can take.
pub(super) trait Engines: Number {
    /// Whether [`Small`] nodes hold this type.
    fn small(places: impl Iterator<Item = (usize, Place<Self>)>) -> Option<Vec<Small>>;
    /// Rows of this type as those that [`Small`] nodes read.
    fn as_small(rows: &[Self]) -> &[f32];
}

impl Engines for f32 {
    fn small(places: impl Iterator<Item = (usize, Place<f32>)>) -> Option<Vec<Small>> {
        Some(places.map(|(at, place)| place.packed(at)).collect())
    }
    fn as_small(rows: &[f32]) -> &[f32] {
        rows
    }
}

impl Engines for f64 {
    fn small(_places: impl Iterator<Item = (usize, Place<f64>)>) -> Option<Vec<Small>> {
        None
    }
    fn as_small(_rows: &[f64]) -> &[f32] {
        &[]
    }
}

impl<T: Engines> Engine<T> {
    /// Packs a forest; `each_vote` keeps the votes apart for those who need more than their sums.
    ///
    /// # Errors
    /// As [`Packer::tree`].
    pub(super) fn new(forest: &Forest<T>, each_vote: bool) -> Result<Self> {
        let mut packer = Packer::new(forest);
        let trees = forest.roots.iter().map(|&root| packer.tree(root)).collect::<Result<Vec<_>>>()?;
        let mut spans = Vec::with_capacity(trees.len());
        let mut from = 0;
        for tree in &trees {
            let to = from + tree.places.len();
            spans.push(Span { from, to, shallow: tree.shallow, deep: tree.deep });
            from = to;
        }
        let features = forest.features();
        let places = || trees.iter().flat_map(|t| t.places.iter().copied().enumerate());
        let fits = features <= Small::FEATURES && trees.iter().all(|t| t.places.len() <= Small::NODES);
        let small = if fits { T::small(places()) } else { None };
        let nodes = match small {
            Some(nodes) => Nodes::Small(nodes),
            None => Nodes::Wide(places().map(|(at, place)| place.packed(at)).collect()),
        };
        let nan_matters = places().any(|(_, p)| matches!(p, Place::Branch { nan_left: true, .. }));
        let leaves = if each_vote { Leaves::sparse(forest, &trees) } else { Leaves::of(forest, &trees) };
        Ok(Self { nodes, trees: spans, nan_matters, features, leaves, targets: forest.targets })
    }

    /// The sums of the leaves' votes: `x` (m, n) gives (m, targets), added to `sums`.
    pub(super) fn sums(&self, x: &[T], n: usize, sums: &mut [T]) {
        let k = self.targets;
        match &self.leaves {
            Leaves::One { weights, .. } if k == 1 => {
                self.leaves_of(x, n, |row, _, leaf| sums[row] += weights[leaf]);
            }
            Leaves::One { targets, weights } => {
                self.leaves_of(x, n, |row, tree, leaf| sums[row * k + targets[tree] as usize] += weights[leaf]);
            }
            Leaves::Dense { slots, weights } => self.leaves_of(x, n, |row, _, leaf| {
                let slot = slots[leaf] as usize * k;
                for (sum, w) in sums[row * k..(row + 1) * k].iter_mut().zip(&weights[slot..slot + k]) {
                    *sum += *w;
                }
            }),
            Leaves::Sparse { slots, votes } => self.leaves_of(x, n, |row, _, leaf| {
                let (from, to) = slots[leaf];
                for vote in &votes[from as usize..to as usize] {
                    sums[row * k + vote.target as usize] += vote.weight;
                }
            }),
        }
    }

    /// Shows `visit` every vote for every row, of an engine made with `each_vote`: the row and the vote.
    pub(super) fn votes(&self, x: &[T], n: usize, mut visit: impl FnMut(usize, Vote<T>)) {
        if let Leaves::Sparse { slots, votes } = &self.leaves {
            self.leaves_of(x, n, |row, _, leaf| {
                let (from, to) = slots[leaf];
                votes[from as usize..to as usize].iter().for_each(|v| visit(row, *v));
            });
        }
    }

    /// Shows `visit` the leaf of every tree for every row: the row, the tree and the leaf's place among all nodes. A
    /// row meets the trees in order.
    #[inline(always)]
    fn leaves_of(&self, x: &[T], n: usize, visit: impl FnMut(usize, usize, usize)) {
        debug_assert!(n >= self.features);
        match &self.nodes {
            Nodes::Small(nodes) => blocks(nodes, &self.trees, self.nan_matters, T::as_small(x), n, visit),
            Nodes::Wide(nodes) => blocks(nodes, &self.trees, self.nan_matters, x, n, visit),
        }
    }
}

/// Goes through the rows block by block.
#[inline(always)]
fn blocks<T: Number, N: Packed<T>>(
    nodes: &[N],
    trees: &[Span],
    nan_matters: bool,
    x: &[T],
    n: usize,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let rows = (BLOCK_BYTES / (n.max(1) * size_of::<T>())).clamp(LANES, 1024) / LANES * LANES;
    for (b, block) in x.chunks(rows * n.max(1)).enumerate() {
        let first = b * rows;
        let visit = |row: usize, tree: usize, leaf: usize| visit(first + row, tree, leaf);
        if nan_matters && block.iter().any(|x| x.is_nan()) {
            block_of_rows::<true, T, N>(nodes, trees, block, n, visit);
        } else {
            block_of_rows::<false, T, N>(nodes, trees, block, n, visit);
        }
    }
}

#[inline(always)]
fn block_of_rows<const NAN: bool, T: Number, N: Packed<T>>(
    nodes: &[N],
    trees: &[Span],
    x: &[T],
    n: usize,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let groups = x.chunks_exact(LANES * n);
    let rest = groups.remainder();
    let first = (x.len() - rest.len()) / n;
    for (t, span) in trees.iter().enumerate() {
        let nodes = &nodes[span.from..span.to];
        for (g, group) in groups.clone().enumerate() {
            let rows: [&[T]; LANES] = std::array::from_fn(|l| &group[l * n..(l + 1) * n]);
            let mut at = [0usize; LANES];
            for _ in 0..span.shallow {
                for (at, row) in at.iter_mut().zip(rows) {
                    *at = nodes[*at].step::<NAN>(row);
                }
            }
            for _ in span.shallow..span.deep {
                let before = at;
                for (at, row) in at.iter_mut().zip(rows) {
                    *at = nodes[*at].step::<NAN>(row);
                }
                if at == before {
                    break;
                }
            }
            for (l, at) in at.into_iter().enumerate() {
                visit(g * LANES + l, t, span.from + at);
            }
        }
    }
    for (r, row) in rest.chunks_exact(n).enumerate() {
        one_row::<NAN, T, N>(nodes, trees, row, |tree, leaf| visit(first + r, tree, leaf));
    }
}

/// One row through eight trees at a time.
#[inline(always)]
fn one_row<const NAN: bool, T: Number, N: Packed<T>>(
    nodes: &[N],
    trees: &[Span],
    row: &[T],
    mut visit: impl FnMut(usize, usize),
) {
    let mut groups = trees.chunks_exact(LANES);
    let mut t = 0;
    for group in groups.by_ref() {
        let group: &[Span; LANES] = group.try_into().expect("chunks_exact gives this many");
        let mut at = [0usize; LANES];
        let deep = group.iter().map(|s| s.deep).max().unwrap_or(0);
        for _ in 0..deep {
            let before = at;
            for (at, span) in at.iter_mut().zip(group) {
                *at = nodes[span.from + *at].step::<NAN>(row);
            }
            if at == before {
                break;
            }
        }
        for (at, span) in at.into_iter().zip(group) {
            visit(t, span.from + at);
            t += 1;
        }
    }
    for span in groups.remainder() {
        let mut at = 0;
        for _ in 0..span.deep {
            let next = nodes[span.from + at].step::<NAN>(row);
            if next == at {
                break;
            }
            at = next;
        }
        visit(t, span.from + at);
        t += 1;
    }
}

impl<T: Number> Leaves<T> {
    fn of(forest: &Forest<T>, trees: &[Tree<T>]) -> Self {
        let votes_of = |place: &Place<T>| match place {
            Place::Leaf { votes } => &forest.votes[votes.0 as usize..votes.1 as usize],
            _ => &[][..],
        };
        let one_target = |tree: &Tree<T>| {
            let mut target = None;
            for place in &tree.places {
                match votes_of(place) {
                    [] => {}
                    [vote] if target.is_none_or(|t| t == vote.target) => target = Some(vote.target),
                    _ => return None,
                }
            }
            Some(target.unwrap_or(0))
        };
        let places = || trees.iter().flat_map(|t| &t.places);
        if let Some(targets) = trees.iter().map(one_target).collect::<Option<Vec<_>>>() {
            let weights = places().map(|p| votes_of(p).first().map_or(T::ZERO, |v| v.weight)).collect();
            return Self::One { targets, weights };
        }
        let leaves = places().filter(|p| matches!(p, Place::Leaf { .. })).count();
        if forest.votes.len() >= leaves.saturating_mul(forest.targets) / 4 {
            // The first row is for places that are no leaves.
            let mut weights = vec![T::ZERO; forest.targets];
            let mut slots = Vec::with_capacity(places().count());
            for place in places() {
                let votes = votes_of(place);
                if votes.is_empty() {
                    slots.push(0);
                    continue;
                }
                slots.push((weights.len() / forest.targets) as u32);
                let at = weights.len();
                weights.resize(at + forest.targets, T::ZERO);
                votes.iter().for_each(|v| weights[at + v.target as usize] += v.weight);
            }
            return Self::Dense { slots, weights };
        }
        Self::sparse(forest, trees)
    }

    fn sparse(forest: &Forest<T>, trees: &[Tree<T>]) -> Self {
        let places = trees.iter().flat_map(|t| &t.places);
        let slots = places.map(|p| if let Place::Leaf { votes } = p { *votes } else { (0, 0) }).collect();
        Self::Sparse { slots, votes: forest.votes.clone() }
    }
}
