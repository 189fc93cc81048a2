use super::isa::{Level, dispatch};
use super::{Isa, Real};

/// The rows that are taken through a tree together: four 512-bit registers of f32, so that what a test costs beside
/// its comparisons is shared by many.
pub(crate) const GROUP: usize = 64;
/// The exits of one [`Section`]: one bit each.
pub(crate) const SECTION: usize = 32;

/// An inner node of a tree, x <= t, by what it rules out. Exits are numbered so that those below the true child come
/// before those below the false one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Test<T> {
    pub(crate) threshold: T,
    pub(crate) feature: u32,
    /// Zeros at those exits of the section below the true child, which a row that fails the test can't reach.
    pub(crate) mask: u32,
}

/// [`SECTION`] consecutive exits of a tree with the tests that concern them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section<T> {
    /// The tests that NaN fails.
    pub(crate) plain: Vec<Test<T>>,
    /// The tests that NaN passes.
    pub(crate) lenient: Vec<Test<T>>,
}

/// How many exits a tree may have for asking all of its tests to be faster than walking it, and how many are worth
/// asking for of a larger one.
pub(crate) const fn worthwhile_exits(isa: Isa) -> (usize, usize) {
    match isa.level() {
        Level::Scalar => (32, 32),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => (96, 64),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => (192, 160),
    }
}

/// The exit of every row from a tree whose tests are all asked of all rows: the first exit that nothing rules out is
/// the one that stepwise descent reaches.
///
/// C. Lucchese et al., QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees,
/// SIGIR 2015. `columns` holds groups of rows, each as `n` features of [`GROUP`] rows.
///
/// # Panics
/// When a test asks for a feature that is not there.
pub(crate) fn exits<T: Real>(
    isa: Isa,
    sections: &[Section<T>],
    columns: &[[T; GROUP]],
    n: usize,
    exits: &mut [[u16; GROUP]],
) {
    if n > 0 {
        find(isa, sections, columns, n, exits);
    }
}

dispatch! {
    fn find[T: Real](sections: &[Section<T>], columns: &[[T; GROUP]], n: usize, exits: &mut [[u16; GROUP]]) = find_body
}

#[inline(always)]
fn find_body<const FMA: bool, T: Real>(
    sections: &[Section<T>],
    columns: &[[T; GROUP]],
    n: usize,
    exits: &mut [[u16; GROUP]],
) {
    for (columns, exits) in columns.chunks_exact(n).zip(exits) {
        // From the last section to the first, so that the first exit is what remains.
        for (s, section) in sections.iter().enumerate().rev() {
            let mut open = [u32::MAX; GROUP];
            for test in &section.plain {
                let x = &columns[test.feature as usize];
                for (open, x) in open.iter_mut().zip(x) {
                    *open &= u32::from(*x <= test.threshold).wrapping_neg() | test.mask;
                }
            }
            for test in &section.lenient {
                let x = &columns[test.feature as usize];
                for (open, x) in open.iter_mut().zip(x) {
                    *open &= u32::from(*x > test.threshold).wrapping_sub(1) | test.mask;
                }
            }
            let before = (s * SECTION) as u32;
            for (exit, open) in exits.iter_mut().zip(open) {
                // The exponent of the lowest bit as f32 is its number, and comes out of a conversion that vectorises.
                let lowest = (open & open.wrapping_neg()) as f32;
                let number = (lowest.to_bits() >> 23).wrapping_sub(127).wrapping_add(before) as u16;
                *exit = if open == 0 { *exit } else { number };
            }
        }
    }
}
