use std::collections::HashMap;

use super::answers::{Answers, Classes, Rows, Task};
use super::metric::Metric;
use crate::validate::metrics::Area;
use crate::validate::stats::t_test;
use crate::validate::{
    Confusion, Mean, Measured, Probabilities, Ranked, Rankings, Regression, Scores, two_proportions,
};
use crate::{Error, ErrorKind, Result};

/// The truth about the rows of a data set.
#[derive(Debug, Clone, Default)]
pub(in crate::validate) struct Truth {
    /// The class of each row, in classification.
    pub(in crate::validate) classes: Vec<u32>,
    /// The number of each row, in regression and ranking.
    pub(in crate::validate) values: Vec<f64>,
    pub(in crate::validate) weights: Option<Vec<f64>>,
    /// The query of each row, for rankings.
    pub(in crate::validate) queries: Option<Vec<u32>>,
    pub(in crate::validate) rows: usize,
}

impl Truth {
    pub(in crate::validate) fn weight(&self, row: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |w| w[row])
    }
}

/// A model's answers beside the truth, ready to be measured on any rows.
#[derive(Debug)]
pub(in crate::validate) struct Evaluation<'a> {
    truth: &'a Truth,
    answers: &'a Answers,
    classes: &'a Classes,
    task: Task,
    positive: Option<u32>,
    scores: Option<Scores>,
}

/// What a measurement rests on, for the test of a difference.
#[derive(Debug, Clone, Copy)]
pub(in crate::validate) enum Basis {
    Proportion { cases: u64, rows: u64 },
    Mean(Mean),
    Area(Area),
    Other,
}

/// A measurement with its basis.
#[derive(Debug, Clone)]
pub(in crate::validate) struct Measurement {
    pub(in crate::validate) measured: Measured,
    pub(in crate::validate) basis: Basis,
}

impl Measurement {
    fn other(measured: Measured) -> Self {
        Self { measured, basis: Basis::Other }
    }

    fn mean(mean: Mean, measured: Measured) -> Self {
        Self { measured, basis: Basis::Mean(mean) }
    }

    /// The two-sided p-value of no difference to other, independent rows; `None` where either has no value.
    pub(in crate::validate) fn p_value(&self, other: &Self) -> Option<f64> {
        let (a, b) = (self.measured.estimate()?, other.measured.estimate()?);
        match (self.basis, other.basis) {
            (Basis::Proportion { cases: c, rows: n }, Basis::Proportion { cases: d, rows: m }) => {
                Some(two_proportions([c, d], [n, m]))
            }
            (Basis::Mean(x), Basis::Mean(y)) => x.differs(&y),
            (Basis::Area(x), Basis::Area(y)) => Some(x.p_value(&y)),
            _ => {
                // As for means: the standard errors as they are, and that which the larger side gives the smaller.
                let (small, large) = if a.rows <= b.rows { (a, b) } else { (b, a) };
                let scaled = large.standard_error * (large.rows as f64 / small.rows.max(1) as f64).sqrt();
                let own = a.standard_error.hypot(b.standard_error);
                let alike = scaled.hypot(large.standard_error);
                let test = |error: f64| t_test(a.value - b.value, error, small.rows);
                (own > 0.0).then(|| test(own).max(test(alike)))
            }
        }
    }
}

impl<'a> Evaluation<'a> {
    pub(in crate::validate) fn new(
        truth: &'a Truth,
        answers: &'a Answers,
        classes: &'a Classes,
        task: Task,
        positive: Option<u32>,
        metrics: &[Metric],
    ) -> Result<Self> {
        let mut scores = None;
        if let Some(positive) = positive
            && !answers.columns.is_empty()
            && metrics.iter().any(|m| matches!(m, Metric::RocAuc | Metric::PrAuc))
        {
            let mut all = Scores::new();
            for row in 0..truth.rows {
                let score = answers.probability(row, positive).unwrap_or(f64::NAN);
                all.add(score, truth.classes[row] == positive, truth.weight(row))?;
            }
            scores = Some(all);
        }
        Ok(Self { truth, answers, classes, task, positive, scores })
    }

    pub(in crate::validate) fn ranked(&self) -> Option<Ranked<'_>> {
        self.scores.as_ref().map(Scores::ranked)
    }

    /// The confusion matrix of these rows.
    pub(in crate::validate) fn confusion(&self, rows: Rows<'_>) -> Confusion {
        let mut confusion = Confusion::new(self.classes.names.len());
        for (row, (&t, &p)) in self.truth.classes.iter().zip(&self.answers.predicted).enumerate() {
            if rows.has(row) {
                confusion.add(t as usize, p as usize, self.truth.weight(row));
            }
        }
        confusion
    }

    pub(in crate::validate) fn probabilities(&self, rows: Rows<'_>) -> Result<Probabilities, Measured> {
        let width = self.answers.columns.len();
        if width == 0 {
            return Err(Measured::undefined("the model gives no probabilities"));
        }
        let mut column = vec![None; self.classes.names.len()];
        for (i, &class) in self.answers.columns.iter().enumerate() {
            column[class as usize] = Some(i);
        }
        let mut all = Probabilities::default();
        for (row, p) in self.answers.probabilities.chunks_exact(width).enumerate() {
            if !rows.has(row) {
                continue;
            }
            let class = self.truth.classes[row];
            let Some(own) = column[class as usize] else {
                let name = &self.classes.names[class as usize];
                return Err(Measured::undefined(format!("the model has no probability for class `{name}`")));
            };
            if let Err(e) = all.add(own, p, self.truth.weight(row)) {
                return Err(Measured::undefined(format!("row {row}: {}", e.message())));
            }
        }
        Ok(all)
    }

    fn regression(&self, rows: Rows<'_>, quantile: Option<f64>) -> Result<Regression, Measured> {
        let mut all = quantile.map_or_else(Regression::new, Regression::with_quantile);
        for (row, (&t, &p)) in self.truth.values.iter().zip(&self.answers.values).enumerate() {
            if rows.has(row)
                && let Err(e) = all.add(t, p, self.truth.weight(row))
            {
                return Err(Measured::undefined(format!("row {row}: {}", e.message())));
            }
        }
        Ok(all)
    }

    fn rankings(&self, rows: Rows<'_>, top: Option<usize>) -> Result<Rankings, Measured> {
        let Some(queries) = &self.truth.queries else {
            return Err(Measured::undefined("the suite names no `query` column"));
        };
        let mut groups: HashMap<u32, (Vec<f64>, Vec<f64>)> = HashMap::new();
        for (row, (&query, &value)) in queries.iter().zip(&self.truth.values).enumerate() {
            if rows.has(row) {
                let score = self.answers.number(row, self.positive.filter(|_| self.task == Task::Classification));
                let group = groups.entry(query).or_default();
                group.0.push(value);
                group.1.push(score.unwrap_or(f64::NAN));
            }
        }
        let mut all = Rankings::new(top);
        let mut order: Vec<&u32> = groups.keys().collect();
        order.sort_unstable();
        for query in order {
            let (relevance, scores) = &groups[query];
            all.add(relevance, scores, 1.0).map_err(|e| Measured::undefined(e.to_string()))?;
        }
        Ok(all)
    }

    /// `metric` on these rows. `ranked` are the sorted scores, which all slices share.
    pub(in crate::validate) fn measure(
        &self,
        metric: &Metric,
        rows: Rows<'_>,
        ranked: Option<&Ranked<'_>>,
        level: f64,
    ) -> Measurement {
        let wrong = match self.task {
            _ if metric.of_rankings() => None,
            Task::Classification if metric.of_numbers() => Some("it measures numbers, and the model predicts classes"),
            Task::Regression if !metric.of_numbers() => Some("it measures classes, and the model predicts numbers"),
            _ => None,
        };
        if let Some(reason) = wrong {
            return Measurement::other(Measured::undefined(reason));
        }
        self.try_measure(metric, rows, ranked, level).unwrap_or_else(Measurement::other)
    }

    fn try_measure(
        &self,
        metric: &Metric,
        rows: Rows<'_>,
        ranked: Option<&Ranked<'_>>,
        level: f64,
    ) -> Result<Measurement, Measured> {
        let ranked = || {
            ranked.ok_or_else(|| {
                Measured::undefined(if self.positive.is_none() {
                    "it takes two classes, or a `positive` class named in the suite"
                } else {
                    "the model gives no probabilities"
                })
            })
        };
        Ok(match metric {
            Metric::Accuracy => {
                let confusion = self.confusion(rows);
                let measured = confusion.accuracy(level);
                if confusion.is_unweighted() {
                    let basis = Basis::Proportion { cases: confusion.right_rows(), rows: confusion.total_rows() };
                    Measurement { measured, basis }
                } else {
                    Measurement::other(measured)
                }
            }
            Metric::BalancedAccuracy => Measurement::other(self.confusion(rows).balanced_accuracy(level)),
            Metric::OfClass(rate, class) => {
                let number = match class {
                    Some(name) => self.classes.find(name),
                    None => self.positive,
                };
                let number = number.ok_or_else(|| {
                    Measured::undefined(match class {
                        Some(name) => format!("there is no class `{name}`"),
                        None => "it takes two classes, or a class behind a colon".to_string(),
                    })
                })? as usize;
                let confusion = self.confusion(rows);
                let measured = confusion.of_class(*rate, number, level);
                let all = |f: &dyn Fn(usize) -> u64| (0..confusion.classes()).map(f).sum();
                let cases = confusion.rows(number, number);
                let basis = match rate {
                    _ if !confusion.is_unweighted() => Basis::Other,
                    crate::validate::Rate::Precision => {
                        Basis::Proportion { cases, rows: all(&|c| confusion.rows(c, number)) }
                    }
                    crate::validate::Rate::Recall => {
                        Basis::Proportion { cases, rows: all(&|c| confusion.rows(number, c)) }
                    }
                    crate::validate::Rate::F1 => Basis::Other,
                };
                Measurement { measured, basis }
            }
            Metric::Averaged(rate, average) => Measurement::other(self.confusion(rows).average(*rate, *average, level)),
            Metric::RocAuc => {
                let (estimate, area) = ranked()?.area_of(|row| rows.has(row), level)?;
                Measurement { measured: Measured::Value(estimate), basis: Basis::Area(area) }
            }
            Metric::PrAuc => Measurement::other(ranked()?.pr_auc_of(|row| rows.has(row), level)),
            Metric::LogLoss => {
                let mean = *self.probabilities(rows)?.log_loss();
                Measurement::mean(mean, mean.estimate(level))
            }
            Metric::Brier => {
                let mean = *self.probabilities(rows)?.brier();
                Measurement::mean(mean, mean.estimate(level))
            }
            Metric::CalibrationError => Measurement::other(self.probabilities(rows)?.calibration_error(level)),
            Metric::Mae => {
                let all = self.regression(rows, None)?;
                Measurement::mean(*all.absolute(), all.mae(level))
            }
            Metric::Rmse => {
                let all = self.regression(rows, None)?;
                Measurement::mean(*all.squared(), all.rmse(level))
            }
            Metric::R2 => Measurement::other(self.regression(rows, None)?.r2(level)),
            Metric::Mape => Measurement::other(self.regression(rows, None)?.mape(level)),
            Metric::QuantileLoss(q) => Measurement::other(self.regression(rows, Some(*q))?.quantile_loss(level)),
            Metric::Ndcg(top) => Measurement::other(self.rankings(rows, *top)?.ndcg(level)),
            Metric::Map => Measurement::other(self.rankings(rows, None)?.map(level)),
            Metric::Mrr => Measurement::other(self.rankings(rows, None)?.mrr(level)),
        })
    }

    /// How wrong the model is on `row`, for comparisons: 0 or 1, or the absolute error.
    pub(in crate::validate) fn loss(&self, row: usize) -> f64 {
        match self.task {
            Task::Classification => f64::from(self.truth.classes[row] != self.answers.predicted[row]),
            Task::Regression => (self.truth.values[row] - self.answers.values[row]).abs(),
        }
    }
}

/// The weights of a data set, none of them bad.
pub(in crate::validate) fn checked_weights(weights: Vec<f64>, column: &str) -> Result<Vec<f64>> {
    for (row, weight) in weights.iter().enumerate() {
        if !weight.is_finite() || *weight < 0.0 {
            return Err(Error::new(ErrorKind::InvalidValue, "a weight is missing, negative or not finite")
                .column(column)
                .row(row as u64));
        }
    }
    if !weights.is_empty() && weights.iter().sum::<f64>() <= 0.0 {
        return Err(Error::new(ErrorKind::InvalidArgument, "the weights sum to 0, so no row counts").column(column));
    }
    Ok(weights)
}
