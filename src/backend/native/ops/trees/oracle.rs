//! One row through the plain form of a forest, literally as the specification has it.

use super::forest::{Forest, Mode, Node, Vote};
use super::number::Number;

/// The votes of the leaf of every tree, tree by tree.
pub(super) fn votes<'f, T: Number>(forest: &'f Forest<T>, row: &[T]) -> Vec<&'f [Vote<T>]> {
    forest.roots.iter().map(|&root| leaf(forest, root, row)).collect()
}

fn leaf<'f, T: Number>(forest: &'f Forest<T>, root: u32, row: &[T]) -> &'f [Vote<T>] {
    let mut at = root;
    loop {
        match &forest.nodes[at as usize] {
            Node::Leaf { votes } => return &forest.votes[votes.0 as usize..votes.1 as usize],
            Node::Branch(b) => {
                let x = row[b.feature as usize];
                let t = b.threshold;
                let holds = match b.mode {
                    Mode::Leq => x <= t,
                    Mode::Lt => x < t,
                    Mode::Gte => x >= t,
                    Mode::Gt => x > t,
                    Mode::Eq => x == t,
                    Mode::Neq => x != t,
                    Mode::Member => forest.members[b.members.0 as usize..b.members.1 as usize].contains(&x),
                };
                at = if holds || (b.nan_true && x.is_nan()) { b.yes } else { b.no };
            }
        }
    }
}
