//! From the plain form to small nodes that all ask the same question.
//!
//! Every comparison is brought to x <= t: x < t is x <= the number before t, x > t swaps the children, and x == t or
//! a set of values becomes a search among thresholds. A packed node holds t, the feature and the place of its first
//! child, counted from its own; the second child stands right after it, so that a step is `at + left + (x <= t)`. A leaf
//! compares with NaN, which is never true, and has itself as its first child: a step from a leaf stays there. A node that has a place already
//! is reached through such a node, too.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::forest::{Branch, Forest, Mode, Node};
use super::number::Number;
use crate::kernel::PackedNode;
use crate::{Error, ErrorKind, Result};

/// What stands in a place of a tree that is being packed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place<T> {
    /// The child above stands at `left`, the child below right after it.
    Branch { threshold: T, feature: u32, nan_left: bool, left: u32 },
    /// The node stands elsewhere.
    Jump { to: u32 },
    /// A leaf of the forest.
    Leaf { node: u32 },
}

impl<T: Number> Place<T> {
    /// The packed node of this place, which is `at`.
    pub(super) fn packed<N: PackedNode<Value = T>>(&self, at: usize) -> N {
        match *self {
            Self::Branch { threshold, feature, nan_left, left } => {
                N::new(threshold, feature, nan_left, left as i32 - at as i32)
            }
            Self::Jump { to } => N::new(T::NAN, 0, false, to as i32 - at as i32),
            Self::Leaf { .. } => N::new(T::NAN, 0, false, 0),
        }
    }
}

/// One tree packed, with the length of the longest path from every place.
pub(super) struct Tree<T> {
    pub(super) places: Vec<Place<T>>,
    pub(super) heights: Vec<u32>,
}

/// What is to stand in a place.
enum Todo {
    /// A node of the forest.
    Node(u32),
    /// A search, of which the outcomes `from..=to` are left.
    Search { search: usize, from: usize, to: usize },
}

/// A search for a value among thresholds: outcome i lies above i of them, and the odd ones are hits.
struct Search<T> {
    feature: u32,
    thresholds: Vec<T>,
    hit: u32,
    miss: u32,
}

/// Packs the trees of a forest one by one.
pub(super) struct Packer<'f, T, W> {
    forest: &'f Forest<T, W>,
    /// Where each node of the forest stands in the tree at hand.
    place: Vec<u32>,
    /// How many more nodes may be made.
    budget: usize,
}

const NOWHERE: u32 = u32::MAX;

/// How many nodes may be written out of trees that have so many and share some of them.
fn copies(nodes: usize) -> usize {
    16 * nodes + 1024
}

fn shared_too_much() -> Error {
    Error::new(ErrorKind::Unsupported, "the trees share nodes so much that writing each out would take too much memory")
}

/// The leaves of each tree, one tree after the other, and where those of each begin.
///
/// # Errors
/// [`ErrorKind::Unsupported`] when the trees share so much that writing each out would take too much memory.
pub(super) fn leaves<T: Number, W>(forest: &Forest<T, W>) -> Result<(Vec<u32>, Vec<usize>)> {
    let mut budget = copies(forest.nodes.len());
    let (mut leaves, mut firsts) = (Vec::new(), Vec::with_capacity(forest.roots.len()));
    // The last tree in which a node was seen.
    let mut seen = vec![NOWHERE; forest.nodes.len()];
    let mut open = Vec::new();
    for (tree, &root) in (0u32..).zip(&forest.roots) {
        firsts.push(leaves.len());
        open.push(root);
        while let Some(node) = open.pop() {
            if std::mem::replace(&mut seen[node as usize], tree) == tree {
                continue;
            }
            budget = budget.checked_sub(1).ok_or_else(shared_too_much)?;
            match &forest.nodes[node as usize] {
                Node::Branch(branch) => open.extend([branch.no, branch.yes]),
                Node::Leaf { .. } => leaves.push(node),
            }
        }
    }
    Ok((leaves, firsts))
}

impl<'f, T: Number, W> Packer<'f, T, W> {
    pub(super) fn new(forest: &'f Forest<T, W>) -> Self {
        // Only trees that share their nodes with each other need more than a small multiple.
        let budget = copies(forest.nodes.len() + forest.members.len()) + 64 * forest.sets.len();
        Self { forest, place: vec![NOWHERE; forest.nodes.len()], budget }
    }

    /// The tree below `root`, breadth first, so that the nodes near the root share lines of the cache.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the trees share so much that writing each out would take too much memory.
    pub(super) fn tree(&mut self, root: u32) -> Result<Tree<T>> {
        let mut places = vec![Place::Jump { to: 0 }];
        let mut searches: Vec<Search<T>> = Vec::new();
        let mut todo = VecDeque::from([(0u32, Todo::Node(root))]);
        let mut placed = Vec::new();
        while let Some((at, what)) = todo.pop_front() {
            if places.len() > self.budget {
                return Err(shared_too_much());
            }
            let left = places.len() as u32;
            let (branch, above, below) = match what {
                Todo::Node(node) => {
                    let known = self.place[node as usize];
                    if known != NOWHERE {
                        places[at as usize] = Place::Jump { to: known };
                        continue;
                    }
                    self.place[node as usize] = at;
                    placed.push(node);
                    let branch = match &self.forest.nodes[node as usize] {
                        Node::Leaf { .. } => {
                            places[at as usize] = Place::Leaf { node };
                            continue;
                        }
                        Node::Branch(branch) => branch,
                    };
                    let feature = branch.feature;
                    if let Some((threshold, below, above, nan_left)) = as_leq(branch) {
                        (Place::Branch { threshold, feature, nan_left, left }, Todo::Node(above), Todo::Node(below))
                    } else {
                        let search = self.search(branch);
                        let to = search.thresholds.len();
                        let whole = Todo::Search { search: searches.len(), from: 0, to };
                        searches.push(search);
                        if !branch.nan_true || branch.mode == Mode::Neq {
                            todo.push_front((at, whole));
                            continue;
                        }
                        // A gate that only NaN passes, and then the search.
                        let gate = Place::Branch { threshold: T::NAN, feature, nan_left: true, left };
                        (gate, whole, Todo::Node(branch.yes))
                    }
                }
                Todo::Search { search, from, to } => {
                    let Search { feature, thresholds, hit, miss } = &searches[search];
                    if from == to {
                        todo.push_front((at, Todo::Node(if from % 2 == 1 { *hit } else { *miss })));
                        continue;
                    }
                    let middle = from + (to - from) / 2;
                    let threshold = thresholds[middle];
                    (
                        Place::Branch { threshold, feature: *feature, nan_left: false, left },
                        Todo::Search { search, from: middle + 1, to },
                        Todo::Search { search, from, to: middle },
                    )
                }
            };
            places[at as usize] = branch;
            places.extend([Place::Jump { to: 0 }, Place::Jump { to: 0 }]);
            todo.push_back((left, above));
            todo.push_back((left + 1, below));
        }
        for node in placed {
            self.place[node as usize] = NOWHERE;
        }
        self.budget -= places.len().min(self.budget);
        let heights = heights(&places);
        Ok(Tree { places, heights })
    }

    /// The search that a node for equality makes, together with the nodes after it that ask the same feature for other
    /// values with the same child: a set of values as exporters write it.
    fn search(&self, branch: &Branch<T>) -> Search<T> {
        let feature = branch.feature;
        let (mut hit, mut miss) = (branch.yes, branch.no);
        let mut values = Vec::new();
        match branch.mode {
            Mode::InSet | Mode::InSetFromZero => {
                return Search { feature, thresholds: self.bounds(branch), hit, miss };
            }
            Mode::Member => {
                let (from, to) = branch.members;
                values.extend_from_slice(&self.forest.members[from as usize..to as usize]);
            }
            Mode::Eq => {
                values.push(branch.threshold);
                while let Node::Branch(next) = &self.forest.nodes[miss as usize]
                    && next.mode == Mode::Eq
                    && (next.feature, next.yes, next.nan_true) == (feature, hit, branch.nan_true)
                {
                    values.push(next.threshold);
                    miss = next.no;
                }
            }
            Mode::Neq => {
                values.push(branch.threshold);
                (hit, miss) = (branch.no, branch.yes);
            }
            // An ordering by NaN, which never holds.
            Mode::Leq | Mode::Lt | Mode::Gte | Mode::Gt => {}
        }
        values.retain(|v| !v.is_nan());
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        values.dedup();
        Search { feature, thresholds: values.into_iter().flat_map(|v| [before(v), v]).collect(), hit, miss }
    }

    /// The last number before each run of members of a set, and the last of the run.
    fn bounds(&self, branch: &Branch<T>) -> Vec<T> {
        let words = &self.forest.sets[branch.members.0 as usize..branch.members.1 as usize];
        let bit = |i: usize| words.get(i / 32).is_some_and(|w| w >> (i % 32) & 1 == 1);
        let mut bounds: Vec<T> = Vec::new();
        for i in (0..=32 * words.len()).filter(|&i| bit(i) != (i > 0 && bit(i - 1))) {
            let bound = match i {
                0 if branch.mode == Mode::InSet => T::from_f64(-1.0),
                _ => T::at_least(i as u64).next_down(),
            };
            // Between two whole numbers that T can't tell apart there is no run.
            if bounds.last() == Some(&bound) {
                bounds.pop();
            } else {
                bounds.push(bound);
            }
        }
        bounds
    }
}

/// The number before `t`; before the lowest NaN, than which nothing is less.
fn before<T: Number>(t: T) -> T {
    let down = t.next_down();
    if down == t { T::NAN } else { down }
}

/// The t of x <= t, the child below, the child above and whether NaN goes below, where one comparison will do.
pub(super) fn as_leq<T: Number>(b: &Branch<T>) -> Option<(T, u32, u32, bool)> {
    match b.mode {
        Mode::Leq => Some((b.threshold, b.yes, b.no, b.nan_true)),
        Mode::Lt => Some((before(b.threshold), b.yes, b.no, b.nan_true)),
        // Nothing is greater than NaN, which a swapped comparison would get wrong.
        Mode::Gte | Mode::Gt if b.threshold.is_nan() => None,
        Mode::Gte => Some((before(b.threshold), b.no, b.yes, !b.nan_true)),
        Mode::Gt => Some((b.threshold, b.no, b.yes, !b.nan_true)),
        Mode::Eq | Mode::Neq | Mode::Member | Mode::InSet | Mode::InSetFromZero => None,
    }
}

/// The length of the longest path from every place.
fn heights<T: Number>(places: &[Place<T>]) -> Vec<u32> {
    const UNKNOWN: u32 = u32::MAX;
    let mut heights = vec![UNKNOWN; places.len()];
    let mut stack = vec![0usize];
    while let Some(&at) = stack.last() {
        let [a, b] = match places[at] {
            Place::Branch { left, .. } => [left as usize, left as usize + 1],
            Place::Jump { to } => [to as usize; 2],
            Place::Leaf { .. } => {
                heights[at] = 0;
                stack.pop();
                continue;
            }
        };
        match (heights[a], heights[b]) {
            (UNKNOWN, _) => stack.push(a),
            (_, UNKNOWN) => stack.push(b),
            (x, y) => {
                heights[at] = 1 + x.max(y);
                stack.pop();
            }
        }
    }
    heights
}
