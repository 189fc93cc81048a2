use super::distribution::{t_test, t_two_sided};
use super::estimate::{Estimate, Measured, t_estimate};

/// The weighted mean of a stream, with what its standard error takes; batches and threads are merged.
///
/// The standard error is that of the ratio Σwx / Σw over independent rows; with equal weights it is s / √n.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mean {
    rows: u64,
    weight: f64,
    mean: f64,
    /// Σw², Σw²(x - mean), Σw²(x - mean)².
    squares: [f64; 3],
}

impl Mean {
    /// The mean of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { rows: 0, weight: 0.0, mean: 0.0, squares: [0.0; 3] }
    }

    /// Adds a value of weight 1.
    pub fn add(&mut self, value: f64) {
        self.add_weighted(value, 1.0);
    }

    /// Adds a value; a weight of 0 adds nothing.
    pub fn add_weighted(&mut self, value: f64, weight: f64) {
        if weight == 0.0 {
            return;
        }
        self.merge(&Self { rows: 1, weight, mean: value, squares: [weight * weight, 0.0, 0.0] });
    }

    /// Adds what `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        if other.rows == 0 {
            return;
        }
        let weight = self.weight + other.weight;
        let step = other.mean - self.mean;
        let mean = if self.rows == 0 { other.mean } else { self.mean + step * (other.weight / weight) };
        let (a, b) = (self.about(mean), other.about(mean));
        *self = Self { rows: self.rows + other.rows, weight, mean, squares: [a[0] + b[0], a[1] + b[1], a[2] + b[2]] };
    }

    /// The sums about another centre.
    fn about(&self, centre: f64) -> [f64; 3] {
        let [zero, one, two] = self.squares;
        if self.rows == 0 {
            return [0.0; 3];
        }
        let step = self.mean - centre;
        [zero, one + step * zero, two + step * (2.0 * one + step * zero)]
    }

    /// How many values were added.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The mean; `None` of nothing.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.rows > 0).then_some(self.mean)
    }

    /// The squared standard error of the mean; `None` below two values.
    #[must_use]
    pub fn variance_of_mean(&self) -> Option<f64> {
        let n = self.rows as f64;
        (self.rows > 1).then(|| (self.squares[2] / (self.weight * self.weight) * (n / (n - 1.0))).max(0.0))
    }

    /// The mean with Student's t interval.
    #[must_use]
    pub fn estimate(&self, level: f64) -> Measured {
        match (self.value(), self.variance_of_mean()) {
            (None, _) => Measured::undefined("there are no rows"),
            (Some(mean), Some(variance)) => Measured::Value(t_estimate(mean, variance.sqrt(), self.rows, level)),
            // One value says nothing about how far it may lie from the next.
            (Some(_), None) => Measured::undefined("a single row has no interval; at least two are needed"),
        }
    }

    /// The two-sided t test that the mean is 0; `None` below two values.
    #[must_use]
    pub fn differs_from_zero(&self) -> Option<f64> {
        let variance = self.variance_of_mean()?;
        if variance == 0.0 {
            return Some(if self.mean == 0.0 { 1.0 } else { 0.0 });
        }
        Some(t_two_sided(self.mean / variance.sqrt(), self.rows as f64 - 1.0))
    }

    /// The one-sided t test that the mean is at most `bound`; `None` below two values.
    #[must_use]
    pub fn above(&self, bound: f64) -> Option<f64> {
        let shifted = Self { mean: self.mean - bound, ..*self };
        let p = shifted.differs_from_zero()?;
        Some(if shifted.mean > 0.0 { p / 2.0 } else { 1.0 - p / 2.0 })
    }

    /// Welch's two-sided test that two means are equal; `None` where either has fewer than two values, or neither
    /// varies.
    #[must_use]
    pub fn welch(&self, other: &Self) -> Option<f64> {
        let (a, b) = (self.variance_of_mean()?, other.variance_of_mean()?);
        let (difference, variance) = (self.mean - other.mean, a + b);
        if variance == 0.0 {
            return (difference == 0.0).then_some(1.0);
        }
        let freedom = variance * variance / (a * a / (self.rows as f64 - 1.0) + b * b / (other.rows as f64 - 1.0));
        Some(t_two_sided(difference / variance.sqrt(), freedom))
    }

    /// The two-sided p-value of a group no different from another, larger or smaller one, of independent rows: the larger
    /// of Welch's and of a t test with the variance of the larger group. `None` as for [`welch`](Self::welch).
    ///
    /// The mean and the variance of a few skewed losses go together, so that Welch's test finds far too many groups with a
    /// low mean; the second test has no such fault, and Welch's makes up for its tail where the variances differ.
    #[must_use]
    pub fn differs(&self, other: &Self) -> Option<f64> {
        let welch = self.welch(other)?;
        let (small, large) = if self.rows <= other.rows { (self, other) } else { (other, self) };
        let of_large = large.variance_of_mean()?;
        let spread = of_large * (1.0 + large.effective_rows() / small.effective_rows());
        Some(welch.max(t_test(self.mean - other.mean, spread.sqrt(), small.rows)))
    }

    /// How many rows of one weight would tell as much.
    fn effective_rows(&self) -> f64 {
        self.weight * self.weight / self.squares[0]
    }

    /// The mean as an estimate with another value and standard error: a smooth function of it.
    pub(in crate::validate) fn through(
        &self,
        level: f64,
        value: impl Fn(f64) -> f64,
        slope: impl Fn(f64) -> f64,
    ) -> Measured {
        match self.estimate(level) {
            Measured::Value(e) => Measured::Value(Estimate {
                value: value(e.value),
                standard_error: slope(e.value) * e.standard_error,
                interval: super::Interval { low: value(e.interval.low), high: value(e.interval.high) },
                ..e
            }),
            undefined => undefined,
        }
    }
}
