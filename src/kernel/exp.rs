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
    let shifted = fma(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma(n, -0.693_359_4, clamped);
    let r = fma(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    p = fma(p, r, 1.398_2e-3);
    p = fma(p, r, 8.333_452e-3);
    p = fma(p, r, 4.166_579_6e-2);
    p = fma(p, r, 1.666_666_5e-1);
    p = fma(p, r, 0.5);
    p = fma(p, r * r, r) + 1.0;
    // The integer stands in the low bits of the shifted number, which spares a conversion that checks its range.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
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

/// e^x of one f64, within 3 ulp of the exact value, branch-free so that loops of it vectorise.
///
/// Cody and Waite's reduction x = n ln 2 + r with |r| <= ln 2 / 2 and the Taylor polynomial of degree 13 on r, whose
/// remainder is below 2^-57 there; 2^n is applied in two factors so that denormal answers come out.
#[inline(always)]
pub(super) fn exp_f64<const FMA: bool>(x: f64) -> f64 {
    /// Beyond these, e^x leaves the range of f64.
    const LARGEST: f64 = 709.782_712_893_384;
    const SMALLEST: f64 = -745.133_219_101_941_2;
    /// Adding and taking away 1.5 * 2^52 rounds to the nearest integer.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    /// ln 2 in two parts, the first with so few bits that n times it is exact.
    const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];
    /// 1 / 13!, 1 / 12!, ..., 1 / 2!
    const INVERSE_FACTORIALS: [f64; 12] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
    ];
    let fma = |a: f64, b: f64, c: f64| if FMA { a.mul_add(b, c) } else { a * b + c };
    // `max` and `min` return the other operand for NaN, so NaN is put back at the end.
    #[allow(clippy::manual_clamp, reason = "`clamp` keeps NaN, which costs a comparison more")]
    let clamped = x.max(SMALLEST).min(LARGEST);
    let shifted = fma(clamped, std::f64::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma(n, -LN_2[1], fma(n, -LN_2[0], clamped));
    let mut p = INVERSE_FACTORIALS[0];
    for c in &INVERSE_FACTORIALS[1..] {
        p = fma(p, r, *c);
    }
    p = fma(p, r * r, r) + 1.0;
    // The integer stands in the low bits of the shifted number, which spares a conversion that AVX2 lacks.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i64 as i32;
    let half = n >> 1;
    let power = |e: i32| f64::from_bits(((i64::from(e) + 1023) << 52) as u64);
    let y = p * power(half) * power(n - half);
    let y = if x > LARGEST { f64::INFINITY } else { y };
    let y = if x < SMALLEST { 0.0 } else { y };
    if x.is_nan() { x } else { y }
}

dispatch! { fn exps(values: &mut [f64]) = exps_body }
dispatch! { fn logistics(values: &mut [f32]) = logistics_body }

#[inline(always)]
fn exps_body<const FMA: bool>(values: &mut [f64]) {
    for v in values {
        *v = exp_f64::<FMA>(*v);
    }
}

#[inline(always)]
fn logistics_body<const FMA: bool>(values: &mut [f32]) {
    for v in values {
        *v = logistic_f32::<FMA>(*v);
    }
}

/// e^x of every element.
pub(crate) fn exp_in_place(isa: Isa, values: &mut [f64]) {
    exps(isa, values);
}

/// 1 / (1 + e^-x) of every element.
pub(crate) fn logistic_in_place(isa: Isa, values: &mut [f32]) {
    logistics(isa, values);
}
