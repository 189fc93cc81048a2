use super::Isa;
use super::exp::exp_f32;
use super::isa::dispatch;

/// Elements taken together.
const LANES: usize = 16;

/// The softmax of each row of `values` (m, n): e^(x - max) over its sum.
pub(crate) fn softmax_rows(isa: Isa, values: &mut [f32], n: usize) {
    match n {
        0 => {}
        1..=LANES => narrow(isa, values, n),
        _ => wide(isa, values, n),
    }
}

dispatch! { fn narrow(values: &mut [f32], n: usize) = narrow_body }
dispatch! { fn wide(values: &mut [f32], n: usize) = wide_body }

/// Rows that fit into one register.
#[inline(always)]
fn narrow_body<const FMA: bool>(values: &mut [f32], n: usize) {
    for row in values.chunks_exact_mut(n) {
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for (lane, v) in lanes.iter_mut().zip(row.iter()) {
            *lane = *v;
        }
        let max = folded(lanes, larger);
        for lane in &mut lanes {
            *lane = exp_f32::<FMA>(*lane - max);
        }
        let scale = 1.0 / folded(lanes, |a, b| a + b);
        for (v, lane) in row.iter_mut().zip(lanes) {
            *v = lane * scale;
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
fn folded(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}
