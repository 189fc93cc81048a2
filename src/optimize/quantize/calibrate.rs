//! Ranges of activations from data that stream by: what is kept is a histogram for each, whatever the data's length.

use super::grid::not_finite;
use super::settings::Calibration;
use crate::{Result, Tensor};

/// The bins of a histogram, half of them below zero.
const BINS: usize = 4096;
const HALF: usize = BINS / 2;
/// The levels of a quantised distribution to either side of zero.
const LEVELS: usize = 128;

/// The values that one activation takes.
///
/// Bins have equal widths around zero. A value beyond the last one doubles the widths, by merging pairs, until it fits: the
/// memory is fixed, one pass is enough, and nothing need be known in advance.
#[derive(Debug, Clone)]
pub(super) struct Values {
    low: f32,
    high: f32,
    count: u64,
    /// The greatest magnitude that has a bin; 0 before the first value other than 0.
    reach: f32,
    /// Empty where only the extremes are asked for.
    bins: Vec<u64>,
}

impl Values {
    pub(super) fn new(calibration: Calibration) -> Self {
        let bins = if calibration == Calibration::MinMax { Vec::new() } else { vec![0; BINS] };
        Self { low: 0.0, high: 0.0, count: 0, reach: 0.0, bins }
    }

    /// Takes the values of a batch.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) for NaN and infinity,
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) where they are not f32.
    pub(super) fn add(&mut self, name: &str, tensor: &Tensor<'_>) -> Result<()> {
        let values = tensor.as_slice::<f32>().map_err(|e| e.tensor(name))?;
        let (mut low, mut high, mut finite) = (self.low, self.high, true);
        for &x in values {
            finite &= x.is_finite();
            low = low.min(x);
            high = high.max(x);
        }
        if !finite {
            return Err(not_finite(name));
        }
        (self.low, self.high) = (low, high);
        self.count += values.len() as u64;
        if self.bins.is_empty() {
            return Ok(());
        }
        let most = high.max(-low);
        if most == 0.0 {
            self.bins[HALF] += values.len() as u64;
            return Ok(());
        }
        if self.reach == 0.0 {
            self.reach = most;
        }
        while most > self.reach {
            self.widen();
        }
        let per_bin = HALF as f32 / self.reach;
        for &x in values {
            let bin = (x * per_bin).floor() as i64 + HALF as i64;
            self.bins[bin.clamp(0, BINS as i64 - 1) as usize] += 1;
        }
        Ok(())
    }

    fn widen(&mut self) {
        let mut wide = vec![0; BINS];
        for (i, &n) in self.bins.iter().enumerate() {
            // Pairs to either side of zero.
            wide[HALF / 2 + i / 2] += n;
        }
        self.bins = wide;
        self.reach *= 2.0;
    }

    /// Whether no value was seen.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The range to quantise.
    pub(super) fn range(&self, calibration: Calibration) -> (f32, f32) {
        let (low, high) = match calibration {
            Calibration::MinMax => (self.low, self.high),
            Calibration::Percentile(share) => self.percentile(share),
            Calibration::Entropy => self.entropy(),
        };
        (low.max(self.low).min(0.0), high.min(self.high).max(0.0))
    }

    fn edge(&self, bin: usize) -> f32 {
        (bin as f32 - HALF as f32) * self.reach / HALF as f32
    }

    fn percentile(&self, share: f64) -> (f32, f32) {
        let cut = (self.count as f64 * (100.0 - share) / 200.0).floor() as u64;
        // The first bin of those given that does not lie in the part that is cut off.
        fn kept(bins: &[u64], mut order: impl Iterator<Item = usize>, cut: u64) -> usize {
            let mut seen = 0;
            order
                .find(|&i| {
                    seen += bins[i];
                    seen > cut
                })
                .unwrap_or(HALF)
        }
        let low = kept(&self.bins, 0..BINS, cut);
        let high = kept(&self.bins, (0..BINS).rev(), cut);
        (self.edge(low), self.edge(high + 1))
    }

    /// The range around zero that loses least information.
    ///
    /// For each number of bins kept to either side, the distribution clipped there is held against itself brought to
    /// [`LEVELS`] levels a side, by the divergence of Kullback and Leibler (Migacz 2017, "8-bit Inference with TensorRT").
    fn entropy(&self) -> (f32, f32) {
        let one_sided = self.low == 0.0 || self.high == 0.0;
        // Magnitudes: what lies below zero counts as what lies above it.
        let folded: Vec<f64> = (0..HALF).map(|i| (self.bins[HALF + i] + self.bins[HALF - 1 - i]) as f64).collect();
        let levels = if one_sided { 2 * LEVELS } else { LEVELS };
        let total: f64 = folded.iter().sum();
        if total == 0.0 {
            return (self.low, self.high);
        }
        let mut best = (f64::INFINITY, HALF);
        for kept in (levels..=HALF).step_by(8) {
            let beyond: f64 = folded[kept..].iter().sum();
            let divergence = divergence(&folded[..kept], beyond, levels);
            if divergence < best.0 {
                best = (divergence, kept);
            }
        }
        let reach = best.1 as f32 * self.reach / HALF as f32;
        (-reach, reach)
    }
}

/// How much the distribution `p`, with `beyond` clipped into its last bin, diverges from itself on so many levels.
fn divergence(p: &[f64], beyond: f64, levels: usize) -> f64 {
    let (n, last) = (p.len(), p.len() - 1);
    let total: f64 = p.iter().sum::<f64>() + beyond;
    let kept: f64 = p.iter().sum();
    if kept == 0.0 {
        return f64::INFINITY;
    }
    let mut divergence = 0.0;
    for level in 0..levels {
        let bins = level * n / levels..(level + 1) * n / levels;
        let some = bins.clone().filter(|&i| p[i] > 0.0).count();
        let each = bins.clone().map(|i| p[i]).sum::<f64>() / some.max(1) as f64 / kept;
        for i in bins {
            let share = (p[i] + if i == last { beyond } else { 0.0 }) / total;
            if share > 0.0 {
                // Where nothing but what was clipped stands, the quantised distribution has next to nothing.
                let other = if p[i] > 0.0 { each } else { 1e-12 };
                divergence += share * (share / other).ln();
            }
        }
    }
    divergence
}
