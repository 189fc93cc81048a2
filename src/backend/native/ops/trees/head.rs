//! The top of a tree as tests that are all asked at once.

use std::collections::BinaryHeap;

use super::number::Number;
use super::pack::{Place, Tree};
use crate::kernel::{EXITS, Test};

/// The part of a tree around its root that has at most [`EXITS`] ways out; of a small tree, all of it.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// Where its tests stand among those of all heads, and how many of them NaN fails; those stand first.
    pub(super) tests: (usize, usize),
    pub(super) plain: usize,
    /// The place in the tree that each exit leads to.
    pub(super) places: Box<[u32; EXITS]>,
    /// How many steps may be left from there.
    pub(super) rest: usize,
}

/// A node of the head while it grows.
struct Grown {
    place: u32,
    /// The child above and the child below, once the node is inside.
    children: Option<[usize; 2]>,
}

impl Head {
    /// The head of `tree`, whose tests are added to `tests`. The exits with most leaves behind them are opened first,
    /// for most rows come there.
    pub(super) fn new<T: Number>(tree: &Tree<T>, tests: &mut Vec<Test<T>>) -> Self {
        let leaves = leaves(tree);
        let resolve = |mut at: u32| {
            while let Place::Jump { to } = tree.places[at as usize] {
                at = to;
            }
            at
        };
        let mut grown = vec![Grown { place: resolve(0), children: None }];
        let mut exits = 1;
        let mut heap = BinaryHeap::from([(leaves[grown[0].place as usize], std::cmp::Reverse(0usize))]);
        while exits < EXITS
            && let Some((_, std::cmp::Reverse(at))) = heap.pop()
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
                heap.push((leaves[place as usize], std::cmp::Reverse(grown.len())));
                grown.push(Grown { place, children: None });
            }
            grown[at].children = Some([first, first + 1]);
            exits += 1;
        }
        let from = tests.len();
        let mut head = Self { tests: (from, from), plain: 0, places: Box::new([0; EXITS]), rest: 0 };
        let mut next = 0;
        let mut lenient = Vec::new();
        head.number(tree, &grown, 0, &mut next, tests, &mut lenient);
        head.plain = tests.len() - from;
        tests.extend(lenient);
        head.tests.1 = tests.len();
        head.rest = head.places[..next].iter().map(|&p| tree.heights[p as usize] as usize).max().unwrap_or(0);
        head
    }

    /// Numbers the exits below `at` from `next` on and gives the tests of the nodes on the way, those that NaN passes
    /// apart. A head is at most [`EXITS`] deep.
    fn number<T: Number>(
        &mut self,
        tree: &Tree<T>,
        grown: &[Grown],
        at: usize,
        next: &mut usize,
        plain: &mut Vec<Test<T>>,
        lenient: &mut Vec<Test<T>>,
    ) {
        let Grown { place, children } = &grown[at];
        let (Some([above, below]), Place::Branch { threshold, feature, nan_left, .. }) =
            (children, tree.places[*place as usize])
        else {
            self.places[*next] = *place;
            *next += 1;
            return;
        };
        let first = *next;
        self.number(tree, grown, *below, next, plain, lenient);
        // At least one exit is left for the other child, so the shift is below the number of bits.
        let ruled_out = ((1u32 << (*next - first)) - 1) << first;
        let test = Test { threshold, feature, mask: !ruled_out };
        if nan_left { lenient.push(test) } else { plain.push(test) }
        self.number(tree, grown, *above, next, plain, lenient);
    }
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
