//! Rounding of weights in which each makes up for the errors of those before it.
//!
//! What a product loses by the errors e (k) of a row of its weights is e H e', where H (k, k) holds the sums of products of
//! what it was given. With H = R'R, R upper triangular, that is a sum of squares, one for each weight, and the last weight
//! stands alone in the last of them: rounding from the last to the first brings each square to its least (Babai's nearest
//! plane; in the opposite order it is GPTQ of Frantar et al. 2023).

use super::blocks::{fit, nearest};
use super::grid::not_finite;
use crate::kernel::{Isa, Left, Packed, Places};
use crate::{Result, Tensor};

/// The rows of an activation that are looked at.
const MOST_ROWS: usize = 4096;
/// What is added to the diagonal, as a share of its mean: rows that come differ from those that were seen.
const DAMPING: f32 = 0.3;

/// The sums of products of the columns of an activation (m, k).
#[derive(Debug)]
pub(super) struct Products {
    k: usize,
    /// The rows of (k, k) from the diagonal on: the matrix is symmetric, and there is one for each activation of a model.
    sums: Vec<f32>,
    rows: usize,
}

impl Products {
    pub(super) fn new(k: usize) -> Self {
        Self { k, sums: vec![0.0; k * (k + 1) / 2], rows: 0 }
    }

    /// Takes rows of `tensor` (..., k); whether they are enough.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind::InvalidValue) for NaN and infinity,
    /// [`ErrorKind::WrongType`](crate::ErrorKind::WrongType) where they are not f32.
    pub(super) fn add(&mut self, name: &str, tensor: &Tensor<'_>) -> Result<bool> {
        let k = self.k;
        let x = tensor.as_slice::<f32>().map_err(|e| e.tensor(name))?;
        let all = x.len() / k.max(1);
        // Of a large batch every so many: neighbours are alike.
        let every = all.div_ceil(MOST_ROWS / 4).max(1);
        let rows: Vec<&[f32]> = x.chunks_exact(k.max(1)).step_by(every).collect();
        if rows.iter().any(|row| row.iter().any(|x| !x.is_finite())) {
            return Err(not_finite(name));
        }
        let m = rows.len();
        let across: Vec<f32> = (0..k).flat_map(|j| rows.iter().map(move |row| row[j])).collect();
        let mut sums = vec![0.0; k * k];
        Packed::new(m, k, |i, j| rows[i][j], None).multiply_into(&across, k, &mut sums);
        let mut rest = &mut self.sums[..];
        for (i, row) in sums.chunks_exact(k.max(1)).enumerate() {
            let (here, after) = rest.split_at_mut(k - i);
            here.iter_mut().zip(&row[i..]).for_each(|(s, x)| *s += x);
            rest = after;
        }
        self.rows += m;
        Ok(self.rows >= MOST_ROWS)
    }

    /// What errors cost; nothing where no rows were seen, or zeros alone.
    pub(super) fn costs(self) -> Option<Costs> {
        let k = self.k;
        let mut r = vec![0.0; k * k];
        let mut rest = &self.sums[..];
        for (i, row) in r.chunks_exact_mut(k.max(1)).enumerate() {
            let (here, after) = rest.split_at(k - i);
            row[i..].copy_from_slice(here);
            rest = after;
        }
        drop(self.sums);
        let mean = (0..k).map(|i| r[i * k + i]).sum::<f32>() / k.max(1) as f32;
        if !(mean > 0.0 && mean.is_finite()) {
            return None;
        }
        (0..k).for_each(|i| r[i * k + i] += DAMPING * mean);
        for i in 0..k {
            let (above, row) = r.split_at_mut(i * k);
            let row = &mut row[i..k];
            for p in 0..i {
                let factor = above[p * k + i];
                row.iter_mut().zip(&above[p * k + i..(p + 1) * k]).for_each(|(x, y)| *x -= factor * y);
            }
            if row[0] <= 0.0 || !row[0].is_finite() {
                return None;
            }
            let root = row[0].sqrt();
            row.iter_mut().for_each(|x| *x /= root);
        }
        Some(Costs { k, r })
    }
}

/// The factor R of what errors cost.
#[derive(Debug)]
pub(super) struct Costs {
    k: usize,
    /// (k, k); what lies below the diagonal is not used.
    r: Vec<f32>,
}

/// The numbers of a block of one row, its scale and its zero point.
pub(super) struct Rounded<'r> {
    pub(super) row: usize,
    pub(super) block: usize,
    pub(super) numbers: &'r [u8],
    pub(super) scale: f32,
    pub(super) zero: u8,
}

impl Costs {
    /// Whether they are of products of `k` terms.
    pub(super) fn fits(&self, k: usize) -> bool {
        self.k == k
    }

    /// Rounds `values` (n, k) in blocks along k, of the length, bits and symmetry of `settings`, and hands each over.
    pub(super) fn round(&self, values: &[f32], settings: (usize, u32, bool), give: &mut dyn FnMut(&Rounded<'_>)) {
        let (block, bits, symmetric) = settings;
        let (k, n) = (self.k, values.len() / self.k);
        let most = ((1u32 << bits) - 1) as f32;
        let mut errors = vec![0.0f32; n * k];
        let (mut from_later, mut best, mut numbers) = (vec![0.0f32; n * block], vec![0.0f32; block], vec![0u8; block]);
        for at in (0..k.div_ceil(block)).rev() {
            let (start, end) = (at * block, k.min((at + 1) * block));
            let width = end - start;
            let later = &mut from_later[..n * width];
            later.fill(0.0);
            if end < k {
                let part = Packed::new(k - end, width, |i, j| self.r[(start + j) * k + end + i], None);
                let left = Left { m: n, places: Places::Every(k), pieces: &[end as u32] };
                part.multiply_left(Isa::best(), &errors, left, later);
            }
            for row in 0..n {
                let weights = &values[row * k + start..row * k + end];
                let errors = &mut errors[row * k + start..row * k + end];
                let later = &later[row * width..(row + 1) * width];
                // What the weight would have to be, given the errors of those behind it in the block.
                let wanted = |j: usize, errors: &[f32]| {
                    let r = &self.r[(start + j) * k + start + j..(start + j) * k + end];
                    let cost: f32 = r[1..].iter().zip(&errors[j + 1..]).map(|(r, e)| r * e).sum();
                    weights[j] + (later[j] + cost) / r[0]
                };
                for j in (0..width).rev() {
                    best[j] = wanted(j, errors);
                    errors[j] = weights[j] - best[j];
                }
                let (scale, zero) = fit(&best[..width], bits, symmetric);
                for j in (0..width).rev() {
                    numbers[j] = nearest(wanted(j, errors), scale, zero, most);
                    errors[j] = weights[j] - (f32::from(numbers[j]) - f32::from(zero)) * scale;
                }
                give(&Rounded { row, block: at, numbers: &numbers[..width], scale, zero });
            }
        }
    }
}
