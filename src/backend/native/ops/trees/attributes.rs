//! The attributes of `TreeEnsembleClassifier` and `TreeEnsembleRegressor`.

use std::collections::HashMap;

use super::places::Places;
use crate::backend::native::node::Node as Proto;
use crate::backend::native::trees::{Branch, Forest, Mode, Node, Number, Vote};
use crate::backend::native::value::{Data, Value};
use crate::{Error, ErrorKind, Result};

/// Numbers of an attribute that comes as floats or as a tensor.
#[derive(Debug, Clone)]
pub(super) enum Numbers {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Numbers {
    /// The numbers of a tensor.
    pub(super) fn of_tensor(name: &str, value: Value<'static>) -> Result<Self> {
        match value.data() {
            Data::F32(x) => Ok(Self::F32(x.to_vec())),
            Data::F64(x) => Ok(Self::F64(x.to_vec())),
            Data::F16(x) => Ok(Self::F32(x.iter().map(|x| x.to_f32()).collect())),
            _ => Err(Error::new(
                ErrorKind::Malformed,
                format!("the attribute `{name}` holds a tensor of the wrong type"),
            )
            .expected("f32 or f64")
            .actual(value.type_text())),
        }
    }

    /// The attribute `name`, or `name` with `_as_tensor`.
    fn of(node: &Proto<'_>, name: &str) -> Result<Self> {
        let tensor_name = format!("{name}_as_tensor");
        let floats = node.floats(name)?.unwrap_or_default();
        match node.tensor(&tensor_name)? {
            None => Ok(Self::F32(floats.to_vec())),
            Some(tensor) if tensor.shape().contains(&0) => Ok(Self::F32(floats.to_vec())),
            Some(_) if !floats.is_empty() => {
                Err(node.malformed(format!("both `{name}` and `{tensor_name}` are given; only one may be")))
            }
            Some(tensor) => Self::of_tensor(&tensor_name, tensor),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::F64(x) => x.len(),
        }
    }

    /// Whether they need f64.
    pub(super) fn is_wide(&self) -> bool {
        matches!(self, Self::F64(_))
    }

    pub(super) fn to<T: Number>(&self) -> Vec<T> {
        match self {
            Self::F32(x) => x.iter().map(|&x| T::of_f32(x)).collect(),
            Self::F64(x) => x.iter().map(|&x| T::from_f64(x)).collect(),
        }
    }
}

/// The lists that describe the trees, as long as each other.
pub(super) struct Attributes<'g> {
    trees: &'g [i64],
    ids: &'g [i64],
    features: &'g [i64],
    modes: Vec<Option<Mode>>,
    yes: &'g [i64],
    no: &'g [i64],
    missing: &'g [i64],
    thresholds: Numbers,
    vote_trees: &'g [i64],
    vote_ids: &'g [i64],
    vote_targets: &'g [i64],
    pub(super) weights: Numbers,
    pub(super) base: Numbers,
}

impl<'g> Attributes<'g> {
    /// Reads them; `votes` is `class` or `target`.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when lists differ in length or a mode has no meaning.
    pub(super) fn of(node: &Proto<'g>, votes: &str) -> Result<Self> {
        let ids = node.ints("nodes_nodeids")?.unwrap_or_default();
        if ids.is_empty() {
            return Err(node.malformed("the attribute `nodes_nodeids` is missing or empty: there are no trees"));
        }
        if ids.len() >= (u32::MAX / 2) as usize {
            return Err(Error::new(ErrorKind::LimitExceeded, "the trees have more than 2^31 nodes"));
        }
        let same = |name: &str, expected: usize, actual: usize| {
            if expected == actual {
                return Ok(());
            }
            let what = format!("the attribute `{name}` has another length than the lists beside it");
            Err(node.malformed(what).expected(expected).actual(actual))
        };
        let ints = |name: &str, expected: usize| {
            let list = node.ints(name)?.unwrap_or_default();
            same(name, expected, list.len()).map(|()| list)
        };
        let modes = node.texts("nodes_modes")?.unwrap_or_default();
        same("nodes_modes", ids.len(), modes.len())?;
        let modes = modes.iter().map(|m| mode(node, m)).collect::<Result<_>>()?;
        let thresholds = Numbers::of(node, "nodes_values")?;
        same("nodes_values", ids.len(), thresholds.len())?;
        let missing = node.ints("nodes_missing_value_tracks_true")?.unwrap_or_default();
        if missing.len() > ids.len() {
            same("nodes_missing_value_tracks_true", ids.len(), missing.len())?;
        }
        let vote_ids = node.ints(&format!("{votes}_nodeids"))?.unwrap_or_default();
        let weights = Numbers::of(node, &format!("{votes}_weights"))?;
        same(&format!("{votes}_weights"), vote_ids.len(), weights.len())?;
        Ok(Self {
            trees: ints("nodes_treeids", ids.len())?,
            ids,
            features: ints("nodes_featureids", ids.len())?,
            modes,
            yes: ints("nodes_truenodeids", ids.len())?,
            no: ints("nodes_falsenodeids", ids.len())?,
            missing,
            thresholds,
            vote_trees: ints(&format!("{votes}_treeids"), vote_ids.len())?,
            vote_ids,
            vote_targets: ints(&format!("{votes}_ids"), vote_ids.len())?,
            weights,
            base: Numbers::of(node, "base_values")?,
        })
    }

    /// Whether any of the numbers is an f64.
    pub(super) fn is_wide(&self) -> bool {
        self.thresholds.is_wide() || self.weights.is_wide() || self.base.is_wide()
    }

    /// The targets that are voted for.
    pub(super) fn targets(&self) -> &'g [i64] {
        self.vote_targets
    }

    /// The trees, in the order in which they first come, checked.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] naming tree and node where something points nowhere, or in circles.
    pub(super) fn forest<T: Number>(&self, targets: usize) -> Result<Forest<T>> {
        let name = |i: u32| format!("node {} of tree {}", self.ids[i as usize], self.trees[i as usize]);
        let bad = |i: usize, what: &str| Error::new(ErrorKind::Malformed, format!("{} {what}", name(i as u32)));
        let mut places = Places::new(self.trees, self.ids).map_err(|i| bad(i, "is there twice"))?;
        let (votes, ranges) = self.votes(targets, &mut places)?;
        let thresholds = self.thresholds.to::<T>();
        let mut has_parent = vec![false; self.ids.len()];
        let mut nodes = Vec::with_capacity(self.ids.len());
        for i in 0..self.ids.len() {
            let Some(mode) = self.modes[i] else {
                nodes.push(Node::Leaf { votes: ranges[i] });
                continue;
            };
            let mut child = |id: i64, which: &str| -> Result<u32> {
                let found = places.get(self.trees[i], id);
                let found =
                    found.ok_or_else(|| bad(i, &format!("has a {which} child that is not in the tree")).actual(id))?;
                has_parent[found as usize] = true;
                Ok(found)
            };
            let (yes, no) = (child(self.yes[i], "true")?, child(self.no[i], "false")?);
            let feature = u32::try_from(self.features[i])
                .ok()
                .filter(|&f| f < 1 << 31)
                .ok_or_else(|| bad(i, "asks for an impossible feature").actual(self.features[i]))?;
            nodes.push(Node::Branch(Branch {
                mode,
                nan_true: self.missing.get(i) == Some(&1),
                feature,
                threshold: thresholds[i],
                yes,
                no,
                members: (0, 0),
            }));
        }
        let roots = self.roots(&has_parent, name)?;
        let forest = Forest { nodes, votes, members: Vec::new(), sets: Vec::new(), roots, targets };
        forest.check_acyclic(name)?;
        Ok(forest)
    }

    /// The node of each tree that is nobody's child.
    fn roots(&self, has_parent: &[bool], name: impl Fn(u32) -> String) -> Result<Vec<u32>> {
        let mut order: HashMap<i64, usize> = HashMap::new();
        let mut roots: Vec<Option<u32>> = Vec::new();
        let mut first: Vec<u32> = Vec::new();
        let mut i = 0;
        for run in self.trees.chunk_by(|a, b| a == b) {
            let t = *order.entry(run[0]).or_insert_with(|| {
                roots.push(None);
                first.push(i as u32);
                roots.len() - 1
            });
            for i in (i..i + run.len()).filter(|&i| !has_parent[i]) {
                if let Some(other) = roots[t].replace(i as u32) {
                    let [a, b] = [other, i as u32].map(&name);
                    let what = format!("a tree has two roots: neither {a} nor {b} is a child");
                    return Err(Error::new(ErrorKind::Malformed, what));
                }
            }
            i += run.len();
        }
        let found = roots.iter().zip(&first).map(|(root, &first)| {
            root.ok_or_else(|| {
                Error::new(
                    ErrorKind::Malformed,
                    format!("a tree has a loop: it has no root, and {} is a child", name(first)),
                )
            })
        });
        found.collect()
    }

    /// The votes leaf by leaf, and where those of each node stand.
    #[allow(clippy::type_complexity, reason = "two lists that are used at once")]
    fn votes<T: Number>(&self, targets: usize, places: &mut Places) -> Result<(Vec<Vote<T>>, Vec<(u32, u32)>)> {
        let mut counts = vec![0u32; self.ids.len()];
        // The node and the number of each vote that counts.
        let mut counted = Vec::with_capacity(self.vote_ids.len());
        for (v, (&tree, &id)) in self.vote_trees.iter().zip(self.vote_ids).enumerate() {
            let target = self.vote_targets[v];
            let bad =
                |what: &str| Error::new(ErrorKind::Malformed, format!("a vote of node {id} of tree {tree} {what}"));
            let at = places.get(tree, id).ok_or_else(|| bad("is for a node that is not there"))? as usize;
            if !u32::try_from(target).is_ok_and(|t| (t as usize) < targets) {
                return Err(bad("is for a target or class that is not there")
                    .expected(format!("0 to {}", targets - 1))
                    .actual(target));
            }
            // Old exporters write votes for inner nodes, too, and with one target only a leaf's first vote counts.
            if self.modes[at].is_none() && (targets > 1 || counts[at] == 0) {
                counts[at] += 1;
                counted.push((at, v));
            }
        }
        let mut end = 0;
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(counts.len());
        ranges.extend(counts.iter().map(|count| {
            end += count;
            (end - count, end - count)
        }));
        let weights = self.weights.to::<T>();
        let mut votes = vec![Vote { target: 0, weight: T::ZERO }; counted.len()];
        for (at, v) in counted {
            let (_, end) = &mut ranges[at];
            votes[*end as usize] = Vote { target: self.vote_targets[v] as u32, weight: weights[v] };
            *end += 1;
        }
        Ok((votes, ranges))
    }
}

/// The mode of that name; none for a leaf.
fn mode(node: &Proto<'_>, name: &str) -> Result<Option<Mode>> {
    Ok(Some(match name {
        "LEAF" => return Ok(None),
        "BRANCH_LEQ" => Mode::Leq,
        "BRANCH_LT" => Mode::Lt,
        "BRANCH_GTE" => Mode::Gte,
        "BRANCH_GT" => Mode::Gt,
        "BRANCH_EQ" => Mode::Eq,
        "BRANCH_NEQ" => Mode::Neq,
        other => {
            return Err(node
                .malformed("the attribute `nodes_modes` holds a mode that is none")
                .expected("BRANCH_LEQ, BRANCH_LT, BRANCH_GTE, BRANCH_GT, BRANCH_EQ, BRANCH_NEQ or LEAF")
                .actual(other));
        }
    }))
}
