use super::isa::dispatch;
use super::{Isa, Real};

/// Columns of one panel of a packed matrix: one 512-bit register of f32, two of f64.
const NR: usize = 16;
/// Rows computed together.
const MR: usize = 8;

/// A matrix (k, n) laid out for multiplying many rows by it: panels of [`NR`] columns, row by row, zero-padded.
///
/// Every element of a product is one chain of multiply-adds in the order of k, starting from the bias, so an answer
/// does not depend on how many rows are multiplied at once.
#[derive(Debug, Clone)]
pub(crate) struct Packed<T> {
    k: usize,
    n: usize,
    panels: Vec<[T; NR]>,
    bias: Vec<[T; NR]>,
}

impl<T: Real> Packed<T> {
    /// Packs the matrix whose element in row `i` and column `j` is `at(i, j)`, with a bias of n elements or none.
    pub(crate) fn new(k: usize, n: usize, at: impl Fn(usize, usize) -> T, bias: Option<&[T]>) -> Self {
        let count = n.div_ceil(NR);
        let mut panels = vec![[T::ZERO; NR]; count * k];
        let mut packed_bias = vec![[T::ZERO; NR]; count];
        for p in 0..count {
            for (j, column) in (p * NR..n.min(p * NR + NR)).enumerate() {
                for i in 0..k {
                    panels[p * k + i][j] = at(i, column);
                }
                if let Some(bias) = bias {
                    packed_bias[p][j] = bias[column];
                }
            }
        }
        Self { k, n, panels, bias: packed_bias }
    }

    /// The rows of the matrix: the length of a row it multiplies.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    /// The columns of the matrix: the length of an answer.
    pub(crate) fn n(&self) -> usize {
        self.n
    }

    /// The element in row `i` and column `j`.
    pub(crate) fn at(&self, i: usize, j: usize) -> T {
        self.panels[j / NR * self.k + i][j % NR]
    }

    /// The bias of column `j`.
    pub(crate) fn bias(&self, j: usize) -> T {
        self.bias[j / NR][j % NR]
    }

    /// `x` (m, k) times the matrix plus the bias, appended to `out` as (m, n).
    ///
    /// # Panics
    /// When `x` does not hold whole rows.
    pub(crate) fn multiply(&self, x: &[T], out: &mut Vec<T>) {
        self.multiply_with(Isa::best(), x, out);
    }

    /// [`multiply`](Self::multiply) with a given instruction set.
    pub(crate) fn multiply_with(&self, isa: Isa, x: &[T], out: &mut Vec<T>) {
        let m = x.len().checked_div(self.k).unwrap_or(0);
        assert_eq!(x.len(), m * self.k, "rows of {} elements", self.k);
        let start = out.len();
        out.resize(start + m * self.n, T::ZERO);
        multiply(isa, self, x, &mut out[start..]);
    }

    /// The bias alone for each of `m` rows, for a matrix without rows.
    pub(crate) fn repeat_bias(&self, m: usize, out: &mut Vec<T>) {
        for _ in 0..m {
            out.extend((0..self.n).map(|j| self.bias(j)));
        }
    }
}

dispatch! {
    fn multiply[T: Real](packed: &Packed<T>, x: &[T], out: &mut [T]) = multiply_body
}

#[inline(always)]
fn multiply_body<const FMA: bool, T: Real>(packed: &Packed<T>, x: &[T], out: &mut [T]) {
    let (k, n) = (packed.k, packed.n);
    if k == 0 || n == 0 {
        return;
    }
    for (p, bias) in packed.bias.iter().enumerate() {
        let panel = &packed.panels[p * k..(p + 1) * k];
        let columns = p * NR..n.min(p * NR + NR);
        let mut rows = x.chunks_exact(MR * k);
        let mut r = 0;
        for block in rows.by_ref() {
            let sums = block_of_rows::<FMA, MR, T>(block, panel, bias);
            for sum in &sums {
                store(sum, &mut out[r * n + columns.start..r * n + columns.end]);
                r += 1;
            }
        }
        for row in rows.remainder().chunks_exact(k) {
            let [sum] = block_of_rows::<FMA, 1, T>(row, panel, bias);
            store(&sum, &mut out[r * n + columns.start..r * n + columns.end]);
            r += 1;
        }
    }
}

#[inline(always)]
fn store<T: Real>(sum: &[T; NR], out: &mut [T]) {
    if out.len() == NR {
        out.copy_from_slice(sum);
    } else {
        for (o, s) in out.iter_mut().zip(sum) {
            *o = *s;
        }
    }
}

/// `ROWS` rows of length k times one panel.
#[inline(always)]
fn block_of_rows<const FMA: bool, const ROWS: usize, T: Real>(
    x: &[T],
    panel: &[[T; NR]],
    bias: &[T; NR],
) -> [[T; NR]; ROWS] {
    let k = panel.len();
    let mut sums = [*bias; ROWS];
    let rows: [&[T]; ROWS] = std::array::from_fn(|r| &x[r * k..(r + 1) * k]);
    for (i, weights) in panel.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(rows) {
            let value = row[i];
            for (s, w) in sum.iter_mut().zip(weights) {
                *s = value.fma::<FMA>(*w, *s);
            }
        }
    }
    sums
}
