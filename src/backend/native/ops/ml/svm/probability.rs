//! Class probabilities from the probabilities of pairs.

use crate::backend::native::ops::post::logistic;

/// The probability that the first class of a pair wins, by Platt's sigmoid on the pair's score, kept off 0 and 1.
pub(super) fn of_pair(score: f32, a: f32, b: f32) -> f32 {
    let p = 1.0 - logistic(score * a + b);
    // NaN stays, as in ONNX Runtime, where it leaves all classes equally likely.
    let p = if p < 1e-7 { 1e-7 } else { p };
    if p > 1.0 - 1e-7 { 1.0 - 1e-7 } else { p }
}

/// The probabilities of `n` classes from those of their pairs, `pairs[i * n + j]` being that of i against j.
///
/// T.-F. Wu, C.-J. Lin and R. C. Weng, Probability estimates for multi-class classification by pairwise coupling,
/// JMLR 5 (2004), the second method, iterated as LIBSVM does but in f32, as ONNX Runtime does. `work` is scratch.
pub(super) fn couple(n: usize, pairs: &[f32], p: &mut [f32], work: &mut Vec<f32>) {
    const ROUNDS: usize = 100;
    let eps = 0.005 / n as f32;
    work.clear();
    work.resize(n * n + n, 0.0);
    let (q, qp) = work.split_at_mut(n * n);
    for i in 0..n {
        p[i] = 1.0 / n as f32;
        for j in (0..n).filter(|&j| j != i) {
            q[i * n + i] += pairs[j * n + i] * pairs[j * n + i];
            q[i * n + j] = if j < i { q[j * n + i] } else { -pairs[j * n + i] * pairs[i * n + j] };
        }
    }
    for _ in 0..ROUNDS {
        let mut pqp = 0.0;
        for i in 0..n {
            qp[i] = (0..n).fold(0.0, |sum, j| sum + q[i * n + j] * p[j]);
            pqp += p[i] * qp[i];
        }
        let error = qp.iter().fold(0.0f32, |max, v| if (v - pqp).abs() > max { (v - pqp).abs() } else { max });
        if error < eps {
            break;
        }
        for i in 0..n {
            let diff = (-qp[i] + pqp) / q[i * n + i];
            p[i] += diff;
            pqp = (pqp + diff * (diff * q[i * n + i] + 2.0 * qp[i])) / (1.0 + diff) / (1.0 + diff);
            for j in 0..n {
                qp[j] = (qp[j] + diff * q[i * n + j]) / (1.0 + diff);
                p[j] /= 1.0 + diff;
            }
        }
    }
}
