//! Where the nodes of trees stand in the lists of their attributes.

use std::collections::HashMap;

/// From a tree and the id of a node to its place in the lists.
pub(super) enum Places {
    /// Trees one after another, each with ids that count up, as exporters write them.
    InOrder {
        runs: Vec<Run>,
        of_tree: HashMap<i64, usize>,
        /// The run asked last: neighbours in a list are mostly of one tree.
        last: usize,
    },
    AnyOrder(HashMap<(i64, i64), u32>),
}

/// The nodes of one tree.
pub(super) struct Run {
    tree: i64,
    /// The id and the place of the first of them.
    id: i64,
    place: u32,
    count: u32,
}

impl Places {
    /// The nodes of these trees and ids, of which there are less than 2^32; the place of a node that is there twice as an
    /// error.
    pub(super) fn new(trees: &[i64], ids: &[i64]) -> Result<Self, usize> {
        if let Some(in_order) = Self::in_order(trees, ids) {
            return Ok(in_order);
        }
        let mut places = HashMap::with_capacity(ids.len());
        for (place, key) in trees.iter().copied().zip(ids.iter().copied()).enumerate() {
            if places.insert(key, place as u32).is_some() {
                return Err(place);
            }
        }
        Ok(Self::AnyOrder(places))
    }

    /// None when the nodes do not stand in order.
    fn in_order(trees: &[i64], ids: &[i64]) -> Option<Self> {
        let (mut runs, mut of_tree) = (Vec::new(), HashMap::new());
        let mut place = 0;
        for of_run in trees.chunk_by(|a, b| a == b) {
            let ids = &ids[place..place + of_run.len()];
            if of_tree.insert(of_run[0], runs.len()).is_some() || !ids.is_sorted_by(|a, b| a.checked_add(1) == Some(*b))
            {
                return None;
            }
            runs.push(Run { tree: of_run[0], id: ids[0], place: place as u32, count: ids.len() as u32 });
            place += ids.len();
        }
        Some(Self::InOrder { runs, of_tree, last: 0 })
    }

    /// The place of a node, if there is one.
    pub(super) fn get(&mut self, tree: i64, id: i64) -> Option<u32> {
        match self {
            Self::InOrder { runs, of_tree, last } => {
                if runs.get(*last).is_none_or(|run| run.tree != tree) {
                    *last = *of_tree.get(&tree)?;
                }
                let run = &runs[*last];
                let at = u32::try_from(id.checked_sub(run.id)?).ok().filter(|&at| at < run.count)?;
                Some(run.place + at)
            }
            Self::AnyOrder(places) => places.get(&(tree, id)).copied(),
        }
    }
}
