use super::matrix::NR;
use super::rows::rounded;

/// What is done to a tile of exact sums while it is in registers.
pub(crate) trait Finish {
    /// Takes the sums of row `row` and the columns from `panel * NR` on.
    fn finish(&mut self, row: usize, panel: usize, sums: &[i32; NR]);
}

/// The sums themselves, (m, n).
#[derive(Debug)]
pub(crate) struct ToSums<'a> {
    pub(crate) n: usize,
    pub(crate) out: &'a mut [i32],
}

impl Finish for ToSums<'_> {
    #[inline(always)]
    fn finish(&mut self, row: usize, panel: usize, sums: &[i32; NR]) {
        put(self.out, self.n, row, panel, sums);
    }
}

/// Sums times the scale of their row and of their column, plus a bias, as floats (m, n), at least 0 where `relu`.
#[derive(Debug)]
pub(crate) struct ToFloats<'a> {
    pub(crate) n: usize,
    /// One for each row, or one for all.
    pub(crate) rows: &'a [f32],
    /// One for each column, in whole panels.
    pub(crate) columns: &'a [[f32; NR]],
    /// In whole panels.
    pub(crate) bias: &'a [[f32; NR]],
    pub(crate) relu: bool,
    pub(crate) out: &'a mut [f32],
}

impl Finish for ToFloats<'_> {
    #[inline(always)]
    fn finish(&mut self, row: usize, panel: usize, sums: &[i32; NR]) {
        let scale = self.rows[if self.rows.len() == 1 { 0 } else { row }];
        let (columns, bias) = (&self.columns[panel], &self.bias[panel]);
        let least = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let mut answers = [0.0; NR];
        for j in 0..NR {
            let x = sums[j] as f32 * (scale * columns[j]) + bias[j];
            answers[j] = if x > least { x } else { least };
        }
        put(self.out, self.n, row, panel, &answers);
    }
}

/// Sums plus an integer bias, times a factor, rounded to 8 bits around a zero point, (m, n).
#[derive(Debug)]
pub(crate) struct ToBytes<'a> {
    pub(crate) n: usize,
    /// In whole panels.
    pub(crate) bias: &'a [[i32; NR]],
    /// One for each column, in whole panels.
    pub(crate) factors: &'a [[f32; NR]],
    /// The smallest and largest answer.
    pub(crate) bounds: [i32; 2],
    pub(crate) zero: i32,
    /// u8, or the bits of i8.
    pub(crate) out: &'a mut [u8],
}

impl Finish for ToBytes<'_> {
    #[inline(always)]
    fn finish(&mut self, row: usize, panel: usize, sums: &[i32; NR]) {
        let bounds = self.bounds.map(|b| (b - self.zero) as f32);
        let (bias, factors) = (&self.bias[panel], &self.factors[panel]);
        let mut answers = [0; NR];
        for j in 0..NR {
            answers[j] = (rounded(sums[j].wrapping_add(bias[j]) as f32 * factors[j], bounds) + self.zero) as u8;
        }
        put(self.out, self.n, row, panel, &answers);
    }
}

#[inline(always)]
fn put<T: Copy>(out: &mut [T], n: usize, row: usize, panel: usize, answers: &[T; NR]) {
    let start = row * n + panel * NR;
    if panel * NR + NR <= n {
        out[start..start + NR].copy_from_slice(answers);
    } else {
        let width = n - panel * NR;
        out[start..start + width].copy_from_slice(&answers[..width]);
    }
}
