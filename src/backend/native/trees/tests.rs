use super::engine::{Engine, Engines, Options};
use super::forest::{Branch, Forest, Mode, Node, Vote};
use super::number::Number;
use super::oracle;
use crate::TreeEngine;
use crate::kernel::Isa;

const MODES: [Mode; 9] =
    [Mode::Leq, Mode::Lt, Mode::Gte, Mode::Gt, Mode::Eq, Mode::Neq, Mode::Member, Mode::InSet, Mode::InSetFromZero];

/// A generator of small numbers.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    fn number<T: Number>(&mut self) -> T {
        let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.0, 2.0, -1.0];
        match self.below(4) {
            0 => T::from_f64(special[self.below(special.len())]),
            1 => T::from_f64(self.below(80) as f64 - 4.0 + [0.0, 0.25][self.below(2)]),
            _ => T::from_f64((self.below(9) as f64 - 4.0) / 2.0),
        }
    }
}

/// Random trees; later nodes of a tree are the descendants of earlier ones, and some are shared.
fn random<T: Number>(draw: &mut Draw, trees: usize, branches: usize, modes: &[Mode], targets: usize) -> Forest<T> {
    let (mut nodes, mut votes, mut members, mut roots) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut sets = Vec::new();
    for _ in 0..trees {
        let base = nodes.len();
        roots.push(base as u32);
        for i in 0..branches {
            // Every node after the first is somebody's child; the rest of the children are leaves or shared nodes.
            let child = |d: &mut Draw| {
                let leaf = base + branches + d.below(branches + 1);
                let inner = (i + 1 < branches).then(|| base + i + 1 + d.below((branches - i - 1).min(3)));
                (if d.below(4) == 0 { leaf } else { inner.unwrap_or(leaf) }) as u32
            };
            let (yes, no) = (child(draw), child(draw));
            let mode = modes[draw.below(modes.len())];
            let range = if matches!(mode, Mode::InSet | Mode::InSetFromZero) {
                let from = sets.len() as u32;
                sets.extend((0..draw.below(3)).map(|_| draw.below(1 << 31) as u32 & draw.below(1 << 31) as u32));
                (from, sets.len() as u32)
            } else {
                let from = members.len() as u32;
                members.extend((0..draw.below(4)).map(|_| draw.number::<T>()));
                (from, members.len() as u32)
            };
            nodes.push(Node::Branch(Branch {
                mode,
                nan_true: draw.below(3) == 0,
                feature: draw.below(3) as u32,
                threshold: draw.number(),
                yes,
                no,
                members: range,
            }));
        }
        for _ in 0..=branches {
            let from = votes.len() as u32;
            for target in 0..targets as u32 {
                if targets == 1 || draw.below(3) > 0 {
                    votes.push(Vote { target, weight: T::from_f64(draw.below(100) as f64 / 8.0) });
                }
            }
            nodes.push(Node::Leaf { votes: (from, votes.len() as u32) });
        }
    }
    Forest { nodes, votes, members, sets, roots, targets }
}

/// Holds every engine against the oracle on `m` rows.
fn check<T: Engines, W: Number>(draw: &mut Draw, forest: &Forest<T, W>, m: usize) {
    let x: Vec<T> = (0..m * 3).map(|_| draw.number()).collect();
    hold(draw, forest, &x);
}

/// Holds every engine against the oracle on rows of three features.
fn hold<T: Engines, W: Number>(draw: &mut Draw, forest: &Forest<T, W>, x: &[T]) {
    let m = x.len() / 3;
    let mut expected = vec![W::ZERO; m * forest.targets];
    for (row, sums) in x.chunks_exact(3).zip(expected.chunks_exact_mut(forest.targets)) {
        for votes in oracle::votes(forest, row) {
            votes.iter().for_each(|v| sums[v.target as usize] += v.weight);
        }
    }
    for engine in TreeEngine::ALL {
        for isa in Isa::all() {
            let options = Options { engine, isa, each_vote: draw.below(2) == 0 };
            let engine = Engine::new(forest, options).unwrap();
            let mut sums = vec![W::ZERO; m * forest.targets];
            engine.sums(x, 3, &mut sums);
            assert_eq!(sums, expected, "{}", engine.describe());
            engine.leaves(x, 3, |row, tree, leaf| {
                let expected = oracle::leaf(forest, forest.roots[tree], &x[3 * row..3 * row + 3]);
                assert_eq!(engine.node_of(leaf), expected, "{}", engine.describe());
            });
            if options.each_vote {
                sums.fill(W::ZERO);
                engine.votes(x, 3, |row, vote| sums[row * forest.targets + vote.target as usize] += vote.weight);
                assert_eq!(sums, expected, "{}", engine.describe());
            }
        }
    }
}

#[test]
fn every_engine_agrees_with_the_oracle() {
    let mut draw = Draw(7);
    for round in 0..27 {
        let modes = if round % 2 == 0 { &MODES[..] } else { &MODES[round % 9..round % 9 + 1] };
        let (trees, branches) =
            (1 + draw.below(11), [draw.below(14), draw.below(14), draw.below(70)][draw.below(3)] + 1);
        let targets = [1, 3, 2][round % 3];
        let m = [1, 5, 64, 150, 300][draw.below(5)];
        let forest = random::<f32>(&mut draw, trees, branches, modes, targets);
        check(&mut draw, &forest, m);
        check(&mut draw, &forest.widened(), m);
        // Features in f32, sums in f64.
        let votes = forest.votes.iter().map(|v| Vote { target: v.target, weight: f64::from(v.weight) / 3.0 }).collect();
        let Forest { nodes, members, sets, roots, targets, .. } = forest;
        check(&mut draw, &Forest { nodes, votes, members, sets, roots, targets }, m);
    }
}

/// Enough trees that one row alone has a road of its own, or, where they are too large, walks.
#[test]
fn one_row_through_many_trees() {
    let mut draw = Draw(13);
    for (round, branches) in [7, 24, 12].into_iter().enumerate() {
        let trees = [400, 420, 1100][round];
        let mut forest: Forest<f32> = random(&mut draw, trees, branches, &MODES, 1 + round % 2);
        // Sets of many values have a bound on what they grow to when they are walked.
        forest.sets.resize(forest.sets.len() + 4 * forest.nodes.len(), 0);
        for m in [1, 3] {
            check(&mut draw, &forest, m);
        }
    }
}

/// Trees whose levels ask one question each, of every kind.
#[test]
fn oblivious_trees_are_found() {
    let mut draw = Draw(11);
    for round in 0..20 {
        let mut forest: Forest<f32> = random(&mut draw, 1, 3, &MODES, 1);
        forest.roots.clear();
        for _ in 0..1 + draw.below(20) {
            let levels = if round == 7 { 6 + draw.below(5) } else { draw.below(9) };
            let base = forest.nodes.len() as u32;
            forest.roots.push(base);
            for level in 0..levels {
                let branch = loop {
                    if let Node::Branch(branch) = forest.nodes[draw.below(base as usize)] {
                        break branch;
                    }
                };
                for i in 0..1u32 << level {
                    let child = base + (2 << level) - 1 + 2 * i;
                    let mut branch = branch;
                    // What a node may grow to is bounded by the lists of the forest: each has its own.
                    if matches!(branch.mode, Mode::InSet | Mode::InSetFromZero) {
                        let from = forest.sets.len() as u32;
                        forest.sets.extend_from_within(branch.members.0 as usize..branch.members.1 as usize);
                        branch.members = (from, forest.sets.len() as u32);
                    }
                    forest.nodes.push(Node::Branch(Branch { yes: child, no: child + 1, ..branch }));
                }
            }
            for _ in 0..1 << levels {
                let from = forest.votes.len() as u32;
                forest.votes.push(Vote { target: 0, weight: draw.below(1000) as f32 / 7.0 });
                forest.nodes.push(Node::Leaf { votes: (from, from + 1) });
            }
        }
        let engine = Engine::new(&forest, Options::default()).unwrap();
        assert!(engine.describe().starts_with("oblivious"), "{}", engine.describe());
        check(&mut draw, &forest, [1, 20, 70, 300][round % 4]);
    }
}

/// More thresholds of a feature than the ranks of one column, and numbers at and around them.
#[test]
fn ranks_tell_neighbours_apart() {
    let mut draw = Draw(5);
    let mut forest: Forest<f32> =
        Forest { nodes: vec![], votes: vec![], members: vec![], sets: vec![], roots: vec![], targets: 1 };
    let mut thresholds = Vec::new();
    for tree in 0..320u32 {
        let t = draw.below(4000) as f32 / 7.0 - 200.0;
        let t = [t, t.next_up(), t.next_down()][draw.below(3)];
        thresholds.push(t);
        let base = forest.nodes.len() as u32;
        forest.roots.push(base);
        forest.nodes.push(Node::Branch(Branch {
            mode: MODES[draw.below(4)],
            nan_true: draw.below(2) == 0,
            feature: u32::from(draw.below(10) == 0),
            threshold: t,
            yes: base + 1,
            no: base + 2,
            members: (0, 0),
        }));
        for weight in [0.0, 2f32.powi((tree % 20) as i32)] {
            let from = forest.votes.len() as u32;
            forest.votes.push(Vote { target: 0, weight });
            forest.nodes.push(Node::Leaf { votes: (from, from + 1) });
        }
    }
    let mut rows = Vec::new();
    for t in thresholds {
        for x in [t, t.next_up(), t.next_down()] {
            rows.extend([x, if draw.below(9) == 0 { f32::NAN } else { x }, 0.0]);
        }
    }
    hold(&mut draw, &forest, &rows);
    let rows: Vec<f64> = rows.into_iter().map(f64::from).collect();
    hold(&mut draw, &forest.widened(), &rows);
}

/// What LightGBM and XGBoost say of numbers that are no categories.
#[test]
fn sets_hold_whole_numbers() {
    let cases: [(f64, bool, bool); 12] = [
        (0.0, true, true),
        (-0.0, true, true),
        (0.9, true, true),
        (-0.9, true, false),
        (-1.0, false, false),
        (1.0, false, false),
        (33.0, true, true),
        (33.999, true, true),
        (34.0, false, false),
        (64.0, false, false),
        (f64::INFINITY, false, false),
        (f64::NAN, false, false),
    ];
    for (mode, nan_true) in [(Mode::InSet, false), (Mode::InSetFromZero, false), (Mode::InSet, true)] {
        let branch = Branch { mode, nan_true, feature: 0, threshold: 0.0, yes: 1, no: 2, members: (1, 3) };
        let leaf = |i| Node::Leaf { votes: (i, i + 1) };
        let forest: Forest<f32, f64> = Forest {
            nodes: vec![Node::Branch(branch), leaf(0), leaf(1)],
            votes: [1.0, 0.0].map(|weight| Vote { target: 0, weight }).to_vec(),
            members: Vec::new(),
            sets: vec![9, 1, 2, 9],
            roots: vec![0],
            targets: 1,
        };
        let engine = Engine::new(&forest, Options::default()).unwrap();
        for (x, truncated, from_zero) in cases {
            let mut sums = [0.0];
            engine.sums(&[x as f32], 1, &mut sums);
            let expected = if mode == Mode::InSet { truncated } else { from_zero };
            assert_eq!(sums[0] == 1.0, expected || nan_true && x.is_nan(), "{x} {mode:?}");
        }
    }
}

#[test]
fn trees_too_large_for_tests_alone_are_walked() {
    let mut draw = Draw(3);
    for modes in [&MODES[..1], &MODES[..4]] {
        let mut forest = random::<f32>(&mut draw, 2, 1, modes, 1);
        // A tree of 2^10 leaves whose thresholds make it unbalanced.
        let base = forest.nodes.len() as u32;
        forest.roots.push(base);
        for i in 0..1023u32 {
            forest.nodes.push(Node::Branch(Branch {
                mode: modes[draw.below(modes.len())],
                nan_true: i % 5 == 0,
                feature: i % 3,
                threshold: draw.number(),
                yes: base + 2 * i + 1,
                no: base + 2 * i + 2,
                members: (0, 0),
            }));
        }
        for i in 0..1024u32 {
            let from = forest.votes.len() as u32;
            forest.votes.push(Vote { target: 0, weight: i as f32 });
            forest.nodes.push(Node::Leaf { votes: (from, from + 1) });
        }
        for m in [1, 70, 200] {
            check(&mut draw, &forest, m);
        }
    }
}
