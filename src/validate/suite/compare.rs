//! The comparison with an incumbent, on the same rows.

use super::behave::{EXAMPLES, shown};
use super::judge::Judge;
use super::verdict::{CheckKind, CheckResult, Comparison, Example, SliceComparison};
use crate::Result;
use crate::validate::evaluate::{Answers, Evaluation};
use crate::validate::{Bootstrap, Interval, Mask, Mean, Task, adjust, mcnemar};

/// What two models make of some rows.
struct Pair {
    /// The losses of the new model less the incumbent's.
    difference: Mean,
    interval: Option<Interval>,
    /// Rows on which only the new model is right, and only the incumbent; of classes without weights.
    discordant: Option<[u64; 2]>,
    flips: u64,
    rows: u64,
}

impl Pair {
    fn worse_by(&self) -> f64 {
        self.difference.value().unwrap_or(0.0)
    }

    /// McNemar's test, or the paired t test.
    fn p_value(&self) -> Option<f64> {
        match self.discordant {
            Some([new, old]) => Some(mcnemar(new, old)),
            None => self.difference.differs_from_zero(),
        }
    }

    /// The one-sided p-value of being worse by at most `allowed`, which is 0 or more.
    ///
    /// Few rows that differ make the t test too sure, so that of classes the sign test must agree that the new model is
    /// worse at all, which being worse by more than `allowed` includes.
    fn surely_above(&self, allowed: f64) -> f64 {
        let p = self.difference.above(allowed).unwrap_or(1.0);
        match self.discordant {
            Some([new, old]) if old > new => p.max(mcnemar(new, old) / 2.0),
            Some(_) => 1.0,
            None => p,
        }
    }

    fn flip_share(&self) -> f64 {
        self.flips as f64 / self.rows.max(1) as f64
    }
}

/// Both models' losses and answers beside each other.
struct Paired<'j> {
    judge: &'j Judge<'j>,
    incumbent: &'j Answers,
    differences: Vec<f64>,
}

impl Paired<'_> {
    fn flipped(&self, row: usize) -> bool {
        self.judge.reading.task == Task::Classification
            && self.judge.answers.predicted[row] != self.incumbent.predicted[row]
    }

    /// The rows that `keep` takes.
    fn of(&self, keep: impl Fn(usize) -> bool) -> Pair {
        let truth = self.judge.truth;
        let chosen: Vec<usize> = (0..truth.rows).filter(|&row| keep(row)).collect();
        let differences: Vec<f64> = chosen.iter().map(|&row| self.differences[row]).collect();
        let weights = truth.weights.as_ref().map(|w| chosen.iter().map(|&row| w[row]).collect::<Vec<f64>>());
        let mut difference = Mean::new();
        for (i, d) in differences.iter().enumerate() {
            difference.add_weighted(*d, weights.as_ref().map_or(1.0, |w| w[i]));
        }
        let suite = self.judge.suite;
        let bootstrap = Bootstrap::default().seed(suite.seed).level(suite.level);
        let count = |sign: f64| differences.iter().filter(|d| **d == sign).count() as u64;
        let counted = self.judge.reading.task == Task::Classification && weights.is_none();
        Pair {
            difference,
            interval: bootstrap.mean(&differences, weights.as_deref()),
            discordant: counted.then(|| [count(-1.0), count(1.0)]),
            flips: chosen.iter().filter(|&&row| self.flipped(row)).count() as u64,
            rows: chosen.len() as u64,
        }
    }
}

impl Judge<'_> {
    /// The comparison, where there is an incumbent; its checks go to `results`.
    pub(super) fn against(
        &self,
        slices: &[(String, Mask)],
        results: &mut Vec<CheckResult>,
    ) -> Result<Option<Comparison>> {
        let Some(incumbent) = self.incumbent else {
            return Ok(None);
        };
        let (suite, rules, rows) = (self.suite, &self.suite.against, self.truth.rows);
        let task = self.reading.task;
        let new = Evaluation::new(self.truth, self.answers, self.classes, task, None, &[])?;
        let old = Evaluation::new(self.truth, incumbent, self.classes, task, None, &[])?;
        let differences = (0..rows).map(|row| new.loss(row) - old.loss(row)).collect();
        let paired = Paired { judge: self, incumbent, differences };
        let all = paired.of(|_| true);
        let loss = if task == Task::Classification { "error rate" } else { "mean absolute error" };
        if let Some(allowed) = rules.max_worse {
            let p = all.surely_above(allowed);
            let pass = !(all.worse_by() > allowed && p <= suite.alpha);
            let message = format!(
                "the {loss} is {:+.4} against the incumbent's, p {p:.2e}; {allowed} is allowed",
                all.worse_by()
            );
            results.push(CheckResult::new(CheckKind::Against, "max_worse", pass, message));
        }
        let flipped: Vec<u64> = (0..rows).filter(|&row| paired.flipped(row)).map(|row| row as u64).collect();
        let flips = (task == Task::Classification).then(|| all.flip_share());
        if let (Some(allowed), Some(flips)) = (rules.max_flips, flips) {
            let message =
                format!("{:.2} % of the rows changed their class; {:.2} % may", 100.0 * flips, 100.0 * allowed);
            let example = |&row: &u64| Example {
                row: Some(row),
                expected: shown(incumbent, row as usize, None, self.classes),
                actual: shown(self.answers, row as usize, None, self.classes),
            };
            let pass = flips <= allowed;
            let examples = if pass { Vec::new() } else { flipped.iter().take(EXAMPLES).map(example).collect() };
            results.push(CheckResult::new(CheckKind::Against, "max_flips", pass, message).with_examples(examples));
        }
        let allowed = rules.max_slice_worse.unwrap_or(0.0);
        let judged: Vec<(&String, Pair)> = slices
            .iter()
            .filter(|(_, mask)| mask.count() >= suite.min_support)
            .map(|(name, mask)| (name, paired.of(|row| mask.get(row))))
            .collect();
        let p_values: Vec<f64> = judged.iter().map(|(_, pair)| pair.surely_above(allowed)).collect();
        let mut compared = Vec::with_capacity(judged.len());
        for ((name, pair), p) in judged.into_iter().zip(adjust(&p_values, suite.adjust)) {
            if rules.max_slice_worse.is_some() {
                let pass = !(pair.worse_by() > allowed && p <= suite.alpha);
                let message = format!(
                    "the {loss} on {} rows is {:+.4} against the incumbent's, adjusted p {p:.2e}; {allowed} is allowed",
                    pair.rows,
                    pair.worse_by()
                );
                results.push(CheckResult::new(CheckKind::Against, name.clone(), pass, message));
            }
            compared.push(SliceComparison {
                name: name.clone(),
                rows: pair.rows,
                worse_by: pair.worse_by(),
                interval: pair.interval,
                p_value: pair.p_value(),
                p_adjusted: p,
                flips: flips.map(|_| pair.flip_share()),
            });
        }
        Ok(Some(Comparison {
            worse_by: all.worse_by(),
            interval: all.interval,
            p_value: all.p_value(),
            flips,
            flipped_rows: flipped,
            slices: compared,
        }))
    }
}
