use std::path::Path;

use super::behave::{Subject, Transform, Trial, shown};
use super::change::find;
use super::contract::{Online, Relation};
use super::file::{Behaviour, Expect, Suite, Value};
use super::judge::Judge;
use super::labels::{Labels, number_of, text_of};
use super::place::{Step, steps};
use super::verdict::{CheckKind, CheckResult, Example, Report};
use crate::table::arrow::Batches;
use crate::table::{Column, Columns, DEFAULT_BATCH, TableOptions, TableReader};
use crate::validate::Task;
use crate::validate::evaluate::{Answers, Classes, Reading, Truth, Wanted, checked_weights};
use crate::{Error, ErrorKind, Model, Progress, ProgressMeter, Result, Signature, Tensors};

/// The rows on which contracts are tried.
const CONTRACT_ROWS: usize = 256;

/// A suite about to be run on a model.
///
/// ```
/// use modelberth::{LinearModel, Link, ndarray::array, table::{Column, Columns}, tensors, validate::{Metric, Suite}};
/// let model = LinearModel::new(array![[2.0]], array![0.0], Link::Identity)?;
/// let mut truth = Columns::new();
/// truth.push("y", Column::Float(vec![2.1, 3.9, 6.2]))?;
/// let inputs = tensors! { "x" => array![[1.0f32], [2.0], [3.0]] }?;
/// let report = Suite::new("y").require(Metric::Mae, 0.5).test(&model).on(&inputs, &truth)?;
/// assert!(report.passed(), "{:?}", report.verdict.reasons);
/// # Ok::<(), modelberth::Error>(())
/// ```
pub struct SuiteRun<'a> {
    suite: &'a Suite,
    model: &'a dyn Model,
    incumbent: Option<&'a dyn Model>,
    online: Option<Online<'a>>,
    relations: Vec<(String, Expect, Option<f64>, &'a Relation<'a>)>,
    progress: &'a dyn Progress,
}

impl std::fmt::Debug for SuiteRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SuiteRun").field("suite", &self.suite.name).field("model", &self.model).finish_non_exhaustive()
    }
}

impl Suite {
    /// Readies the suite for `model`.
    #[must_use]
    pub fn test<'a>(&'a self, model: &'a dyn Model) -> SuiteRun<'a> {
        SuiteRun {
            suite: self,
            model,
            incumbent: None,
            online: None,
            relations: Vec::new(),
            progress: &crate::NoProgress,
        }
    }
}

impl<'a> SuiteRun<'a> {
    /// Compares with the model that is in production.
    #[must_use]
    pub fn against(mut self, incumbent: &'a dyn Model) -> Self {
        self.incumbent = Some(incumbent);
        self
    }

    /// Gives the served model for the contract that offline and online agree.
    #[must_use]
    pub fn served(mut self, served: &'a dyn Model) -> Self {
        self.online = Some(Online::Model(served));
        self
    }

    /// The same where what serves the model is no [`Model`] but a call: inputs to answers under the model's names.
    #[must_use]
    pub fn served_by(mut self, answer: &'a Relation<'a>) -> Self {
        self.online = Some(Online::Closure(answer));
        self
    }

    /// Adds a metamorphic relation: how the answers respond to what `change` makes of the inputs. It keeps the number of
    /// rows.
    #[must_use]
    pub fn metamorphic(mut self, name: &str, expect: Expect, tolerance: Option<f64>, change: &'a Relation<'a>) -> Self {
        self.relations.push((name.to_string(), expect, tolerance, change));
        self
    }

    /// Reports how far the data were predicted.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Runs the suite on the data set at `path`: the model's columns are read a batch at a time and not kept, of the
    /// others those that the suite looks at.
    ///
    /// # Errors
    /// Those of [`TableReader`] and [`Columns::read`]; else as [`on`](Self::on).
    pub fn on_file(&self, path: impl AsRef<Path>) -> Result<Report> {
        let path = path.as_ref();
        let wanted = self.suite.columns()?;
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let columns = Columns::read(path, Some(&wanted), &TableOptions::default()).map_err(|e| self.at_column(e))?;
        let options = TableOptions::default().extra_columns(true);
        let mut reader = TableReader::open_with(path, self.model.signature(), &options)?;
        let mut next = |rows: usize| reader.next_batch(rows);
        self.run(&columns, &mut next)
    }

    /// Runs the suite on record batches that the host holds: the model's columns are taken a batch at a time, of the others
    /// those that the suite looks at.
    ///
    /// # Errors
    /// Those of [`Batches::columns`] and [`Batches::inputs`]; else as [`on`](Self::on).
    pub fn on_batches(&self, batches: &Batches) -> Result<Report> {
        let wanted = self.suite.columns()?;
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let columns = batches.columns(Some(&wanted)).map_err(|e| self.at_column(e))?;
        let mut inputs = batches.inputs(self.model.signature(), &TableOptions::default().extra_columns(true))?;
        self.run(&columns, &mut |rows| inputs.next_batch(rows))
    }

    /// Runs the suite on arrays: the inputs of the model, and the columns that the suite looks at.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when a column of the suite is not there; [`ErrorKind::WrongType`] when a predicate compares
    /// it with what it does not hold; [`ErrorKind::InvalidValue`] when a label is missing or a weight bad;
    /// [`ErrorKind::WrongShape`] when the numbers of rows differ; [`ErrorKind::InvalidArgument`] when the suite contradicts
    /// itself or the model, or the incumbent has another signature; else what the model says.
    pub fn on(&self, inputs: &Tensors<'_>, columns: &Columns) -> Result<Report> {
        let signature = self.model.signature();
        let rows = inputs
            .iter()
            .find(|(name, _)| signature.input(name).is_some_and(|s| s.is_batched()))
            .and_then(|(_, t)| t.shape().first().copied())
            .unwrap_or(0);
        let mut at = 0;
        let mut next = |most: usize| -> Result<Option<Tensors<'static>>> {
            if at >= rows {
                return Ok(None);
            }
            let to = rows.min(at.saturating_add(most));
            let batch = inputs.iter().map(|(name, tensor)| {
                let batched = signature.input(name).is_none_or(|s| s.is_batched());
                let part = if batched { tensor.rows(at..to)? } else { tensor.as_view() };
                Ok((name.clone(), part.into_owned()))
            });
            let batch = batch.collect::<Result<Tensors<'static>>>()?;
            at = to;
            Ok(Some(batch))
        };
        self.run(columns, &mut next)
    }

    /// The error for a column that the suite names and the data lack, at its place in the suite.
    fn at_column(&self, e: Error) -> Error {
        match (e.kind(), e.column_name()) {
            (ErrorKind::NotFound, Some(column)) => self.suite.lacks(column, e.actual_text().unwrap_or("")),
            _ => e,
        }
    }

    fn run(
        &self,
        columns: &Columns,
        next: &mut dyn FnMut(usize) -> Result<Option<Tensors<'static>>>,
    ) -> Result<Report> {
        let suite = self.suite;
        suite.check()?;
        for (_, name) in suite.named_columns() {
            columns.column(name).map_err(|e| self.at_column(e))?;
        }
        let signature = self.model.signature();
        if let Some(incumbent) = self.incumbent {
            same_inputs(signature, incumbent.signature())?;
        }
        let label = columns.column(&suite.label)?;
        let labels = Labels::of(label, &suite.label)?;
        let wanted = Wanted {
            task: suite.task,
            value: suite.outputs.value.as_deref(),
            probabilities: suite.outputs.probabilities.as_deref(),
        };
        let reading = Reading::of(signature, wanted, &labels.different, labels.fractional)?;
        let mut classes = Classes::default();
        let truth = self.truth(columns, label, &labels, reading.task, &mut classes)?;
        reading.classes.iter().for_each(|c| _ = classes.number(c));
        let positive = self.positive(&reading, &classes)?;
        let mut trials = self.trials(columns, &reading, &classes, positive)?;
        let others = self
            .incumbent
            .map(|m| Ok::<_, Error>((m, Reading::of(m.signature(), wanted, &labels.different, labels.fractional)?)))
            .transpose()?;

        let (mut answers, mut incumbent) = (Answers::default(), Answers::default());
        let mut meter = ProgressMeter::new(self.progress, "test", "rows", Some(truth.rows as u64));
        let mut checks = Vec::new();
        let subject = Subject { model: self.model, reading: &reading };
        let batch_rows = if self.model.describe().row_independent { DEFAULT_BATCH } else { usize::MAX };
        let mut first = 0;
        while let Some(inputs) = next(batch_rows)? {
            let mut of_batch = Answers::default();
            of_batch.push(&self.model.predict_batch(&inputs)?, &reading, &mut classes)?;
            let rows = of_batch.predicted.len().max(of_batch.values.len());
            // Masks have a bit per label, so more predictions than labels must not reach them.
            if first + rows > truth.rows {
                return Err(other_length(first + rows, truth.rows));
            }
            if first == 0 && rows > 0 {
                let few = few_rows(&inputs, signature, rows.min(CONTRACT_ROWS))?;
                let count = rows.min(CONTRACT_ROWS);
                checks.extend(super::contract::run(&suite.contract, self.model, self.online.as_ref(), &few, count)?);
            }
            if let Some((model, reading)) = &others {
                incumbent.push(&model.predict_batch(&inputs)?, reading, &mut classes)?;
            }
            for trial in &mut trials {
                let name = trial.name.clone();
                let tried = trial.run(&subject, &inputs, &of_batch, first, rows, &mut classes);
                tried.map_err(|e| e.within(format_args!("{} `{name}`", trial.kind.as_str())))?;
            }
            answers.columns.clone_from(&of_batch.columns);
            answers.predicted.append(&mut of_batch.predicted);
            answers.values.append(&mut of_batch.values);
            answers.probabilities.append(&mut of_batch.probabilities);
            first += rows;
            meter.advance(rows as u64);
        }
        meter.finish();
        if first != truth.rows {
            return Err(other_length(first, truth.rows));
        }
        checks.extend(trials.into_iter().map(Trial::result));
        for example in self.must_pass(&reading, &mut classes)? {
            checks.push(example);
        }
        let judge = Judge {
            suite,
            columns,
            truth: &truth,
            answers: &answers,
            incumbent: self.incumbent.map(|_| &incumbent),
            classes: &classes,
            reading: &reading,
            positive,
        };
        judge.report(self.model, checks)
    }

    fn truth(
        &self,
        columns: &Columns,
        label: &Column,
        labels: &Labels,
        task: Task,
        classes: &mut Classes,
    ) -> Result<Truth> {
        let suite = self.suite;
        let mut truth = Truth { rows: label.len(), ..Truth::default() };
        if task == Task::Classification {
            labels.different.iter().for_each(|name| _ = classes.number(name));
            truth.classes = (0..label.len()).map(|row| classes.number(&text_of(label.cell(row)))).collect();
        }
        match label {
            Column::Text { .. } if task == Task::Regression => {
                return Err(Error::new(
                    ErrorKind::WrongType,
                    "the model predicts numbers, and the labels are text; set `task`",
                )
                .column(&suite.label));
            }
            Column::Text { .. } => {}
            _ => truth.values = (0..label.len()).map(|row| number_of(label.cell(row))).collect(),
        }
        if let Some(name) = &suite.weight {
            let column = columns.column(name)?;
            let weights = (0..column.len()).map(|row| number_of(column.cell(row))).collect();
            truth.weights = Some(checked_weights(weights, name)?);
        }
        if let Some(name) = &suite.query {
            truth.queries =
                Some(crate::validate::CodedColumn::from_column(name, columns.column(name)?, usize::MAX).codes);
        }
        Ok(truth)
    }

    fn positive(&self, reading: &Reading, classes: &Classes) -> Result<Option<u32>> {
        match &self.suite.positive {
            Some(name) if reading.task == Task::Classification => classes.find(name).map(Some).ok_or_else(|| {
                let what = "neither the labels nor the model have the `positive` class";
                let error =
                    Error::new(ErrorKind::InvalidArgument, what).expected(classes.names.join(", ")).actual(name);
                self.suite.located(&steps!["positive"], error)
            }),
            // The later of two classes, in the order of the model where it has one.
            _ if classes.names.len() == 2 => Ok(match reading.classes.last() {
                Some(last) => classes.find(last),
                None => Some(1),
            }),
            _ => Ok(None),
        }
    }

    fn trials<'s>(
        &'s self,
        columns: &Columns,
        reading: &Reading,
        classes: &Classes,
        positive: Option<u32>,
    ) -> Result<Vec<Trial<'s>>> {
        let suite = self.suite;
        let mut trials = Vec::new();
        let blank = |kind, name: String, transform: Transform<'s>, expect| Trial {
            kind,
            name,
            transform,
            expect,
            tolerance: None,
            class: positive.filter(|_| reading.task == Task::Classification),
            rows: None,
            max_failure_rate: 0.0,
            level: suite.level,
            tried: 0,
            failed: 0,
            examples: Vec::new(),
        };
        for (kind, mut path, behaviour) in suite.behaviours() {
            let name = behaviour.name.clone().unwrap_or_else(|| described(behaviour));
            let expect = behaviour.expect.unwrap_or(Expect::Same);
            let mut trial = blank(kind, name, Transform::Changes(behaviour), expect);
            trial.tolerance = behaviour.tolerance;
            trial.max_failure_rate = behaviour.max_failure_rate;
            for (i, change) in behaviour.change.iter().enumerate() {
                find(self.model.signature(), &change.column).map_err(|e| {
                    let mut path = path.clone();
                    path.extend(steps!["change", i, "column"]);
                    suite.located(&path, e)
                })?;
            }
            if let Some(predicate) = &behaviour.predicate {
                trial.rows = Some(suite.rows(path.clone(), predicate, columns)?);
            }
            if let Some(class) = &behaviour.class {
                trial.class = Some(classes.find(class).ok_or_else(|| {
                    path.push(Step::Key("class"));
                    let error = Error::new(ErrorKind::InvalidArgument, "a behaviour names a class that is not there");
                    suite.located(&path, error.expected(classes.names.join(", ")).actual(class))
                })?);
            }
            trials.push(trial);
        }
        for (name, expect, tolerance, change) in &self.relations {
            let mut trial = blank(CheckKind::Metamorphic, name.clone(), Transform::Closure(*change), *expect);
            trial.tolerance = *tolerance;
            trials.push(trial);
        }
        Ok(trials)
    }

    fn must_pass(&self, reading: &Reading, classes: &mut Classes) -> Result<Vec<CheckResult>> {
        let mut results = Vec::new();
        for (i, example) in self.suite.must_pass.iter().enumerate() {
            let name = example.name.clone().unwrap_or_else(|| format!("example {}", i + 1));
            let inputs =
                one_row(self.model.signature(), example).map_err(|e| self.suite.located(&steps!["must_pass", i], e))?;
            let mut answers = Answers::default();
            answers.push(&self.model.predict_batch(&inputs)?, reading, classes)?;
            let pass = match (reading.task, &example.expect) {
                (Task::Classification, expected) => {
                    answers.predicted.first().is_some_and(|&c| classes.find(&expected.to_string()) == Some(c))
                }
                (Task::Regression, expected) => {
                    let expected = match expected {
                        Value::Int(i) => *i as f64,
                        Value::Float(x) => *x,
                        other => {
                            let error = Error::new(ErrorKind::WrongType, "the model predicts numbers; expect one");
                            return Err(self.suite.located(&steps!["must_pass", i, "expect"], error.actual(other)));
                        }
                    };
                    answers.values.first().is_some_and(|v| (v - expected).abs() <= example.tolerance)
                }
            };
            let actual = shown(&answers, 0, None, classes);
            let message = if pass {
                "right".to_string()
            } else {
                format!("{} was expected, the model says {actual}", example.expect)
            };
            let shown = Example { row: None, expected: example.expect.to_string(), actual };
            let examples = if pass { Vec::new() } else { vec![shown] };
            results.push(CheckResult::new(CheckKind::MustPass, name, pass, message).with_examples(examples));
        }
        Ok(results)
    }
}

/// The row of an example as the inputs of a model, by way of a table of one row, whose rules for cells then hold.
fn one_row(signature: &Signature, example: &super::file::MustPass) -> Result<Tensors<'static>> {
    let (names, cells): (Vec<String>, Vec<String>) = if example.row.is_empty() {
        example.input.iter().map(|(name, value)| (name.clone(), value.to_string())).unzip()
    } else {
        // Names that no file would have, so that columns go by position.
        example.row.iter().enumerate().map(|(i, value)| (format!("value {i}"), value.to_string())).unzip()
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = writer.write_record(&names).and_then(|()| writer.write_record(&cells));
    written.map_err(|e| Error::new(ErrorKind::InvalidValue, "the example is no row of a table").with_source(e))?;
    let bytes = writer.into_inner().map_err(|e| Error::new(ErrorKind::Io, e.to_string()))?;
    TableReader::from_bytes("the example", bytes, signature, &TableOptions::default())?.read_all()
}

fn other_length(predictions: usize, labels: usize) -> Error {
    Error::new(ErrorKind::WrongShape, "there are not as many labels as predictions")
        .expected(predictions)
        .actual(labels)
}

fn described(behaviour: &Behaviour) -> String {
    let columns: Vec<&str> = behaviour.change.iter().map(|c| c.column.as_str()).collect();
    format!("change of {}", columns.join(", "))
}

/// The first `rows` rows of a batch.
fn few_rows(inputs: &Tensors<'_>, signature: &Signature, rows: usize) -> Result<Tensors<'static>> {
    let parts = inputs.iter().map(|(name, tensor)| {
        let batched = signature.input(name).is_none_or(|s| s.is_batched());
        Ok((name.clone(), if batched { tensor.rows(0..rows)?.into_owned() } else { tensor.as_view().into_owned() }))
    });
    parts.collect()
}

fn same_inputs(new: &Signature, incumbent: &Signature) -> Result<()> {
    let shown = |s: &Signature| s.inputs().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let fits = new.inputs().len() == incumbent.inputs().len()
        && new.inputs().iter().all(|a| {
            incumbent.input(a.name()).is_some_and(|b| {
                b.dtypes().contains(&a.dtype())
                    && a.dims().len() == b.dims().len()
                    && a.dims()
                        .iter()
                        .zip(b.dims())
                        .all(|(x, y)| !matches!((x, y), (crate::Dim::Fixed(n), crate::Dim::Fixed(m)) if n != m))
            })
        });
    if fits {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        "the incumbent has another signature, so the two can't be compared on the same rows",
    )
    .expected(shown(new))
    .actual(shown(incumbent)))
}
