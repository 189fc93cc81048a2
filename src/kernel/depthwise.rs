use super::isa::dispatch;
use super::{Isa, Left};

/// Channels computed together.
const LANES: usize = 16;

/// One filter for each channel: for each window of `left` in `x`, the sum over its places of `weights` (places, channels)
/// times the channels there, plus `bias`, into `out` (windows, channels).
///
/// # Panics
/// When windows reach past the end of `x` or lengths do not fit.
pub(crate) fn depthwise(isa: Isa, x: &[f32], left: Left<'_>, weights: &[f32], bias: &[f32], out: &mut [f32]) {
    let channels = bias.len();
    assert!(left.end(channels) <= x.len() && weights.len() == left.pieces.len() * channels, "windows end within");
    assert_eq!(out.len(), left.m * channels, "one answer for each window and channel");
    if channels > 0 {
        filters(isa, x, left, weights, bias, out);
    }
}

dispatch! { fn filters(x: &[f32], left: Left<'_>, weights: &[f32], bias: &[f32], out: &mut [f32]) = filters_body }

#[inline(always)]
fn filters_body<const FMA: bool>(x: &[f32], left: Left<'_>, weights: &[f32], bias: &[f32], out: &mut [f32]) {
    let channels = bias.len();
    let fma = |a: f32, b: f32, c: f32| if FMA { a.mul_add(b, c) } else { a * b + c };
    for (row, out) in out.chunks_exact_mut(channels).enumerate() {
        let start = left.place(row);
        let (chunks, rest) = out.as_chunks_mut::<LANES>();
        let whole = chunks.len() * LANES;
        for (first, out) in chunks.iter_mut().enumerate().map(|(i, out)| (i * LANES, out)) {
            let mut sums = [0.0; LANES];
            for (place, piece) in left.pieces.iter().enumerate() {
                let at = start + *piece as usize + first;
                let (x, w) = (&x[at..at + LANES], &weights[place * channels + first..][..LANES]);
                for i in 0..LANES {
                    sums[i] = fma(x[i], w[i], sums[i]);
                }
            }
            for i in 0..LANES {
                out[i] = sums[i] + bias[first + i];
            }
        }
        for (c, out) in rest.iter_mut().enumerate().map(|(i, out)| (whole + i, out)) {
            let mut sum = 0.0;
            for (place, piece) in left.pieces.iter().enumerate() {
                sum = fma(x[start + *piece as usize + c], weights[place * channels + c], sum);
            }
            *out = sum + bias[c];
        }
    }
}
