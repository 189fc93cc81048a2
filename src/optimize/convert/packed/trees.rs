//! Ensembles of trees.

use std::collections::HashMap;

use super::dag::{Dag, Node, Voted};
use super::learned::{Post, floats, ints, text, texts};
use super::program::{Span, Trees};
use super::values::{Packer, Value, unsupported};
use crate::backend::native::boosters::{at_most, same};
use crate::edge::{Aggregate, Binary, Kind, LEAF, Reduction, Test, Unary};
use crate::onnx::node::int;
use crate::onnx::{NodeProto, TensorData};
use crate::{Error, ErrorKind, Result};

/// The trees of a node, in the order of the format.
struct Read {
    trees: Trees,
    voted: Vec<Voted>,
    base: Vec<f32>,
    /// Targets and weights as the file lists them.
    one_target: bool,
    all_positive: bool,
}

#[cold]
fn malformed(node: &NodeProto, what: &str) -> Error {
    Error::new(ErrorKind::Malformed, what).node(node.label())
}

/// A list of the trees' nodes or votes.
fn list<T>(node: &NodeProto, items: impl IntoIterator<Item = T>, expected: usize) -> Result<Vec<T>> {
    let items: Vec<T> = items.into_iter().collect();
    if items.len() == expected { Ok(items) } else { Err(malformed(node, "lists of the trees differ in length")) }
}

/// Numbers of an attribute that holds floats, or of one that holds a tensor, which may be of f64.
fn numbers(node: &NodeProto, name: &str, tensor: &str, limit: usize) -> Result<Vec<f64>> {
    let Some(tensor) = node.find_attribute(tensor).and_then(|a| a.t.as_deref()) else {
        return Ok(floats(node, name).iter().map(|x| f64::from(*x)).collect());
    };
    Ok(match tensor.to_dense(None, limit)?.data {
        TensorData::F32(x) => x.into_iter().map(f64::from).collect(),
        TensorData::F64(x) => x,
        TensorData::F16(x) => x.into_iter().map(f64::from).collect(),
        _ => return Err(malformed(node, "numbers of the trees that are no floats")),
    })
}

/// The float that a test compares with: rounded to the side on which no f32 is passed, or as the numbers of a row of f64 are,
/// so that those equal to the threshold stay equal.
fn bound(test: Test, threshold: f64, kind: Kind) -> f32 {
    match test {
        _ if kind == Kind::F64 => threshold as f32,
        Test::LessOrEqual | Test::Greater => at_most(threshold),
        Test::Less | Test::GreaterOrEqual => -at_most(-threshold),
        Test::Equal | Test::NotEqual => same(threshold),
    }
}

fn branch(test: Test, feature: u16, threshold: f32, nan: bool, yes: usize, no: usize) -> Node {
    // NaN differs from everything.
    Node::Branch { test, feature, threshold, nan: nan || test == Test::NotEqual, yes, no }
}

/// The number of a feature of which a row has `features`.
fn column(node: &NodeProto, feature: i64, features: usize) -> Result<u16> {
    u16::try_from(feature)
        .ok()
        .filter(|f| *f != LEAF && usize::from(*f) < features)
        .ok_or_else(|| unsupported(node, "a test of a feature that is not there, or past the 65,534th"))
}

/// The trees of `TreeEnsembleClassifier` or `TreeEnsembleRegressor`, whose votes are called `votes`.
fn read(node: &NodeProto, votes: &str, targets: usize, x: &Value, limit: usize) -> Result<Read> {
    let ids = ints(node, "nodes_nodeids");
    let n = ids.len();
    let own = |name: &str| list(node, ints(node, name).iter().copied(), n);
    let (trees, feature, yes, no) =
        (own("nodes_treeids")?, own("nodes_featureids")?, own("nodes_truenodeids")?, own("nodes_falsenodeids")?);
    let thresholds = list(node, numbers(node, "nodes_values", "nodes_values_as_tensor", limit)?, n)?;
    let modes = list(node, texts(node, "nodes_modes"), n)?;
    let missing = ints(node, "nodes_missing_value_tracks_true");
    let at: HashMap<(i64, i64), usize> = trees.iter().zip(ids).enumerate().map(|(i, (t, id))| ((*t, *id), i)).collect();
    let find =
        |tree: i64, id: i64| at.get(&(tree, id)).copied().ok_or_else(|| malformed(node, "a node of a tree is missing"));

    let weights = format!("{votes}_weights");
    let weights = numbers(node, &weights, &format!("{weights}_as_tensor"), limit)?;
    let of_votes = |name: &str| list(node, ints(node, &format!("{votes}_{name}")).iter().copied(), weights.len());
    let (vote_trees, vote_nodes, vote_targets) = (of_votes("treeids")?, of_votes("nodeids")?, of_votes("ids")?);
    let mut by_node: HashMap<usize, Vec<(u32, f32)>> = HashMap::new();
    for (i, weight) in weights.iter().enumerate() {
        let target = u32::try_from(vote_targets[i]).ok().filter(|t| (*t as usize) < targets);
        let target = target.ok_or_else(|| malformed(node, "a vote for a target that is not there"))?;
        let own = by_node.entry(find(vote_trees[i], vote_nodes[i])?).or_default();
        // With one target only a leaf's first vote counts.
        if targets > 1 || own.is_empty() {
            own.push((target, *weight as f32));
        }
    }

    let mut dag = Dag::default();
    let mut has_parent = vec![false; n];
    for i in 0..n {
        let test = match modes[i].as_str() {
            "LEAF" => {
                dag.nodes.push(Node::Leaf(by_node.remove(&i).unwrap_or_default()));
                continue;
            }
            "BRANCH_LEQ" => Test::LessOrEqual,
            "BRANCH_LT" => Test::Less,
            "BRANCH_GTE" => Test::GreaterOrEqual,
            "BRANCH_GT" => Test::Greater,
            "BRANCH_EQ" => Test::Equal,
            "BRANCH_NEQ" => Test::NotEqual,
            other => return Err(malformed(node, "a mode of a node that is none").actual(other)),
        };
        let (yes, no) = (find(trees[i], yes[i])?, find(trees[i], no[i])?);
        (has_parent[yes], has_parent[no]) = (true, true);
        let nan = missing.get(i).is_some_and(|m| *m != 0);
        let feature = column(node, feature[i], x.rows().1)?;
        dag.nodes.push(branch(test, feature, bound(test, thresholds[i], x.kind), nan, yes, no));
    }
    // The root of a tree is nobody's child.
    dag.roots = (0..n).filter(|i| !has_parent[*i]).collect();
    let (trees, voted) = dag.emit(targets).ok_or_else(|| malformed(node, "a tree has a loop"))?;
    Ok(Read {
        trees,
        voted,
        base: numbers(node, "base_values", "base_values_as_tensor", limit)?.iter().map(|b| *b as f32).collect(),
        one_target: vote_targets.iter().all(|t| *t == vote_targets[0]),
        all_positive: weights.iter().all(|w| *w >= 0.0 || w.is_nan()),
    })
}

/// The trees of `TreeEnsemble`, in which leaves have lists of their own.
fn read_ensemble(node: &NodeProto, targets: usize, x: &Value, limit: usize) -> Result<Trees> {
    let feature = ints(node, "nodes_featureids");
    let n = feature.len();
    let own = |name: &str| list(node, ints(node, name).iter().copied(), n);
    let (yes, no) = (own("nodes_truenodeids")?, own("nodes_falsenodeids")?);
    let (yes_leaf, no_leaf) = (own("nodes_trueleafs")?, own("nodes_falseleafs")?);
    let splits = list(node, numbers(node, "", "nodes_splits", limit)?, n)?;
    let modes = match node.find_attribute("nodes_modes").and_then(|a| a.t.as_deref()) {
        Some(tensor) => match tensor.to_dense(None, limit)?.data {
            TensorData::U8(modes) => list(node, modes, n)?,
            _ => return Err(malformed(node, "modes that are no u8")),
        },
        None => Vec::new(),
    };
    let missing = ints(node, "nodes_missing_value_tracks_true");
    let members = numbers(node, "", "membership_values", limit)?;
    let mut sets = members.split(|member| member.is_nan());
    let leaf_targets = ints(node, "leaf_targetids");
    let leaf_weights = list(node, numbers(node, "", "leaf_weights", limit)?, leaf_targets.len())?;

    let mut dag = Dag::default();
    let child = |id: i64, leaf: i64| {
        let count = if leaf != 0 { leaf_targets.len() } else { n };
        let at = usize::try_from(id).ok().filter(|at| *at < count);
        at.map(|at| if leaf != 0 { n + at } else { at }).ok_or_else(|| malformed(node, "a node of a tree is missing"))
    };
    // Chains of tests for sets come behind the nodes and leaves of the file.
    let mut chains = Vec::new();
    for i in 0..n {
        let (yes, no) = (child(yes[i], yes_leaf[i])?, child(no[i], no_leaf[i])?);
        let (feature, nan) = (column(node, feature[i], x.rows().1)?, missing.get(i).is_some_and(|m| *m != 0));
        let test = match modes.get(i) {
            Some(0) => Test::LessOrEqual,
            Some(1) => Test::Less,
            Some(2) => Test::GreaterOrEqual,
            Some(3) => Test::Greater,
            Some(4) => Test::Equal,
            Some(5) => Test::NotEqual,
            Some(6) => {
                let set = sets.next().unwrap_or_default();
                let next = |at: usize| if at + 1 < set.len() { n + leaf_targets.len() + chains.len() + at } else { no };
                let chain: Vec<Node> = set
                    .iter()
                    .enumerate()
                    .map(|(at, member)| {
                        let member = bound(Test::Equal, *member, x.kind);
                        branch(Test::Equal, feature, member, nan && at == 0, yes, next(at))
                    })
                    .collect();
                let mut chain = chain.into_iter();
                // A set of nothing has no members.
                let none = || branch(Test::Less, feature, f32::NEG_INFINITY, nan, yes, no);
                dag.nodes.push(chain.next().unwrap_or_else(none));
                chains.extend(chain);
                continue;
            }
            _ => return Err(malformed(node, "a mode of a node that is none")),
        };
        dag.nodes.push(branch(test, feature, bound(test, splits[i], x.kind), nan, yes, no));
    }
    for (target, weight) in leaf_targets.iter().zip(leaf_weights) {
        let target = u32::try_from(*target).ok().filter(|t| (*t as usize) < targets);
        let target = target.ok_or_else(|| malformed(node, "a vote for a target that is not there"))?;
        dag.nodes.push(Node::Leaf(vec![(target, weight as f32)]));
    }
    dag.nodes.extend(chains);
    let root = |id: &i64| usize::try_from(*id).ok().filter(|at| *at < n);
    dag.roots = ints(node, "tree_roots").iter().map(root).collect::<Option<_>>().unwrap_or_default();
    let emitted = if dag.roots.is_empty() { None } else { dag.emit(targets) };
    emitted.map(|(trees, _)| trees).ok_or_else(|| malformed(node, "a tree has a loop, or there is none"))
}

impl Packer {
    pub(super) fn tree_regressor(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let n = usize::try_from(int(node, "n_targets", 1)).unwrap_or(0);
        if n == 0 || x.len() == 0 {
            return Err(unsupported(node, "an ensemble of this shape"));
        }
        let aggregate = match text(node, "aggregate_function", "SUM").as_str() {
            "SUM" => Aggregate::Sum,
            "AVERAGE" => Aggregate::Average,
            "MIN" => Aggregate::Minimum,
            "MAX" => Aggregate::Maximum,
            _ => return Err(unsupported(node, "this aggregate function")),
        };
        let read = read(node, "target", n, &x, self.max_elements)?;
        if !read.base.is_empty() && n > 1 && read.voted.contains(&Voted::Sometimes) {
            return Err(unsupported(node, "base values of targets for which only some rows have votes"));
        }
        let mut base = read.base;
        base.resize(n, 0.0);
        // Of several targets one without votes has no base value.
        for (base, _) in base.iter_mut().zip(&read.voted).filter(|(_, v)| n > 1 && **v == Voted::Never) {
            *base = 0.0;
        }
        let post = Post::of(node)?;
        let [span] = self.each_row(node, &x, &read.trees, |packer, row| {
            let span = packer.program.trees(row, aggregate, &base, &read.trees);
            [packer.finished(span, n, post)]
        })?;
        Ok(Value::slot(&[x.rows().0, n], Kind::F32, span))
    }

    /// `TreeEnsemble`.
    pub(super) fn tree_ensemble(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let n = usize::try_from(int(node, "n_targets", 0)).unwrap_or(0);
        let aggregate = match int(node, "aggregate_function", 1) {
            0 => Aggregate::Average,
            1 => Aggregate::Sum,
            2 => Aggregate::Minimum,
            3 => Aggregate::Maximum,
            _ => return Err(unsupported(node, "this aggregate function")),
        };
        let post = match int(node, "post_transform", 0) {
            0 => Post::None,
            1 => Post::Softmax,
            2 => Post::Logistic,
            _ => return Err(unsupported(node, "this transform")),
        };
        if n == 0 || x.len() == 0 {
            return Err(unsupported(node, "an ensemble of this shape"));
        }
        let trees = read_ensemble(node, n, &x, self.max_elements)?;
        let base = vec![0.0; n];
        let [span] = self.each_row(node, &x, &trees, |packer, row| {
            let span = packer.program.trees(row, aggregate, &base, &trees);
            [packer.finished(span, n, post)]
        })?;
        Ok(Value::slot(&[x.rows().0, n], Kind::F32, span))
    }

    pub(super) fn tree_classifier(&mut self, node: &NodeProto) -> Result<()> {
        let x = self.input(node, 0)?;
        let (kind, labels) = self.labels(node, "classlabels_int64s", "classlabels_strings")?;
        let k = labels.len();
        if k < 2 || x.len() == 0 {
            return Err(unsupported(node, "an ensemble of this shape"));
        }
        let post = Post::of(node)?;
        let read = read(node, "class", k, &x, self.max_elements)?;
        let sometimes = read.voted.contains(&Voted::Sometimes);
        if (k > 2 && read.base.is_empty() && !read.all_positive && read.voted.iter().any(|v| *v != Voted::Always))
            || (k == 2 && sometimes)
        {
            return Err(unsupported(node, "an ensemble in which only some rows have votes for a class"));
        }
        let mut base = if k > 2 { read.base.clone() } else { Vec::new() };
        base.resize(k, 0.0);
        let [winners, scores] = self.each_row(node, &x, &read.trees, |packer, row| {
            let raw = packer.program.trees(row, Aggregate::Sum, &base, &read.trees);
            if k > 2 {
                [packer.program.reduce(Reduction::ArgMax, raw, k, 1), packer.finished(raw, k, post)]
            } else {
                packer.two(raw, &read, post)
            }
        })?;
        self.give_labels(node, winners, kind, &labels);
        self.give(node, 1, Value::slot(&[x.rows().0, k], Kind::F32, scores));
        Ok(())
    }

    /// What `f` gives for each of the rows of `x`, one behind the other; every row has trees of its own.
    fn each_row<const N: usize>(
        &mut self,
        node: &NodeProto,
        x: &Value,
        trees: &Trees,
        mut f: impl FnMut(&mut Self, Span) -> [Span; N],
    ) -> Result<[Span; N]> {
        let (rows, k) = x.rows();
        self.check(node, &[rows, trees.nodes.len()])?;
        let mut all = Vec::with_capacity(rows);
        for row in 0..rows {
            let own = self.arranged(x, &[1, k], &(row * k..(row + 1) * k).collect::<Vec<_>>());
            let own = self.span(&own);
            all.push(f(self, own));
        }
        Ok(std::array::from_fn(|i| {
            let parts: Vec<Span> = all.iter().map(|spans| spans[i]).collect();
            self.program.join(&parts)
        }))
    }

    /// The winner and the scores of two classes. Two scores stand for themselves; one stands for both classes, in ONNX
    /// Runtime's way.
    fn two(&mut self, raw: Span, read: &Read, post: Post) -> [Span; 2] {
        let voted = [read.voted[0] == Voted::Always, read.voted[1] == Voted::Always];
        let one = |i: usize| Span { at: raw.at + i, len: 1 };
        let (mut s0, mut s1, mut two) = (one(0), one(1), voted[1]);
        match *read.base.as_slice() {
            [_, b1] if voted[1] => {
                s1 = self.program.zip_with(Binary::Add, s0, b1);
                s0 = self.program.map(Unary::Negate, s1);
                two = true;
            }
            [b0, b1] => {
                s1 = self.program.zip_with(Binary::Add, s1, b1);
                s0 = self.program.zip_with(Binary::Add, s0, b0);
                two = true;
            }
            [b] => s0 = self.program.zip_with(Binary::Add, s0, b),
            _ => {}
        }
        if !voted[0] {
            s0 = self.program.constant(&[0.0]);
        }
        if !voted[1] {
            s1 = self.program.constant(&[0.0]);
        }
        let from_zero_to_one = read.one_target && read.all_positive;
        let positive = if voted[1] { s1 } else { s0 };
        let winner = self.program.zip_with(Binary::Greater, positive, if from_zero_to_one { 0.5 } else { 0.0 });
        if two {
            let scores = self.program.join(&[s0, s1]);
            return [winner, self.finished(scores, 2, post)];
        }
        let scores = match post {
            Post::Logistic => {
                let positive = self.program.map(Unary::Sigmoid, s0);
                self.both(positive, true)
            }
            _ => self.both(s0, from_zero_to_one),
        };
        [winner, scores]
    }
}
