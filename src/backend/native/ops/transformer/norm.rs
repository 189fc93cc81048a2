//! Rows brought to mean 0 and variance 1, with scale and shift; of a sum, where there are two inputs.

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::math::{add, broadcast, own};
use crate::backend::native::pool::Share;
use crate::backend::native::value::{Shape, Value};
use crate::kernel::{Isa, LayerNorm, norm_rows};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

/// Two terms, the second of which may be left out, scale and shift.
pub(super) const FUSED: Group = &[("Norm", norm)];

#[derive(Debug)]
struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f32,
}

fn norm(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let vector = |i: usize| {
        let value = node.constant(i).and_then(|v| v.try_slice::<f32>());
        value.ok_or_else(|| node.unsupported("a normalisation whose weights are computed")).map(<[f32]>::to_vec)
    };
    let scale = vector(2)?;
    let shift = if node.has_input(3) { vector(3)? } else { vec![0.0; scale.len()] };
    if scale.len() != shift.len() || scale.is_empty() {
        return Err(node.malformed("scale and shift of a normalisation are of different lengths"));
    }
    Ok(Box::new(Norm { scale, shift, epsilon: node.float_or("epsilon", 1e-5)? }))
}

impl Op for Norm {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        if args.get(0)?.try_slice::<f32>().is_none() {
            return Err(Error::new(ErrorKind::Unsupported, "a merged normalisation takes f32"));
        }
        let mut value = own(args, 0, cx)?;
        let same = args.opt(1).is_none_or(|b| b.shape() == value.shape());
        if !same && let Some(b) = args.opt(1) {
            value = add(value, b, cx)?;
        }
        let n = self.scale.len();
        if value.shape().last() != Some(&n) {
            return Err(Error::new(ErrorKind::WrongShape, "a normalisation was given rows of another length")
                .expected(n)
                .actual(shape_text(value.shape())));
        }
        let shape: Shape = value.shape().into();
        let mut items = value.into_vec::<f32>()?;
        let residual = match args.opt(1).filter(|_| same) {
            Some(b) => b.as_slice::<f32>()?,
            None => &[],
        };
        let norm = LayerNorm { scale: &self.scale, shift: &self.shift, epsilon: self.epsilon };
        cx.threads.rows(&mut items, n, Share { cost: 32 * n, together: 1 }, |from, rows| {
            let residual = if residual.is_empty() { residual } else { &residual[from * n..][..rows.len()] };
            norm_rows(Isa::best(), rows, residual, norm);
        });
        Ok(smallvec![Value::new::<f32>(shape, items)])
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        broadcast::crosses(outputs) || inputs.iter().take(2).any(|x| x.rank() > 0 && x.varies(x.rank() - 1))
    }

    fn parameters(&self) -> usize {
        2 * self.scale.len()
    }
}
