use std::ops::Range;

use super::dot::Kind;
use super::finish::Finish;
use super::matrix::{ByteMatrix, NR, Panels};
use super::rows::Bytes;
use crate::kernel::Left;
#[cfg(target_arch = "x86_64")]
use crate::kernel::{isa::prefetch, left::pointers};

/// Rows are taken in blocks of about so many numbers, which stay in a near cache while the panels pass by.
const BLOCK: usize = 1 << 16;

impl ByteMatrix {
    /// Hands `finish` the exact product of each row of `left` in `x`, both less their zero points, with the matrix.
    ///
    /// # Panics
    /// When `x` is for other instructions, or rows reach past its end or are of another length.
    pub(crate) fn multiply<F: Finish>(&self, x: &Bytes, left: Left<'_>, finish: &mut F) {
        assert_eq!(x.dot, self.dot, "numbers and matrix are laid out for the same instructions");
        assert_eq!(left.pieces.len(), self.segments, "a row has as many pieces as the matrix");
        let steps = self.run.div_ceil(self.dot.step());
        assert!(left.end(steps * self.dot.step()) <= x.len(), "rows end within the numbers");
        let sums = if self.zeros.is_empty() { Vec::new() } else { self.row_sums(x, left) };
        let panel = self.segments * steps * self.dot.step() * NR;
        let block = (BLOCK / self.k().max(1)).clamp(96, 4096) / 12 * 12;
        let mut from = 0;
        while from < left.m {
            let to = left.m.min(from + block);
            for p in 0..self.n.div_ceil(NR) {
                let mut done = Corrected { matrix: self, panel: p, sums: &sums, zero: x.zero, finish: &mut *finish };
                let at = p * panel..(p + 1) * panel;
                let next = if p + 1 < self.n.div_ceil(NR) { at.end } else { 0 };
                let tile = Tiles { left, from, to, steps, at: at.clone(), next };
                match (&self.panels, self.dot.kind()) {
                    (Panels::Wide(all), Kind::Scalar) => scalar(&tile, &x.wide, &all[at], &mut done),
                    (Panels::Bytes(all), Kind::Scalar) => scalar(&tile, &x.wide, &all[at], &mut done),
                    // SAFETY: a `Dot` of this kind exists only where the processor was found to have the instructions;
                    // rows end within `x` and panels within the matrix, as was asserted.
                    #[cfg(target_arch = "x86_64")]
                    (Panels::Wide(all), Kind::Avx2) => unsafe { avx2::panel(&tile, &x.wide, all, &mut done) },
                    // SAFETY: as above.
                    #[cfg(target_arch = "x86_64")]
                    (Panels::Bytes(all), Kind::Avx2) => unsafe { avx2::panel(&tile, &x.wide, all, &mut done) },
                    // SAFETY: as above.
                    #[cfg(target_arch = "x86_64")]
                    (Panels::Bytes(all), Kind::AvxVnni) => unsafe {
                        avx_vnni::panel(&tile, &x.narrow, all, &mut done);
                    },
                    // SAFETY: as above.
                    #[cfg(target_arch = "x86_64")]
                    (Panels::Bytes(all), Kind::Avx512Vnni) => unsafe {
                        avx512_vnni::panel(&tile, &x.narrow, all, &mut done);
                    },
                    #[cfg(target_arch = "x86_64")]
                    (Panels::Wide(_), Kind::AvxVnni | Kind::Avx512Vnni) => {
                        unreachable!("only what is taken by twos is widened")
                    }
                }
            }
            from = to;
        }
    }

    /// The sum of each row, less its zero points.
    fn row_sums(&self, x: &Bytes, left: Left<'_>) -> Vec<i32> {
        let sum = |start: usize| (start..start + self.run).fold(0i32, |sum, i| sum.wrapping_add(x.at(i)));
        let of_row = |row| left.pieces.iter().fold(0i32, |all, &p| all.wrapping_add(sum(left.place(row) + p as usize)));
        (0..left.m).map(of_row).collect()
    }
}

/// Passes sums on with the zero points taken off.
struct Corrected<'a, F> {
    matrix: &'a ByteMatrix,
    panel: usize,
    sums: &'a [i32],
    /// The zero point of the bytes, which is still in sums of four.
    zero: i32,
    finish: &'a mut F,
}

impl<F: Finish> Corrected<'_, F> {
    #[inline(always)]
    fn take(&mut self, row: usize, mut sums: [i32; NR]) {
        let columns = self.panel * NR..(self.panel + 1) * NR;
        if !self.matrix.sums.is_empty() {
            let all = &self.matrix.sums[columns.clone()];
            for j in 0..NR {
                sums[j] = sums[j].wrapping_sub(self.zero.wrapping_mul(all[j]));
            }
        }
        if !self.matrix.zeros.is_empty() {
            let (zeros, sum) = (&self.matrix.zeros[columns], self.sums[row]);
            for j in 0..NR {
                sums[j] = sums[j].wrapping_sub(sum.wrapping_mul(zeros[j]));
            }
        }
        self.finish.finish(row, self.panel, &sums);
    }
}

/// Some rows, and how many steps each of their pieces has.
struct Tiles<'a> {
    left: Left<'a>,
    from: usize,
    to: usize,
    steps: usize,
    /// Where the weights of the panel lie.
    at: Range<usize>,
    /// Where those of the next one begin, which is asked for meanwhile, a line at a time: the processor's own prefetching
    /// starts anew at every panel, and lets the first rows of each wait for memory.
    next: usize,
}

#[cfg(target_arch = "x86_64")]
impl Tiles<'_> {
    /// Where in `all` the tile of the rows from `row` on begins to ask for the next panel: as far in it as rows are done.
    #[inline(always)]
    fn ahead<W>(&self, all: &[W], row: usize) -> *const W {
        all.as_ptr().wrapping_add(self.next + (row - self.from) * self.at.len() / (self.to - self.from))
    }
}

fn scalar<W: Copy + Into<i32>, F: Finish>(tiles: &Tiles<'_>, x: &[i16], panel: &[W], done: &mut Corrected<'_, F>) {
    for row in tiles.from..tiles.to {
        let mut sums = [0i32; NR];
        let mut steps = panel.chunks_exact(2 * NR);
        for &piece in tiles.left.pieces {
            let start = tiles.left.place(row) + piece as usize;
            for (pair, weights) in x[start..].chunks_exact(2).zip(steps.by_ref().take(tiles.steps)) {
                for (sum, w) in sums.iter_mut().zip(weights.chunks_exact(2)) {
                    let products = i32::from(pair[0]) * w[0].into() + i32::from(pair[1]) * w[1].into();
                    *sum = sum.wrapping_add(products);
                }
            }
        }
        done.take(row, sums);
    }
}

/// Defines `panel`, which multiplies the rows of some tiles with one panel by `tile::<ROWS>`, the most rows first.
#[cfg(target_arch = "x86_64")]
macro_rules! by_rows {
    ($features:literal, $x:ty, $weight:ident, $bound:path, [$most:literal, $($rows:literal),*]) => {
        /// # Safety
        /// Rows must end within `x`, and the panel in `all` must have the steps of all pieces.
        #[target_feature(enable = $features)]
        pub(super) unsafe fn panel<$weight: $bound, F: Finish>(
            tiles: &Tiles<'_>,
            x: &[$x],
            all: &[$weight],
            done: &mut Corrected<'_, F>,
        ) {
            let panel = &all[tiles.at.clone()];
            let mut row = tiles.from;
            while tiles.to - row >= $most {
                // SAFETY: as promised by the caller.
                unsafe { tile::<$most, $weight, F>(tiles, row, x, panel, tiles.ahead(all, row), done) };
                row += $most;
            }
            $(while tiles.to - row >= $rows {
                // SAFETY: as above.
                unsafe { tile::<$rows, $weight, F>(tiles, row, x, panel, tiles.ahead(all, row), done) };
                row += $rows;
            })*
        }
    };
}

/// Pairs of i16.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{Corrected, Finish, NR, Tiles, pointers, prefetch};

    /// The sums of both halves of a panel.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn joined(low: __m256i, high: __m256i) -> [i32; NR] {
        let mut sums = [0i32; NR];
        // SAFETY: the array has room for two registers.
        unsafe {
            _mm256_storeu_si256(sums.as_mut_ptr().cast(), low);
            _mm256_storeu_si256(sums.as_mut_ptr().add(8).cast(), high);
        }
        sums
    }

    /// A weight as it lies in memory.
    pub(super) trait Weight: Copy {
        /// # Safety
        /// Sixteen must be readable, and the processor have AVX2.
        unsafe fn load(at: *const Self) -> __m256i;
    }

    impl Weight for i16 {
        #[inline(always)]
        unsafe fn load(at: *const Self) -> __m256i {
            // SAFETY: as promised by the caller.
            unsafe { _mm256_loadu_si256(at.cast()) }
        }
    }

    impl Weight for i8 {
        #[inline(always)]
        unsafe fn load(at: *const Self) -> __m256i {
            // SAFETY: as promised by the caller.
            unsafe { _mm256_cvtepi8_epi16(_mm_loadu_si128(at.cast())) }
        }
    }

    by_rows!("avx2,fma", i16, W, Weight, [6, 4, 2, 1]);

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile<const ROWS: usize, W: Weight, F: Finish>(
        tiles: &Tiles<'_>,
        row: usize,
        x: &[i16],
        panel: &[W],
        mut ahead: *const W,
        done: &mut Corrected<'_, F>,
    ) {
        let starts = tiles.left.starts::<ROWS>(row);
        let mut low = [_mm256_setzero_si256(); ROWS];
        let mut high = [_mm256_setzero_si256(); ROWS];
        let mut weights = panel.as_ptr();
        for &piece in tiles.left.pieces {
            // SAFETY: rows end within `x`.
            let at = unsafe { pointers(x, starts, piece) };
            for step in 0..tiles.steps {
                if step % 8 == 0 {
                    prefetch(&mut ahead);
                }
                // SAFETY: a panel has 32 weights for each step of each piece, and each piece as many pairs as steps.
                unsafe {
                    let (w0, w1) = (W::load(weights), W::load(weights.add(NR)));
                    weights = weights.add(2 * NR);
                    for r in 0..ROWS {
                        let pair = _mm256_set1_epi32(at[r].add(2 * step).cast::<i32>().read_unaligned());
                        low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(pair, w0));
                        high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(pair, w1));
                    }
                }
            }
        }
        for r in 0..ROWS {
            done.take(row + r, joined(low[r], high[r]));
        }
    }
}

/// Fours of bytes in 256 bits.
#[cfg(target_arch = "x86_64")]
mod avx_vnni {
    use std::arch::x86_64::*;

    use super::avx2::joined;
    use super::{Corrected, Finish, NR, Tiles, pointers, prefetch};

    by_rows!("avx2,fma,avxvnni", u8, W, Byte, [6, 4, 2, 1]);

    /// i8.
    pub(super) trait Byte: Copy {}
    impl Byte for i8 {}

    #[inline]
    #[target_feature(enable = "avx2,fma,avxvnni")]
    unsafe fn tile<const ROWS: usize, W: Byte, F: Finish>(
        tiles: &Tiles<'_>,
        row: usize,
        x: &[u8],
        panel: &[W],
        mut ahead: *const W,
        done: &mut Corrected<'_, F>,
    ) {
        let starts = tiles.left.starts::<ROWS>(row);
        let mut low = [_mm256_setzero_si256(); ROWS];
        let mut high = [_mm256_setzero_si256(); ROWS];
        let mut weights = panel.as_ptr();
        for &piece in tiles.left.pieces {
            // SAFETY: rows end within `x`.
            let at = unsafe { pointers(x, starts, piece) };
            for step in 0..tiles.steps {
                if step % 4 == 0 {
                    prefetch(&mut ahead);
                }
                // SAFETY: a panel has 64 weights for each step of each piece, and each piece as many fours as steps.
                unsafe {
                    let w0 = _mm256_loadu_si256(weights.cast());
                    let w1 = _mm256_loadu_si256(weights.add(2 * NR).cast());
                    weights = weights.add(4 * NR);
                    for r in 0..ROWS {
                        let four = _mm256_set1_epi32(at[r].add(4 * step).cast::<i32>().read_unaligned());
                        low[r] = _mm256_dpbusd_avx_epi32(low[r], four, w0);
                        high[r] = _mm256_dpbusd_avx_epi32(high[r], four, w1);
                    }
                }
            }
        }
        for r in 0..ROWS {
            done.take(row + r, joined(low[r], high[r]));
        }
    }
}

/// Fours of bytes in 512 bits.
#[cfg(target_arch = "x86_64")]
mod avx512_vnni {
    use std::arch::x86_64::*;

    use super::avx_vnni::Byte;
    use super::{Corrected, Finish, NR, Tiles, pointers, prefetch};

    by_rows!("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma", u8, W, Byte, [12, 4, 1]);

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
    unsafe fn tile<const ROWS: usize, W: Byte, F: Finish>(
        tiles: &Tiles<'_>,
        row: usize,
        x: &[u8],
        panel: &[W],
        mut ahead: *const W,
        done: &mut Corrected<'_, F>,
    ) {
        let starts = tiles.left.starts::<ROWS>(row);
        // Even and odd steps add up apart: a sum waits for the one before it, and few rows alone would wait each time.
        let mut even = [_mm512_setzero_si512(); ROWS];
        let mut odd = [_mm512_setzero_si512(); ROWS];
        let mut weights = panel.as_ptr();
        for &piece in tiles.left.pieces {
            // SAFETY: rows end within `x`.
            let at = unsafe { pointers(x, starts, piece) };
            let mut step = 0;
            while step + 2 <= tiles.steps {
                prefetch(&mut ahead);
                // SAFETY: a panel has 64 weights for each step of each piece, and each piece as many fours as steps.
                unsafe {
                    let w0 = _mm512_loadu_si512(weights.cast());
                    let w1 = _mm512_loadu_si512(weights.add(4 * NR).cast());
                    weights = weights.add(8 * NR);
                    for r in 0..ROWS {
                        let four = at[r].add(4 * step).cast::<i32>();
                        even[r] = _mm512_dpbusd_epi32(even[r], _mm512_set1_epi32(four.read_unaligned()), w0);
                        odd[r] = _mm512_dpbusd_epi32(odd[r], _mm512_set1_epi32(four.add(1).read_unaligned()), w1);
                    }
                }
                step += 2;
            }
            if step < tiles.steps {
                // SAFETY: as above.
                unsafe {
                    let w = _mm512_loadu_si512(weights.cast());
                    weights = weights.add(4 * NR);
                    for r in 0..ROWS {
                        let four = at[r].add(4 * step).cast::<i32>();
                        even[r] = _mm512_dpbusd_epi32(even[r], _mm512_set1_epi32(four.read_unaligned()), w);
                    }
                }
            }
        }
        for r in 0..ROWS {
            let mut sums = [0i32; NR];
            // SAFETY: the array has room for the register.
            unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), _mm512_add_epi32(even[r], odd[r])) };
            done.take(row + r, sums);
        }
    }
}
