//! From answers to a report.

use rayon::prelude::*;

use super::behave::{EXAMPLES, failure_text, shown};
use super::file::{Fairness, MetricCheck, SliceSpec, Suite};
use super::place::steps;
use super::verdict::{
    CheckKind, CheckResult, Example, FairnessReport, MetricReport, Report, SliceMetric, SliceReport, Verdict,
};
use crate::table::{Column, Columns};
use crate::validate::evaluate::{Answers, Classes, Evaluation, Reading, Rows, Truth};
use crate::validate::stats::normal_reach;
use crate::validate::{CodedColumn, Interval, Mask, Metric, Ranked, Task, adjust};
use crate::{Error, ErrorKind, Model, Result};

/// The most slices that a suite may make.
const MOST_SLICES: usize = 10_000;

pub(super) struct Judge<'a> {
    pub(super) suite: &'a Suite,
    pub(super) columns: &'a Columns,
    pub(super) truth: &'a Truth,
    pub(super) answers: &'a Answers,
    pub(super) incumbent: Option<&'a Answers>,
    pub(super) classes: &'a Classes,
    pub(super) reading: &'a Reading,
    pub(super) positive: Option<u32>,
}

impl Judge<'_> {
    /// The report, with the checks that were made already.
    pub(super) fn report(&self, model: &dyn Model, mut checks: Vec<CheckResult>) -> Result<Report> {
        let suite = self.suite;
        let metrics = self.metrics();
        let judged: Vec<Metric> =
            if suite.gaps.metrics.is_empty() { metrics.clone() } else { suite.gaps.metrics.clone() };
        let mut all = metrics.clone();
        all.extend(judged.iter().cloned());
        all.extend(suite.fairness.iter().map(|f| f.metric.clone()));
        let task = self.reading.task;
        let evaluation = Evaluation::new(self.truth, self.answers, self.classes, task, self.positive, &all)?;
        let ranked = evaluation.ranked();
        let ranked = ranked.as_ref();

        let metrics: Vec<MetricReport> = metrics
            .into_iter()
            .map(|metric| {
                let value = evaluation.measure(&metric, Rows::All, ranked, suite.level).measured;
                MetricReport { metric, value }
            })
            .collect();
        let mut results: Vec<CheckResult> = suite.metric.iter().filter_map(|c| bound(c, &metrics)).collect();
        let slices = self.slices()?;
        let slice_reports = self.measured(&evaluation, ranked, &slices, &judged);
        results.extend(self.gaps(&slice_reports, &slices));
        let mut fairness = Vec::new();
        for spec in &suite.fairness {
            let report = self.groups(&evaluation, ranked, spec)?;
            results.push(fair(spec, &report));
            fairness.push(report);
        }
        results.append(&mut checks);
        results.extend(self.minimum(&evaluation)?);
        let against = self.against(&slices, &mut results)?;
        let confusion = match task {
            Task::Classification => {
                let confusion = evaluation.confusion(Rows::All);
                let k = self.classes.names.len();
                (0..k).map(|t| (0..k).map(|p| confusion.weight(t, p)).collect()).collect()
            }
            Task::Regression => Vec::new(),
        };
        let calibration = evaluation.probabilities(Rows::All).map(|p| p.calibration()).unwrap_or_default();
        let reasons: Vec<String> = results
            .iter()
            .filter(|r| !r.pass)
            .map(|r| format!("{} `{}`: {}", r.kind.as_str(), r.name, r.message))
            .collect();
        let description = model.describe();
        Ok(Report {
            suite: suite.name.clone(),
            model: format!("{} model, backend {}", description.format, description.backend),
            rows: self.truth.rows as u64,
            alpha: suite.alpha,
            max_gap: suite.gaps.max_gap,
            task,
            verdict: Verdict { pass: reasons.is_empty(), reasons, evidence: results },
            metrics,
            slices: slice_reports,
            fairness,
            classes: if task == Task::Classification { self.classes.names.clone() } else { Vec::new() },
            confusion,
            calibration,
            against,
        })
    }

    /// The metrics of the suite, or those that fit the task.
    fn metrics(&self) -> Vec<Metric> {
        if !self.suite.metric.is_empty() {
            let mut metrics: Vec<Metric> = Vec::new();
            for check in &self.suite.metric {
                if !metrics.contains(&check.metric) {
                    metrics.push(check.metric.clone());
                }
            }
            return metrics;
        }
        match self.reading.task {
            Task::Regression => vec![Metric::Mae, Metric::Rmse, Metric::R2],
            Task::Classification if self.positive.is_some() && !self.answers.columns.is_empty() => {
                vec![Metric::Accuracy, Metric::RocAuc, Metric::LogLoss]
            }
            Task::Classification => vec![Metric::Accuracy, Metric::BalancedAccuracy],
        }
    }

    fn slices(&self) -> Result<Vec<(String, Mask)>> {
        let mut slices = Vec::new();
        for (i, spec) in self.suite.slice.iter().enumerate() {
            if let Some(predicate) = &spec.predicate {
                let name = spec.name.clone().unwrap_or_else(|| predicate.clone());
                slices.push((name, self.suite.rows(steps!["slice", i], predicate, self.columns)?));
            } else {
                self.crossed(spec, &mut slices)?;
            }
            if slices.len() > MOST_SLICES {
                return Err(Error::new(
                    ErrorKind::LimitExceeded,
                    "the suite makes too many slices; name fewer columns in `by`",
                )
                .expected(format!("at most {MOST_SLICES}")));
            }
        }
        Ok(slices)
    }

    /// A slice for each combination of values that occurs.
    fn crossed(&self, spec: &SliceSpec, into: &mut Vec<(String, Mask)>) -> Result<()> {
        let by = spec.by.as_ref().map(|b| b.as_slice()).unwrap_or_default();
        let coded =
            by.iter().map(|name| Ok(CodedColumn::from_column(name, self.columns.column(name)?, spec.quantiles)));
        let coded = coded.collect::<Result<Vec<_>>>()?;
        let combination = |row: usize| coded.iter().map(|c| c.codes[row]).collect::<Vec<u32>>();
        let mut seen = std::collections::BTreeSet::new();
        for row in 0..self.truth.rows {
            seen.insert(combination(row));
            if seen.len() > MOST_SLICES {
                return Err(Error::new(
                    ErrorKind::LimitExceeded,
                    "the columns in `by` have too many combinations of values",
                )
                .column(by.join(", "))
                .expected(format!("at most {MOST_SLICES}")));
            }
        }
        for codes in seen {
            let parts: Vec<String> =
                coded.iter().zip(&codes).map(|(c, &code)| c.values[code as usize].of_column(&c.name)).collect();
            let name = match &spec.name {
                Some(name) => format!("{name}: {}", parts.join(", ")),
                None => parts.join(", "),
            };
            let mask =
                Mask::from_fn(self.truth.rows, |row| coded.iter().zip(&codes).all(|(c, code)| c.codes[row] == *code));
            into.push((name, mask));
        }
        Ok(())
    }

    fn measured(
        &self,
        evaluation: &Evaluation<'_>,
        ranked: Option<&Ranked<'_>>,
        slices: &[(String, Mask)],
        metrics: &[Metric],
    ) -> Vec<SliceReport> {
        let (suite, rows) = (self.suite, self.truth.rows);
        let mut reports: Vec<SliceReport> = slices
            .par_iter()
            .map(|(name, mask)| {
                let count = mask.count();
                let metrics = metrics.iter().map(|metric| {
                    let inside = evaluation.measure(metric, Rows::In(mask), ranked, suite.level);
                    let rest = evaluation.measure(metric, Rows::NotIn(mask), ranked, suite.level);
                    let p_value = inside.p_value(&rest);
                    let pair = inside.measured.estimate().zip(rest.measured.estimate());
                    let sign = if metric.higher_is_better() { -1.0 } else { 1.0 };
                    let worse_by = pair.map(|(a, b)| sign * (a.value - b.value));
                    let interval = pair.zip(worse_by).map(|((a, b), gap)| {
                        let reach = normal_reach(suite.level) * a.standard_error.hypot(b.standard_error);
                        Interval { low: gap - reach, high: gap + reach }
                    });
                    SliceMetric {
                        metric: metric.clone(),
                        value: inside.measured,
                        rest: rest.measured,
                        worse_by,
                        interval,
                        p_value,
                        p_adjusted: None,
                    }
                });
                SliceReport {
                    name: name.clone(),
                    rows: count as u64,
                    share: count as f64 / rows.max(1) as f64,
                    supported: count >= suite.min_support,
                    metrics: metrics.collect(),
                }
            })
            .collect();
        let judged = |r: &SliceReport| r.supported;
        let p_values: Vec<f64> =
            reports.iter().filter(|r| judged(r)).flat_map(|r| &r.metrics).filter_map(|m| m.p_value).collect();
        let mut adjusted = adjust(&p_values, suite.adjust).into_iter();
        for metric in reports.iter_mut().filter(|r| judged(r)).flat_map(|r| &mut r.metrics) {
            if metric.p_value.is_some() {
                metric.p_adjusted = adjusted.next();
            }
        }
        reports
    }

    fn gaps(&self, reports: &[SliceReport], slices: &[(String, Mask)]) -> Vec<CheckResult> {
        let Some(allowed) = self.suite.gaps.max_gap else {
            return Vec::new();
        };
        let mut results = Vec::new();
        for (report, (_, mask)) in reports.iter().zip(slices) {
            if !report.supported {
                continue;
            }
            for m in &report.metrics {
                let (Some(gap), Some(p)) = (m.worse_by, m.p_adjusted) else {
                    continue;
                };
                let fails = gap > allowed && p <= self.suite.alpha;
                let message = format!(
                    "{} is {} on {} rows, {} on the others: worse by {gap:.4}, adjusted p {p:.2e}; {allowed} is allowed",
                    m.metric, m.value, report.rows, m.rest
                );
                let name = if report.metrics.len() == 1 {
                    report.name.clone()
                } else {
                    format!("{}, {}", report.name, m.metric)
                };
                let examples = if fails { self.wrong_rows(mask) } else { Vec::new() };
                results.push(CheckResult::new(CheckKind::Slice, name, !fails, message).with_examples(examples));
            }
        }
        results
    }

    /// Rows of a slice on which the model is wrong; of numbers, those with the largest errors.
    fn wrong_rows(&self, mask: &Mask) -> Vec<Example> {
        let rows = (0..self.truth.rows).filter(|&row| mask.get(row));
        let chosen: Vec<usize> = match self.reading.task {
            Task::Classification => {
                rows.filter(|&row| self.truth.classes[row] != self.answers.predicted[row]).take(EXAMPLES).collect()
            }
            Task::Regression => {
                let mut rows: Vec<usize> = rows.collect();
                let error = |row: usize| (self.truth.values[row] - self.answers.values[row]).abs();
                rows.sort_by(|&a, &b| error(b).total_cmp(&error(a)));
                rows.truncate(EXAMPLES);
                rows
            }
        };
        chosen.into_iter().map(|row| self.example(row)).collect()
    }

    fn example(&self, row: usize) -> Example {
        let expected = match self.reading.task {
            Task::Classification => self.classes.names[self.truth.classes[row] as usize].clone(),
            Task::Regression => self.truth.values[row].to_string(),
        };
        Example { row: Some(row as u64), expected, actual: shown(self.answers, row, self.positive, self.classes) }
    }

    fn groups(
        &self,
        evaluation: &Evaluation<'_>,
        ranked: Option<&Ranked<'_>>,
        spec: &Fairness,
    ) -> Result<FairnessReport> {
        let column: &Column = self.columns.column(&spec.by)?;
        let coded = CodedColumn::from_column(&spec.by, column, 4);
        if coded.values.len() > MOST_SLICES {
            return Err(
                Error::new(ErrorKind::LimitExceeded, "the column has too many values to be groups").column(&spec.by)
            );
        }
        let (mut groups, mut compared) = (Vec::new(), Vec::new());
        for (code, value) in coded.values.iter().enumerate() {
            let mask = Mask::from_fn(self.truth.rows, |row| coded.codes[row] as usize == code);
            let measured = evaluation.measure(&spec.metric, Rows::In(&mask), ranked, self.suite.level).measured;
            if mask.count() >= self.suite.min_support {
                compared.extend(measured.value());
            }
            groups.push((value.to_string(), measured));
        }
        let low = compared.iter().copied().min_by(f64::total_cmp);
        let high = compared.iter().copied().max_by(f64::total_cmp);
        let pair = low.zip(high).filter(|_| compared.len() > 1);
        Ok(FairnessReport {
            by: spec.by.clone(),
            metric: spec.metric.clone(),
            groups,
            difference: pair.map(|(l, h)| h - l),
            ratio: pair.filter(|(_, h)| *h > 0.0).map(|(l, h)| l / h),
        })
    }

    fn minimum(&self, evaluation: &Evaluation<'_>) -> Result<Vec<CheckResult>> {
        let mut results = Vec::new();
        for (i, spec) in self.suite.minimum.iter().enumerate() {
            let mask = self.suite.rows(steps!["minimum", i], &spec.predicate, self.columns)?;
            let wrong: Vec<usize> =
                (0..self.truth.rows).filter(|&row| mask.get(row) && evaluation.loss(row) > spec.tolerance).collect();
            let tried = mask.count() as u64;
            let pass = wrong.len() as f64 <= spec.max_failure_rate * tried as f64;
            let message = failure_text(wrong.len() as u64, tried, spec.max_failure_rate, self.suite.level);
            let name = spec.name.clone().unwrap_or_else(|| spec.predicate.clone());
            let examples =
                if pass { Vec::new() } else { wrong.iter().take(EXAMPLES).map(|&r| self.example(r)).collect() };
            results.push(CheckResult::new(CheckKind::Minimum, name, pass, message).with_examples(examples));
        }
        Ok(results)
    }
}

fn bound(check: &MetricCheck, metrics: &[MetricReport]) -> Option<CheckResult> {
    if check.at_least.is_none() && check.at_most.is_none() {
        return None;
    }
    let value = &metrics.iter().find(|m| m.metric == check.metric)?.value;
    let (pass, mut message) = match value.estimate() {
        None => (false, value.to_string()),
        Some(e) => {
            let (low, high) = if check.surely { (e.interval.low, e.interval.high) } else { (e.value, e.value) };
            let pass = check.at_least.is_none_or(|b| low >= b) && check.at_most.is_none_or(|b| high <= b);
            (pass, value.to_string())
        }
    };
    if let Some(b) = check.at_least {
        message += &format!("; at least {b} is asked for");
    }
    if let Some(b) = check.at_most {
        message += &format!("; at most {b} is allowed");
    }
    if check.surely {
        message += ", by the whole interval";
    }
    Some(CheckResult::new(CheckKind::Metric, check.metric.to_string(), pass, message))
}

fn fair(spec: &Fairness, report: &FairnessReport) -> CheckResult {
    let name = format!("{} by {}", spec.metric, spec.by);
    let (Some(difference), ratio) = (report.difference, report.ratio) else {
        return CheckResult::new(
            CheckKind::Fairness,
            name,
            false,
            "fewer than two groups have enough rows and a value",
        );
    };
    let ratio_fits = spec.min_ratio.is_none_or(|least| ratio.is_some_and(|r| r >= least));
    let pass = spec.max_difference.is_none_or(|most| difference <= most) && ratio_fits;
    let ratio = ratio.map_or_else(|| "undefined".to_string(), |r| format!("{r:.4}"));
    let mut message = format!("the difference between groups is {difference:.4}, the ratio {ratio}");
    if let Some(most) = spec.max_difference {
        message += &format!("; a difference of {most} is allowed");
    }
    if let Some(least) = spec.min_ratio {
        message += &format!("; a ratio of {least} is asked for");
    }
    CheckResult::new(CheckKind::Fairness, name, pass, message)
}
