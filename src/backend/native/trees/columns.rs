//! What a forest asks of rows, as columns of ranks.
//!
//! The thresholds of a feature are sorted, and a row's number becomes its rank among them: one byte, so that a test is
//! one comparison of bytes, 32 rows to a register on AVX2. A feature with more thresholds has more columns. NaN takes the
//! rank that sends it where it is to go; a feature whose nodes disagree about that has two columns. Questions that are
//! not x <= t (sets, equality) have columns of their own, in which the answer stands.

use std::collections::HashMap;

use super::forest::{Branch, Forest, Mode, Node};
use super::number::Number;
use super::oracle;
use super::pack::as_leq;
use crate::kernel::{Cuts, Isa, LOWEST_RANK, MOST_CUTS};

/// A test of a node: rows whose rank in the column is less than the bound go to `pass`, the others to `fail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) column: u16,
    pub(super) bound: i8,
    pub(super) pass: u32,
    pub(super) fail: u32,
}

/// The columns of a forest.
#[derive(Debug)]
pub(super) struct Columns<T> {
    ranked: Vec<RankedColumns<T>>,
    asked: Vec<AskedColumn<T>>,
    members: Vec<T>,
    sets: Vec<u32>,
    count: usize,
}

/// Up to [`MOST_CUTS`] thresholds of a feature.
#[derive(Debug)]
struct RankedColumns<T> {
    feature: usize,
    cuts: Cuts<T>,
    /// The column in which NaN ranks below all thresholds, and the one in which it ranks above.
    low: Option<u16>,
    high: Option<u16>,
}

/// A question whose answer is found row by row: the lowest rank where it is yes, the next where it is no.
#[derive(Debug)]
struct AskedColumn<T> {
    branch: Branch<T>,
    column: u16,
}

const HIGHEST_RANK: i8 = i8::MAX;

fn rank(i: usize) -> i8 {
    i as u8 as i8 ^ LOWEST_RANK
}

impl<T: Number> Columns<T> {
    /// The columns that `forest` needs, with the question of every branch among its nodes; `None` when there are more
    /// than can be numbered.
    pub(super) fn new<W>(forest: &Forest<T, W>) -> Option<(Self, Vec<Option<Question>>)> {
        let leq = |branch: &Branch<T>| as_leq(branch).filter(|(t, ..)| !t.is_nan());
        let mut thresholds: Vec<(u32, T)> = Vec::new();
        for node in &forest.nodes {
            if let Node::Branch(branch) = node
                && let Some((t, ..)) = leq(branch)
            {
                thresholds.push((branch.feature, t));
            }
        }
        thresholds.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then(a.1.partial_cmp(&b.1).expect("thresholds that are NaN were left out"))
        });
        thresholds.dedup_by(|a, b| a == b);
        let mut this = Self {
            ranked: Vec::new(),
            asked: Vec::new(),
            members: forest.members.clone(),
            sets: forest.sets.clone(),
            count: 0,
        };
        // The thresholds of every feature that is asked for, with its first column set. Not by index: a hostile file numbers
        // its features as it likes.
        let mut of_features: Vec<(u32, usize, Vec<T>)> = Vec::new();
        for of_feature in thresholds.chunk_by(|a, b| a.0 == b.0) {
            let feature = of_feature[0].0;
            let of_feature: Vec<T> = of_feature.iter().map(|c| c.1).collect();
            let first = this.ranked.len();
            for cuts in of_feature.chunks(MOST_CUTS) {
                let (feature, cuts) = (feature as usize, Cuts::new(cuts, T::NAN));
                this.ranked.push(RankedColumns { feature, cuts, low: None, high: None });
            }
            of_features.push((feature, first, of_feature));
        }
        let mut known = HashMap::new();
        let mut questions = Vec::with_capacity(forest.nodes.len());
        for node in &forest.nodes {
            let Node::Branch(branch) = node else {
                questions.push(None);
                continue;
            };
            let question = if let Some((t, below, above, nan_below)) = leq(branch) {
                let feature = of_features.partition_point(|f| f.0 < branch.feature);
                let (_, first, of_feature) = &of_features[feature];
                let at = of_feature.partition_point(|c| *c < t);
                let of = &mut this.ranked[first + at / MOST_CUTS];
                let column = if nan_below { &mut of.low } else { &mut of.high };
                let column = numbered(column, &mut this.count)?;
                Question { column, bound: rank(at % MOST_CUTS + 1), pass: below, fail: above }
            } else {
                let column = known.entry(Key::new(forest, branch)).or_insert(None);
                if column.is_none() {
                    let column = numbered(column, &mut this.count)?;
                    this.asked.push(AskedColumn { branch: *branch, column });
                }
                let column = numbered(column, &mut this.count)?;
                Question { column, bound: rank(1), pass: branch.yes, fail: branch.no }
            };
            questions.push(Some(question));
        }
        this.asked.sort_by_key(|a| a.branch.feature);
        Some((this, questions))
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What filling the columns takes, in ranks per row.
    pub(super) fn work(&self) -> usize {
        self.ranked.len() + self.asked.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.ranked.iter().map(|r| size_of_val(r) + r.cuts.bytes()).sum::<usize>()
            + size_of_val(&*self.asked)
            + size_of_val(&*self.members)
            + size_of_val(&*self.sets)
    }

    /// Fills the columns of up to `G` rows of `x` (m, n). What stands after the last row does not matter.
    pub(super) fn fill<const G: usize>(&self, isa: Isa, x: &[T], n: usize, columns: &mut [[i8; G]]) {
        let nan = has_nan(x);
        let rows = x.len() / n;
        for of in &self.ranked {
            let x = &x[of.feature..];
            let (Some(first), second) = (of.low.or(of.high), of.low.and(of.high)) else { continue };
            of.cuts.ranks(isa, x, n, &mut columns[usize::from(first)][..rows]);
            if let Some(high) = second {
                columns[usize::from(high)] = columns[usize::from(first)];
            }
            if nan && let Some(high) = of.high {
                for (rank, x) in columns[usize::from(high)].iter_mut().zip(x.iter().step_by(n)) {
                    if x.is_nan() {
                        *rank = HIGHEST_RANK;
                    }
                }
            }
        }
        self.ask(x, n, columns);
    }

    /// Fills the columns of answers.
    fn ask<const G: usize>(&self, x: &[T], n: usize, columns: &mut [[i8; G]]) {
        const NO_MEMBER: u32 = u32::MAX;
        let mut codes = [NO_MEMBER; G];
        let mut coded = None;
        for AskedColumn { branch, column } in &self.asked {
            let feature = branch.feature as usize;
            let column = &mut columns[usize::from(*column)];
            let from_zero = branch.mode == Mode::InSetFromZero;
            if !from_zero && branch.mode != Mode::InSet {
                for (rank, &x) in column.iter_mut().zip(x[feature..].iter().step_by(n)) {
                    let yes = oracle::holds(branch, x, &self.members, &self.sets);
                    *rank = LOWEST_RANK + i8::from(!yes);
                }
                continue;
            }
            if coded != Some((feature, from_zero)) {
                coded = Some((feature, from_zero));
                for (code, &x) in codes.iter_mut().zip(x[feature..].iter().step_by(n)) {
                    *code = x.truncated(from_zero).unwrap_or(NO_MEMBER);
                }
            }
            let words = &self.sets[branch.members.0 as usize..branch.members.1 as usize];
            for (rank, &code) in column.iter_mut().zip(&codes) {
                let word = words.get(code as usize / 32).copied().unwrap_or(0);
                *rank = LOWEST_RANK + i8::from(word >> (code % 32) & 1 == 0);
            }
            if branch.nan_true {
                for (rank, x) in column.iter_mut().zip(x[feature..].iter().step_by(n)) {
                    if x.is_nan() {
                        *rank = LOWEST_RANK;
                    }
                }
            }
        }
    }
}

fn has_nan<T: Number>(x: &[T]) -> bool {
    // In blocks, within which the search is one of vectors.
    x.chunks(256).any(|block| block.iter().fold(false, |nan, x| nan | x.is_nan()))
}

/// The number of a column, given when it is first asked for.
fn numbered(column: &mut Option<u16>, count: &mut usize) -> Option<u16> {
    if column.is_none() {
        *column = Some(u16::try_from(*count).ok().filter(|&c| c < u16::MAX)?);
        *count += 1;
    }
    *column
}

/// What makes two questions the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    mode: Mode,
    nan_true: bool,
    feature: u32,
    /// The bits of the threshold or of the members, or the words of the set.
    of: Vec<u64>,
}

impl Key {
    fn new<T: Number, W>(forest: &Forest<T, W>, branch: &Branch<T>) -> Self {
        let range = branch.members.0 as usize..branch.members.1 as usize;
        let of = match branch.mode {
            Mode::InSet | Mode::InSetFromZero => forest.sets[range].iter().map(|&w| w.into()).collect(),
            Mode::Member => forest.members[range].iter().map(|m| m.to_f64().to_bits()).collect(),
            _ => vec![branch.threshold.to_f64().to_bits()],
        };
        Self { mode: branch.mode, nan_true: branch.nan_true, feature: branch.feature, of }
    }
}
