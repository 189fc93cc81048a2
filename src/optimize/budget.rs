//! What a changed model must keep to, and the search for one that does.

use std::collections::HashSet;
use std::time::Duration;

use super::Optimized;
use super::data::Data;
use super::report::{BudgetResult, Report};
use crate::{Error, ErrorKind, Result};

/// What a changed model must keep to. What is `None` does not matter.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Budget {
    /// How much worse the end-task metric may become.
    pub max_metric_drop: Option<f64>,
    /// The most bytes that the files may have.
    pub max_bytes: Option<u64>,
    /// How many times faster it must be, by the median time of a row.
    pub min_speedup: Option<f64>,
    /// The longest that a row may take, by the median.
    pub max_latency: Option<Duration>,
}

impl Budget {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses a budget that contradicts itself or the data.
    pub(super) fn check(&self, data: Option<&Data<'_>>) -> Result<()> {
        let wrong = |what: &str| Err(Error::new(ErrorKind::InvalidArgument, what));
        let bad = |x: Option<f64>| x.is_some_and(|x| !x.is_finite() || x < 0.0);
        if bad(self.max_metric_drop) || bad(self.min_speedup) {
            return wrong("the bounds of a budget are numbers of 0 or more");
        }
        if self.max_bytes == Some(0) || self.max_latency == Some(Duration::ZERO) {
            return wrong("the budget contradicts itself: no model has 0 bytes or takes no time");
        }
        if self.max_metric_drop.is_some() && !data.is_some_and(Data::is_labelled) {
            return wrong("a bound on the metric needs data with labels; name the column that holds them");
        }
        if (self.min_speedup.is_some() || self.max_latency.is_some()) && data.is_none() {
            return wrong("a bound on the time needs data, whose rows are run");
        }
        Ok(())
    }

    /// What of the budget does not hold, a sentence each.
    pub(super) fn missed(&self, report: &Report) -> Vec<String> {
        let mut missed = Vec::new();
        if let (Some(most), Some(metric)) = (self.max_metric_drop, &report.metric)
            && metric.drop > most
        {
            missed.push(format!("{} drops by {:.4}, and {most} is allowed", metric.metric, metric.drop));
        }
        if let Some(most) = self.max_bytes
            && report.bytes.after > most
        {
            missed.push(format!("it has {} bytes, and {most} are allowed", report.bytes.after));
        }
        if let Some(latency) = &report.latency {
            if let Some(least) = self.min_speedup
                && latency.speedup() < least
            {
                missed.push(format!("it is {:.2} times as fast, and {least} is asked for", latency.speedup()));
            }
            let most = self.max_latency.map(|most| most.as_nanos() as f64);
            if let Some(most) = most.filter(|most| latency.after_ns_per_row > *most) {
                missed.push(format!("a row takes {:.0} ns, and {most:.0} are allowed", latency.after_ns_per_row));
            }
        }
        missed
    }
}

/// A model that was tried.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) optimized: Optimized,
}

/// Something that can be tried again with other layers left as they are.
pub(super) trait Search {
    /// Tries with these layers left as they are.
    fn attempt(&mut self, keep: &HashSet<String>) -> Result<Attempt>;
    /// The layers, the worst first; known after the first attempt.
    fn ranking(&self) -> &[String];
    /// How many were tried.
    fn tried(&self) -> usize;
    /// The model with what the search found.
    fn finish(&self, attempt: Attempt, result: BudgetResult) -> Optimized;
}

/// How far an attempt is from the budget: misses, then the drop of the metric.
fn distance(attempt: &Attempt, budget: &Budget) -> (usize, f64) {
    let report = &attempt.optimized.report;
    (budget.missed(report).len(), report.metric.as_ref().map_or(0.0, |m| m.drop))
}

/// Leaves the worst layers as they are until the budget holds: one, two, four, ... and then the fewest between the last
/// two numbers. Leaving layers costs bytes and time, so that it helps the metric alone; where it does not help, the nearest
/// model that was tried is given, and the report says that it missed.
///
/// # Errors
/// Those of an attempt.
pub(super) fn search(search: &mut dyn Search, budget: &Budget) -> Result<Optimized> {
    let first = search.attempt(&HashSet::new())?;
    let ranking = search.ranking().to_vec();
    let worst = |n: usize| ranking[..n].iter().cloned().collect::<HashSet<String>>();
    let metric_missed = |attempt: &Attempt| {
        let drop = attempt.optimized.report.metric.as_ref().map_or(0.0, |m| m.drop);
        budget.max_metric_drop.is_some_and(|most| drop > most)
    };
    let (mut best, mut kept) = (first, 0);
    if metric_missed(&best) {
        let (mut low, mut high) = (0, None);
        let mut next = 1;
        while high.is_none() && next <= ranking.len() {
            let attempt = search.attempt(&worst(next))?;
            let missed = metric_missed(&attempt);
            if distance(&attempt, budget) < distance(&best, budget) {
                (best, kept) = (attempt, next);
            }
            if missed {
                low = next;
                if next == ranking.len() {
                    break;
                }
                next = (2 * next).min(ranking.len());
            } else {
                high = Some(next);
            }
        }
        while let Some(most) = high.filter(|&most| most > low + 1) {
            let middle = (low + most) / 2;
            let attempt = search.attempt(&worst(middle))?;
            if metric_missed(&attempt) {
                low = middle;
            } else {
                high = Some(middle);
                if budget.missed(&attempt.optimized.report).len() <= budget.missed(&best.optimized.report).len() {
                    (best, kept) = (attempt, middle);
                }
            }
        }
    }
    let missed = budget.missed(&best.optimized.report);
    let result =
        BudgetResult { held: missed.is_empty(), missed, undone: ranking[..kept].to_vec(), tried: search.tried() };
    Ok(search.finish(best, result))
}
