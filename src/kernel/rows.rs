use super::Isa;
use super::exp::exp_f32;
#[cfg(target_arch = "x86_64")]
use super::isa::Level;
use super::isa::dispatch;

/// Elements taken together.
pub(super) const LANES: usize = 16;

/// The softmax of each row of `values` (m, n): e^(x - max) over its sum.
pub(crate) fn softmax_rows(isa: Isa, values: &mut [f32], n: usize) {
    match n {
        0 => {}
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` of this level exists only where the processor was found to have AVX-512.
        1..=LANES if isa.level() == Level::Avx512 => unsafe { avx512::narrow(values, n) },
        1..=LANES => narrow(isa, values, n),
        _ => wide(isa, values, n),
    }
}

dispatch! { fn narrow(values: &mut [f32], n: usize) = narrow_body }
dispatch! { fn wide(values: &mut [f32], n: usize) = wide_body }

/// Short rows, many side by side, so that no lane of the exponentials is idle.
#[inline(always)]
fn narrow_body<const FMA: bool>(values: &mut [f32], n: usize) {
    const BLOCK: usize = 16 * LANES;
    let mut block = [0.0f32; BLOCK];
    for rows in values.chunks_mut(BLOCK / n * n) {
        let block = &mut block[..rows.len().next_multiple_of(LANES)];
        for (shifted, row) in block.chunks_exact_mut(n).zip(rows.chunks_exact(n)) {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, larger);
            for (s, v) in shifted.iter_mut().zip(row) {
                *s = *v - max;
            }
        }
        for lanes in block.as_chunks_mut::<LANES>().0 {
            for v in lanes {
                *v = exp_f32::<FMA>(*v);
            }
        }
        for (row, exps) in rows.chunks_exact_mut(n).zip(block.chunks_exact(n)) {
            let scale = 1.0 / exps.iter().sum::<f32>();
            for (v, e) in row.iter_mut().zip(exps) {
                *v = *e * scale;
            }
        }
    }
}

#[inline(always)]
fn wide_body<const FMA: bool>(values: &mut [f32], n: usize) {
    for row in values.chunks_exact_mut(n) {
        let mut most = [f32::NEG_INFINITY; LANES];
        let chunks = row.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (m, v) in most.iter_mut().zip(chunk) {
                *m = larger(*m, *v);
            }
        }
        for (m, v) in most.iter_mut().zip(rest) {
            *m = larger(*m, *v);
        }
        let max = folded(most, larger);
        let mut sums = [0.0f32; LANES];
        let mut chunks = row.chunks_exact_mut(LANES);
        for chunk in chunks.by_ref() {
            for (v, s) in chunk.iter_mut().zip(&mut sums) {
                *v = exp_f32::<FMA>(*v - max);
                *s += *v;
            }
        }
        for (v, s) in chunks.into_remainder().iter_mut().zip(&mut sums) {
            *v = exp_f32::<FMA>(*v - max);
            *s += *v;
        }
        let scale = 1.0 / folded(sums, |a, b| a + b);
        for v in row {
            *v *= scale;
        }
    }
}

/// The larger of two; a NaN may be dropped, and comes back through the sum of the exponentials.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The lanes folded in halves.
#[inline(always)]
pub(super) fn folded(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// A row in one register, explicitly: the portable form goes through memory.
#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::LANES;

    /// Softmax of rows of `n` elements, 1 to 16.
    #[target_feature(enable = "avx512f")]
    pub(super) fn narrow(values: &mut [f32], n: usize) {
        debug_assert!((1..=LANES).contains(&n));
        let rest = together::<8>(values, n);
        let rest = together::<4>(rest, n);
        let rest = together::<2>(rest, n);
        together::<1>(rest, n);
    }

    /// The softmax of rows, `R` at a time; those that are left over. All are read before any is written: to the processor a
    /// masked store reaches past its row, and whoever reads there waits for it.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn together<const R: usize>(values: &mut [f32], n: usize) -> &mut [f32] {
        let mask: __mmask16 = ((1u32 << n) - 1) as u16;
        let nothing = _mm512_set1_ps(f32::NEG_INFINITY);
        let mut groups = values.chunks_exact_mut(R * n);
        for group in groups.by_ref() {
            let mut x = [nothing; R];
            for (x, row) in x.iter_mut().zip(group.chunks_exact(n)) {
                // SAFETY: the mask keeps to the `n` elements of the row.
                *x = unsafe { _mm512_mask_loadu_ps(nothing, mask, row.as_ptr()) };
            }
            for x in &mut x {
                let max = _mm512_set1_ps(_mm512_reduce_max_ps(*x));
                let e = _mm512_maskz_mov_ps(mask, exp(_mm512_sub_ps(*x, max)));
                *x = _mm512_mul_ps(e, _mm512_set1_ps(1.0 / _mm512_reduce_add_ps(e)));
            }
            for (x, row) in x.iter().zip(group.chunks_exact_mut(n)) {
                // SAFETY: as above.
                unsafe { _mm512_mask_storeu_ps(row.as_mut_ptr(), mask, *x) };
            }
        }
        groups.into_remainder()
    }

    /// e^x for x up to 0; the polynomial is that of [`exp_f32`](super::exp_f32).
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn exp(x: __m512) -> __m512 {
        // Of a NaN and a number `max` gives its second operand. Below -104 the answer is 0 in any case.
        let x = _mm512_max_ps(_mm512_set1_ps(-104.0), x);
        let n = _mm512_roundscale_ps::<0>(_mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E)));
        let r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0.693_359_4), x);
        let r = _mm512_fmadd_ps(n, _mm512_set1_ps(2.121_944_4e-4), r);
        let mut p = _mm512_set1_ps(1.987_569_1e-4);
        for c in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
            p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
        }
        let p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0));
        _mm512_scalef_ps(p, n)
    }
}
