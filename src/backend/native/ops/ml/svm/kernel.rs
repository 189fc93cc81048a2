//! Kernels between rows and support vectors.

use crate::backend::native::node::Node;
use crate::backend::native::op::Scratch;
use crate::backend::native::value::Value;
use crate::kernel::{Isa, Packed, exp_in_place};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

/// The kernel function with its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kernel {
    /// x . v
    Linear,
    /// (gamma x . v + coef0) ^ degree
    Poly { gamma: f32, coef0: f32, degree: f32 },
    /// e ^ (-gamma |x - v|^2)
    Rbf { gamma: f32 },
    /// tanh(gamma x . v + coef0)
    Sigmoid { gamma: f32, coef0: f32 },
}

impl Kernel {
    /// Reads `kernel_type` and `kernel_params`.
    pub(super) fn of(node: &Node<'_>) -> Result<Self> {
        let params = node.floats("kernel_params")?.unwrap_or_default();
        let name = node.string_or("kernel_type", "LINEAR")?;
        if name == "LINEAR" {
            return Ok(Self::Linear);
        }
        let &[gamma, coef0, degree] = params else {
            return Err(node
                .malformed("the attribute `kernel_params` must hold gamma, coef0 and degree")
                .expected(3)
                .actual(params.len()));
        };
        match name {
            "POLY" => Ok(Self::Poly { gamma, coef0, degree }),
            "RBF" => Ok(Self::Rbf { gamma }),
            "SIGMOID" => Ok(Self::Sigmoid { gamma, coef0 }),
            other => Err(node
                .malformed("the attribute `kernel_type` names no kernel")
                .expected("LINEAR, POLY, RBF or SIGMOID")
                .actual(other)),
        }
    }
}

/// Support vectors, or the weights of a linear machine, packed for a kernel.
#[derive(Debug, Clone)]
pub(super) struct Vectors {
    kernel: Kernel,
    features: usize,
    count: usize,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    /// For products; gamma and coef0 are packed with the vectors.
    Products(Packed<f32>),
    /// For distances: (features, count), so that the distances of one row to all vectors run along a line of memory.
    Columns(Vec<f32>),
}

/// How many distances are summed at once: an eighth of a first-level cache.
const CHUNK: usize = 512;

impl Vectors {
    /// Packs `vectors` (count, features) row by row; `rho` is added to every product of a linear kernel.
    pub(super) fn new(kernel: Kernel, vectors: &[f32], count: usize, rho: f32) -> Self {
        let features = vectors.len().checked_div(count).unwrap_or(0);
        let at = |i: usize, j: usize| vectors[j * features + i];
        let form = match kernel {
            Kernel::Linear => Form::Products(Packed::new(features, count, at, Some(&vec![rho; count]))),
            Kernel::Poly { gamma, coef0, .. } | Kernel::Sigmoid { gamma, coef0 } => {
                Form::Products(Packed::new(features, count, |i, j| at(i, j) * gamma, Some(&vec![coef0; count])))
            }
            Kernel::Rbf { .. } => Form::Columns(
                (0..features).flat_map(|i| (0..count).map(move |j| (i, j))).map(|(i, j)| at(i, j)).collect(),
            ),
        };
        Self { kernel, features, count, form }
    }

    /// The length of a vector.
    pub(super) fn features(&self) -> usize {
        self.features
    }

    /// The number of vectors.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The kernel of every row of `x` (m, features) with every vector: (m, count).
    pub(super) fn of_rows(&self, x: &[f32], m: usize, cx: &mut Scratch) -> Result<Vec<f32>> {
        let total = cx.check_shape(&[m, self.count])?;
        let mut out = cx.buffer::<f32>(total);
        match &self.form {
            Form::Products(packed) if self.features == 0 => packed.repeat_bias(m, &mut out),
            Form::Products(packed) => packed.multiply(x, &mut out),
            Form::Columns(columns) => {
                out.resize(total, 0.0);
                if self.features > 0 {
                    self.distances(columns, x, &mut out);
                }
            }
        }
        match self.kernel {
            Kernel::Linear => {}
            Kernel::Poly { degree, .. } => {
                // The exponents that exporters write are small whole numbers.
                if degree == 2.0 {
                    out.iter_mut().for_each(|v| *v *= *v);
                } else if degree == 3.0 {
                    out.iter_mut().for_each(|v| *v = *v * *v * *v);
                } else {
                    out.iter_mut().for_each(|v| *v = v.powf(degree));
                }
            }
            Kernel::Rbf { gamma } => {
                out.iter_mut().for_each(|v| *v *= -gamma);
                exp_in_place(Isa::best(), &mut out);
            }
            Kernel::Sigmoid { .. } => out.iter_mut().for_each(|v| *v = v.tanh()),
        }
        Ok(out)
    }

    /// The squared distances of every row to every vector, summed feature by feature in order.
    fn distances(&self, columns: &[f32], x: &[f32], out: &mut [f32]) {
        for start in (0..self.count).step_by(CHUNK) {
            let end = self.count.min(start + CHUNK);
            for (row, sums) in x.chunks_exact(self.features).zip(out.chunks_exact_mut(self.count)) {
                let sums = &mut sums[start..end];
                for (&x, column) in row.iter().zip(columns.chunks_exact(self.count)) {
                    for (sum, v) in sums.iter_mut().zip(&column[start..end]) {
                        let d = x - v;
                        *sum += d * d;
                    }
                }
            }
        }
    }
}

/// The rows of input 0 as f32, (m, `features`); one row when it has one axis.
pub(super) fn rows<'s>(value: &'s Value<'_>, features: usize) -> Result<(std::borrow::Cow<'s, [f32]>, usize)> {
    let (m, n) = super::super::rows::table(value)?;
    if n != features {
        return Err(Error::new(ErrorKind::WrongShape, "a support vector machine was given rows of another length")
            .expected(features)
            .actual(shape_text(value.shape())));
    }
    Ok((
        match value.try_slice::<f32>() {
            Some(items) => items.into(),
            None => value.to_f32s()?.into(),
        },
        m,
    ))
}
