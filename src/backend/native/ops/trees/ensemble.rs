//! The attributes of `TreeEnsemble`, in which leaves have lists of their own.

use super::attributes::Numbers;
use crate::backend::native::node::Node as Proto;
use crate::backend::native::trees::{Branch, Forest, Mode, Node, Number, Vote};
use crate::backend::native::value::Data;
use crate::{Error, ErrorKind, Result};

/// The lists that describe the trees.
pub(super) struct Attributes<'g> {
    roots: &'g [i64],
    features: &'g [i64],
    modes: Vec<Mode>,
    splits: Numbers,
    yes: &'g [i64],
    yes_is_leaf: &'g [i64],
    no: &'g [i64],
    no_is_leaf: &'g [i64],
    missing: &'g [i64],
    members: Numbers,
    leaf_targets: &'g [i64],
    leaf_weights: Numbers,
}

impl<'g> Attributes<'g> {
    /// Reads them.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when lists differ in length or a mode has no meaning.
    pub(super) fn of(node: &Proto<'g>) -> Result<Self> {
        let ints = |name: &str| node.ints(name).map(Option::unwrap_or_default);
        let features = ints("nodes_featureids")?;
        let leaf_targets = ints("leaf_targetids")?;
        let same = |name: &str, expected: usize, actual: usize| {
            if expected == actual {
                return Ok(());
            }
            let what = format!("the attribute `{name}` has another length than the lists beside it");
            Err(node.malformed(what).expected(expected).actual(actual))
        };
        let of_nodes = |name: &str| {
            let list = ints(name)?;
            same(name, features.len(), list.len()).map(|()| list)
        };
        let numbers = |name: &str| match node.tensor(name)? {
            Some(tensor) => Numbers::of_tensor(name, tensor),
            None => Ok(Numbers::F32(Vec::new())),
        };
        if features.len() + leaf_targets.len() >= (u32::MAX / 2) as usize {
            return Err(Error::new(ErrorKind::LimitExceeded, "the trees have more than 2^31 nodes"));
        }
        let modes = match node.tensor("nodes_modes")? {
            Some(tensor) => match tensor.data() {
                Data::U8(modes) => modes.iter().map(|&m| mode(node, m)).collect::<Result<Vec<_>>>()?,
                _ => return Err(tensor.type_error("u8, for the attribute `nodes_modes`")),
            },
            None => Vec::new(),
        };
        same("nodes_modes", features.len(), modes.len())?;
        let splits = numbers("nodes_splits")?;
        same("nodes_splits", features.len(), splits.len())?;
        let leaf_weights = numbers("leaf_weights")?;
        same("leaf_weights", leaf_targets.len(), leaf_weights.len())?;
        let missing = ints("nodes_missing_value_tracks_true")?;
        if !missing.is_empty() {
            same("nodes_missing_value_tracks_true", features.len(), missing.len())?;
        }
        let roots = ints("tree_roots")?;
        if roots.is_empty() {
            return Err(node.malformed("the attribute `tree_roots` is missing or empty: there are no trees"));
        }
        Ok(Self {
            roots,
            features,
            modes,
            splits,
            yes: of_nodes("nodes_truenodeids")?,
            yes_is_leaf: of_nodes("nodes_trueleafs")?,
            no: of_nodes("nodes_falsenodeids")?,
            no_is_leaf: of_nodes("nodes_falseleafs")?,
            missing,
            members: numbers("membership_values")?,
            leaf_targets,
            leaf_weights,
        })
    }

    /// Whether any of the numbers is an f64.
    pub(super) fn is_wide(&self) -> bool {
        self.splits.is_wide() || self.leaf_weights.is_wide() || self.members.is_wide()
    }

    /// The trees, checked. Inner nodes come first in the list, then the leaves.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] naming the node where something points nowhere, or in circles.
    pub(super) fn forest<T: Number>(&self, targets: usize) -> Result<Forest<T>> {
        let inner = self.features.len();
        let name = |i: u32| {
            if (i as usize) < inner { format!("node {i}") } else { format!("leaf {}", i as usize - inner) }
        };
        let bad = |i: usize, what: &str| Error::new(ErrorKind::Malformed, format!("{} {what}", name(i as u32)));
        let place = |id: i64, leaf: bool| {
            let count = if leaf { self.leaf_targets.len() } else { inner };
            let at = usize::try_from(id).ok().filter(|&at| at < count)?;
            Some((if leaf { inner + at } else { at }) as u32)
        };
        let (members, sets) = self.sets::<T>()?;
        let splits = self.splits.to::<T>();
        let mut nodes = Vec::with_capacity(inner + self.leaf_targets.len());
        for i in 0..inner {
            let child = |id: i64, leaf: i64, which: &str| {
                place(id, leaf != 0).ok_or_else(|| bad(i, &format!("has a {which} child that is not there")).actual(id))
            };
            let feature = u32::try_from(self.features[i])
                .ok()
                .filter(|&f| f < 1 << 31)
                .ok_or_else(|| bad(i, "asks for an impossible feature").actual(self.features[i]))?;
            nodes.push(Node::Branch(Branch {
                mode: self.modes[i],
                nan_true: self.missing.get(i) == Some(&1),
                feature,
                threshold: splits[i],
                yes: child(self.yes[i], self.yes_is_leaf[i], "true")?,
                no: child(self.no[i], self.no_is_leaf[i], "false")?,
                members: sets[i],
            }));
        }
        let mut votes = Vec::with_capacity(self.leaf_targets.len());
        for (i, (&target, weight)) in self.leaf_targets.iter().zip(self.leaf_weights.to::<T>()).enumerate() {
            let target = u32::try_from(target).ok().filter(|&t| (t as usize) < targets).ok_or_else(|| {
                bad(inner + i, "is for a target that is not there")
                    .expected(format!("0 to {}", targets - 1))
                    .actual(target)
            })?;
            votes.push(Vote { target, weight });
            nodes.push(Node::Leaf { votes: (i as u32, i as u32 + 1) });
        }
        let roots = self.roots.iter().map(|&root| {
            place(root, false).ok_or_else(|| {
                Error::new(ErrorKind::Malformed, "the attribute `tree_roots` names a node that is not there")
                    .expected(format!("0 to {}", inner.saturating_sub(1)))
                    .actual(root)
            })
        });
        let forest = Forest { roots: roots.collect::<Result<_>>()?, nodes, votes, members, sets: Vec::new(), targets };
        forest.check_acyclic(name)?;
        Ok(forest)
    }

    /// All members of all sets, and where those of each node stand. Sets end with NaN, and only the nodes that ask for
    /// one have it.
    #[allow(clippy::type_complexity, reason = "two lists that are used at once")]
    fn sets<T: Number>(&self) -> Result<(Vec<T>, Vec<(u32, u32)>)> {
        let all = self.members.to::<T>();
        let mut at = 0;
        let sets = self
            .modes
            .iter()
            .map(|&mode| {
                if mode != Mode::Member {
                    return Ok((0, 0));
                }
                let from = at;
                if from >= all.len() {
                    return Err(Error::new(
                        ErrorKind::Malformed,
                        "the attribute `membership_values` has fewer sets than there are nodes that ask for one",
                    ));
                }
                while at < all.len() && !all[at].is_nan() {
                    at += 1;
                }
                let set = (from as u32, at as u32);
                at += 1;
                Ok(set)
            })
            .collect::<Result<_>>()?;
        Ok((all, sets))
    }
}

fn mode(node: &Proto<'_>, code: u8) -> Result<Mode> {
    const MODES: [Mode; 7] = [Mode::Leq, Mode::Lt, Mode::Gte, Mode::Gt, Mode::Eq, Mode::Neq, Mode::Member];
    MODES.get(usize::from(code)).copied().ok_or_else(|| {
        node.malformed("the attribute `nodes_modes` holds a mode that is none").expected("0 to 6").actual(code)
    })
}
