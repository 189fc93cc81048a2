use super::Isa;
use super::exp::logistic_f32;
use super::isa::dispatch;

/// One step of gated recurrent units for rows of states `h` (m, n). `x` holds the three gates' shares of the input and
/// `r` those of the state, both (m, 3 n) in the order update, reset, new; the reset gate scales the third of `r`.
///
/// # Panics
/// When lengths do not fit.
pub(crate) fn gru_step(isa: Isa, x: &[f32], r: &[f32], h: &mut [f32], n: usize) {
    assert!(
        n > 0 && h.len().is_multiple_of(n) && x.len() == 3 * h.len() && r.len() == x.len(),
        "three gates for each state"
    );
    gru(isa, x, r, h, n);
}

/// One step of long short-term memory for rows of states `h` and cells `c` (m, n). `x` (m, 4 n) holds what goes into
/// the gates in the order input, output, forget, cell.
///
/// # Panics
/// When lengths do not fit.
pub(crate) fn lstm_step(isa: Isa, x: &[f32], h: &mut [f32], c: &mut [f32], n: usize) {
    assert!(
        n > 0 && h.len().is_multiple_of(n) && h.len() == c.len() && x.len() == 4 * h.len(),
        "four gates for each state"
    );
    lstm(isa, x, h, c, n);
}

dispatch! { fn gru(x: &[f32], r: &[f32], h: &mut [f32], n: usize) = gru_body }
dispatch! { fn lstm(x: &[f32], h: &mut [f32], c: &mut [f32], n: usize) = lstm_body }

/// The hyperbolic tangent, by the logistic function.
#[inline(always)]
fn tanh<const FMA: bool>(x: f32) -> f32 {
    2.0 * logistic_f32::<FMA>(2.0 * x) - 1.0
}

#[inline(always)]
fn gru_body<const FMA: bool>(x: &[f32], r: &[f32], h: &mut [f32], n: usize) {
    for ((x, r), h) in x.chunks_exact(3 * n).zip(r.chunks_exact(3 * n)).zip(h.chunks_exact_mut(n)) {
        let (xz, xr, xn) = (&x[..n], &x[n..2 * n], &x[2 * n..3 * n]);
        let (rz, rr, rn) = (&r[..n], &r[n..2 * n], &r[2 * n..3 * n]);
        for i in 0..n {
            let update = logistic_f32::<FMA>(xz[i] + rz[i]);
            let reset = logistic_f32::<FMA>(xr[i] + rr[i]);
            let new = tanh::<FMA>(xn[i] + reset * rn[i]);
            h[i] = (1.0 - update) * new + update * h[i];
        }
    }
}

#[inline(always)]
fn lstm_body<const FMA: bool>(x: &[f32], h: &mut [f32], c: &mut [f32], n: usize) {
    for ((x, h), c) in x.chunks_exact(4 * n).zip(h.chunks_exact_mut(n)).zip(c.chunks_exact_mut(n)) {
        let (xi, xo, xf, xc) = (&x[..n], &x[n..2 * n], &x[2 * n..3 * n], &x[3 * n..4 * n]);
        for i in 0..n {
            let cell = logistic_f32::<FMA>(xf[i]) * c[i] + logistic_f32::<FMA>(xi[i]) * tanh::<FMA>(xc[i]);
            c[i] = cell;
            h[i] = logistic_f32::<FMA>(xo[i]) * tanh::<FMA>(cell);
        }
    }
}
