use crate::validate::stats::{normal_estimate, normal_reach, t_test};
use crate::validate::{Estimate, Interval, Measured, Method, wilson};
use crate::{Error, ErrorKind, Result};

/// The scores of a binary classifier with the truth of each row, for the areas under the ROC and the precision-recall
/// curve. It holds a score and a bit per row (the areas need their order), and batches and threads are merged.
///
/// ```
/// use modelberth::validate::Scores;
/// let mut scores = Scores::new();
/// for (score, positive) in [(0.1, false), (0.4, false), (0.35, true), (0.8, true)] {
///     scores.add(score, positive, 1.0)?;
/// }
/// assert_eq!(scores.ranked().roc_auc(0.95).value(), Some(0.75));
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    scores: Vec<f64>,
    positive: Vec<bool>,
    /// Empty while every weight is 1.
    weights: Vec<f64>,
}

impl Scores {
    /// No scores.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] when the score is NaN, or the weight negative or not finite.
    pub fn add(&mut self, score: f64, positive: bool, weight: f64) -> Result<()> {
        let row = self.scores.len() as u64;
        if score.is_nan() {
            return Err(Error::new(ErrorKind::InvalidValue, "a score is NaN, which has no place in an order").row(row));
        }
        super::check_weight(weight, row)?;
        if weight != 1.0 && self.weights.is_empty() {
            self.weights = vec![1.0; self.scores.len()];
        }
        if weight != 1.0 || !self.weights.is_empty() {
            self.weights.push(weight);
        }
        self.scores.push(score);
        self.positive.push(positive);
        Ok(())
    }

    /// Adds the rows of `other` behind these.
    pub fn merge(&mut self, other: &Self) {
        if !self.weights.is_empty() || !other.weights.is_empty() {
            self.weights.resize(self.scores.len(), 1.0);
            self.weights.extend_from_slice(&other.weights);
            self.weights.resize(self.scores.len() + other.scores.len(), 1.0);
        }
        self.scores.extend_from_slice(&other.scores);
        self.positive.extend_from_slice(&other.positive);
    }

    /// The rows in descending order of their scores: sorted once, after which each area, of all rows or of a slice,
    /// takes one walk.
    #[must_use]
    pub fn ranked(&self) -> Ranked<'_> {
        let mut order: Vec<u32> = (0..u32::try_from(self.scores.len()).unwrap_or(u32::MAX)).collect();
        order.sort_unstable_by(|&a, &b| self.scores[b as usize].total_cmp(&self.scores[a as usize]));
        Ranked { scores: self, order }
    }
}

/// The rows of [`Scores`] in descending order.
#[derive(Debug, Clone)]
pub struct Ranked<'s> {
    scores: &'s Scores,
    order: Vec<u32>,
}

/// The rows of one score: weights, squared weights and numbers of positives and negatives.
#[derive(Debug, Clone, Copy, Default)]
struct Tie {
    weight: [f64; 2],
    squares: [f64; 2],
}

struct Ties {
    ties: Vec<Tie>,
    rows: [u64; 2],
    weight: [f64; 2],
    squares: [f64; 2],
}

const POSITIVE: usize = 1;
const NEGATIVE: usize = 0;

impl Ranked<'_> {
    /// The area under the ROC curve of all rows, with DeLong's interval (DeLong et al. 1988; with weights, the variance
    /// of the weighted placements).
    #[must_use]
    pub fn roc_auc(&self, level: f64) -> Measured {
        self.roc_auc_of(|_| true, level)
    }

    /// [`roc_auc`](Self::roc_auc) of the rows that `keep` takes, told by their number in the order they were added.
    #[must_use]
    pub fn roc_auc_of(&self, keep: impl Fn(usize) -> bool, level: f64) -> Measured {
        match self.area_of(keep, level) {
            Ok((estimate, _)) => Measured::Value(estimate),
            Err(undefined) => undefined,
        }
    }

    /// [`roc_auc_of`](Self::roc_auc_of) with what a comparison with other rows takes.
    pub(in crate::validate) fn area_of(
        &self,
        keep: impl Fn(usize) -> bool,
        level: f64,
    ) -> Result<(Estimate, Area), Measured> {
        self.ties(keep).map(|ties| roc_auc(&ties, level))
    }

    /// The area under the precision-recall curve as average precision, `Σ (R_n - R_(n-1)) P_n`, with an interval on the
    /// logit scale (Boyd et al. 2013) whose variance is the infinitesimal jackknife's.
    #[must_use]
    pub fn pr_auc(&self, level: f64) -> Measured {
        self.pr_auc_of(|_| true, level)
    }

    /// [`pr_auc`](Self::pr_auc) of the rows that `keep` takes.
    #[must_use]
    pub fn pr_auc_of(&self, keep: impl Fn(usize) -> bool, level: f64) -> Measured {
        match self.ties(keep) {
            Ok(ties) => Measured::Value(average_precision(&ties, level)),
            Err(undefined) => undefined,
        }
    }

    fn ties(&self, keep: impl Fn(usize) -> bool) -> Result<Ties, Measured> {
        let Scores { scores, positive, weights } = self.scores;
        let mut all = Ties { ties: Vec::new(), rows: [0; 2], weight: [0.0; 2], squares: [0.0; 2] };
        let mut last = f64::NAN;
        for &row in &self.order {
            let row = row as usize;
            let weight = weights.get(row).copied().unwrap_or(1.0);
            if weight == 0.0 || !keep(row) {
                continue;
            }
            if scores[row] != last {
                all.ties.push(Tie::default());
                last = scores[row];
            }
            let side = usize::from(positive[row]);
            if let Some(tie) = all.ties.last_mut() {
                tie.weight[side] += weight;
                tie.squares[side] += weight * weight;
            }
            all.rows[side] += 1;
            all.weight[side] += weight;
            all.squares[side] += weight * weight;
        }
        match all.rows {
            [0, 0] => Err(Measured::undefined("there are no rows")),
            [0, _] => Err(Measured::undefined("all rows are of the positive class; the area needs both")),
            [_, 0] => Err(Measured::undefined("all rows are of the negative class; the area needs both")),
            _ => Ok(all),
        }
    }
}

/// An area under the ROC curve with what each side, negatives and positives, adds to its variance.
#[derive(Debug, Clone, Copy)]
pub(in crate::validate) struct Area {
    value: f64,
    variance: [f64; 2],
    rows: [u64; 2],
}

impl Area {
    fn total_rows(&self) -> u64 {
        self.rows[0] + self.rows[1]
    }

    /// The two-sided p-value of an area no different from that of other rows: the larger of two t tests, with both sides'
    /// own variances, and with the variance that the larger set of rows gives one as large as the smaller. Few rows with
    /// an area near 1 seem to vary little, by which the first alone finds far too many differences.
    pub(in crate::validate) fn p_value(&self, other: &Self) -> f64 {
        let (small, large) = if self.total_rows() <= other.total_rows() { (self, other) } else { (other, self) };
        let of_large = large.variance[0] + large.variance[1];
        let own = small.variance[0] + small.variance[1] + of_large;
        let scaled = |side: usize| large.variance[side] * large.rows[side] as f64 / small.rows[side] as f64;
        let alike = scaled(0) + scaled(1) + of_large;
        let test = |variance: f64| t_test(self.value - other.value, variance.sqrt(), small.total_rows());
        test(own).max(test(alike))
    }
}

fn roc_auc(all: &Ties, level: f64) -> (Estimate, Area) {
    let [negatives, positives] = all.weight;
    let mut value = 0.0;
    let mut above = [0.0; 2];
    let mut placements = Vec::with_capacity(all.ties.len());
    for tie in &all.ties {
        // The share of negatives below a positive here, and of positives above a negative here.
        let of_positive = (negatives - above[NEGATIVE] - tie.weight[NEGATIVE] / 2.0) / negatives;
        let of_negative = (above[POSITIVE] + tie.weight[POSITIVE] / 2.0) / positives;
        value += tie.weight[POSITIVE] * of_positive;
        placements.push([of_negative, of_positive]);
        above[POSITIVE] += tie.weight[POSITIVE];
        above[NEGATIVE] += tie.weight[NEGATIVE];
    }
    value /= positives;
    let mut spread = [0.0; 2];
    for (tie, placement) in all.ties.iter().zip(&placements) {
        for side in [NEGATIVE, POSITIVE] {
            spread[side] += tie.squares[side] * (placement[side] - value).powi(2);
        }
    }
    let part = |side: usize| {
        let n = all.rows[side] as f64;
        // One row on a side shows no spread; the other side's is all there is.
        if n > 1.0 { spread[side] / (all.weight[side] * all.weight[side]) * (n / (n - 1.0)) } else { 0.0 }
    };
    let area = Area { value, variance: [part(NEGATIVE), part(POSITIVE)], rows: all.rows };
    let standard_error = (area.variance[0] + area.variance[1]).sqrt();
    let rows = area.total_rows();
    if standard_error == 0.0 {
        // Perfect separation: what a proportion seen without exception allows on the smaller side.
        let interval = wilson(value, all.rows[0].min(all.rows[1]) as f64, level);
        return (Estimate { value, standard_error, interval, method: Method::Wilson, rows }, area);
    }
    let range = Interval { low: 0.0, high: 1.0 };
    (normal_estimate(value, standard_error, range, Method::DeLong, rows, level), area)
}

fn average_precision(all: &Ties, level: f64) -> Estimate {
    let positives = all.weight[POSITIVE];
    let mut above = [0.0; 2];
    let mut value = 0.0;
    let mut curve = Vec::with_capacity(all.ties.len());
    for tie in &all.ties {
        above[POSITIVE] += tie.weight[POSITIVE];
        above[NEGATIVE] += tie.weight[NEGATIVE];
        let here = above[POSITIVE] + above[NEGATIVE];
        let precision = above[POSITIVE] / here;
        value += tie.weight[POSITIVE] * precision;
        // How the precision here answers to one more positive, or negative, at or above.
        let square = here * here;
        curve.push((
            precision,
            tie.weight[POSITIVE] * above[NEGATIVE] / square,
            tie.weight[POSITIVE] * above[POSITIVE] / square,
        ));
    }
    value /= positives;
    let mut variance = 0.0;
    let mut below = [0.0; 2];
    for (tie, (precision, gain, loss)) in all.ties.iter().zip(&curve).rev() {
        below[POSITIVE] += gain;
        below[NEGATIVE] += loss;
        variance += tie.squares[POSITIVE] * ((precision - value + below[POSITIVE]) / positives).powi(2);
        variance += tie.squares[NEGATIVE] * (below[NEGATIVE] / positives).powi(2);
    }
    let standard_error = variance.sqrt();
    let rows = all.rows[0] + all.rows[1];
    if standard_error == 0.0 || value >= 1.0 {
        let effective = positives * positives / all.squares[POSITIVE];
        return Estimate {
            value,
            standard_error,
            interval: wilson(value, effective, level),
            method: Method::Wilson,
            rows,
        };
    }
    let logit = (value / (1.0 - value)).ln();
    let reach = normal_reach(level) * standard_error / (value * (1.0 - value));
    let back = |x: f64| 1.0 / (1.0 + (-x).exp());
    let interval = Interval { low: back(logit - reach), high: back(logit + reach) };
    Estimate { value, standard_error, interval, method: Method::Jackknife, rows }
}
