//! Ensembles of trees.

use std::collections::HashMap;

use super::learned::{Post, floats, ints, texts};
use super::program::Trees;
use super::values::{Packer, Value, unsupported};
use crate::edge::{Aggregate, Binary, Kind, LEAF, Reduction, Test, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::int;
use crate::{Error, ErrorKind, Result};

/// Whether rows get votes for a target: all of them, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Voted {
    Always,
    Never,
    Sometimes,
}

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

fn read(node: &NodeProto, votes: &str, targets: usize, features: usize) -> Result<Read> {
    for name in ["nodes_values_as_tensor", "base_values_as_tensor", &format!("{votes}_weights_as_tensor")] {
        if node.find_attribute(name).is_some() {
            return Err(unsupported(node, "an ensemble whose numbers are f64"));
        }
    }
    let ids = ints(node, "nodes_nodeids");
    let n = ids.len();
    let own = |name: &str| list(node, ints(node, name).iter().copied(), n);
    let (trees, feature, yes, no) =
        (own("nodes_treeids")?, own("nodes_featureids")?, own("nodes_truenodeids")?, own("nodes_falsenodeids")?);
    let thresholds = list(node, floats(node, "nodes_values").iter().copied(), n)?;
    let modes = list(node, texts(node, "nodes_modes"), n)?;
    let missing = ints(node, "nodes_missing_value_tracks_true");
    let at: HashMap<(i64, i64), usize> = trees.iter().zip(ids).enumerate().map(|(i, (t, id))| ((*t, *id), i)).collect();
    let find =
        |tree: i64, id: i64| at.get(&(tree, id)).copied().ok_or_else(|| malformed(node, "a node of a tree is missing"));

    let weights = floats(node, &format!("{votes}_weights"));
    let of_votes = |name: &str| list(node, ints(node, &format!("{votes}_{name}")).iter().copied(), weights.len());
    let (vote_trees, vote_nodes, vote_targets) = (of_votes("treeids")?, of_votes("nodeids")?, of_votes("ids")?);
    let mut by_node: HashMap<usize, Vec<(u32, f32)>> = HashMap::new();
    for (i, weight) in weights.iter().enumerate() {
        let target = u32::try_from(vote_targets[i]).ok().filter(|t| (*t as usize) < targets);
        let target = target.ok_or_else(|| malformed(node, "a vote for a target that is not there"))?;
        let own = by_node.entry(find(vote_trees[i], vote_nodes[i])?).or_default();
        // With one target only a leaf's first vote counts.
        if targets > 1 || own.is_empty() {
            own.push((target, *weight));
        }
    }

    let mut out = Trees::default();
    let mut seen = vec![false; n];
    let mut voted = vec![Voted::Never; targets];
    let mut roots: Vec<usize> = Vec::new();
    for (i, tree) in trees.iter().enumerate() {
        // The first node of a tree is its root.
        if i == 0 || trees[i - 1] != *tree {
            roots.push(i);
        }
    }
    for root in roots {
        if seen[root] {
            return Err(unsupported(node, "an ensemble whose trees are mixed up in the file"));
        }
        out.roots.push(out.nodes.len() as u32);
        let (mut leaves, mut counts) = (0usize, vec![0usize; targets]);
        let mut todo = vec![(root, None::<usize>)];
        while let Some((i, parent)) = todo.pop() {
            if std::mem::replace(&mut seen[i], true) {
                return Err(unsupported(node, "an ensemble whose trees share nodes"));
            }
            let here = out.nodes.len();
            if let Some(parent) = parent {
                out.nodes[parent].4 = here as u32;
            }
            if modes[i] == "LEAF" {
                let own = by_node.get(&i).map_or(&[][..], Vec::as_slice);
                leaves += 1;
                for (j, (target, _)) in own.iter().enumerate() {
                    counts[*target as usize] += usize::from(!own[..j].iter().any(|(t, _)| t == target));
                }
                out.nodes.push((LEAF, 0, 0, own.len() as u32, out.votes.len() as u32));
                out.votes.extend_from_slice(own);
                continue;
            }
            let test = match modes[i].as_str() {
                "BRANCH_LEQ" => Test::LessOrEqual,
                "BRANCH_LT" => Test::Less,
                "BRANCH_GTE" => Test::GreaterOrEqual,
                "BRANCH_GT" => Test::Greater,
                "BRANCH_EQ" => Test::Equal,
                "BRANCH_NEQ" => Test::NotEqual,
                other => return Err(malformed(node, "a mode of a node that is none").actual(other)),
            };
            let column = u16::try_from(feature[i]).ok().filter(|f| *f != LEAF && usize::from(*f) < features);
            let column = column
                .ok_or_else(|| unsupported(node, "a test of a feature that is not there, or past the 65,534th"))?;
            // NaN differs from everything.
            let nan = missing.get(i).is_some_and(|m| *m != 0) || test == Test::NotEqual;
            out.nodes.push((column, test as u8, u8::from(nan), thresholds[i].to_bits(), 0));
            todo.push((find(trees[i], no[i])?, Some(here)));
            todo.push((find(trees[i], yes[i])?, None));
        }
        for (voted, count) in voted.iter_mut().zip(counts) {
            match count {
                0 => {}
                count if count == leaves => *voted = Voted::Always,
                _ if *voted == Voted::Never => *voted = Voted::Sometimes,
                _ => {}
            }
        }
    }
    Ok(Read {
        trees: out,
        voted,
        base: floats(node, "base_values").to_vec(),
        one_target: vote_targets.iter().all(|t| *t == vote_targets[0]),
        all_positive: weights.iter().all(|w| *w >= 0.0 || w.is_nan()),
    })
}

impl Packer {
    pub(super) fn tree_regressor(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let n = usize::try_from(int(node, "n_targets", 1)).unwrap_or(0);
        if n == 0 || x.rows().0 != 1 {
            return Err(unsupported(node, "an ensemble of this shape"));
        }
        let aggregate = match super::learned::text(node, "aggregate_function", "SUM").as_str() {
            "SUM" => Aggregate::Sum,
            "AVERAGE" => Aggregate::Average,
            "MIN" => Aggregate::Minimum,
            "MAX" => Aggregate::Maximum,
            _ => return Err(unsupported(node, "this aggregate function")),
        };
        let read = read(node, "target", n, x.rows().1)?;
        if !read.base.is_empty() && n > 1 && read.voted.iter().any(|v| *v != Voted::Always) {
            return Err(unsupported(node, "base values of targets for which not every row has votes"));
        }
        let mut base = read.base;
        base.resize(n, 0.0);
        let span = self.span(&x);
        let span = self.program.trees(span, aggregate, &base, &read.trees);
        let span = self.finished(span, n, Post::of(node)?);
        Ok(Value::slot(&[1, n], Kind::F32, span))
    }

    pub(super) fn tree_classifier(&mut self, node: &NodeProto) -> Result<()> {
        let x = self.input(node, 0)?;
        let (kind, labels) = self.labels(node, "classlabels_int64s", "classlabels_strings")?;
        let k = labels.len();
        if k < 2 || x.rows().0 != 1 {
            return Err(unsupported(node, "an ensemble of this shape"));
        }
        let post = Post::of(node)?;
        let read = read(node, "class", k, x.rows().1)?;
        let sometimes = read.voted.contains(&Voted::Sometimes);
        if (k > 2 && read.base.is_empty() && !read.all_positive && read.voted.iter().any(|v| *v != Voted::Always))
            || (k == 2 && sometimes)
        {
            return Err(unsupported(node, "an ensemble in which only some rows have votes for a class"));
        }
        let span = self.span(&x);
        let (winners, scores) = if k > 2 {
            let mut base = read.base;
            base.resize(k, 0.0);
            let raw = self.program.trees(span, Aggregate::Sum, &base, &read.trees);
            (self.program.reduce(Reduction::ArgMax, raw, k, 1), self.finished(raw, k, post))
        } else {
            let raw = self.program.trees(span, Aggregate::Sum, &[0.0; 2], &read.trees);
            self.two(raw, &read, post)
        };
        self.give_labels(node, winners, kind, &labels);
        self.give(node, 1, Value::slot(&[1, k], Kind::F32, scores));
        Ok(())
    }

    /// The winner and the scores of two classes. Two scores stand for themselves; one stands for both classes, in ONNX
    /// Runtime's way.
    fn two(
        &mut self,
        raw: super::program::Span,
        read: &Read,
        post: Post,
    ) -> (super::program::Span, super::program::Span) {
        use super::program::Span;
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
            let (first, last) = (s0.at.min(s1.at), s0.at.max(s1.at));
            let whole = Span { at: first, len: last - first + 1 };
            let scores = self.program.gather(whole, &[s0.at - first, s1.at - first]);
            return (winner, self.finished(scores, 2, post));
        }
        let scores = match post {
            Post::Logistic => {
                let positive = self.program.map(Unary::Sigmoid, s0);
                self.both(positive, true)
            }
            _ => self.both(s0, from_zero_to_one),
        };
        (winner, scores)
    }
}
