//! Rows through packed trees.
//!
//! The first levels of a tree are not walked: all their tests are asked of sixteen rows at once (see [`head`](super::head)),
//! which is all there is to most boosted trees. Below, a step of one row waits for its node and its feature, so eight
//! rows (or, for a row alone, eight trees) take their steps together. Trees are the outer loop over a block of rows small enough for the first-level cache; every row
//! meets the trees in their order, so sums do not depend on how rows are grouped.

use super::forest::{Forest, Vote};
use super::number::Number;
use super::head::Head;
use super::pack::{Packed, Packer, Place, Small, Tree, Wide};
use crate::Result;
use crate::kernel::{self, EXITS, GROUP, Isa, Test};

/// Rows, or trees, in flight.
const LANES: usize = 8;
/// So many rows at the end are walked one by one.
const FEW: usize = 4;
/// The bytes of a block of rows.
const BLOCK_BYTES: usize = 16 << 10;

/// A packed forest.
#[derive(Debug)]
pub(super) struct Engine<T: Engines> {
    nodes: Nodes<T>,
    trees: Trees<T>,
    features: usize,
    leaves: Leaves<T>,
    targets: usize,
}

/// All trees' nodes, one after another.
#[derive(Debug)]
enum Nodes<T: Engines> {
    Narrow(Vec<T::Narrow>),
    Wide(Vec<Wide<T>>),
}

/// The trees of a forest.
#[derive(Debug)]
struct Trees<T> {
    spans: Vec<Span>,
    heads: Vec<Head>,
    /// The tests of all heads.
    tests: Vec<Test<T>>,
    /// Whether NaN goes below in any node, so that rows must be searched for it.
    nan_matters: bool,
}

/// One tree among the nodes.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: usize,
    to: usize,
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

/// A number type with the smallest form of its packed nodes.
pub(super) trait Engines: Number {
    type Narrow: Packed<Self>;
}

impl Engines for f32 {
    type Narrow = Small;
}

impl Engines for f64 {
    type Narrow = Wide<f64>;
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
        let (mut heads, mut tests) = (Vec::with_capacity(trees.len()), Vec::new());
        for tree in &trees {
            let to = from + tree.places.len();
            spans.push(Span { from, to, deep: tree.heights[0] as usize });
            heads.push(Head::new(tree, &mut tests));
            from = to;
        }
        let features = forest.features();
        let places = || trees.iter().flat_map(|t| t.places.iter().copied().enumerate());
        let fits =
            features <= T::Narrow::FEATURES && trees.iter().all(|t| t.places.len() <= <T::Narrow as Packed<T>>::NODES);
        let nodes = if fits {
            Nodes::Narrow(places().map(|(at, place)| place.packed(at)).collect())
        } else {
            Nodes::Wide(places().map(|(at, place)| place.packed(at)).collect())
        };
        let nan_matters = places().any(|(_, p)| matches!(p, Place::Branch { nan_left: true, .. }));
        let leaves = if each_vote { Leaves::sparse(forest, &trees) } else { Leaves::of(forest, &trees) };
        let trees = Trees { spans, heads, tests, nan_matters };
        Ok(Self { nodes, trees, features, leaves, targets: forest.targets })
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
            Nodes::Narrow(nodes) => blocks(nodes, &self.trees, x, n, visit),
            Nodes::Wide(nodes) => blocks(nodes, &self.trees, x, n, visit),
        }
    }
}

/// Goes through the rows block by block.
#[inline(always)]
fn blocks<T: Number, N: Packed<T>>(
    nodes: &[N],
    trees: &Trees<T>,
    x: &[T],
    n: usize,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let isa = Isa::best();
    let n = n.max(1);
    let groups = (BLOCK_BYTES / (n * size_of::<T>() * GROUP)).clamp(1, 64);
    let mut columns = Vec::new();
    let mut exits = vec![[0u8; GROUP]; groups];
    for (b, block) in x.chunks(groups * GROUP * n).enumerate() {
        let first = b * groups * GROUP;
        let has_nan = trees.nan_matters && block.iter().any(|x| x.is_nan());
        let rows = block.len() / n;
        // A few rows alone are not worth a group.
        let grouped = if rows % GROUP < FEW { rows / GROUP * GROUP } else { rows };
        transpose(&block[..grouped * n], n, &mut columns);
        let visit = &mut |row: usize, tree: usize, leaf: usize| visit(first + row, tree, leaf);
        if has_nan {
            grouped_rows::<true, T, N>(isa, nodes, trees, &columns, n, grouped, &mut exits, visit);
        } else {
            grouped_rows::<false, T, N>(isa, nodes, trees, &columns, n, grouped, &mut exits, visit);
        }
        for (r, row) in block[grouped * n..].chunks_exact(n).enumerate() {
            if has_nan {
                one_row::<true, T, N>(nodes, &trees.spans, row, |tree, leaf| visit(grouped + r, tree, leaf));
            } else {
                one_row::<false, T, N>(nodes, &trees.spans, row, |tree, leaf| visit(grouped + r, tree, leaf));
            }
        }
    }
}

/// Lays rows out in groups, each feature of a group side by side; the last row fills a last group up.
fn transpose<T: Number>(x: &[T], n: usize, columns: &mut Vec<[T; GROUP]>) {
    columns.clear();
    for group in x.chunks(GROUP * n) {
        let at = columns.len();
        columns.resize(at + n, [T::ZERO; GROUP]);
        let columns = &mut columns[at..];
        for (l, row) in group.chunks_exact(n).enumerate() {
            for (column, x) in columns.iter_mut().zip(row) {
                column[l] = *x;
            }
        }
    }
}

/// Groups of rows through tree after tree.
#[allow(clippy::too_many_arguments, reason = "one loop nest with its buffers")]
#[inline(always)]
fn grouped_rows<const NAN: bool, T: Number, N: Packed<T>>(
    isa: Isa,
    nodes: &[N],
    trees: &Trees<T>,
    columns: &[[T; GROUP]],
    n: usize,
    rows: usize,
    exits: &mut [[u8; GROUP]],
    visit: &mut impl FnMut(usize, usize, usize),
) {
    for (t, (span, head)) in trees.spans.iter().zip(&trees.heads).enumerate() {
        let nodes = &nodes[span.from..span.to];
        let (plain, lenient) = trees.tests[head.tests.0..head.tests.1].split_at(head.plain);
        kernel::exits(isa, plain, lenient, columns, n, exits);
        for (g, (columns, exits)) in columns.chunks_exact(n).zip(exits.iter()).enumerate() {
            let first = g * GROUP;
            let real = (rows - first).min(GROUP);
            let mut at = exits.map(|e| head.places[usize::from(e) % EXITS]);
            if head.rest > 0 {
                for half in 0..GROUP / LANES {
                    let at: &mut [u32; LANES] = (&mut at[half * LANES..(half + 1) * LANES])
                        .try_into()
                        .expect("a group is a whole number of lanes");
                    descend::<NAN, T, N>(nodes, columns, half * LANES, head.rest, at);
                }
            }
            for (l, at) in at[..real].iter().enumerate() {
                visit(first + l, t, span.from + *at as usize);
            }
        }
    }
}

/// Takes the rows `first..first + LANES` of a group at most `steps` steps further.
#[inline(always)]
fn descend<const NAN: bool, T: Number, N: Packed<T>>(
    nodes: &[N],
    columns: &[[T; GROUP]],
    first: usize,
    steps: usize,
    at: &mut [u32; LANES],
) {
    for _ in 0..steps {
        let before = *at;
        for l in 0..LANES {
            let node = nodes[at[l] as usize];
            at[l] = node.step::<NAN>(columns[node.feature()][first + l]);
        }
        if *at == before {
            break;
        }
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
    let step = |at: usize| {
        let node = nodes[at];
        node.step::<NAN>(row[node.feature()]) as usize
    };
    let mut groups = trees.chunks_exact(LANES);
    let mut t = 0;
    for group in groups.by_ref() {
        let group: &[Span; LANES] = group.try_into().expect("chunks_exact gives this many");
        let mut at = [0usize; LANES];
        let deep = group.iter().map(|s| s.deep).max().unwrap_or(0);
        for _ in 0..deep {
            let before = at;
            for (at, span) in at.iter_mut().zip(group) {
                *at = step(span.from + *at);
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
            let next = step(span.from + at);
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
