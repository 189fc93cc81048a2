//! `LinearRegressor`.

use smallvec::smallvec;

use super::dense::Dense;
use crate::backend::native::chain::{Filling, Handed};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, RowMap, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::post::{PostTransform, probit};
use crate::backend::native::value::Value;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("LinearRegressor", build)];

/// Rows times coefficients plus intercepts: (m, n) -> (m, targets).
#[derive(Debug, Clone)]
struct LinearRegressor {
    dense: Dense<f32>,
    post: PostTransform,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let targets = node.int_or("targets", 1)?;
    let targets = usize::try_from(targets)
        .ok()
        .filter(|&t| t > 0)
        .ok_or_else(|| node.malformed("the attribute `targets` must be positive"))?;
    let dense = coefficients(node, targets)?;
    Ok(Box::new(LinearRegressor { dense, post: PostTransform::of(node)? }))
}

/// The product of `coefficients` (outputs, features) and `intercepts`.
pub(super) fn coefficients(node: &Node<'_>, outputs: usize) -> Result<Dense<f32>> {
    let weights =
        node.floats("coefficients")?.ok_or_else(|| node.malformed("the attribute `coefficients` is missing"))?;
    let intercepts = node.floats("intercepts")?.filter(|i| !i.is_empty());
    if weights.len() % outputs != 0 {
        return Err(node
            .malformed("the attribute `coefficients` does not hold one weight per feature and output")
            .expected(format!("a multiple of {outputs}"))
            .actual(weights.len()));
    }
    if let Some(intercepts) = intercepts
        && intercepts.len() != outputs
    {
        return Err(node
            .malformed("the attribute `intercepts` does not hold one number per output")
            .expected(outputs)
            .actual(intercepts.len()));
    }
    let features = weights.len() / outputs;
    Ok(Dense::new(features, outputs, |i, j| weights[j * features + i], intercepts))
}

/// The rows of input 0 as f32, (m, `features`); one row when it has one axis.
pub(super) fn rows<'s>(value: &'s Value<'_>, features: usize) -> Result<(std::borrow::Cow<'s, [f32]>, usize)> {
    let (m, n) = match *value.shape() {
        [n] => (1, n),
        [m, n] => (m, n),
        _ => (0, usize::MAX),
    };
    if n != features {
        return Err(Error::new(ErrorKind::WrongShape, "a linear model was given rows of another length")
            .expected(features)
            .actual(shape_text(value.shape())));
    }
    let items = match value.try_slice::<f32>() {
        Some(items) => items.into(),
        None => value.to_f32s()?.into(),
    };
    Ok((items, m))
}

impl LinearRegressor {
    /// Makes predictions of the scores (m, targets).
    fn transform(&self, scores: &mut [f32]) {
        match (self.dense.n(), self.post) {
            (1, PostTransform::Probit) => scores.iter_mut().for_each(|v| *v = probit(*v)),
            (1, _) => {}
            (n, post) => post.apply_rows(scores, n),
        }
    }
}

impl Op for LinearRegressor {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (x, m) = rows(args.get(0)?, self.dense.k())?;
        let mut scores = self.dense.answers(&x, m, cx)?;
        self.transform(&mut scores);
        Ok(smallvec![Value::new([m, self.dense.n()].as_slice(), scores)])
    }

    fn fill(&self, rows: Filling<'_, '_>, cx: &mut Scratch) -> Option<Result<()>> {
        let (m, x, [out]) = (rows.m, self.dense.rows_of(&rows)?, rows.out) else { return None };
        let scores = f32::write(out).filter(|out| out.len() == m * self.dense.n())?;
        self.dense.write(x, m, scores, cx);
        self.transform(scores);
        Some(Ok(()))
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

    fn absorb_previous(&self, previous: &dyn Op) -> Option<Box<dyn Op>> {
        // A scaler insists on the width of its rows; other maps may widen them.
        let map = previous.row_map().filter(|map| matches!(map, RowMap::Scale { .. }))?;
        let dense = self.dense.after(&map)?;
        Some(Box::new(Self { dense, post: self.post }))
    }

    fn absorb_next(&self, _output: usize, next: &dyn Op) -> Option<Box<dyn Op>> {
        if self.post != PostTransform::None {
            return None;
        }
        self.dense.before(&next.row_map()?).map(|d| Box::new(d) as _)
    }
}
