use crate::validate::{Mean, Measured};
use crate::{Error, ErrorKind, Result};

/// The quality of rankings over a stream of queries; batches and threads are merged. Intervals are over queries.
///
/// ```
/// use modelberth::validate::Rankings;
/// let mut rankings = Rankings::new(None);
/// rankings.add(&[0.0, 1.0, 0.0], &[0.9, 0.5, 0.1], 1.0)?;
/// rankings.add(&[1.0, 0.0], &[0.9, 0.5], 1.0)?;
/// assert_eq!(rankings.mrr(0.95).value(), Some(0.75));
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Rankings {
    top: Option<usize>,
    ndcg: Mean,
    average_precision: Mean,
    reciprocal_rank: Mean,
}

impl Rankings {
    /// Nothing seen yet; NDCG looks at the first `top` places, or at all.
    #[must_use]
    pub const fn new(top: Option<usize>) -> Self {
        Self { top, ndcg: Mean::new(), average_precision: Mean::new(), reciprocal_rank: Mean::new() }
    }

    /// Adds a query: the relevance and the score of each of its documents. For average precision and reciprocal rank a
    /// document is relevant above 0. Documents of one score share their places: their gain is averaged (NDCG), their
    /// precision is that at the last of them, and the first relevant one stands last among them. A query without a
    /// relevant document counts as 0.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the lengths differ or are 0; [`ErrorKind::InvalidValue`] when a number is NaN, a
    /// relevance negative, or the weight negative or not finite.
    pub fn add(&mut self, relevance: &[f64], scores: &[f64], weight: f64) -> Result<()> {
        let query = self.ndcg.rows();
        super::check_weight(weight, query)?;
        if relevance.len() != scores.len() || relevance.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a query has as many scores as relevances, and one at least",
            )
            .row(query)
            .expected(relevance.len())
            .actual(scores.len()));
        }
        if scores.iter().any(|s| s.is_nan()) || relevance.iter().any(|r| !r.is_finite() || *r < 0.0) {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "a score is NaN, or a relevance is negative or not finite",
            )
            .row(query));
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let top = self.top.unwrap_or(usize::MAX).min(order.len());
        let discount = |place: usize| if place < top { 1.0 / ((place + 2) as f64).log2() } else { 0.0 };
        let (mut gain, mut precision, mut first) = (0.0, 0.0, None);
        let (mut place, mut found) = (0, 0);
        while place < order.len() {
            let tied = order[place..].iter().take_while(|&&d| scores[d] == scores[order[place]]).count();
            let group = &order[place..place + tied];
            let mean = group.iter().map(|&d| relevance[d]).sum::<f64>() / tied as f64;
            gain += mean * (place..place + tied).map(discount).sum::<f64>();
            let relevant = group.iter().filter(|&&d| relevance[d] > 0.0).count();
            found += relevant;
            place += tied;
            precision += relevant as f64 * found as f64 / place as f64;
            if relevant > 0 && first.is_none() {
                first = Some(place - relevant + 1);
            }
        }
        let mut ideal: Vec<f64> = relevance.to_vec();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let best: f64 = ideal.iter().enumerate().map(|(i, r)| r * discount(i)).sum();
        self.ndcg.add_weighted(if best > 0.0 { gain / best } else { 0.0 }, weight);
        self.average_precision.add_weighted(if found > 0 { precision / found as f64 } else { 0.0 }, weight);
        self.reciprocal_rank.add_weighted(first.map_or(0.0, |place| 1.0 / place as f64), weight);
        Ok(())
    }

    /// Adds what `other` has seen; it looks at as many places.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the numbers of places differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.top != other.top {
            return Err(Error::new(ErrorKind::InvalidArgument, "only rankings over the same places can be merged"));
        }
        self.ndcg.merge(&other.ndcg);
        self.average_precision.merge(&other.average_precision);
        self.reciprocal_rank.merge(&other.reciprocal_rank);
        Ok(())
    }

    /// The normalised discounted cumulative gain, with linear gains and a discount of `log2(place + 1)`.
    #[must_use]
    pub fn ndcg(&self, level: f64) -> Measured {
        self.ndcg.estimate(level)
    }

    /// The mean over queries of average precision.
    #[must_use]
    pub fn map(&self, level: f64) -> Measured {
        self.average_precision.estimate(level)
    }

    /// The mean over queries of one over the place of the first relevant document.
    #[must_use]
    pub fn mrr(&self, level: f64) -> Measured {
        self.reciprocal_rank.estimate(level)
    }
}
