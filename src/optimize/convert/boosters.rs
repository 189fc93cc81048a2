//! Boosters' own files as ONNX: `TreeEnsembleRegressor` for the margins, standard operators for what becomes of them.

use std::collections::HashMap;

use super::categories::Vocabulary;
use crate::backend::native::boosters::{
    self, Booster, Column, Cut, Features, Input, Labels, Link, Missing, Scorer, Task, Trees, narrowed,
};
use crate::backend::native::trees::{Forest, Mode as Compare, Node as From, Number};
use crate::onnx::builder::{self, Dim};
use crate::onnx::{ModelProto, NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto, data_type};
use crate::optimize::trees::{Ensemble, Mode, Node, Tree};
use crate::{Error, ErrorKind, Format, Limits, Result};

const OPSET: i64 = 17;

fn refuse<T>(what: &str) -> Result<T> {
    let whole = format!("{what}, which ONNX's operators for trees can't say; keep the booster's own file");
    Err(Error::new(ErrorKind::Unsupported, whole))
}

/// The ONNX model of a booster's own file.
///
/// # Errors
/// Those of reading it; [`ErrorKind::Unsupported`] for what ONNX can't say.
pub(super) fn convert(bytes: &[u8], limits: &Limits, format: Format, texts: Option<&Vocabulary>) -> Result<ModelProto> {
    let booster = boosters::read(bytes, limits, format)?;
    let mut draft = Draft::default();
    let plain;
    let columns = match (&booster.input, texts) {
        (Input::Columns(columns), _) if booster.features.text.is_empty() => columns,
        (Input::Stage(stage), Some(texts)) if texts.len() == booster.features.text.len() => {
            draft.staged(&**stage, booster.features.count, texts)?;
            (draft.x, plain) = ("columns", (0..stage.sources().len() as u32).map(Column::plain).collect());
            &plain
        }
        _ => {
            let what = "the file knows categories by the hashes of their texts, which ONNX can't compute; give rows that hold the \
                        texts, with --data";
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
    };
    let divisor = booster.divisor;
    let base: Vec<f32> = booster.base.iter().map(|b| (b / divisor) as f32).collect();
    match &booster.scorer {
        Scorer::F32(trees) => draft.trees(trees, &trees.forest, columns, base, divisor)?,
        Scorer::Mixed(trees) => draft.trees(trees, &trees.forest, columns, base, divisor)?,
        Scorer::F64(trees) => draft.trees(trees, &narrowed(&trees.forest), columns, base, divisor)?,
        Scorer::Linear(linear) => {
            let plain = columns.iter().enumerate().all(|(i, c)| *c == Column::plain(i as u32));
            if !plain || divisor != 1.0 {
                return refuse("the linear model reads columns by rules of its own");
            }
            let k = linear.bias.len();
            let n = linear.weights.len() / k.max(1);
            let bias = linear.bias.iter().zip(&booster.base).map(|(b, base)| b + *base as f32).collect::<Vec<f32>>();
            draft.constant(builder::f32_tensor("weights", &[n, k], linear.weights.clone())?);
            draft.constant(builder::f32_tensor("bias", &[k], bias)?);
            draft.node("Gemm", &["x", "weights", "bias"], "margins");
        }
    }
    draft.finish(&booster)
}

pub(super) struct Draft {
    pub(super) nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    outputs: Vec<ValueInfoProto>,
    /// What trees compare.
    x: &'static str,
}

impl Default for Draft {
    fn default() -> Self {
        Self { nodes: Vec::new(), constants: Vec::new(), outputs: Vec::new(), x: "x" }
    }
}

impl Draft {
    pub(super) fn constant(&mut self, tensor: TensorProto) {
        self.constants.push(tensor);
    }

    pub(super) fn node(&mut self, operator: &str, inputs: &[&str], output: &str) {
        self.nodes.push(builder::node(operator, "", inputs, &[output], []));
    }

    fn trees<T, U, W: Number>(
        &mut self,
        of: &Trees<T, U>,
        forest: &Forest<f32, W>,
        columns: &[Column],
        base: Vec<f32>,
        divisor: f64,
    ) -> Result<()> {
        let (x, columns) = self.given(columns)?;
        if !of.linear.is_empty() {
            return self.linear_leaves(of, forest, (x, &columns), &base, divisor);
        }
        let votes = |index: u32| {
            let votes = forest.votes_of(index).iter();
            votes.map(|v| (v.target, (v.weight.to_f64() / divisor) as f32)).collect()
        };
        let trees = forest.roots.iter().map(|&root| tree(forest, root, &columns, &votes)).collect::<Result<_>>()?;
        if forest.targets == 1 {
            self.ensemble(x, "margins", 1, Ensemble { trees, base });
            return Ok(());
        }
        // Of several targets the operator gives one without votes no base value.
        self.ensemble(x, "of targets", forest.targets, Ensemble { trees, base: Vec::new() });
        self.based(&base)
    }

    /// The margins of sums for each target.
    fn based(&mut self, base: &[f32]) -> Result<()> {
        self.constant(builder::f32_tensor("base", &[base.len()], base.to_vec())?);
        self.node("Add", &["of targets", "base"], "margins");
        Ok(())
    }

    fn ensemble(&mut self, x: &str, y: &str, targets: usize, ensemble: Ensemble) {
        let attributes = [builder::int("n_targets", targets as i64), builder::string("post_transform", "NONE")];
        let mut node = builder::node("TreeEnsembleRegressor", "ai.onnx.ml", &[x], &[y], attributes);
        ensemble.write(&mut node);
        self.nodes.push(node);
    }

    /// Margins of trees with linear models in their leaves: the trees tell the number of each leaf, tables its coefficients.
    fn linear_leaves<T, U, W: Number>(
        &mut self,
        of: &Trees<T, U>,
        forest: &Forest<f32, W>,
        (x, columns): (&str, &[Column]),
        base: &[f32],
        divisor: f64,
    ) -> Result<()> {
        let count = forest.roots.len();
        let width = columns.iter().map(|c| c.feature as usize + 1).max().unwrap_or(1);
        // The numbers of leaves, and for each of them coefficients, which of these there are, the constant, and what stands in
        // for a missing number.
        let mut numbers: HashMap<u32, usize> = HashMap::new();
        let (mut coefficients, mut used) = (Vec::<f32>::new(), Vec::<bool>::new());
        let (mut constants, mut weights) = (Vec::<f32>::new(), Vec::<f32>::new());
        let (mut trees, mut of_target) = (Vec::new(), vec![0.0f32; count * forest.targets]);
        for (t, &root) in forest.roots.iter().enumerate() {
            let mut todo = vec![root];
            while let Some(index) = todo.pop() {
                match &forest.nodes[index as usize] {
                    From::Branch(b) => todo.extend([b.yes, b.no]),
                    From::Leaf { .. } => {
                        let vote = forest.votes_of(index).first();
                        let (target, weight) = vote.map_or((0, 0.0), |v| (v.target, v.weight.to_f64() / divisor));
                        of_target[t * forest.targets + target as usize] = 1.0;
                        numbers.insert(index, weights.len());
                        weights.push(weight as f32);
                        let from = coefficients.len();
                        coefficients.resize(from + width, 0.0);
                        used.resize(from + width, false);
                        let linear = of.linear[index as usize].as_ref();
                        constants.push(linear.map_or(weight, |linear| linear.constant / divisor) as f32);
                        for (column, coefficient) in linear.iter().flat_map(|linear| &linear.terms) {
                            let at = from + columns[*column as usize].feature as usize;
                            coefficients[at] += (coefficient / divisor) as f32;
                            used[at] = true;
                        }
                    }
                }
            }
            // What is not exact in f32 can't be looked up.
            if weights.len() > 1 << 24 {
                return refuse("the trees have more than 2^24 leaves");
            }
            let number = |index: u32| vec![(t as u32, numbers.get(&index).copied().unwrap_or(0) as f32)];
            trees.push(tree(forest, root, columns, &number)?);
        }
        let leaves = weights.len();
        self.ensemble(x, "leaf numbers", count, Ensemble { trees, base: Vec::new() });
        self.cast("leaf numbers", data_type::INT64, "leaves");
        self.constant(builder::f32_tensor("coefficients", &[leaves, width], coefficients)?);
        self.constant(builder::dense_tensor("used", &[leaves, width], used)?);
        self.constant(builder::f32_tensor("constants", &[leaves], constants)?);
        self.constant(builder::f32_tensor("weights", &[leaves], weights)?);
        for (table, own) in [
            ("coefficients", "own coefficients"),
            ("used", "own used"),
            ("constants", "own constants"),
            ("weights", "own weights"),
        ] {
            self.nodes.push(builder::node("Gather", "", &[table, "leaves"], &[own], [builder::int("axis", 0)]));
        }
        self.constant(builder::dense_tensor("features", &[width], (0..width as i64).collect::<Vec<_>>())?);
        self.constant(builder::dense_tensor("tree axis", &[1], vec![1i64])?);
        self.constant(builder::dense_tensor("feature axis", &[1], vec![2i64])?);
        self.constant(builder::f32_tensor("zero", &[], vec![0.0])?);
        self.nodes.push(builder::node("Gather", "", &[x, "features"], &["numbers"], [builder::int("axis", 1)]));
        self.node("Unsqueeze", &["numbers", "tree axis"], "rows");
        self.node("Mul", &["rows", "own coefficients"], "terms");
        self.node("Where", &["own used", "terms", "zero"], "own terms");
        let keep = [builder::int("keepdims", 0)];
        self.nodes.push(builder::node("ReduceSum", "", &["own terms", "feature axis"], &["sums"], keep));
        self.node("Add", &["sums", "own constants"], "answers");
        self.node("IsNaN", &["answers"], "incomplete");
        self.node("Where", &["incomplete", "own weights", "answers"], "of trees");
        self.constant(builder::f32_tensor("targets of trees", &[count, forest.targets], of_target)?);
        self.node("MatMul", &["of trees", "targets of trees"], "of targets");
        self.based(base)
    }

    /// What trees compare, and its columns: the input, or, where numbers next to zero are missing in a column, a copy in which
    /// they are NaN.
    fn given(&mut self, columns: &[Column]) -> Result<(&'static str, Vec<Column>)> {
        if columns.iter().all(|column| column.missing != Missing::ZeroOrNan) {
            return Ok((self.x, columns.to_vec()));
        }
        let n = columns.len();
        let sources = columns.iter().map(|column| i64::from(column.feature)).collect::<Vec<_>>();
        let zeros = |column: &Column| if column.missing == Missing::ZeroOrNan { NEXT_TO_ZERO } else { -1.0 };
        self.constant(builder::dense_tensor("sources", &[n], sources)?);
        self.constant(builder::f32_tensor("zeros", &[n], columns.iter().map(zeros).collect::<Vec<_>>())?);
        self.constant(builder::f32_tensor("missing", &[], vec![f32::NAN])?);
        self.nodes.push(builder::node("Gather", "", &["x", "sources"], &["columns"], [builder::int("axis", 1)]));
        self.node("Abs", &["columns"], "magnitudes");
        self.node("LessOrEqual", &["magnitudes", "zeros"], "nothings");
        self.node("Where", &["nothings", "missing", "columns"], "given");
        let column = |(i, column): (usize, &Column)| match column.missing {
            Missing::ZeroOrNan => Column::plain(i as u32),
            missing => Column { feature: i as u32, missing },
        };
        Ok(("given", columns.iter().enumerate().map(column).collect()))
    }

    /// The answers that the native model gives, under its names.
    fn finish(mut self, booster: &Booster) -> Result<ModelProto> {
        let targets = booster.base.len();
        let margins = "margins";
        let linked = match booster.link {
            Link::Identity => margins,
            Link::Logistic { k } => {
                let mut x = margins;
                if k != 1.0 {
                    self.constant(builder::f32_tensor("slope", &[], vec![k as f32])?);
                    self.node("Mul", &[x, "slope"], "steep");
                    x = "steep";
                }
                self.node("Sigmoid", &[x], "linked");
                "linked"
            }
            Link::Softmax => {
                self.nodes.push(builder::node("Softmax", "", &[margins], &["linked"], [builder::int("axis", -1)]));
                "linked"
            }
            Link::Exp => {
                self.node("Exp", &[margins], "linked");
                "linked"
            }
            Link::Softplus => {
                self.node("Softplus", &[margins], "linked");
                "linked"
            }
            Link::SignedSquare => {
                self.node("Abs", &[margins], "sizes");
                self.node("Mul", &[margins, "sizes"], "linked");
                "linked"
            }
            Link::Step => {
                self.constant(builder::f32_tensor("nothing", &[], vec![0.0])?);
                self.node("Greater", &[margins, "nothing"], "above");
                self.cast("above", data_type::FLOAT, "linked");
                "linked"
            }
            Link::MeanAndVariance => {
                // The second of two is e^(2 x).
                self.constant(builder::f32_tensor("doubled", &[], vec![2.0])?);
                self.constant(builder::dense_tensor("is variance", &[2], vec![false, true])?);
                self.node("Mul", &[margins, "doubled"], "twice");
                self.node("Exp", &["twice"], "variances");
                self.node("Where", &["is variance", "variances", margins], "linked");
                "linked"
            }
        };
        match &booster.task {
            Task::Regression => self.numbers(linked, targets)?,
            Task::Binary { labels, cut } => {
                self.constant(builder::f32_tensor("one", &[], vec![1.0])?);
                self.node("Sub", &["one", linked], "first");
                let axis = [builder::int("axis", 1)];
                self.nodes.push(builder::node("Concat", "", &["first", linked], &["probabilities"], axis));
                self.beyond(*cut, linked, "classes")?;
                self.flat("classes", "class")?;
                self.labels(labels)?;
            }
            Task::Multiclass { labels, cut } => {
                self.node("Identity", &[linked], "probabilities");
                let of = if matches!(cut, Cut::Margin(_)) { margins } else { linked };
                let attributes = [builder::int("axis", 1), builder::int("keepdims", 0)];
                self.nodes.push(builder::node("ArgMax", "", &[of], &["class"], attributes));
                self.labels(labels)?;
            }
            Task::Multilabel { labels, cut } => {
                self.node("Identity", &[linked], "probabilities");
                self.beyond(*cut, linked, "label")?;
                let dims = [Dim::Symbolic("m"), Dim::Fixed(labels.len() as i64)];
                self.outputs.push(builder::value_info("label", data_type::INT64, &dims));
                self.outputs.push(builder::value_info("probabilities", data_type::FLOAT, &dims));
            }
        }
        let Features { count, names, .. } = &booster.features;
        let dims = [Dim::Symbolic("m"), Dim::Fixed(*count as i64)];
        let mut inputs = Vec::new();
        if *count > 0 || booster.features.text.is_empty() {
            inputs.push(builder::value_info("x", data_type::FLOAT, &dims));
        }
        if !booster.features.text.is_empty() {
            let dims = [Dim::Symbolic("m"), Dim::Fixed(booster.features.text.len() as i64)];
            inputs.push(builder::value_info("categories", data_type::STRING, &dims));
        }
        let graph = builder::graph("booster", inputs, self.nodes, self.constants, self.outputs);
        let mut model = builder::model(8, &[("", OPSET), ("ai.onnx.ml", 3)], graph);
        if names.len() == *count && *count > 0 {
            let value = serde_json::to_string(names)
                .map_err(|e| Error::new(ErrorKind::InvalidArgument, "the names can't be written").with_source(e))?;
            model.metadata_props.push(StringStringEntryProto {
                key: Some("modelberth.features.x".into()),
                value: Some(value),
                ..StringStringEntryProto::default()
            });
        }
        Ok(model)
    }

    /// `y`, 1 where margins or what the link makes of them lie above the cut, else 0.
    fn beyond(&mut self, cut: Cut, linked: &str, y: &str) -> Result<()> {
        let (of, above) = match cut {
            Cut::Probability(p) => (linked, p),
            Cut::Margin(m) => ("margins", m),
        };
        self.constant(builder::f32_tensor("cut", &[], vec![above as f32])?);
        self.node("Greater", &[of, "cut"], "beyond");
        self.cast("beyond", data_type::INT64, y);
        Ok(())
    }

    pub(super) fn cast(&mut self, x: &str, to: i32, y: &str) {
        self.nodes.push(builder::node("Cast", "", &[x], &[y], [builder::int("to", to.into())]));
    }

    /// (m, 1) as (m,).
    fn flat(&mut self, x: &str, y: &str) -> Result<()> {
        self.constant(builder::dense_tensor("flat", &[1], vec![-1i64])?);
        self.node("Reshape", &[x, "flat"], y);
        Ok(())
    }

    fn numbers(&mut self, linked: &str, targets: usize) -> Result<()> {
        let dims = [Dim::Symbolic("m"), Dim::Fixed(targets as i64)];
        if targets == 1 {
            self.flat(linked, "prediction")?;
        } else {
            self.node("Identity", &[linked], "prediction");
        }
        let dims = if targets == 1 { &dims[..1] } else { &dims };
        self.outputs.push(builder::value_info("prediction", data_type::FLOAT, dims));
        Ok(())
    }

    fn labels(&mut self, labels: &Labels) -> Result<()> {
        let n = [labels.len()];
        let (table, code) = match labels {
            Labels::Count(k) => {
                (builder::dense_tensor("labels", &n, (0..*k as i64).collect::<Vec<_>>()), data_type::INT64)
            }
            Labels::Ints(l) => (builder::dense_tensor("labels", &n, l.clone()), data_type::INT64),
            Labels::Floats(l) => (builder::dense_tensor("labels", &n, l.clone()), data_type::DOUBLE),
            Labels::Bools(l) => (builder::dense_tensor("labels", &n, l.clone()), data_type::BOOL),
            Labels::Texts(l) => (builder::dense_tensor("labels", &n, l.clone()), data_type::STRING),
        };
        self.constant(table?);
        let axis = [builder::int("axis", 0)];
        self.nodes.push(builder::node("Gather", "", &["labels", "class"], &["label"], axis));
        let dims = [Dim::Symbolic("m"), Dim::Fixed(labels.len() as i64)];
        self.outputs.push(builder::value_info("label", code, &dims[..1]));
        self.outputs.push(builder::value_info("probabilities", data_type::FLOAT, &dims));
        Ok(())
    }
}

/// The number up to which a number counts as next to zero.
const NEXT_TO_ZERO: f32 = 1e-35;

/// A node of a tree in the making: one of the forest, or one that stands for a part of its test.
enum Made {
    Of(u32),
    Part(Node),
}

/// A tree in the making: the nodes whose places are known, and where those of the forest stand.
struct Making {
    order: Vec<Made>,
    places: HashMap<u32, u32>,
}

impl Making {
    /// The place of a node of the forest.
    fn child(&mut self, index: u32) -> u32 {
        let order = &mut self.order;
        *self.places.entry(index).or_insert_with(|| {
            order.push(Made::Of(index));
            order.len() as u32 - 1
        })
    }

    /// The test for a set of categories as a chain of comparisons, each of which decides or leads to the next: numbers are
    /// truncated towards zero, so that `a..b` are the categories of all x with a <= x < b. The first of the chain.
    fn chain(&mut self, feature: u32, mode: Compare, set: &[u32], nan_true: bool, [yes, no]: [u32; 2]) -> Result<Node> {
        let holds = |i: u32| set.get((i / 32) as usize).is_some_and(|word| word >> (i % 32) & 1 == 1);
        let end = set.len() as u32 * 32;
        if end > 1 << 24 {
            return refuse("the trees ask for categories beyond 2^24");
        }
        // Where membership changes, and the comparison that holds below it.
        let mut steps: Vec<(Mode, f32)> = Vec::new();
        for i in (0..=end).filter(|i| holds(*i) != (*i > 0 && holds(*i - 1))) {
            // -0.9 is zero, unless nothing below zero is a category.
            steps.push(if i == 0 && mode == Compare::InSet { (Mode::Leq, -1.0) } else { (Mode::Lt, i as f32) });
        }
        let mut next = no;
        for (i, (mode, value)) in steps.into_iter().enumerate().rev() {
            // Below the first, third, ... nothing is a member, below the others all is.
            let below = if i % 2 == 0 { no } else { yes };
            let node = Node::Branch { feature, mode, value, missing_true: false, yes: below, no: next };
            if i == 0 && !nan_true {
                return Ok(node);
            }
            self.order.push(Made::Part(node));
            next = self.order.len() as u32 - 1;
        }
        let value = f32::NEG_INFINITY;
        Ok(Node::Branch { feature, mode: Mode::Lt, value, missing_true: nan_true, yes, no: next })
    }
}

/// A tree of the forest, its root first, with the votes that `votes` tells of its leaves.
fn tree<W: Number>(
    forest: &Forest<f32, W>,
    root: u32,
    columns: &[Column],
    votes: &dyn Fn(u32) -> Vec<(u32, f32)>,
) -> Result<Tree> {
    let mut making = Making { order: vec![Made::Of(root)], places: HashMap::from([(root, 0u32)]) };
    let mut made = Tree::default();
    while let Some(next) = making.order.get(made.nodes.len()) {
        let index = match next {
            Made::Part(node) => {
                let node = node.clone();
                made.nodes.push(node);
                continue;
            }
            Made::Of(index) => *index,
        };
        let node = match &forest.nodes[index as usize] {
            From::Leaf { .. } => Node::Leaf(votes(index)),
            From::Branch(b) => {
                let column = columns.get(b.feature as usize).copied().unwrap_or(Column::plain(b.feature));
                let feature = column.feature;
                let children = [making.child(b.yes), making.child(b.no)];
                let mode = match b.mode {
                    Compare::Leq => Mode::Leq,
                    Compare::Lt => Mode::Lt,
                    Compare::Gte => Mode::Gte,
                    Compare::Gt => Mode::Gt,
                    Compare::Eq => Mode::Eq,
                    Compare::Neq => Mode::Neq,
                    Compare::InSet | Compare::InSetFromZero => {
                        let set = &forest.sets[b.members.0 as usize..b.members.1 as usize];
                        // NaN goes where zero goes.
                        let zero = set.first().is_some_and(|word| word & 1 == 1);
                        let nan_true = if column.missing == Missing::NanIsZero { zero } else { b.nan_true };
                        made.nodes.push(making.chain(feature, b.mode, set, nan_true, children)?);
                        continue;
                    }
                    Compare::Member => return refuse("the trees ask for membership in lists of numbers"),
                };
                let missing_true = match column.missing {
                    Missing::IsNan | Missing::ZeroOrNan => b.nan_true,
                    Missing::NanIsZero => mode.holds(0.0, b.threshold),
                };
                let [yes, no] = children;
                Node::Branch { feature, mode, value: b.threshold, missing_true, yes, no }
            }
        };
        made.nodes.push(node);
    }
    Ok(made)
}
