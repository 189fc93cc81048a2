//! What stands between the matrix products of a transformer.

use super::Isa;
#[cfg(feature = "candle")]
use super::exp::logistic_f32;
use super::isa::dispatch;
use super::rows::{LANES, folded, softmax_rows};

/// The error function of every element.
pub(crate) fn erf_in_place(isa: Isa, values: &mut [f32]) {
    erfs(isa, values);
}

/// x Φ(x) of every element, Φ the distribution function of the standard normal.
pub(crate) fn gelu_in_place(isa: Isa, values: &mut [f32]) {
    gelus(isa, values);
}

/// The softmax of every row of `values` (m, n) times `scale`.
pub(crate) fn scaled_softmax_rows(isa: Isa, values: &mut [f32], n: usize, scale: f32) {
    if scale != 1.0 {
        times(isa, values, scale);
    }
    softmax_rows(isa, values, n);
}

/// The layer normalisation of every row of `values` (m, n), plus `residual` (m, n) where it is not empty.
pub(crate) fn norm_rows(isa: Isa, values: &mut [f32], residual: &[f32], norm: LayerNorm<'_>) {
    norms(isa, values, residual, norm);
}

dispatch! { fn erfs(values: &mut [f32]) = erfs_body }
dispatch! { fn gelus(values: &mut [f32]) = gelus_body }
dispatch! { fn times(values: &mut [f32], scale: f32) = times_body }
dispatch! { fn norms(values: &mut [f32], residual: &[f32], norm: LayerNorm<'_>) = norms_body }

#[inline(always)]
fn erfs_body<const FMA: bool>(values: &mut [f32]) {
    values.iter_mut().for_each(|x| *x = erf_f32::<FMA>(*x));
}

#[inline(always)]
fn gelus_body<const FMA: bool>(values: &mut [f32]) {
    for x in values {
        let half = 0.5 * *x;
        *x = half + half * erf_f32::<FMA>(*x * std::f32::consts::FRAC_1_SQRT_2);
    }
}

#[inline(always)]
fn times_body<const FMA: bool>(values: &mut [f32], scale: f32) {
    values.iter_mut().for_each(|x| *x *= scale);
}

#[inline(always)]
fn norms_body<const FMA: bool>(values: &mut [f32], residual: &[f32], norm: LayerNorm<'_>) {
    let n = norm.scale.len();
    let mut residuals = residual.chunks_exact(n);
    for row in values.chunks_exact_mut(n) {
        if let Some(residual) = residuals.next() {
            row.iter_mut().zip(residual).for_each(|(v, r)| *v += *r);
        }
        standardise(row, norm);
    }
}

/// One row brought to mean 0 and variance 1, scaled and shifted.
#[inline(always)]
fn standardise(row: &mut [f32], norm: LayerNorm<'_>) {
    let n = row.len() as f32;
    let mean = sum(row, |v| v) / n;
    let variance = sum(row, |v| (v - mean) * (v - mean)) / n;
    let factor = 1.0 / (variance + norm.epsilon).sqrt();
    for ((v, scale), shift) in row.iter_mut().zip(norm.scale).zip(norm.shift) {
        *v = (*v - mean) * factor * *scale + *shift;
    }
}

/// What follows a matrix product in the same pass over its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg(feature = "candle")]
pub(crate) enum Epilogue {
    /// x + bias.
    Bias,
    /// x Φ(x) of x + bias, Φ the distribution function of the standard normal.
    Gelu,
    /// The approximation of the same by a hyperbolic tangent.
    GeluTanh,
    /// The larger of 0 and x + bias.
    Relu,
}

#[cfg(feature = "candle")]
dispatch! { fn plain(values: &mut [f32], bias: &[f32]) = plain_body }
#[cfg(feature = "candle")]
dispatch! { fn gelu(values: &mut [f32], bias: &[f32]) = gelu_body }
#[cfg(feature = "candle")]
dispatch! { fn gelu_tanh(values: &mut [f32], bias: &[f32]) = gelu_tanh_body }
#[cfg(feature = "candle")]
dispatch! { fn relu(values: &mut [f32], bias: &[f32]) = relu_body }
#[cfg(feature = "candle")]
dispatch! { fn scaled(values: &mut [f32], scale: f32, mask: &[f32]) = scaled_body }
#[cfg(feature = "candle")]
dispatch! { fn normed(values: &mut [f32], bias: &[f32], residual: &[f32], norm: LayerNorm<'_>) = normed_body }

/// The scale (n,), shift (n,) and epsilon of a layer normalisation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerNorm<'n> {
    pub(crate) scale: &'n [f32],
    pub(crate) shift: &'n [f32],
    pub(crate) epsilon: f32,
}

/// The epilogue of every row of `values` (m, n) with `bias` (n,).
#[cfg(feature = "candle")]
pub(crate) fn finish_rows(isa: Isa, epilogue: Epilogue, values: &mut [f32], bias: &[f32]) {
    match epilogue {
        Epilogue::Bias => plain(isa, values, bias),
        Epilogue::Gelu => gelu(isa, values, bias),
        Epilogue::GeluTanh => gelu_tanh(isa, values, bias),
        Epilogue::Relu => relu(isa, values, bias),
    }
}

/// The softmax of every row of `values` (m, n) times `scale` plus `mask` (n,).
#[cfg(feature = "candle")]
pub(crate) fn attention_rows(isa: Isa, values: &mut [f32], scale: f32, mask: &[f32]) {
    scaled(isa, values, scale, mask);
    softmax_rows(isa, values, mask.len());
}

/// The layer normalisation of every row of `values` (m, n) plus `bias` (n,) plus `residual` (m, n).
#[cfg(feature = "candle")]
pub(crate) fn add_norm_rows(isa: Isa, values: &mut [f32], bias: &[f32], residual: &[f32], norm: LayerNorm<'_>) {
    normed(isa, values, bias, residual, norm);
}

/// Writes `f(x + bias)` over each x.
#[inline(always)]
#[cfg(feature = "candle")]
fn each(values: &mut [f32], bias: &[f32], f: impl Fn(f32) -> f32) {
    for row in values.chunks_exact_mut(bias.len()) {
        for (v, b) in row.iter_mut().zip(bias) {
            *v = f(*v + *b);
        }
    }
}

#[cfg(feature = "candle")]
#[inline(always)]
fn plain_body<const FMA: bool>(values: &mut [f32], bias: &[f32]) {
    each(values, bias, |x| x);
}

#[cfg(feature = "candle")]
#[inline(always)]
fn gelu_body<const FMA: bool>(values: &mut [f32], bias: &[f32]) {
    each(values, bias, |x| {
        let half = 0.5 * x;
        half + half * erf_f32::<FMA>(x * std::f32::consts::FRAC_1_SQRT_2)
    });
}

#[cfg(feature = "candle")]
#[inline(always)]
fn gelu_tanh_body<const FMA: bool>(values: &mut [f32], bias: &[f32]) {
    // 2 sqrt(2 / pi) (x + 0.044715 x^3), of which the logistic function is (1 + tanh(sqrt(2 / pi) ...)) / 2.
    each(values, bias, |x| x * logistic_f32::<FMA>(1.595_769 * (x + 0.044_715 * x * x * x)));
}

#[cfg(feature = "candle")]
#[inline(always)]
fn relu_body<const FMA: bool>(values: &mut [f32], bias: &[f32]) {
    // Not `max`, which drops NaN.
    each(values, bias, |x| if x < 0.0 { 0.0 } else { x });
}

#[cfg(feature = "candle")]
#[inline(always)]
fn scaled_body<const FMA: bool>(values: &mut [f32], scale: f32, mask: &[f32]) {
    for row in values.chunks_exact_mut(mask.len()) {
        for (v, m) in row.iter_mut().zip(mask) {
            *v = *v * scale + *m;
        }
    }
}

#[cfg(feature = "candle")]
#[inline(always)]
fn normed_body<const FMA: bool>(values: &mut [f32], bias: &[f32], residual: &[f32], norm: LayerNorm<'_>) {
    let n = bias.len();
    for (row, residual) in values.chunks_exact_mut(n).zip(residual.chunks_exact(n)) {
        for ((v, b), r) in row.iter_mut().zip(bias).zip(residual) {
            *v = *v + *b + *r;
        }
        standardise(row, norm);
    }
}

/// The sum of `f` over a row, in lanes that are folded at the end.
#[inline(always)]
fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += f(*v);
        }
    }
    for (lane, v) in lanes.iter_mut().zip(rest) {
        *lane += f(*v);
    }
    folded(lanes, |a, b| a + b)
}

/// The error function, within 4e-7 everywhere: a rational function of degree 13 over 8 that Eigen fitted to [-4, 4],
/// beyond which it is 1 to all digits.
#[inline(always)]
pub(super) fn erf_f32<const FMA: bool>(x: f32) -> f32 {
    let fma = |a: f32, b: f32, c: f32| if FMA { a.mul_add(b, c) } else { a * b + c };
    #[allow(clippy::manual_clamp, reason = "`clamp` keeps NaN, which costs a comparison more")]
    let c = x.max(-4.0).min(4.0);
    let s = c * c;
    let mut p = -2.726_142_3e-10;
    for k in [2.770_681_4e-8, -2.101_024e-6, -5.692_506_4e-5, -7.349_906_3e-4, -2.954_6e-3, -1.609_603_3e-2] {
        p = fma(p, s, k);
    }
    let mut q = -1.456_607_2e-5;
    for k in [-2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2] {
        q = fma(q, s, k);
    }
    let y = if x.abs() >= 4.0 { 1.0f32.copysign(x) } else { c * p / q };
    if x.is_nan() { x } else { y }
}
