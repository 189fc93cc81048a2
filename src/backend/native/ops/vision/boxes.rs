//! `NonMaxSuppression`: the best boxes of each class that do not overlap.

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::scalar_i64;
use crate::backend::native::ops::wide::{floats, scalar};
use crate::backend::native::value::Value;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("NonMaxSuppression", build)];

#[derive(Debug)]
struct Suppression {
    /// Whether a box is its centre and size, not two corners.
    centred: bool,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Suppression { centred: node.flag("center_point_box", false)? }))
}

/// A box by its lower and upper ends along both axes.
#[derive(Debug, Clone, Copy)]
struct Corners {
    low: [f64; 2],
    high: [f64; 2],
}

impl Corners {
    fn of(numbers: &[f64], centred: bool) -> Self {
        let &[a, b, c, d] = numbers else { return Self { low: [0.0; 2], high: [0.0; 2] } };
        if centred {
            return Self { low: [a - c / 2.0, b - d / 2.0], high: [a + c / 2.0, b + d / 2.0] };
        }
        Self { low: [a.min(c), b.min(d)], high: [a.max(c), b.max(d)] }
    }

    fn area(&self) -> f64 {
        (self.high[0] - self.low[0]) * (self.high[1] - self.low[1])
    }

    /// The shared area as a share of what both cover; 0 where one has no area.
    fn overlap(&self, other: &Self) -> f64 {
        let side = |axis: usize| self.high[axis].min(other.high[axis]) - self.low[axis].max(other.low[axis]);
        let (height, width) = (side(0), side(1));
        if height <= 0.0 || width <= 0.0 {
            return 0.0;
        }
        let (shared, all) = (height * width, self.area() + other.area() - height * width);
        if shared > 0.0 && all > 0.0 && self.area() > 0.0 && other.area() > 0.0 { shared / all } else { 0.0 }
    }
}

impl Op for Suppression {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (boxes, scores) = (args.get(0)?, args.get(1)?);
        let (&[batches, count, 4], &[of, classes, all]) = (boxes.shape(), scores.shape()) else {
            return Err(Error::new(
                ErrorKind::WrongShape,
                "boxes are (n, boxes, 4) and their scores (n, classes, boxes)",
            )
            .actual(format!("{} and {}", shape_text(boxes.shape()), shape_text(scores.shape()))));
        };
        if of != batches || all != count {
            return Err(Error::new(ErrorKind::WrongShape, "the scores do not fit the boxes")
                .expected(format!("({batches}, classes, {count})"))
                .actual(shape_text(scores.shape())));
        }
        let most = args.opt(2).filter(|v| v.len() > 0).map(scalar_i64).transpose()?.unwrap_or(0);
        let most = usize::try_from(most.max(0)).unwrap_or(usize::MAX);
        let number = |i: usize| args.opt(i).filter(|v| v.len() > 0).map(scalar).transpose();
        let (threshold, least) = (number(3)?.unwrap_or(0.0), number(4)?);
        let (boxes, scores) = (floats(boxes)?, floats(scores)?);
        let mut chosen: Vec<i64> = Vec::new();
        for (pair, scores) in scores.chunks_exact(count.max(1)).take(batches * classes).enumerate() {
            let (batch, class) = (pair / classes, pair % classes);
            let corners = |i: usize| Corners::of(&boxes[(batch * count + i) * 4..][..4], self.centred);
            let mut order: Vec<usize> = (0..count).filter(|&i| least.is_none_or(|least| scores[i] > least)).collect();
            // The best first; of equals the one that stands first.
            order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            let mut kept: Vec<Corners> = Vec::new();
            for i in order {
                if kept.len() >= most {
                    break;
                }
                let own = corners(i);
                if kept.iter().all(|other| own.overlap(other) <= threshold) {
                    kept.push(own);
                    chosen.extend([batch as i64, class as i64, i as i64]);
                }
            }
        }
        cx.check_shape(&[chosen.len()])?;
        Ok(smallvec![Value::new([chosen.len() / 3, 3].as_slice(), chosen)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
    }
}
