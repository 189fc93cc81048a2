//! Products of rows with a packed matrix.

#[cfg(target_arch = "x86_64")]
mod explicit;

use std::ops::{Deref, DerefMut};

#[cfg(target_arch = "x86_64")]
pub(super) use explicit::{avx2, avx512};

#[cfg(target_arch = "x86_64")]
use super::isa::Level;
use super::isa::dispatch;
use super::{Isa, Left, Places, Real};

/// Columns of one panel of a packed matrix: one 512-bit register of f32, two of f64.
pub(super) const NR: usize = 16;
/// Rows that the portable form computes together.
const MR: usize = 4;
/// Rows are taken in blocks of about so many elements, which stay in a near cache while the panels pass by.
const BLOCK: usize = 1 << 16;
/// With so many panels more rows are taken at once.
const MANY_PANELS: usize = 96;

/// The elements of one row in a panel, where registers are loaded from without crossing a line of the cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line<T>([T; NR]);

impl<T> Deref for Line<T> {
    type Target = [T; NR];

    #[inline(always)]
    fn deref(&self) -> &[T; NR] {
        &self.0
    }
}

impl<T> DerefMut for Line<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T; NR] {
        &mut self.0
    }
}

/// A matrix (k, n) laid out for multiplying many rows by it: panels of [`NR`] columns, row by row, zero-padded. A matrix
/// of one column is laid out as a vector, [`NR`] elements in a lane each.
///
/// Every element of a product is one chain of multiply-adds in the order of k, to which the bias is added: the order in
/// which ONNX Runtime sums, which shows where large terms cancel. A matrix of one column is summed lane by lane where it
/// has many rows. How many rows are multiplied at once changes nothing about it, so neither does it change the answer of a row.
#[derive(Debug, Clone)]
pub(crate) struct Packed<T> {
    k: usize,
    n: usize,
    panels: Vec<Line<T>>,
    bias: Vec<Line<T>>,
}

impl<T: Real> Packed<T> {
    /// Packs the matrix whose element in row `i` and column `j` is `at(i, j)`, with a bias of n elements or none.
    pub(crate) fn new(k: usize, n: usize, at: impl Fn(usize, usize) -> T, bias: Option<&[T]>) -> Self {
        let count = n.div_ceil(NR);
        if n == 1 {
            let mut lanes = vec![Line([T::ZERO; NR]); k.div_ceil(NR)];
            for i in 0..k {
                lanes[i / NR][i % NR] = at(i, 0);
            }
            let mut packed_bias = Line([T::ZERO; NR]);
            packed_bias[0] = bias.map_or(T::ZERO, |b| b[0]);
            return Self { k, n, panels: lanes, bias: vec![packed_bias] };
        }
        let mut panels = vec![Line([T::ZERO; NR]); count * k];
        let mut packed_bias = vec![Line([T::ZERO; NR]); count];
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

    /// Packs the matrix whose rows lie `row` elements apart and whose columns `column`, from the first of `items` on.
    pub(crate) fn strided(k: usize, n: usize, items: &[T], [row, column]: [usize; 2]) -> Self {
        if k == 0 || n == 1 || (row != 1 && column != 1) {
            return Self::new(k, n, |i, j| items[i * row + j * column], None);
        }
        let mut panels = vec![Line([T::ZERO; NR]); n.div_ceil(NR) * k];
        for (p, panel) in panels.chunks_exact_mut(k).enumerate() {
            let columns = p * NR..n.min(p * NR + NR);
            if column == 1 {
                for (i, to) in panel.iter_mut().enumerate() {
                    to[..columns.len()].copy_from_slice(&items[i * row..][columns.clone()]);
                }
            } else {
                for (j, from) in columns.enumerate() {
                    for (to, x) in panel.iter_mut().zip(&items[from * column..][..k]) {
                        to[j] = *x;
                    }
                }
            }
        }
        Self { k, n, panels, bias: vec![Line([T::ZERO; NR]); n.div_ceil(NR)] }
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

    /// `x` (m, k) times the matrix plus the bias, written to `out` (m, n); the bias alone where the matrix has no rows.
    ///
    /// # Panics
    /// When `x` or `out` have another number of rows.
    pub(crate) fn multiply_into(&self, x: &[T], m: usize, out: &mut [T]) {
        self.multiply_with(Isa::best(), x, m, out);
    }

    /// [`multiply_into`](Self::multiply_into), appended to `out`.
    pub(crate) fn multiply(&self, x: &[T], m: usize, out: &mut Vec<T>) {
        let start = out.len();
        out.resize(start + m * self.n, T::ZERO);
        self.multiply_into(x, m, &mut out[start..]);
    }

    /// [`multiply_into`](Self::multiply_into) with a given instruction set.
    pub(crate) fn multiply_with(&self, isa: Isa, x: &[T], m: usize, out: &mut [T]) {
        assert!(x.len() == m * self.k && out.len() == m * self.n, "{m} rows of {} elements", self.k);
        if self.n == 1 && self.k > 0 {
            dots(isa, self, x, out);
        } else {
            self.multiply_left(isa, x, Left::rows(m, self.k), out);
        }
    }

    /// The product of rows that lie in `x` as `left` tells, plus the bias, into `out` (m, n); the bias alone where the
    /// matrix has no rows.
    ///
    /// # Panics
    /// When k is no multiple of the number of pieces, rows reach past the end of `x`, or `out` is too short.
    pub(crate) fn multiply_left(&self, isa: Isa, x: &[T], left: Left<'_>, out: &mut [T]) {
        if self.k == 0 || self.n == 0 || left.m == 0 {
            out.iter_mut().enumerate().for_each(|(i, o)| *o = self.bias(i % self.n));
            return;
        }
        let run = if left.pieces.len() == 1 { self.k } else { self.k / left.pieces.len() };
        assert_eq!(run * left.pieces.len(), self.k, "pieces of one length");
        assert!(left.end(run) <= x.len() && left.m * self.n <= out.len(), "rows end within the elements");
        if self.n == 1 {
            return self.column(isa, x, left, run, out);
        }
        let product = Product { packed: self, rows: Rows { x, pieces: left.pieces, run }, left: &left };
        // The more rows there are, the fewer times pass all the panels.
        let fewest = if self.bias.len() < MANY_PANELS { 96 } else { 264 };
        if left.m <= fewest {
            return multiply(isa, &product, 0, left.m, out);
        }
        let block = (BLOCK / self.k).clamp(fewest, 4096) / 24 * 24;
        let mut from = 0;
        while from < left.m {
            let to = left.m.min(from + block);
            multiply(isa, &product, from, to, out);
            from = to;
        }
    }

    /// [`multiply_left`](Self::multiply_left) for a single column.
    fn column(&self, isa: Isa, x: &[T], left: Left<'_>, run: usize, out: &mut [T]) {
        if let ([piece], Places::Every(stride)) = (left.pieces, left.places)
            && stride == self.k
        {
            let first = *piece as usize;
            return dots(isa, self, &x[first..first + left.m * self.k], out);
        }
        let mut row = Vec::with_capacity(self.k);
        for (i, out) in out.chunks_exact_mut(1).take(left.m).enumerate() {
            row.clear();
            for piece in left.pieces {
                row.extend_from_slice(&x[left.place(i) + *piece as usize..][..run]);
            }
            dots(isa, self, &row, out);
        }
    }
}

/// A matrix and the rows it multiplies, checked to lie within their elements.
pub(crate) struct Product<'a, T> {
    packed: &'a Packed<T>,
    rows: Rows<'a, T>,
    left: &'a Left<'a>,
}

/// The elements of rows, in pieces of `run` each.
#[derive(Clone, Copy)]
struct Rows<'a, T> {
    x: &'a [T],
    pieces: &'a [u32],
    run: usize,
}

/// The product of the rows `from..to`.
fn multiply<T: Real>(isa: Isa, product: &Product<'_, T>, from: usize, to: usize, out: &mut [T]) {
    #[cfg(target_arch = "x86_64")]
    match (isa.level(), T::MULTIPLY) {
        // SAFETY: an `Isa` of this level exists only where the processor was found to have AVX-512.
        (Level::Avx512, Some([_, multiply])) => return unsafe { multiply(product, from, to, out) },
        // SAFETY: an `Isa` of this level exists only where the processor was found to have AVX2 and FMA.
        (Level::Avx2, Some([multiply, _])) => return unsafe { multiply(product, from, to, out) },
        _ => {}
    }
    portable(isa, product, from, to, out);
}

dispatch! {
    fn portable[T: Real](product: &Product<'_, T>, from: usize, to: usize, out: &mut [T]) = portable_body
}

#[inline(always)]
fn portable_body<const FMA: bool, T: Real>(product: &Product<'_, T>, from: usize, to: usize, out: &mut [T]) {
    for p in 0..product.packed.bias.len() {
        let mut row = from;
        while row + MR <= to {
            tile::<FMA, MR, T>(product, row, p, out);
            row += MR;
        }
        while row < to {
            tile::<FMA, 1, T>(product, row, p, out);
            row += 1;
        }
    }
}

dispatch! {
    fn dots[T: Real](packed: &Packed<T>, x: &[T], out: &mut [T]) = dots_body
}

/// Rows times a single column.
#[inline(always)]
fn dots_body<const FMA: bool, T: Real>(packed: &Packed<T>, x: &[T], out: &mut [T]) {
    let (k, bias) = (packed.k, packed.bias[0][0]);
    match k {
        0 => {}
        _ if k < 2 * NR => {
            let mut weights = [T::ZERO; 2 * NR];
            weights.chunks_exact_mut(NR).zip(&packed.panels).for_each(|(to, line)| to.copy_from_slice(&**line));
            chains::<FMA, T>(&weights[..k], bias, x, out);
        }
        _ => lanes::<FMA, T>(packed, bias, x, out),
    }
}

/// Rows of few elements: a chain of multiply-adds each, of several rows side by side.
#[inline(always)]
fn chains<const FMA: bool, T: Real>(weights: &[T], bias: T, x: &[T], out: &mut [T]) {
    let k = weights.len();
    let (blocks, rest) = out.as_chunks_mut::<MR>();
    let (whole, last) = x.split_at(blocks.len() * MR * k);
    for (rows, out) in whole.chunks_exact(MR * k).zip(blocks) {
        let mut sums = [T::ZERO; MR];
        for (i, w) in weights.iter().enumerate() {
            for (r, sum) in sums.iter_mut().enumerate() {
                *sum = rows[r * k + i].fma::<FMA>(*w, *sum);
            }
        }
        for (o, s) in out.iter_mut().zip(sums) {
            *o = s + bias;
        }
    }
    for (row, out) in last.chunks_exact(k).zip(rest) {
        let mut sum = T::ZERO;
        for (x, w) in row.iter().zip(weights) {
            sum = x.fma::<FMA>(*w, sum);
        }
        *out = sum + bias;
    }
}

/// Rows of many elements: sums by lane, two a lane, so that the multiply-adds need not wait for each other.
#[inline(always)]
fn lanes<const FMA: bool, T: Real>(packed: &Packed<T>, bias: T, x: &[T], out: &mut [T]) {
    let (whole, last) = packed.panels.split_at(packed.k / NR);
    let (pairs, odd) = whole.as_chunks::<2>();
    for (row, out) in x.chunks_exact(packed.k).zip(out) {
        let (mut sum, mut second) = ([T::ZERO; NR], [T::ZERO; NR]);
        let (x, tail) = row.as_chunks::<NR>();
        let (x_pairs, x_odd) = x.as_chunks::<2>();
        for ([x0, x1], [w0, w1]) in x_pairs.iter().zip(pairs) {
            multiply_add::<FMA, T>(x0, w0, &mut sum);
            multiply_add::<FMA, T>(x1, w1, &mut second);
        }
        for (x, w) in x_odd.iter().zip(odd) {
            multiply_add::<FMA, T>(x, w, &mut sum);
        }
        for (s, v) in sum.iter_mut().zip(second) {
            *s += v;
        }
        let mut width = NR / 2;
        while width > 0 {
            for i in 0..width {
                let other = sum[i + width];
                sum[i] += other;
            }
            width /= 2;
        }
        let mut rest = T::ZERO;
        for (x, w) in tail.iter().zip(last.iter().flat_map(|line| line.iter())) {
            rest = x.fma::<FMA>(*w, rest);
        }
        *out = sum[0] + rest + bias;
    }
}

#[inline(always)]
fn multiply_add<const FMA: bool, T: Real>(x: &[T; NR], weights: &[T; NR], sums: &mut [T; NR]) {
    for ((s, x), w) in sums.iter_mut().zip(x).zip(weights) {
        *s = x.fma::<FMA>(*w, *s);
    }
}

impl<T: Real> Product<'_, T> {
    /// Writes the answers of row `row` and panel `p`.
    #[inline(always)]
    fn store(&self, row: usize, p: usize, sums: &[T; NR], out: &mut [T]) {
        let n = self.packed.n;
        let start = row * n + p * NR;
        if (p + 1) * NR <= n {
            out[start..start + NR].copy_from_slice(sums);
        } else {
            let width = n - p * NR;
            out[start..start + width].copy_from_slice(&sums[..width]);
        }
    }
}

/// `ROWS` rows times one panel.
#[inline(always)]
fn tile<const FMA: bool, const ROWS: usize, T: Real>(product: &Product<'_, T>, row: usize, p: usize, out: &mut [T]) {
    let Product { packed, rows: Rows { x, pieces, run }, left } = *product;
    let starts = left.starts::<ROWS>(row);
    let mut sums = [[T::ZERO; NR]; ROWS];
    let panel = &packed.panels[p * packed.k..(p + 1) * packed.k];
    for (piece, panel) in pieces.iter().zip(panel.chunks_exact(run)) {
        let mut rows = [&x[..0]; ROWS];
        for (row, start) in rows.iter_mut().zip(starts) {
            *row = &x[start + *piece as usize..][..run];
        }
        for (i, weights) in panel.iter().enumerate() {
            for (sum, row) in sums.iter_mut().zip(rows) {
                let value = row[i];
                for (s, w) in sum.iter_mut().zip(&**weights) {
                    *s = value.fma::<FMA>(*w, *s);
                }
            }
        }
    }
    for (r, sum) in sums.iter_mut().enumerate() {
        for (s, b) in sum.iter_mut().zip(&*packed.bias[p]) {
            *s += *b;
        }
        product.store(row + r, p, sum, out);
    }
}
