//! What the leaves that rows reach add to their sums.

use super::byte_trees::{Exits, Sink};
use super::forest::{Forest, Node, Vote};
use super::number::Number;

/// What the leaves add.
#[derive(Debug)]
pub(super) enum Leaves<W> {
    /// Every leaf of a tree votes for the same target, or not at all.
    One { targets: Vec<u32>, weights: Vec<W> },
    /// Most leaves vote for most targets: a row of weights for each.
    Dense { weights: Vec<W> },
    /// For each leaf where its votes stand.
    Sparse { ranges: Vec<(u32, u32)>, votes: Vec<Vote<W>> },
}

impl<W: Number> Leaves<W> {
    /// Votes that are kept apart.
    pub(super) fn sparse<T: Number>(forest: &Forest<T, W>, origins: &[u32]) -> Self {
        let range = |&node: &u32| match forest.nodes[node as usize] {
            Node::Leaf { votes } => votes,
            Node::Branch(_) => (0, 0),
        };
        Self::Sparse { ranges: origins.iter().map(range).collect(), votes: forest.votes.clone() }
    }

    /// The form that suits the votes; `origins` has the node of every leaf, and `firsts` the first leaf of every tree.
    pub(super) fn of<T: Number>(forest: &Forest<T, W>, firsts: &[usize], origins: &[u32]) -> Self {
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
        let ends = firsts.iter().skip(1).copied().chain([origins.len()]);
        let targets = firsts.iter().zip(ends).map(|(&first, end)| one_target(&origins[first..end]));
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

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::One { targets, weights } => size_of_val(&**targets) + size_of_val(&**weights),
            Self::Dense { weights } => size_of_val(&**weights),
            Self::Sparse { ranges, votes } => size_of_val(&**ranges) + size_of_val(&**votes),
        }
    }
}

/// Sums (m, k) that leaves are added to.
#[derive(Debug)]
pub(super) struct Summing<'s, W> {
    pub(super) leaves: &'s Leaves<W>,
    pub(super) k: usize,
    pub(super) sums: &'s mut [W],
}

impl<W: Number> Summing<'_, W> {
    /// Adds a leaf of a tree to the sums of a row.
    #[inline(always)]
    pub(super) fn add(&mut self, row: usize, tree: usize, leaf: usize) {
        let k = self.k;
        match self.leaves {
            Leaves::One { targets, weights } => self.sums[row * k + targets[tree] as usize] += weights[leaf],
            Leaves::Dense { weights } => {
                let weights = &weights[leaf * k..(leaf + 1) * k];
                for (sum, w) in self.sums[row * k..(row + 1) * k].iter_mut().zip(weights) {
                    *sum += *w;
                }
            }
            Leaves::Sparse { ranges, votes } => {
                let (from, to) = ranges[leaf];
                for vote in &votes[from as usize..to as usize] {
                    self.sums[row * k + vote.target as usize] += vote.weight;
                }
            }
        }
    }
}

/// Adds the exits of trees that vote for one target each.
#[derive(Debug)]
pub(super) struct OneSink<'a, 's, W> {
    pub(super) summing: &'a mut Summing<'s, W>,
    /// The exits that a tree has room for: a power of two.
    pub(super) stride: usize,
}

impl<W: Number> Sink for OneSink<'_, '_, W> {
    fn take<const G: usize>(&mut self, exits: &Exits<'_, G>) {
        // The lengths of rows of weights are known to the compiler, so that a byte needs no check.
        match self.stride {
            8 => self.add::<8, G>(exits),
            16 => self.add::<16, G>(exits),
            32 => self.add::<32, G>(exits),
            64 => self.add::<64, G>(exits),
            128 => self.add::<128, G>(exits),
            256 => self.add::<256, G>(exits),
            _ => self.add_large(exits),
        }
    }
}

impl<W: Number> OneSink<'_, '_, W> {
    /// Of trees of any size.
    fn add_large<const G: usize>(&mut self, of: &Exits<'_, G>) {
        for row in 0..of.rows.min(G) {
            for t in 0..of.trees() {
                let tree = of.first_tree + t;
                self.summing.add(of.first_row + row, tree, tree * self.stride + of.exit(t, row));
            }
        }
    }

    /// Of trees whose exits are bytes.
    #[inline(always)]
    fn add<const S: usize, const G: usize>(&mut self, of: &Exits<'_, G>) {
        let Leaves::One { targets, weights } = self.summing.leaves else { return };
        let k = self.summing.k;
        let sums = &mut self.summing.sums[of.first_row * k..(of.first_row + of.rows) * k];
        let (weights, _) = weights.as_chunks::<S>();
        let weights = &weights[of.first_tree..of.first_tree + of.bytes.len()];
        if k > 1 {
            let targets = &targets[of.first_tree..of.first_tree + of.bytes.len()];
            for (row, sums) in sums.chunks_exact_mut(k).enumerate().take(G) {
                for ((weights, exits), &target) in weights.iter().zip(of.bytes).zip(targets) {
                    sums[target as usize] += weights[usize::from(exits[row]) % S];
                }
            }
        } else if let (Ok(weights), Ok(exits)) =
            (<&[[W; S]; 8]>::try_from(weights), <&[[u8; G]; 8]>::try_from(of.bytes))
        {
            for (row, sum) in sums.iter_mut().enumerate().take(G) {
                let mut all = *sum;
                for t in 0..8 {
                    all += weights[t][usize::from(exits[t][row]) % S];
                }
                *sum = all;
            }
        } else {
            for (row, sum) in sums.iter_mut().enumerate().take(G) {
                for (weights, exits) in weights.iter().zip(of.bytes) {
                    *sum += weights[usize::from(exits[row]) % S];
                }
            }
        }
    }
}
