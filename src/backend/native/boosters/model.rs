//! A booster as a [`Model`].

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::answers::{self, Elements, Output, Shape};
use super::booster::{Booster, Features, Link, Scorer, Task};
use super::columns::Feed;
use super::compact::compact;
use super::link::Answer;
use super::rows::{Given, Rows, Table, as_text};
use super::score::{Block, Ready, Score};
use super::shap::Explainer;
use crate::backend::native::pool::Pool;
use crate::load::Source;
use crate::{Artifact, Checked, Description, Error, ErrorKind, Loader, Model, Result, Signature, Tensor, Tensors};

/// The elements that the columns of one block of rows may take, so that they stay in the cache.
const BLOCK_ELEMENTS: usize = 1 << 16;

/// The model that `booster` describes; reading it began at `started`.
pub(super) fn build(
    mut booster: Booster,
    source: &Source,
    loader: &Loader,
    reason: String,
    started: Instant,
) -> Result<Arc<dyn Model>> {
    let outputs = Output::choose(&booster, loader.outputs.as_deref())?;
    compact(&mut booster);
    match Ready::new(&booster.scorer, outputs.contains(&Output::Leaf), loader.tree_engine)? {
        Ready::F32(score) => BoosterModel::new(booster, score, outputs, source, loader, reason, started),
        Ready::F64(score) => BoosterModel::new(booster, score, outputs, source, loader, reason, started),
    }
}

/// A booster that answers in `W`.
struct BoosterModel<W> {
    signature: Signature,
    outputs: Vec<Output>,
    features: Features,
    feed: Feed,
    score: Box<dyn Score<W>>,
    /// There where contributions are asked for.
    explainer: Option<Explainer>,
    base: Vec<W>,
    divisor: W,
    link: Link,
    task: Task,
    /// How many rows are made into columns at once.
    block: usize,
    /// The most rows whose answers stay within the limits.
    most_rows: usize,
    pool: Pool,
    description: Description,
    artifact: Artifact,
}

impl<W: fmt::Debug> fmt::Debug for BoosterModel<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoosterModel")
            .field("signature", &self.signature)
            .field("engine", &self.description.engine)
            .field("link", &self.link)
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

/// What a call has computed for some rows.
struct Computed<W> {
    margins: Vec<W>,
    leaves: Vec<i32>,
    contributions: Vec<f64>,
}

impl<W: Answer> BoosterModel<W> {
    #[allow(clippy::new_ret_no_self, reason = "what is made is handed out checked")]
    fn new(
        booster: Booster,
        score: Box<dyn Score<W>>,
        outputs: Vec<Output>,
        source: &Source,
        loader: &Loader,
        reason: String,
        started: Instant,
    ) -> Result<Arc<dyn Model>> {
        let labels = match &booster.task {
            Task::Binary { labels, .. } | Task::Multiclass { labels, .. } | Task::Multilabel { labels, .. } => {
                Some(labels)
            }
            Task::Regression => None,
        };
        let features = booster.features.all();
        let several = matches!(booster.task, Task::Multilabel { .. });
        let shape = Shape { targets: booster.base.len(), trees: score.trees(), features, labels, several };
        let signature = answers::signature(&booster, &outputs, &shape, W::DTYPE);
        let of_output = |spec: &crate::TensorSpec| {
            let dims = spec.dims()[1..].iter().map(|d| if let crate::Dim::Fixed(n) = d { *n } else { 1 });
            dims.fold(1usize, usize::saturating_mul)
        };
        let per_row = signature.outputs().iter().map(of_output).max().unwrap_or(1).max(shape.targets).max(1);
        let most_rows = loader.limits.max_elements / per_row;
        if most_rows == 0 {
            return Err(too_many(loader.limits.max_elements).actual(format!("{per_row} elements a row")));
        }
        let explainer = outputs.contains(&Output::Contributions).then(|| Explainer::new(&booster)).transpose()?;
        let mut description = describe(&booster, &score.describe(), loader, reason);
        let feed = Feed::new(booster.input, &booster.features, booster.absent);
        let (parameters, bytes) = feed.size();
        description.parameters += parameters;
        description.bytes += bytes;
        description.notes.push(format!("loaded in {:.1} ms", started.elapsed().as_secs_f64() * 1e3));
        let artifact = Artifact { format: booster.format.to_owned(), files: vec![source.main_file()] };
        let model = Self {
            signature,
            outputs,
            most_rows,
            block: (BLOCK_ELEMENTS / feed.width().max(1)).clamp(16, 4096),
            features: booster.features,
            feed,
            score,
            explainer,
            base: booster.base.iter().map(|&b| W::from_f64(b)).collect(),
            divisor: W::from_f64(booster.divisor),
            link: booster.link,
            task: booster.task,
            pool: Pool::new(loader.threads, 1)?,
            description,
            artifact,
        };
        Ok(Arc::new(Checked::new(model).cast(loader.cast)))
    }

    fn targets(&self) -> usize {
        self.base.len()
    }

    /// The elements of every output for the rows `range`.
    fn run(&self, table: Table<'_>, range: Range<usize>) -> Result<Vec<Elements<W>>> {
        let m = range.len();
        let mut margins = Vec::with_capacity(m * self.targets());
        // Sums start with the base, as the libraries have it.
        for _ in 0..m {
            margins.extend_from_slice(&self.base);
        }
        let leaves = if self.outputs.contains(&Output::Leaf) { vec![0; m * self.score.trees()] } else { Vec::new() };
        let per_row = self.explainer.as_ref().map_or(0, Explainer::len);
        let mut computed = Computed { margins, leaves, contributions: vec![0.0; m * per_row] };
        self.compute(table, range, &mut computed)?;
        Ok(self.finish(computed))
    }

    /// Sums, leaves and contributions of the rows `range`, where they lie or a block of columns at a time.
    fn compute(&self, table: Table<'_>, range: Range<usize>, computed: &mut Computed<W>) -> Result<()> {
        let (n, given) = (self.features.count, table.x);
        if self.feed.is_direct()
            && let Given::Dense(rows) = given
        {
            match rows.slice(range.start, range.end, n) {
                Rows::F32(x) => return self.score_block(Block::F32(x), n, 0, computed),
                Rows::F64(x) if self.score.compares_f64() => {
                    return self.score_block(Block::F64(x), n, 0, computed);
                }
                _ => {}
            }
        }
        let width = self.feed.width();
        let wide = self.score.compares_f64() && !matches!(given, Given::Dense(Rows::F32(_)) | Given::SparseF32(_));
        let (mut narrow_columns, mut wide_columns) = (Vec::new(), Vec::new());
        let mut from = range.start;
        while from < range.end {
            let to = range.end.min(from + self.block);
            let done = from - range.start;
            if wide {
                self.feed.fill::<f64>(table, (from, to), self.features.count, &mut wide_columns)?;
                self.score_block(Block::F64(&wide_columns), width, done, computed)?;
            } else {
                self.feed.fill::<f32>(table, (from, to), self.features.count, &mut narrow_columns)?;
                self.score_block(Block::F32(&narrow_columns), width, done, computed)?;
            }
            from = to;
        }
        Ok(())
    }

    /// The same for rows of `n` columns, of which `done` come before.
    fn score_block(&self, x: Block<'_>, n: usize, done: usize, computed: &mut Computed<W>) -> Result<()> {
        let m = match x {
            Block::F32(x) => x.len(),
            Block::F64(x) => x.len(),
        } / n.max(1);
        let of_block = |per_row: usize| done * per_row..(done + m) * per_row;
        if self.outputs.iter().any(|o| !matches!(o, Output::Leaf | Output::Contributions)) {
            self.score.add(x, n, &mut computed.margins[of_block(self.targets())]);
        }
        if !computed.leaves.is_empty() {
            self.score.leaves(x, n, &mut computed.leaves[of_block(self.score.trees())]);
        }
        if let Some(explainer) = &self.explainer {
            explainer.explain(x, n, &mut computed.contributions[of_block(explainer.len())]);
        }
        Ok(())
    }

    /// What the outputs are made of what was computed.
    fn finish(&self, computed: Computed<W>) -> Vec<Elements<W>> {
        let Computed { mut margins, mut leaves, mut contributions } = computed;
        let asked = |output| self.outputs.contains(&output);
        let transformed = asked(Output::Label) || asked(Output::Probabilities) || asked(Output::Prediction);
        let mut linked = Vec::new();
        if transformed {
            // Margins are kept only for those who ask for them.
            linked =
                if asked(Output::Raw) || asked(Output::Label) { margins.clone() } else { std::mem::take(&mut margins) };
            if self.divisor != W::ONE {
                linked.iter_mut().for_each(|sum| *sum = *sum / self.divisor);
            }
            self.link.apply(&mut linked, self.targets());
        }
        let label = asked(Output::Label).then(|| answers::labels(&self.task, &margins, &linked));
        let mut label = label.into_iter();
        let of = |output: &Output| match output {
            Output::Label => label.next().expect("no output is there twice"),
            Output::Probabilities => answers::probabilities(&self.task, std::mem::take(&mut linked)),
            Output::Prediction => Elements::Numbers(std::mem::take(&mut linked)),
            Output::Raw => Elements::Numbers(std::mem::take(&mut margins)),
            Output::Leaf => Elements::I32(std::mem::take(&mut leaves)),
            Output::Contributions => Elements::F64(std::mem::take(&mut contributions)),
        };
        self.outputs.iter().map(of).collect()
    }

    /// The answers for m rows; `lead` is `[m]`, or empty for one observation.
    fn answer(&self, inputs: &Tensors<'_>, lead: &[usize]) -> Result<Tensors<'static>> {
        let x = if self.features.count > 0 { Some(inputs.tensor(answers::INPUT)?) } else { None };
        let text = if self.features.text.is_empty() {
            Cow::Borrowed(&[] as &[String])
        } else {
            as_text(inputs.tensor(answers::CATEGORIES)?)?
        };
        let table = Table { x: x.map_or(Ok(Given::Dense(Rows::F32(&[]))), Given::of)?, text: &text };
        let m = lead.first().copied().unwrap_or(1);
        if m > self.most_rows {
            let message =
                "the answers would have more elements than `Limits::max_elements`; ask for fewer rows at once";
            let error = Error::new(ErrorKind::LimitExceeded, message);
            return Err(error.expected(format!("at most {} rows", self.most_rows)).actual(m));
        }
        let located = |e: Error| e.tensor(answers::INPUT);
        let whole = if lead.is_empty() {
            self.run(table, 0..1).map_err(located)?
        } else {
            let mut parts = self.pool.split(m, |range| self.run(table, range)).map_err(located)?;
            let more = parts.split_off(1);
            let mut whole = parts.pop().expect("there is at least one range");
            for part in more {
                whole.iter_mut().zip(part).for_each(|(all, more)| all.append(more));
            }
            whole
        };
        let specs = self.signature.outputs();
        let mut answers = Tensors::with_capacity(specs.len());
        for (spec, elements) in specs.iter().zip(whole) {
            let mut shape = smallvec::SmallVec::<[usize; 3]>::from_slice(lead);
            shape.extend(spec.dims()[1..].iter().map(|d| if let crate::Dim::Fixed(n) = d { *n } else { 0 }));
            answers.push(spec.name().clone(), elements.into_tensor(&shape)?);
        }
        Ok(answers)
    }
}

/// The error for answers that are too large for a single row.
fn too_many(limit: usize) -> Error {
    Error::new(ErrorKind::LimitExceeded, "an output of the model has more elements a row than `Limits::max_elements`")
        .expected(format!("at most {limit}"))
}

/// What `describe()` says of a booster.
fn describe(booster: &Booster, engine: &str, loader: &Loader, reason: String) -> Description {
    fn sizes<T, W>(trees: &super::Trees<T, W>) -> (u64, u64) {
        let forest = &trees.forest;
        let terms: usize = trees.linear.iter().flatten().map(|l| l.terms.len() + 1).sum();
        let parameters = forest.nodes.len() - forest.votes.len().min(forest.nodes.len()) + forest.votes.len() + terms;
        let bytes = forest.nodes.len() * 8 + forest.votes.len() * size_of::<W>() + forest.sets.len() * 4 + terms * 12;
        (parameters as u64, bytes as u64)
    }
    let (parameters, bytes) = match &booster.scorer {
        Scorer::F32(trees) => sizes(trees),
        Scorer::Mixed(trees) => sizes(trees),
        Scorer::F64(trees) => sizes(trees),
        Scorer::Linear(linear) => {
            let numbers = (linear.weights.len() + linear.bias.len()) as u64;
            (numbers, 4 * numbers)
        }
    };
    let mut description = Description::new(booster.format, "native", engine);
    description.reason = reason;
    description.parameters = parameters;
    description.bytes = bytes;
    description.threads = loader.threads;
    description.row_independent = true;
    description.notes.clone_from(&booster.notes);
    description
}

#[deny(clippy::missing_trait_methods)]
impl<W: Answer> Model for BoosterModel<W> {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let m = inputs.at(0).and_then(|(_, tensor)| tensor.shape().first().copied()).ok_or_else(|| {
            Error::new(ErrorKind::WrongShape, "the input has no axis of observations").tensor(answers::INPUT)
        })?;
        self.answer(inputs, &[m])
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        self.answer(input, &[])
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn artifact(&self) -> Result<Artifact> {
        Ok(self.artifact.clone())
    }
}
