use crate::validate::stats::normal_estimate;
use crate::validate::{Interval, Mean, Measured, Method};
use crate::{Error, ErrorKind, Result};

/// The errors of a regression over a stream; batches and threads are merged.
///
/// ```
/// use modelberth::validate::Regression;
/// let mut errors = Regression::new();
/// for (truth, predicted) in [(3.0, 2.5), (-0.5, 0.0), (2.0, 2.0), (7.0, 8.0)] {
///     errors.add(truth, predicted, 1.0)?;
/// }
/// assert_eq!(errors.mae(0.95).value(), Some(0.5));
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Regression {
    absolute: Mean,
    squared: Mean,
    relative: Mean,
    quantile: Option<(f64, Mean)>,
    spread: Spread,
}

/// Sums for R²: of w and w² over powers of y - centre, e² and their products.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Spread {
    centre: f64,
    rows: u64,
    /// Σw(y-c)^k, k = 0, 1, 2.
    first: [f64; 3],
    /// Σw²(y-c)^k, k = 0 to 4.
    second: [f64; 5],
    /// Σw²e²(y-c)^k, k = 0, 1, 2.
    mixed: [f64; 3],
    /// Σwe², Σw²e⁴.
    errors: [f64; 2],
}

impl Regression {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing seen yet; measures the quantile loss at `quantile`, between 0 and 1, too.
    #[must_use]
    pub fn with_quantile(quantile: f64) -> Self {
        Self { quantile: Some((quantile, Mean::new())), ..Self::default() }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] when a number is not finite or the weight negative.
    pub fn add(&mut self, truth: f64, predicted: f64, weight: f64) -> Result<()> {
        let row = self.absolute.rows();
        super::check_weight(weight, row)?;
        if !truth.is_finite() || !predicted.is_finite() {
            let what = if truth.is_finite() { "a prediction" } else { "a label" };
            return Err(Error::new(ErrorKind::InvalidValue, format!("{what} is not a finite number")).row(row));
        }
        let error = truth - predicted;
        self.absolute.add_weighted(error.abs(), weight);
        self.squared.add_weighted(error * error, weight);
        self.relative.add_weighted(error.abs() / truth.abs().max(f64::EPSILON), weight);
        if let Some((q, mean)) = &mut self.quantile {
            mean.add_weighted(if error >= 0.0 { *q * error } else { (*q - 1.0) * error }, weight);
        }
        if weight != 0.0 {
            self.spread.add(truth, error * error, weight);
        }
        Ok(())
    }

    /// Adds what `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.absolute.merge(&other.absolute);
        self.squared.merge(&other.squared);
        self.relative.merge(&other.relative);
        match (&mut self.quantile, &other.quantile) {
            (Some((q, mean)), Some((p, from))) if q == p => mean.merge(from),
            (mine, theirs) => *mine = mine.take().or(*theirs).filter(|_| self.spread.rows == 0),
        }
        self.spread.merge(&other.spread);
    }

    /// The absolute errors.
    #[must_use]
    pub fn absolute(&self) -> &Mean {
        &self.absolute
    }

    /// The squared errors.
    #[must_use]
    pub fn squared(&self) -> &Mean {
        &self.squared
    }

    /// The mean absolute error.
    #[must_use]
    pub fn mae(&self, level: f64) -> Measured {
        self.absolute.estimate(level)
    }

    /// The root of the mean squared error; its interval is that of the mean squared error, rooted.
    #[must_use]
    pub fn rmse(&self, level: f64) -> Measured {
        self.squared.through(level, |m| m.max(0.0).sqrt(), |m| if m > 0.0 { 0.5 / m.sqrt() } else { 0.0 })
    }

    /// The mean absolute error as a share of the label; a label of 0 counts as the rounding unit, as in scikit-learn.
    #[must_use]
    pub fn mape(&self, level: f64) -> Measured {
        self.relative.estimate(level)
    }

    /// The quantile (pinball) loss.
    #[must_use]
    pub fn quantile_loss(&self, level: f64) -> Measured {
        match &self.quantile {
            Some((_, mean)) => mean.estimate(level),
            None => Measured::undefined("no quantile was asked for"),
        }
    }

    /// The share of the labels' variance that is explained, `1 - Σw(y - p)² / Σw(y - ȳ)²`; its interval is normal, by the
    /// infinitesimal jackknife.
    #[must_use]
    pub fn r2(&self, level: f64) -> Measured {
        self.spread.r2(level)
    }
}

impl Spread {
    fn add(&mut self, y: f64, squared_error: f64, weight: f64) {
        if self.rows == 0 {
            self.centre = y;
        }
        self.rows += 1;
        let (d, square) = (y - self.centre, weight * weight);
        let mut power = 1.0;
        for k in 0..5 {
            if k < 3 {
                self.first[k] += weight * power;
                self.mixed[k] += square * squared_error * power;
            }
            self.second[k] += square * power;
            power *= d;
        }
        self.errors[0] += weight * squared_error;
        self.errors[1] += square * squared_error * squared_error;
    }

    fn merge(&mut self, other: &Self) {
        if other.rows == 0 {
            return;
        }
        if self.rows == 0 {
            *self = *other;
            return;
        }
        let step = other.centre - self.centre;
        add(&mut self.first, &moved(&other.first, step));
        add(&mut self.second, &moved(&other.second, step));
        add(&mut self.mixed, &moved(&other.mixed, step));
        add(&mut self.errors, &other.errors);
        self.rows += other.rows;
    }

    fn r2(&self, level: f64) -> Measured {
        if self.rows < 2 {
            return Measured::undefined("at least two rows are needed");
        }
        let step = -self.first[1] / self.first[0];
        let spread = moved(&self.first, step)[2];
        // What is left of equal labels is rounding.
        if spread <= f64::EPSILON * f64::EPSILON * self.first[0] * (self.centre * self.centre) || spread == 0.0 {
            return Measured::undefined("all labels are the same, so there is no variance to explain");
        }
        let (second, mixed) = (moved(&self.second, step), moved(&self.mixed, step));
        let ratio = self.errors[0] / spread;
        let variance = (self.errors[1] - 2.0 * ratio * mixed[2] + ratio * ratio * second[4]) / (spread * spread);
        let range = Interval { low: f64::NEG_INFINITY, high: 1.0 };
        Measured::Value(normal_estimate(
            1.0 - ratio,
            variance.max(0.0).sqrt(),
            range,
            Method::Jackknife,
            self.rows,
            level,
        ))
    }
}

/// Power sums about a centre that lies `step` lower: Σ(d + step)^k from Σd^k.
fn moved<const N: usize>(sums: &[f64; N], step: f64) -> [f64; N] {
    core::array::from_fn(|k| {
        let (mut total, mut choose, mut power) = (0.0, 1.0, 1.0);
        for j in (0..=k).rev() {
            total += choose * power * sums[j];
            choose = choose * j as f64 / (k - j + 1) as f64;
            power *= step;
        }
        total
    })
}

fn add<const N: usize>(into: &mut [f64; N], from: &[f64; N]) {
    for (a, b) in into.iter_mut().zip(from) {
        *a += b;
    }
}
