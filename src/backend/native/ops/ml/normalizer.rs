//! `Normalizer`.

use smallvec::smallvec;

use super::rows::{mixes_last_axis, owned_f32s, table};
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, RowMap, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Shape, Value};

pub(super) const GROUP: Group = &[("Normalizer", build)];

/// What a row is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Norm {
    /// The largest element; not the largest magnitude.
    Max,
    L1,
    L2,
}

/// Every row of a table over its norm; a row whose norm is zero stays.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Normalizer {
    pub(crate) norm: Norm,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let norm = match node.string_or("norm", "MAX")? {
        "MAX" => Norm::Max,
        "L1" => Norm::L1,
        "L2" => Norm::L2,
        other => {
            return Err(node.malformed("the attribute `norm` names no norm").expected("MAX, L1 or L2").actual(other));
        }
    };
    Ok(Box::new(Normalizer { norm }))
}

impl Norm {
    /// Divides a row by its norm.
    pub(crate) fn apply(self, row: &mut [f32]) {
        match self {
            Self::Max => {
                let max = row.iter().fold(f32::MIN, |max, &x| if max < x { x } else { max });
                if max != 0.0 {
                    row.iter_mut().for_each(|x| *x /= max);
                }
            }
            Self::L1 => {
                let sum: f32 = row.iter().fold(0.0, |sum, x| sum + x.abs());
                if sum != 0.0 {
                    row.iter_mut().for_each(|x| *x /= sum);
                }
            }
            Self::L2 => {
                let sum: f32 = row.iter().fold(0.0, |sum, x| sum + x * x);
                if sum != 0.0 {
                    row.iter_mut().for_each(|x| *x = signed_share(*x, *x * *x, sum));
                }
            }
        }
    }
}

/// The square root of a square's share in the sum of squares, with the sign of `x`.
fn signed_share<T: PartialOrd + Default>(x: T, square: f32, sum: f32) -> f32 {
    let share = (square / sum).sqrt();
    if x < T::default() { -share } else { share }
}

impl Normalizer {
    /// L2 of elements that are not f32: squares are taken in the elements' own type, as ONNX Runtime does.
    fn l2<T: Copy + PartialOrd + Default>(
        x: &[T],
        n: usize,
        out: &mut Vec<f32>,
        square: impl Fn(T) -> f32,
        plain: impl Fn(T) -> f32,
    ) {
        for row in x.chunks_exact(n.max(1)) {
            let sum = row.iter().fold(0.0, |sum, &x| sum + square(x));
            if sum == 0.0 {
                out.extend(row.iter().map(|&x| plain(x)));
            } else {
                out.extend(row.iter().map(|&x| signed_share(x, square(x), sum)));
            }
        }
    }
}

impl Op for Normalizer {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.take(0)?;
        let (_, n) = table(&value)?;
        let shape = Shape::from_slice(value.shape());
        if self.norm == Norm::L2 && !matches!(value.data(), Data::F32(_)) {
            let mut out = cx.buffer::<f32>(value.len());
            match value.data() {
                Data::F64(x) => Self::l2(x, n, &mut out, |x| (x * x) as f32, |x| x as f32),
                Data::I64(x) => Self::l2(x, n, &mut out, |x| x.wrapping_mul(x) as f32, |x| x as f32),
                Data::I32(x) => Self::l2(x, n, &mut out, |x| x.wrapping_mul(x) as f32, |x| x as f32),
                _ => return Err(value.type_error("f32, f64, i64 or i32")),
            }
            return Ok(smallvec![Value::new(shape, out)]);
        }
        let (shape, mut items) = owned_f32s(value, cx)?;
        if n > 0 {
            items.chunks_exact_mut(n).for_each(|row| self.norm.apply(row));
        }
        Ok(smallvec![Value::new(shape, items)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        mixes_last_axis(inputs)
    }

    fn row_map(&self) -> Option<RowMap> {
        (self.norm == Norm::L1).then_some(RowMap::NormaliseL1)
    }
}
