//! One tree of a file.

use super::text::{Field, Lines, malformed, need};
use crate::Result;

/// A tree as its block of lines describes it, with every check done. A node is numbered from 0 at the root; children that
/// are below zero are leaves, -1 the first.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tree {
    pub(super) features: Vec<u32>,
    /// Of a node of categories the number of its set.
    pub(super) thresholds: Vec<f64>,
    /// See [`Decision`].
    pub(super) decisions: Vec<Decision>,
    /// The left and the right child.
    pub(super) children: Vec<(i32, i32)>,
    pub(super) leaf_values: Vec<f64>,
    /// How many training rows came to each leaf and through each node; empty where the file does not say.
    pub(super) leaf_counts: Vec<i32>,
    pub(super) node_counts: Vec<i32>,
    /// The words of set i are `set_words[set_bounds[i]..set_bounds[i + 1]]`.
    pub(super) set_bounds: Vec<u32>,
    pub(super) set_words: Vec<u32>,
    pub(super) linear: Option<Linear>,
}

/// The linear models of a tree's leaves.
#[derive(Debug, PartialEq)]
pub(super) struct Linear {
    pub(super) constants: Vec<f64>,
    /// The number of terms of each leaf.
    pub(super) counts: Vec<usize>,
    /// The terms of all leaves: features and coefficients.
    pub(super) features: Vec<u32>,
    pub(super) coefficients: Vec<f64>,
}

/// How a node decides, as the bits of `decision_type` say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    /// Members of a set go left, rather than numbers up to a threshold.
    pub(super) categorical: bool,
    /// Where missing values go.
    pub(super) default_left: bool,
    pub(super) missing: Missing,
}

/// What a node takes for missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nothing: NaN counts as zero.
    None,
    /// Zero, and NaN with it.
    Zero,
    /// NaN.
    Nan,
}

impl Decision {
    fn of_bits(bits: i8) -> Self {
        let missing = match (bits >> 2) & 3 {
            1 => Missing::Zero,
            2 => Missing::Nan,
            _ => Missing::None,
        };
        Self { categorical: bits & 1 != 0, default_left: bits & 2 != 0, missing }
    }
}

macro_rules! fields {
    ($($key:ident),* $(,)?) => {
        /// The keys of a tree that answers depend on.
        #[derive(Default)]
        struct Fields<'f> {
            $($key: Option<Field<'f>>,)*
        }

        impl<'f> Fields<'f> {
            /// Where the value of a key goes; none where the key does not matter.
            fn slot(&mut self, key: &str) -> Option<&mut Option<Field<'f>>> {
                match key {
                    $(stringify!($key) => Some(&mut self.$key),)*
                    _ => None,
                }
            }
        }
    };
}

fields!(
    num_leaves,
    num_cat,
    split_feature,
    threshold,
    decision_type,
    left_child,
    right_child,
    leaf_value,
    leaf_count,
    internal_count,
    cat_boundaries,
    cat_threshold,
    is_linear,
    leaf_const,
    num_features,
    leaf_features,
    leaf_coeff,
);

impl Tree {
    /// Reads the lines up to the next empty one; `features` is how many a row has.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`](crate::ErrorKind) naming the line.
    pub(super) fn read(lines: &mut Lines<'_>, features: usize) -> Result<Self> {
        let mut fields = Fields::default();
        loop {
            let line = lines.next();
            let number = lines.number;
            let line = line.ok_or_else(|| malformed(number, "the file ends within a tree; it is truncated"))?;
            if line.is_empty() {
                break;
            }
            let (key, value) = line.split_once('=').ok_or_else(|| malformed(number, "`key=value` must stand here"))?;
            if let Some(slot) = fields.slot(key) {
                Field { key, value, line: number }.set(slot)?;
            }
        }
        Self::of_fields(&fields, lines.number, features)
    }

    fn of_fields(fields: &Fields<'_>, end: usize, features: usize) -> Result<Self> {
        let num_leaves = need(fields.num_leaves, "num_leaves", end)?;
        let leaves = num_leaves.one::<i32>()?;
        if leaves < 1 {
            return Err(num_leaves.malformed(format_args!("is {leaves}; a tree has at least one leaf")));
        }
        let leaves = leaves as usize;
        let mut tree = Self {
            leaf_values: need(fields.leaf_value, "leaf_value", end)?.list(leaves)?,
            leaf_counts: fields.leaf_count.map_or(Ok(Vec::new()), |f| f.list(leaves))?,
            ..Self::default()
        };
        if leaves > 1 {
            tree.read_nodes(fields, end, leaves, features)?;
        }
        if fields.is_linear.map_or(Ok(0), |f| f.one::<i32>())? != 0 {
            tree.linear = Some(Linear::of_fields(fields, end, leaves, features)?);
        }
        Ok(tree)
    }

    fn read_nodes(&mut self, fields: &Fields<'_>, end: usize, leaves: usize, features: usize) -> Result<()> {
        let nodes = leaves - 1;
        let split_feature = need(fields.split_feature, "split_feature", end)?;
        self.features = feature_list(&split_feature, nodes, features)?;
        let threshold = need(fields.threshold, "threshold", end)?;
        self.thresholds = threshold.list(nodes)?;
        if let Some(node) = self.thresholds.iter().position(|t| t.is_nan()) {
            return Err(threshold.malformed(format_args!("is NaN at node {node}, which nothing can be compared with")));
        }
        let bits = fields.decision_type.map_or_else(|| Ok(vec![0; nodes]), |f| f.list::<i8>(nodes))?;
        self.decisions = bits.into_iter().map(Decision::of_bits).collect();
        self.node_counts = fields.internal_count.map_or(Ok(Vec::new()), |f| f.list(nodes))?;
        let sets = need(fields.num_cat, "num_cat", end)?;
        self.read_sets(fields, end, &sets, &threshold)?;
        let left = need(fields.left_child, "left_child", end)?;
        let right = need(fields.right_child, "right_child", end)?;
        self.children = left.list(nodes)?.into_iter().zip(right.list(nodes)?).collect();
        self.check_children(&left, &right)
    }

    /// Reads the sets of categories and checks that every node has its own.
    fn read_sets(&mut self, fields: &Fields<'_>, end: usize, num_cat: &Field<'_>, threshold: &Field<'_>) -> Result<()> {
        let sets = num_cat.one::<i32>()?;
        if sets <= 0 {
            // The library looks at no set then, whatever the bits of the nodes say.
            self.decisions.iter_mut().for_each(|d| d.categorical = false);
            return Ok(());
        }
        let bounds = need(fields.cat_boundaries, "cat_boundaries", end)?;
        self.set_bounds = bounds.list(sets as usize + 1)?;
        if self.set_bounds[0] != 0 || !self.set_bounds.is_sorted() {
            return Err(bounds.malformed("must rise from 0"));
        }
        let words = self.set_bounds[sets as usize] as usize;
        self.set_words = need(fields.cat_threshold, "cat_threshold", end)?.list(words)?;
        let is_set = |t: f64| t >= 0.0 && t < f64::from(sets) && t.fract() == 0.0;
        let mut nodes = self.decisions.iter().zip(&self.thresholds);
        match nodes.position(|(d, &t)| d.categorical && !is_set(t)) {
            None => Ok(()),
            Some(node) => {
                let set = self.thresholds[node];
                Err(threshold.malformed(format_args!("names the set {set} at node {node}, and there are {sets}")))
            }
        }
    }

    /// Checks that every node and every leaf is reached in one way from the root.
    fn check_children(&self, left: &Field<'_>, right: &Field<'_>) -> Result<()> {
        let (nodes, leaves) = (self.children.len(), self.leaf_values.len());
        let mut seen = vec![false; nodes + leaves];
        seen[0] = true;
        let mut open = vec![0usize];
        let mut reached = 1;
        while let Some(at) = open.pop() {
            let (l, r) = self.children[at];
            for (child, field) in [(l, left), (r, right)] {
                let place = match usize::try_from(child) {
                    Ok(node) if node < nodes => node,
                    Err(_) if (!child as usize) < leaves => nodes + !child as usize,
                    _ => return Err(field.malformed(format_args!("is {child} at node {at}, which is out of range"))),
                };
                if std::mem::replace(&mut seen[place], true) {
                    return Err(field.malformed(format_args!(
                        "is {child} at node {at}, which has another parent already; the tree has a loop or shared nodes"
                    )));
                }
                reached += 1;
                if place < nodes {
                    open.push(place);
                }
            }
        }
        if reached < seen.len() {
            let lost = seen.len() - reached;
            return Err(
                left.malformed(format_args!("and `right_child` leave {lost} nodes and leaves without a parent"))
            );
        }
        Ok(())
    }
}

impl Linear {
    fn of_fields(fields: &Fields<'_>, end: usize, leaves: usize, features: usize) -> Result<Self> {
        let constants = need(fields.leaf_const, "leaf_const", end)?.list(leaves)?;
        let num_features = need(fields.num_features, "num_features", end)?;
        let counts: Vec<usize> = num_features.list(leaves)?;
        let total = counts.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
        let total = total.ok_or_else(|| num_features.malformed("adds up to more than there can be"))?;
        let leaf_features = need(fields.leaf_features, "leaf_features", end)?;
        Ok(Self {
            constants,
            counts,
            features: feature_list(&leaf_features, total, features)?,
            coefficients: need(fields.leaf_coeff, "leaf_coeff", end)?.list(total)?,
        })
    }
}

/// A list of features, each one that a row has.
fn feature_list(field: &Field<'_>, count: usize, features: usize) -> Result<Vec<u32>> {
    let list: Vec<u32> = field.list(count)?;
    match list.iter().find(|&&f| f as usize >= features) {
        None => Ok(list),
        Some(f) => Err(field.malformed(format_args!("names the feature {f}, and a row has {features}"))),
    }
}
