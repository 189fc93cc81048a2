//! `SVMRegressor`, one-class machines included.

use smallvec::smallvec;

use super::kernel::{Kernel, Vectors, rows};
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::ml::rows::mixes_last_axis;
use crate::backend::native::ops::post::PostTransform;
use crate::backend::native::value::Value;

/// The weighted sum of kernels plus rho: (m, n) -> (m, 1).
#[derive(Debug, Clone)]
struct SvmRegressor {
    vectors: Vectors,
    /// The weight of each support vector; nothing for a linear machine, whose one vector is the answer.
    coefficients: Option<Vec<f32>>,
    rho: f32,
    /// Whether the answer is 1 inside and -1 outside.
    one_class: bool,
}

pub(super) fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    // The transform is read for its errors only: ONNX Runtime does not apply it, and one target leaves nothing to do.
    PostTransform::of(node)?;
    let coefficients = node.floats("coefficients")?.unwrap_or_default();
    if coefficients.is_empty() {
        return Err(node.malformed("the attribute `coefficients` is missing or empty"));
    }
    let rho = *node
        .floats("rho")?
        .and_then(<[f32]>::first)
        .ok_or_else(|| node.malformed("the attribute `rho` is missing or empty"))?;
    let one_class = node.flag("one_class", false)?;
    let count = node.int_or("n_supports", 0)?;
    let count =
        usize::try_from(count).map_err(|_| node.malformed("the attribute `n_supports` is negative").actual(count))?;
    if count == 0 {
        let vectors = Vectors::new(Kernel::Linear, coefficients, 1, rho);
        return Ok(Box::new(SvmRegressor { vectors, coefficients: None, rho, one_class }));
    }
    let supports = node.floats("support_vectors")?.unwrap_or_default();
    if supports.len() % count != 0 {
        return Err(node
            .malformed("the attribute `support_vectors` does not hold whole vectors")
            .expected(format!("a multiple of {count}"))
            .actual(supports.len()));
    }
    if coefficients.len() != count {
        return Err(node
            .malformed("the attribute `coefficients` needs one number for each support vector")
            .expected(count)
            .actual(coefficients.len()));
    }
    let vectors = Vectors::new(Kernel::of(node)?, supports, count, 0.0);
    Ok(Box::new(SvmRegressor { vectors, coefficients: Some(coefficients.to_vec()), rho, one_class }))
}

impl Op for SvmRegressor {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (x, m) = rows(args.get(0)?, self.vectors.features())?;
        let mut out = self.vectors.of_rows(&x, m, cx)?;
        if let Some(coefficients) = &self.coefficients {
            let mut sums = cx.buffer::<f32>(m);
            for kernels in out.chunks_exact(self.vectors.count()) {
                sums.push((dot(kernels, coefficients) + f64::from(self.rho)) as f32);
            }
            cx.recycle_buffer(std::mem::replace(&mut out, sums));
        }
        if self.one_class {
            out.iter_mut().for_each(|v| *v = if *v > 0.0 { 1.0 } else { -1.0 });
        }
        Ok(smallvec![Value::new([m, 1].as_slice(), out)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        mixes_last_axis(inputs)
    }

    fn parameters(&self) -> usize {
        self.vectors.count() * self.vectors.features() + self.coefficients.as_ref().map_or(0, Vec::len) + 1
    }

    fn features(&self) -> Option<usize> {
        Some(self.vectors.features())
    }
}

/// The sum of products, summed as f64 in eight lanes.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0f64; LANES];
    let (mut x, mut y) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (x, y) in x.by_ref().zip(y.by_ref()) {
        for ((s, x), y) in sums.iter_mut().zip(x).zip(y) {
            *s += f64::from(x * y);
        }
    }
    let rest: f64 = x.remainder().iter().zip(y.remainder()).map(|(x, y)| f64::from(x * y)).sum();
    sums.iter().sum::<f64>() + rest
}
