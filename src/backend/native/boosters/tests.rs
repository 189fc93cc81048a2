//! The common form against what it means, spelled out.

use super::booster::{Booster, Features, Input, LinearLeaf, Link, Scorer, Task, Trees};
use super::columns::{Column, Missing};
use super::compact::compact;
use super::narrow::narrowed;
use super::score::{Block, Ready};
use super::shap::Explainer;
use crate::TreeEngine;
use crate::backend::native::trees::{Branch, Forest, Mode, Node, Vote, oracle};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    /// A number in -1..1.
    fn number(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Trees over `features` columns; leaves of some vote for two of `targets`.
fn trees(random: &mut Random, count: usize, features: u64, targets: usize, depth: usize) -> Trees<f64, f64> {
    let forest = Forest { nodes: vec![], votes: vec![], members: vec![], sets: vec![], roots: vec![], targets };
    let mut built = Trees { forest, leaf_numbers: vec![], covers: vec![], linear: vec![] };
    for _ in 0..count {
        let root = grow(random, &mut built, features, depth, 100.0);
        built.forest.roots.push(root);
    }
    built.leaf_numbers = (0..built.forest.nodes.len() as u32).collect();
    built
}

fn grow(random: &mut Random, built: &mut Trees<f64, f64>, features: u64, depth: usize, cover: f64) -> u32 {
    let at = built.forest.nodes.len() as u32;
    let votes = built.forest.votes.len() as u32;
    built.covers.push(cover);
    built.forest.nodes.push(Node::Leaf { votes: (votes, votes) });
    let forest = &mut built.forest;
    if depth == 0 || random.below(6) == 0 {
        for target in 0..forest.targets as u32 {
            if target == 0 || random.below(2) == 0 {
                forest.votes.push(Vote { target, weight: random.number() });
            }
        }
        forest.nodes[at as usize] = Node::Leaf { votes: (votes, forest.votes.len() as u32) };
        return at;
    }
    let modes = [Mode::Leq, Mode::Lt, Mode::Gte, Mode::Gt];
    let (mode, nan_true) = (modes[random.below(4) as usize], random.below(2) == 0);
    let (feature, threshold) = (random.below(features) as u32, random.number());
    // Now and then nothing at all went one way.
    let share = if random.below(8) == 0 { 0.0 } else { random.number() / 2.0 + 0.5 };
    let yes = grow(random, built, features, depth - 1, cover * share);
    let no = grow(random, built, features, depth - 1, cover * (1.0 - share));
    built.forest.nodes[at as usize] =
        Node::Branch(Branch { mode, nan_true, feature, threshold, yes, no, members: (0, 0) });
    at
}

fn booster(trees: Trees<f64, f64>, features: usize) -> Booster {
    Booster {
        format: "test",
        features: Features { count: features, ..Features::default() },
        input: Input::plain(features),
        absent: 0.0,
        base: (0..trees.forest.targets).map(|t| t as f64 + 0.25).collect(),
        scorer: Scorer::F64(trees),
        divisor: 1.0,
        link: Link::Identity,
        task: Task::Regression,
        notes: vec![],
    }
}

/// What the trees give for one target where only the features of `known` are known.
fn game(trees: &Trees<f64, f64>, target: u32, known: u32, row: &[f64]) -> f64 {
    fn below(trees: &Trees<f64, f64>, at: u32, target: u32, known: u32, row: &[f64]) -> f64 {
        let forest = &trees.forest;
        let Node::Branch(branch) = &forest.nodes[at as usize] else {
            return forest.votes_of(at).iter().filter(|v| v.target == target).map(|v| v.weight).sum();
        };
        if known >> branch.feature & 1 == 1 {
            let yes = oracle::goes_yes(forest, branch, row[branch.feature as usize]);
            return below(trees, if yes { branch.yes } else { branch.no }, target, known, row);
        }
        let cover = trees.covers[at as usize];
        let of_child = |child: u32| {
            let share = if cover == 0.0 { 0.0 } else { trees.covers[child as usize] / cover };
            share * below(trees, child, target, known, row)
        };
        of_child(branch.yes) + of_child(branch.no)
    }
    trees.forest.roots.iter().map(|&root| below(trees, root, target, known, row)).sum()
}

/// Shapley values by their definition, over all coalitions.
fn shapley(trees: &Trees<f64, f64>, target: u32, features: u32, row: &[f64]) -> Vec<f64> {
    let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
    let weight = |size: u32| factorial(size) * factorial(features - size - 1) / factorial(features);
    (0..features)
        .map(|player| {
            let others = (0..1u32 << features).filter(|set| set >> player & 1 == 0);
            others
                .map(|set| {
                    let gain = game(trees, target, set | 1 << player, row) - game(trees, target, set, row);
                    weight(set.count_ones()) * gain
                })
                .sum()
        })
        .collect()
}

#[test]
fn contributions_are_shapley_values() {
    const FEATURES: usize = 6;
    let mut random = Random(1);
    for targets in [1, 3] {
        let trees = trees(&mut random, 5, FEATURES as u64, targets, 7);
        let booster = booster(trees.clone(), FEATURES);
        let explainer = Explainer::new(&booster).unwrap();
        for _ in 0..20 {
            let mut row: Vec<f64> = (0..FEATURES).map(|_| random.number()).collect();
            row[random.below(FEATURES as u64) as usize] = f64::NAN;
            let mut got = vec![0.0; explainer.len()];
            explainer.explain(Block::F64(&row), FEATURES, &mut got);
            for target in 0..targets {
                let got = &got[target * (FEATURES + 1)..(target + 1) * (FEATURES + 1)];
                let expected = shapley(&trees, target as u32, FEATURES as u32, &row);
                for (got, expected) in got.iter().zip(&expected) {
                    assert!((got - expected).abs() < 1e-13, "{got} for {expected}");
                }
                let margin = game(&trees, target as u32, u32::MAX, &row) + booster.base[target];
                assert!((got.iter().sum::<f64>() - margin).abs() <= 1e-12 * margin.abs());
            }
        }
    }
}

#[test]
fn contributions_of_deep_trees_sum_to_the_margin() {
    const FEATURES: usize = 400;
    let mut random = Random(2);
    // A chain as long as trees may be, each node asking another feature.
    let forest = Forest { nodes: vec![], votes: vec![], members: vec![], sets: vec![], roots: vec![0], targets: 1 };
    let mut chain = Trees { forest, leaf_numbers: vec![], covers: vec![], linear: vec![] };
    let mut cover = 1e6;
    for i in 0..FEATURES as u32 {
        let (threshold, weight) = (random.number(), random.number());
        let branch = Branch {
            mode: Mode::Lt,
            nan_true: false,
            feature: i,
            threshold,
            yes: 2 * i + 1,
            no: 2 * i + 2,
            members: (0, 0),
        };
        chain.forest.votes.push(Vote { target: 0, weight });
        chain.forest.nodes.extend([Node::Branch(branch), Node::Leaf { votes: (i, i + 1) }]);
        chain.covers.extend([cover, cover * 0.02]);
        cover *= 0.98;
    }
    chain.forest.votes.push(Vote { target: 0, weight: 1.0 });
    chain.forest.nodes.push(Node::Leaf { votes: (FEATURES as u32, FEATURES as u32 + 1) });
    chain.covers.push(cover);
    let booster = booster(chain.clone(), FEATURES);
    let explainer = Explainer::new(&booster).unwrap();
    for at in [0, 10, FEATURES] {
        let row: Vec<f64> = (0..FEATURES).map(|i| if i < at { 2.0 } else { -2.0 }).collect();
        let mut got = vec![0.0; explainer.len()];
        explainer.explain(Block::F64(&row), FEATURES, &mut got);
        let leaf = oracle::leaf(&chain.forest, 0, &row);
        let margin = chain.forest.votes_of(leaf)[0].weight + 0.25;
        let sum: f64 = got.iter().sum();
        assert!((sum - margin).abs() <= 1e-9 * margin.abs(), "{sum} for {margin}");
    }
}

#[test]
fn narrow_trees_send_f32_rows_where_wide_ones_do() {
    let mut random = Random(3);
    let wide = trees(&mut random, 30, 4, 1, 5).forest;
    let narrow = narrowed(&wide);
    let thresholds: Vec<f64> = wide
        .nodes
        .iter()
        .filter_map(|n| if let Node::Branch(b) = n { Some(b.threshold) } else { None })
        .chain([f64::MAX, f64::MIN, 1e-310, -1e-310, f64::INFINITY])
        .collect();
    for _ in 0..2000 {
        let row: Vec<f32> = (0..4)
            .map(|_| {
                let near = thresholds[random.below(thresholds.len() as u64) as usize] as f32;
                [near, near.next_up(), near.next_down(), f32::NAN][random.below(4) as usize]
            })
            .collect();
        let same: Vec<f64> = row.iter().map(|&x| x.into()).collect();
        for &root in &wide.roots {
            assert_eq!(oracle::leaf(&narrow, root, &row), oracle::leaf(&wide, root, &same), "{row:?}");
        }
    }
}

/// The sums of a booster for rows of its columns.
fn sums(booster: &Booster, x: &[f64], n: usize) -> Vec<f64> {
    let Ready::F64(score) = Ready::new(&booster.scorer, false, TreeEngine::Auto).unwrap() else {
        panic!("it sums in f64")
    };
    let mut sums = vec![0.0; x.len() / n * booster.base.len()];
    score.add(Block::F64(x), n, &mut sums);
    sums
}

#[test]
fn columns_that_no_tree_compares_are_left_out() {
    let mut random = Random(4);
    let mut grown = trees(&mut random, 6, 3, 1, 4);
    // The features 0, 1, 2 become 2, 5, 8 of ten.
    for node in &mut grown.forest.nodes {
        if let Node::Branch(b) = node {
            b.feature = b.feature * 3 + 2;
        }
    }
    let whole = booster(grown.clone(), 10);
    let mut less = booster(grown, 10);
    compact(&mut less);
    let Input::Columns(columns) = &less.input else { panic!("it has columns") };
    assert_eq!(*columns, [2, 5, 8].map(Column::plain));
    for _ in 0..50 {
        let row: Vec<f64> = (0..10).map(|_| random.number()).collect();
        let picked: Vec<f64> = columns.iter().map(|c| row[c.feature as usize]).collect();
        assert_eq!(sums(&whole, &row, 10), sums(&less, &picked, 3));
    }
}

#[test]
fn linear_leaves_answer_unless_something_is_missing() {
    let leaf = |at: u32| Node::Leaf { votes: (at, at + 1) };
    let branch = Branch { mode: Mode::Leq, nan_true: true, feature: 0, threshold: 0.0, yes: 1, no: 2, members: (0, 0) };
    let forest = Forest {
        nodes: vec![Node::Branch(branch), leaf(0), leaf(1)],
        votes: vec![Vote { target: 0, weight: 7.0 }, Vote { target: 0, weight: 8.0 }],
        members: vec![],
        sets: vec![],
        roots: vec![0],
        targets: 1,
    };
    let linear = vec![None, Some(LinearLeaf { constant: 1.0, terms: vec![(1, 2.0), (0, -1.0)] }), None];
    let trees = Trees { forest, leaf_numbers: vec![0, 0, 1], covers: vec![], linear };
    let booster = booster(trees, 2);
    let x = [-1.0, 3.0, 1.0, 3.0, -1.0, f64::NAN, f64::NAN, 3.0];
    assert_eq!(sums(&booster, &x, 2), [1.0 + 6.0 + 1.0, 8.0, 7.0, 7.0]);
}

#[test]
fn rules_for_the_missing() {
    let rules = [Missing::IsNan, Missing::NanIsZero, Missing::ZeroOrNan];
    let seen = |x: f64| rules.map(|rule| rule.apply(x).to_bits());
    let same = |all: [f64; 3]| all.map(f64::to_bits);
    assert_eq!(seen(f64::NAN), same([f64::NAN, 0.0, f64::NAN]));
    assert_eq!(seen(-0.0), same([-0.0, -0.0, f64::NAN]));
    let edge = f64::from(1e-35f32);
    assert_eq!(seen(edge), same([edge, edge, f64::NAN]));
    assert_eq!(seen(edge.next_up()), same([edge.next_up(); 3]));
}
