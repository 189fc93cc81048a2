//! `SVMRegressor`, one-class machines included.

use smallvec::smallvec;

use super::kernel::{Kernel, Vectors, rows};
use super::linear;
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::ml::rows::mixes_last_axis;
use crate::backend::native::ops::post::PostTransform;
use crate::backend::native::value::Value;
use crate::kernel::Packed;

/// The weighted sum of kernels plus rho: (m, n) -> (m, 1).
#[derive(Debug, Clone)]
struct SvmRegressor {
    machine: Machine,
    /// Whether the answer is 1 inside and -1 outside.
    one_class: bool,
}

#[derive(Debug, Clone)]
enum Machine {
    /// The weights of the features (features, 1) and rho.
    Linear(Packed<f32>),
    /// Support vectors with the weight of each.
    Kernels { vectors: Vectors, coefficients: Vec<f32>, rho: f32 },
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
        let machine = Machine::Linear(linear::weights(coefficients, 1, rho));
        return Ok(Box::new(SvmRegressor { machine, one_class }));
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
    let vectors = Vectors::new(Kernel::of(node)?, supports, count);
    let machine = Machine::Kernels { vectors, coefficients: coefficients.to_vec(), rho };
    Ok(Box::new(SvmRegressor { machine, one_class }))
}

impl Op for SvmRegressor {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (x, m) = rows(args.get(0)?, self.machine.features())?;
        let mut out = cx.buffer::<f32>(cx.check_shape(&[m, 1])?);
        match &self.machine {
            Machine::Linear(weights) => linear::scores(weights, &x, m, &mut out),
            Machine::Kernels { vectors, coefficients, rho } => {
                let kernels = vectors.of_rows(&x, m, cx)?;
                let rho = f64::from(*rho);
                out.extend(kernels.chunks_exact(vectors.count()).map(|row| (dot(row, coefficients) + rho) as f32));
                cx.recycle_buffer(kernels);
            }
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
        match &self.machine {
            Machine::Linear(weights) => weights.k() + 1,
            Machine::Kernels { vectors, .. } => vectors.count() * (vectors.features() + 1) + 1,
        }
    }

    fn features(&self) -> Option<usize> {
        Some(self.machine.features())
    }
}

impl Machine {
    /// The length of the rows it takes.
    fn features(&self) -> usize {
        match self {
            Self::Linear(weights) => weights.k(),
            Self::Kernels { vectors, .. } => vectors.features(),
        }
    }
}

/// The sum of products, summed in eight lanes.
pub(super) fn dot(kernels: &[f64], coefficients: &[f32]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0f64; LANES];
    let (mut x, mut y) = (kernels.chunks_exact(LANES), coefficients.chunks_exact(LANES));
    for (x, y) in x.by_ref().zip(y.by_ref()) {
        for ((s, x), y) in sums.iter_mut().zip(x).zip(y) {
            *s += x * f64::from(*y);
        }
    }
    let rest: f64 = x.remainder().iter().zip(y.remainder()).map(|(x, y)| x * f64::from(*y)).sum();
    sums.iter().sum::<f64>() + rest
}
