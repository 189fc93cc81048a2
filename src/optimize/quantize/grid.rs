//! Numbers to whole numbers of few bits and back: scales, zero points, rounding.

use crate::onnx::{TensorData, TensorProto, builder};
use crate::{Error, ErrorKind, Result};

/// The whole numbers that values are brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) low: i32,
    pub(super) high: i32,
    /// Whether 0 stands for 0, so that the zero point is that of the type's middle.
    pub(super) symmetric: bool,
}

/// Of i8 around zero: -127 to 127, or -64 to 64 in 7 bits, as ONNX Runtime has it.
const SIGNED: [Grid; 2] =
    [Grid { low: -127, high: 127, symmetric: true }, Grid { low: -64, high: 64, symmetric: true }];
/// Of u8 with any zero point: 0 to 255, or 0 to 127 in 7 bits.
const UNSIGNED: [Grid; 2] =
    [Grid { low: 0, high: 255, symmetric: false }, Grid { low: 0, high: 127, symmetric: false }];

impl Grid {
    /// The grid of 8-bit weights.
    pub(super) fn weights(symmetric: bool, seven_bits: bool) -> Self {
        if symmetric { SIGNED[usize::from(seven_bits)] } else { UNSIGNED[usize::from(seven_bits)] }
    }

    /// The grid of 8-bit activations, i8: all of it, or around zero.
    pub(super) fn activations(symmetric: bool) -> Self {
        if symmetric { SIGNED[0] } else { Self { low: -128, high: 127, symmetric: false } }
    }

    /// The scale and zero point for values from `low` to `high`; 0 is always among what can be represented.
    ///
    /// The scale is `(high - low) / (b - a)` of a grid from a to b, the zero point `a - low / scale` to the nearest
    /// (Jacob et al. 2018, section 2.1).
    pub(super) fn fit(self, low: f32, high: f32) -> (f32, i32) {
        let (mut low, mut high) = (f64::from(low.min(0.0)), f64::from(high.max(0.0)));
        if self.symmetric {
            high = high.max(-low);
            low = -high;
        }
        let scale = ((high - low) / f64::from(self.high - self.low)) as f32;
        if scale < f32::MIN_POSITIVE {
            return (1.0, 0.clamp(self.low, self.high));
        }
        let zero = if self.symmetric {
            f64::from(self.low + self.high) / 2.0
        } else {
            f64::from(self.low) - low / f64::from(scale)
        };
        (scale, (zero.round_ties_even() as i32).clamp(self.low, self.high))
    }

    /// The nearest number of the grid, ties to even.
    #[inline(always)]
    pub(super) fn nearest(self, x: f32, scale: f32, zero: i32) -> i32 {
        ((x / scale).round_ties_even() as i32).saturating_add(zero).clamp(self.low, self.high)
    }
}

/// The least and the greatest of some finite values.
pub(super) fn extremes(values: impl IntoIterator<Item = f32>) -> (f32, f32) {
    values.into_iter().fold((0.0, 0.0), |(low, high), x| (x.min(low), x.max(high)))
}

/// Squared error and squared signal, for a ratio of signal to noise.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Noise {
    pub(crate) signal: f64,
    pub(crate) noise: f64,
}

impl Noise {
    #[inline(always)]
    pub(crate) fn add(&mut self, exact: f32, approximate: f32) {
        self.signal += f64::from(exact) * f64::from(exact);
        let error = f64::from(exact) - f64::from(approximate);
        self.noise += error * error;
    }

    /// 10 log10(signal / noise) in decibels; `None` where there is no signal, infinite where there is no noise.
    pub(crate) fn decibels(self) -> Option<f64> {
        (self.signal > 0.0 && !self.noise.is_nan()).then(|| 10.0 * (self.signal / self.noise).log10())
    }
}

/// A tensor quantised with one scale, or with one for each index of an axis.
#[derive(Debug, Clone)]
pub(super) struct Quantised {
    pub(super) dims: Vec<usize>,
    /// The numbers, as i32 of the grid.
    pub(super) numbers: Vec<i8>,
    /// Whether the numbers are u8, kept by their bits.
    pub(super) unsigned: bool,
    pub(super) scales: Vec<f32>,
    pub(super) zeros: Vec<i32>,
    pub(super) noise: Noise,
}

impl Quantised {
    /// Brings `values` of shape `dims` to `grid`: one scale for all, or one for each index of `axis`.
    pub(super) fn of(values: &[f32], dims: &[usize], axis: Option<usize>, grid: Grid) -> Self {
        let (count, run) = spread(values.len(), dims, axis);
        let mut ranges = vec![(0.0f32, 0.0f32); count];
        for (i, chunk) in values.chunks(run).enumerate() {
            let (low, high) = extremes(chunk.iter().copied());
            let range = &mut ranges[i % count];
            *range = (range.0.min(low), range.1.max(high));
        }
        Self::within(values, dims, axis, grid, ranges)
    }

    /// As [`of`](Self::of) for a matrix (k, n), with scales such that the magnitudes of two weights of a column, in rows
    /// 2i and 2i + 1, come to 128 at most. Processors without VNNI add the products of such pairs with u8 in 16 bits, which
    /// then can't overflow: 255 * 128 < 2^15.
    pub(super) fn of_pairs(values: &[f32], dims: &[usize], axis: Option<usize>, grid: Grid) -> Self {
        let n = dims.get(1).copied().unwrap_or(1).max(1);
        let mut reaches = vec![0.0f32; n];
        for pair in values.chunks(2 * n) {
            let (first, second) = pair.split_at(n.min(pair.len()));
            for (j, reach) in reaches.iter_mut().enumerate() {
                let both = first.get(j).map_or(0.0, |w| w.abs()) + second.get(j).map_or(0.0, |w| w.abs());
                *reach = reach.max(both);
            }
        }
        if axis.is_none() {
            reaches = vec![reaches.into_iter().fold(0.0, f32::max)];
        }
        Self::within(values, dims, axis, grid, reaches.into_iter().map(|r| (-r, r)).collect())
    }

    /// Brings `values` to `grid` by the ranges of each scale.
    fn within(values: &[f32], dims: &[usize], axis: Option<usize>, grid: Grid, ranges: Vec<(f32, f32)>) -> Self {
        let (count, run) = spread(values.len(), dims, axis);
        let fits: Vec<(f32, i32)> = ranges.into_iter().map(|(low, high)| grid.fit(low, high)).collect();
        let mut noise = Noise::default();
        let mut numbers = Vec::with_capacity(values.len());
        for (i, chunk) in values.chunks(run).enumerate() {
            let (scale, zero) = fits[i % count];
            for &x in chunk {
                let number = grid.nearest(x, scale, zero);
                noise.add(x, (number - zero) as f32 * scale);
                numbers.push(number as u8 as i8);
            }
        }
        let (scales, zeros) = fits.into_iter().unzip();
        Self { dims: dims.to_vec(), numbers, unsigned: !grid.symmetric && grid.low >= 0, scales, zeros, noise }
    }

    /// The numbers as an initialiser.
    pub(super) fn tensor(&self, name: &str) -> Result<TensorProto> {
        builder::dense_tensor(name, &self.dims, bytes(self.numbers.clone(), self.unsigned))
    }

    /// The scales as an initialiser: a scalar, or of shape `dims`.
    pub(super) fn scale_tensor(&self, name: &str, dims: &[usize]) -> Result<TensorProto> {
        builder::f32_tensor(name, if self.scales.len() == 1 { &[] } else { dims }, self.scales.clone())
    }

    /// The zero points as an initialiser of the numbers' type.
    pub(super) fn zero_tensor(&self, name: &str, dims: &[usize]) -> Result<TensorProto> {
        let zeros = self.zeros.iter().map(|&z| z as u8 as i8).collect();
        builder::dense_tensor(name, if self.zeros.len() == 1 { &[] } else { dims }, bytes(zeros, self.unsigned))
    }
}

/// How many scales there are, and how many neighbours share one.
fn spread(values: usize, dims: &[usize], axis: Option<usize>) -> (usize, usize) {
    let (count, run) = match axis {
        Some(axis) => (dims[axis], dims[axis + 1..].iter().product::<usize>()),
        None => (1, values),
    };
    (count, run.max(1))
}

fn bytes(numbers: Vec<i8>, unsigned: bool) -> TensorData {
    if unsigned { TensorData::U8(numbers.into_iter().map(|b| b as u8).collect()) } else { TensorData::I8(numbers) }
}

/// The floats of a tensor, where it is of f32 and every one is finite; else the reason why not.
pub(super) fn finite(data: TensorData) -> Result<Vec<f32>, &'static str> {
    match data {
        TensorData::F32(values) if values.is_empty() => Err("its weights are empty"),
        TensorData::F32(values) if values.iter().all(|x| x.is_finite()) => Ok(values),
        TensorData::F32(_) => Err("its weights hold NaN or infinity"),
        _ => Err("its weights are not f32"),
    }
}

/// The transpose of a matrix (rows, columns).
pub(super) fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0; values.len()];
    // Blocks, so that both sides stay in the cache.
    const BLOCK: usize = 32;
    for from in (0..rows).step_by(BLOCK) {
        for start in (0..columns).step_by(BLOCK) {
            for i in from..rows.min(from + BLOCK) {
                for j in start..columns.min(start + BLOCK) {
                    out[j * rows + i] = values[i * columns + j];
                }
            }
        }
    }
    out
}

/// The error for values that calibration can't use.
pub(super) fn not_finite(tensor: &str) -> Error {
    let what = "calibration met NaN or infinity; drop those rows of the data, or repair the model";
    Error::new(ErrorKind::InvalidValue, what).tensor(tensor)
}
