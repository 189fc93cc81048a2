//! Boosters' own files as ONNX: `TreeEnsembleRegressor` for the margins, standard operators for what becomes of them.

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
pub(super) fn convert(bytes: &[u8], limits: &Limits, format: Format) -> Result<ModelProto> {
    let booster = boosters::read(bytes, limits, format)?;
    if !booster.features.text.is_empty() || booster.features.categories.iter().any(Option::is_some) {
        return refuse("the model has columns of categories");
    }
    let Input::Columns(columns) = &booster.input else {
        return refuse("the model computes statistics of categories");
    };
    let divisor = booster.divisor;
    let base: Vec<f32> = booster.base.iter().map(|b| (b / divisor) as f32).collect();
    let mut draft = Draft::default();
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

#[derive(Default)]
struct Draft {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    outputs: Vec<ValueInfoProto>,
}

impl Draft {
    fn constant(&mut self, tensor: TensorProto) {
        self.constants.push(tensor);
    }

    fn node(&mut self, operator: &str, inputs: &[&str], output: &str) {
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
        if !of.linear.is_empty() {
            return refuse("the trees have linear models in their leaves");
        }
        let trees = forest.roots.iter().map(|&root| tree(forest, root, columns, divisor)).collect::<Result<_>>()?;
        let mut node = builder::node(
            "TreeEnsembleRegressor",
            "ai.onnx.ml",
            &["x"],
            &["margins"],
            [builder::int("n_targets", forest.targets as i64), builder::string("post_transform", "NONE")],
        );
        Ensemble { trees, base }.write(&mut node);
        self.nodes.push(node);
        Ok(())
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
            Link::MeanAndVariance => return refuse("the model predicts a mean and a variance"),
        };
        match &booster.task {
            Task::Regression => self.numbers(linked, targets)?,
            Task::Binary { labels, cut } => {
                self.constant(builder::f32_tensor("one", &[], vec![1.0])?);
                self.node("Sub", &["one", linked], "first");
                let axis = [builder::int("axis", 1)];
                self.nodes.push(builder::node("Concat", "", &["first", linked], &["probabilities"], axis));
                let (of, above) = match cut {
                    Cut::Probability(p) => (linked, *p),
                    Cut::Margin(m) => (margins, *m),
                };
                self.constant(builder::f32_tensor("cut", &[], vec![above as f32])?);
                self.node("Greater", &[of, "cut"], "second");
                self.cast("second", data_type::INT64, "classes");
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
            Task::Multilabel { .. } => return refuse("a row may have several labels"),
        }
        let Features { count, names, .. } = &booster.features;
        let dims = [Dim::Symbolic("m"), Dim::Fixed(*count as i64)];
        let input = builder::value_info("x", data_type::FLOAT, &dims);
        let graph = builder::graph("booster", [input], self.nodes, self.constants, self.outputs);
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

    fn cast(&mut self, x: &str, to: i32, y: &str) {
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

/// A tree of the forest, its root first.
fn tree<W: Number>(forest: &Forest<f32, W>, root: u32, columns: &[Column], divisor: f64) -> Result<Tree> {
    let mut places = std::collections::HashMap::from([(root, 0u32)]);
    let mut order = vec![root];
    let mut made = Tree::default();
    let mut at = 0;
    while at < order.len() {
        let node = match &forest.nodes[order[at] as usize] {
            From::Leaf { votes } => {
                let votes = &forest.votes[votes.0 as usize..votes.1 as usize];
                Node::Leaf(votes.iter().map(|v| (v.target, (v.weight.to_f64() / divisor) as f32)).collect())
            }
            From::Branch(b) => {
                let mode = match b.mode {
                    Compare::Leq => Mode::Leq,
                    Compare::Lt => Mode::Lt,
                    Compare::Gte => Mode::Gte,
                    Compare::Gt => Mode::Gt,
                    Compare::Eq => Mode::Eq,
                    Compare::Neq => Mode::Neq,
                    _ => return refuse("the trees ask for membership in sets"),
                };
                let column = columns.get(b.feature as usize).copied().unwrap_or(Column::plain(b.feature));
                let missing_true = match column.missing {
                    Missing::IsNan => b.nan_true,
                    // NaN goes where zero goes.
                    Missing::NanIsZero => mode.holds(0.0, b.threshold),
                    Missing::ZeroOrNan => return refuse("the trees take zeros for missing"),
                };
                let mut child = |index: u32| {
                    *places.entry(index).or_insert_with(|| {
                        order.push(index);
                        order.len() as u32 - 1
                    })
                };
                let (yes, no) = (child(b.yes), child(b.no));
                Node::Branch { feature: column.feature, mode, value: b.threshold, missing_true, yes, no }
            }
        };
        made.nodes.push(node);
        at += 1;
    }
    Ok(made)
}
