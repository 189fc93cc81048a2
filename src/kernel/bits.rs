use std::ops::Range;

use super::Isa;
use super::isa::dispatch;

/// The rows that are taken through a tree together, where there are as many: eight registers of bytes on AVX2, so that
/// what a test costs beside its comparisons is shared by many.
pub(crate) const MANY: usize = 256;
/// The rows that are taken through a tree together at the end of a batch.
pub(crate) const FEWER: usize = 64;
/// The exits of one section: the bits of a byte.
pub(crate) const BYTE: usize = 8;
/// The most exits of a tree.
pub(crate) const MOST_EXITS: usize = 256;

/// An inner node of a tree, x < bound among ranks, by what it leaves open of one section of the tree's exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) column: u16,
    pub(crate) bound: i8,
    /// The exits that are open to rows that pass, and to rows that fail.
    pub(crate) pass: u8,
    pub(crate) fail: u8,
}

/// Trees of at most [`MOST_EXITS`], each with all of its tests.
#[derive(Debug, Clone, Default)]
pub(crate) struct BitTrees {
    asks: Vec<Ask>,
    /// Where the tests of each section end.
    ends: Vec<u32>,
    /// Where the sections of each tree end.
    trees: Vec<u32>,
}

impl BitTrees {
    /// Adds a tree, section by section.
    ///
    /// # Panics
    /// When there are no sections or more than 32.
    pub(crate) fn push<'s>(&mut self, sections: impl IntoIterator<Item = &'s [Ask]>) {
        let before = self.ends.len();
        for section in sections {
            self.asks.extend_from_slice(section);
            self.ends.push(self.asks.len() as u32);
        }
        assert!((1..=32).contains(&(self.ends.len() - before)), "a tree has 1 to 256 exits");
        self.trees.push(self.ends.len() as u32);
    }

    pub(crate) fn len(&self) -> usize {
        self.trees.len()
    }

    pub(crate) fn asks(&self) -> usize {
        self.asks.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.asks) + size_of_val(&*self.ends) + size_of_val(&*self.trees)
    }

    /// The exit of each of [`MANY`] rows from each of some trees: the first that no test rules out is the one that
    /// stepwise descent reaches. `columns` holds the ranks of the rows.
    ///
    /// C. Lucchese et al., QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees,
    /// SIGIR 2015; T. Ye et al., RapidScorer: fast tree ensemble evaluation by maximizing compactness in data level
    /// parallelization, KDD 2018.
    ///
    /// # Panics
    /// When a test asks for a column that is not there.
    pub(crate) fn many(&self, isa: Isa, trees: Range<usize>, columns: &[[i8; MANY]], exits: &mut [[u8; MANY]]) {
        many(isa, self, trees, columns, exits);
    }

    /// The exit of each of [`FEWER`] rows, as [`many`](Self::many).
    pub(crate) fn fewer(&self, isa: Isa, trees: Range<usize>, columns: &[[i8; FEWER]], exits: &mut [[u8; FEWER]]) {
        fewer(isa, self, trees, columns, exits);
    }
}

dispatch! {
    fn many(trees: &BitTrees, range: Range<usize>, columns: &[[i8; MANY]], exits: &mut [[u8; MANY]]) = many_body
}
dispatch! {
    fn fewer(trees: &BitTrees, range: Range<usize>, columns: &[[i8; FEWER]], exits: &mut [[u8; FEWER]]) = fewer_body
}

#[inline(always)]
fn many_body<const FMA: bool>(trees: &BitTrees, range: Range<usize>, columns: &[[i8; MANY]], exits: &mut [[u8; MANY]]) {
    body(trees, range, columns, exits);
}

#[inline(always)]
fn fewer_body<const FMA: bool>(
    trees: &BitTrees,
    range: Range<usize>,
    columns: &[[i8; FEWER]],
    exits: &mut [[u8; FEWER]],
) {
    body(trees, range, columns, exits);
}

#[inline(always)]
fn body<const G: usize>(trees: &BitTrees, range: Range<usize>, columns: &[[i8; G]], exits: &mut [[u8; G]]) {
    let mut section = range.start.checked_sub(1).map_or(0, |t| trees.trees[t] as usize);
    for (&end, exits) in trees.trees[range].iter().zip(exits) {
        let end = end as usize;
        let mut found = [0u8; G];
        let mut number = [0u8; G];
        let first = section;
        // From the last section to the first, so that the first exit is what remains.
        for s in (first..end).rev() {
            let from = s.checked_sub(1).map_or(0, |s| trees.ends[s] as usize);
            let mut open = [u8::MAX; G];
            for ask in &trees.asks[from..trees.ends[s] as usize] {
                let x = &columns[usize::from(ask.column)];
                let Ask { bound, pass, fail, .. } = *ask;
                for l in 0..G {
                    let passes = u8::from(x[l] < bound).wrapping_neg();
                    open[l] &= (passes & pass) | (!passes & fail);
                }
            }
            let s = (s - first) as u8;
            for l in 0..G {
                let none = u8::from(open[l] == 0).wrapping_neg();
                found[l] = (found[l] & none) | open[l];
                number[l] = (number[l] & none) | (s & !none);
            }
        }
        for ((exit, found), number) in exits.iter_mut().zip(&found).zip(&number) {
            // The number of the lowest bit.
            let lowest = found & found.wrapping_neg();
            let one = u8::from(lowest & 0xAA != 0);
            let two = u8::from(lowest & 0xCC != 0);
            let four = u8::from(lowest & 0xF0 != 0);
            *exit = number << 3 | four << 2 | two << 1 | one;
        }
        section = end;
    }
}
