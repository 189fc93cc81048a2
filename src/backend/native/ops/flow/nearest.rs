//! The loop that scikit-learn's converter writes for distances: Scan over the training points, whose body takes the
//! rows of the batch minus one point and sums squares or magnitudes. It is run as one kernel.

use std::any::Any;

use smallvec::smallvec;

use super::scan::Scan;
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::layout::distance::Known;
use crate::backend::native::ops::layout::{Transpose, permuted, spreads};
use crate::backend::native::value::Value;
use crate::kernel::Metric;
use crate::onnx::{GraphProto, NodeProto};

/// The body of a Scan, read backwards from an output.
struct Reader<'g> {
    node: &'g Node<'g>,
    graph: &'g GraphProto,
}

impl<'g> Reader<'g> {
    /// The node that gives `name`, through nodes that pass it on.
    fn producer(&self, name: &'g str) -> Option<&'g NodeProto> {
        let node = self.graph.node.iter().find(|n| n.output.iter().any(|o| o == name))?;
        match node.operator() {
            "Identity" => self.producer_below(node),
            _ => Some(node),
        }
    }

    fn producer_below(&self, node: &'g NodeProto) -> Option<&'g NodeProto> {
        // One step at a time: a hostile graph may have a cycle.
        let mut name = node.input.first()?;
        for _ in 0..self.graph.node.len() {
            let node = self.graph.node.iter().find(|n| n.output.contains(name))?;
            if node.operator() != "Identity" {
                return Some(node);
            }
            name = node.input.first()?;
        }
        None
    }

    /// The operator of standard domain that gives `name`, if it is called `operator`.
    fn expect(&self, name: &'g str, operator: &str) -> Option<&'g NodeProto> {
        self.producer(name).filter(|n| n.operator_domain().is_empty() && n.operator() == operator)
    }

    /// The name behind `name`, through nodes that pass it on.
    fn origin(&self, mut name: &'g str) -> &'g str {
        for _ in 0..self.graph.node.len() {
            match self.graph.node.iter().find(|n| n.operator() == "Identity" && n.output.iter().any(|o| o == name)) {
                Some(node) => name = node.input.first().map_or("", String::as_str),
                None => break,
            }
        }
        name
    }

    /// A constant of the body or of the graphs around it.
    fn constant(&self, name: &str) -> Option<Value<'static>> {
        let named = |t: &&crate::onnx::TensorProto| t.name.as_deref() == Some(name);
        match self.graph.initializer.iter().find(named) {
            Some(tensor) => Some(tensor.to_dense(None, 16).ok()?.into()),
            None => self.node.scope.constant(name).filter(|v| v.len() == 1).cloned(),
        }
    }

    /// Whether a reduction sums along axis 1 of two and leaves it out.
    fn sums_columns(&self, node: &NodeProto) -> bool {
        let attribute = |name| node.find_attribute(name);
        let axes = match (attribute("axes"), node.input.get(1)) {
            (Some(axes), _) => axes.ints.clone(),
            (None, Some(name)) => self.constant(name).and_then(|v| v.to_i64s().ok()).unwrap_or_default(),
            (None, None) => Vec::new(),
        };
        matches!(*axes, [1 | -1]) && attribute("keepdims").is_some_and(|a| a.i == Some(0))
    }

    fn metric(&self) -> Option<Metric> {
        let [state, row] = &*self.graph.input else { return None };
        let [state_out, distances] = &*self.graph.output else { return None };
        let (state, row) = (state.name.as_deref()?, row.name.as_deref()?);
        if self.origin(state_out.name.as_deref()?) != state {
            return None;
        }
        let last = self.producer(distances.name.as_deref()?).filter(|n| n.operator_domain().is_empty())?;
        if !self.sums_columns(last) {
            return None;
        }
        let term = last.input.first()?;
        let (metric, difference) = match last.operator() {
            "ReduceSumSquare" => (Metric::SquaredEuclidean, term),
            "ReduceSum" => match self.expect(term, "Pow") {
                None => (Metric::Manhattan, self.expect(term, "Abs")?.input.first()?),
                Some(power) => {
                    let exponent = self.constant(power.input.get(1)?)?.to_f32s().ok()?;
                    let metric = match *exponent {
                        [1.0] => Metric::Manhattan,
                        [2.0] => Metric::SquaredEuclidean,
                        [3.0] => Metric::Cubic,
                        _ => return None,
                    };
                    (metric, self.expect(power.input.first()?, "Abs")?.input.first()?)
                }
            },
            _ => return None,
        };
        let difference = self.expect(difference, "Sub")?;
        let [a, b] = &*difference.input else { return None };
        let (a, b) = (self.origin(a), self.origin(b));
        ((a, b) == (state, row) || (a, b) == (row, state)).then_some(metric)
    }
}

/// The distance that the body of the Scan `node` measures, if it does that and nothing else.
pub(super) fn metric(node: &Node<'_>) -> Option<Metric> {
    let graph = node.proto.find_attribute("body")?.g.as_deref()?;
    Reader { node, graph }.metric()
}

/// The operator for `scan`, which measures distances from constant points.
pub(super) fn build(scan: Scan, points: &Value<'_>, metric: Metric) -> Box<dyn Op> {
    match Known::of(points) {
        Some(points) => {
            let inner = std::sync::Arc::new((scan, points));
            Box::new(Distances { inner, metric, transposed: false })
        }
        None => Box::new(scan),
    }
}

/// Input 0 as it is, and the distances of its rows from constant points.
#[derive(Debug)]
struct Distances {
    /// The loop, for inputs that the kernel does not take, and the points.
    inner: std::sync::Arc<(Scan, Known)>,
    metric: Metric,
    /// Whether the distances are (rows, points), and not (points, rows) as the loop gives them.
    transposed: bool,
}

impl Op for Distances {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (scan, points) = &*self.inner;
        let rows = args.get(0)?;
        let same_type = match points {
            Known::F32(_) => rows.try_slice::<f32>().is_some(),
            Known::F64(_) => rows.try_slice::<f64>().is_some(),
        };
        if !same_type || rows.rank() != 2 || rows.shape()[1] != points.size().1 {
            let mut outs = scan.run(args, cx)?;
            if self.transposed && outs.len() > 1 && outs[1].rank() == 2 {
                outs[1] = permuted(&outs[1], &[1, 0], cx)?;
            }
            return Ok(outs);
        }
        let distances = points.from(rows, self.metric, cx)?;
        let distances = if self.transposed { distances } else { permuted(&distances, &[1, 0], cx)? };
        Ok(smallvec![args.take(0)?, distances])
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|i| i.rank() != 2 || i.varies(1)) || spreads(outputs)
    }

    fn parameters(&self) -> usize {
        let (n, k) = self.inner.1.size();
        n * k
    }

    fn features(&self) -> Option<usize> {
        Some(self.inner.1.size().1)
    }

    fn absorb_next(&self, output: usize, next: &dyn Op) -> Option<Box<dyn Op>> {
        let transpose = (next as &dyn Any).downcast_ref::<Transpose>()?;
        (output == 1 && !self.transposed && transpose.swaps()).then(|| {
            let inner = std::sync::Arc::clone(&self.inner);
            Box::new(Self { inner, metric: self.metric, transposed: true }) as Box<dyn Op>
        })
    }
}
