//! Distances of rows from points: CDist of `com.microsoft`, and the kernel behind the loops that scikit-learn's
//! converter writes for the same.

use smallvec::smallvec;

use super::Group;
use super::common::spreads;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Data, Item, Value};
use crate::kernel::{Isa, Metric, Points, Real};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("CDist", cdist)];

/// Constant points of either type of float.
#[derive(Debug, Clone)]
pub(in crate::backend::native::ops) enum Known {
    F32(Points<f32>),
    F64(Points<f64>),
}

impl Known {
    /// The points in a constant (n, k) of floats; `None` for anything else.
    pub(in crate::backend::native::ops) fn of(value: &Value<'_>) -> Option<Self> {
        let &[n, k] = value.shape() else { return None };
        match value.data() {
            Data::F32(items) => Some(Self::F32(Points::new(items, n, k))),
            Data::F64(items) => Some(Self::F64(Points::new(items, n, k))),
            _ => None,
        }
    }

    /// The numbers of coordinates that rows must have.
    pub(in crate::backend::native::ops) fn size(&self) -> (usize, usize) {
        match self {
            Self::F32(points) => (points.n(), points.k()),
            Self::F64(points) => (points.n(), points.k()),
        }
    }

    /// The distances (m, n) of the rows of `x`.
    pub(in crate::backend::native::ops) fn from(
        &self,
        x: &Value<'_>,
        metric: Metric,
        cx: &mut Scratch,
    ) -> Result<Value<'static>> {
        match self {
            Self::F32(points) => measured(x, points, metric, cx),
            Self::F64(points) => measured(x, points, metric, cx),
        }
    }
}

/// The distances (m, n) of the rows of `x`, (m, k), from `points`.
fn measured<T: Real + Item>(
    x: &Value<'_>,
    points: &Points<T>,
    metric: Metric,
    cx: &mut Scratch,
) -> Result<Value<'static>> {
    let items = x.as_slice::<T>()?;
    let &[m, k] = x.shape() else { return Err(misfit(x, points.k())) };
    if k != points.k() {
        return Err(misfit(x, points.k()));
    }
    let shape = [m, points.n()];
    let mut out = cx.buffer::<T>(cx.check_shape(&shape)?);
    points.distances(Isa::best(), metric, items, m, &mut out);
    Ok(Value::new(shape.as_slice(), out))
}

#[cold]
fn misfit(x: &Value<'_>, k: usize) -> Error {
    Error::new(ErrorKind::WrongShape, "rows can't be measured against points of another number of coordinates")
        .expected(format!("(m, {k})"))
        .actual(shape_text(x.shape()))
}

/// The distances of the rows of input 0 from those of input 1.
#[derive(Debug)]
struct CDist {
    root: bool,
    known: Option<Known>,
}

fn cdist(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let root = match node.string_or("metric", "sqeuclidean")? {
        "euclidean" => true,
        "sqeuclidean" => false,
        other => return Err(node.unsupported(format!("CDist with the metric `{other}`"))),
    };
    Ok(Box::new(CDist { root, known: node.constant(1).and_then(Known::of) }))
}

/// The square roots in place.
fn rooted<T: Real + Item>(value: Value<'static>) -> Result<Value<'static>> {
    let shape = value.shape().to_vec();
    let mut items = value.into_vec::<T>()?;
    items.iter_mut().for_each(|v| *v = v.sqrt());
    Ok(Value::new(shape, items))
}

impl Op for CDist {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let x = args.get(0)?;
        let packed;
        let points = match &self.known {
            Some(known) => known,
            None => {
                let points = args.get(1)?;
                packed = Known::of(points).ok_or_else(|| {
                    Error::new(ErrorKind::WrongShape, "CDist takes two matrices of f32 or f64")
                        .actual(shape_text(points.shape()))
                })?;
                &packed
            }
        };
        let distances = points.from(x, Metric::SquaredEuclidean, cx)?;
        Ok(smallvec![match points {
            _ if !self.root => distances,
            Known::F32(_) => rooted::<f32>(distances)?,
            Known::F64(_) => rooted::<f64>(distances)?,
        }])
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        inputs.iter().any(|i| i.varies(1)) || spreads(outputs)
    }

    fn parameters(&self) -> usize {
        self.known.as_ref().map_or(0, |known| known.size().0 * known.size().1)
    }

    fn features(&self) -> Option<usize> {
        self.known.as_ref().map(|known| known.size().1)
    }
}
