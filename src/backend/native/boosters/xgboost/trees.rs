//! The trees of a file.

use super::super::Trees;
use super::fields::{index, malformed};
use super::value::Value;
use crate::backend::native::trees::{Branch, Forest, Mode, Node, Vote};
use crate::{Error, ErrorKind, Limits, Result};

/// The most words of sets of categories, 256 MiB: a set is as long as its highest category, not as its list.
const MOST_SET_WORDS: usize = 1 << 26;
/// Categories are below this, so that an f32 holds each.
const CATEGORIES: usize = 1 << 24;

/// What trees must fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) features: usize,
    pub(super) targets: usize,
    /// The most words that sets may have.
    set_words: usize,
}

impl Frame {
    pub(super) fn new(features: usize, targets: usize, limits: &Limits) -> Self {
        Self { features, targets, set_words: limits.max_elements.min(MOST_SET_WORDS) }
    }
}

/// The trees `list`; each is for the target in `groups` and counts `weights` times (once where these are empty).
///
/// # Errors
/// [`ErrorKind::Malformed`] naming the tree and the node.
pub(super) fn trees(list: &[Value], groups: &[f64], weights: &[f64], frame: Frame) -> Result<Trees<f32, f32>> {
    let forest = Forest {
        nodes: Vec::new(),
        votes: Vec::new(),
        members: Vec::new(),
        sets: Vec::new(),
        roots: Vec::new(),
        targets: frame.targets,
    };
    let mut built = Trees { forest, leaf_numbers: Vec::new(), covers: Vec::new(), linear: Vec::new() };
    for (i, tree) in list.iter().enumerate() {
        let within = |e: Error| e.within(format_args!("tree {i}"));
        let target = index(groups[i], frame.targets)
            .ok_or_else(|| within(malformed("tree_info", "names a class that is not there")).actual(groups[i]))?;
        let weight = weights.get(i).map_or(1.0, |&w| w as f32);
        Tree::of(tree, frame).and_then(|t| t.add_to(&mut built, target as u32, weight, frame)).map_err(within)?;
    }
    Ok(built)
}

/// The lists of one tree, one entry a node.
struct Tree<'v> {
    left: &'v [f64],
    right: &'v [f64],
    features: &'v [f64],
    conditions: &'v [f64],
    default_left: &'v [f64],
    /// 1 where a set of categories decides; empty where none does.
    kinds: &'v [f64],
    covers: &'v [f64],
    leaves: Leaves<'v>,
    sets: Sets<'v>,
}

/// Where the weights of leaves stand.
enum Leaves<'v> {
    /// Among the conditions.
    Single,
    /// As vectors, one a node.
    OfNodes(&'v [f64], usize),
    /// As vectors, where the right child of a leaf says.
    Packed(&'v [f64], usize),
}

/// Sets of categories, by node.
struct Sets<'v> {
    nodes: &'v [f64],
    segments: &'v [f64],
    sizes: &'v [f64],
    categories: &'v [f64],
}

impl<'v> Tree<'v> {
    fn of(tree: &'v Value, frame: Frame) -> Result<Self> {
        let left = tree.numbers("left_children")?;
        let vector = tree.get("tree_param").map_or(Ok(1), |p| p.count("size_leaf_vector", 1))?;
        let leaves = match vector {
            0 | 1 => Leaves::Single,
            k if k != frame.targets => {
                return Err(malformed("size_leaf_vector", "is not the number of targets")
                    .expected(frame.targets)
                    .actual(k));
            }
            k => match tree.get("leaf_weights") {
                Some(_) => Leaves::Packed(tree.numbers("leaf_weights")?, k),
                None => Leaves::OfNodes(tree.numbers("base_weights")?, k),
            },
        };
        let this = Self {
            left,
            right: tree.numbers("right_children")?,
            features: tree.numbers("split_indices")?,
            conditions: tree.numbers("split_conditions")?,
            default_left: tree.numbers("default_left")?,
            kinds: tree.numbers_if_any("split_type")?,
            covers: tree.numbers_if_any("sum_hessian")?,
            leaves,
            sets: Sets {
                nodes: tree.numbers_if_any("categories_nodes")?,
                segments: tree.numbers_if_any("categories_segments")?,
                sizes: tree.numbers_if_any("categories_sizes")?,
                categories: tree.numbers_if_any("categories")?,
            },
        };
        if left.is_empty() {
            return Err(malformed("left_children", "is empty: the tree has no node"));
        }
        let count = tree.get("tree_param").map_or(Ok(left.len()), |p| p.count("num_nodes", left.len()))?;
        let lengths = [
            ("num_nodes", count, false),
            ("right_children", this.right.len(), false),
            ("split_indices", this.features.len(), false),
            ("split_conditions", this.conditions.len(), false),
            ("default_left", this.default_left.len(), false),
            ("split_type", this.kinds.len(), true),
            ("sum_hessian", this.covers.len(), true),
        ];
        for (key, length, may_be_empty) in lengths {
            if length != left.len() && !(may_be_empty && length == 0) {
                let error = malformed(key, "does not agree with the number of nodes in `left_children`");
                return Err(error.expected(left.len()).actual(length));
            }
        }
        Ok(this)
    }

    /// Writes the tree down.
    fn add_to(&self, built: &mut Trees<f32, f32>, target: u32, weight: f32, frame: Frame) -> Result<()> {
        let count = self.left.len();
        let forest = &mut built.forest;
        let first = forest.nodes.len();
        if first + count > (u32::MAX / 2) as usize {
            return Err(Error::new(ErrorKind::LimitExceeded, "the trees have more than 2^31 nodes"));
        }
        let sets = self.sets.by_node(count)?;
        let mut has_parent = vec![false; count];
        // Nobody may have the root as a child.
        has_parent[0] = true;
        for (node, set) in sets.into_iter().enumerate() {
            if self.left[node] == -1.0 {
                let from = forest.votes.len() as u32;
                self.votes(node, target, weight, &mut forest.votes)?;
                forest.nodes.push(Node::Leaf { votes: (from, forest.votes.len() as u32) });
                continue;
            }
            let within = |e: Error| e.within(format_args!("node {node}"));
            let mut child = |x: f64| {
                let at = index(x, count).ok_or_else(|| {
                    within(malformed("left_children", "or `right_children` leads to no node")).actual(x)
                })?;
                if std::mem::replace(&mut has_parent[at], true) {
                    return Err(within(Error::new(
                        ErrorKind::Malformed,
                        format!("two nodes have the same child {at}, or a loop leads to it"),
                    )));
                }
                Ok((first + at) as u32)
            };
            let (left, right) = (child(self.left[node])?, child(self.right[node])?);
            let feature = index(self.features[node], frame.features).ok_or_else(|| {
                within(malformed("split_indices", "names a feature that is not there"))
                    .expected(format!("below {}", frame.features))
                    .actual(self.features[node])
            })? as u32;
            let default_left = self.default_left[node] != 0.0;
            let branch = if self.kinds.get(node) == Some(&1.0) {
                let (from, to) = set.ok_or_else(|| within(malformed("categories_nodes", "lacks the node")))?;
                let members = add_set(&self.sets.categories[from..to], frame, &mut forest.sets).map_err(within)?;
                // The categories of the set go to the right, all others to the left.
                Branch {
                    mode: Mode::InSetFromZero,
                    nan_true: !default_left,
                    feature,
                    threshold: 0.0,
                    yes: right,
                    no: left,
                    members,
                }
            } else {
                let threshold = self.conditions[node] as f32;
                let mode = Mode::Lt;
                Branch { mode, nan_true: default_left, feature, threshold, yes: left, no: right, members: (0, 0) }
            };
            forest.nodes.push(Node::Branch(branch));
        }
        forest.roots.push(first as u32);
        built.leaf_numbers.extend(0..count as u32);
        built.covers.extend_from_slice(self.covers);
        Ok(())
    }

    /// The votes of a leaf.
    fn votes(&self, node: usize, target: u32, weight: f32, votes: &mut Vec<Vote<f32>>) -> Result<()> {
        let (weights, at, k) = match self.leaves {
            Leaves::Single => {
                votes.push(Vote { target, weight: self.conditions[node] as f32 * weight });
                return Ok(());
            }
            Leaves::OfNodes(weights, k) => (weights, Some(node), k),
            Leaves::Packed(weights, k) => (weights, index(self.right[node], weights.len()), k),
        };
        let of_leaf = at.and_then(|at| weights.get(at.checked_mul(k)?..at.checked_add(1)?.checked_mul(k)?));
        let of_leaf = of_leaf.ok_or_else(|| malformed("leaf_weights", "lacks those of a leaf").actual(node))?;
        votes.extend(of_leaf.iter().zip(0..).map(|(&w, target)| Vote { target, weight: w as f32 * weight }));
        Ok(())
    }
}

impl Sets<'_> {
    /// The range in `categories` of every node that has a set.
    fn by_node(&self, count: usize) -> Result<Vec<Option<(usize, usize)>>> {
        if self.nodes.len() != self.segments.len() || self.nodes.len() != self.sizes.len() {
            return Err(malformed(
                "categories_nodes",
                "differs in length from `categories_segments` or `categories_sizes`",
            ));
        }
        let mut by_node = vec![None; count];
        for ((&node, &segment), &size) in self.nodes.iter().zip(self.segments).zip(self.sizes) {
            let end = self.categories.len() + 1;
            let range = index(segment, end).zip(index(size, end)).map(|(from, size)| (from, from + size));
            let range = range.filter(|(_, to)| *to < end);
            match (index(node, count), range) {
                (Some(node), Some(range)) => by_node[node] = Some(range),
                _ => return Err(malformed("categories_segments", "leads beyond `categories`, or to no node")),
            }
        }
        Ok(by_node)
    }
}

/// Adds the bits of a set.
fn add_set(categories: &[f64], frame: Frame, sets: &mut Vec<u32>) -> Result<(u32, u32)> {
    let from = sets.len();
    for &category in categories {
        let category = index(category, CATEGORIES)
            .ok_or_else(|| malformed("categories", "holds what is no category").actual(category))?;
        let word = from + category / 32;
        if word >= frame.set_words {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                "the sets of categories take more memory than is allowed; see `Limits::max_elements`",
            ));
        }
        if word >= sets.len() {
            sets.resize(word + 1, 0);
        }
        sets[word] |= 1 << (category % 32);
    }
    Ok((from as u32, sets.len() as u32))
}
