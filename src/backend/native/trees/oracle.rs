//! Rows through the plain form of a forest, literally as the specification has it.

use super::forest::{Branch, Forest, Mode, Node, Vote};
use super::number::Number;

/// The votes of the leaf of every tree, tree by tree.
pub(crate) fn votes<'f, T: Number, W>(forest: &'f Forest<T, W>, row: &[T]) -> impl Iterator<Item = &'f [Vote<W>]> {
    forest.roots.iter().map(move |&root| forest.votes_of(leaf(forest, root, row)))
}

/// The leaf, among the nodes of the forest, that the row reaches from `root`.
pub(crate) fn leaf<T: Number, W>(forest: &Forest<T, W>, root: u32, row: &[T]) -> u32 {
    let mut at = root;
    while let Node::Branch(branch) = &forest.nodes[at as usize] {
        at = if goes_yes(forest, branch, row[branch.feature as usize]) { branch.yes } else { branch.no };
    }
    at
}

/// Whether a row whose feature is `x` goes to the `yes` child.
pub(crate) fn goes_yes<T: Number, W>(forest: &Forest<T, W>, branch: &Branch<T>, x: T) -> bool {
    let t = branch.threshold;
    let range = branch.members.0 as usize..branch.members.1 as usize;
    let holds = match branch.mode {
        Mode::Leq => x <= t,
        Mode::Lt => x < t,
        Mode::Gte => x >= t,
        Mode::Gt => x > t,
        Mode::Eq => x == t,
        Mode::Neq => x != t,
        Mode::Member => forest.members[range].contains(&x),
        Mode::InSet | Mode::InSetFromZero => {
            let starts = if branch.mode == Mode::InSet { x.to_f64() > -1.0 } else { x.to_f64() >= 0.0 };
            // Saturates for what is beyond every set.
            let member = x.to_f64() as u64;
            let word = usize::try_from(member / 32).ok().and_then(|w| forest.sets[range].get(w).copied());
            starts && word.is_some_and(|w| w >> (member % 32) & 1 == 1)
        }
    };
    holds || (branch.nan_true && x.is_nan())
}
