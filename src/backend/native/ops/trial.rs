//! Runs single nodes for the tests of operators.

use super::super::compile::{self, Compiled, Context};
use super::super::op::{Flow, Scratch};
use super::super::value::{Data, Shape, Value};
use crate::onnx::builder::{self, Dim, dense_tensor, graph, value_info};
use crate::onnx::{AttributeProto, NodeProto, TensorData, data_type};
use crate::{Limits, Result};

/// A node, and inputs of which some are constants of the file.
pub(crate) struct Trial {
    op: String,
    domain: String,
    opset: i64,
    attributes: Vec<AttributeProto>,
    inputs: Vec<Option<Value<'static>>>,
    constant: Vec<bool>,
    outputs: usize,
    limits: Limits,
}

/// A node of the standard domain with one output.
pub(crate) fn op(op: &str, opset: i64, attributes: impl Into<Vec<AttributeProto>>) -> Trial {
    let (op, domain) = (op.to_owned(), String::new());
    let (inputs, constant) = (Vec::new(), Vec::new());
    Trial { op, domain, opset, attributes: attributes.into(), inputs, constant, outputs: 1, limits: Limits::default() }
}

impl Trial {
    /// The domain.
    pub(crate) fn domain(mut self, domain: &str) -> Self {
        self.domain = domain.to_owned();
        self
    }

    /// One more input, computed.
    pub(crate) fn input(mut self, value: Value<'static>) -> Self {
        self.inputs.push(Some(value));
        self.constant.push(false);
        self
    }

    /// One more input, a constant of the file.
    pub(crate) fn constant(mut self, value: Value<'static>) -> Self {
        self.inputs.push(Some(value));
        self.constant.push(true);
        self
    }

    /// One more input, left out.
    pub(crate) fn absent(mut self) -> Self {
        self.inputs.push(None);
        self.constant.push(true);
        self
    }

    /// The number of outputs.
    pub(crate) fn outputs(mut self, n: usize) -> Self {
        self.outputs = n;
        self
    }

    /// The limits.
    pub(crate) fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The program of the node.
    pub(crate) fn compile(&self) -> Result<Compiled> {
        let names: Vec<String> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(i, v)| v.as_ref().map_or(String::new(), |_| format!("x{i}")))
            .collect();
        let outs: Vec<String> = (0..self.outputs).map(|i| format!("y{i}")).collect();
        let [ins, ys] = [&names, &outs].map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
        let node = builder::node(&self.op, &self.domain, &ins, &ys, self.attributes.clone());
        let mut initialisers = Vec::new();
        let mut declared = Vec::new();
        for ((name, value), constant) in names.iter().zip(&self.inputs).zip(&self.constant) {
            match value {
                Some(value) if *constant => {
                    initialisers.push(dense_tensor(name, value.shape(), content(value)).unwrap());
                }
                Some(_) => declared.push(info(name)),
                None => {}
            }
        }
        let graph = graph("g", declared, [node], initialisers, ys.iter().map(|y| info(y)).collect::<Vec<_>>());
        self.compile_graph(&graph)
    }

    fn compile_graph(&self, graph: &crate::onnx::GraphProto) -> Result<Compiled> {
        let opsets = [(self.domain.clone(), 1), (String::new(), self.opset)].into_iter().collect();
        compile::compile(
            &Context {
                opsets,
                limits: self.limits,
                external: None,
                tree_engine: crate::TreeEngine::Auto,
                row_ranges: false,
            },
            graph,
            None,
            None,
        )
    }

    /// All outputs.
    pub(crate) fn all(&self) -> Result<Vec<Value<'static>>> {
        let compiled = self.compile()?;
        let computed = self.inputs.iter().zip(&self.constant).filter(|(_, constant)| !**constant);
        let inputs: Vec<Value<'_>> = computed.filter_map(|(v, _)| v.as_ref().map(Value::as_view)).collect();
        let outs = compiled.program.run(inputs, &mut Scratch::new(self.limits))?;
        Ok(outs.into_iter().map(Value::into_static).collect())
    }

    /// The first output.
    pub(crate) fn run(&self) -> Result<Value<'static>> {
        Ok(self.all()?.swap_remove(0))
    }

    /// Whether the operator mixes the batch, for these shapes of its arguments and outputs at two batch sizes.
    pub(crate) fn mixes(&self, inputs: &[[&[usize]; 2]], outputs: &[[&[usize]; 2]]) -> bool {
        let flows = |all: &[[&[usize]; 2]]| -> Vec<Flow> {
            all.iter().map(|shapes| Flow { shapes: shapes.map(Shape::from_slice) }).collect()
        };
        let compiled = self.compile().unwrap();
        compiled.program.steps[0].op.mixes_rows(&flows(inputs), &flows(outputs))
    }
}

/// The declaration of a value of which nothing is known.
pub(crate) fn info(name: &str) -> crate::onnx::ValueInfoProto {
    value_info(name, data_type::FLOAT, &[Dim::Unknown])
}

/// A value.
pub(crate) fn value<T: super::super::value::Item>(shape: &[usize], items: impl Into<Vec<T>>) -> Value<'static> {
    Value::new(shape, items.into())
}

/// Strings along one axis.
pub(crate) fn texts(shape: &[usize], items: &[&str]) -> Value<'static> {
    Value::new(shape, items.iter().map(|&s| s.to_owned()).collect::<Vec<String>>())
}

/// A node of the standard domain, for subgraphs.
pub(crate) fn node(
    op: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: impl Into<Vec<AttributeProto>>,
) -> NodeProto {
    builder::node(op, "", inputs, outputs, attributes.into())
}

fn content(value: &Value<'_>) -> TensorData {
    match value.data() {
        Data::Bool(v) => TensorData::Bool(v.to_vec()),
        Data::I64(v) => TensorData::I64(v.to_vec()),
        Data::F32(v) => TensorData::F32(v.to_vec()),
        Data::F64(v) => TensorData::F64(v.to_vec()),
        Data::String(v) => TensorData::String(v.to_vec()),
        other => panic!("no constant of {:?}", Value::from_parts(value.shape(), other.clone())),
    }
}
