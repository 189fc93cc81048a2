//! The exponential function and its relatives for f32, without branches, so that loops over slices become SIMD.
//!
//! Every function here stays within 2 ulp (`exp` within 1) of the true value, and gives the limits for infinities and
//! NaN for NaN.

/// 1.5 * 2^23: adding it to a small number rounds that to an integer, which then stands in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// e to the power of `x`; exact zeros and infinities beyond the range, subnormal numbers where those are due.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let (tail, n) = reduced(x);
    let half = n >> 1;
    // 2^n in two factors: one alone would leave the range before the product does.
    (tail + 1.0) * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// e to the power of `x`, less 1, with all digits near zero.
#[inline(always)]
pub(crate) fn exp_m1(x: f32) -> f32 {
    let (tail, n) = reduced(x);
    let half = n >> 1;
    let [a, b] = [power_of_two(half), power_of_two(n.wrapping_sub(half))];
    let near = tail * a * b + (a * b - 1.0);
    // From here on, 1 is lost in rounding, and infinities would meet above.
    if x > 40.0 { (tail + 1.0) * a * b } else { near }
}

/// ln(1 + x) for 0 <= x <= 1, with all digits near zero (W. Kahan's correction of the rounding of 1 + x).
#[inline(always)]
pub(crate) fn ln_1p_of_unit(x: f32) -> f32 {
    let one_more = 1.0 + x;
    let known = one_more - 1.0;
    if known == 0.0 { x } else { one_more.ln() * (x / known) }
}

/// e^r - 1 and n so that e^x = e^r 2^n.
#[inline(always)]
fn reduced(x: f32) -> (f32, i32) {
    // Beyond these, the power is infinite or rounds to zero. NaN passes both comparisons.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUNDER;
    let n = shifted - ROUNDER;
    // x = n ln 2 + r with ln 2 in two parts, the first of few bits so that its product with n is exact.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    // The minimax polynomial of (e^r - 1 - r) / r^2 on [-ln 2 / 2, ln 2 / 2] (Cephes, expf).
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    (p * (r * r) + r, n)
}

/// 2^n for -126 <= n <= 127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let far = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
    // The minimax polynomial near zero (Cephes, tanhf), where the form above loses its digits.
    let s = x * x;
    let p = -5.704_988_7e-3;
    let p = p * s + 2.063_909e-2;
    let p = p * s - 5.373_971_6e-2;
    let p = p * s + 1.333_144_2e-1;
    let p = p * s - 3.333_328e-1;
    let near = p * s * x + x;
    (if a < 0.625 { near } else { far }).copysign(x)
}

/// The error function.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let a = x.abs();
    let s = x * x;
    // 1 - e^q(|x|) for large arguments, x + x p(x^2) for small ones (N. Juffa's minimax approximations).
    let q = -1.728_534_7e-5 * a + 3.831_971_3e-4;
    let q = q * a - 3.883_964_4e-3;
    let q = q * a + 2.425_462_2e-2;
    let q = q * a - 1.067_778_8e-1;
    let q = q * a - 6.348_467e-1;
    let q = q * a - 1.287_175_1e-1;
    let far = 1.0 - exp(if a > 4.0 { -100.0 } else { q * a - a });
    let p = -5.967_617e-4;
    let p = p * s + 4.991_194_2e-3;
    let p = p * s - 2.676_813_5e-2;
    let p = p * s + 1.128_199_2e-1;
    let p = p * s - 3.761_253_4e-1;
    let p = p * s + 1.283_791_7e-1;
    let near = p * x + x;
    if a > 0.927_734_4 { far.copysign(x) } else { near }
}

/// The error function in double precision: its series for small arguments, else the continued fraction of the
/// complement. Both have positive terms only, so nothing cancels.
pub(crate) fn erf_f64(x: f64) -> f64 {
    let a = x.abs();
    if x.is_nan() || x == 0.0 {
        return x;
    }
    if a > 6.0 {
        return 1f64.copysign(x);
    }
    let two_by_root_pi = std::f64::consts::FRAC_2_SQRT_PI;
    if a < 2.5 {
        // erf(x) = 2 / sqrt(pi) * e^(-x^2) * sum of 2^k x^(2k+1) / (1 * 3 * ... * (2k+1))
        let (mut term, mut sum, mut k) = (x, x, 1.0);
        while term.abs() > 1e-17 * sum.abs() {
            term *= 2.0 * x * x / (2.0 * k + 1.0);
            sum += term;
            k += 1.0;
        }
        two_by_root_pi * (-x * x).exp() * sum
    } else {
        // erfc(a) = e^(-a^2) / sqrt(pi) / (a + 1/2 / (a + 1 / (a + 3/2 / (a + ...))))
        let fraction = (1..=60).rev().fold(a, |below, k| a + f64::from(k) / 2.0 / below);
        (1.0 - 0.5 * two_by_root_pi * (-a * a).exp() / fraction).copysign(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest distance to `truth` in units of the last place, over `range`.
    fn worst_ulp(range: [f32; 2], f: fn(f32) -> f32, truth: fn(f64) -> f64) -> f64 {
        let steps = 200_000;
        let at = |i: i32| range[0] + (range[1] - range[0]) * i as f32 / steps as f32;
        (0..=steps).fold(0.0, |worst: f64, i| {
            let x = at(i);
            let want = truth(f64::from(x));
            let near = (want as f32).abs().max(f32::MIN_POSITIVE);
            let ulp = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
            worst.max((f64::from(f(x)) - want).abs() / ulp)
        })
    }

    #[test]
    fn close_to_the_truth() {
        let e = worst_ulp([-87.0, 88.7], exp, f64::exp);
        assert!(e < 1.01, "exp: {e}");
        let e = worst_ulp([-104.5, -87.0], exp, f64::exp);
        assert!(e < 1.01, "subnormal exp: {e}");
        let e = worst_ulp([-20.0, 88.0], exp_m1, f64::exp_m1);
        assert!(e < 2.0, "exp_m1: {e}");
        let e = worst_ulp([-1e-3, 1e-3], exp_m1, f64::exp_m1);
        assert!(e < 1.5, "exp_m1 near 0: {e}");
        let e = worst_ulp([0.0, 1.0], ln_1p_of_unit, f64::ln_1p);
        assert!(e < 3.0, "ln_1p: {e}");
        let e = worst_ulp([-10.0, 10.0], tanh, f64::tanh);
        assert!(e < 2.0, "tanh: {e}");
        let e = worst_ulp([-80.0, 20.0], sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
        assert!(e < 2.5, "sigmoid: {e}");
        let e = worst_ulp([-5.0, 5.0], erf, erf_f64);
        assert!(e < 2.5, "erf: {e}");
    }

    #[test]
    fn limits() {
        let inf = f32::INFINITY;
        assert_eq!([exp(inf), exp(-inf), exp(0.0), exp(-0.0)], [inf, 0.0, 1.0, 1.0]);
        assert_eq!([exp(88.8), exp(1e30), exp(-104.0), exp(-1e30)], [inf, inf, 0.0, 0.0]);
        assert_eq!([exp_m1(inf), exp_m1(-inf), exp_m1(0.0), exp_m1(1e-20)], [inf, -1.0, 0.0, 1e-20]);
        assert_eq!([sigmoid(inf), sigmoid(-inf), sigmoid(0.0)], [1.0, 0.0, 0.5]);
        assert_eq!([tanh(inf), tanh(-inf), tanh(0.0), tanh(20.0)], [1.0, -1.0, 0.0, 1.0]);
        assert_eq!([erf(inf), erf(-inf), erf(0.0), erf(9.0)], [1.0, -1.0, 0.0, 1.0]);
        assert!([exp, exp_m1, sigmoid, tanh, erf].iter().all(|f| f(f32::NAN).is_nan()));
        assert!(tanh(-0.0).is_sign_negative() && erf(-0.0).is_sign_negative());
    }

    /// Values of scipy.special.erf 1.14.
    #[test]
    fn erf_in_double_precision() {
        let known = [(0.5, 0.520_499_877_813_046_5), (1.0, 0.842_700_792_949_714_9), (2.0, 0.995_322_265_018_952_7)];
        for (x, want) in known {
            assert!((erf_f64(x) - want).abs() < 3e-16 && (erf_f64(-x) + want).abs() < 3e-16, "{x}: {}", erf_f64(x));
        }
        assert!((erf_f64(2.499_999_9) - erf_f64(2.500_000_1)).abs() < 1e-9);
        assert!((erf_f64(3.0) - 0.999_977_909_503_001_4).abs() < 2e-16);
        assert_eq!([erf_f64(7.0), erf_f64(f64::NEG_INFINITY)], [1.0, -1.0]);
        assert!(erf_f64(f64::NAN).is_nan());
    }
}
