//! The top of a tree as tests that are all asked at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::number::Number;
use super::pack::{Place, Tree};
use crate::kernel::{Isa, SECTION, Section, Test, worthwhile_exits};

/// The part of a tree around its root for which asking all tests is faster than walking; of most trees, all of it.
#[derive(Debug, Clone)]
pub(super) struct Head<T> {
    pub(super) sections: Vec<Section<T>>,
    /// The place in the tree that each exit leads to.
    pub(super) places: Vec<u32>,
    /// How many steps may be left from there.
    pub(super) rest: usize,
}

/// A node of the head while it grows.
struct Grown {
    place: u32,
    /// The child above and the child below, once the node is inside.
    children: Option<[usize; 2]>,
}

/// A test with the exits that it rules out.
struct Ruling<T> {
    threshold: T,
    feature: u32,
    lenient: bool,
    from: usize,
    to: usize,
}

impl<T: Number> Head<T> {
    /// The head of `tree` for processors like `isa`.
    pub(super) fn new(tree: &Tree<T>, isa: Isa) -> Self {
        let grown = grow(tree, isa);
        let (mut places, mut rulings) = (Vec::new(), Vec::new());
        number(tree, &grown, &mut places, &mut rulings);
        let sections = (0..places.len().div_ceil(SECTION)).map(|s| section(&rulings, s * SECTION)).collect();
        let rest = places.iter().map(|&p| tree.heights[p as usize] as usize).max().unwrap_or(0);
        Self { sections, places, rest }
    }
}

impl<T> Head<T> {
    pub(super) fn bytes(&self) -> usize {
        let tests = |s: &Section<T>| size_of_val(&*s.plain) + size_of_val(&*s.lenient);
        self.sections.iter().map(tests).sum::<usize>() + size_of_val(&*self.places)
    }
}

/// Chooses the nodes of the head: those with most leaves behind them come first, for most rows come there.
fn grow<T: Number>(tree: &Tree<T>, isa: Isa) -> Vec<Grown> {
    let leaves = leaves(tree);
    let (whole, part) = worthwhile_exits(isa);
    let most = if leaves[0] as usize <= whole { whole } else { part };
    let resolve = |mut at: u32| {
        while let Place::Jump { to } = tree.places[at as usize] {
            at = to;
        }
        at
    };
    let root = resolve(0);
    let mut grown = vec![Grown { place: root, children: None }];
    let mut exits = 1;
    let mut open = BinaryHeap::from([(leaves[root as usize], Reverse(0usize))]);
    while exits < most
        && let Some((_, Reverse(at))) = open.pop()
    {
        let Place::Branch { left, threshold, nan_left, .. } = tree.places[grown[at].place as usize] else {
            continue;
        };
        // A gate that only NaN passes is neither of the two kinds of tests.
        if nan_left && threshold.is_nan() {
            continue;
        }
        let first = grown.len();
        for child in [left, left + 1] {
            let place = resolve(child);
            open.push((leaves[place as usize], Reverse(grown.len())));
            grown.push(Grown { place, children: None });
        }
        grown[at].children = Some([first, first + 1]);
        exits += 1;
    }
    grown
}

/// Numbers the exits, those below a node before those above it, and collects what each node rules out.
fn number<T: Number>(tree: &Tree<T>, grown: &[Grown], places: &mut Vec<u32>, rulings: &mut Vec<Ruling<T>>) {
    enum Todo {
        Enter(usize),
        /// All exits below the node are numbered, the first of them being this one.
        Below(usize, usize),
    }
    let mut todo = vec![Todo::Enter(0)];
    while let Some(next) = todo.pop() {
        match next {
            Todo::Enter(at) => match grown[at].children {
                None => places.push(grown[at].place),
                Some([above, below]) => {
                    todo.extend([Todo::Enter(above), Todo::Below(at, places.len()), Todo::Enter(below)]);
                }
            },
            Todo::Below(at, from) => {
                if let Place::Branch { threshold, feature, nan_left, .. } = tree.places[grown[at].place as usize] {
                    rulings.push(Ruling { threshold, feature, lenient: nan_left, from, to: places.len() });
                }
            }
        }
    }
}

/// The tests that concern the exits from `first` on.
fn section<T: Number>(rulings: &[Ruling<T>], first: usize) -> Section<T> {
    let mut section = Section { plain: Vec::new(), lenient: Vec::new() };
    for ruling in rulings {
        let from = ruling.from.max(first) - first;
        let to = ruling.to.min(first + SECTION).saturating_sub(first);
        if from >= to {
            continue;
        }
        let ruled_out = (u32::MAX >> (SECTION - (to - from))) << from;
        let test = Test { threshold: ruling.threshold, feature: ruling.feature, mask: !ruled_out };
        if ruling.lenient { section.lenient.push(test) } else { section.plain.push(test) }
    }
    section
}

/// The number of leaves behind every place, up to the largest u32.
fn leaves<T: Number>(tree: &Tree<T>) -> Vec<u32> {
    let mut order: Vec<u32> = (0..tree.places.len() as u32).collect();
    order.sort_unstable_by_key(|&at| tree.heights[at as usize]);
    let mut leaves = vec![0u32; tree.places.len()];
    for at in order {
        leaves[at as usize] = match tree.places[at as usize] {
            Place::Leaf { .. } => 1,
            Place::Jump { to } => leaves[to as usize],
            Place::Branch { left, .. } => leaves[left as usize].saturating_add(leaves[left as usize + 1]),
        };
    }
    leaves
}
