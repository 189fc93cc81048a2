use rayon::prelude::*;

use super::random::Random;
use super::{Interval, Mean};

/// Above this number of rows, rows are summed into this many groups, whose sums are resampled in their place.
const MOST_GROUPS: usize = 8192;

/// A seeded bootstrap: the same rows and the same seed give the same interval, on any number of threads.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bootstrap {
    /// How many samples are drawn. Default 2000.
    pub replicates: usize,
    /// The seed. Default 0.
    pub seed: u64,
    /// The confidence of the interval. Default 0.95.
    pub level: f64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { replicates: 2000, seed: 0, level: super::DEFAULT_LEVEL }
    }
}

impl Bootstrap {
    /// Sets [`seed`](Self::seed).
    #[must_use]
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets [`replicates`](Self::replicates); at least 1.
    #[must_use]
    pub fn replicates(mut self, replicates: usize) -> Self {
        self.replicates = replicates.max(1);
        self
    }

    /// Sets [`level`](Self::level).
    #[must_use]
    pub const fn level(mut self, level: f64) -> Self {
        self.level = level;
        self
    }

    /// The percentile interval of `statistic` over samples that keep the size of every stratum. `strata` holds the rows
    /// of each stratum; `statistic` is given row numbers with repetition. Samples on which it is undefined are left out;
    /// `None` when none is left.
    pub fn stratified(
        &self,
        strata: &[Vec<usize>],
        statistic: impl Fn(&[usize]) -> Option<f64> + Sync,
    ) -> Option<Interval> {
        let size = strata.iter().map(Vec::len).sum();
        let values: Vec<f64> = (0..self.replicates)
            .into_par_iter()
            .filter_map(|replicate| {
                let mut random = Random::new(self.seed, replicate as u64);
                let mut sample = Vec::with_capacity(size);
                for rows in strata {
                    sample.extend((0..rows.len()).map(|_| rows[random.below(rows.len())]));
                }
                statistic(&sample).filter(|v| !v.is_nan())
            })
            .collect();
        self.percentile(values)
    }

    /// The percentile interval of the weighted mean of `values` over samples of their rows: the paired bootstrap, where
    /// the values are differences between two models on the same rows. `weights` of none are all 1.
    ///
    /// Above 8192 rows, row i is summed into group i mod 8192 and groups are resampled, which needs independent rows.
    #[must_use]
    pub fn mean(&self, values: &[f64], weights: Option<&[f64]>) -> Option<Interval> {
        let groups = values.len().min(MOST_GROUPS);
        let mut sums = vec![(0.0f64, 0.0f64); groups];
        for (i, value) in values.iter().enumerate() {
            let weight = weights.map_or(1.0, |w| w[i]);
            let sum = &mut sums[i % MOST_GROUPS];
            sum.0 += weight * value;
            sum.1 += weight;
        }
        if groups == 0 {
            return None;
        }
        let means: Vec<f64> = (0..self.replicates)
            .into_par_iter()
            .filter_map(|replicate| {
                let mut random = Random::new(self.seed, replicate as u64);
                let (mut value, mut weight) = (0.0, 0.0);
                for _ in 0..groups {
                    let (v, w) = sums[random.below(groups)];
                    value += v;
                    weight += w;
                }
                (weight > 0.0).then(|| value / weight)
            })
            .collect();
        self.percentile(means)
    }

    fn percentile(&self, mut values: Vec<f64>) -> Option<Interval> {
        if values.is_empty() {
            return None;
        }
        values.sort_unstable_by(f64::total_cmp);
        let at = |p: f64| {
            let place = p * (values.len() - 1) as f64;
            let (below, share) = (place.floor() as usize, place.fract());
            let above = (below + 1).min(values.len() - 1);
            values[below] + share * (values[above] - values[below])
        };
        let tail = (1.0 - self.level) / 2.0;
        Some(Interval { low: at(tail), high: at(1.0 - tail) })
    }
}

/// The mean of paired differences with its test, for callers that hold both models' losses.
#[must_use]
pub fn paired(differences: &[f64], weights: Option<&[f64]>) -> Mean {
    let mut mean = Mean::new();
    for (i, &d) in differences.iter().enumerate() {
        mean.add_weighted(d, weights.map_or(1.0, |w| w[i]));
    }
    mean
}
