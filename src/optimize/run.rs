//! From a file and a way to change it to the changed file and its report, within a budget.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::budget::{self, Attempt, Budget, Search};
use super::data::Data;
use super::file::{Original, parameters};
use super::report::{BudgetResult, Change, Layer, Report, Skipped};
use super::{Optimized, measure};
use crate::onnx::edit::Editor;
use crate::{Error, ErrorKind, Limits, Loader, Model, NoProgress, Progress, ProgressMeter, Result};

/// What everything that changes a model is told.
pub(super) struct Common<'a> {
    pub(super) data: Option<Data<'a>>,
    pub(super) budget: Budget,
    pub(super) progress: &'a dyn Progress,
    pub(super) batch: usize,
    pub(super) time: Duration,
    pub(super) limits: Limits,
}

impl Default for Common<'_> {
    fn default() -> Self {
        Self {
            data: None,
            budget: Budget::default(),
            progress: &NoProgress,
            batch: 32,
            time: Duration::from_millis(300),
            limits: Limits::default(),
        }
    }
}

/// The methods that builders share; `$common` is their field of [`Common`].
macro_rules! common_methods {
    ($common:ident) => {
        /// Rows to fit, to measure the loss and to time on.
        #[must_use]
        pub fn data(mut self, data: crate::optimize::Data<'a>) -> Self {
            self.$common.data = Some(data);
            self
        }

        /// What the changed model must keep to. The worst layers are left as they are until it does.
        #[must_use]
        pub fn budget(mut self, budget: crate::optimize::Budget) -> Self {
            self.$common.budget = budget;
            self
        }

        /// Reports how far the work is.
        #[must_use]
        pub fn progress(mut self, progress: &'a dyn crate::Progress) -> Self {
            self.$common.progress = progress;
            self
        }

        /// The rows of a call whose latency is measured; 32 unless set.
        #[must_use]
        pub fn latency_batch(mut self, rows: usize) -> Self {
            self.$common.batch = rows.max(1);
            self
        }

        /// How long each model is timed; 0.3 seconds unless set.
        #[must_use]
        pub fn latency_time(mut self, time: std::time::Duration) -> Self {
            self.$common.time = time;
            self
        }

        /// What the file may ask for.
        #[must_use]
        pub fn limits(mut self, limits: crate::Limits) -> Self {
            self.$common.limits = limits;
            self
        }
    };
}
pub(super) use common_methods;

/// What a change did.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) layers: Vec<Layer>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) notes: Vec<String>,
}

/// A change of a graph that leaves the layers of these names as they are.
pub(super) type Rewrite<'j> = dyn FnMut(&mut Editor, &HashSet<String>) -> Result<Changed> + 'j;

/// A file and a way to change it.
pub(super) struct Job<'j, 'd> {
    pub(super) task: &'static str,
    pub(super) method: String,
    pub(super) original: &'j Original,
    pub(super) common: &'j Common<'d>,
    /// The model of the file, where there are data to run it on.
    pub(super) model: Option<Arc<dyn Model>>,
    pub(super) rewrite: &'j mut Rewrite<'j>,
}

/// The model of the file, where there are data to run it on.
///
/// # Errors
/// As loading.
pub(super) fn model(original: &Original, common: &Common<'_>) -> Result<Option<Arc<dyn Model>>> {
    common.data.as_ref().map(|_| original.load(&Loader::new().limits(common.limits))).transpose()
}

/// Does the job.
///
/// # Errors
/// Those of the change and of the measurements; [`ErrorKind::InvalidArgument`] where nothing was changed.
pub(super) fn run(job: Job<'_, '_>) -> Result<Optimized> {
    let budget = job.common.budget;
    let baseline = match (&job.common.data, &job.model) {
        (Some(data), Some(model)) => data.judge(model, None)?,
        _ => None,
    };
    let mut run = Run { job, baseline, tried: 0, ranking: Vec::new() };
    if budget.is_empty() {
        return Ok(run.attempt(&HashSet::new())?.optimized);
    }
    budget::search(&mut run, &budget)
}

struct Run<'j, 'd> {
    job: Job<'j, 'd>,
    baseline: Option<crate::validate::Report>,
    tried: usize,
    /// Layers, the worst first, as the first attempt found them.
    ranking: Vec<String>,
}

impl Search for Run<'_, '_> {
    fn attempt(&mut self, keep: &HashSet<String>) -> Result<Attempt> {
        self.tried += 1;
        let job = &mut self.job;
        let mut editor = job.original.edit()?;
        let mut report = Report::new(job.task, job.method.clone());
        report.parameters.before = parameters(editor.graph());
        report.bytes.before = job.original.total_bytes(&editor);
        let mut meter = ProgressMeter::new(job.common.progress, job.task, "models", None);
        let changed = (job.rewrite)(&mut editor, keep)?;
        meter.advance(1);
        meter.finish();
        if changed.layers.is_empty() && keep.is_empty() {
            return Err(nothing(&job.method, &changed.skipped));
        }
        (report.layers, report.skipped, report.notes) = (changed.layers, changed.skipped, changed.notes);
        // What is stored in fewer bits is as many numbers as before.
        let stored: u64 = report.layers.iter().map(|l| l.parameters).sum();
        report.parameters.after = match job.task {
            "quantize" => report.parameters.before.max(stored),
            _ => parameters(editor.graph()),
        };
        let encoded = editor.encode()?;
        let beside = encoded.data.as_ref().map_or(0, |(_, bytes)| bytes.len());
        report.bytes = Change { before: report.bytes.before, after: (encoded.main.len() + beside) as u64 };
        let artifact = Optimized::artifact_of(encoded, &job.original.name);
        let mut optimized = Optimized::new(report, artifact);
        self.measure(&mut optimized)?;
        if self.ranking.is_empty() {
            self.ranking = ranked(&optimized.report.layers);
        }
        Ok(Attempt { optimized })
    }

    fn ranking(&self) -> &[String] {
        &self.ranking
    }

    fn tried(&self) -> usize {
        self.tried
    }

    fn finish(&self, attempt: Attempt, result: BudgetResult) -> Optimized {
        let mut optimized = attempt.optimized;
        optimized.report.budget = Some(result);
        optimized
    }
}

/// The error for a model in which nothing qualifies.
fn nothing(method: &str, skipped: &[Skipped]) -> Error {
    let reasons: Vec<String> = skipped.iter().map(|s| format!("{}: {}", s.name, s.reason)).collect();
    let why = match reasons.is_empty() {
        true => "it has none of the layers that this is for".to_owned(),
        false => reasons.join("; "),
    };
    Error::new(ErrorKind::InvalidArgument, format!("no part of the model qualifies ({method}): {why}"))
}

impl Run<'_, '_> {
    fn measure(&self, optimized: &mut Optimized) -> Result<()> {
        let common = self.job.common;
        let (Some(data), Some(before)) = (&common.data, &self.job.model) else { return Ok(()) };
        let after = optimized.load(&Loader::new().limits(common.limits))?;
        let told = after.describe();
        if !told.row_independent && before.describe().row_independent {
            let note = "ranges are those of a whole batch, so that the answer for a row depends on the others in it";
            optimized.report.notes.push(note.to_owned());
        }
        optimized.report.notes.push(format!("run by the backend `{}`: {}", told.backend, told.engine));
        optimized.report.fidelity = measure::fidelity(data, before, &after)?;
        if let Some(baseline) = &self.baseline {
            optimized.report.metric = measure::metric(data, before, baseline, &after)?;
        }
        let main = optimized.artifact().files.first().expect("an optimised model has a file").content()?;
        let editor = Editor::new(main.into(), None, &common.limits)?;
        measure::layers(&mut optimized.report, self.job.original, &editor, data, before)?;
        let rows = data.first(before.signature(), common.batch)?;
        optimized.report.latency =
            Some(measure::latency(before, &after, &rows, common.batch, common.time, common.progress)?);
        Ok(())
    }
}

/// The names of layers, those that lost most first.
fn ranked(layers: &[Layer]) -> Vec<String> {
    let lost = |l: &Layer| l.weight_sqnr_db.into_iter().chain(l.sqnr_db).fold(f64::INFINITY, f64::min);
    let mut order: Vec<&Layer> = layers.iter().collect();
    order.sort_by(|a, b| lost(a).total_cmp(&lost(b)));
    order.into_iter().map(|l| l.name.clone()).collect()
}
