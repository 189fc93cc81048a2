//! `LinearClassifier`.

use smallvec::smallvec;

use super::dense::Dense;
use super::regressor::{coefficients, rows};
use crate::Result;
use crate::backend::native::chain::{ElementsMut, Filling, Handed};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, RowMap, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::post::{PostTransform, logistic, probit};
use crate::backend::native::value::Value;

pub(super) const GROUP: Group = &[("LinearClassifier", build)];

/// Labels (m,) and scores (m, classes) of rows (m, n).
#[derive(Debug, Clone)]
struct LinearClassifier {
    dense: Dense<f32>,
    labels: Labels,
    post: PostTransform,
    /// Whether the scores of a row are divided by the sum of their magnitudes at the end.
    normalised: bool,
}

/// The class labels.
#[derive(Debug, Clone)]
enum Labels {
    Ints(Vec<i64>),
    Strings(Vec<String>),
}

impl Labels {
    fn len(&self) -> usize {
        match self {
            Self::Ints(l) => l.len(),
            Self::Strings(l) => l.len(),
        }
    }
}

/// The label of a class, counted in the list; past its end stand the classes that a lone label leaves unnamed.
fn label<T: Clone + Default>(labels: &[T], class: usize) -> T {
    labels.get(class).cloned().unwrap_or_default()
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let ints = node.ints("classlabels_ints")?.filter(|l| !l.is_empty());
    let strings = node.strings("classlabels_strings")?.filter(|l| !l.is_empty());
    let labels = match (strings, ints) {
        (Some(strings), _) => Labels::Strings(strings),
        (None, Some(ints)) => Labels::Ints(ints.to_vec()),
        (None, None) => return Err(node.malformed("the classifier has no class labels")),
    };
    // The number of score functions is that of the intercepts, or of the labels when there are none.
    let outputs = match node.floats("intercepts")? {
        Some(i) if !i.is_empty() => i.len(),
        _ => labels.len(),
    };
    let dense = coefficients(node, outputs)?;
    let labels = match labels {
        // One score function and one label: the classes are 0 and the label as far as ONNX Runtime is concerned.
        Labels::Ints(l) if outputs == 1 && l.len() == 1 => Labels::Ints(vec![0, l[0]]),
        labels => labels,
    };
    if outputs > 1 && labels.len() != outputs {
        return Err(node
            .malformed("the classifier needs one label for each of its score functions")
            .expected(outputs)
            .actual(labels.len()));
    }
    Ok(Box::new(LinearClassifier { dense, labels, post: PostTransform::of(node)?, normalised: false }))
}

impl LinearClassifier {
    /// Whether one score stands for two classes.
    fn is_binary(&self) -> bool {
        self.dense.n() == 1 && self.labels.len() == 2
    }

    /// The number of scores that a row gets.
    fn classes(&self) -> usize {
        if self.is_binary() { 2 } else { self.dense.n() }
    }

    /// Writes the scores (m, classes) of the rows `x` (m, n), and tells the class of each in turn.
    fn write(
        &self,
        x: &[f32],
        m: usize,
        scores: &mut [f32],
        cx: &mut Scratch,
        mut class: impl FnMut(usize),
    ) -> Result<()> {
        let n = self.dense.n();
        if self.is_binary() {
            let raw = self.dense.answers(x, m, cx)?;
            for (&s, both) in raw.iter().zip(scores.chunks_exact_mut(2)) {
                class(usize::from(s > 0.0));
                let positive = match self.post {
                    PostTransform::Logistic => logistic(s),
                    PostTransform::Probit => probit(s),
                    _ => s,
                };
                both.copy_from_slice(&[1.0 - positive, positive]);
            }
            cx.recycle_buffer(raw);
        } else {
            self.dense.write(x, m, scores, cx);
            match n {
                1 => scores.iter().for_each(|&s| class(usize::from(s > 0.0))),
                n => scores.chunks_exact(n).for_each(|row| class(argmax(row))),
            }
            match (n, self.post) {
                (1, PostTransform::Logistic) => scores.iter_mut().for_each(|v| *v = logistic(*v)),
                (1, PostTransform::Probit) => scores.iter_mut().for_each(|v| *v = probit(*v)),
                (1, _) => {}
                (n, post) => post.apply_rows(scores, n),
            }
        }
        if self.normalised {
            for row in scores.chunks_exact_mut(self.classes()) {
                let sum: f32 = row.iter().map(|v| v.abs()).sum();
                if sum != 0.0 {
                    row.iter_mut().for_each(|v| *v /= sum);
                }
            }
        }
        Ok(())
    }
}

/// The index of the largest score, the first of equals; a leading NaN stays.
fn argmax(row: &[f32]) -> usize {
    let mut best = 0;
    for (i, v) in row.iter().enumerate().skip(1) {
        if *v > row[best] {
            best = i;
        }
    }
    best
}

impl Op for LinearClassifier {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (x, m) = rows(args.get(0)?, self.dense.k())?;
        let count = cx.check_shape(&[m, self.classes()])?;
        let mut scores = cx.buffer::<f32>(count);
        scores.resize(count, 0.0);
        let labels = match &self.labels {
            Labels::Ints(l) => {
                let mut out = cx.buffer::<i64>(m);
                self.write(&x, m, &mut scores, cx, |class| out.push(label(l, class)))?;
                Value::new([m].as_slice(), out)
            }
            Labels::Strings(l) => {
                let mut out = cx.buffer::<String>(m);
                self.write(&x, m, &mut scores, cx, |class| out.push(label(l, class)))?;
                Value::new([m].as_slice(), out)
            }
        };
        Ok(smallvec![labels, Value::new([m, self.classes()].as_slice(), scores)])
    }

    fn fill(&self, rows: Filling<'_, '_>, cx: &mut Scratch) -> Option<Result<()>> {
        let (m, x, [labels, scores]) = (rows.m, self.dense.rows_of(&rows)?, rows.out) else { return None };
        let scores = f32::write(scores).filter(|scores| scores.len() == m * self.classes())?;
        Some(match (&self.labels, labels) {
            (Labels::Ints(l), ElementsMut::I64(labels)) => {
                let mut slots = labels.iter_mut();
                self.write(x, m, scores, cx, |class| slots.next().into_iter().for_each(|s| *s = label(l, class)))
            }
            (Labels::Strings(l), ElementsMut::String(labels)) => {
                let mut slots = labels.iter_mut();
                self.write(x, m, scores, cx, |class| slots.next().into_iter().for_each(|s| *s = label(l, class)))
            }
            (_, ElementsMut::Unwanted) => self.write(x, m, scores, cx, |_| ()),
            _ => return None,
        })
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| x.rank() != 2 || x.varies(1))
    }

    fn parameters(&self) -> usize {
        self.dense.parameters()
    }

    fn features(&self) -> Option<usize> {
        Some(self.dense.k())
    }

    fn output_features(&self, output: usize) -> Option<Vec<String>> {
        (output == 1).then(|| match &self.labels {
            Labels::Ints(l) => l.iter().map(ToString::to_string).collect(),
            Labels::Strings(l) => l.clone(),
        })
    }

    fn absorb_previous(&self, previous: &dyn Op) -> Option<Box<dyn Op>> {
        // A scaler insists on the width of its rows; other maps may widen them.
        let map = previous.row_map().filter(|map| matches!(map, RowMap::Scale { .. }))?;
        let dense = self.dense.after(&map)?;
        Some(Box::new(Self { dense, ..self.clone() }))
    }

    fn absorb_next(&self, output: usize, next: &dyn Op) -> Option<Box<dyn Op>> {
        match next.row_map()? {
            RowMap::NormaliseL1 if output == 1 && !self.normalised => {
                // A softmax sums to one as it is.
                let normalised = !(self.post == PostTransform::Softmax && self.dense.n() > 1);
                Some(Box::new(Self { normalised, ..self.clone() }))
            }
            _ => None,
        }
    }
}
