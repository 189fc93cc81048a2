//! What each feature contributed to a margin: exact Shapley values of trees, for the game in which an unknown feature
//! sends a row both ways, in proportion to the covers of the children ("path-dependent" TreeSHAP; Lundberg, Erion and
//! Lee, *Consistent Individualized Feature Attribution for Tree Ensembles*, 2018).
//!
//! On the way to a leaf of weight w let player i have passed a share z_i of its conditions' covers, and let o_i be 1 where
//! the row meets them all, else 0. The Shapley weight of a coalition of s out of d players is a Beta integral,
//! s! (d - 1 - s)! / d! = ∫ t^s (1 - t)^(d - 1 - s) dt over 0..1, so that player i contributes
//!
//! > w (o_i - z_i) ∫ Π_{j≠i} (o_j t + z_j (1 - t)) dt
//!
//! a polynomial of degree d - 1, which a Gauss-Legendre rule of ⌈d / 2⌉ points integrates exactly. No term of it is
//! negative, hence nothing cancels. Sums over the leaves below an edge are shared, so a row costs a tree's nodes times
//! the points.

use super::booster::{Booster, Input, Linear, Scorer, Trees};
use super::score::Block;
use crate::backend::native::trees::{Branch, Forest, Node, Number, Vote, oracle};
use crate::{Error, ErrorKind, Result};

/// The deepest trees that are explained: each level is a call deeper, and a row of numbers.
const MOST_LEVELS: usize = 1024;

/// What explains the margins of one booster.
#[derive(Debug)]
pub(super) struct Explainer {
    game: Game,
    /// For each player the features that share what it contributes.
    players: Vec<Vec<u32>>,
    features: usize,
    targets: usize,
    /// The margin of a row of which nothing is known, one a target.
    expected: Vec<f64>,
}

#[derive(Debug)]
enum Game {
    Trees { forest: Forest<f64, f64>, trees: Vec<Tree> },
    Linear(Linear),
}

/// The weights of a tree for one target, with what is the same for all rows.
#[derive(Debug)]
struct Tree {
    target: usize,
    nodes: Vec<Place>,
    levels: usize,
    /// The points and weights of the integral.
    rule: Vec<(f64, f64)>,
}

#[derive(Debug, Clone)]
enum Place {
    Leaf(f64),
    Fork {
        /// Its place in the forest.
        node: u32,
        player: u32,
        /// The level of the last edge above that belongs to the same player.
        previous: Option<u32>,
        children: [Child; 2],
    },
}

#[derive(Debug, Clone, Copy, Default)]
struct Child {
    place: u32,
    /// The share of the cover of its parent.
    share: f64,
}

impl Explainer {
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the file does not say how many rows came through its nodes;
    /// [`ErrorKind::LimitExceeded`] for trees that are too deep.
    pub(super) fn new(booster: &Booster) -> Result<Self> {
        let sources: Vec<Vec<u32>> = match &booster.input {
            Input::Columns(columns) => columns.iter().map(|c| vec![c.feature]).collect(),
            Input::Stage(stage) => stage.sources(),
        };
        let (players, player_of) = distinct(sources);
        let mut expected = booster.base.clone();
        let game = match &booster.scorer {
            Scorer::F32(trees) => Game::trees(trees, &player_of, &mut expected)?,
            Scorer::Mixed(trees) => Game::trees(trees, &player_of, &mut expected)?,
            Scorer::F64(trees) => Game::trees(trees, &player_of, &mut expected)?,
            Scorer::Linear(linear) => {
                expected.iter_mut().zip(&linear.bias).for_each(|(e, b)| *e += f64::from(*b));
                Game::Linear(linear.clone())
            }
        };
        Ok(Self { game, players, features: booster.features.all(), targets: booster.base.len(), expected })
    }

    /// The number of contributions of one row: (targets, features + 1).
    pub(super) fn len(&self) -> usize {
        self.targets * (self.features + 1)
    }

    /// The contributions (m, targets, features + 1) for rows of `n` columns.
    pub(super) fn explain(&self, x: Block<'_>, n: usize, contributions: &mut [f64]) {
        let mut row = vec![0.0; n];
        let mut scratch = Scratch::default();
        let mut of_players = vec![0.0; self.players.len()];
        for (i, out) in contributions.chunks_exact_mut(self.len().max(1)).enumerate() {
            match x {
                Block::F32(x) => row.iter_mut().zip(&x[i * n..]).for_each(|(wide, x)| *wide = f64::from(*x)),
                Block::F64(x) => row.copy_from_slice(&x[i * n..(i + 1) * n]),
            }
            let width = self.features + 1;
            match &self.game {
                Game::Linear(linear) => {
                    for ((player, x), weights) in
                        self.players.iter().zip(&row).zip(linear.weights.chunks_exact(self.targets.max(1)))
                    {
                        for (target, weight) in weights.iter().enumerate().filter(|_| !x.is_nan()) {
                            out[target * width + player[0] as usize] += f64::from(*weight) * x;
                        }
                    }
                }
                Game::Trees { forest, trees } => {
                    for tree in trees {
                        of_players.fill(0.0);
                        tree.explain(forest, &row, &mut scratch, &mut of_players);
                        let out = &mut out[tree.target * width..(tree.target + 1) * width];
                        for (share, features) in of_players.iter().zip(&self.players).filter(|(s, _)| **s != 0.0) {
                            let each = share / features.len() as f64;
                            features.iter().for_each(|&f| out[f as usize] += each);
                        }
                    }
                }
            }
            for (out, expected) in out.chunks_exact_mut(width).zip(&self.expected) {
                out[self.features] = *expected;
            }
        }
    }
}

/// The distinct lists, and for each list which of them it is.
fn distinct(lists: Vec<Vec<u32>>) -> (Vec<Vec<u32>>, Vec<u32>) {
    let mut seen = std::collections::HashMap::new();
    let mut players: Vec<Vec<u32>> = Vec::new();
    let of = |list: Vec<u32>| {
        *seen.entry(list).or_insert_with_key(|list| {
            players.push(list.clone());
            players.len() as u32 - 1
        })
    };
    let player_of = lists.into_iter().map(of).collect();
    (players, player_of)
}

/// The same trees with f64 numbers, which hold every f32; f32 rows take the same ways through them.
fn widened<T: Number, W: Number>(forest: &Forest<T, W>) -> Forest<f64, f64> {
    let node = |node: &Node<T>| match *node {
        Node::Leaf { votes } => Node::Leaf { votes },
        Node::Branch(Branch { mode, nan_true, feature, threshold, yes, no, members }) => {
            Node::Branch(Branch { mode, nan_true, feature, threshold: threshold.to_f64(), yes, no, members })
        }
    };
    Forest {
        nodes: forest.nodes.iter().map(node).collect(),
        votes: forest.votes.iter().map(|v| Vote { target: v.target, weight: v.weight.to_f64() }).collect(),
        members: forest.members.iter().map(|m| m.to_f64()).collect(),
        sets: forest.sets.clone(),
        roots: forest.roots.clone(),
        targets: forest.targets,
    }
}

impl Game {
    fn trees<T: Number, W: Number>(trees: &Trees<T, W>, player_of: &[u32], expected: &mut [f64]) -> Result<Self> {
        if trees.covers.len() != trees.forest.nodes.len() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "the file does not say how many rows came through the nodes of its trees, which contributions need",
            ));
        }
        let forest = widened(&trees.forest);
        let mut built = Vec::new();
        for &root in &forest.roots {
            let mut plan = Plan {
                forest: &forest,
                covers: &trees.covers,
                player_of,
                nodes: Vec::new(),
                path: Vec::new(),
                levels: 0,
            };
            plan.add(root)?;
            let Plan { nodes: shape, levels, .. } = plan;
            let mut distinct_players = std::collections::BTreeSet::new();
            let mut targets = std::collections::BTreeSet::new();
            for (place, node) in &shape {
                match place {
                    Place::Fork { player, .. } => _ = distinct_players.insert(*player),
                    Place::Leaf(_) => targets.extend(forest.votes_of(*node).iter().map(|v| v.target)),
                }
            }
            let most = distinct_players.len().min(levels);
            for target in targets {
                let weigh = |(place, node): &(Place, u32)| match place {
                    Place::Leaf(_) => {
                        let votes = forest.votes_of(*node).iter();
                        Place::Leaf(votes.filter(|v| v.target == target).map(|v| v.weight).sum())
                    }
                    fork => fork.clone(),
                };
                let nodes: Vec<Place> = shape.iter().map(weigh).collect();
                expected[target as usize] += mean(&nodes);
                built.push(Tree {
                    target: target as usize,
                    nodes,
                    levels,
                    rule: gauss_legendre(most.div_ceil(2).max(1)),
                });
            }
        }
        Ok(Self::Trees { forest, trees: built })
    }
}

/// The mean of the leaves, weighted by their shares; children stand after their parents.
fn mean(nodes: &[Place]) -> f64 {
    let mut means = vec![0.0; nodes.len()];
    for (at, place) in nodes.iter().enumerate().rev() {
        means[at] = match place {
            Place::Leaf(weight) => *weight,
            Place::Fork { children, .. } => children.iter().map(|c| c.share * means[c.place as usize]).sum(),
        };
    }
    means[0]
}

/// A tree being written down.
struct Plan<'f> {
    forest: &'f Forest<f64, f64>,
    covers: &'f [f64],
    player_of: &'f [u32],
    /// Places with the nodes of the forest that they are.
    nodes: Vec<(Place, u32)>,
    /// The players of the edges from the root to here.
    path: Vec<u32>,
    levels: usize,
}

impl Plan<'_> {
    /// Adds the tree below `node`; its place is the number of those that were there before.
    fn add(&mut self, node: u32) -> Result<u32> {
        let place = self.nodes.len() as u32;
        self.levels = self.levels.max(self.path.len());
        // A forest may share nodes, which could be exponentially many when each is written out.
        if self.path.len() >= MOST_LEVELS || self.nodes.len() > self.forest.nodes.len() {
            return Err(Error::new(
                ErrorKind::LimitExceeded,
                "a tree is too deep for contributions, or shares its nodes",
            )
            .expected(format!("at most {MOST_LEVELS} levels")));
        }
        let Node::Branch(branch) = &self.forest.nodes[node as usize] else {
            self.nodes.push((Place::Leaf(0.0), node));
            return Ok(place);
        };
        let player = self.player_of[branch.feature as usize];
        // Edges are counted by the level of their lower end.
        let previous = self.path.iter().rposition(|&p| p == player).map(|at| at as u32 + 1);
        self.nodes.push((Place::Leaf(0.0), node));
        let cover = self.covers[node as usize];
        let mut children = [Child::default(); 2];
        self.path.push(player);
        for (child, to) in children.iter_mut().zip([branch.yes, branch.no]) {
            let share = self.covers[to as usize] / cover;
            *child = Child { place: self.add(to)?, share: if share.is_finite() { share } else { 0.0 } };
        }
        self.path.pop();
        self.nodes[place as usize].0 = Place::Fork { node, player, previous, children };
        Ok(place)
    }
}

/// The points and weights of a Gauss-Legendre rule of `count` points on 0..1, by Newton's method on the polynomial.
fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    let n = count as f64;
    let point = |i: usize| {
        let mut x = (std::f64::consts::PI * (i as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut before, mut value) = (1.0, x);
            for k in 2..=count {
                let k = k as f64;
                (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
            }
            slope = n * (x * value - before) / (x * x - 1.0);
            let step = value / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        ((1.0 + x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..count).map(point).collect()
}

/// What a row needs on its way through a tree, one row of points for each level.
#[derive(Debug, Default)]
struct Scratch {
    /// The products of the factors of all players on the path.
    products: Vec<f64>,
    /// The factor of the player of the edge.
    factors: Vec<f64>,
    /// Weights times products, summed over the leaves below.
    sums: Vec<f64>,
    /// Whether the row met all conditions of the player of the edge, and the share of the cover that passed them.
    edges: Vec<(f64, f64)>,
}

impl Tree {
    fn explain(&self, forest: &Forest<f64, f64>, row: &[f64], scratch: &mut Scratch, players: &mut [f64]) {
        let points = self.rule.len();
        let size = (self.levels + 1) * points;
        for list in [&mut scratch.products, &mut scratch.factors, &mut scratch.sums] {
            list.clear();
            list.resize(size, 1.0);
        }
        scratch.edges.clear();
        scratch.edges.resize(self.levels + 1, (1.0, 1.0));
        self.visit(0, 0, forest, row, scratch, players);
    }

    /// Leaves the sums of the leaves below `place` in the row of `level`, and gives the players of all edges below their
    /// due.
    fn visit(
        &self,
        place: u32,
        level: usize,
        forest: &Forest<f64, f64>,
        row: &[f64],
        scratch: &mut Scratch,
        players: &mut [f64],
    ) {
        let points = self.rule.len();
        let (here, below) = (level * points, (level + 1) * points);
        let (player, previous, children, yes) = match &self.nodes[place as usize] {
            Place::Leaf(weight) => {
                for q in here..below {
                    scratch.sums[q] = weight * scratch.products[q];
                }
                return;
            }
            Place::Fork { node, player, previous, children } => {
                let Node::Branch(branch) = &forest.nodes[*node as usize] else {
                    unreachable!("a fork is made of a branch")
                };
                let yes = oracle::goes_yes(forest, branch, row[branch.feature as usize]);
                (*player as usize, previous.map(|p| p as usize), children, yes)
            }
        };
        scratch.sums[here..below].fill(0.0);
        let (met_before, share_before) = previous.map_or((1.0, 1.0), |p| scratch.edges[p]);
        for (child, taken) in children.iter().zip([yes, !yes]) {
            let (met, share) = (if taken { met_before } else { 0.0 }, share_before * child.share);
            if met == 0.0 && share == 0.0 {
                continue;
            }
            scratch.edges[level + 1] = (met, share);
            for (q, (t, _)) in self.rule.iter().enumerate() {
                let factor = met * t + share * (1.0 - t);
                let before = previous.map_or(1.0, |p| scratch.factors[p * points + q]);
                scratch.factors[below + q] = factor;
                scratch.products[below + q] = scratch.products[here + q] * (factor / before);
            }
            self.visit(child.place, level + 1, forest, row, scratch, players);
            let (mut due, mut undone) = (0.0, 0.0);
            for (q, (_, weight)) in self.rule.iter().enumerate() {
                let sum = scratch.sums[below + q];
                scratch.sums[here + q] += sum;
                due += weight * sum / scratch.factors[below + q];
                if let Some(p) = previous {
                    undone += weight * sum / scratch.factors[p * points + q];
                }
            }
            // The edge above counts these leaves, too, with the conditions that the player had met by then.
            players[player] += (met - share) * due - (met_before - share_before) * undone;
        }
    }
}
