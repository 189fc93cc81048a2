use std::ops::Range;

use super::Isa;
use super::bits::{FEWER, MANY};
use super::isa::dispatch;

/// The question of one level of an oblivious tree: x < bound among ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) column: u16,
    pub(crate) bound: i8,
}

/// The most levels of a tree whose exits are bytes.
pub(crate) const MOST_LEVELS: usize = 8;

/// Oblivious trees: all nodes of a level ask the same, so that the answers are the bits of the exit's number, the
/// lowest the root's; a bit is set where the row fails.
#[derive(Debug, Clone, Default)]
pub(crate) struct LevelTrees {
    levels: Vec<Step>,
    /// Where the levels of each tree end.
    trees: Vec<u32>,
}

impl LevelTrees {
    /// Adds a tree.
    ///
    /// # Panics
    /// When it has more than [`MOST_LEVELS`].
    pub(crate) fn push(&mut self, levels: &[Step]) {
        assert!(levels.len() <= MOST_LEVELS, "exits must fit a byte");
        self.levels.extend_from_slice(levels);
        self.trees.push(self.levels.len() as u32);
    }

    pub(crate) fn len(&self) -> usize {
        self.trees.len()
    }

    pub(crate) fn levels(&self) -> usize {
        self.levels.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.levels) + size_of_val(&*self.trees)
    }

    /// The exit of each of [`MANY`] rows from each of some trees. `columns` holds the ranks of the rows.
    ///
    /// # Panics
    /// When a level asks for a column that is not there.
    pub(crate) fn many(&self, isa: Isa, trees: Range<usize>, columns: &[[i8; MANY]], exits: &mut [[u8; MANY]]) {
        many(isa, self, trees, columns, exits);
    }

    /// The exit of each of [`FEWER`] rows, as [`many`](Self::many).
    pub(crate) fn fewer(&self, isa: Isa, trees: Range<usize>, columns: &[[i8; FEWER]], exits: &mut [[u8; FEWER]]) {
        fewer(isa, self, trees, columns, exits);
    }
}

dispatch! {
    fn many(trees: &LevelTrees, range: Range<usize>, columns: &[[i8; MANY]], exits: &mut [[u8; MANY]]) = many_body
}
dispatch! {
    fn fewer(trees: &LevelTrees, range: Range<usize>, columns: &[[i8; FEWER]], exits: &mut [[u8; FEWER]]) = fewer_body
}

#[inline(always)]
fn many_body<const FMA: bool>(
    trees: &LevelTrees,
    range: Range<usize>,
    columns: &[[i8; MANY]],
    exits: &mut [[u8; MANY]],
) {
    body(trees, range, columns, exits);
}

#[inline(always)]
fn fewer_body<const FMA: bool>(
    trees: &LevelTrees,
    range: Range<usize>,
    columns: &[[i8; FEWER]],
    exits: &mut [[u8; FEWER]],
) {
    body(trees, range, columns, exits);
}

#[inline(always)]
fn body<const G: usize>(trees: &LevelTrees, range: Range<usize>, columns: &[[i8; G]], exits: &mut [[u8; G]]) {
    let mut from = range.start.checked_sub(1).map_or(0, |t| trees.trees[t] as usize);
    for (&end, exits) in trees.trees[range].iter().zip(exits) {
        let mut exit = [0u8; G];
        let mut bit = 1u8;
        for level in &trees.levels[from..end as usize] {
            let x = &columns[usize::from(level.column)];
            for l in 0..G {
                exit[l] |= u8::from(x[l] >= level.bound).wrapping_neg() & bit;
            }
            bit = bit.wrapping_shl(1);
        }
        *exits = exit;
        from = end as usize;
    }
}
