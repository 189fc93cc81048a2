//! Leaving out the columns that no tree looks at.

use super::booster::{Booster, Input, Scorer, Trees};
use crate::backend::native::trees::Node;

/// Keeps of the columns only those that the trees compare, where that is at most half of them: it is then cheaper to
/// pick these out of a row than to carry the others along.
pub(super) fn compact(booster: &mut Booster) {
    let Input::Columns(columns) = &mut booster.input else { return };
    let mut used = vec![false; columns.len()];
    match &mut booster.scorer {
        Scorer::F32(trees) => each_column(trees, |c| used[*c as usize] = true),
        Scorer::Mixed(trees) => each_column(trees, |c| used[*c as usize] = true),
        Scorer::F64(trees) => each_column(trees, |c| used[*c as usize] = true),
        Scorer::Linear(_) => return,
    }
    let count = used.iter().filter(|u| **u).count();
    if count * 2 > columns.len() {
        return;
    }
    let mut place = 0;
    let places: Vec<u32> = used
        .iter()
        .map(|&used| {
            place += u32::from(used);
            place.wrapping_sub(1)
        })
        .collect();
    let mut keep = used.into_iter();
    columns.retain(|_| keep.next().unwrap_or(false));
    columns.shrink_to_fit();
    match &mut booster.scorer {
        Scorer::F32(trees) => each_column(trees, |c| *c = places[*c as usize]),
        Scorer::Mixed(trees) => each_column(trees, |c| *c = places[*c as usize]),
        Scorer::F64(trees) => each_column(trees, |c| *c = places[*c as usize]),
        Scorer::Linear(_) => {}
    }
}

/// Shows `visit` every place where the trees name a column.
fn each_column<T, W>(trees: &mut Trees<T, W>, mut visit: impl FnMut(&mut u32)) {
    for node in &mut trees.forest.nodes {
        if let Node::Branch(branch) = node {
            visit(&mut branch.feature);
        }
    }
    for leaf in trees.linear.iter_mut().flatten() {
        leaf.terms.iter_mut().for_each(|(column, _)| visit(column));
    }
}
