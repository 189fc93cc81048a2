//! Outliers of activations moved into the weights behind them.
//!
//! An activation that is quantised with one scale is as coarse as its widest column asks for. Columns that reach beyond a
//! threshold are divided by how far they do, and the rows of the weights that take them multiplied by as much, which
//! changes nothing but what rounding costs (Xiao et al. 2023, "SmoothQuant", which divides every column).

use std::collections::HashMap;

use super::grid::not_finite;
use crate::{Result, Tensor};

/// What a division must gain to be worth the `Mul` that it takes, in decibels: a third of a bit.
const LEAST_GAIN_DB: f64 = 2.0;
/// The rows of an activation that are looked at.
const MOST_ROWS: usize = 1 << 15;

/// What the columns of an activation (m, k) hold.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    low: Vec<f32>,
    high: Vec<f32>,
    squares: Vec<f64>,
    rows: usize,
}

impl Columns {
    pub(super) fn new(k: usize) -> Self {
        Self { low: vec![0.0; k], high: vec![0.0; k], squares: vec![0.0; k], rows: 0 }
    }

    /// Takes the rows of `tensor` (..., k); whether they are enough.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) for NaN and infinity,
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) where they are not f32.
    pub(super) fn add(&mut self, name: &str, tensor: &Tensor<'_>) -> Result<bool> {
        for row in tensor.as_slice::<f32>().map_err(|e| e.tensor(name))?.chunks_exact(self.low.len().max(1)) {
            for (j, &x) in row.iter().enumerate() {
                self.low[j] = self.low[j].min(x);
                self.high[j] = self.high[j].max(x);
                self.squares[j] += f64::from(x) * f64::from(x);
            }
            self.rows += 1;
        }
        if self.squares.iter().any(|s| !s.is_finite()) {
            return Err(not_finite(name));
        }
        Ok(self.rows >= MOST_ROWS)
    }

    /// How far each column reaches from zero.
    fn reaches(&self) -> Vec<f32> {
        self.low.iter().zip(&self.high).map(|(low, high)| high.max(-low)).collect()
    }
}

/// What the columns of each activation are divided by, for those where that gains enough.
pub(super) type Divisors = HashMap<String, Vec<f32>>;

/// Weights (k, n) behind an activation, in squares and columns.
pub(super) struct Weights {
    /// The magnitudes, (k, n).
    magnitudes: Vec<f32>,
    n: usize,
    /// The sum of squares of each row.
    rows: Vec<f64>,
}

impl Weights {
    /// Of weights that lie as (k, n).
    pub(super) fn new(mut values: Vec<f32>, n: usize) -> Self {
        let square = |row: &[f32]| row.iter().map(|&w| f64::from(w) * f64::from(w)).sum();
        let rows = values.chunks_exact(n.max(1)).map(square).collect();
        values.iter_mut().for_each(|w| *w = w.abs());
        Self { magnitudes: values, n, rows }
    }
}

/// The divisors of the columns that lose least with weights of `levels` levels to either side of 0, where they gain enough.
pub(super) fn divisors(columns: &Columns, weights: &[Weights], levels: i32) -> Option<Vec<f32>> {
    let reaches = columns.reaches();
    let mut order = reaches.clone();
    order.sort_unstable_by(|a, b| b.total_cmp(a));
    let plain = noise(columns, weights, &vec![1.0; reaches.len()], levels);
    let mut best = (plain, None);
    // How many columns lie beyond the threshold: 1, 2, 3, 4, 6, 8, 12, 16, ...
    let counts = (0..10).flat_map(|i| [2usize << i, 3 << i]).map(|n| n / 2);
    for count in counts.take_while(|&n| n < reaches.len()) {
        let threshold = order[count];
        if threshold <= 0.0 {
            break;
        }
        let divisors: Vec<f32> = reaches.iter().map(|reach| (reach / threshold).max(1.0)).collect();
        let noise = noise(columns, weights, &divisors, levels);
        if noise < best.0 {
            best = (noise, Some(divisors));
        }
    }
    let gain = 10.0 * (plain / best.0).log10();
    best.1.filter(|_| gain >= LEAST_GAIN_DB)
}

/// The squared error to be expected of a row of the products, in units of a twelfth, which is the variance of rounding to
/// whole numbers.
fn noise(columns: &Columns, weights: &[Weights], divisors: &[f32], levels: i32) -> f64 {
    let ends = columns.low.iter().zip(&columns.high).zip(divisors);
    let (low, high) = ends.fold((0.0f32, 0.0f32), |(a, b), ((low, high), d)| (a.min(low / d), b.max(high / d)));
    let step = f64::from(high - low) / 255.0;
    let per_row = columns.squares.iter().zip(divisors).map(|(s, &d)| s / f64::from(d).powi(2));
    let activation = per_row.sum::<f64>() / columns.rows.max(1) as f64;
    let mut noise = 0.0;
    for weights in weights {
        let squares = weights.rows.iter().zip(divisors).map(|(w, &d)| w * f64::from(d).powi(2));
        noise += step * step * squares.sum::<f64>();
        let mut most = vec![0.0f32; weights.n];
        for (row, d) in weights.magnitudes.chunks_exact(weights.n.max(1)).zip(divisors) {
            most.iter_mut().zip(row).for_each(|(most, w)| *most = most.max(w * d));
        }
        noise += activation * most.iter().map(|&m| (f64::from(m) / f64::from(levels)).powi(2)).sum::<f64>();
    }
    noise
}
