//! One row alone: the exits that its numbers rule out, feature by feature.
//!
//! The nodes that ask a feature stand in the order of their thresholds, so that those which a number decides one way are a
//! run, found by one search. Each takes the exits that it rules out off the word of its tree, and the last exit that is left
//! is the row's. Exits are numbered as those of groups of rows are, those of the smaller child of a node first: only a
//! row that goes to the smaller child costs anything.
//!
//! C. Lucchese et al., QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees, SIGIR
//! 2015.

use smallvec::SmallVec;

use super::forest::{Branch, Forest, Node};
use super::number::Number;
use super::oracle;
use super::pack::as_leq;

/// The trees whose words are at hand together.
const TREES: usize = 1024;
/// Up to this many thresholds are counted, not searched.
const COUNTED: usize = 64;
/// Fewer trees than this, whose nodes stay in the cache, are walked faster.
const WORTHWHILE: usize = 400;

/// What a node does to a row that goes to the smaller of its children.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ruling {
    pub(super) tree: u32,
    /// The node of the forest.
    pub(super) node: u32,
    /// The exits of the larger child, which are ruled out.
    pub(super) from: u32,
    pub(super) to: u32,
    /// Whether the smaller child is that of rows which pass.
    pub(super) on_pass: bool,
}

/// Trees of at most 32 exits; words of 64 bits take longer than walking.
#[derive(Debug)]
pub(super) struct RowTrees<T> {
    blocks: Vec<Block<T>>,
    members: Vec<T>,
    sets: Vec<u32>,
}

/// Up to [`TREES`] trees.
#[derive(Debug)]
struct Block<T> {
    /// All exits of every tree, the first as the highest of the bits that are used.
    exits: Vec<u32>,
    /// The thresholds of each run, ascending.
    thresholds: Vec<T>,
    /// By place among the thresholds, and after these for what has none: a tree, and the exits that stay.
    rulings: Rulings,
    runs: Vec<Run>,
    missing: Vec<Missing>,
    asked: Vec<Asked<T>>,
}

#[derive(Debug, Default)]
struct Rulings {
    trees: Vec<u16>,
    masks: Vec<u32>,
}

/// Nodes that ask one feature and rule out exits on the same side of their thresholds: `from..to` of the rulings.
#[derive(Debug, Clone, Copy)]
struct Run {
    feature: u32,
    from: u32,
    to: u32,
    /// Whether rulings are for x <= t, rather than for x > t.
    on_pass: bool,
}

/// The rulings `from..to`, for rows whose feature is NaN.
#[derive(Debug, Clone, Copy)]
struct Missing {
    feature: u32,
    from: u32,
    to: u32,
}

/// A question that is not x <= t, with the ruling for one of its answers.
#[derive(Debug)]
struct Asked<T> {
    branch: Branch<T>,
    on_yes: bool,
    ruling: u32,
}

/// The word of the exits `from..to`.
fn word(from: u32, to: u32) -> u32 {
    if from == to { 0 } else { (u32::MAX << (u32::BITS - (to - from))) >> from }
}

/// The last exit of a word that has one.
#[inline(always)]
fn last(word: u32) -> usize {
    // The first exit stands for itself where no other is left; a word that can't be zero needs no check.
    (u32::BITS - 1 - (word | 1 << (u32::BITS - 1)).trailing_zeros()) as usize
}

impl<T: Number> RowTrees<T> {
    /// The trees of `forest`, of which each has so many `exits`, with all that their nodes rule out; `None` when a tree has more
    /// exits than a word has bits, or there are too few trees.
    pub(super) fn new<W>(forest: &Forest<T, W>, exits: &[u32], rulings: &[Ruling]) -> Option<Self> {
        if exits.len() < WORTHWHILE {
            return None;
        }
        if exits.iter().any(|&n| n > u32::BITS) {
            return None;
        }
        let mut rest = rulings;
        let of_block = |(b, exits): (usize, &[u32])| {
            let end = rest.partition_point(|r| (r.tree as usize) < (b + 1) * TREES);
            let (here, after) = rest.split_at(end);
            rest = after;
            Block::new(forest, exits, here)
        };
        let blocks = exits.chunks(TREES).enumerate().map(of_block).collect();
        Some(Self { blocks, members: forest.members.clone(), sets: forest.sets.clone() })
    }

    pub(super) fn bytes(&self) -> usize {
        let shared = size_of_val(&*self.members) + size_of_val(&*self.sets);
        shared + self.blocks.iter().map(Block::bytes).sum::<usize>()
    }

    /// Shows `visit` the exit of every tree, in order, for one row.
    #[inline(always)]
    pub(super) fn run(&self, row: &[T], mut visit: impl FnMut(usize, usize)) {
        let mut words = [0; TREES];
        for (b, block) in self.blocks.iter().enumerate() {
            let used = block.exits.len();
            words[..used].copy_from_slice(&block.exits);
            block.rule(row, &self.members, &self.sets, &mut words);
            words[..used].iter().enumerate().for_each(|(t, word)| visit(b * TREES + t, last(*word)));
        }
    }
}

/// What a ruling is sorted by: its feature, its side, and its threshold.
struct Entry<T> {
    feature: u32,
    on_pass: bool,
    threshold: T,
    on_nan: bool,
    tree: u16,
    from: u8,
    to: u8,
}

impl Rulings {
    fn push(&mut self, tree: u16, from: u8, to: u8) {
        self.trees.push(tree);
        self.masks.push(!word(from.into(), to.into()));
    }

    fn len(&self) -> u32 {
        self.trees.len() as u32
    }

    #[inline(always)]
    fn apply(&self, from: u32, to: u32, words: &mut [u32; TREES]) {
        let range = from as usize..to as usize;
        for (&tree, &mask) in self.trees[range.clone()].iter().zip(&self.masks[range]) {
            words[usize::from(tree) % TREES] &= mask;
        }
    }
}

impl<T: Number> Block<T> {
    fn new<W>(forest: &Forest<T, W>, exits: &[u32], of_nodes: &[Ruling]) -> Self {
        let mut entries = Vec::with_capacity(of_nodes.len());
        let mut asked = Vec::new();
        for ruling in of_nodes {
            let Node::Branch(branch) = &forest.nodes[ruling.node as usize] else { continue };
            let (tree, from, to) = (ruling.tree as usize % TREES, ruling.from as u8, ruling.to as u8);
            let mut entry = Entry {
                feature: branch.feature,
                on_pass: ruling.on_pass,
                threshold: T::ZERO,
                on_nan: false,
                tree: tree as u16,
                from,
                to,
            };
            match as_leq(branch).filter(|(t, ..)| !t.is_nan()) {
                Some((threshold, _, _, nan_below)) => {
                    entry.threshold = threshold;
                    entry.on_nan = nan_below == ruling.on_pass;
                    entries.push(entry);
                }
                None => asked.push((*branch, entry)),
            }
        }
        entries.sort_unstable_by(|a, b| {
            let group = (a.feature, a.on_pass).cmp(&(b.feature, b.on_pass));
            group.then_with(|| a.threshold.partial_cmp(&b.threshold).expect("thresholds that are NaN were left out"))
        });
        let mut rulings =
            Rulings { trees: Vec::with_capacity(entries.len()), masks: Vec::with_capacity(entries.len()) };
        let (mut runs, mut missing) = (Vec::new(), Vec::new());
        for run in entries.chunk_by(|a, b| (a.feature, a.on_pass) == (b.feature, b.on_pass)) {
            let from = rulings.len();
            run.iter().for_each(|e| rulings.push(e.tree, e.from, e.to));
            runs.push(Run { feature: run[0].feature, from, to: rulings.len(), on_pass: run[0].on_pass });
        }
        for of_feature in entries.chunk_by(|a, b| a.feature == b.feature) {
            let from = rulings.len();
            of_feature.iter().filter(|e| e.on_nan).for_each(|e| rulings.push(e.tree, e.from, e.to));
            missing.push(Missing { feature: of_feature[0].feature, from, to: rulings.len() });
        }
        let of_question = |(branch, e): (Branch<T>, Entry<T>)| {
            rulings.push(e.tree, e.from, e.to);
            Asked { branch, on_yes: e.on_pass, ruling: rulings.len() - 1 }
        };
        let asked = asked.into_iter().map(of_question).collect();
        Self {
            exits: exits.iter().map(|&n| word(0, n)).collect(),
            thresholds: entries.iter().map(|e| e.threshold).collect(),
            rulings,
            runs,
            missing,
            asked,
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.exits)
            + size_of_val(&*self.thresholds)
            + size_of_val(&*self.rulings.trees)
            + size_of_val(&*self.rulings.masks)
            + size_of_val(&*self.runs)
            + size_of_val(&*self.missing)
            + size_of_val(&*self.asked)
    }

    /// Takes off `words` what the row rules out.
    #[inline(always)]
    fn rule(&self, row: &[T], members: &[T], sets: &[u32], words: &mut [u32; TREES]) {
        // All searches come first: where a run of rulings ends is hard to foresee, and none of them is to wait for that.
        let mut ranges = SmallVec::<[(u32, u32); 64]>::new();
        let mut has_nan = false;
        ranges.extend(self.runs.iter().map(|run| {
            let x = row[run.feature as usize];
            has_nan |= x.is_nan();
            let below = run.from + count_below(&self.thresholds[run.from as usize..run.to as usize], x);
            match (x.is_nan(), run.on_pass) {
                (true, _) => (0, 0),
                (false, true) => (below, run.to),
                (false, false) => (run.from, below),
            }
        }));
        ranges.iter().for_each(|&(from, to)| self.rulings.apply(from, to, words));
        if has_nan {
            for missing in self.missing.iter().filter(|m| row[m.feature as usize].is_nan()) {
                self.rulings.apply(missing.from, missing.to, words);
            }
        }
        for Asked { branch, on_yes, ruling } in &self.asked {
            if oracle::holds(branch, row[branch.feature as usize], members, sets) == *on_yes {
                self.rulings.apply(*ruling, ruling + 1, words);
            }
        }
    }
}

/// How many of some ascending thresholds are below `x`.
#[inline(always)]
fn count_below<T: Number>(thresholds: &[T], x: T) -> u32 {
    let mut rest = thresholds;
    let mut before = 0;
    while rest.len() > COUNTED {
        let half = rest.len() / 2;
        let step = if rest[half - 1] < x { half } else { 0 };
        before += step;
        rest = &rest[step..rest.len() - half + step];
    }
    before as u32 + rest.iter().map(|t| u32::from(*t < x)).sum::<u32>()
}
