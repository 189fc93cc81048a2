//! `SVMClassifier`.

use std::ops::Range;

use smallvec::smallvec;

use super::kernel::{Kernel, Vectors, rows};
use super::linear;
use super::probability::of_pair;
use super::regressor::dot;
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::ml::labels::Labels;
use crate::backend::native::ops::ml::rows::mixes_last_axis;
use crate::backend::native::ops::post::{PostTransform, logistic, probit};
use crate::backend::native::value::Value;
use crate::coupling::couple;
use crate::kernel::Packed;

/// Labels (m,) and scores of rows (m, n).
#[derive(Debug, Clone)]
struct SvmClassifier {
    machine: Machine,
    labels: Labels,
    post: PostTransform,
    /// The score at which a linear machine of two classes chooses the second whatever the first's.
    threshold: Threshold,
}

/// How classes get their scores.
#[derive(Debug, Clone)]
enum Machine {
    /// Weights (features, classes) and what is added.
    Linear(Packed<f32>),
    /// Every pair of classes is voted on.
    Voting(Vectors, Pairs),
}

/// When a linear machine of two classes chooses the second one, as ONNX Runtime does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threshold {
    /// No coefficient is negative: when the larger score reaches one half.
    Half,
    /// When the larger score is positive.
    Zero,
    /// The machine has parameters for probabilities, which are not used: the larger score decides.
    Never,
}

/// One-against-one machines over the same support vectors.
#[derive(Debug, Clone)]
struct Pairs {
    /// Where each class's support vectors stand.
    classes: Vec<Range<usize>>,
    /// (classes - 1, support vectors)
    coefficients: Vec<f32>,
    rho: Vec<f32>,
    /// The two parameters of each pair's sigmoid, where the machine gives probabilities.
    sigmoids: Option<(Vec<f32>, Vec<f32>)>,
}

pub(super) fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let labels = Labels::of(node, "classlabels_ints", "classlabels_strings")?;
    let coefficients = node.floats("coefficients")?.unwrap_or_default();
    let rho = node.floats("rho")?.unwrap_or_default();
    let post = PostTransform::of(node)?;
    if coefficients.is_empty() || rho.is_empty() {
        return Err(node.malformed("the attributes `coefficients` and `rho` must be given"));
    }
    let threshold = if node.floats("prob_a")?.is_some_and(|a| !a.is_empty()) {
        Threshold::Never
    } else if coefficients.iter().all(|&c| c >= 0.0) {
        Threshold::Half
    } else {
        Threshold::Zero
    };
    let (classes, count) = class_ranges(node)?;
    let n = labels.len();
    if count == 0 {
        if coefficients.len() % n != 0 {
            return Err(node
                .malformed("the attribute `coefficients` does not hold one weight per class and feature")
                .expected(format!("a multiple of {n}"))
                .actual(coefficients.len()));
        }
        let machine = Machine::Linear(linear::weights(coefficients, n, rho[0]));
        return Ok(Box::new(SvmClassifier { machine, labels, post, threshold }));
    }
    if classes.len() != n || n < 2 {
        return Err(node
            .malformed("the attribute `vectors_per_class` needs one number for each of at least two classes")
            .expected(n.max(2))
            .actual(classes.len()));
    }
    let supports = node.floats("support_vectors")?.unwrap_or_default();
    if supports.len() % count != 0 {
        return Err(node
            .malformed("the attribute `support_vectors` does not hold whole vectors")
            .expected(format!("a multiple of {count}"))
            .actual(supports.len()));
    }
    let pairs = n * (n - 1) / 2;
    let check = |name: &str, expected: usize, actual: usize| {
        if actual >= expected {
            return Ok(());
        }
        Err(node.malformed(format!("the attribute `{name}` is too short")).expected(expected).actual(actual))
    };
    // Both factors are lengths of lists in memory, so the product does not overflow where it matters.
    check("coefficients", (n - 1).saturating_mul(count), coefficients.len())?;
    check("rho", pairs, rho.len())?;
    let a = node.floats("prob_a")?.unwrap_or_default();
    let b = node.floats("prob_b")?.unwrap_or_default();
    if a.len() != b.len() {
        return Err(node
            .malformed("the attributes `prob_a` and `prob_b` differ in length")
            .expected(a.len())
            .actual(b.len()));
    }
    if !a.is_empty() {
        check("prob_a", pairs, a.len())?;
    }
    let sigmoids = (!a.is_empty()).then(|| (a.to_vec(), b.to_vec()));
    let pairs = Pairs { classes, coefficients: coefficients.to_vec(), rho: rho.to_vec(), sigmoids };
    let machine = Machine::Voting(Vectors::new(Kernel::of(node)?, supports, count), pairs);
    Ok(Box::new(SvmClassifier { machine, labels, post, threshold }))
}

/// Where the support vectors of each class stand, and how many there are.
fn class_ranges(node: &Node<'_>) -> Result<(Vec<Range<usize>>, usize)> {
    let mut from = 0usize;
    let mut classes = Vec::new();
    for &n in node.ints("vectors_per_class")?.unwrap_or_default() {
        let to = usize::try_from(n)
            .ok()
            .and_then(|n| from.checked_add(n))
            .filter(|&n| n <= isize::MAX as usize)
            .ok_or_else(|| node.malformed("the attribute `vectors_per_class` holds an impossible number").actual(n))?;
        classes.push(from..to);
        from = to;
    }
    Ok((classes, from))
}

impl Machine {
    /// The length of the rows it takes.
    fn features(&self) -> usize {
        match self {
            Self::Linear(weights) => weights.k(),
            Self::Voting(vectors, _) => vectors.features(),
        }
    }
}

impl Pairs {
    fn support_vectors(&self) -> usize {
        self.classes.last().map_or(0, |last| last.end)
    }

    /// Appends the score of each pair and gives the class with the most votes, the first of equals.
    fn vote(&self, kernels: &[f64], votes: &mut [u32], scores: &mut Vec<f32>) -> usize {
        votes.fill(0);
        let count = kernels.len();
        let n = self.classes.len();
        let mut rho = self.rho.iter();
        for i in 0..n {
            for j in i + 1..n {
                let (of_i, of_j) = (self.classes[i].clone(), self.classes[j].clone());
                // The row of a class's coefficients against another leaves out the class itself.
                let against_j = &self.coefficients[(j - 1) * count..j * count];
                let against_i = &self.coefficients[i * count..(i + 1) * count];
                let sum = dot(&kernels[of_i.clone()], &against_j[of_i])
                    + dot(&kernels[of_j.clone()], &against_i[of_j])
                    + f64::from(rho.next().copied().unwrap_or_default());
                scores.push(sum as f32);
                votes[if sum > 0.0 { i } else { j }] += 1;
            }
        }
        first_largest(votes)
    }
}

/// The place of the largest element, the first of equals; a leading NaN stays.
fn first_largest<T: PartialOrd>(items: &[T]) -> usize {
    let mut best = 0;
    for (i, item) in items.iter().enumerate().skip(1) {
        if *item > items[best] {
            best = i;
        }
    }
    best
}

impl SvmClassifier {
    /// The winners and scores of a machine whose vectors are its classes.
    fn linear(&self, scores: &[f32], winners: &mut Vec<u32>) {
        for row in scores.chunks_exact(self.labels.len()) {
            let best = first_largest(row);
            let second = match self.threshold {
                Threshold::Half => row[best] >= 0.5,
                Threshold::Zero => row[best] > 0.0,
                Threshold::Never => false,
            };
            winners.push(if row.len() == 2 && second { 1 } else { best as u32 });
        }
    }

    /// The winners and the probabilities, or the scores of the pairs.
    fn voted(&self, pairs: &Pairs, kernels: &[f64], m: usize, winners: &mut Vec<u32>, cx: &mut Scratch) -> Vec<f32> {
        let n = self.labels.len();
        let width = n * (n - 1) / 2;
        let mut votes = vec![0u32; n];
        let mut out = cx.buffer::<f32>(m * self.columns());
        let mut scores = cx.buffer::<f32>(width);
        let mut of_pairs = vec![0.0f32; n * n];
        let mut work = vec![0.0f32; n * (n + 1)];
        for kernels in kernels.chunks_exact(pairs.support_vectors()) {
            scores.clear();
            winners.push(pairs.vote(kernels, &mut votes, &mut scores) as u32);
            let Some((a, b)) = &pairs.sigmoids else {
                if n == 2 {
                    out.extend(self.both_classes(scores[0]))
                } else {
                    out.extend_from_slice(&scores)
                }
                continue;
            };
            let mut k = 0;
            for i in 0..n {
                for j in i + 1..n {
                    let p = of_pair(scores[k], a[k], b[k]);
                    of_pairs[i * n + j] = p;
                    of_pairs[j * n + i] = 1.0 - p;
                    k += 1;
                }
            }
            let at = out.len();
            out.resize(at + n, 0.0);
            let pair = |i: usize, j: usize| of_pairs.get(i * n + j).copied();
            couple(pair, &mut out[at..], &mut work).expect("all pairs, and room for the work");
        }
        cx.recycle_buffer(scores);
        out
    }

    /// The scores of both classes from the one of their pair.
    fn both_classes(&self, s: f32) -> [f32; 2] {
        match self.post {
            PostTransform::None => [-s, s],
            PostTransform::Logistic => [logistic(-s), logistic(s)],
            PostTransform::Probit => [-probit(s), probit(s)],
            _ => [1.0 - s, s],
        }
    }

    /// The number of scores of a row.
    fn columns(&self) -> usize {
        let n = self.labels.len();
        match &self.machine {
            Machine::Voting(_, Pairs { sigmoids: None, .. }) if n > 2 => n * (n - 1) / 2,
            _ => n,
        }
    }

    /// Whether the scores are those of the classes, in order.
    fn of_classes(&self) -> bool {
        !matches!(&self.machine, Machine::Voting(_, Pairs { sigmoids: None, .. })) || self.labels.len() == 2
    }
}

impl Op for SvmClassifier {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (x, m) = rows(args.get(0)?, self.machine.features())?;
        let columns = self.columns();
        let count = cx.check_shape(&[m, columns])?;
        let mut winners = cx.buffer::<u32>(m);
        let scores = match &self.machine {
            Machine::Linear(weights) => {
                let mut scores = cx.buffer::<f32>(count);
                linear::scores(weights, &x, m, &mut scores);
                self.linear(&scores, &mut winners);
                self.transform(&mut scores, columns);
                scores
            }
            Machine::Voting(vectors, pairs) => {
                let kernels = vectors.of_rows(&x, m, cx)?;
                let mut scores = self.voted(pairs, &kernels, m, &mut winners, cx);
                cx.recycle_buffer(kernels);
                if pairs.sigmoids.is_some() || columns > 2 {
                    self.transform(&mut scores, columns);
                }
                scores
            }
        };
        let labels = self.labels.of_winners(&winners, cx)?;
        cx.recycle_buffer(winners);
        Ok(smallvec![labels, Value::new([m, columns].as_slice(), scores)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        mixes_last_axis(inputs)
    }

    fn parameters(&self) -> usize {
        match &self.machine {
            Machine::Linear(weights) => weights.k() * weights.n(),
            Machine::Voting(vectors, pairs) => {
                vectors.count() * vectors.features() + pairs.coefficients.len() + pairs.rho.len()
            }
        }
    }

    fn features(&self) -> Option<usize> {
        Some(self.machine.features())
    }

    fn output_features(&self, output: usize) -> Option<Vec<String>> {
        (output == 1 && self.of_classes()).then(|| self.labels.names())
    }
}

impl SvmClassifier {
    fn transform(&self, scores: &mut [f32], columns: usize) {
        match self.post {
            PostTransform::Probit => scores.iter_mut().for_each(|s| *s = probit(*s)),
            // One score alone is left as it is.
            _ if columns < 2 => {}
            PostTransform::Logistic => scores.iter_mut().for_each(|s| *s = logistic(*s)),
            post => post.apply_rows(scores, columns),
        }
    }
}
