//! What a file says, in the terms that all boosters share.

use super::columns::{Column, Stage};
use crate::backend::native::trees::Forest;

/// A boosted model. For each target the margin of a row is `base + sum`; the link makes the answer of
/// `margin / divisor`.
#[derive(Debug)]
pub(crate) struct Booster {
    /// The format for `describe()`, such as `xgboost json`.
    pub(crate) format: &'static str,
    /// The columns of the input `x` (m, n).
    pub(crate) features: Features,
    /// What is made of them before anything is compared.
    pub(crate) input: Input,
    /// What an absent entry of sparse rows stands for: NaN or 0.
    pub(crate) absent: f64,
    /// What is summed.
    pub(crate) scorer: Scorer,
    /// The margin of no tree at all, one a target.
    pub(crate) base: Vec<f64>,
    /// What margins are divided by before the link: 1, or the number of trees of a target where LightGBM averages them.
    /// As in the library, margins themselves and contributions to them are not averaged.
    pub(crate) divisor: f64,
    pub(crate) link: Link,
    pub(crate) task: Task,
    /// Anything else worth knowing, a sentence each, for `describe()`.
    pub(crate) notes: Vec<String>,
}

/// The columns of the input. Lists are empty where there is nothing to say, else they have one entry a column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Features {
    pub(crate) count: usize,
    /// The names in the file.
    pub(crate) names: Vec<String>,
    /// The categories of columns that may be given as text.
    pub(crate) categories: Vec<Option<Categories>>,
    /// The names of the columns of a second input, `categories` (m, k), whose text a [`Stage`] reads; empty where there is
    /// no such input.
    pub(crate) text: Vec<String>,
}

impl Features {
    /// The number of columns of all inputs.
    pub(crate) fn all(&self) -> usize {
        self.count + self.text.len()
    }

    /// The categories of a column.
    pub(crate) fn categories(&self, column: usize) -> Option<&Categories> {
        self.categories.get(column)?.as_ref()
    }
}

/// The categories of a column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Categories {
    /// The text of code 0, of code 1, ... Empty where a [`Stage`] reads the text itself.
    pub(crate) known: Vec<String>,
    pub(crate) unseen: Unseen,
}

/// What a category is that is not in the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// An error.
    #[default]
    Refused,
    /// A missing value.
    Missing,
}

/// How the columns that a scorer compares come from the columns of the input.
#[derive(Debug)]
pub(crate) enum Input {
    /// Each is one column of the input under a rule for missing values.
    Columns(Vec<Column>),
    /// They are computed, such as statistics of categories. Only for scorers that compare in f32.
    Stage(Box<dyn Stage>),
}

impl Input {
    /// The first `n` columns of the input as they are.
    pub(crate) fn plain(n: usize) -> Self {
        Self::Columns((0..n as u32).map(Column::plain).collect())
    }
}

/// What is summed, and in which numbers. The type of the sums is that of the answers; f64 rows are rounded to f32 for a
/// scorer that compares in f32.
#[derive(Debug)]
pub(crate) enum Scorer {
    /// XGBoost's trees: compared and summed in f32.
    F32(Trees<f32, f32>),
    /// CatBoost's: compared in f32, summed in f64.
    Mixed(Trees<f32, f64>),
    /// LightGBM's: compared and summed in f64; f32 rows meet thresholds that were rounded to the right side.
    F64(Trees<f64, f64>),
    /// XGBoost's gblinear.
    Linear(Linear),
}

/// Trees with what is known about their nodes. Features of the forest are columns that [`Input`] makes.
#[derive(Debug, Clone)]
pub(crate) struct Trees<T, W> {
    /// The trees in the order in which the library sums them, with the weights that it adds.
    pub(crate) forest: Forest<T, W>,
    /// The library's number for the leaf at each node of the forest, for the output `leaf`; what stands at branches does
    /// not matter.
    pub(crate) leaf_numbers: Vec<u32>,
    /// How many training rows (or what sum of weights) came through each node of the forest, for `contributions`; empty
    /// where the file does not say.
    pub(crate) covers: Vec<f64>,
    /// The linear models that stand in for the weights of leaves; empty, or one for each node of the forest.
    pub(crate) linear: Vec<Option<LinearLeaf>>,
}

/// A leaf that answers `constant + Σ coefficient · x`; where any of its columns is NaN, the weight of its leaf instead.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LinearLeaf {
    pub(crate) constant: f64,
    /// Columns with their coefficients, in the order in which they are summed.
    pub(crate) terms: Vec<(u32, f64)>,
}

/// Sums of weighted columns, missing ones left out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Linear {
    /// The weights (columns, targets), row-major.
    pub(crate) weights: Vec<f32>,
    /// What is added, one a target.
    pub(crate) bias: Vec<f32>,
}

/// What becomes of margins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Link {
    Identity,
    /// 1 / (1 + e^(-k x)) of each margin on its own; of several classes, each against the rest.
    Logistic {
        k: f64,
    },
    /// e^x over its sum for all targets.
    Softmax,
    /// e^x
    Exp,
    /// sign(x) x²
    SignedSquare,
    /// log(1 + e^x)
    Softplus,
    /// 1 above zero, else 0.
    Step,
    /// Of two targets the first as it is, a mean, and e^(2 x) of the second, a variance.
    MeanAndVariance,
}

/// What a model is for, which decides its outputs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Task {
    /// Two classes, one target: the link gives the probability of the second.
    Binary { labels: Labels, cut: Cut },
    /// As many targets as classes: the link gives their probabilities.
    Multiclass { labels: Labels, cut: Cut },
    /// As many targets as classes, of which a row may have several: the link gives the probability of each.
    Multilabel { labels: Labels, cut: Cut },
    /// Regression, ranking, survival: the link gives the prediction, one a target.
    Regression,
}

/// What decides the label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cut {
    /// Of two classes the second where its probability is above this; of several the most probable.
    Probability(f64),
    /// Of two classes the second where its margin is above this; of several the one with the largest margin.
    Margin(f64),
}

/// The labels of classes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Labels {
    /// 0, 1, ... below this number.
    Count(usize),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Bools(Vec<bool>),
    Texts(Vec<String>),
}

impl Labels {
    /// The number of classes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Count(n) => *n,
            Self::Ints(labels) => labels.len(),
            Self::Floats(labels) => labels.len(),
            Self::Bools(labels) => labels.len(),
            Self::Texts(labels) => labels.len(),
        }
    }

    /// The labels as text.
    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Self::Count(n) => (0..*n).map(|i| i.to_string()).collect(),
            Self::Ints(labels) => labels.iter().map(ToString::to_string).collect(),
            Self::Floats(labels) => labels.iter().map(ToString::to_string).collect(),
            Self::Bools(labels) => labels.iter().map(ToString::to_string).collect(),
            Self::Texts(labels) => labels.clone(),
        }
    }
}
