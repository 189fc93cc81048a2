//! A subgraph that an operator runs, and what is known about it.

use std::any::Any;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::backend::native::analyze::dtype;
use crate::backend::native::node::{Node, Subgraph};
use crate::backend::native::op::{Arg, Args, Flow, Outs, Scratch};
use crate::backend::native::ops::identity::Identity;
use crate::backend::native::program::Program;
use crate::backend::native::value::{Shape, Value};
use crate::onnx::{DimensionValue, GraphProto, TypeValue};
use crate::{DType, Result};

/// The dry runs of which shapes are kept.
const PROBES: usize = 8;
/// The first iteration after which a loop's cost is measured; short loops are not bothered.
const FIRST_MEASURED: usize = 16;

/// A subgraph, compiled.
#[derive(Debug)]
pub(super) struct Body {
    subgraph: Subgraph,
    /// For each output, the input that it is, unchanged.
    passed: Vec<Option<usize>>,
    /// The outputs as the file declares them.
    declared: Vec<Declared>,
    /// Shapes seen in dry runs.
    probes: Mutex<Vec<Probe>>,
    /// The elements that one run makes, as last measured.
    cost: AtomicUsize,
}

/// The element type and shape that a file declares for a value; dimensions that it leaves open are 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Declared {
    pub(super) dtype: Option<DType>,
    pub(super) dims: Shape,
}

/// The shapes of one run: of all inputs, and of the inputs and outputs of every step.
#[derive(Debug)]
struct Probe {
    inputs: Vec<Shape>,
    steps: Vec<(Vec<Shape>, Vec<Shape>)>,
}

impl Body {
    /// The subgraph in the attribute `name` of `node`.
    pub(super) fn of(node: &Node<'_>, name: &str) -> Result<Self> {
        let subgraph = node.subgraph(name)?;
        let passed = (0..subgraph.program.outputs.len()).map(|i| source(&subgraph.program, i)).collect();
        let graph = node.proto.find_attribute(name).and_then(|a| a.g.as_deref());
        Ok(Self {
            passed,
            declared: graph.map(declared).unwrap_or_default(),
            subgraph,
            probes: Mutex::default(),
            cost: AtomicUsize::new(0),
        })
    }

    /// The number of inputs the subgraph declares.
    pub(super) fn inputs(&self) -> usize {
        self.subgraph.inputs
    }

    /// The number of outputs.
    pub(super) fn outputs(&self) -> usize {
        self.subgraph.program.outputs.len()
    }

    /// The input that output `i` is, unchanged.
    pub(super) fn passes(&self, i: usize) -> Option<usize> {
        self.passed.get(i).copied().flatten()
    }

    /// Output `i` as the file declares it.
    pub(super) fn declared(&self, i: usize) -> Declared {
        self.declared.get(i).cloned().unwrap_or_default()
    }

    /// Learned numbers.
    pub(super) fn parameters(&self) -> usize {
        usize::try_from(self.subgraph.program.parameters()).unwrap_or(usize::MAX)
    }

    /// Which arguments of the node the subgraph captures.
    pub(super) fn captured(&self) -> &[usize] {
        &self.subgraph.captured
    }

    /// The captured values, which follow the subgraph's own inputs.
    pub(super) fn views<'x>(&self, args: &'x Args<'_, '_>) -> Result<Vec<Value<'x>>> {
        self.captured().iter().map(|&i| Ok(args.get(i)?.as_view())).collect()
    }

    /// The outputs for all inputs, captured ones included.
    pub(super) fn run<'x>(&'x self, inputs: Vec<Value<'x>>, cx: &mut Scratch) -> Result<Outs<'x>> {
        if cx.dry { self.run_probing(inputs, cx) } else { self.subgraph.program.run(inputs, cx) }
    }

    /// The outputs of iteration `i` of a loop, whose cost is charged.
    pub(super) fn iterate<'x>(&'x self, i: usize, inputs: Vec<Value<'x>>, cx: &mut Scratch) -> Result<Outs<'x>> {
        cx.charge(self.cost.load(Ordering::Relaxed))?;
        if i < FIRST_MEASURED || !i.is_power_of_two() || cx.dry {
            return self.run(inputs, cx);
        }
        let mut made = 0;
        let mut watch = |_: usize, _: &[Option<std::borrow::Cow<'_, [usize]>>], outs: &[Value<'_>]| {
            made += outs.iter().map(Value::len).sum::<usize>();
        };
        let outs = self.subgraph.program.run_watched(inputs, cx, Some(&mut watch))?;
        self.cost.store(made, Ordering::Relaxed);
        Ok(outs)
    }

    fn run_probing<'x>(&'x self, inputs: Vec<Value<'x>>, cx: &mut Scratch) -> Result<Outs<'x>> {
        let shapes: Vec<Shape> = inputs.iter().map(|v| Shape::from_slice(v.shape())).collect();
        let mut steps = Vec::new();
        let mut watch = |_: usize, args: &[Option<std::borrow::Cow<'_, [usize]>>], outs: &[Value<'_>]| {
            let ins = args.iter().map(|a| a.as_ref().map_or_else(Shape::new, |s| Shape::from_slice(s))).collect();
            steps.push((ins, outs.iter().map(|v| Shape::from_slice(v.shape())).collect()));
        };
        let outs = self.subgraph.program.run_watched(inputs, cx, Some(&mut watch))?;
        if let Ok(mut probes) = self.probes.lock()
            && probes.len() < PROBES
            && probes.iter().all(|p| p.inputs != shapes)
        {
            probes.push(Probe { inputs: shapes, steps });
        }
        Ok(outs)
    }

    /// Whether a step of the subgraph mixes the batch, by the shapes that dry runs saw; where they did not come by,
    /// it counts as if one did. `inputs` are the flows of all inputs, captured ones included.
    pub(super) fn mixes(&self, inputs: &[Flow]) -> bool {
        let Ok(probes) = self.probes.lock() else { return true };
        let find = |run: usize| probes.iter().find(|p| p.inputs.iter().eq(inputs.iter().map(|f| &f.shapes[run])));
        let (Some(a), Some(b)) = (find(0), find(1)) else { return true };
        let flows = |x: &[Shape], y: &[Shape]| -> Vec<Flow> {
            x.iter().zip(y).map(|(x, y)| Flow { shapes: [x.clone(), y.clone()] }).collect()
        };
        self.subgraph.program.steps.iter().zip(a.steps.iter().zip(&b.steps)).any(|(step, (a, b))| {
            let (ins, outs) = (flows(&a.0, &b.0), flows(&a.1, &b.1));
            step.op.mixes_rows(&ins, &outs)
        })
    }

    /// The flows of the captured values among those of the node's arguments.
    pub(super) fn captured_flows(&self, inputs: &[Flow]) -> Vec<Flow> {
        self.captured().iter().map(|&i| inputs.get(i).cloned().unwrap_or_default()).collect()
    }
}

/// The input of `program` that its output `i` is, unchanged.
fn source(program: &Program, i: usize) -> Option<usize> {
    let mut at = *program.outputs.get(i)?;
    loop {
        let Arg::Slot { index, .. } = at else { return None };
        if (index as usize) < program.inputs() {
            return Some(index as usize);
        }
        let step = program.steps.iter().find(|s| s.outputs.contains(&Some(index)))?;
        if !(&*step.op as &dyn Any).is::<Identity>() {
            return None;
        }
        at = *step.args.first()?;
    }
}

fn declared(graph: &GraphProto) -> Vec<Declared> {
    let of = |value: &crate::onnx::ValueInfoProto| {
        let Some(Ok(Some(TypeValue::Tensor(tensor)))) = value.r#type.as_deref().map(|t| t.value()) else {
            return Declared::default();
        };
        let dims = tensor.shape.as_deref().map_or(&[][..], |s| &s.dim);
        let length = |d: &crate::onnx::Dimension| match d.value() {
            DimensionValue::Fixed(n) => usize::try_from(n).unwrap_or(0),
            _ => 0,
        };
        Declared { dtype: dtype(tensor.elem_type.unwrap_or(0)), dims: dims.iter().map(length).collect() }
    };
    graph.output.iter().map(of).collect()
}
