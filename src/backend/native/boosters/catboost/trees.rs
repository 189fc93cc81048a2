//! The trees of the file as a forest over columns.

use super::features::{Features, Question, malformed};
use super::json::{Node, ObliviousTree, OneOrMany, Split};
use crate::Result;
use crate::backend::native::boosters::Trees;
use crate::backend::native::trees::{self, Branch, Forest, Mode, Vote};

/// What a question is about, as a comparison of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test {
    pub(super) column: u32,
    /// True above this.
    pub(super) border: f32,
    pub(super) nan_true: bool,
}

/// Makes trees for as many targets as they turn out to have.
#[derive(Debug)]
pub(super) struct Builder<'f, C> {
    features: &'f Features,
    questions: &'f [Question],
    test: C,
    /// What every leaf is multiplied with.
    scale: f64,
    targets: Option<usize>,
    trees: Trees<f32, f64>,
    /// Whether every leaf has said how many rows it saw.
    counted: bool,
}

impl<'f, C: FnMut(Question) -> Test> Builder<'f, C> {
    pub(super) fn new(features: &'f Features, questions: &'f [Question], scale: f64, test: C) -> Self {
        let forest = Forest { nodes: vec![], votes: vec![], members: vec![], sets: vec![], roots: vec![], targets: 0 };
        let trees = Trees { forest, leaf_numbers: vec![], covers: vec![], linear: vec![] };
        Self { features, questions, test, scale, targets: None, trees, counted: true }
    }

    /// The trees; `targets` is the number of targets where there is no tree to tell it.
    pub(super) fn finish(mut self, targets: usize) -> Trees<f32, f64> {
        self.trees.forest.targets = self.targets.unwrap_or(targets);
        if !self.counted {
            self.trees.covers.clear();
        }
        self.trees
    }

    /// Adds a tree in which every level asks one question.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`](crate::ErrorKind) when the leaves are not as many as the levels ask for, ...
    pub(super) fn oblivious(&mut self, tree: &ObliviousTree) -> Result<()> {
        let splits = tree.splits.as_deref().unwrap_or_default();
        let values = &tree.leaf_values;
        let leaves = 1_usize.checked_shl(splits.len() as u32).filter(|&n| n <= values.len()).ok_or_else(|| {
            malformed("an oblivious tree has fewer leaf values than its splits ask for")
                .expected(format!("2^{} for each target", splits.len()))
                .actual(values.len())
        })?;
        let targets = values.len() / leaves;
        if values.len() != targets * leaves {
            return Err(malformed("the number of leaf values of an oblivious tree is not a multiple of 2^splits")
                .expected(format!("a multiple of {leaves}"))
                .actual(values.len()));
        }
        self.check_targets(targets)?;
        let weights = tree.leaf_weights.as_deref();
        if weights.is_some_and(|w| w.len() != leaves) {
            return Err(malformed("an oblivious tree has not as many leaf weights as leaves").expected(leaves));
        }
        let tests = splits.iter().map(|s| self.ask(s)).collect::<Result<Vec<_>>>()?;
        let root = self.level(&tests, 0, values, weights);
        self.trees.forest.roots.push(root);
        Ok(())
    }

    /// The subtree over `tests` whose leaves begin with number `first`: the last question tells the two halves apart.
    fn level(&mut self, tests: &[Test], first: usize, values: &[f64], weights: Option<&[f64]>) -> u32 {
        let Some((test, rest)) = tests.split_last() else {
            let k = self.targets.unwrap_or(1);
            return self.leaf(&values[first * k..(first + 1) * k], weights.map(|w| w[first]), first as u32);
        };
        let at = self.branch(*test);
        let no = self.level(rest, first, values, weights);
        let yes = self.level(rest, first + (1 << rest.len()), values, weights);
        self.join(at, no, yes)
    }

    /// Adds a tree of any other shape.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`](crate::ErrorKind) for a node that is neither leaf nor branch, ...
    pub(super) fn nested(&mut self, tree: &Node) -> Result<()> {
        let mut leaves = 0;
        let root = self.node(tree, &mut leaves)?;
        self.trees.forest.roots.push(root);
        Ok(())
    }

    /// The reader bounds how deep nodes are nested.
    fn node(&mut self, node: &Node, leaves: &mut u32) -> Result<u32> {
        match node {
            Node { value: Some(OneOrMany(values)), weight, .. } => {
                self.check_targets(values.len())?;
                let number = *leaves;
                *leaves += 1;
                Ok(self.leaf(values, *weight, number))
            }
            Node { split: Some(split), left: Some(left), right: Some(right), .. } => {
                let test = self.ask(split)?;
                let at = self.branch(test);
                let no = self.node(left, leaves)?;
                let yes = self.node(right, leaves)?;
                Ok(self.join(at, no, yes))
            }
            _ => Err(malformed("a node of a tree is neither a leaf with a value nor a split with two children")),
        }
    }

    fn check_targets(&mut self, targets: usize) -> Result<()> {
        let before = *self.targets.get_or_insert(targets);
        if targets == before && targets > 0 {
            return Ok(());
        }
        Err(malformed("the leaves of the trees have values for different numbers of targets")
            .expected(before.max(1))
            .actual(targets))
    }

    fn ask(&mut self, split: &Split) -> Result<Test> {
        let question = self.features.question(self.questions, split)?;
        Ok((self.test)(question))
    }

    fn push(&mut self, node: trees::Node<f32>, number: u32, cover: f64) -> u32 {
        self.trees.forest.nodes.push(node);
        self.trees.leaf_numbers.push(number);
        self.trees.covers.push(cover);
        self.trees.forest.nodes.len() as u32 - 1
    }

    fn leaf(&mut self, values: &[f64], weight: Option<f64>, number: u32) -> u32 {
        let first = self.trees.forest.votes.len() as u32;
        let scale = self.scale;
        let votes = values.iter().enumerate().map(|(t, &value)| Vote { target: t as u32, weight: value * scale });
        self.trees.forest.votes.extend(votes);
        self.counted &= weight.is_some();
        let votes = (first, self.trees.forest.votes.len() as u32);
        self.push(trees::Node::Leaf { votes }, number, weight.unwrap_or(0.0))
    }

    /// A branch whose children are not there yet.
    fn branch(&mut self, test: Test) -> u32 {
        let Test { column, border, nan_true } = test;
        let branch =
            Branch { mode: Mode::Gt, nan_true, feature: column, threshold: border, yes: 0, no: 0, members: (0, 0) };
        self.push(trees::Node::Branch(branch), 0, 0.0)
    }

    fn join(&mut self, at: u32, no: u32, yes: u32) -> u32 {
        if let trees::Node::Branch(branch) = &mut self.trees.forest.nodes[at as usize] {
            (branch.no, branch.yes) = (no, yes);
        }
        let covers = &mut self.trees.covers;
        covers[at as usize] = covers[no as usize] + covers[yes as usize];
        at
    }
}
