use super::isa::dispatch;
use super::{Isa, Real};

/// The rows that are taken through a tree together: one 512-bit register of f32.
pub(crate) const GROUP: usize = 16;
/// The most exits of a tree of [`Test`]s: one bit each.
pub(crate) const EXITS: usize = 32;

/// An inner node of a small tree, x <= t, by what it rules out. Exits are numbered so that those below the true child
/// come first.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Test<T> {
    pub(crate) threshold: T,
    pub(crate) feature: u32,
    /// Zeros at the exits below the true child, which a row that fails the test can't reach.
    pub(crate) mask: u32,
}

/// The exit of every row from a tree of at most [`EXITS`] exits, whose tests all are asked of all rows; the first exit
/// that nothing rules out is the one that stepwise descent reaches.
///
/// C. Lucchese et al., QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees,
/// SIGIR 2015. `columns` holds groups of rows, each as `n` features of [`GROUP`] rows; NaN fails the tests of `plain`
/// and passes those of `lenient`.
///
/// # Panics
/// When a test asks for a feature that is not there.
pub(crate) fn exits<T: Real>(
    isa: Isa,
    plain: &[Test<T>],
    lenient: &[Test<T>],
    columns: &[[T; GROUP]],
    n: usize,
    exits: &mut [[u8; GROUP]],
) {
    if n > 0 {
        find(isa, plain, lenient, columns, n, exits);
    }
}

dispatch! {
    fn find[T: Real](plain: &[Test<T>], lenient: &[Test<T>], columns: &[[T; GROUP]], n: usize, exits: &mut [[u8; GROUP]]) = find_body
}

#[inline(always)]
fn find_body<const FMA: bool, T: Real>(
    plain: &[Test<T>],
    lenient: &[Test<T>],
    columns: &[[T; GROUP]],
    n: usize,
    exits: &mut [[u8; GROUP]],
) {
    for (columns, exits) in columns.chunks_exact(n).zip(exits) {
        let mut open = [u32::MAX; GROUP];
        for test in plain {
            let x = &columns[test.feature as usize];
            for (open, x) in open.iter_mut().zip(x) {
                *open &= u32::from(*x <= test.threshold).wrapping_neg() | test.mask;
            }
        }
        for test in lenient {
            let x = &columns[test.feature as usize];
            for (open, x) in open.iter_mut().zip(x) {
                *open &= u32::from(*x > test.threshold).wrapping_sub(1) | test.mask;
            }
        }
        for (exit, open) in exits.iter_mut().zip(open) {
            // The exponent of the lowest bit as f32 is its number, and comes out of a conversion that vectorises.
            let lowest = (open & open.wrapping_neg()) as f32;
            *exit = ((lowest.to_bits() >> 23) as u8).wrapping_sub(127);
        }
    }
}
