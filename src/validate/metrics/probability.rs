use crate::validate::stats::normal_estimate;
use crate::validate::{Interval, Mean, Measured, Method};
use crate::{Error, ErrorKind, Result};

/// The bins of the calibration error where nothing else is asked for.
pub const DEFAULT_BINS: usize = 15;

/// One bin of a calibration curve.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct CalibrationBin {
    /// The rows in the bin.
    pub rows: u64,
    /// Their weight.
    pub weight: f64,
    /// The mean probability that was given to the predicted class.
    pub confidence: f64,
    /// The share of them on which the predicted class is the true one.
    pub accuracy: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Bin {
    rows: u64,
    weight: f64,
    confidence: f64,
    right: f64,
    /// Σw², Σw²d, Σw²d², with d = confidence - right.
    squares: [f64; 3],
}

/// The quality of predicted probabilities over a stream: log loss, Brier score, calibration; batches and threads are
/// merged.
#[derive(Debug, Clone, PartialEq)]
pub struct Probabilities {
    log_loss: Mean,
    brier: Mean,
    bins: Vec<Bin>,
}

impl Default for Probabilities {
    fn default() -> Self {
        Self::new(DEFAULT_BINS)
    }
}

impl Probabilities {
    /// Nothing seen yet; `bins` equal bins of confidence for the calibration error, at least 1.
    #[must_use]
    pub fn new(bins: usize) -> Self {
        Self { log_loss: Mean::new(), brier: Mean::new(), bins: vec![Bin::default(); bins.max(1)] }
    }

    /// Adds a row with the probability of each class.
    ///
    /// Log loss clips at the rounding unit of f64, as scikit-learn does. The Brier score of two classes is
    /// `(p - y)²`, that of more the sum over the classes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] when a probability is NaN or outside [0, 1], or the weight is negative or not finite;
    /// [`ErrorKind::InvalidArgument`] when there is none for the true class.
    pub fn add(&mut self, truth: usize, probabilities: &[f64], weight: f64) -> Result<()> {
        let row = self.log_loss.rows();
        super::check_weight(weight, row)?;
        // Sums of f32 probabilities pass 1 by rounding.
        if let Some(bad) = probabilities.iter().find(|p| !(-1e-6..=1.0 + 1e-6).contains(*p)) {
            return Err(Error::new(ErrorKind::InvalidValue, "a probability is not between 0 and 1")
                .row(row)
                .actual(bad));
        }
        let Some(&own) = probabilities.get(truth) else {
            return Err(Error::new(ErrorKind::InvalidArgument, "there is no probability for the true class")
                .row(row)
                .expected(format!("more than {truth} classes"))
                .actual(probabilities.len()));
        };
        self.log_loss.add_weighted(-own.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln(), weight);
        let brier = match probabilities {
            [_, _] => (1.0 - own).powi(2),
            all => all.iter().enumerate().map(|(c, p)| (p - f64::from(c == truth)).powi(2)).sum(),
        };
        self.brier.add_weighted(brier, weight);
        let (mut best, mut confidence) = (0, f64::NEG_INFINITY);
        for (class, &p) in probabilities.iter().enumerate() {
            if p > confidence {
                (best, confidence) = (class, p);
            }
        }
        let count = self.bins.len();
        let bin = &mut self.bins[((confidence * count as f64).ceil() as usize).clamp(1, count) - 1];
        let right = f64::from(best == truth);
        let (square, distance) = (weight * weight, confidence - right);
        bin.rows += u64::from(weight != 0.0);
        bin.weight += weight;
        bin.confidence += weight * confidence;
        bin.right += weight * right;
        bin.squares[0] += square;
        bin.squares[1] += square * distance;
        bin.squares[2] += square * distance * distance;
        Ok(())
    }

    /// Adds what `other` has seen; it has as many bins.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the numbers of bins differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.bins.len() != other.bins.len() {
            return Err(Error::new(ErrorKind::InvalidArgument, "only equal numbers of bins can be merged")
                .expected(self.bins.len())
                .actual(other.bins.len()));
        }
        self.log_loss.merge(&other.log_loss);
        self.brier.merge(&other.brier);
        for (bin, from) in self.bins.iter_mut().zip(&other.bins) {
            bin.rows += from.rows;
            bin.weight += from.weight;
            bin.confidence += from.confidence;
            bin.right += from.right;
            for (sum, s) in bin.squares.iter_mut().zip(from.squares) {
                *sum += s;
            }
        }
        Ok(())
    }

    /// The log loss of each row, averaged: `-ln p(true class)`.
    #[must_use]
    pub fn log_loss(&self) -> &Mean {
        &self.log_loss
    }

    /// The Brier score of each row, averaged.
    #[must_use]
    pub fn brier(&self) -> &Mean {
        &self.brier
    }

    /// The expected calibration error (Naeini et al. 2015): the mean distance between confidence and accuracy over equal
    /// bins `(i/b, (i+1)/b]` of the confidence in the predicted class. The interval is normal, by the infinitesimal
    /// jackknife; on few rows the value itself is biased upward.
    #[must_use]
    pub fn calibration_error(&self, level: f64) -> Measured {
        let total: f64 = self.bins.iter().map(|b| b.weight).sum();
        if total == 0.0 {
            return Measured::undefined("there are no rows");
        }
        let value = self.bins.iter().map(|b| (b.confidence - b.right).abs()).sum::<f64>() / total;
        let variance: f64 = self
            .bins
            .iter()
            .map(|b| {
                let sign = if b.confidence < b.right { -1.0 } else { 1.0 };
                b.squares[2] - 2.0 * sign * value * b.squares[1] + value * value * b.squares[0]
            })
            .sum();
        let standard_error = variance.max(0.0).sqrt() / total;
        let range = Interval { low: 0.0, high: 1.0 };
        Measured::Value(normal_estimate(value, standard_error, range, Method::Jackknife, self.log_loss.rows(), level))
    }

    /// The calibration curve: the bins that have rows.
    #[must_use]
    pub fn calibration(&self) -> Vec<CalibrationBin> {
        let filled = self.bins.iter().filter(|b| b.weight > 0.0);
        filled
            .map(|b| CalibrationBin {
                rows: b.rows,
                weight: b.weight,
                confidence: b.confidence / b.weight,
                accuracy: b.right / b.weight,
            })
            .collect()
    }
}
