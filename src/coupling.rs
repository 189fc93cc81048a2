//! Probabilities of classes from those of pairs of them.

/// Probabilities `p` of n classes, `pair(i, j)` being the probability that i wins against j; `work` has n (n + 1) floats. None
/// where that or a pair is missing.
///
/// T.-F. Wu, C.-J. Lin and R. C. Weng, Probability estimates for multi-class classification by pairwise coupling,
/// JMLR 5 (2004), the second method, iterated as LIBSVM does but in f32, as ONNX Runtime does.
pub(crate) fn couple(pair: impl Fn(usize, usize) -> Option<f32>, p: &mut [f32], work: &mut [f32]) -> Option<()> {
    const ROUNDS: usize = 100;
    let n = p.len();
    let (q, qp) = work.split_at_mut_checked(n * n)?;
    p.fill(1.0 / n as f32);
    q.fill(0.0);
    for i in 0..n {
        for j in (0..n).filter(|j| *j != i) {
            *q.get_mut(i * n + i)? += pair(j, i)? * pair(j, i)?;
            *q.get_mut(i * n + j)? = -pair(j, i)? * pair(i, j)?;
        }
    }
    for _ in 0..ROUNDS {
        let mut pqp = 0.0;
        for ((q, qp), p_i) in q.chunks_exact(n).zip(&mut *qp).zip(&*p) {
            *qp = q.iter().zip(&*p).fold(0.0, |sum, (q, p)| sum + q * p);
            pqp += p_i * *qp;
        }
        let error = qp.iter().fold(0.0f32, |most, v| most.max(libm::fabsf(v - pqp)));
        if error < 0.005 / n as f32 {
            break;
        }
        for (i, q) in q.chunks_exact(n).enumerate() {
            let (own, qp_i) = (*q.get(i)?, *qp.get(i)?);
            let step = (pqp - qp_i) / own;
            *p.get_mut(i)? += step;
            let shrink = 1.0 + step;
            pqp = (pqp + step * (step * own + 2.0 * qp_i)) / shrink / shrink;
            for ((qp, p), q) in qp.iter_mut().zip(&mut *p).zip(q) {
                *qp = (*qp + step * q) / shrink;
                *p /= shrink;
            }
        }
    }
    Some(())
}
