//! The product in explicit registers, which the portable form is not always given.

use super::{NR, Product};

/// Rows of a panel that are multiplied for every line of a coming panel that is asked for.
const AHEAD: usize = 4;
/// Gathered rows are multiplied in blocks of at most so many of their elements, so that those of all tiles stay in a near
/// cache; what is summed so far waits in the answers.
const DEPTH: usize = 384;

impl Product<'_, f32> {
    /// Writes the elements `depths`, whole lines of [`NR`], of the `rows` rows of a tile from `row` on: a line of the first row,
    /// of the second, and so on, then the next lines.
    #[inline(always)]
    fn gather(&self, row: usize, rows: usize, depths: std::ops::Range<usize>, gathered: &mut [f32]) {
        let super::Rows { x, pieces, run } = self.rows;
        let (lines, _) = gathered.as_chunks_mut::<NR>();
        for r in 0..rows {
            let start = self.left.place(row + r);
            let mut lines = lines[r..].iter_mut().step_by(rows);
            if let [piece] = pieces {
                let (from, _) = x[start + *piece as usize..][depths.clone()].as_chunks::<NR>();
                from.iter().zip(lines).for_each(|(from, to)| *to = *from);
                continue;
            }
            let mut at = depths.start;
            while let Some(to) = lines.next().filter(|_| at < depths.end) {
                for x_to in to {
                    *x_to = x[start + pieces[at / run] as usize + at % run];
                    at += 1;
                }
            }
        }
    }
}

/// Defines `multiply` and its tiles of `ROWS` rows and `PANELS` panels, at most `$wide` of them, in registers of `$lanes` f32.
/// The tiles that come first are the best where rows are enough for them; a few rows take four panels at once, since each
/// of their sums waits for the one before it. `$gathers` says of a matrix whether its rows are gathered first.
///
/// While panels are multiplied the next ones are asked for: the processor's own prefetching starts anew at every panel, and
/// lets the first tile of each wait for memory.
macro_rules! explicit {
    (
        $module:ident, $features:literal, $lanes:literal, $wide:literal, $gathers:expr,
        [$load:ident, $store:ident, $set1:ident, $zero:ident, $fma:ident, $add:ident], [$($rows:literal),*]
    ) => {
        pub(in crate::kernel) mod $module {
            use std::arch::x86_64::{$add, $fma, $load, $set1, $store, $zero};
            use std::cell::Cell;
            use std::ops::Range;

            use super::super::{NR, Product};
            use super::{AHEAD, DEPTH};
            use crate::kernel::{isa::prefetch, left::pointers};

            /// Registers of a panel's row.
            const REGISTERS: usize = NR / $lanes;

            thread_local! {
                /// Where rows are gathered, as large as the largest block so far.
                static ROOM: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
            }

            /// Some of the rows of a product, and what of their depth is multiplied; the rows may be gathered.
            #[derive(Clone)]
            struct Block<'a> {
                from: usize,
                to: usize,
                depths: Range<usize>,
                gathered: Option<&'a [f32]>,
            }

            #[target_feature(enable = $features)]
            pub(in crate::kernel) fn multiply(product: &Product<'_, f32>, from: usize, to: usize, out: &mut [f32]) {
                let (k, panels) = (product.packed.k, product.packed.bias.len());
                let gathers: fn(usize, usize) -> bool = $gathers;
                let mut block = Block { from, to, depths: 0..k, gathered: None };
                if to - from < 4 || !k.is_multiple_of(NR) || !gathers(k, panels) {
                    return block_of(product, &block, out);
                }
                // In parts of one size, of whole lines.
                let depth = k.div_ceil(k.div_ceil(DEPTH)).next_multiple_of(NR);
                let mut room = ROOM.take();
                if room.len() < (to - from) * depth {
                    room.resize((to - from) * depth, 0.0);
                }
                for start in (0..k).step_by(depth) {
                    block.depths = start..k.min(start + depth);
                    let mut row = from;
                    for rows in [$($rows),*] {
                        while to - row >= rows {
                            let room = &mut room[(row - from) * block.depths.len()..];
                            product.gather(row, rows, block.depths.clone(), room);
                            row += rows;
                        }
                    }
                    block_of(product, &Block { gathered: Some(&room), ..block.clone() }, out);
                }
                ROOM.set(room);
            }

            /// The rows of a block times all panels.
            #[inline]
            #[target_feature(enable = $features)]
            fn block_of(product: &Product<'_, f32>, block: &Block<'_>, out: &mut [f32]) {
                let (panels, whole) = (product.packed.bias.len(), product.packed.n / NR);
                let mut p = 0;
                if block.to - block.from < 4 {
                    while p < panels {
                        let count = (panels - p).min(4);
                        match (count, p + count <= whole) {
                            (1, true) => few::<1, true>(product, block, p, out),
                            (1, false) => few::<1, false>(product, block, p, out),
                            (2, true) => few::<2, true>(product, block, p, out),
                            (2, false) => few::<2, false>(product, block, p, out),
                            (3, true) => few::<3, true>(product, block, p, out),
                            (3, false) => few::<3, false>(product, block, p, out),
                            (_, true) => few::<4, true>(product, block, p, out),
                            (_, false) => few::<4, false>(product, block, p, out),
                        }
                        p += count;
                    }
                    return;
                }
                while p < whole {
                    p += match whole - p {
                        1 => column::<1, true>(product, block, p, out),
                        // Two and two rather than three and one.
                        2 | 4 if $wide > 1 => column::<2, true>(product, block, p, out),
                        _ => column::<$wide, true>(product, block, p, out),
                    };
                }
                if whole < panels {
                    column::<1, false>(product, block, whole, out);
                }
            }

            /// Few rows of a block times `PANELS` panels, of which `WHOLE` says whether all columns are there.
            #[inline]
            #[target_feature(enable = $features)]
            fn few<const PANELS: usize, const WHOLE: bool>(
                product: &Product<'_, f32>,
                block: &Block<'_>,
                p: usize,
                out: &mut [f32],
            ) {
                let mut row = block.from;
                // Two at once where their sums fit into the registers.
                while block.to - row >= 2 && 2 * PANELS * REGISTERS <= 12 {
                    tile::<2, PANELS, WHOLE>(product, block, [row, p, 0], out);
                    row += 2;
                }
                for row in row..block.to {
                    tile::<1, PANELS, WHOLE>(product, block, [row, p, 0], out);
                }
            }

            /// The rows of a block times `PANELS` panels, of which `WHOLE` says whether all columns are there: how many they
            /// are.
            #[inline]
            #[target_feature(enable = $features)]
            fn column<const PANELS: usize, const WHOLE: bool>(
                product: &Product<'_, f32>,
                block: &Block<'_>,
                p: usize,
                out: &mut [f32],
            ) -> usize {
                let (k, panels) = (product.packed.k, product.packed.bias.len());
                let Block { from, to, ref depths, .. } = *block;
                // As far into the next panels as the rows are done.
                let next = if p + PANELS < panels { (p + PANELS) * k + depths.start } else { 0 };
                let mut row = from;
                $(while to - row >= $rows {
                    let ahead = next + (row - from) * depths.len() / (to - from);
                    tile::<$rows, PANELS, WHOLE>(product, block, [row, p, ahead], out);
                    row += $rows;
                })*
                PANELS
            }

            /// The rows from `row` on times the panels from `p` on. What is asked for meanwhile begins `ahead`.
            #[inline]
            #[target_feature(enable = $features)]
            fn tile<const ROWS: usize, const PANELS: usize, const WHOLE: bool>(
                product: &Product<'_, f32>,
                block: &Block<'_>,
                [row, p, ahead]: [usize; 3],
                out: &mut [f32],
            ) {
                let (packed, depths) = (product.packed, &block.depths);
                let (k, n) = (packed.k, packed.n);
                // Answers of panels without all of their columns go through lines of NR.
                let mut lines = [[[0.0; NR]; PANELS]; ROWS];
                let width = if WHOLE { PANELS * NR } else { n - p * NR };
                // The end of the last row is within, and so are all others.
                let out = &mut out[row * n + p * NR..][..(ROWS - 1) * n + width];
                let (at, stride) = if WHOLE { (out.as_mut_ptr(), n) } else { (lines.as_mut_ptr().cast(), PANELS * NR) };
                let mut sums = [[[$zero(); REGISTERS]; PANELS]; ROWS];
                if depths.start > 0 {
                    if !WHOLE {
                        for r in 0..ROWS {
                            // SAFETY: a line of NR, in the slice that `at` was made of.
                            unsafe { at.add(r * stride).copy_from_nonoverlapping(out[r * n..][..width].as_ptr(), width) };
                        }
                    }
                    for r in 0..ROWS {
                        for q in 0..PANELS {
                            for c in 0..REGISTERS {
                                // SAFETY: `at` leads to NR answers of each row and panel.
                                sums[r][q][c] = unsafe { $load(at.add(r * stride + q * NR + c * $lanes)) };
                            }
                        }
                    }
                }
                let (x, pieces, run, starts) = match block.gathered {
                    Some(x) => {
                        let start = (row - block.from) * depths.len();
                        let x = &x[start..][..ROWS * depths.len()];
                        (x, depths.len() / NR, NR, std::array::from_fn(|r| r * NR))
                    }
                    None => (product.rows.x, product.rows.pieces.len(), product.rows.run, product.left.starts(row)),
                };
                let mut weights = packed.panels[p * k..(p + PANELS) * k][depths.start..].as_ptr().cast::<f32>();
                let mut ahead = packed.panels.as_ptr().wrapping_add(ahead);
                for i in 0..pieces {
                    let piece = if block.gathered.is_some() { (i * ROWS * NR) as u32 } else { product.rows.pieces[i] };
                    // SAFETY: rows lie within `x`: those of a `Product`, and those gathered here.
                    let at: [_; ROWS] = unsafe { pointers(x, starts, piece) };
                    for i in 0..run {
                        if ROWS > 1 && i % AHEAD == 0 {
                            for q in 0..PANELS {
                                prefetch(&mut ahead.wrapping_add(q * k));
                            }
                            ahead = ahead.wrapping_add(1);
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
                            let value = $set1(unsafe { *at[r].add(i) });
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
                        for c in 0..REGISTERS {
                            // SAFETY: as above; the bias has NR elements for each panel.
                            unsafe {
                                let bias = $load(packed.bias[p + q].as_ptr().add(c * $lanes));
                                let sum = sums[r][q][c];
                                let sum = if depths.end == k { $add(sum, bias) } else { sum };
                                $store(at.add(r * stride + q * NR + c * $lanes), sum);
                            }
                        }
                    }
                }
                if !WHOLE {
                    for r in 0..ROWS {
                        // SAFETY: as above.
                        unsafe { out[r * n..][..width].as_mut_ptr().copy_from_nonoverlapping(at.add(r * stride), width) };
                    }
                }
            }
        }
    };
}

explicit! {
    avx2, "avx2,fma", 8, 1, |_, panels| panels >= 96,
    [_mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_fmadd_ps, _mm256_add_ps],
    [6, 4, 2, 1]
}

// Rows that lie a multiple of 2 KiB apart share few places of the nearest cache.
explicit! {
    avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma", 16, 3, |k, panels| panels >= 64 && k.is_multiple_of(512),
    [_mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_fmadd_ps, _mm512_add_ps],
    [8, 4, 2, 1]
}
