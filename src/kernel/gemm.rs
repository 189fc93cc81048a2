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
/// Rows that so many panels pass by are gathered first, so that those of a tile are read as one stream.
const GATHERED: usize = 96;

/// Rows of a panel that are multiplied for every one of the next panel that is asked for.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 4;

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

    /// Packs the matrix whose rows lie `row` elements apart and whose columns `column`, from the first of `items` on.
    pub(crate) fn strided(k: usize, n: usize, items: &[T], [row, column]: [usize; 2]) -> Self {
        if k == 0 || n == 1 || (row != 1 && column != 1) {
            return Self::new(k, n, |i, j| items[i * row + j * column], None);
        }
        let mut panels = vec![[T::ZERO; NR]; n.div_ceil(NR) * k];
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
        Self { k, n, panels, bias: vec![[T::ZERO; NR]; n.div_ceil(NR)] }
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
        let run = self.k / left.pieces.len();
        assert_eq!(run * left.pieces.len(), self.k, "pieces of one length");
        assert!(left.end(run) <= x.len() && left.m * self.n <= out.len(), "rows end within the elements");
        if self.n == 1 {
            return self.column(isa, x, left, run, out);
        }
        let product = Product { packed: self, rows: Rows { x, pieces: left.pieces, run }, left };
        // Gathered rows are read as fast from a far cache, and the more of them, the fewer times pass all the panels.
        let fewest = if self.bias.len() < GATHERED { 96 } else { 264 };
        let block = (BLOCK / self.k).clamp(fewest, 4096) / 12 * 12;
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
    left: Left<'a>,
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
        _ if k < 2 * NR => chains::<FMA, T>(&packed.panels.as_flattened()[..k], bias, x, out),
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
        for (x, w) in tail.iter().zip(last.as_flattened()) {
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
    /// The elements of the rows `from..to`, as many as make whole tiles of `ROWS` rows: tile by tile, and in a tile the
    /// first element of each row, then the second.
    fn gather<const ROWS: usize>(&self, from: usize, to: usize) -> Vec<T> {
        let Rows { x, pieces, run } = self.rows;
        let mut gathered = vec![T::ZERO; (to - from) / ROWS * ROWS * self.packed.k];
        let (mut elements, _) = gathered.as_chunks_mut::<ROWS>();
        for row in (from..=to - ROWS).step_by(ROWS) {
            let starts = self.left.starts::<ROWS>(row);
            for &piece in pieces {
                let rows = starts.map(|start| &x[start + piece as usize..][..run]);
                let (these, others) = elements.split_at_mut(run);
                for (i, elements) in these.iter_mut().enumerate() {
                    for (element, row) in elements.iter_mut().zip(rows) {
                        *element = row[i];
                    }
                }
                elements = others;
            }
        }
        gathered
    }

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
                for (s, w) in sum.iter_mut().zip(weights) {
                    *s = value.fma::<FMA>(*w, *s);
                }
            }
        }
    }
    for (r, sum) in sums.iter_mut().enumerate() {
        for (s, b) in sum.iter_mut().zip(&packed.bias[p]) {
            *s += *b;
        }
        product.store(row + r, p, sum, out);
    }
}

/// Defines `multiply` and its tiles of `ROWS` rows and `PANELS` panels, in explicit registers of `$lanes` f32, which the
/// portable form is not always given. The tiles that come first are the best where rows are enough for them; a single row
/// takes four panels at once, since each of its sums waits for the one before it.
///
/// While a panel is multiplied the next one is asked for, a row of it with every [`AHEAD`] rows that are multiplied: the
/// processor's own prefetching starts anew at every panel, and lets the first tile of each wait for memory.
#[cfg(target_arch = "x86_64")]
macro_rules! explicit {
    ($module:ident, $features:literal, $lanes:literal, [$load:ident, $store:ident, $set1:ident, $zero:ident, $fma:ident, $add:ident], [$most:literal, $($rows:literal),*]) => {
        pub(super) mod $module {
            use std::arch::x86_64::{$add, $fma, $load, $set1, $store, $zero};

            use super::{AHEAD, GATHERED, NR, Product, Rows};
            use crate::kernel::{isa::prefetch, left::pointers};

            /// Registers of a panel's row.
            const REGISTERS: usize = NR / $lanes;

            #[target_feature(enable = $features)]
            pub(in crate::kernel) fn multiply(product: &Product<'_, f32>, from: usize, to: usize, out: &mut [f32]) {
                let Product { packed, rows, left } = *product;
                let (k, panels) = (packed.k, packed.bias.len());
                let mut p = 0;
                while to - from < 4 && p + 4 <= panels {
                    for row in from..to {
                        tile::<1, 4, 1>(product, rows, left.starts(row), [row, p, 0], out);
                    }
                    p += 4;
                }
                let gathered =
                    (panels >= GATHERED && to - from >= $most).then(|| product.gather::<$most>(from, to));
                while p < panels {
                    // As far into the next panel as the rows are done.
                    let next = if p + 1 < panels { (p + 1) * k } else { 0 };
                    let ahead = |row: usize| next + (row - from) * k / (to - from);
                    let mut row = from;
                    if let Some(x) = &gathered {
                        let rows = Rows { x, pieces: &[0], run: k };
                        while to - row >= $most {
                            let starts = std::array::from_fn(|r| (row - from) * k + r);
                            tile::<$most, 1, $most>(product, rows, starts, [row, p, ahead(row)], out);
                            row += $most;
                        }
                    }
                    while to - row >= $most {
                        tile::<$most, 1, 1>(product, rows, left.starts(row), [row, p, ahead(row)], out);
                        row += $most;
                    }
                    $(while to - row >= $rows {
                        tile::<$rows, 1, 1>(product, rows, left.starts(row), [row, p, ahead(row)], out);
                        row += $rows;
                    })*
                    p += 1;
                }
            }

            /// The rows of `rows` that begin at `starts` and whose elements are `STEP` apart: those from `row` on, times
            /// the panels from `p` on. What is asked for meanwhile begins `ahead`.
            #[inline]
            #[target_feature(enable = $features)]
            fn tile<const ROWS: usize, const PANELS: usize, const STEP: usize>(
                product: &Product<'_, f32>,
                rows: Rows<'_, f32>,
                starts: [usize; ROWS],
                [row, p, ahead]: [usize; 3],
                out: &mut [f32],
            ) {
                let packed = product.packed;
                let Rows { x, pieces, run } = rows;
                let k = packed.k;
                let mut sums = [[[$zero(); REGISTERS]; PANELS]; ROWS];
                let mut weights = packed.panels[p * k..(p + PANELS) * k].as_ptr().cast::<f32>();
                let mut ahead = packed.panels.as_ptr().wrapping_add(ahead);
                for &piece in pieces {
                    // SAFETY: rows lie within `x`: those of a `Product`, and those gathered here.
                    let at = unsafe { pointers(x, starts, piece) };
                    for i in 0..run {
                        if PANELS == 1 && i % AHEAD == 0 {
                            prefetch(&mut ahead);
                        }
                        let mut w = [[$zero(); REGISTERS]; PANELS];
                        for q in 0..PANELS {
                            for c in 0..REGISTERS {
                                // SAFETY: the slice above holds k rows of each of these panels.
                                w[q][c] = unsafe { $load(weights.add(q * k * NR + c * $lanes)) };
                            }
                        }
                        // SAFETY: one past the last row at most.
                        weights = unsafe { weights.add(NR) };
                        for r in 0..ROWS {
                            // SAFETY: as above.
                            let value = $set1(unsafe { *at[r].add(i * STEP) });
                            for q in 0..PANELS {
                                for c in 0..REGISTERS {
                                    sums[r][q][c] = $fma(value, w[q][c], sums[r][q][c]);
                                }
                            }
                        }
                    }
                }
                for r in 0..ROWS {
                    for q in 0..PANELS {
                        let mut answers = [0.0; NR];
                        for c in 0..REGISTERS {
                            // SAFETY: both arrays hold NR elements.
                            unsafe {
                                let bias = $load(packed.bias[p + q].as_ptr().add(c * $lanes));
                                $store(answers.as_mut_ptr().add(c * $lanes), $add(sums[r][q][c], bias));
                            }
                        }
                        product.store(row + r, p + q, &answers, out);
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
explicit! {
    avx2, "avx2,fma", 8,
    [_mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_fmadd_ps, _mm256_add_ps],
    [6, 4, 2, 1]
}

#[cfg(target_arch = "x86_64")]
explicit! {
    avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma", 16,
    [_mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_fmadd_ps, _mm512_add_ps],
    [12, 8, 4, 1]
}
