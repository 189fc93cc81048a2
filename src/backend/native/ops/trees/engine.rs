//! A forest in the form in which it is run.

use super::forest::{Forest, Vote};
use super::head::Head;
use super::number::Number;
use super::pack::{Packed, Packer, Place, Small, Tree, Wide};
use super::walk::{self, Walked};
use crate::Result;
use crate::kernel::Isa;

/// A packed forest.
#[derive(Debug)]
pub(super) struct Engine<T: Engines> {
    nodes: Nodes<T>,
    trees: Walked<T>,
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

/// One tree among the nodes and leaves of all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Its nodes.
    pub(super) from: usize,
    pub(super) to: usize,
    /// Its longest path.
    pub(super) deep: usize,
    /// Its first leaf. Where the head is the whole tree, leaves have the order of the exits.
    pub(super) leaf: usize,
}

/// What the leaves add.
#[derive(Debug)]
enum Leaves<T> {
    /// Every leaf of a tree votes for the same target, or not at all.
    One { targets: Vec<u32>, weights: Vec<T> },
    /// Most leaves vote for most targets: a row of weights for each.
    Dense { weights: Vec<T> },
    /// For each leaf where its votes stand.
    Sparse { ranges: Vec<(u32, u32)>, votes: Vec<Vote<T>> },
}

impl<T: Engines> Engine<T> {
    /// Packs a forest; `each_vote` keeps the votes apart for those who need more than their sums.
    ///
    /// # Errors
    /// As [`Packer::tree`].
    pub(super) fn new(forest: &Forest<T>, each_vote: bool) -> Result<Self> {
        let mut packer = Packer::new(forest);
        let trees = forest.roots.iter().map(|&root| packer.tree(root)).collect::<Result<Vec<_>>>()?;
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
        let mut walked = Walked { spans: Vec::new(), heads: Vec::new(), leaf_of_node: Vec::new(), nan_matters };
        let mut ranges = Vec::new();
        for tree in &trees {
            walked.add(tree, Head::new(tree, Isa::best()), &mut ranges);
        }
        let leaves = if each_vote {
            Leaves::Sparse { ranges, votes: forest.votes.clone() }
        } else {
            Leaves::of(forest, &walked.spans, ranges)
        };
        Ok(Self { nodes, trees: walked, features, leaves, targets: forest.targets })
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
            Leaves::Dense { weights } => match k {
                2 => self.dense::<2>(x, n, weights, sums),
                3 => self.dense::<3>(x, n, weights, sums),
                _ => self.leaves_of(x, n, |row, _, leaf| {
                    let weights = &weights[leaf * k..(leaf + 1) * k];
                    for (sum, w) in sums[row * k..(row + 1) * k].iter_mut().zip(weights) {
                        *sum += *w;
                    }
                }),
            },
            Leaves::Sparse { ranges, votes } => self.leaves_of(x, n, |row, _, leaf| {
                let (from, to) = ranges[leaf];
                for vote in &votes[from as usize..to as usize] {
                    sums[row * k + vote.target as usize] += vote.weight;
                }
            }),
        }
    }

    /// Rows of `K` weights added to rows of sums.
    fn dense<const K: usize>(&self, x: &[T], n: usize, weights: &[T], sums: &mut [T]) {
        let (weights, _) = weights.as_chunks::<K>();
        let (sums, _) = sums.as_chunks_mut::<K>();
        self.leaves_of(x, n, |row, _, leaf| {
            for (sum, w) in sums[row].iter_mut().zip(&weights[leaf]) {
                *sum += *w;
            }
        });
    }

    /// Shows `visit` every vote for every row, of an engine made with `each_vote`: the row and the vote.
    pub(super) fn votes(&self, x: &[T], n: usize, mut visit: impl FnMut(usize, Vote<T>)) {
        if let Leaves::Sparse { ranges, votes } = &self.leaves {
            self.leaves_of(x, n, |row, _, leaf| {
                let (from, to) = ranges[leaf];
                votes[from as usize..to as usize].iter().for_each(|v| visit(row, *v));
            });
        }
    }

    /// Shows `visit` the leaf of every tree for every row: the row, the tree and the leaf. A row meets the trees in
    /// order.
    #[inline(always)]
    fn leaves_of(&self, x: &[T], n: usize, visit: impl FnMut(usize, usize, usize)) {
        debug_assert!(n >= self.features);
        match &self.nodes {
            Nodes::Narrow(nodes) => walk::rows(nodes, &self.trees, x, n, visit),
            Nodes::Wide(nodes) => walk::rows(nodes, &self.trees, x, n, visit),
        }
    }
}

impl<T: Number> Walked<T> {
    /// Adds a tree; the votes of its leaves go to `ranges`.
    fn add(&mut self, tree: &Tree<T>, head: Head<T>, ranges: &mut Vec<(u32, u32)>) {
        const NO_LEAF: u32 = u32::MAX;
        let (from, leaf) = (self.leaf_of_node.len(), ranges.len());
        let to = from + tree.places.len();
        self.leaf_of_node.resize(to, NO_LEAF);
        let leaf_of_node = &mut self.leaf_of_node[from..];
        let mut add = |at: usize| {
            if let Place::Leaf { votes } = tree.places[at] {
                leaf_of_node[at] = ranges.len() as u32;
                ranges.push(votes);
            }
        };
        if head.rest == 0 {
            head.places.iter().for_each(|&at| add(at as usize));
        } else {
            (0..tree.places.len()).for_each(add);
        }
        self.spans.push(Span { from, to, deep: tree.heights[0] as usize, leaf });
        self.heads.push(head);
    }
}

impl<T: Number> Leaves<T> {
    /// The form that suits the votes; `ranges` has those of every leaf.
    fn of(forest: &Forest<T>, spans: &[Span], ranges: Vec<(u32, u32)>) -> Self {
        let votes_of = |range: &(u32, u32)| &forest.votes[range.0 as usize..range.1 as usize];
        let one_target = |ranges: &[(u32, u32)]| {
            let mut target = None;
            for range in ranges {
                match votes_of(range) {
                    [] => {}
                    [vote] if target.is_none_or(|t| t == vote.target) => target = Some(vote.target),
                    _ => return None,
                }
            }
            Some(target.unwrap_or(0))
        };
        let ends = spans.iter().skip(1).map(|s| s.leaf).chain([ranges.len()]);
        let targets = spans.iter().zip(ends).map(|(span, end)| one_target(&ranges[span.leaf..end]));
        if let Some(targets) = targets.collect::<Option<Vec<_>>>() {
            let weights = ranges.iter().map(|r| votes_of(r).first().map_or(T::ZERO, |v| v.weight)).collect();
            return Self::One { targets, weights };
        }
        let k = forest.targets;
        if ranges.iter().map(|r| votes_of(r).len()).sum::<usize>() < ranges.len().saturating_mul(k) / 4 {
            return Self::Sparse { ranges, votes: forest.votes.clone() };
        }
        let mut weights = vec![T::ZERO; ranges.len() * k];
        for (row, range) in weights.chunks_exact_mut(k).zip(&ranges) {
            votes_of(range).iter().for_each(|v| row[v.target as usize] += v.weight);
        }
        Self::Dense { weights }
    }
}
