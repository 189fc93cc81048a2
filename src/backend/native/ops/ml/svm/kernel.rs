//! Kernels between rows and support vectors.

use crate::backend::native::node::Node;
use crate::backend::native::op::Scratch;
use crate::backend::native::value::Value;
use crate::kernel::{Isa, Metric, Packed, Points, exp_in_place};
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

/// Support vectors packed for a kernel.
///
/// Numbers are f64 throughout: the terms of a machine are much larger than its answer where data is not scaled, and
/// what f32 loses there shows. The libraries that train such machines compute in f64, too.
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
    Products(Packed<f64>),
    Distances(Points<f64>),
}

impl Vectors {
    /// Packs `vectors` (count, features) row by row.
    pub(super) fn new(kernel: Kernel, vectors: &[f32], count: usize) -> Self {
        let features = vectors.len().checked_div(count).unwrap_or(0);
        let products = |gamma: f32, coef0: f32| {
            let at = |i: usize, j: usize| f64::from(vectors[j * features + i]) * f64::from(gamma);
            Form::Products(Packed::new(features, count, at, Some(&vec![coef0.into(); count])))
        };
        let form = match kernel {
            Kernel::Linear => products(1.0, 0.0),
            Kernel::Poly { gamma, coef0, .. } | Kernel::Sigmoid { gamma, coef0 } => products(gamma, coef0),
            Kernel::Rbf { .. } => {
                let points: Vec<f64> = vectors.iter().map(|&v| v.into()).collect();
                Form::Distances(Points::new(&points, count, features))
            }
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
    pub(super) fn of_rows(&self, x: &[f32], m: usize, cx: &mut Scratch) -> Result<Vec<f64>> {
        let total = cx.check_shape(&[m, self.count])?;
        let mut out = cx.buffer::<f64>(total);
        let mut wide = cx.buffer::<f64>(x.len());
        wide.extend(x.iter().map(|&v| f64::from(v)));
        match &self.form {
            Form::Products(packed) => packed.multiply(&wide, m, &mut out),
            Form::Distances(points) => {
                points.distances(Isa::best(), Metric::SquaredEuclidean, &wide, m, &mut out);
            }
        }
        cx.recycle_buffer(wide);
        match self.kernel {
            Kernel::Linear => {}
            Kernel::Poly { degree, .. } => {
                // The exponents that exporters write are small whole numbers.
                if degree == 2.0 {
                    out.iter_mut().for_each(|v| *v *= *v);
                } else if degree == 3.0 {
                    out.iter_mut().for_each(|v| *v = *v * *v * *v);
                } else {
                    out.iter_mut().for_each(|v| *v = v.powf(degree.into()));
                }
            }
            Kernel::Rbf { gamma } => {
                let gamma = f64::from(gamma);
                out.iter_mut().for_each(|v| *v *= -gamma);
                exp_in_place(Isa::best(), &mut out);
            }
            Kernel::Sigmoid { .. } => out.iter_mut().for_each(|v| *v = v.tanh()),
        }
        Ok(out)
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
