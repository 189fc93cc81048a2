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
    holds(branch, x, &forest.members, &forest.sets)
}

/// [`goes_yes`] with the lists of the forest.
pub(super) fn holds<T: Number>(branch: &Branch<T>, x: T, members: &[T], sets: &[u32]) -> bool {
    let t = branch.threshold;
    let range = branch.members.0 as usize..branch.members.1 as usize;
    let in_set = |whole: Option<u32>| {
        whole.is_some_and(|i| sets[range.clone()].get(i as usize / 32).is_some_and(|word| word >> (i % 32) & 1 == 1))
    };
    let holds = match branch.mode {
        Mode::Leq => x <= t,
        Mode::Lt => x < t,
        Mode::Gte => x >= t,
        Mode::Gt => x > t,
        Mode::Eq => x == t,
        Mode::Neq => x != t,
        Mode::Member => members[range].contains(&x),
        Mode::InSet => in_set(x.truncated(false)),
        Mode::InSetFromZero => in_set(x.truncated(true)),
    };
    holds || (branch.nan_true && x.is_nan())
}
