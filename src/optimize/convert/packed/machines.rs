//! Support vector machines.

use super::learned::{Post, floats, ints, text};
use super::program::Span;
use super::values::{Packer, Value, unsupported};
use crate::edge::{Binary, Kind, Reduction, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::int;
use crate::{Error, ErrorKind, Result};

impl Packer {
    /// The kernels of the one row `x` and each of `count` vectors.
    fn kernels(&mut self, node: &NodeProto, x: &Value, count: usize) -> Result<Span> {
        let vectors = floats(node, "support_vectors");
        let (rows, k) = x.rows();
        if rows != 1 || k == 0 || Some(vectors.len()) != count.checked_mul(k) {
            return Err(unsupported(node, "a support vector machine of this shape"));
        }
        let span = self.span(x);
        let parameters = floats(node, "kernel_params");
        let [gamma, coef0, degree] = [0, 1, 2].map(|i| parameters.get(i).copied().unwrap_or(0.0));
        Ok(match text(node, "kernel_type", "LINEAR").as_str() {
            "LINEAR" => self.program.dense(span, k, vectors, &vec![0.0; count]),
            "RBF" => {
                let distances = self.program.distances(span, count, vectors);
                let scaled = self.program.zip_with(Binary::Multiply, distances, -gamma);
                self.program.map(Unary::Exp, scaled)
            }
            name @ ("POLY" | "SIGMOID") => {
                let scaled: Vec<f32> = vectors.iter().map(|v| gamma * v).collect();
                let products = self.program.dense(span, k, &scaled, &vec![coef0; count]);
                if name == "POLY" {
                    self.program.zip_with(Binary::Power, products, degree)
                } else {
                    self.program.map(Unary::Tanh, products)
                }
            }
            other => return Err(unsupported(node, &format!("the kernel `{other}`"))),
        })
    }

    /// The weighted sum of kernels plus rho.
    pub(super) fn svm_regressor(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let weights = floats(node, "coefficients");
        let count = usize::try_from(int(node, "n_supports", 0)).unwrap_or(0);
        let rho = floats(node, "rho").first().copied().unwrap_or(0.0);
        let (rows, k) = x.rows();
        let expected = if count == 0 { k } else { count };
        if rows != 1 || k == 0 || weights.len() != expected || Post::of(node)? != Post::None {
            return Err(unsupported(node, "a support vector machine of this shape"));
        }
        let kernels = if count == 0 { self.span(&x) } else { self.kernels(node, &x, count)? };
        let mut score = self.program.dense(kernels, expected, weights, &[rho]);
        if int(node, "one_class", 0) != 0 {
            let inside = self.program.zip_with(Binary::Greater, score, 0.0);
            let (one, other) = (self.program.constant(&[1.0]), self.program.constant(&[-1.0]));
            score = self.program.select(inside, one, other);
        }
        Ok(Value::slot(&[1, 1], Kind::F32, score))
    }

    /// A vote of the machines of each pair of classes, and their scores or the classes' probabilities.
    pub(super) fn svm_classifier(&mut self, node: &NodeProto) -> Result<()> {
        let x = self.input(node, 0)?;
        let (kind, labels) = self.labels(node, "classlabels_ints", "classlabels_strings")?;
        let n = labels.len();
        let post = Post::of(node)?;
        let of_class = ints(node, "vectors_per_class");
        let of_class = of_class.iter().map(|count| usize::try_from(*count).unwrap_or(0)).collect::<Vec<_>>();
        let count = of_class.iter().try_fold(0usize, |sum, n| sum.checked_add(*n)).unwrap_or(0);
        let (weights, rho) = (floats(node, "coefficients"), floats(node, "rho"));
        if count == 0 {
            return self.linear_machine(node, &x, (kind, &labels), post);
        }
        let pairs: Vec<(usize, usize)> = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect();
        let sigmoids = [floats(node, "prob_a"), floats(node, "prob_b")];
        let fits = n > 1
            && of_class.len() == n
            && (n - 1).checked_mul(count).is_some_and(|all| weights.len() >= all)
            && rho.len() >= pairs.len()
            && (sigmoids[0].is_empty() || sigmoids.iter().all(|s| s.len() >= pairs.len()));
        if !fits {
            return Err(Error::new(ErrorKind::Malformed, "the lists of a support vector machine differ in length")
                .node(node.label()));
        }
        let kernels = self.kernels(node, &x, count)?;
        let mut starts = vec![0];
        for own in &of_class {
            starts.push(starts[starts.len() - 1] + own);
        }
        // The coefficients of a class against another leave out the class itself.
        let mut rows = vec![0.0; pairs.len() * count];
        for ((i, j), row) in pairs.iter().zip(rows.chunks_exact_mut(count)) {
            for (own, line) in [(*i, j - 1), (*j, *i)] {
                let range = starts[own]..starts[own + 1];
                row[range.clone()].copy_from_slice(&weights[line * count..][range]);
            }
        }
        let scores = self.program.dense(kernels, count, &rows, &rho[..pairs.len()]);
        // Each pair's winner gets a vote, the second where the score is not positive.
        let first = self.program.zip_with(Binary::Greater, scores, 0.0);
        let vote = |class: usize| {
            pairs.iter().map(move |(i, j)| f32::from(u8::from(*i == class)) - f32::from(u8::from(*j == class)))
        };
        let won: Vec<f32> = (0..n).flat_map(vote).collect();
        let lost: Vec<f32> = (0..n).map(|class| pairs.iter().filter(|(_, j)| *j == class).count() as f32).collect();
        let votes = self.program.dense(first, pairs.len(), &won, &lost);
        let winners = self.program.reduce(Reduction::ArgMax, votes, n, 1);
        self.give_labels(node, winners, kind, &labels);
        let (scores, columns) = if !sigmoids[0].is_empty() {
            let [a, b] = sigmoids.map(|s| self.program.constant(&s[..pairs.len()]));
            let scaled = self.program.zip(Binary::Multiply, scores, a);
            let shifted = self.program.zip(Binary::Add, scaled, b);
            let lost = self.program.map(Unary::Sigmoid, shifted);
            let one = self.program.constant(&[1.0]);
            let p = self.program.zip(Binary::Subtract, one, lost);
            let p = self.program.zip_with(Binary::Maximum, p, 1e-7);
            let p = self.program.zip_with(Binary::Minimum, p, 1.0 - 1e-7);
            let coupled = self.program.couple(p, n);
            (self.finished(coupled, n, post), n)
        } else if n == 2 {
            (self.both_sides(scores, post), 2)
        } else {
            (self.finished(scores, pairs.len(), post), pairs.len())
        };
        self.give(node, 1, Value::slot(&[1, columns], Kind::F32, scores));
        Ok(())
    }

    /// The scores of two classes from the one of their pair.
    fn both_sides(&mut self, score: Span, post: Post) -> Span {
        let other = match post {
            Post::Softmax => {
                let one = self.program.constant(&[1.0]);
                self.program.zip(Binary::Subtract, one, score)
            }
            Post::None | Post::Logistic => self.program.map(Unary::Negate, score),
        };
        let both = self.program.join(&[other, score]);
        if post == Post::Logistic { self.program.map(Unary::Sigmoid, both) } else { both }
    }

    /// A machine without support vectors: weights of the features for each class.
    fn linear_machine(
        &mut self,
        node: &NodeProto,
        x: &Value,
        (kind, labels): (Kind, &[f32]),
        post: Post,
    ) -> Result<()> {
        let (weights, n) = (floats(node, "coefficients"), labels.len());
        let (rows, k) = x.rows();
        let rho = floats(node, "rho").first().copied().unwrap_or(0.0);
        if rows != 1 || n == 0 || k == 0 || Some(weights.len()) != n.checked_mul(k) {
            return Err(unsupported(node, "a support vector machine of this shape"));
        }
        let span = self.span(x);
        let scores = self.program.dense(span, k, weights, &vec![rho; n]);
        let mut winners = self.program.reduce(Reduction::ArgMax, scores, n, 1);
        if n == 2 && floats(node, "prob_a").is_empty() {
            let best = self.program.reduce(Reduction::Maximum, scores, n, 1);
            let second = if weights.iter().all(|w| *w >= 0.0) {
                self.program.zip_with(Binary::GreaterOrEqual, best, 0.5)
            } else {
                self.program.zip_with(Binary::Greater, best, 0.0)
            };
            winners = self.program.zip(Binary::Maximum, winners, second);
        }
        self.give_labels(node, winners, kind, labels);
        let scores = if n == 1 { scores } else { self.finished(scores, n, post) };
        self.give(node, 1, Value::slot(&[1, n], Kind::F32, scores));
        Ok(())
    }
}
