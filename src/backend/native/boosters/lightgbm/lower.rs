//! From the file to the common form.
//!
//! LightGBM compares in f64, and takes numbers no further from zero than 1e-35 for zero before it looks at a row. What
//! that does to `x <= t` is said by another threshold ([`zero_kept`]); for nodes that take zero for missing, the column
//! is read with that rule. NaN where nothing is missing goes where zero goes.

use std::collections::HashMap;

use super::file::File;
use super::tree::{Missing as Rule, Tree};
use super::{categories, objective};
use crate::Result;
use crate::backend::native::boosters::{Booster, Column, Features, Input, LinearLeaf, Missing, Scorer, Task, Trees};
use crate::backend::native::trees::{Branch, Forest, Mode, Node, Vote};

/// The number up to which numbers count as zero. The library writes it as f32.
const ZERO: f64 = 1e-35_f32 as f64;

/// The common form of a file.
///
/// # Errors
/// Those of [`objective::objective`] and [`categories::lists`].
pub(super) fn booster(file: &File<'_>) -> Result<Booster> {
    let (link, task) = objective::objective(file.objective.as_ref(), file.targets)?;
    let mut features = Features {
        count: file.feature_names.len(),
        names: file.feature_names.iter().map(|&name| name.to_owned()).collect(),
        categories: Vec::new(),
        ..Features::default()
    };
    let mut notes = Vec::new();
    if let Some(version) = file.version {
        notes.push(format!("written as version {version} of the format"));
    }
    if let Some(field) = &file.pandas_categorical {
        let lists = categories::lists(field)?;
        if !lists.is_empty() {
            match categories::of_features(lists, file) {
                Ok(of_features) => features.categories = of_features,
                Err(why_not) => notes.push(why_not),
            }
        }
    }
    if matches!(task, Task::Binary { .. } | Task::Multiclass { .. }) {
        notes.push("labels are the numbers of the classes; the file does not name them".to_owned());
    }
    let columns = Columns::of(file);
    let trees = trees(file, &columns);
    let iterations = file.trees.len() / file.targets;
    Ok(Booster {
        format: "lightgbm text",
        features,
        input: Input::Columns(columns.list),
        absent: 0.0,
        scorer: Scorer::F64(trees),
        base: vec![0.0; file.targets],
        divisor: if file.averaged { iterations as f64 } else { 1.0 },
        link,
        task,
        notes,
    })
}

/// The columns that trees compare: those of the input, each under the rule for missing values that its nodes have. One
/// that is asked under two rules is there twice.
struct Columns {
    /// First all features, each under its only rule, or as it is.
    list: Vec<Column>,
    /// Where features stand that are asked with zero as missing.
    zero: HashMap<u32, u32>,
}

impl Columns {
    fn of(file: &File<'_>) -> Self {
        let n = file.feature_names.len();
        let (mut as_is, mut as_zero) = (vec![false; n], vec![false; n]);
        for tree in &file.trees {
            for (&feature, decision) in tree.features.iter().zip(&tree.decisions) {
                let zero = !decision.categorical && decision.missing == Rule::Zero;
                let asked = if zero { &mut as_zero } else { &mut as_is };
                asked[feature as usize] = true;
            }
            tree.linear.iter().flat_map(|l| &l.features).for_each(|&f| as_is[f as usize] = true);
        }
        let mut list: Vec<Column> = (0..n as u32).map(Column::plain).collect();
        let mut zero = HashMap::new();
        for feature in (0..n as u32).filter(|&f| as_zero[f as usize]) {
            let column = Column { feature, missing: Missing::ZeroOrNan };
            if as_is[feature as usize] {
                zero.insert(feature, list.len() as u32);
                list.push(column);
            } else {
                zero.insert(feature, feature);
                list[feature as usize] = column;
            }
        }
        Self { list, zero }
    }
}

fn trees(file: &File<'_>, columns: &Columns) -> Trees<f64, f64> {
    let leaves: usize = file.trees.iter().map(|t| t.leaf_values.len()).sum();
    let nodes = 2 * leaves - file.trees.len();
    let is_counted = |t: &Tree| match t.features.len() {
        0 => true,
        nodes => t.node_counts.len() == nodes && !t.leaf_counts.is_empty() && t.node_counts.iter().all(|&n| n > 0),
    };
    let counted = file.trees.iter().all(is_counted);
    let linear = file.trees.iter().any(|t| t.linear.is_some());
    let mut trees = Trees {
        forest: Forest {
            nodes: Vec::with_capacity(nodes),
            votes: Vec::with_capacity(leaves),
            members: Vec::new(),
            sets: Vec::new(),
            roots: Vec::with_capacity(file.trees.len()),
            targets: file.targets,
        },
        leaf_numbers: Vec::with_capacity(nodes),
        covers: Vec::with_capacity(if counted { nodes } else { 0 }),
        linear: Vec::with_capacity(if linear { nodes } else { 0 }),
    };
    for (i, tree) in file.trees.iter().enumerate() {
        add(&mut trees, tree, (i % file.targets) as u32, columns);
        if counted {
            trees.covers.extend(tree.node_counts.iter().chain(&tree.leaf_counts).map(|&n| f64::from(n)));
            // A tree of one leaf needs no counts.
            trees.covers.resize(trees.forest.nodes.len(), 1.0);
        }
        if linear {
            trees.linear.resize(trees.linear.len() + tree.features.len(), None);
            add_linear(&mut trees.linear, tree);
        }
    }
    trees
}

/// Adds a tree: its nodes, then its leaves, each in the order of the file.
fn add(trees: &mut Trees<f64, f64>, tree: &Tree, target: u32, columns: &Columns) {
    let Trees { forest, leaf_numbers, .. } = trees;
    let first = forest.nodes.len() as u32;
    let first_leaf = first + tree.features.len() as u32;
    let first_set = forest.sets.len() as u32;
    let place = |child: i32| if child < 0 { first_leaf + !child as u32 } else { first + child as u32 };
    forest.roots.push(first);
    forest.sets.extend_from_slice(&tree.set_words);
    for (i, (&feature, decision)) in tree.features.iter().zip(&tree.decisions).enumerate() {
        let (left, right) = tree.children[i];
        let threshold = tree.thresholds[i];
        let mut branch = Branch {
            mode: Mode::Leq,
            nan_true: decision.default_left,
            feature,
            threshold: zero_kept(threshold),
            yes: place(left),
            no: place(right),
            members: (0, 0),
        };
        if decision.categorical {
            let set = threshold as usize;
            branch.mode = Mode::InSet;
            branch.nan_true = false;
            branch.threshold = 0.0;
            branch.members = (first_set + tree.set_bounds[set], first_set + tree.set_bounds[set + 1]);
        } else {
            match decision.missing {
                Rule::Nan => {}
                Rule::None => branch.nan_true = 0.0 <= threshold,
                Rule::Zero => branch.feature = columns.zero[&feature],
            }
        }
        forest.nodes.push(Node::Branch(branch));
        leaf_numbers.push(0);
    }
    for (i, &weight) in tree.leaf_values.iter().enumerate() {
        let vote = forest.votes.len() as u32;
        forest.votes.push(Vote { target, weight });
        forest.nodes.push(Node::Leaf { votes: (vote, vote + 1) });
        leaf_numbers.push(i as u32);
    }
}

/// Adds the linear models of a tree's leaves, or none for each.
fn add_linear(all: &mut Vec<Option<LinearLeaf>>, tree: &Tree) {
    let Some(linear) = &tree.linear else {
        all.resize(all.len() + tree.leaf_values.len(), None);
        return;
    };
    let mut terms = linear.features.iter().zip(&linear.coefficients);
    for (&constant, &count) in linear.constants.iter().zip(&linear.counts) {
        let terms = terms.by_ref().take(count).map(|(&f, &c)| (f, c)).collect();
        all.push(Some(LinearLeaf { constant, terms }));
    }
}

/// The threshold that decides for x as `t` decides for x with everything from -1e-35 to 1e-35 taken for zero.
fn zero_kept(t: f64) -> f64 {
    if (-ZERO..0.0).contains(&t) {
        (-ZERO).next_down()
    } else if (0.0..ZERO).contains(&t) {
        ZERO
    } else {
        t
    }
}
