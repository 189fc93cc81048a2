use std::collections::HashMap;

use crate::onnx::{AttributeProto, NodeProto, builder};

/// The comparison of a branch, as ONNX writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::optimize) enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

const MODES: [(Mode, &str); 6] = [
    (Mode::Leq, "BRANCH_LEQ"),
    (Mode::Lt, "BRANCH_LT"),
    (Mode::Gte, "BRANCH_GTE"),
    (Mode::Gt, "BRANCH_GT"),
    (Mode::Eq, "BRANCH_EQ"),
    (Mode::Neq, "BRANCH_NEQ"),
];

impl Mode {
    pub(in crate::optimize) fn holds(self, x: f32, value: f32) -> bool {
        match self {
            Self::Leq => x <= value,
            Self::Lt => x < value,
            Self::Gte => x >= value,
            Self::Gt => x > value,
            Self::Eq => x == value,
            Self::Neq => x != value,
        }
    }
}

/// A node of a tree.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::optimize) enum Node {
    Branch {
        feature: u32,
        mode: Mode,
        value: f32,
        missing_true: bool,
        yes: u32,
        no: u32,
    },
    /// What it adds, by target.
    Leaf(Vec<(u32, f32)>),
}

/// A tree, its root first. Nodes may be shared.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::optimize) struct Tree {
    pub(in crate::optimize) nodes: Vec<Node>,
}

impl Tree {
    /// What the leaf adds that a row of features comes to.
    pub(in crate::optimize) fn votes(&self, row: &[f32]) -> &[(u32, f32)] {
        let mut at = 0;
        // A path is no longer than the tree is large.
        for _ in 0..self.nodes.len() {
            match &self.nodes[at] {
                Node::Leaf(votes) => return votes,
                Node::Branch { feature, mode, value, missing_true, yes, no } => {
                    let x = row.get(*feature as usize).copied().unwrap_or(f32::NAN);
                    at = if mode.holds(x, *value) || (*missing_true && x.is_nan()) { *yes } else { *no } as usize;
                }
            }
        }
        &[]
    }

    /// The tree without branches whose two children are leaves that add the same.
    pub(in crate::optimize) fn collapsed(&self) -> Self {
        let mut made = Self::default();
        let mut known = HashMap::new();
        self.copy(0, &mut made, &mut known, 0);
        made
    }

    /// Copies the node and what is below it; its new place. Children come after their parents.
    fn copy(&self, at: usize, made: &mut Self, known: &mut HashMap<usize, u32>, depth: usize) -> u32 {
        if let Some(&place) = known.get(&at) {
            return place;
        }
        let place = made.nodes.len() as u32;
        made.nodes.push(Node::Leaf(Vec::new()));
        let node = match &self.nodes[at] {
            Node::Leaf(votes) => Node::Leaf(votes.clone()),
            // Files are read without loops; the depth is held against the stack's.
            _ if depth > 4096 => self.nodes[at].clone(),
            Node::Branch { feature, mode, value, missing_true, yes, no } => {
                let [yes, no] = [*yes, *no].map(|child| self.copy(child as usize, made, known, depth + 1));
                match (&made.nodes[yes as usize], &made.nodes[no as usize]) {
                    (Node::Leaf(a), Node::Leaf(b)) if a == b => {
                        let votes = a.clone();
                        let fresh = made.nodes.len() as u32 == place + 3;
                        if fresh {
                            made.nodes.truncate(place as usize + 1);
                            known.retain(|_, at| *at <= place);
                        }
                        Node::Leaf(votes)
                    }
                    _ => Node::Branch {
                        feature: *feature,
                        mode: *mode,
                        value: *value,
                        missing_true: *missing_true,
                        yes,
                        no,
                    },
                }
            }
        };
        made.nodes[place as usize] = node;
        known.insert(at, place);
        place
    }
}

/// The trees of one operator.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::optimize) struct Ensemble {
    pub(in crate::optimize) trees: Vec<Tree>,
    /// What is added to each target besides.
    pub(in crate::optimize) base: Vec<f32>,
}

fn ints<'n>(node: &'n NodeProto, name: &str) -> &'n [i64] {
    node.find_attribute(name).map_or(&[], |a| &a.ints)
}

impl Ensemble {
    /// The trees of a `TreeEnsembleClassifier` or `TreeEnsembleRegressor`, or why they can't be changed here.
    pub(in crate::optimize) fn read(node: &NodeProto) -> Result<Self, &'static str> {
        if node.attribute.iter().any(|a| a.name.as_deref().is_some_and(|n| n.ends_with("_as_tensor"))) {
            return Err("its numbers are f64");
        }
        if node.find_attribute("aggregate_function").and_then(|a| a.s.as_deref()).is_some_and(|s| s != b"SUM") {
            return Err("its trees are not summed");
        }
        let votes = if node.operator() == "TreeEnsembleClassifier" { "class" } else { "target" };
        let floats = |name: &str| node.find_attribute(name).map_or(&[][..], |a| &a.floats);
        let (trees, ids) = (ints(node, "nodes_treeids"), ints(node, "nodes_nodeids"));
        let features = ints(node, "nodes_featureids");
        let modes = node.find_attribute("nodes_modes").map_or(&[][..], |a| &a.strings);
        let (values, yes, no) =
            (floats("nodes_values"), ints(node, "nodes_truenodeids"), ints(node, "nodes_falsenodeids"));
        let missing = ints(node, "nodes_missing_value_tracks_true");
        let n = ids.len();
        let same =
            [trees.len(), features.len(), modes.len(), values.len(), yes.len(), no.len()].iter().all(|&l| l == n);
        if n == 0 || !same {
            return Err("its lists have different lengths");
        }
        let mut places: HashMap<(i64, i64), (usize, u32)> = HashMap::with_capacity(n);
        let mut order: HashMap<i64, usize> = HashMap::new();
        let mut made: Vec<Tree> = Vec::new();
        for i in 0..n {
            let tree = *order.entry(trees[i]).or_insert_with(|| {
                made.push(Tree::default());
                made.len() - 1
            });
            places.insert((trees[i], ids[i]), (tree, made[tree].nodes.len() as u32));
            made[tree].nodes.push(Node::Leaf(Vec::new()));
        }
        for i in 0..n {
            if *modes[i] == *b"LEAF" {
                continue;
            }
            let mode = MODES
                .iter()
                .find(|(_, name)| *name.as_bytes() == *modes[i])
                .ok_or("it has comparisons of another kind")?;
            let child = |id: i64| places.get(&(trees[i], id)).map(|p| p.1).ok_or("a child of its nodes is missing");
            let (tree, place) = places[&(trees[i], ids[i])];
            made[tree].nodes[place as usize] = Node::Branch {
                feature: u32::try_from(features[i]).map_err(|_| "a feature of its nodes is no number")?,
                mode: mode.0,
                value: values[i],
                missing_true: missing.get(i).is_some_and(|&m| m != 0),
                yes: child(yes[i])?,
                no: child(no[i])?,
            };
        }
        let (vote_trees, vote_ids) = (ints(node, &format!("{votes}_treeids")), ints(node, &format!("{votes}_nodeids")));
        let (targets, weights) = (ints(node, &format!("{votes}_ids")), floats(&format!("{votes}_weights")));
        for (i, &weight) in weights.iter().enumerate() {
            let (Some(tree), Some(id), Some(target)) = (vote_trees.get(i), vote_ids.get(i), targets.get(i)) else {
                return Err("its lists have different lengths");
            };
            let &(tree, place) = places.get(&(*tree, *id)).ok_or("a leaf is missing")?;
            if let Node::Leaf(votes) = &mut made[tree].nodes[place as usize] {
                votes.push((u32::try_from(*target).map_err(|_| "a target is no number")?, weight));
            }
        }
        // Roots come first, and no path comes back: a node that is nobody's child is the root.
        for tree in &mut made {
            rooted(tree)?;
        }
        Ok(Self { trees: made, base: floats("base_values").to_vec() })
    }

    /// Puts the trees into an operator in the place of those that it has.
    pub(in crate::optimize) fn write(&self, node: &mut NodeProto) {
        let votes = if node.operator() == "TreeEnsembleClassifier" { "class" } else { "target" };
        let own = |a: &AttributeProto| {
            let name = a.name.as_deref().unwrap_or_default();
            name.starts_with("nodes_")
                || name == "base_values"
                || ["treeids", "nodeids", "ids", "weights"].iter().any(|part| name == format!("{votes}_{part}"))
        };
        node.attribute.retain(|a| !own(a));
        let mut lists: [Vec<i64>; 6] = Default::default();
        let (mut modes, mut values) = (Vec::new(), Vec::new());
        let (mut of_votes, mut weights): ([Vec<i64>; 3], Vec<f32>) = Default::default();
        for (t, tree) in self.trees.iter().enumerate() {
            for (i, node) in tree.nodes.iter().enumerate() {
                let row = match node {
                    Node::Branch { feature, mode, value, missing_true, yes, no } => {
                        modes.push(MODES.iter().find(|(m, _)| m == mode).map_or("BRANCH_LEQ", |(_, name)| name));
                        values.push(*value);
                        [i64::from(*feature), (*yes).into(), (*no).into(), i64::from(*missing_true)]
                    }
                    Node::Leaf(votes) => {
                        modes.push("LEAF");
                        values.push(0.0);
                        for &(target, weight) in votes {
                            of_votes[0].push(t as i64);
                            of_votes[1].push(i as i64);
                            of_votes[2].push(target.into());
                            weights.push(weight);
                        }
                        [0; 4]
                    }
                };
                let all = [t as i64, i as i64, row[0], row[1], row[2], row[3]];
                lists.iter_mut().zip(all).for_each(|(list, x)| list.push(x));
            }
        }
        let names = ["treeids", "nodeids", "featureids", "truenodeids", "falsenodeids", "missing_value_tracks_true"];
        for (name, list) in names.iter().zip(lists) {
            node.attribute.push(builder::ints(&format!("nodes_{name}"), list));
        }
        node.attribute.push(builder::strings("nodes_modes", &modes));
        node.attribute.push(builder::floats("nodes_values", values));
        for (name, list) in ["treeids", "nodeids", "ids"].iter().zip(of_votes) {
            node.attribute.push(builder::ints(&format!("{votes}_{name}"), list));
        }
        node.attribute.push(builder::floats(&format!("{votes}_weights"), weights));
        if !self.base.is_empty() {
            node.attribute.push(builder::floats("base_values", self.base.clone()));
        }
    }

    /// How many nodes the trees have.
    pub(in crate::optimize) fn nodes(&self) -> usize {
        self.trees.iter().map(|t| t.nodes.len()).sum()
    }
}

/// Brings the root of a tree to the front and refuses loops.
fn rooted(tree: &mut Tree) -> Result<(), &'static str> {
    let n = tree.nodes.len();
    let mut parents = vec![0u32; n];
    for node in &tree.nodes {
        if let Node::Branch { yes, no, .. } = node {
            parents[*yes as usize] += 1;
            parents[*no as usize] += 1;
        }
    }
    // In topological order: what is left over stands on a loop.
    let mut order: Vec<usize> = (0..n).filter(|&i| parents[i] == 0).collect();
    let root = *order.first().ok_or("a tree has no root")?;
    let mut at = 0;
    while at < order.len() {
        if let Node::Branch { yes, no, .. } = &tree.nodes[order[at]] {
            for child in [*yes as usize, *no as usize] {
                parents[child] -= 1;
                if parents[child] == 0 {
                    order.push(child);
                }
            }
        }
        at += 1;
    }
    if order.len() != n {
        return Err("a tree has a loop");
    }
    if root != 0 {
        tree.nodes.swap(0, root);
        let moved = |child: &mut u32| {
            *child = match *child as usize {
                0 => root as u32,
                other if other == root => 0,
                other => other as u32,
            }
        };
        for node in &mut tree.nodes {
            if let Node::Branch { yes, no, .. } = node {
                moved(yes);
                moved(no);
            }
        }
    }
    Ok(())
}
