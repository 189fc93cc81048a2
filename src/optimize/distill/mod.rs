//! Students: small models taught by the answers of a large one.

mod export;
mod lesson;
#[cfg(feature = "candle")]
mod perceptron;
#[cfg(test)]
mod tests;

/// A layer of a perceptron, whether or not one can be trained in this build.
mod perceptron_or_none {
    #[cfg(feature = "candle")]
    pub(super) use super::perceptron::Dense;

    #[cfg(not(feature = "candle"))]
    #[derive(Debug, Clone)]
    pub(super) struct Dense {
        pub(super) weights: Vec<f32>,
        pub(super) bias: Vec<f32>,
    }
}

use std::fmt;

use self::lesson::{Answers, Lesson};
use super::report::{Change, Report};
use super::run::{Common, common_methods};
use super::trees::{Growth, Rows, grow};
use super::{Optimized, measure};
use crate::onnx::ModelProto;
use crate::validate::Random;
use crate::{Artifact, Error, ErrorKind, Loader, Model, ProgressMeter, Result};

/// What learns.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Student {
    /// A perceptron with these hidden layers, trained with candle-nn (feature `candle`).
    Mlp(Vec<usize>),
    /// A linear model: a perceptron without hidden layers.
    Linear,
    /// A single tree.
    Tree {
        /// The most branches on a path.
        depth: usize,
    },
    /// A random forest.
    Forest {
        /// How many trees.
        trees: usize,
        /// The most branches on a path.
        depth: usize,
    },
}

impl fmt::Display for Student {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mlp(hidden) => write!(f, "a perceptron with hidden layers of {hidden:?}"),
            Self::Linear => f.write_str("a linear model"),
            Self::Tree { depth } => write!(f, "a tree of depth {depth}"),
            Self::Forest { trees, depth } => write!(f, "{trees} trees of depth {depth}"),
        }
    }
}

/// What the parts are told.
#[derive(Debug, Clone)]
struct Settings {
    seed: u64,
    #[cfg_attr(not(feature = "candle"), allow(dead_code, reason = "perceptrons need candle"))]
    temperature: f64,
    #[cfg_attr(not(feature = "candle"), allow(dead_code, reason = "perceptrons need candle"))]
    alpha: f64,
    #[cfg_attr(not(feature = "candle"), allow(dead_code, reason = "perceptrons need candle"))]
    epochs: usize,
    #[cfg_attr(not(feature = "candle"), allow(dead_code, reason = "perceptrons need candle"))]
    patience: usize,
    #[cfg_attr(not(feature = "candle"), allow(dead_code, reason = "perceptrons need candle"))]
    rate: f64,
    held_out: f64,
}

/// The rows to learn from, and those that tell how well.
#[derive(Debug)]
struct Split {
    train: Vec<usize>,
    held: Vec<usize>,
}

/// Teaches a small model what a large one answers. Every [`Model`] can teach: a loaded file, a pipeline, an ensemble.
///
/// ```no_run
/// use modelberth::optimize::{Data, Distill, Student};
/// let teacher = modelberth::load("forest.onnx")?;
/// let student = Distill::to(Student::Mlp(vec![64])).data(Data::file("rows.npz")).run(&teacher)?;
/// println!("{}", student.report);
/// student.write("student.onnx")?;
/// # Ok::<(), modelberth::Error>(())
/// ```
pub struct Distill<'a> {
    student: Student,
    settings: Settings,
    common: Common<'a>,
}

impl fmt::Debug for Distill<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Distill")
            .field("student", &self.student)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl<'a> Distill<'a> {
    /// Teaches `student`, at temperature 2, with a weight of 0.9 on the teacher, for 300 epochs at most, a fifth of the rows
    /// held out.
    #[must_use]
    pub fn to(student: Student) -> Self {
        let settings =
            Settings { seed: 0, temperature: 2.0, alpha: 0.9, epochs: 300, patience: 40, rate: 3e-3, held_out: 0.2 };
        Self { student, settings, common: Common::default() }
    }

    /// The seed of everything random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = seed;
        self
    }

    /// How far the teacher's probabilities are softened, above 0.
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.settings.temperature = temperature;
        self
    }

    /// The weight of the teacher against the labels, from 0 to 1; without labels its most probable class is the label.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.settings.alpha = alpha;
        self
    }

    /// The most epochs; training stops before where the held-out loss no longer falls.
    #[must_use]
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.settings.epochs = epochs.max(1);
        self
    }

    /// The share of the rows that is held out, above 0 and below 1.
    #[must_use]
    pub fn held_out(mut self, share: f64) -> Self {
        self.settings.held_out = share;
        self
    }

    common_methods!(common);

    fn check(&self) -> Result<()> {
        let s = &self.settings;
        let wrong = |what: &str| Err(Error::new(ErrorKind::InvalidArgument, what));
        if !(s.temperature > 0.0 && s.temperature.is_finite()) {
            return wrong("the temperature is a number above 0");
        }
        if !(0.0..=1.0).contains(&s.alpha) {
            return wrong("the weight of the teacher lies between 0 and 1");
        }
        if !(s.held_out > 0.0 && s.held_out < 1.0) {
            return wrong("the share that is held out lies between 0 and 1");
        }
        let empty = match &self.student {
            Student::Mlp(hidden) => hidden.contains(&0),
            Student::Forest { trees, .. } => *trees == 0,
            _ => false,
        };
        if empty {
            return wrong("a student has at least one tree, and at least one unit in a layer");
        }
        self.common.budget.check(self.common.data.as_ref())
    }

    /// Teaches the student what `teacher` answers for the rows of the data.
    ///
    /// A call that is cut off leaves nothing behind; it begins anew.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for settings out of their range or data without rows; [`ErrorKind::Unsupported`] for
    /// a teacher that takes or gives other than numbers; [`ErrorKind::InvalidValue`] for NaN;
    /// [`ErrorKind::FeatureDisabled`] for a perceptron in a build without `candle`.
    pub fn run(&self, teacher: &dyn Model) -> Result<Optimized> {
        self.check()?;
        let Some(data) = &self.common.data else {
            let what = "a student learns from rows; give data, with or without labels";
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        };
        let lesson = Lesson::of(teacher, data, self.common.progress)?;
        let mut order: Vec<usize> = (0..lesson.rows()).collect();
        Random::new(self.settings.seed, 0).shuffle(&mut order);
        let held = ((order.len() as f64 * self.settings.held_out).ceil() as usize).min(order.len() - 1);
        let split = Split { held: order[..held].to_vec(), train: order[held..].to_vec() };
        let mut report = Report::new("distill", format!("{} taught by {}", self.student, teacher.describe().engine));
        let model = self.learn(&lesson, &split, &mut report)?;
        let artifact = Artifact::in_memory("onnx", "student.onnx", model.encode_to_vec());
        let bytes = |a: &Artifact| a.files.iter().map(|f| f.bytes).sum::<u64>();
        let student = Loader::new().limits(self.common.limits).load_artifact(&artifact)?;
        report.bytes = Change {
            before: teacher.artifact().map_or_else(|_| teacher.describe().bytes, |a| bytes(&a)),
            after: bytes(&artifact),
        };
        report.parameters = Change { before: teacher.describe().parameters, after: student.describe().parameters };
        self.held_out_fidelity(&lesson, &split, &*student, &mut report)?;
        report.fidelity = measure::fidelity(data, teacher, &*student)?;
        if let Some(baseline) = data.judge(teacher, None)? {
            report.metric = measure::metric(data, teacher, &baseline, &*student)?;
            report.notes.push("the metric is that of all rows, most of which the student has learned from".to_owned());
        }
        let common = &self.common;
        let rows = data.first(teacher.signature(), common.batch)?;
        report.latency = Some(measure::latency(teacher, &*student, &rows, common.batch, common.time, common.progress)?);
        if !common.budget.is_empty() {
            let missed = common.budget.missed(&report);
            let (held, undone) = (missed.is_empty(), Vec::new());
            report.budget = Some(super::BudgetResult { held, missed, undone, tried: 1 });
        }
        Ok(Optimized::new(report, artifact))
    }

    fn learn(&self, lesson: &Lesson, split: &Split, report: &mut Report) -> Result<ModelProto> {
        let (trees, depth) = match &self.student {
            Student::Mlp(hidden) => return self.perceptron(lesson, hidden, split, report),
            Student::Linear => return self.perceptron(lesson, &[], split, report),
            Student::Tree { depth } => (1, *depth),
            Student::Forest { trees, depth } => (*trees, *depth),
        };
        let chosen = |values: &[f32], width: usize| -> Vec<f32> {
            split.train.iter().flat_map(|&i| values[i * width..(i + 1) * width].iter().copied()).collect()
        };
        let (x, mut y) = (chosen(&lesson.x, lesson.n), chosen(&lesson.y, lesson.k));
        if lesson.answers != Answers::Numbers {
            y.iter_mut().for_each(|l| *l = l.exp());
        }
        let rows = Rows { x: &x, n: lesson.n, y: &y, k: lesson.k };
        let mut meter = ProgressMeter::new(self.common.progress, "grow", "trees", Some(trees as u64));
        let growth = Growth { trees, depth, leaf: if trees == 1 { 5 } else { 1 }, seed: self.settings.seed };
        let grown = grow(&rows, &growth, &mut || meter.advance(1));
        meter.finish();
        export::forest(lesson, grown)
    }

    #[cfg(feature = "candle")]
    fn perceptron(&self, lesson: &Lesson, hidden: &[usize], split: &Split, report: &mut Report) -> Result<ModelProto> {
        let (layers, epoch) = perceptron::train(lesson, hidden, split, &self.settings, self.common.progress)?;
        report.notes.push(format!("the held-out loss was least after epoch {epoch}"));
        export::perceptron(lesson, &layers)
    }

    #[cfg(not(feature = "candle"))]
    fn perceptron(&self, _: &Lesson, _: &[usize], _: &Split, _: &mut Report) -> Result<ModelProto> {
        let _ = export::perceptron;
        let what = "perceptrons and linear students are trained with candle; this build lacks the feature `candle`";
        Err(Error::new(ErrorKind::FeatureDisabled, what))
    }

    /// How well the student agrees with the teacher on the rows that it has not learned from.
    fn held_out_fidelity(
        &self,
        lesson: &Lesson,
        split: &Split,
        student: &dyn Model,
        report: &mut Report,
    ) -> Result<()> {
        let given = answers(lesson, &split.held, student)?;
        let k = lesson.k;
        let pairs = split.held.iter().zip(given.chunks_exact(k));
        let rows = split.held.len();
        report.notes.push(if lesson.answers == Answers::Numbers {
            let said: Vec<f64> =
                split.held.iter().flat_map(|&i| &lesson.y[i * k..(i + 1) * k]).map(|&y| y.into()).collect();
            let mean = said.iter().sum::<f64>() / said.len().max(1) as f64;
            let whole: f64 = said.iter().map(|y| (y - mean).powi(2)).sum();
            let left: f64 = said.iter().zip(&given).map(|(y, g)| (y - f64::from(*g)).powi(2)).sum();
            format!("R2 with the teacher on {rows} held-out rows: {:.4}", 1.0 - left / whole.max(f64::MIN_POSITIVE))
        } else {
            let same = pairs.filter(|(i, g)| largest(&lesson.y[**i * k..(**i + 1) * k]) == largest(g)).count();
            format!(
                "the class of the teacher on {same} of {rows} held-out rows, {:.2} %",
                100.0 * same as f64 / rows as f64
            )
        });
        Ok(())
    }
}

/// What the student answers for these rows.
fn answers(lesson: &Lesson, rows: &[usize], student: &dyn Model) -> Result<Vec<f32>> {
    let mut inputs = crate::Tensors::new();
    let mut from = 0;
    for (spec, width) in &lesson.inputs {
        let values: Vec<f32> = rows
            .iter()
            .flat_map(|&i| lesson.x[i * lesson.n + from..i * lesson.n + from + width].iter().copied())
            .collect();
        let shape = [rows.len(), *width];
        let tensor = crate::Tensor::from_vec(&shape[..spec.dims().len().min(2)], values)?;
        inputs.insert(spec.name().clone(), tensor.cast(spec.dtype())?)?;
        from += width;
    }
    let answers = student.predict_batch(&inputs)?;
    let numbers = measure::numbers(answers.tensor(lesson.output.name())?);
    Ok(numbers.into_iter().map(|x| x as f32).collect())
}

/// Where the first largest stands.
fn largest(row: &[f32]) -> usize {
    row.iter().enumerate().fold(0, |best, (i, x)| if *x > row[best] { i } else { best })
}
