#[cfg(target_arch = "x86_64")]
use super::isa::Level;
use super::isa::dispatch;
use super::{Isa, Real};

/// Columns of one panel of a packed matrix: one 512-bit register of f32, two of f64.
pub(super) const NR: usize = 16;
/// Rows computed together.
const MR: usize = 8;
/// A matrix (k, n) laid out for multiplying many rows by it: panels of [`NR`] columns, row by row, zero-padded. A matrix
/// of one column is laid out as a vector, [`NR`] elements in a lane each.
///
/// Every element of a product is one chain of multiply-adds in the order of k, to which the bias is added: the order in
/// which ONNX Runtime sums, which shows where large terms cancel. A matrix of one column is summed lane by lane, as
/// there. How many rows are multiplied at once changes nothing about it, so neither does it change the answer of a row.
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
        if n == 1 {
            let mut lanes = vec![[T::ZERO; NR]; k.div_ceil(NR)];
            for i in 0..k {
                lanes[i / NR][i % NR] = at(i, 0);
            }
            let mut packed_bias = [T::ZERO; NR];
            packed_bias[0] = bias.map_or(T::ZERO, |b| b[0]);
            return Self { k, n, panels: lanes, bias: vec![packed_bias] };
        }
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
        if self.n == 1 { self.panels[i / NR][i % NR] } else { self.panels[j / NR * self.k + i][j % NR] }
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

/// The product of `x` (m, k) and a packed matrix, into `out` (m, n).
fn multiply<T: Real>(isa: Isa, packed: &Packed<T>, x: &[T], out: &mut [T]) {
    if packed.n == 1 {
        return dots(isa, packed, x, out);
    }
    #[cfg(target_arch = "x86_64")]
    if let (Level::Avx512, Some(multiply)) = (isa.level(), T::MULTIPLY_AVX512) {
        // SAFETY: an `Isa` of this level exists only where the processor was found to have AVX-512.
        return unsafe { multiply(packed, x, out) };
    }
    portable(isa, packed, x, out);
}

dispatch! {
    fn portable[T: Real](packed: &Packed<T>, x: &[T], out: &mut [T]) = portable_body
}

/// Walks the panels of a matrix and, for each, the rows in blocks of [`MR`] and then one by one. A macro, since a function
/// that is handed over is not always inlined into one with other target features.
macro_rules! panels {
    ($packed:ident, $x:ident, $out:ident, $block:expr, $one:expr) => {
        let (k, n) = ($packed.k, $packed.n);
        if k == 0 || n == 0 {
            return;
        }
        for (p, bias) in $packed.bias.iter().enumerate() {
            let panel = &$packed.panels[p * k..(p + 1) * k];
            let columns = p * NR..n.min(p * NR + NR);
            let mut rows = $x.chunks_exact(MR * k);
            let mut answers = $out.chunks_exact_mut(n);
            for rows in rows.by_ref() {
                for (sum, answer) in $block(rows, panel, bias).iter().zip(answers.by_ref()) {
                    store(sum, &mut answer[columns.clone()]);
                }
            }
            for (row, answer) in rows.remainder().chunks_exact(k).zip(answers) {
                let [sum] = $one(row, panel, bias);
                store(&sum, &mut answer[columns.clone()]);
            }
        }
    };
}

#[inline(always)]
fn portable_body<const FMA: bool, T: Real>(packed: &Packed<T>, x: &[T], out: &mut [T]) {
    panels!(packed, x, out, block_of_rows::<FMA, MR, T>, block_of_rows::<FMA, 1, T>);
}

dispatch! {
    fn dots[T: Real](packed: &Packed<T>, x: &[T], out: &mut [T]) = dots_body
}

/// Rows times a single column.
#[inline(always)]
fn dots_body<const FMA: bool, T: Real>(packed: &Packed<T>, x: &[T], out: &mut [T]) {
    if packed.k == 0 {
        return;
    }
    let (pairs, odd) = packed.panels.as_chunks::<2>();
    for (row, out) in x.chunks_exact(packed.k).zip(out) {
        // Two sums a lane, so that the multiply-adds need not wait for each other.
        let mut sums = [[T::ZERO; NR]; 2];
        let mut rest = row;
        for weights in pairs {
            for (sums, weights) in sums.iter_mut().zip(weights) {
                rest = multiply_add::<FMA, T>(rest, weights, sums);
            }
        }
        for weights in odd {
            multiply_add::<FMA, T>(rest, weights, &mut sums[0]);
        }
        let [mut sum, second] = sums;
        for (s, v) in sum.iter_mut().zip(second) {
            *s += v;
        }
        let mut width = NR / 2;
        while width > 0 {
            for i in 0..width {
                sum[i] = sum[i] + sum[i + width];
            }
            width /= 2;
        }
        *out = sum[0] + packed.bias[0][0];
    }
}

/// Adds the products of the first elements of `x`, as many as there are lanes, and gives those that follow.
#[inline(always)]
fn multiply_add<'x, const FMA: bool, T: Real>(x: &'x [T], weights: &[T; NR], sums: &mut [T; NR]) -> &'x [T] {
    if let Some((lanes, rest)) = x.split_first_chunk::<NR>() {
        for ((s, x), w) in sums.iter_mut().zip(lanes).zip(weights) {
            *s = x.fma::<FMA>(*w, *s);
        }
        return rest;
    }
    for ((s, x), w) in sums.iter_mut().zip(x).zip(weights) {
        *s = x.fma::<FMA>(*w, *s);
    }
    &[]
}

#[inline(always)]
fn store<T: Real>(sum: &[T; NR], out: &mut [T]) {
    if let Ok(all) = <&mut [T; NR]>::try_from(&mut *out) {
        *all = *sum;
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
    let mut sums = [[T::ZERO; NR]; ROWS];
    for (i, weights) in panel.iter().enumerate() {
        for (r, sum) in sums.iter_mut().enumerate() {
            let value = x[r * k + i];
            for (s, w) in sum.iter_mut().zip(weights) {
                *s = value.fma::<FMA>(*w, *s);
            }
        }
    }
    for sum in &mut sums {
        for (s, b) in sum.iter_mut().zip(bias) {
            *s += *b;
        }
    }
    sums
}

/// The same sums in explicit registers, which the portable form is not always given.
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512 {
    use std::arch::x86_64::{
        __m512, _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::{MR, NR, Packed, store};

    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    pub(in crate::kernel) fn multiply(packed: &Packed<f32>, x: &[f32], out: &mut [f32]) {
        panels!(packed, x, out, rows::<MR>, rows::<1>);
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(lanes: &[f32; NR]) -> __m512 {
        // SAFETY: the array holds the sixteen elements that are read.
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    fn rows<const ROWS: usize>(x: &[f32], panel: &[[f32; NR]], bias: &[f32; NR]) -> [[f32; NR]; ROWS] {
        let k = panel.len();
        // No closures here: they would not be inlined into functions of the standard library, which lack the features.
        let mut rows = [x; ROWS];
        for (r, row) in rows.iter_mut().enumerate() {
            *row = &x[r * k..(r + 1) * k];
        }
        let mut sums = [_mm512_setzero_ps(); ROWS];
        for (i, weights) in panel.iter().enumerate() {
            let weights = load(weights);
            for r in 0..ROWS {
                sums[r] = _mm512_fmadd_ps(_mm512_set1_ps(rows[r][i]), weights, sums[r]);
            }
        }
        let mut out = [[0.0; NR]; ROWS];
        for (out, sum) in out.iter_mut().zip(sums) {
            let sum = _mm512_add_ps(sum, load(bias));
            // SAFETY: the array holds the sixteen elements that are written.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), sum) };
        }
        out
    }
}
