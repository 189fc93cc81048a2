//! Trees whose exits are bytes: all tests asked of many rows at once, over columns of ranks.
//!
//! The exits of a tree are numbered so that the smaller child of every node comes first, and a row that goes to the
//! larger child rules out the exits of the smaller: the first exit that is left is the one that the row reaches. Bits
//! stand by eights, and a test is asked once for each eight that it concerns, of which there are fewest when the smaller
//! child is the one to be ruled out. Trees whose levels ask one question each need no more than those.

use std::ops::Range;

use super::columns::{Columns, Question};
use super::forest::{Forest, Node};
use super::number::Number;
use super::row::{RowTrees, Ruling};
use crate::TreeEngine;
use crate::kernel::{Ask, BYTE, BitTrees, FEWER, Isa, LevelTrees, MANY, MOST_EXITS, MOST_LEVELS, Step};

/// The trees whose exits are found before they are used.
const TREES: usize = 8;
/// How many times as many nodes as the forest has may be written out: only trees that share nodes need more than one.
const MOST_COPIES: usize = 16;
/// Room for this many exits is given to trees however few of them they have.
const ROOM: usize = 1 << 20;

/// A forest as tests over ranks.
#[derive(Debug)]
pub(super) struct ByteTrees<T> {
    columns: Columns<T>,
    kind: Kind,
    isa: Isa,
    /// The most exits of a tree, rounded up to a power of two.
    stride: usize,
    /// The same trees for a row alone; none where these are oblivious or too large for that.
    alone: Option<RowTrees<T>>,
}

#[derive(Debug)]
enum Kind {
    Bits(BitTrees),
    Levels {
        parts: LevelTrees,
        /// A tree of more levels than a byte has bits is two parts, of which the first has the lower bits of the exit.
        per_tree: usize,
    },
}

/// The exits of `rows` rows from some trees.
#[derive(Debug)]
pub(super) struct Exits<'e, const G: usize> {
    pub(super) first_row: usize,
    pub(super) rows: usize,
    pub(super) first_tree: usize,
    /// A tree's exits of all rows: a byte each, or a lower and a higher byte.
    pub(super) bytes: &'e [[u8; G]],
    pub(super) per_tree: usize,
}

impl<const G: usize> Exits<'_, G> {
    /// The number of trees.
    pub(super) fn trees(&self) -> usize {
        self.bytes.len() / self.per_tree
    }

    /// The exit of a row from the tree `t` of these.
    #[inline(always)]
    pub(super) fn exit(&self, t: usize, row: usize) -> usize {
        let byte = |part: usize| usize::from(self.bytes[t * self.per_tree + part][row]);
        if self.per_tree == 1 { byte(0) } else { byte(0) | byte(1) << u8::BITS }
    }
}

/// Who is told the exits.
pub(super) trait Sink {
    fn take<const G: usize>(&mut self, exits: &Exits<'_, G>);
}

impl<T: Number> ByteTrees<T> {
    /// The trees of `forest`, and the nodes that the exits are: as many for each tree as [`stride`](Self::stride) says.
    /// `None` when a tree is too large, or trees share too much, or are not oblivious where `engine` asks for that.
    pub(super) fn new<W>(forest: &Forest<T, W>, engine: TreeEngine, isa: Isa) -> Option<(Self, Vec<u32>)> {
        if forest.roots.iter().any(|&root| too_large(forest, root)) {
            return None;
        }
        let (columns, questions) = Columns::new(forest)?;
        let mut exits = Vec::with_capacity(forest.roots.len());
        let levels = || {
            let mut of_trees = Vec::with_capacity(forest.roots.len());
            let mut budget = MOST_COPIES * forest.nodes.len();
            for &root in &forest.roots {
                let tree = oblivious(forest, &questions, root)?;
                budget = budget.checked_sub(tree.1.len())?;
                of_trees.push(tree);
            }
            let deepest = of_trees.iter().map(|(levels, _)| levels.len()).max().unwrap_or(0);
            let per_tree = if deepest > MOST_LEVELS { 2 } else { 1 };
            let mut parts = LevelTrees::default();
            let mut all = Vec::with_capacity(of_trees.len());
            for (levels, exits) in of_trees {
                let (low, high) = levels.split_at(levels.len().min(MOST_LEVELS));
                [low, high].iter().take(per_tree).for_each(|part| parts.push(part));
                all.push(exits);
            }
            Some((Kind::Levels { parts, per_tree }, all))
        };
        let oblivious = match engine {
            TreeEngine::BitVector => None,
            _ => levels(),
        };
        let (kind, alone) = match oblivious {
            Some((levels, all)) => {
                exits = all;
                (levels, None)
            }
            None if engine == TreeEngine::Oblivious => return None,
            None => {
                let mut trees = BitTrees::default();
                let mut rulings = Vec::with_capacity(forest.nodes.len() / 2);
                let mut budget = MOST_COPIES * forest.nodes.len();
                for (&root, number_of_tree) in forest.roots.iter().zip(0..) {
                    let tree = Grown::tree(forest, &questions, root)?;
                    budget = budget.checked_sub(tree.len())?;
                    let (sections, of_tree) = number(&tree, &questions, number_of_tree, &mut rulings);
                    trees.push(sections.iter().map(|s| &**s));
                    exits.push(of_tree);
                }
                let counts: Vec<u32> = exits.iter().map(|e| e.len() as u32).collect();
                (Kind::Bits(trees), RowTrees::new(forest, &counts, &rulings))
            }
        };
        let stride = exits.iter().map(Vec::len).max().unwrap_or(1).next_multiple_of(BYTE).next_power_of_two();
        // Every tree gets the room of the largest.
        let leaves: usize = exits.iter().map(Vec::len).sum();
        if stride * exits.len() > ROOM + MOST_COPIES * leaves {
            return None;
        }
        let mut origins = Vec::with_capacity(stride * exits.len());
        for of_tree in &exits {
            origins.extend_from_slice(of_tree);
            let last = of_tree.last().copied().unwrap_or(0);
            origins.resize(origins.len().next_multiple_of(stride), last);
        }
        Some((Self { columns, kind, isa, stride, alone }, origins))
    }

    /// Whether this is faster than trees of tests over the numbers themselves, and why.
    pub(super) fn verdict(&self, isa: Isa) -> std::result::Result<String, String> {
        let lanes = isa.bytes();
        // Vector operations per row: about 3 a test, and a rank is worth some thirty.
        let (tests, ranks) = self.work();
        let (here, there) = (3 * tests / lanes + 20 * ranks, 3 * tests * size_of::<T>() / lanes);
        if self.is_oblivious() {
            return Ok("every level of a tree asks one question".to_owned());
        }
        if here <= there {
            Ok(format!("at most {} leaves a tree", self.stride))
        } else {
            Err("too few tests to be worth ranking the features".to_owned())
        }
    }

    /// The exits that every tree has room for: a power of two, at least 8.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// The same trees for a row alone.
    pub(super) fn alone(&self) -> Option<&RowTrees<T>> {
        self.alone.as_ref()
    }

    /// Fewer rows than this are better taken one by one: a group costs the same however many rows are in it.
    pub(super) fn few(&self) -> usize {
        match (&self.kind, &self.alone, self.isa.bytes()) {
            (Kind::Levels { .. }, ..) => 1,
            (_, _, 16) => 16,
            (_, Some(_), _) => 6,
            _ if self.stride > 32 => 10,
            _ => 4,
        }
    }

    pub(super) fn is_oblivious(&self) -> bool {
        matches!(self.kind, Kind::Levels { .. })
    }

    pub(super) fn columns(&self) -> usize {
        self.columns.count()
    }

    /// The tests of all trees, and what filling the columns takes, in ranks per row.
    pub(super) fn work(&self) -> (usize, usize) {
        let tests = match &self.kind {
            Kind::Bits(trees) => trees.asks(),
            Kind::Levels { parts, .. } => parts.levels(),
        };
        (tests, self.columns.work())
    }

    /// The bytes of the tests alone, each the byte of a bin in place of a threshold.
    pub(super) fn test_bytes(&self) -> usize {
        match &self.kind {
            Kind::Bits(trees) => trees.bytes(),
            Kind::Levels { parts, .. } => parts.bytes(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.test_bytes() + self.columns.bytes() + self.alone.as_ref().map_or(0, RowTrees::bytes)
    }

    /// Tells `sink` the exits of all rows of `x` (m, n). Every row meets the trees in order.
    pub(super) fn run(&self, x: &[T], n: usize, sink: &mut impl Sink) {
        let m = x.len() / n;
        let mut from = 0;
        let mut columns = Vec::new();
        while m - from > 2 * FEWER {
            let rows = (m - from).min(MANY);
            let group = &x[from * n..(from + rows) * n];
            self.group::<MANY>(group, n, from, &mut columns, sink, |trees, columns, exits| match &self.kind {
                Kind::Bits(all) => all.many(self.isa, trees, columns, exits),
                Kind::Levels { parts, .. } => parts.many(self.isa, trees, columns, exits),
            });
            from += rows;
        }
        let mut columns = Vec::new();
        while from < m {
            let rows = (m - from).min(FEWER);
            let group = &x[from * n..(from + rows) * n];
            self.group::<FEWER>(group, n, from, &mut columns, sink, |trees, columns, exits| match &self.kind {
                Kind::Bits(all) => all.fewer(self.isa, trees, columns, exits),
                Kind::Levels { parts, .. } => parts.fewer(self.isa, trees, columns, exits),
            });
            from += rows;
        }
    }

    fn group<const G: usize>(
        &self,
        x: &[T],
        n: usize,
        first_row: usize,
        columns: &mut Vec<[i8; G]>,
        sink: &mut impl Sink,
        find: impl Fn(Range<usize>, &[[i8; G]], &mut [[u8; G]]),
    ) {
        columns.resize(self.columns.count(), [0; G]);
        self.columns.fill(self.isa, x, n, columns);
        let mut bytes = [[0u8; G]; TREES];
        let (parts, per_tree) = match &self.kind {
            Kind::Bits(all) => (all.len(), 1),
            Kind::Levels { parts, per_tree } => (parts.len(), *per_tree),
        };
        for first in (0..parts).step_by(TREES) {
            let range = first..parts.min(first + TREES);
            let bytes = &mut bytes[..range.len()];
            find(range, columns, bytes);
            sink.take(&Exits { first_row, rows: x.len() / n, first_tree: first / per_tree, bytes, per_tree });
        }
    }
}

/// Whether the tree below `root` has more exits than a byte counts and is not oblivious either; few nodes are looked at, so a
/// large tree may go unnoticed.
fn too_large<T: Number, W>(forest: &Forest<T, W>, root: u32) -> bool {
    let children = |node: u32| match &forest.nodes[node as usize] {
        Node::Branch(branch) => Some(branch),
        Node::Leaf { .. } => None,
    };
    let Some(top) = children(root) else { return false };
    if let (Some(yes), Some(no)) = (children(top.yes), children(top.no))
        && (yes.feature, yes.threshold) == (no.feature, no.threshold)
    {
        return false;
    }
    let (mut exits, mut open) = (0, vec![root]);
    while let Some(node) = open.pop() {
        match children(node) {
            Some(branch) => open.extend([branch.yes, branch.no]),
            None => exits += 1,
        }
        if exits + open.len() > MOST_EXITS {
            return true;
        }
    }
    false
}

/// A node of a tree written out.
#[derive(Debug, Clone, Copy)]
struct Grown {
    node: u32,
    /// Where the children stand: rows that pass, rows that fail.
    children: Option<[usize; 2]>,
    leaves: usize,
}

impl Grown {
    /// The tree below `root`, parents before children; `None` when it has too many leaves.
    fn tree<T, W>(forest: &Forest<T, W>, questions: &[Option<Question>], root: u32) -> Option<Vec<Self>> {
        let mut tree = vec![Self { node: root, children: None, leaves: 1 }];
        let mut at = 0;
        while at < tree.len() {
            if let (Node::Branch(_), Some(question)) =
                (&forest.nodes[tree[at].node as usize], questions[tree[at].node as usize])
            {
                // Each branch adds two nodes and one leaf.
                if tree.len() + 2 > 2 * MOST_EXITS {
                    return None;
                }
                tree[at].children = Some([tree.len(), tree.len() + 1]);
                tree.extend([question.pass, question.fail].map(|node| Self { node, children: None, leaves: 1 }));
            }
            at += 1;
        }
        for at in (0..tree.len()).rev() {
            if let Some([pass, fail]) = tree[at].children {
                tree[at].leaves = tree[pass].leaves + tree[fail].leaves;
            }
        }
        Some(tree)
    }
}

/// The tests of a tree by section, and the nodes that its exits are; what its nodes rule out is added to `rulings`.
fn number(
    tree: &[Grown],
    questions: &[Option<Question>],
    number_of_tree: u32,
    rulings: &mut Vec<Ruling>,
) -> (Vec<Vec<Ask>>, Vec<u32>) {
    let mut sections = vec![Vec::new(); tree[0].leaves.div_ceil(BYTE)];
    let mut exits = vec![0; tree[0].leaves];
    let mut stack = vec![(0usize, 0usize)];
    while let Some((at, from)) = stack.pop() {
        let Grown { node, children, .. } = tree[at];
        let (Some([pass, fail]), Some(question)) = (children, questions[node as usize]) else {
            exits[from] = node;
            continue;
        };
        let pass_first = tree[pass].leaves <= tree[fail].leaves;
        let (first, second) = if pass_first { (pass, fail) } else { (fail, pass) };
        let to = from + tree[first].leaves;
        stack.extend([(second, to), (first, from)]);
        let end = to + tree[second].leaves;
        rulings.push(Ruling { tree: number_of_tree, node, from: to as u32, to: end as u32, on_pass: pass_first });
        for (s, section) in sections.iter_mut().enumerate().take(to.div_ceil(BYTE)).skip(from / BYTE) {
            let [from, to] = [from.max(s * BYTE) - s * BYTE, to.min((s + 1) * BYTE) - s * BYTE];
            let open = !((u8::MAX >> (BYTE - (to - from))) << from);
            let Question { column, bound, .. } = question;
            let (pass, fail) = if pass_first { (u8::MAX, open) } else { (open, u8::MAX) };
            section.push(Ask { column, bound, pass, fail });
        }
    }
    (sections, exits)
}

/// The questions of the levels of the tree below `root`, and the nodes that its exits are; `None` when two nodes of a
/// level ask different questions, or there are too many levels.
fn oblivious<T, W>(forest: &Forest<T, W>, questions: &[Option<Question>], root: u32) -> Option<(Vec<Step>, Vec<u32>)> {
    let mut levels = Vec::new();
    let mut nodes = vec![root];
    loop {
        let Some(Question { column, bound, .. }) = questions[nodes[0] as usize] else {
            let all_leaves = nodes.iter().all(|&n| matches!(forest.nodes[n as usize], Node::Leaf { .. }));
            return all_leaves.then_some((levels, nodes));
        };
        if levels.len() == 2 * MOST_LEVELS {
            return None;
        }
        levels.push(Step { column, bound });
        let mut fails = Vec::with_capacity(nodes.len());
        for node in &mut nodes {
            let question = questions[*node as usize].filter(|q| (q.column, q.bound) == (column, bound))?;
            *node = question.pass;
            fails.push(question.fail);
        }
        nodes.extend(fails);
    }
}
