//! The normal and the t distribution, as tests and intervals use them.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::beta::beta_reg;

/// The quantile of the standard normal distribution at `p`, 0 < p < 1.
pub(in crate::validate) fn normal_quantile(p: f64) -> f64 {
    let rough = Normal::standard().inverse_cdf(p);
    // One step of Halley's method takes what the rational approximation leaves.
    let error = 0.5 * libm::erfc(-rough / core::f64::consts::SQRT_2) - p;
    let step = error * (2.0 * core::f64::consts::PI).sqrt() * (rough * rough / 2.0).exp();
    rough - step / (1.0 + rough * step / 2.0)
}

/// How far a two-sided interval of this confidence reaches, in standard errors.
pub(in crate::validate) fn normal_reach(level: f64) -> f64 {
    normal_quantile(0.5 + level / 2.0)
}

/// The probability that a standard normal variable lies at least as far from 0 as `z`.
pub(in crate::validate) fn normal_two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() / core::f64::consts::SQRT_2)
}

/// How far a two-sided interval of this confidence reaches with `freedom` degrees of freedom, in standard errors.
pub(in crate::validate) fn t_reach(level: f64, freedom: f64) -> f64 {
    // Beyond this the two distributions agree to more digits than the tails are computed with.
    if freedom > 1e7 {
        return normal_reach(level);
    }
    let Ok(t) = StudentsT::new(0.0, 1.0, freedom) else {
        return f64::INFINITY;
    };
    let tail = 1.0 - level;
    let mut reach = t.inverse_cdf(0.5 + level / 2.0).abs();
    for _ in 0..4 {
        let density = t_density(reach, freedom);
        let step = (t_two_sided(reach, freedom) - tail) / (2.0 * density);
        if !step.is_finite() {
            break;
        }
        reach += step;
        if step.abs() < 1e-14 * reach {
            break;
        }
    }
    reach
}

/// The probability that a t variable with `freedom` degrees of freedom lies at least as far from 0 as `t`.
pub(in crate::validate) fn t_two_sided(t: f64, freedom: f64) -> f64 {
    if freedom > 1e7 {
        return normal_two_sided(t);
    }
    if !t.is_finite() {
        return 0.0;
    }
    beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// The two-sided p-value of a difference with this standard error, where the smaller of its sides rests on `rows` rows.
pub(in crate::validate) fn t_test(difference: f64, standard_error: f64, rows: u64) -> f64 {
    if difference == 0.0 {
        return 1.0;
    }
    if standard_error == 0.0 {
        return 0.0;
    }
    t_two_sided(difference / standard_error, rows.saturating_sub(1).max(1) as f64)
}

fn t_density(t: f64, freedom: f64) -> f64 {
    let log = libm::lgamma((freedom + 1.0) / 2.0)
        - libm::lgamma(freedom / 2.0)
        - 0.5 * (freedom * core::f64::consts::PI).ln()
        - (freedom + 1.0) / 2.0 * (t * t / freedom).ln_1p();
    log.exp()
}
