//! FusedMatMul of `com.microsoft`: a product of matrices that may be transposed first and scaled after.

use smallvec::smallvec;

use super::Group;
use super::common::permuted;
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::linear::{product, product_mixes};
use crate::backend::native::value::{Data, Shape, Value};

pub(super) const GROUP: Group = &[("FusedMatMul", build), ("TransposeMatMul", build)];

/// `alpha` times the product of inputs 0 and 1, whose last two axes may be swapped first.
#[derive(Debug)]
struct FusedMatMul {
    alpha: f32,
    transposed: [bool; 2],
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    if node.flag("transBatchA", false)? || node.flag("transBatchB", false)? {
        return Err(node.unsupported("FusedMatMul with `transBatchA` or `transBatchB`"));
    }
    let transposed = [node.flag("transA", false)?, node.flag("transB", false)?];
    Ok(Box::new(FusedMatMul { alpha: node.float_or("alpha", 1.0)?, transposed }))
}

/// `value` with its last two axes swapped; a vector stays as it is.
fn swapped<'s>(value: &'s Value<'_>, cx: &mut Scratch) -> Result<Value<'s>> {
    let rank = value.rank();
    if rank < 2 {
        return Ok(value.as_view());
    }
    let mut order: Vec<usize> = (0..rank).collect();
    order.swap(rank - 1, rank - 2);
    permuted(value, &order, cx)
}

impl Op for FusedMatMul {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let operand = |i: usize, cx: &mut Scratch| {
            let value = args.get(i)?;
            if self.transposed[i] { swapped(value, cx) } else { Ok(value.as_view()) }
        };
        let (a, b) = (operand(0, cx)?, operand(1, cx)?);
        let answer = product(&a, &b, cx)?;
        if self.alpha == 1.0 {
            return Ok(smallvec![answer]);
        }
        let shape = Shape::from_slice(answer.shape());
        Ok(smallvec![match answer.data() {
            Data::F32(_) => {
                let mut items = answer.into_vec::<f32>()?;
                items.iter_mut().for_each(|v| *v *= self.alpha);
                Value::new(shape, items)
            }
            Data::F64(_) => {
                let mut items = answer.into_vec::<f64>()?;
                items.iter_mut().for_each(|v| *v *= f64::from(self.alpha));
                Value::new(shape, items)
            }
            _ => return Err(answer.type_error("f32 or f64")),
        }])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let operand = |i: usize| {
            let mut flow = inputs.get(i).cloned().unwrap_or_default();
            if self.transposed[i] {
                for shape in flow.shapes.iter_mut().filter(|s| s.len() > 1) {
                    let rank = shape.len();
                    shape.swap(rank - 1, rank - 2);
                }
            }
            flow
        };
        product_mixes(&operand(0), &operand(1))
    }
}
