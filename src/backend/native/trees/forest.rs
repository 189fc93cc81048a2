//! Trees as a file describes them, with every check done.

use super::number::Number;
use crate::{Error, ErrorKind, Result};

/// The comparison of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
    /// Whether the feature is one of a list of numbers.
    Member,
    /// Whether the feature, truncated towards zero, is in a set of whole numbers: -0.9 counts as zero, while NaN, lower
    /// numbers and those beyond the set are not members.
    InSet,
    /// As [`InSet`](Self::InSet), but nothing below zero is a member: -0.0 is zero, -0.1 is not.
    InSetFromZero,
}

/// A node with two children.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Branch<T> {
    pub(crate) mode: Mode,
    /// Whether NaN goes where a true comparison goes, whatever the comparison says of it.
    pub(crate) nan_true: bool,
    pub(crate) feature: u32,
    pub(crate) threshold: T,
    /// The child where the comparison is true, and where it is false.
    pub(crate) yes: u32,
    pub(crate) no: u32,
    /// The list of a [`Mode::Member`] node in [`Forest::members`], or the words of a set in [`Forest::sets`].
    pub(crate) members: (u32, u32),
}

/// A node of a tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Node<T> {
    Branch(Branch<T>),
    /// The votes `votes.0..votes.1` of [`Forest::votes`].
    Leaf {
        votes: (u32, u32),
    },
}

/// What a leaf adds to a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Vote<W> {
    pub(crate) target: u32,
    pub(crate) weight: W,
}

/// Trees over common lists of nodes and votes. Features and thresholds are compared in `T`, weights and sums are `W`.
///
/// Nodes may be shared: exporters write a set of values as a chain of comparisons with one common child.
#[derive(Debug, Clone)]
pub(crate) struct Forest<T, W = T> {
    pub(crate) nodes: Vec<Node<T>>,
    pub(crate) votes: Vec<Vote<W>>,
    /// The lists of [`Mode::Member`] nodes.
    pub(crate) members: Vec<T>,
    /// The bits of the sets of [`Mode::InSet`] and [`Mode::InSetFromZero`] nodes, lowest first: i is bit i mod 32 of word
    /// i / 32 of the set.
    pub(crate) sets: Vec<u32>,
    /// The root of every tree. Sums are made in this order.
    pub(crate) roots: Vec<u32>,
    /// The number of targets or classes.
    pub(crate) targets: usize,
}

impl<T: Number, W> Forest<T, W> {
    /// The number of features that a row must have at least.
    pub(crate) fn features(&self) -> usize {
        let of_node = |node: &Node<T>| match node {
            Node::Branch(b) => b.feature as usize + 1,
            Node::Leaf { .. } => 0,
        };
        self.nodes.iter().map(of_node).max().unwrap_or(0)
    }

    /// The votes of a leaf; none of a branch.
    pub(crate) fn votes_of(&self, node: u32) -> &[Vote<W>] {
        match self.nodes[node as usize] {
            Node::Leaf { votes } => &self.votes[votes.0 as usize..votes.1 as usize],
            Node::Branch(_) => &[],
        }
    }

    /// Checks that no path comes back to where it was; `name` says which node an index is.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] naming a node on the cycle.
    pub(crate) fn check_acyclic(&self, name: impl Fn(u32) -> String) -> Result<()> {
        // Children after their parents, as most exporters write them, lead nowhere back.
        let descends = |(at, node): (usize, &Node<T>)| match node {
            Node::Branch(b) => b.yes.min(b.no) as usize > at,
            Node::Leaf { .. } => true,
        };
        if self.nodes.iter().enumerate().all(descends) {
            return Ok(());
        }
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            New,
            Open,
            Done,
        }
        let mut state = vec![State::New; self.nodes.len()];
        let mut stack: Vec<(u32, bool)> = Vec::new();
        // From every node: a loop that no root leads to leaves a stray node to be taken for the root.
        for from in self.roots.iter().copied().chain(0..self.nodes.len() as u32) {
            stack.push((from, false));
            while let Some((at, left)) = stack.pop() {
                if left {
                    state[at as usize] = State::Done;
                    continue;
                }
                if state[at as usize] == State::Done {
                    continue;
                }
                state[at as usize] = State::Open;
                stack.push((at, true));
                if let Node::Branch(b) = &self.nodes[at as usize] {
                    for child in [b.yes, b.no] {
                        match state[child as usize] {
                            State::New => stack.push((child, false)),
                            State::Done => {}
                            State::Open => {
                                return Err(Error::new(
                                    ErrorKind::Malformed,
                                    format!("a tree has a loop: {} is among its own descendants", name(child)),
                                ));
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl<T: Number> Forest<T> {
    /// The same trees with f64 numbers, which hold every f32.
    pub(crate) fn widened(&self) -> Forest<f64> {
        let node = |node: &Node<T>| match *node {
            Node::Leaf { votes } => Node::Leaf { votes },
            Node::Branch(Branch { mode, nan_true, feature, threshold, yes, no, members }) => {
                Node::Branch(Branch { mode, nan_true, feature, threshold: threshold.to_f64(), yes, no, members })
            }
        };
        Forest {
            nodes: self.nodes.iter().map(node).collect(),
            votes: self.votes.iter().map(|v| Vote { target: v.target, weight: v.weight.to_f64() }).collect(),
            members: self.members.iter().map(|m| m.to_f64()).collect(),
            sets: self.sets.clone(),
            roots: self.roots.clone(),
            targets: self.targets,
        }
    }
}
