//! Losses: `NegativeLogLikelihoodLoss` and `SoftmaxCrossEntropyLoss`.

use smallvec::smallvec;

use super::Group;
use super::wide::{floats, rounded};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Shape, Value};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group =
    &[("NegativeLogLikelihoodLoss", |node| build(node, false)), ("SoftmaxCrossEntropyLoss", |node| build(node, true))];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reduction {
    None,
    Mean,
    Sum,
}

/// The loss of scores (n, classes, ...) and the right classes (n, ...), each weighted by its class.
#[derive(Debug)]
struct Loss {
    /// Whether the scores are to be made logarithms of probabilities, which are then the second output.
    softmax: bool,
    reduction: Reduction,
    ignored: Option<i64>,
}

fn build(node: &Node<'_>, softmax: bool) -> Result<Box<dyn Op>> {
    let reduction = match node.string_or("reduction", "mean")? {
        "none" => Reduction::None,
        "mean" => Reduction::Mean,
        "sum" => Reduction::Sum,
        other => return Err(node.malformed("an unknown `reduction`").actual(other)),
    };
    Ok(Box::new(Loss { softmax, reduction, ignored: node.int("ignore_index")? }))
}

/// log(softmax) of `items` (before, classes, after) along the classes.
fn log_softmax(items: &mut [f64], classes: usize, after: usize) {
    if after == 0 {
        return;
    }
    for block in items.chunks_exact_mut((classes * after).max(1)) {
        for i in 0..after {
            let most = block[i..].iter().step_by(after).fold(f64::NEG_INFINITY, |m, &x| m.max(x));
            let sum: f64 = block[i..].iter().step_by(after).map(|x| (x - most).exp()).sum();
            block[i..].iter_mut().step_by(after).for_each(|x| *x -= most + sum.ln());
        }
    }
}

impl Op for Loss {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (scores, target) = (args.get(0)?, args.get(1)?);
        let &[n, classes, ref rest @ ..] = scores.shape() else {
            return Err(Error::new(ErrorKind::WrongShape, "a loss takes scores of a batch and classes")
                .actual(shape_text(scores.shape())));
        };
        let mut shape = Shape::from_slice(&[n]);
        shape.extend_from_slice(rest);
        if *target.shape() != shape[..] {
            return Err(Error::new(ErrorKind::WrongShape, "a loss takes one class for each of its scores")
                .expected(shape_text(&shape))
                .actual(shape_text(target.shape())));
        }
        let count = cx.check_shape(&shape)?;
        let after: usize = rest.iter().product();
        let mut logs = floats(scores)?;
        if self.softmax {
            log_softmax(&mut logs, classes, after);
        }
        let weights = args.opt(2).map(floats).transpose()?;
        if weights.as_ref().is_some_and(|w| w.len() != classes) {
            return Err(Error::new(ErrorKind::WrongShape, "a loss takes one weight for each class").expected(classes));
        }
        let (mut losses, mut weight_sum) = (Vec::with_capacity(count), 0.0);
        for (i, class) in target.to_i64s()?.into_iter().enumerate() {
            if self.ignored == Some(class) {
                losses.push(0.0);
                continue;
            }
            let place = usize::try_from(class).ok().filter(|&c| c < classes).ok_or_else(|| {
                Error::new(ErrorKind::InvalidValue, "a class is out of range")
                    .expected(format!("0 to {}", classes.saturating_sub(1)))
                    .actual(class)
            })?;
            let weight = weights.as_ref().map_or(1.0, |w| w[place]);
            weight_sum += weight;
            losses.push(-weight * logs[(i / after * classes + place) * after + i % after]);
        }
        let like = scores.data();
        let loss = match self.reduction {
            Reduction::None => rounded(losses, shape, like),
            Reduction::Sum => rounded(vec![losses.iter().sum()], Shape::new(), like),
            Reduction::Mean => rounded(vec![losses.iter().sum::<f64>() / weight_sum], Shape::new(), like),
        };
        let logs = if self.softmax { rounded(logs, scores.shape(), like) } else { Value::default() };
        Ok(if self.softmax { smallvec![loss, logs] } else { smallvec![loss] })
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let whole = self.reduction != Reduction::None && inputs.iter().any(Flow::any);
        whole || inputs.iter().take(2).any(|x| !x.only_first()) || inputs.iter().skip(2).any(Flow::any)
    }
}
