//! Trees in which several nodes may have one child, in the order of the format.

use super::program::Trees;
use crate::edge::{LEAF, Test};

/// A node of a tree.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Votes: targets and weights.
    Leaf(Vec<(u32, f32)>),
    Branch {
        test: Test,
        feature: u16,
        threshold: f32,
        /// Whether NaN passes.
        nan: bool,
        yes: usize,
        no: usize,
    },
}

/// Whether rows get votes for a target: all of them, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voted {
    Always,
    Never,
    Sometimes,
}

/// Trees over a common list of nodes; a tree shares none with another.
#[derive(Debug, Default)]
pub(super) struct Dag {
    pub(super) nodes: Vec<Node>,
    pub(super) roots: Vec<usize>,
}

/// What passes where `test` fails, but for NaN.
fn opposite(test: Test) -> Test {
    match test {
        Test::LessOrEqual => Test::Greater,
        Test::Less => Test::GreaterOrEqual,
        Test::GreaterOrEqual => Test::Less,
        Test::Greater => Test::LessOrEqual,
        Test::Equal => Test::NotEqual,
        Test::NotEqual => Test::Equal,
    }
}

impl Dag {
    /// The trees as the format has them, children behind all of their parents, and who is voted for; none when a node leads
    /// back to itself.
    pub(super) fn emit(&self, targets: usize) -> Option<(Trees, Vec<Voted>)> {
        let mut out = Trees::default();
        let mut voted = vec![Voted::Never; targets];
        // How many parents of a node are still to come, and where it stands.
        let mut parents = vec![0usize; self.nodes.len()];
        let mut places: Vec<Option<u32>> = vec![None; self.nodes.len()];
        for root in &self.roots {
            out.roots.push(out.nodes.len() as u32);
            let reached = self.count_parents(*root, &mut parents);
            let start = out.nodes.len();
            let (mut leaves, mut counts, mut jumps) = (0usize, vec![0usize; targets], 0);
            // Nodes of the format with the child that is to stand in their last field.
            let mut open: Vec<(usize, usize)> = Vec::new();
            let mut ready = vec![*root];
            while let Some(i) = ready.pop() {
                let here = out.nodes.len();
                if places[i].replace(here as u32).is_some() {
                    return None;
                }
                match &self.nodes[i] {
                    Node::Leaf(votes) => {
                        leaves += 1;
                        for (j, (target, _)) in votes.iter().enumerate() {
                            counts[*target as usize] += usize::from(!votes[..j].iter().any(|(t, _)| t == target));
                        }
                        out.nodes.push((LEAF, 0, 0, votes.len() as u32, out.votes.len() as u32));
                        out.votes.extend_from_slice(votes);
                    }
                    Node::Branch { test, feature, threshold, nan, yes, no } => {
                        let mut push = |out: &mut Trees, test: Test, nan: bool, threshold: f32, other: usize| {
                            open.push((out.nodes.len(), other));
                            out.nodes.push((*feature, test as u8, u8::from(nan), threshold.to_bits(), 0));
                        };
                        parents[*yes] -= 1;
                        parents[*no] -= 1;
                        if parents[*yes] == 0 {
                            push(&mut out, *test, *nan, *threshold, *no);
                            if parents[*no] == 0 && yes != no {
                                ready.push(*no);
                            }
                            ready.push(*yes);
                        } else if parents[*no] == 0 {
                            push(&mut out, opposite(*test), !*nan, *threshold, *yes);
                            ready.push(*no);
                        } else {
                            // Neither can come next: a test that nothing passes leads on.
                            push(&mut out, *test, *nan, *threshold, *no);
                            push(&mut out, Test::Less, false, f32::NEG_INFINITY, *yes);
                            jumps += 1;
                        }
                    }
                }
            }
            if out.nodes.len() - start != reached + jumps {
                return None;
            }
            for (at, child) in open {
                out.nodes[at].4 = places[child]?;
            }
            for (voted, count) in voted.iter_mut().zip(counts) {
                match count {
                    0 => {}
                    count if count == leaves => *voted = Voted::Always,
                    _ if *voted == Voted::Never => *voted = Voted::Sometimes,
                    _ => {}
                }
            }
        }
        Some((out, voted))
    }

    /// Counts the parents of every node that `root` leads to, and those nodes.
    fn count_parents(&self, root: usize, parents: &mut [usize]) -> usize {
        let (mut reached, mut todo) = (1, vec![root]);
        while let Some(i) = todo.pop() {
            if let Node::Branch { yes, no, .. } = self.nodes[i] {
                for child in [yes, no] {
                    parents[child] += 1;
                    if parents[child] == 1 {
                        reached += 1;
                        todo.push(child);
                    }
                }
            }
        }
        reached
    }
}
