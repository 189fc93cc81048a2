//! From sums of votes to scores and labels.

use super::scored::Scored;
use crate::backend::native::ops::post::PostTransform;

/// What the votes for one target become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

/// A score, and whether anyone voted for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Score<T> {
    pub(super) value: T,
    pub(super) voted: bool,
}

impl Aggregate {
    /// Adds one vote.
    pub(super) fn add<T: Scored>(self, score: &mut Score<T>, weight: T) {
        let better = match self {
            Self::Sum | Self::Average => {
                score.value += weight;
                false
            }
            Self::Min => !score.voted || weight < score.value,
            Self::Max => !score.voted || weight > score.value,
        };
        if better {
            score.value = weight;
        }
        score.voted = true;
    }
}

/// The last steps of a regressor.
#[derive(Debug, Clone)]
pub(super) struct Regression {
    pub(super) aggregate: Aggregate,
    pub(super) post: PostTransform,
    pub(super) base: Vec<f64>,
    pub(super) trees: usize,
}

impl Regression {
    /// Makes the answers of rows of `k` aggregated votes; `voted` tells whether a row has votes for a target. Of several
    /// targets, one without votes is zero whatever its base value, as ONNX Runtime has it.
    pub(super) fn finish<T: Scored>(&self, scores: &mut [T], k: usize, voted: impl Fn(usize, usize) -> bool) {
        if self.aggregate == Aggregate::Average {
            let trees = T::from_f64(self.trees as f64);
            scores.iter_mut().for_each(|s| *s = s.over(trees));
        }
        if !self.base.is_empty() {
            let base: Vec<T> = self.base.iter().map(|&b| T::from_f64(b)).collect();
            for (r, row) in scores.chunks_exact_mut(k).enumerate() {
                for (target, (s, b)) in row.iter_mut().zip(&base).enumerate() {
                    if k == 1 || voted(r, target) {
                        *s += *b;
                    }
                }
            }
        }
        if k > 1 {
            transform(self.post, scores, k);
        } else if self.post == PostTransform::Probit {
            // ONNX Runtime applies no other transform to a single target.
            scores.iter_mut().for_each(|s| *s = s.probit());
        }
    }
}

/// Applies a transform to rows of at least two scores.
pub(super) fn transform<T: Scored>(post: PostTransform, scores: &mut [T], k: usize) {
    match post {
        PostTransform::None => {}
        PostTransform::Softmax => T::softmax(scores, k),
        PostTransform::Logistic => scores.iter_mut().for_each(|s| *s = s.logistic()),
        PostTransform::SoftmaxZero => scores.chunks_exact_mut(k).for_each(softmax_zero),
        PostTransform::Probit => scores.iter_mut().for_each(|s| *s = s.probit()),
    }
}

/// Softmax in which scores next to zero count as absent, as ONNX Runtime computes it.
fn softmax_zero<T: Scored>(row: &mut [T]) {
    let max = row.iter().fold(T::LOWEST, |max, &s| if s > max { s } else { max });
    let absent = (T::ZERO - max).exp();
    let mut sum = T::ZERO;
    for s in row.iter_mut() {
        if s.abs().to_f64() > 1e-7 {
            *s = (*s - max).exp();
            sum += *s;
        } else {
            *s = *s * absent;
        }
    }
    row.iter_mut().for_each(|s| *s = s.over(sum));
}

/// The last steps of a classifier.
#[derive(Debug, Clone)]
pub(super) struct Classification {
    pub(super) classes: usize,
    pub(super) post: PostTransform,
    pub(super) base: Vec<f64>,
    /// Whether every vote of the file is for one and the same of two classes.
    pub(super) one_of_two: bool,
    /// Whether no vote is negative, which moves the threshold of such a file to one half.
    pub(super) all_positive: bool,
}

impl Classification {
    /// The winners and the scores (m, classes) of rows of votes; `voted` tells whether a row has votes for a class.
    pub(super) fn finish<T: Scored>(
        &self,
        scores: &mut [T],
        voted: impl Fn(usize, usize) -> bool,
        winners: &mut Vec<u32>,
    ) {
        let k = self.classes;
        let base: Vec<T> = self.base.iter().map(|&b| T::from_f64(b)).collect();
        match k {
            1 => {
                for s in scores.iter_mut() {
                    *s += base.first().copied().unwrap_or(T::ZERO);
                    winners.push(u32::from(*s > T::ZERO));
                    if self.post == PostTransform::Probit {
                        *s = s.probit();
                    }
                }
            }
            2 => {
                for (r, row) in scores.chunks_exact_mut(2).enumerate() {
                    winners.push(self.binary(row, [voted(r, 0), voted(r, 1)], &base));
                }
            }
            _ => {
                for (r, row) in scores.chunks_exact_mut(k).enumerate() {
                    let mut best: Option<usize> = None;
                    for (c, s) in row.iter_mut().enumerate() {
                        if let Some(b) = base.get(c) {
                            *s += *b;
                        }
                    }
                    for (c, s) in row.iter().enumerate() {
                        if (!base.is_empty() || voted(r, c)) && best.is_none_or(|b| *s > row[b]) {
                            best = Some(c);
                        }
                    }
                    winners.push(best.unwrap_or(0) as u32);
                }
                transform(self.post, scores, k);
            }
        }
    }

    /// The winner of two classes; their scores are transformed in place. Two scores stand for themselves; one, the
    /// first, stands for both classes. Which is which when base values come in is ONNX Runtime's way.
    fn binary<T: Scored>(&self, row: &mut [T], voted: [bool; 2], base: &[T]) -> u32 {
        let mut two = true;
        match *base {
            [b0, b1] => {
                if voted[1] {
                    row[1] = b1 + row[0];
                    row[0] = T::ZERO - row[1];
                } else {
                    row[1] += b1;
                    row[0] += b0;
                }
            }
            [b] => {
                row[0] += b;
                two = voted[1];
            }
            _ => two = voted[1],
        }
        // A class without votes has no score, base value or not.
        for (s, voted) in row.iter_mut().zip(voted) {
            *s = if voted { *s } else { T::ZERO };
        }
        let positive = if voted[1] { row[1] } else { row[0] };
        let threshold = if self.one_of_two && self.all_positive { 0.5 } else { 0.0 };
        let winner = u32::from(positive.to_f64() > threshold);
        if two {
            transform(self.post, row, 2);
            return winner;
        }
        let s = row[0];
        let from_zero_to_one = self.one_of_two && self.all_positive;
        let both = match self.post {
            PostTransform::Logistic => [(T::ZERO - s).logistic(), s.logistic()],
            // ONNX Runtime leaves the second score of a probit unwritten.
            PostTransform::Probit => [T::ZERO - s.probit(), s.probit()],
            _ if from_zero_to_one => [T::ONE - s, s],
            _ => [T::ZERO - s, s],
        };
        row.copy_from_slice(&both);
        winner
    }
}
