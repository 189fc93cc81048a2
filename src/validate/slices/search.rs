//! Exact search for the slices of the highest score, a level of predicates at a time.
//!
//! A slice of level l is met once, as the join of its two parents that lack one of its last two predicates. All its l
//! parents must have been kept, and the smallest of their rows, errors and worst errors bounds what it can be; it is
//! looked at only if that bound reaches the K-th best score so far. Looking at the children of one parent takes one pass
//! over the parent's rows for each column, which counts all values of the column at once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use rayon::prelude::*;

use super::items::{Item, Items};
use super::score::{Scorer, Stats};
use crate::{Progress, ProgressMeter};

/// The children of how many parents are counted between two looks at the best scores.
const ROUND: usize = 256;

/// The slices of one parent that are kept, and how many were counted.
type Family = (Vec<(Vec<Item>, Stats)>, u64);

/// A slice by its predicates, in ascending order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) items: Vec<Item>,
    pub(super) stats: Stats,
    pub(super) score: f64,
}

pub(super) struct Search<'d> {
    pub(super) items: Items<'d>,
    pub(super) errors: &'d [f64],
    pub(super) scorer: Scorer,
    pub(super) least_rows: usize,
    pub(super) top: usize,
    pub(super) levels: usize,
    pub(super) progress: &'d dyn Progress,
}

/// The slices of one level, in lexicographic order of their items.
struct Level {
    width: usize,
    items: Vec<Item>,
    stats: Vec<Stats>,
}

impl Level {
    fn len(&self) -> usize {
        self.stats.len()
    }

    fn slice(&self, i: usize) -> &[Item] {
        &self.items[i * self.width..(i + 1) * self.width]
    }
}

/// The best slices so far.
struct Best {
    top: usize,
    found: Vec<Found>,
}

impl Best {
    /// What a score must reach to matter.
    fn least(&self) -> f64 {
        if self.found.len() < self.top { 0.0 } else { self.found[self.top - 1].score }
    }

    fn offer(&mut self, items: &[Item], stats: Stats, score: f64) {
        if score <= 0.0 || score < self.least() {
            return;
        }
        let found = Found { items: items.to_vec(), stats, score };
        let at = self.found.partition_point(|f| order(f, &found).is_lt());
        self.found.insert(at, found);
        self.found.truncate(self.top);
    }
}

/// Best first; of equal scores the one with fewer predicates, then by the order of columns and values.
fn order(a: &Found, b: &Found) -> std::cmp::Ordering {
    let lengths = || a.items.len().cmp(&b.items.len());
    b.score.total_cmp(&a.score).then_with(lengths).then_with(|| a.items.cmp(&b.items))
}

impl Search<'_> {
    /// The best slices, best first, and how many were counted.
    pub(super) fn run(&self) -> (Vec<Found>, u64) {
        let mut best = Best { top: self.top, found: Vec::new() };
        let mut counted = 0;
        if self.top == 0 || self.levels == 0 {
            return (best.found, counted);
        }
        let mut meter = ProgressMeter::new(self.progress, "slices", "slices", None);
        let (mut level, rows) = self.singles(&mut counted);
        meter.advance(counted);
        for i in 0..level.len() {
            best.offer(level.slice(i), level.stats[i], self.scorer.score(level.stats[i]));
        }
        let most = self.levels.min(self.items.columns.len());
        while level.width < most && level.len() > 1 {
            level = self.next(&level, &rows, &mut best, &mut counted, &mut meter);
        }
        meter.finish();
        (best.found, counted)
    }

    /// The slices of one predicate that are large enough, and the rows of each item that has such a slice.
    fn singles(&self, counted: &mut u64) -> (Level, Vec<Vec<u32>>) {
        let mut rows = vec![Vec::new(); self.items.len()];
        let mut level = Level { width: 1, items: Vec::new(), stats: Vec::new() };
        for (c, codes) in self.items.columns.iter().enumerate() {
            let first = self.items.first[c];
            let mut counts = vec![Stats::default(); self.items.values(c)];
            for (&code, &error) in codes.iter().zip(self.errors) {
                count(&mut counts[code as usize], error);
            }
            *counted += self.items.occurring[c];
            let wanted: Vec<bool> =
                (0u32..).zip(&counts).map(|(code, s)| !self.items.is_rest(c, code) && self.is_candidate(*s)).collect();
            for ((item, stats), _) in (first..).zip(&counts).zip(&wanted).filter(|(_, wanted)| **wanted) {
                level.items.push(item);
                level.stats.push(*stats);
                rows[item as usize].reserve_exact(stats.rows as usize);
            }
            for (row, &code) in codes.iter().enumerate() {
                if wanted[code as usize] {
                    rows[(first + code) as usize].push(row as u32);
                }
            }
        }
        (level, rows)
    }

    fn is_candidate(&self, stats: Stats) -> bool {
        stats.rows as usize >= self.least_rows && stats.error > 0.0
    }

    fn next(
        &self,
        level: &Level,
        rows: &[Vec<u32>],
        best: &mut Best,
        counted: &mut u64,
        meter: &mut ProgressMeter<'_>,
    ) -> Level {
        let width = level.width;
        let places: HashMap<&[Item], u32, BuildHasherDefault<ItemHasher>> =
            (0..level.len()).map(|i| (level.slice(i), i as u32)).collect();
        // Parents with the highest scores first: their children raise what the others must reach.
        let mut parents: Vec<u32> = (0..level.len() as u32).collect();
        let scores: Vec<f64> = level.stats.iter().map(|&s| self.scorer.score(s)).collect();
        parents.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
        let mut kept: Vec<(Vec<Item>, Stats)> = Vec::new();
        for round in parents.chunks(ROUND) {
            let least = best.least();
            let families: Vec<Family> = round
                .par_iter()
                .map_init(
                    || Scratch::new(&self.items),
                    |scratch, &parent| self.children(level, parent as usize, &places, rows, least, scratch),
                )
                .collect();
            for (children, looked_at) in families {
                *counted += looked_at;
                meter.advance(looked_at);
                for (items, stats) in children {
                    best.offer(&items, stats, self.scorer.score(stats));
                    kept.push((items, stats));
                }
            }
        }
        let least = best.least();
        kept.retain(|(_, stats)| self.scorer.bound(*stats) >= least);
        kept.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut next =
            Level { width: width + 1, items: Vec::with_capacity(kept.len() * (width + 1)), stats: Vec::new() };
        for (items, stats) in kept {
            next.items.extend_from_slice(&items);
            next.stats.push(stats);
        }
        next
    }

    /// The children of slice `parent` with a later last predicate that may matter, and how many were counted.
    fn children(
        &self,
        level: &Level,
        parent: usize,
        places: &HashMap<&[Item], u32, BuildHasherDefault<ItemHasher>>,
        rows: &[Vec<u32>],
        least: f64,
        scratch: &mut Scratch,
    ) -> (Vec<(Vec<Item>, Stats)>, u64) {
        let items = level.slice(parent);
        let (prefix, last) = (&items[..level.width - 1], items[level.width - 1]);
        let last_column = self.items.column_of(last);
        let stats = level.stats[parent];
        if self.scorer.bound(stats) < least {
            return (Vec::new(), 0);
        }
        scratch.candidates.clear();
        let mut key = items.to_vec();
        for sibling in parent + 1..level.len() {
            let other = level.slice(sibling);
            if other[..level.width - 1] != *prefix {
                break;
            }
            let item = other[level.width - 1];
            let column = self.items.column_of(item);
            if column == last_column {
                continue;
            }
            let mut most = stats.within(level.stats[sibling]);
            if self.scorer.bound(most) < least {
                continue;
            }
            // The other parents lack one predicate of the prefix.
            let whole = (0..prefix.len()).all(|without| {
                key.clear();
                key.extend(prefix.iter().enumerate().filter(|(i, _)| *i != without).map(|(_, item)| *item));
                key.extend([last, item]);
                match places.get(key.as_slice()) {
                    Some(&place) => {
                        most = most.within(level.stats[place as usize]);
                        true
                    }
                    None => false,
                }
            });
            if whole && self.scorer.bound(most) >= least {
                scratch.candidates.push((column, item));
            }
        }
        if scratch.candidates.is_empty() {
            return (Vec::new(), 0);
        }
        self.gather(items, rows, &mut scratch.rows);
        scratch.errors.clear();
        scratch.errors.extend(scratch.rows.iter().map(|&r| self.errors[r as usize]));
        let mut children = Vec::new();
        for group in scratch.candidates.chunk_by(|a, b| a.0 == b.0) {
            let column = group[0].0;
            let codes: &[u32] = &self.items.columns[column];
            let counts = &mut scratch.counts[..self.items.values(column)];
            for (&row, &error) in scratch.rows.iter().zip(&scratch.errors) {
                count(&mut counts[codes[row as usize] as usize], error);
            }
            for &(_, item) in group {
                let stats = counts[(item - self.items.first[column]) as usize];
                if self.is_candidate(stats) && self.scorer.bound(stats) >= least {
                    let mut child = Vec::with_capacity(items.len() + 1);
                    child.extend_from_slice(items);
                    child.push(item);
                    children.push((child, stats));
                }
            }
            let nothing = Stats::default();
            if scratch.rows.len() < counts.len() {
                for &row in &scratch.rows {
                    counts[codes[row as usize] as usize] = nothing;
                }
            } else {
                counts.fill(nothing);
            }
        }
        (children, scratch.candidates.len() as u64)
    }

    /// The rows of a slice: those of its rarest predicate that meet the others, in order.
    fn gather(&self, items: &[Item], rows: &[Vec<u32>], into: &mut Vec<u32>) {
        let rarest = items.iter().copied().min_by_key(|&i| rows[i as usize].len()).unwrap_or(0);
        into.clear();
        let others: Vec<(&[u32], u32)> = items
            .iter()
            .filter(|&&i| i != rarest)
            .map(|&i| {
                let column = self.items.column_of(i);
                (&*self.items.columns[column], i - self.items.first[column])
            })
            .collect();
        let of_rarest = rows[rarest as usize].iter().copied();
        into.extend(of_rarest.filter(|&row| others.iter().all(|(codes, code)| codes[row as usize] == *code)));
    }
}

fn count(stats: &mut Stats, error: f64) {
    stats.rows += 1;
    stats.error += error;
    stats.worst = stats.worst.max(error);
}

/// What one thread reuses from parent to parent.
struct Scratch {
    candidates: Vec<(usize, Item)>,
    rows: Vec<u32>,
    errors: Vec<f64>,
    counts: Vec<Stats>,
}

impl Scratch {
    fn new(items: &Items<'_>) -> Self {
        let most = (0..items.columns.len()).map(|c| items.values(c)).max().unwrap_or(0);
        Self { candidates: Vec::new(), rows: Vec::new(), errors: Vec::new(), counts: vec![Stats::default(); most] }
    }
}

/// A fast hash of item lists; they come from no adversary, only from sorted item numbers.
#[derive(Default)]
struct ItemHasher(u64);

impl Hasher for ItemHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517C_C1B7_2722_0A95);
        }
    }
}
