//! Behaviour tests, a batch at a time.

use super::change::{changed, is_sweep, variants};
use super::file::{Behaviour, Expect};
use super::verdict::{CheckKind, CheckResult, Example};
use crate::validate::evaluate::{Answers, Classes, Reading};
use crate::validate::{Mask, Task, wilson};
use crate::{Error, ErrorKind, Model, Result, Tensors};

/// How many failures are shown.
pub(super) const EXAMPLES: usize = 5;

/// What changes the inputs.
pub(super) enum Transform<'a> {
    Changes(&'a Behaviour),
    Closure(&'a (dyn Fn(&Tensors<'_>) -> Result<Tensors<'static>> + Sync)),
}

/// A behaviour under test, with what was found so far.
pub(super) struct Trial<'a> {
    pub(super) kind: CheckKind,
    pub(super) name: String,
    pub(super) transform: Transform<'a>,
    pub(super) expect: Expect,
    pub(super) tolerance: Option<f64>,
    /// The class whose probability is compared.
    pub(super) class: Option<u32>,
    pub(super) rows: Option<Mask>,
    pub(super) max_failure_rate: f64,
    pub(super) level: f64,
    pub(super) tried: u64,
    pub(super) failed: u64,
    pub(super) examples: Vec<Example>,
}

/// What a trial needs of the run it is part of.
pub(super) struct Subject<'a> {
    pub(super) model: &'a dyn Model,
    pub(super) reading: &'a Reading,
}

impl Trial<'_> {
    /// Tries the rows of a batch that starts at row `first`; `base` are the answers for it.
    pub(super) fn run(
        &mut self,
        subject: &Subject<'_>,
        inputs: &Tensors<'_>,
        base: &Answers,
        first: usize,
        rows: usize,
        classes: &mut Classes,
    ) -> Result<()> {
        let chosen: Vec<usize> =
            (0..rows).filter(|i| self.rows.as_ref().is_none_or(|mask| mask.get(first + i))).collect();
        if chosen.is_empty() {
            return Ok(());
        }
        let (count, sweep) = match self.transform {
            Transform::Changes(b) => (variants(&b.change), is_sweep(&b.change)),
            Transform::Closure(_) => (1, false),
        };
        let mut failed = vec![false; rows];
        let mut before: Option<Answers> = (!sweep).then(|| base.clone());
        for variant in 0..count {
            let changed = match self.transform {
                Transform::Changes(b) => changed(inputs, subject.model.signature(), &b.change, variant)?,
                Transform::Closure(f) => f(inputs)?,
            };
            let mut after = Answers::default();
            after.push(&subject.model.predict_batch(&changed)?, subject.reading, classes)?;
            if (after.predicted.len(), after.values.len()) != (base.predicted.len(), base.values.len()) {
                return Err(Error::new(ErrorKind::WrongShape, "the change made another number of rows")
                    .expected(base.predicted.len().max(base.values.len()))
                    .actual(after.predicted.len().max(after.values.len())));
            }
            if let Some(before) = &before {
                for &i in &chosen {
                    if !failed[i] && !self.holds(before, &after, i, subject.reading.task)? {
                        failed[i] = true;
                        if self.examples.len() < EXAMPLES {
                            let (from, to) =
                                (shown(before, i, self.class, classes), shown(&after, i, self.class, classes));
                            self.examples.push(Example {
                                row: Some((first + i) as u64),
                                expected: match self.expect {
                                    Expect::Same => format!("{}: {from}", self.expect),
                                    _ => format!("{} than {from}", self.expect),
                                },
                                actual: to,
                            });
                        }
                    }
                }
            }
            if sweep {
                before = Some(after);
            }
        }
        self.tried += chosen.len() as u64;
        self.failed += failed.iter().filter(|f| **f).count() as u64;
        Ok(())
    }

    fn holds(&self, before: &Answers, after: &Answers, row: usize, task: Task) -> Result<bool> {
        let by_class = task == Task::Classification && self.tolerance.is_none();
        if by_class && matches!(self.expect, Expect::Same | Expect::Different) {
            return Ok((before.predicted[row] == after.predicted[row]) == (self.expect == Expect::Same));
        }
        let (Some(a), Some(b)) = (before.number(row, self.class), after.number(row, self.class)) else {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the behaviour compares numbers, and the model gives no probability of the class; name a `class` it has, \
                 or leave `tolerance` out",
            ));
        };
        let slack = self.tolerance.unwrap_or(0.0);
        Ok(match self.expect {
            Expect::Same => (b - a).abs() <= slack,
            Expect::Different => (b - a).abs() > slack,
            Expect::Up => b > a + slack,
            Expect::Down => b < a - slack,
            Expect::NotUp => b <= a + slack,
            Expect::NotDown => b >= a - slack,
        })
    }

    pub(super) fn result(self) -> CheckResult {
        let rate = self.failed as f64 / self.tried.max(1) as f64;
        let pass = rate <= self.max_failure_rate;
        let message = failure_text(self.failed, self.tried, self.max_failure_rate, self.level);
        CheckResult::new(self.kind, self.name, pass, message).with_examples(self.examples)
    }
}

/// `3 of 200 rows failed (1.5 %, [0.5 %, 4.3 %]); 0 % may`.
pub(super) fn failure_text(failed: u64, tried: u64, allowed: f64, level: f64) -> String {
    if tried == 0 {
        return "no row was tried".to_string();
    }
    let rate = failed as f64 / tried as f64;
    let interval = wilson(rate, tried as f64, level);
    format!(
        "{failed} of {tried} rows failed ({:.2} %, [{:.2} %, {:.2} %]); {:.2} % may",
        100.0 * rate,
        100.0 * interval.low,
        100.0 * interval.high,
        100.0 * allowed
    )
}

/// An answer as examples show it.
pub(super) fn shown(answers: &Answers, row: usize, class: Option<u32>, classes: &Classes) -> String {
    let name = |c: u32| classes.names.get(c as usize).map_or("?", String::as_str);
    match (answers.predicted.get(row), class.and_then(|c| Some((c, answers.probability(row, c)?)))) {
        (Some(&label), Some((c, p))) => format!("{} (p({}) = {p})", name(label), name(c)),
        (Some(&label), None) => name(label).to_string(),
        (None, _) => answers.values.get(row).map_or_else(|| "nothing".to_string(), ToString::to_string),
    }
}
