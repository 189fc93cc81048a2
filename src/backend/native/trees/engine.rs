//! A forest in the form in which it is run.

use super::forest::{Forest, Node, Vote};
use super::head::Head;
use super::number::Number;
use super::pack::{Packed, Packer, Place, Small, Tree, Wide};
use super::walk::{self, Walked};
use crate::kernel::Isa;
use crate::{Result, TreeEngine};

/// A packed forest: features in `T`, weights and sums in `W`.
#[derive(Debug)]
pub(crate) struct Engine<T: Engines, W = T> {
    nodes: Nodes<T>,
    trees: Walked<T>,
    features: usize,
    leaves: Leaves<W>,
    /// The node of the forest that each leaf is.
    origins: Vec<u32>,
    targets: usize,
}

/// How an engine is to be made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// The engine, where it can take the trees.
    pub(crate) engine: TreeEngine,
    /// Whether [`Engine::votes`] is needed, which takes votes kept apart.
    pub(crate) each_vote: bool,
}

/// All trees' nodes, one after another.
#[derive(Debug)]
enum Nodes<T: Engines> {
    Narrow(Vec<T::Narrow>),
    Wide(Vec<Wide<T>>),
}

/// A number type with the smallest form of its packed nodes.
pub(crate) trait Engines: Number {
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
pub(crate) struct Span {
    /// Its nodes.
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Its longest path.
    pub(crate) deep: usize,
    /// Its first leaf. Where the head is the whole tree, leaves have the order of the exits.
    pub(crate) leaf: usize,
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

impl<T: Engines, W: Number> Engine<T, W> {
    /// Packs a forest.
    ///
    /// # Errors
    /// [`Unsupported`](crate::ErrorKind::Unsupported) when the trees share so many nodes that writing each out would
    /// take too much memory.
    pub(crate) fn new(forest: &Forest<T, W>, options: Options) -> Result<Self> {
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
        let mut origins = Vec::new();
        for tree in &trees {
            walked.add(tree, Head::new(tree, Isa::best()), &mut origins);
        }
        let leaves = if options.each_vote {
            Leaves::sparse(forest, &origins)
        } else {
            Leaves::of(forest, &walked.spans, &origins)
        };
        Ok(Self { nodes, trees: walked, features, leaves, origins, targets: forest.targets })
    }

    /// Which engine this is and why, with the size of it.
    pub(crate) fn describe(&self) -> String {
        let (nodes, size) = match &self.nodes {
            Nodes::Narrow(nodes) => (nodes.len(), size_of::<T::Narrow>()),
            Nodes::Wide(nodes) => (nodes.len(), size_of::<Wide<T>>()),
        };
        format!("{} trees of {nodes} nodes, {size} bytes per node", self.trees.spans.len())
    }

    /// The sums of the leaves' votes: `x` (m, n) gives (m, targets), added to `sums` tree by tree.
    pub(crate) fn sums(&self, x: &[T], n: usize, sums: &mut [W]) {
        let k = self.targets;
        match &self.leaves {
            Leaves::One { weights, .. } if k == 1 => {
                self.leaves(x, n, |row, _, leaf| sums[row] += weights[leaf]);
            }
            Leaves::One { targets, weights } => {
                self.leaves(x, n, |row, tree, leaf| sums[row * k + targets[tree] as usize] += weights[leaf]);
            }
            Leaves::Dense { weights } => match k {
                2 => self.dense::<2>(x, n, weights, sums),
                3 => self.dense::<3>(x, n, weights, sums),
                _ => self.leaves(x, n, |row, _, leaf| {
                    let weights = &weights[leaf * k..(leaf + 1) * k];
                    for (sum, w) in sums[row * k..(row + 1) * k].iter_mut().zip(weights) {
                        *sum += *w;
                    }
                }),
            },
            Leaves::Sparse { ranges, votes } => self.leaves(x, n, |row, _, leaf| {
                let (from, to) = ranges[leaf];
                for vote in &votes[from as usize..to as usize] {
                    sums[row * k + vote.target as usize] += vote.weight;
                }
            }),
        }
    }

    /// Rows of `K` weights added to rows of sums.
    fn dense<const K: usize>(&self, x: &[T], n: usize, weights: &[W], sums: &mut [W]) {
        let (weights, _) = weights.as_chunks::<K>();
        let (sums, _) = sums.as_chunks_mut::<K>();
        self.leaves(x, n, |row, _, leaf| {
            for (sum, w) in sums[row].iter_mut().zip(&weights[leaf]) {
                *sum += *w;
            }
        });
    }

    /// Shows `visit` every vote for every row, of an engine made with `each_vote`: the row and the vote.
    pub(crate) fn votes(&self, x: &[T], n: usize, mut visit: impl FnMut(usize, Vote<W>)) {
        if let Leaves::Sparse { ranges, votes } = &self.leaves {
            self.leaves(x, n, |row, _, leaf| {
                let (from, to) = ranges[leaf];
                votes[from as usize..to as usize].iter().for_each(|v| visit(row, *v));
            });
        }
    }

    /// The leaf's place in [`Forest::nodes`].
    pub(crate) fn node_of(&self, leaf: usize) -> u32 {
        self.origins[leaf]
    }

    /// Shows `visit` the leaf of every tree for every row: the row, the tree and the leaf, of which
    /// [`node_of`](Self::node_of) says which it is. A row meets the trees in order.
    #[inline(always)]
    pub(crate) fn leaves(&self, x: &[T], n: usize, visit: impl FnMut(usize, usize, usize)) {
        debug_assert!(n >= self.features);
        match &self.nodes {
            Nodes::Narrow(nodes) => walk::rows(nodes, &self.trees, x, n, visit),
            Nodes::Wide(nodes) => walk::rows(nodes, &self.trees, x, n, visit),
        }
    }
}

impl<T: Number> Walked<T> {
    /// Adds a tree; which nodes of the forest its leaves are goes to `origins`.
    fn add(&mut self, tree: &Tree<T>, head: Head<T>, origins: &mut Vec<u32>) {
        const NO_LEAF: u32 = u32::MAX;
        let (from, leaf) = (self.leaf_of_node.len(), origins.len());
        let to = from + tree.places.len();
        self.leaf_of_node.resize(to, NO_LEAF);
        let leaf_of_node = &mut self.leaf_of_node[from..];
        let mut add = |at: usize| {
            if let Place::Leaf { node } = tree.places[at] {
                leaf_of_node[at] = origins.len() as u32;
                origins.push(node);
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

impl<W: Number> Leaves<W> {
    /// Votes that are kept apart.
    fn sparse<T: Number>(forest: &Forest<T, W>, origins: &[u32]) -> Self {
        let range = |&node: &u32| match forest.nodes[node as usize] {
            Node::Leaf { votes } => votes,
            Node::Branch(_) => (0, 0),
        };
        Self::Sparse { ranges: origins.iter().map(range).collect(), votes: forest.votes.clone() }
    }

    /// The form that suits the votes; `origins` has the node of every leaf.
    fn of<T: Number>(forest: &Forest<T, W>, spans: &[Span], origins: &[u32]) -> Self {
        let one_target = |leaves: &[u32]| {
            let mut target = None;
            for &leaf in leaves {
                match forest.votes_of(leaf) {
                    [] => {}
                    [vote] if target.is_none_or(|t| t == vote.target) => target = Some(vote.target),
                    _ => return None,
                }
            }
            Some(target.unwrap_or(0))
        };
        let ends = spans.iter().skip(1).map(|s| s.leaf).chain([origins.len()]);
        let targets = spans.iter().zip(ends).map(|(span, end)| one_target(&origins[span.leaf..end]));
        if let Some(targets) = targets.collect::<Option<Vec<_>>>() {
            let weights = origins.iter().map(|&o| forest.votes_of(o).first().map_or(W::ZERO, |v| v.weight)).collect();
            return Self::One { targets, weights };
        }
        let k = forest.targets;
        let votes = origins.iter().map(|&o| forest.votes_of(o).len()).sum::<usize>();
        // Two votes of a leaf for one target are added to the sum one after the other.
        let mut last = vec![usize::MAX; k];
        let twice = origins.iter().enumerate().any(|(leaf, &o)| {
            forest.votes_of(o).iter().any(|v| std::mem::replace(&mut last[v.target as usize], leaf) == leaf)
        });
        if twice || votes < origins.len().saturating_mul(k) / 4 {
            return Self::sparse(forest, origins);
        }
        let mut weights = vec![W::ZERO; origins.len() * k];
        for (row, &origin) in weights.chunks_exact_mut(k).zip(origins) {
            forest.votes_of(origin).iter().for_each(|v| row[v.target as usize] = v.weight);
        }
        Self::Dense { weights }
    }
}
