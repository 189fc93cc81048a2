//! Rows through packed trees.
//!
//! A group of rows is first asked all tests of a tree's [`Head`], which for most trees is all there is. Below it, a
//! step of one row waits for its node and its feature, so sixteen rows (or, for a row alone, eight trees) take their
//! steps together. Trees are the outer loop over a block of rows small enough for the first-level cache; every row
//! meets the trees in their order, so sums do not depend on how rows are grouped.

use super::head::Head;
use super::number::Number;
use super::pack::{Place, Tree};
use crate::kernel::{self, GROUP, Isa, PackedNode, PackedNodes};

/// Rows in flight below a head.
const LANES: usize = 16;
/// Trees in flight for a row alone: as many as have their places in registers. What is left at the end takes fewer.
const TREES: usize = 8;
const LAST_TREES: usize = 4;
/// Fewer rows than this at the end of a batch are walked one by one.
const FEW: usize = 12;
/// Rows of more features than this are walked one by one: most of what a group would lay out is never looked at.
const MOST_FEATURES: usize = 4096;
/// The bytes of a block of rows, which stays in the first-level cache while the trees pass by.
const BLOCK_BYTES: usize = 24 << 10;
/// The same for trees that are larger themselves: a tree must come from afar once a block, so it is to serve more rows.
const LARGE_BLOCK_BYTES: usize = 224 << 10;

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

/// The trees of a forest.
#[derive(Debug)]
pub(super) struct Walked<T> {
    pub(super) spans: Vec<Span>,
    pub(super) heads: Vec<Head<T>>,
    /// The leaf that stands at each node.
    pub(super) leaf_of_node: Vec<u32>,
    /// Whether NaN goes below in any node, so that rows must be searched for it.
    pub(super) nan_matters: bool,
    pub(super) isa: Isa,
}

const NO_LEAF: u32 = u32::MAX;

impl<T: Number> Walked<T> {
    /// Adds a tree; which nodes of the forest its leaves are goes to `origins`.
    pub(super) fn add(&mut self, tree: &Tree<T>, head: Head<T>, origins: &mut Vec<u32>) {
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

    /// Adds a tree whose leaves are numbered already: as many for every tree, of the nodes `of_tree`. Such trees have
    /// no heads, and are for single rows.
    pub(super) fn add_numbered(&mut self, tree: &Tree<T>, of_tree: &[u32]) {
        let (from, leaf) = (self.leaf_of_node.len(), self.spans.len() * of_tree.len());
        let mut leaves: Vec<(u32, u32)> = of_tree.iter().copied().zip(leaf as u32..).collect();
        leaves.sort_unstable();
        self.leaf_of_node.extend(tree.places.iter().map(|place| match place {
            Place::Leaf { node } => leaves[leaves.partition_point(|l| l.0 < *node)].1,
            _ => NO_LEAF,
        }));
        self.spans.push(Span { from, to: self.leaf_of_node.len(), deep: tree.heights[0] as usize, leaf });
    }
}

/// Shows `visit` the leaf of every tree for every row of `x` (m, n): the row, the tree and the leaf. Rows are taken in
/// groups where trees have heads.
#[inline(always)]
pub(super) fn rows<T: Number, N: PackedNode<Value = T>>(
    nodes: &PackedNodes<N>,
    trees: &Walked<T>,
    in_groups: bool,
    x: &[T],
    n: usize,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let n = n.max(1);
    let m = x.len() / n;
    let mut grouped = m / GROUP * GROUP;
    if n > MOST_FEATURES || !in_groups {
        grouped = 0;
    } else if m - grouped >= FEW {
        grouped = m;
    }
    if grouped > 0 {
        let most_nodes = trees.spans.iter().map(|span| span.to - span.from).max().unwrap_or(0);
        let block = if most_nodes * size_of::<N>() > BLOCK_BYTES { LARGE_BLOCK_BYTES } else { BLOCK_BYTES };
        let groups = (block / (n * size_of::<T>() * GROUP)).clamp(1, grouped.div_ceil(GROUP));
        let mut columns = vec![[T::ZERO; GROUP]; groups * n];
        let mut exits = vec![[0u16; GROUP]; groups];
        for (b, block) in x[..grouped * n].chunks(groups * GROUP * n).enumerate() {
            let first = b * groups * GROUP;
            let columns = transpose(block, n, &mut columns);
            let visit = |row: usize, tree: usize, leaf: usize| visit(first + row, tree, leaf);
            if trees.nan_matters && block.iter().any(|x| x.is_nan()) {
                block_of_rows::<true, T, N>(nodes.as_slice(), trees, columns, n, block.len() / n, &mut exits, visit);
            } else {
                block_of_rows::<false, T, N>(nodes.as_slice(), trees, columns, n, block.len() / n, &mut exits, visit);
            }
        }
    }
    for (r, row) in x[grouped * n..].chunks_exact(n).enumerate() {
        if trees.nan_matters && row.iter().any(|x| x.is_nan()) {
            one_row::<true, T, N>(nodes, trees, row, |tree, leaf| visit(grouped + r, tree, leaf));
        } else {
            one_row::<false, T, N>(nodes, trees, row, |tree, leaf| visit(grouped + r, tree, leaf));
        }
    }
}

/// Lays rows out in groups, each feature of a group side by side. What stands in the places after the last row does
/// not matter.
fn transpose<'c, T: Number>(x: &[T], n: usize, columns: &'c mut [[T; GROUP]]) -> &'c [[T; GROUP]] {
    let groups = (x.len() / n).div_ceil(GROUP);
    for (group, columns) in x.chunks(GROUP * n).zip(columns.chunks_exact_mut(n)) {
        for (l, row) in group.chunks_exact(n).enumerate() {
            for (column, x) in columns.iter_mut().zip(row) {
                column[l] = *x;
            }
        }
    }
    &columns[..groups * n]
}

/// Groups of rows through tree after tree; the last group may have fewer than [`GROUP`].
#[inline(always)]
fn block_of_rows<const NAN: bool, T: Number, N: PackedNode<Value = T>>(
    nodes: &[N],
    trees: &Walked<T>,
    columns: &[[T; GROUP]],
    n: usize,
    rows: usize,
    exits: &mut [[u16; GROUP]],
    mut visit: impl FnMut(usize, usize, usize),
) {
    for (t, (span, head)) in trees.spans.iter().zip(&trees.heads).enumerate() {
        kernel::exits(trees.isa, &head.sections, columns, n, exits);
        if head.rest == 0 {
            for (row, exit) in exits.as_flattened()[..rows].iter().enumerate() {
                visit(row, t, span.leaf + usize::from(*exit));
            }
            continue;
        }
        let nodes = &nodes[span.from..span.to];
        let leaf_of_node = &trees.leaf_of_node[span.from..span.to];
        for (g, (columns, exits)) in columns.chunks_exact(n).zip(exits.iter()).enumerate() {
            for first in (0..(rows - g * GROUP).min(GROUP)).step_by(LANES) {
                let mut at: [u32; LANES] = std::array::from_fn(|l| head.places[usize::from(exits[first + l])]);
                for _ in 0..head.rest {
                    let before = at;
                    for l in 0..LANES {
                        let node = nodes[at[l] as usize];
                        at[l] = node.step::<NAN>(at[l], columns[node.feature()][first + l]);
                    }
                    if at == before {
                        break;
                    }
                }
                let row = g * GROUP + first;
                for (l, at) in at.iter().take(rows - row).enumerate() {
                    visit(row + l, t, leaf_of_node[*at as usize] as usize);
                }
            }
        }
    }
}

/// One row through [`TREES`] trees at a time.
#[inline(always)]
fn one_row<const NAN: bool, T: Number, N: PackedNode<Value = T>>(
    nodes: &PackedNodes<N>,
    trees: &Walked<T>,
    row: &[T],
    mut visit: impl FnMut(usize, usize),
) {
    let (most, rest) = trees.spans.as_chunks::<TREES>();
    let (last, rest) = rest.as_chunks::<LAST_TREES>();
    let mut tree = 0;
    let mut visit = |node: u32| {
        visit(tree, trees.leaf_of_node[node as usize] as usize);
        tree += 1;
    };
    for group in most {
        for at in arrivals::<NAN, TREES, T, N>(nodes, group, row) {
            visit(at);
        }
    }
    for group in last {
        for at in arrivals::<NAN, LAST_TREES, T, N>(nodes, group, row) {
            visit(at);
        }
    }
    for span in rest {
        for at in arrivals::<NAN, 1, T, N>(nodes, &[*span], row) {
            visit(at);
        }
    }
}

/// The nodes where a row arrives in some trees.
#[inline(always)]
fn arrivals<const NAN: bool, const LANES: usize, T: Number, N: PackedNode<Value = T>>(
    nodes: &PackedNodes<N>,
    group: &[Span; LANES],
    row: &[T],
) -> [u32; LANES] {
    let deep = group.iter().map(|span| span.deep).max().unwrap_or(0);
    nodes.descend::<NAN, LANES>(row, group.map(|span| span.from as u32), deep)
}
