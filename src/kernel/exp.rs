use super::Isa;
use super::isa::dispatch;

/// Beyond these, e^x leaves the range of f32.
const LARGEST: f32 = 88.722_84;
const SMALLEST: f32 = -103.972_08;

/// e^x of one f32, within 1 ulp of the exact value in the normal range, branch-free so that loops of it vectorise.
///
/// Cody and Waite's reduction x = n ln 2 + r with |r| <= ln 2 / 2 and a polynomial of degree 6 on r (a least-squares
/// fit in the relative error); 2^n is applied in two factors so that denormal answers come out.
#[inline(always)]
pub(super) fn exp_f32<const FMA: bool>(x: f32) -> f32 {
    let fma = |a: f32, b: f32, c: f32| if FMA { a.mul_add(b, c) } else { a * b + c };
    // `max` and `min` return the other operand for NaN, so NaN is put back at the end.
    #[allow(clippy::manual_clamp, reason = "`clamp` keeps NaN, which costs a comparison more")]
    let clamped = x.max(SMALLEST).min(LARGEST);
    // Adding and taking away 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let n = fma(clamped, std::f32::consts::LOG2_E, ROUND) - ROUND;
    let r = fma(n, -0.693_359_4, clamped);
    let r = fma(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    p = fma(p, r, 1.398_2e-3);
    p = fma(p, r, 8.333_452e-3);
    p = fma(p, r, 4.166_579_6e-2);
    p = fma(p, r, 1.666_666_5e-1);
    p = fma(p, r, 0.5);
    p = fma(p, r * r, r) + 1.0;
    let n = n as i32;
    let half = n >> 1;
    let power = |e: i32| f32::from_bits(((e + 127) << 23) as u32);
    let y = p * power(half) * power(n - half);
    let y = if x > LARGEST { f32::INFINITY } else { y };
    let y = if x < SMALLEST { 0.0 } else { y };
    if x.is_nan() { x } else { y }
}

/// 1 / (1 + e^-x), without overflow for any x.
#[inline(always)]
pub(super) fn logistic_f32<const FMA: bool>(x: f32) -> f32 {
    let e = exp_f32::<FMA>(-x.abs());
    let positive = 1.0 / (1.0 + e);
    if x < 0.0 { 1.0 - positive } else { positive }
}

dispatch! { fn exps(values: &mut [f32]) = exps_body }
dispatch! { fn logistics(values: &mut [f32]) = logistics_body }

#[inline(always)]
fn exps_body<const FMA: bool>(values: &mut [f32]) {
    for v in values {
        *v = exp_f32::<FMA>(*v);
    }
}

#[inline(always)]
fn logistics_body<const FMA: bool>(values: &mut [f32]) {
    for v in values {
        *v = logistic_f32::<FMA>(*v);
    }
}

/// e^x of every element.
pub(crate) fn exp_in_place(isa: Isa, values: &mut [f32]) {
    exps(isa, values);
}

/// 1 / (1 + e^-x) of every element.
pub(crate) fn logistic_in_place(isa: Isa, values: &mut [f32]) {
    logistics(isa, values);
}
