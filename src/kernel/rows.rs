use super::Isa;
use super::exp::exp_f32;
use super::isa::dispatch;

/// The softmax of each row of `values` (m, n): e^(x - max) over its sum. The exponentials are summed in order.
pub(crate) fn softmax_rows(isa: Isa, values: &mut [f32], n: usize) {
    if n > 0 {
        softmax(isa, values, n);
    }
}

dispatch! { fn softmax(values: &mut [f32], n: usize) = softmax_body }

#[inline(always)]
fn softmax_body<const FMA: bool>(values: &mut [f32], n: usize) {
    const LANES: usize = 16;
    for row in values.chunks_exact_mut(n) {
        // A NaN anywhere must reach every element, and `max` drops it.
        let max = row.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        let mut sums = [0.0f32; LANES];
        let mut chunks = row.chunks_exact_mut(LANES);
        for chunk in chunks.by_ref() {
            for (v, s) in chunk.iter_mut().zip(&mut sums) {
                *v = exp_f32::<FMA>(*v - max);
                *s += *v;
            }
        }
        let rest = chunks.into_remainder();
        let mut padded = [f32::NEG_INFINITY; LANES];
        for (p, v) in padded.iter_mut().zip(rest.iter()) {
            *p = *v - max;
        }
        for (p, s) in padded.iter_mut().zip(&mut sums) {
            *p = exp_f32::<FMA>(*p);
            *s += *p;
        }
        for (v, p) in rest.iter_mut().zip(padded) {
            *v = p;
        }
        let mut width = LANES / 2;
        while width > 0 {
            for i in 0..width {
                sums[i] += sums[i + width];
            }
            width /= 2;
        }
        let scale = 1.0 / sums[0];
        for v in row {
            *v *= scale;
        }
    }
}
