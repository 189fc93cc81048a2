//! What a model can be asked for, and the tensors that answer.

use super::booster::{Booster, Cut, Labels, Scorer, Task};
use super::link::{Answer, argmax};
use crate::{DType, Dim, Error, ErrorKind, Result, Signature, Tensor, TensorSpec};

/// The name of the input.
pub(super) const INPUT: &str = "x";
/// The name of the second input, where categories are given as such.
pub(super) const CATEGORIES: &str = "categories";

/// An output of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// The label (m,) of a classifier: i64, or of the type that the file gives its labels; for several labels a row
    /// (m, classes) of 0 and 1.
    Label,
    /// The probabilities (m, classes).
    Probabilities,
    /// The prediction (m,), or (m, targets), of all that is no classifier.
    Prediction,
    /// The margins (m,), or (m, targets): sums before the link.
    Raw,
    /// The library's number of the leaf in every tree, (m, trees) i32.
    Leaf,
    /// What each feature adds to the margin, and at last the margin of a row of which nothing is known: (m, n + 1), or
    /// (m, targets, n + 1) f64. Their sum is the margin.
    Contributions,
}

impl Output {
    const ALL: [Self; 6] =
        [Self::Label, Self::Probabilities, Self::Prediction, Self::Raw, Self::Leaf, Self::Contributions];

    const fn name(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Probabilities => "probabilities",
            Self::Prediction => "prediction",
            Self::Raw => "raw",
            Self::Leaf => "leaf",
            Self::Contributions => "contributions",
        }
    }

    /// The outputs that a model has; those that stand first are given where none is chosen.
    fn of(booster: &Booster) -> (Vec<Self>, usize) {
        let (mut all, first) = match booster.task {
            Task::Regression => (vec![Self::Prediction], 1),
            _ => (vec![Self::Label, Self::Probabilities], 2),
        };
        all.push(Self::Raw);
        let linear_leaves = match &booster.scorer {
            Scorer::F32(t) => !t.linear.is_empty(),
            Scorer::Mixed(t) => !t.linear.is_empty(),
            Scorer::F64(t) => !t.linear.is_empty(),
            Scorer::Linear(_) => false,
        };
        if !matches!(booster.scorer, Scorer::Linear(_)) {
            all.push(Self::Leaf);
        }
        if !linear_leaves {
            all.push(Self::Contributions);
        }
        (all, first)
    }

    /// The chosen outputs.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownTensor`] when the model does not have one of them; [`ErrorKind::InvalidArgument`] when one is
    /// there twice, or none is.
    pub(super) fn choose(booster: &Booster, chosen: Option<&[String]>) -> Result<Vec<Self>> {
        let (all, first) = Self::of(booster);
        let Some(chosen) = chosen else { return Ok(all[..first].to_vec()) };
        let names = || all.iter().map(|o| o.name()).collect::<Vec<_>>().join(", ");
        if chosen.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "no output is asked for").expected(names()));
        }
        let mut outputs = Vec::with_capacity(chosen.len());
        for name in chosen {
            let Some(&output) = all.iter().find(|o| o.name() == name) else {
                let message = match Self::ALL.iter().find(|o| o.name() == name) {
                    Some(Self::Contributions) => "contributions are not defined for trees with linear leaves",
                    Some(_) => "a model of this kind does not have this output",
                    None => "the model has no output of this name",
                };
                return Err(Error::new(ErrorKind::UnknownTensor, message).tensor(name).expected(names()));
            };
            if outputs.contains(&output) {
                return Err(Error::new(ErrorKind::InvalidArgument, "an output is asked for twice").tensor(name));
            }
            outputs.push(output);
        }
        Ok(outputs)
    }

    fn spec(self, shape: &Shape<'_>, number: DType) -> TensorSpec {
        let spec = |dtype: DType, rest: &[usize]| {
            let dims: Vec<Dim> = [Dim::Batch].into_iter().chain(rest.iter().map(|&n| Dim::Fixed(n))).collect();
            TensorSpec::new(self.name(), dtype, dims)
        };
        match self {
            Self::Label => match shape.labels {
                Some(labels) if shape.several => spec(DType::I64, &[labels.len()]).with_features(labels.names()),
                Some(Labels::Floats(_)) => spec(DType::F64, &[]),
                Some(Labels::Bools(_)) => spec(DType::Bool, &[]),
                Some(Labels::Texts(_)) => spec(DType::String, &[]),
                _ => spec(DType::I64, &[]),
            },
            Self::Probabilities => {
                let labels = shape.labels.map(Labels::names).unwrap_or_default();
                spec(number, &[labels.len()]).with_features(labels)
            }
            Self::Prediction | Self::Raw => spec(number, shape.of_targets()),
            Self::Leaf => spec(DType::I32, &[shape.trees]),
            Self::Contributions => {
                let rest: Vec<usize> = shape.of_targets().iter().copied().chain([shape.features + 1]).collect();
                spec(DType::F64, &rest)
            }
        }
    }
}

/// The sizes that outputs have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'b> {
    pub(super) targets: usize,
    pub(super) trees: usize,
    pub(super) features: usize,
    pub(super) labels: Option<&'b Labels>,
    /// Whether a row may have several labels.
    pub(super) several: bool,
}

impl Shape<'_> {
    /// The axis of targets, where there is more than one.
    fn of_targets(&self) -> &[usize] {
        if self.targets == 1 { &[] } else { std::slice::from_ref(&self.targets) }
    }
}

/// What the model takes and gives.
pub(super) fn signature(booster: &Booster, outputs: &[Output], shape: &Shape<'_>, number: DType) -> Signature {
    let features = &booster.features;
    let mut input = TensorSpec::new(INPUT, DType::F32, [Dim::Batch, Dim::Fixed(features.count)]).accepting(DType::F64);
    if !features.names.is_empty() {
        input = input.with_features(features.names.clone());
    }
    if features.categories.iter().any(Option::is_some) {
        let known = |i| features.categories(i).map(|c| c.known.clone()).unwrap_or_default();
        input = input.accepting(DType::String).with_categories((0..features.count).map(known).collect());
    }
    let mut inputs = Vec::with_capacity(2);
    if features.count > 0 || features.text.is_empty() {
        inputs.push(input.reading_sparse());
    }
    if !features.text.is_empty() {
        let cells = TensorSpec::new(CATEGORIES, DType::String, [Dim::Batch, Dim::Fixed(features.text.len())]);
        let whole = [DType::I64, DType::I32, DType::I16, DType::I8, DType::U64, DType::U32, DType::U16, DType::U8];
        let cells = whole.into_iter().fold(cells, TensorSpec::accepting).accepting(DType::Bool);
        inputs.push(cells.with_features(features.text.clone()));
    }
    Signature::new(inputs, outputs.iter().map(|o| o.spec(shape, number)).collect())
}

/// The elements of an output for some rows.
#[derive(Debug)]
pub(super) enum Elements<W> {
    Numbers(Vec<W>),
    F64(Vec<f64>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bools(Vec<bool>),
    Texts(Vec<String>),
}

impl<W: Answer> Elements<W> {
    /// Adds the elements of further rows.
    pub(super) fn append(&mut self, more: Self) {
        match (self, more) {
            (Self::Numbers(all), Self::Numbers(more)) => all.extend(more),
            (Self::F64(all), Self::F64(more)) => all.extend(more),
            (Self::I32(all), Self::I32(more)) => all.extend(more),
            (Self::I64(all), Self::I64(more)) => all.extend(more),
            (Self::Bools(all), Self::Bools(more)) => all.extend(more),
            (Self::Texts(all), Self::Texts(more)) => all.extend(more),
            _ => unreachable!("an output has one element type"),
        }
    }

    /// The elements as a tensor.
    ///
    /// # Errors
    /// None where the shape is that of the output.
    pub(super) fn into_tensor(self, shape: &[usize]) -> Result<Tensor<'static>> {
        match self {
            Self::Numbers(x) => Tensor::from_vec(shape, x),
            Self::F64(x) => Tensor::from_vec(shape, x),
            Self::I32(x) => Tensor::from_vec(shape, x),
            Self::I64(x) => Tensor::from_vec(shape, x),
            Self::Bools(x) => Tensor::from_vec(shape, x),
            Self::Texts(x) => Tensor::from_vec(shape, x),
        }
    }
}

/// The labels that margins (m, targets) and what the link made of them decide on.
pub(super) fn labels<W: Answer>(task: &Task, margins: &[W], linked: &[W]) -> Elements<W> {
    match *task {
        Task::Binary { ref labels, cut } => {
            let (from, cut) = match cut {
                Cut::Probability(cut) => (linked, W::from_f64(cut)),
                Cut::Margin(cut) => (margins, W::from_f64(cut)),
            };
            named(labels, from.iter().map(|x| usize::from(*x > cut)))
        }
        Task::Multiclass { ref labels, cut } => {
            let from = if matches!(cut, Cut::Probability(_)) { linked } else { margins };
            named(labels, from.chunks_exact(labels.len().max(1)).map(argmax))
        }
        Task::Multilabel { cut, .. } => {
            let (from, cut) = match cut {
                Cut::Probability(cut) => (linked, W::from_f64(cut)),
                Cut::Margin(cut) => (margins, W::from_f64(cut)),
            };
            Elements::I64(from.iter().map(|x| i64::from(*x > cut)).collect())
        }
        Task::Regression => unreachable!("only a classifier has the output `label`"),
    }
}

/// The labels of classes.
fn named<W>(labels: &Labels, classes: impl Iterator<Item = usize>) -> Elements<W> {
    match labels {
        Labels::Count(_) => Elements::I64(classes.map(|c| c as i64).collect()),
        Labels::Ints(of) => Elements::I64(classes.map(|c| of[c]).collect()),
        Labels::Floats(of) => Elements::F64(classes.map(|c| of[c]).collect()),
        Labels::Bools(of) => Elements::Bools(classes.map(|c| of[c]).collect()),
        Labels::Texts(of) => Elements::Texts(classes.map(|c| of[c].clone()).collect()),
    }
}

/// The probabilities (m, classes): for two classes those of both, made from that of the second.
pub(super) fn probabilities<W: Answer>(task: &Task, linked: Vec<W>) -> Elements<W> {
    Elements::Numbers(match task {
        Task::Binary { .. } => linked.into_iter().flat_map(|p| [W::ONE - p, p]).collect(),
        _ => linked,
    })
}
