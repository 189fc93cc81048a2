//! The score of a slice and how high it can get below one (Sagadeeva and Boehm, "SliceLine: Fast, Linear-Algebra-based
//! Slice Finding for ML Model Debugging", SIGMOD 2021).

/// What the score of every slice of one data set shares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scorer {
    alpha: f64,
    rows: f64,
    mean_error: f64,
    least_rows: f64,
}

/// The rows of a slice and their errors.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Stats {
    pub(super) rows: u32,
    pub(super) error: f64,
    pub(super) worst: f64,
}

impl Stats {
    /// What a slice inside both can have at most.
    pub(super) fn within(self, other: Self) -> Self {
        Self { rows: self.rows.min(other.rows), error: self.error.min(other.error), worst: self.worst.min(other.worst) }
    }
}

/// The score of a slice of `slice_rows` of `rows` rows with these sums of errors:
/// `alpha (mean slice error / mean error - 1) - (1 - alpha) (rows / slice_rows - 1)`.
///
/// ```
/// let score = modelberth::validate::slice_score(32561, 4966.0, 2756, 993.0, 0.96);
/// assert_eq!(score, 0.8753603400072594);
/// ```
#[must_use]
pub fn slice_score(rows: u64, error: f64, slice_rows: u64, slice_error: f64, alpha: f64) -> f64 {
    let (rows, slice_rows) = (rows as f64, slice_rows as f64);
    score(rows, error / rows, slice_rows, slice_error, alpha)
}

fn score(rows: f64, mean_error: f64, slice_rows: f64, slice_error: f64, alpha: f64) -> f64 {
    alpha * (slice_error / slice_rows / mean_error - 1.0) - (1.0 - alpha) * (rows / slice_rows - 1.0)
}

impl Scorer {
    pub(super) fn new(alpha: f64, rows: usize, error: f64, least_rows: usize) -> Self {
        let rows = rows as f64;
        Self { alpha, rows, mean_error: error / rows, least_rows: least_rows.max(1) as f64 }
    }

    pub(super) fn score(&self, slice: Stats) -> f64 {
        score(self.rows, self.mean_error, f64::from(slice.rows), slice.error, self.alpha)
    }

    /// The highest score that any slice can have whose rows, error and worst error are at most these; a little above
    /// it, so that rounding cuts nothing off.
    ///
    /// At `s` rows the error is at most `min(s worst, error)`. Below `error / worst` rows the mean error is constant and
    /// the score grows with s; above it the score is `c + (alpha error / mean - (1 - alpha) rows) / s`, which is monotone.
    /// So the highest lies at one of three sizes.
    pub(super) fn bound(&self, most: Stats) -> f64 {
        let (rows, error, worst) = (f64::from(most.rows), most.error, most.worst);
        if rows < self.least_rows || error <= 0.0 {
            return f64::NEG_INFINITY;
        }
        let at = |s: f64| score(self.rows, self.mean_error, s, error.min(s * worst), self.alpha);
        let knee = (error / worst).clamp(self.least_rows, rows);
        let highest = at(self.least_rows).max(at(knee)).max(at(rows));
        highest + 1e-9 * highest.abs().max(1.0)
    }
}
