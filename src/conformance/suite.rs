use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Check, Failure, Failures, Options, Report, samples};
use crate::{Model, Result, Signature, Tensor, TensorSpec, Tensors};

/// Holds `model` against the contract of [`Model`].
///
/// Checks that compare answers are skipped when the answers are not what the signature promises or not reproducible:
/// they would only say the same again.
///
/// # Errors
/// Everything that the model got wrong.
pub fn check(model: &dyn Model, options: &Options) -> Result<Report, Failures> {
    let mut outcome = Outcome { failures: Vec::new(), report: Report::default(), options };
    run(model, options, &mut outcome);
    if outcome.failures.is_empty() {
        Ok(outcome.report)
    } else {
        Err(Failures { failures: outcome.failures, report: outcome.report })
    }
}

/// As [`check`], for tests.
///
/// # Panics
/// When the model does not conform, with all that it got wrong.
pub fn assert_conforms(model: &dyn Model, options: &Options) -> Report {
    match check(model, options) {
        Ok(report) => report,
        Err(failures) => panic!("{failures}"),
    }
}

struct Outcome<'o> {
    failures: Vec<Failure>,
    report: Report,
    options: &'o Options,
}

impl Outcome<'_> {
    /// Runs a check unless it is left out; gives whether it found nothing wrong.
    fn run(&mut self, check: Check, run: impl FnOnce() -> Vec<String>) -> bool {
        if let Some((_, reason)) = self.options.skip.iter().find(|(c, _)| *c == check) {
            self.skip(check, reason);
            return true;
        }
        let found = run();
        if found.is_empty() {
            self.report.passed.push(check);
            return true;
        }
        self.failures.extend(found.into_iter().map(|message| Failure { check, message }));
        false
    }

    fn skip(&mut self, check: Check, reason: &str) {
        self.report.skipped.push((check, reason.to_owned()));
    }
}

fn run(model: &dyn Model, options: &Options, outcome: &mut Outcome<'_>) {
    let subject = match Subject::new(model, options) {
        Ok(subject) => subject,
        Err(message) => {
            outcome.run(Check::Signature, || vec![message]);
            for check in &Check::ALL[1..] {
                outcome.skip(*check, "there are no answers to compare with");
            }
            return;
        }
    };
    let batched = model.signature().is_batched();
    let kept = outcome.run(Check::Signature, || subject.signature());
    let sound = outcome.run(Check::Determinism, || subject.determinism()) && kept;
    let independent = model.describe().row_independent;
    let mut split = false;
    for check in &Check::ALL[2..] {
        let needs_batch = matches!(check, Check::Parity | Check::BatchSplit | Check::EmptyBatch | Check::LargeBatch);
        let reason = if needs_batch && !batched {
            "the model has no batch axis"
        } else if !sound && *check != Check::BadInputs {
            "the answers are not reproducible, or not what the signature promises"
        } else if *check == Check::BatchSplit && !independent {
            "the model does not say that its rows are independent"
        } else {
            ""
        };
        if !reason.is_empty() {
            outcome.skip(*check, reason);
            continue;
        }
        let passed = outcome.run(*check, || match check {
            Check::Parity => subject.parity(),
            Check::BatchSplit => subject.batch_split(),
            Check::Threads => subject.threads(),
            Check::EmptyBatch => subject.empty_batch(),
            Check::LargeBatch => subject.large_batch(split),
            Check::BadInputs => subject.bad_inputs(),
            _ => subject.artifact(),
        });
        if *check == Check::BatchSplit {
            split = passed;
        }
    }
}

/// A model with inputs that it takes and what it answers to them.
pub(super) struct Subject<'m> {
    pub(super) model: &'m dyn Model,
    pub(super) options: &'m Options,
    pub(super) inputs: Tensors<'static>,
    /// The observations in `inputs`.
    pub(super) rows: usize,
    pub(super) answers: Tensors<'static>,
}

impl<'m> Subject<'m> {
    fn new(model: &'m dyn Model, options: &'m Options) -> Result<Self, String> {
        let signature = model.signature();
        let inputs = match &options.samples {
            Some(samples) => samples.clone(),
            None => samples::draw(signature, options.rows, options.seed).map_err(|e| e.to_string())?,
        };
        let first = signature.inputs().iter().find(|spec| spec.is_batched());
        let rows = match first.map(|spec| inputs.tensor(spec.name())) {
            Some(tensor) => tensor.map_err(|e| format!("the samples do not fit: {e}"))?.shape().first().copied(),
            None => Some(0),
        };
        let rows = rows.ok_or("the samples have no batch axis")?;
        if first.is_some() && rows < 2 {
            return Err("at least two observations are needed as samples".to_owned());
        }
        let answers = guarded(|| model.predict_batch(&inputs))
            .and_then(|answer| answer.map_err(|e| e.to_string()))
            .map_err(|e| format!("the sample inputs are refused; give others with `Options::samples`: {e}"))?;
        Ok(Self { model, options, inputs, rows, answers })
    }

    /// The answer to a batch; errors and panics in words.
    pub(super) fn batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>, String> {
        guarded(|| self.model.predict_batch(inputs))?.map_err(|e| e.to_string())
    }

    /// The answer to one observation; errors and panics in words.
    pub(super) fn one(&self, input: &Tensors<'_>) -> Result<Tensors<'static>, String> {
        guarded(|| self.model.predict(input))?.map_err(|e| e.to_string())
    }

    /// Some of the sample observations.
    pub(super) fn input_rows(&self, range: std::ops::Range<usize>) -> Result<Tensors<'_>, String> {
        rows(self.model.signature(), Signature::input, &self.inputs, range)
    }

    /// What was answered to some of the sample observations.
    pub(super) fn answer_rows(&self, range: std::ops::Range<usize>) -> Result<Tensors<'_>, String> {
        rows(self.model.signature(), Signature::output, &self.answers, range)
    }

    /// One of the sample observations, without its batch axis.
    pub(super) fn observation(&self, row: usize) -> Result<Tensors<'_>, String> {
        first(self.model.signature(), Signature::input, &self.input_rows(row..row + 1)?)
    }
}

pub(super) type Find = for<'a> fn(&'a Signature, &str) -> Option<&'a TensorSpec>;

fn rows<'t>(
    signature: &Signature,
    find: Find,
    set: &'t Tensors<'_>,
    range: std::ops::Range<usize>,
) -> Result<Tensors<'t>, String> {
    set.iter()
        .map(|(name, tensor)| {
            let batched = find(signature, name).is_none_or(TensorSpec::is_batched);
            let tensor =
                if batched { tensor.rows(range.clone()).map_err(|e| e.to_string())? } else { tensor.as_view() };
            Ok((name.clone(), tensor))
        })
        .collect()
}

/// The only observation of a batch of one, without the batch axis.
pub(super) fn first(signature: &Signature, find: Find, set: &Tensors<'_>) -> Result<Tensors<'static>, String> {
    set.iter()
        .map(|(name, tensor)| {
            let batched = find(signature, name).is_none_or(TensorSpec::is_batched);
            let tensor: Tensor<'static> = tensor.as_view().into_owned();
            let tensor = if batched { tensor.without_batch_axis().map_err(|e| e.to_string())? } else { tensor };
            Ok((name.clone(), tensor))
        })
        .collect()
}

/// What `call` gives; a panic in words.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| format!("it panicked: {}", panic_text(&*panic)))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "without a message",
    }
}
