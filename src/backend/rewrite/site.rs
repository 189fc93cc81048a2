//! The place of one node, where standard nodes are put instead.

use std::collections::HashMap;

use crate::onnx::builder::{self, dense_tensor};
use crate::onnx::{AttributeProto, DenseTensor, NodeProto, TensorData, TensorProto, data_type};
use crate::{Error, ErrorKind, Limits, Result};

/// What stands around a node.
pub(super) struct Surroundings<'g> {
    /// The node that gives a value.
    pub(super) producers: HashMap<&'g str, &'g NodeProto>,
    /// The nodes that take a value, those with a subgraph that does included.
    pub(super) consumers: HashMap<&'g str, Vec<&'g NodeProto>>,
    /// How many axes the inputs of the graph are declared with.
    pub(super) inputs: &'g HashMap<String, usize>,
}

impl Surroundings<'_> {
    /// How many nodes are followed back.
    const DEEPEST: usize = 16;

    /// How many axes a value has, as far as the declarations of the inputs and simple operators tell.
    fn rank(&self, name: &str) -> Option<usize> {
        let mut name = name;
        let mut less = 0;
        for _ in 0..Self::DEEPEST {
            if let Some(rank) = self.inputs.get(name) {
                return rank.checked_sub(less);
            }
            let node = self.producers.get(name)?;
            let int = |name: &str, default| node.find_attribute(name).and_then(|a| a.i).unwrap_or(default);
            match node.operator() {
                "Cast" | "Identity" | "Abs" | "Sign" | "Not" => {}
                "ReduceSum" if int("keepdims", 1) == 1 => {}
                // Along one axis, as fusing tools write it for the lengths of texts.
                "ReduceSum" => less += 1,
                "EmbedLayerNormalization" | "QEmbedLayerNormalization" => {
                    let rank = if node.output.get(1).is_some_and(|o| o == name) { 1 } else { 3 };
                    return Some(rank).and_then(|rank: usize| rank.checked_sub(less));
                }
                _ => return None,
            }
            name = node.input.first()?;
        }
        None
    }
}

/// Operators that take each number alone.
const ALONE: &[&str] = &[
    "Abs",
    "Clip",
    "Elu",
    "Erf",
    "Exp",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Log",
    "Neg",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tanh",
];

/// A node to be rewritten, and what it is rewritten into so far.
pub(super) struct Site<'g> {
    node: &'g NodeProto,
    constants: &'g HashMap<&'g str, &'g TensorProto>,
    around: &'g Surroundings<'g>,
    pub(super) opset: i64,
    /// Whether the reader of the graph has operators on weights in blocks.
    pub(super) takes_blocks: bool,
    limits: &'g Limits,
    /// Numbers the values made up in this file.
    serial: &'g mut usize,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl<'g> Site<'g> {
    pub(super) fn new(
        node: &'g NodeProto,
        constants: &'g HashMap<&'g str, &'g TensorProto>,
        around: &'g Surroundings<'g>,
        opset: i64,
        limits: &'g Limits,
        serial: &'g mut usize,
    ) -> Self {
        Self {
            node,
            constants,
            around,
            opset,
            takes_blocks: false,
            limits,
            serial,
            nodes: Vec::new(),
            initializers: Vec::new(),
        }
    }

    /// The nodes and initialisers made.
    pub(super) fn finish(self) -> (Vec<NodeProto>, Vec<TensorProto>) {
        (self.nodes, self.initializers)
    }

    /// The node that is rewritten.
    pub(super) fn node(&self) -> &'g NodeProto {
        self.node
    }

    /// The name of input `i`, empty where it was left out.
    pub(super) fn input(&self, i: usize) -> &'g str {
        self.node.input.get(i).map_or("", String::as_str)
    }

    /// The name of input `i`.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where it was left out.
    pub(super) fn required(&self, i: usize) -> Result<&'g str> {
        match self.input(i) {
            "" => Err(self.malformed(format!("input {i}, which the operator needs, was left out"))),
            name => Ok(name),
        }
    }

    /// The constant called `name`, if it is one.
    pub(super) fn constant(&self, name: &str) -> Option<&'g TensorProto> {
        self.constants.get(name).copied()
    }

    /// The values of the constant called `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when it is not a constant; what reading it gives.
    pub(super) fn values(&self, name: &str) -> Result<DenseTensor> {
        let tensor = self.constant(name).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "this operator is taken only with constant weights").tensor(name)
        })?;
        if tensor.is_packed() {
            return tensor.unpacked(self.limits.max_elements);
        }
        tensor.to_dense(None, self.limits.max_elements)
    }

    /// How many axes a value has, where that is easily told.
    pub(super) fn rank(&self, name: &str) -> Option<usize> {
        self.constant(name).map(|t| t.dims.len()).or_else(|| self.around.rank(name))
    }

    /// The node that gives `value`, where it is the standard operator `operator`.
    pub(super) fn producer(&self, value: &str, operator: &str) -> Option<&'g NodeProto> {
        let node = self.around.producers.get(value)?;
        (node.operator() == operator && node.operator_domain().is_empty()).then_some(*node)
    }

    /// The constant called `name`, where it is one integer.
    pub(super) fn integer(&self, name: &str) -> Option<i64> {
        match self.values(name).ok()?.data {
            TensorData::I64(numbers) => <[i64; 1]>::try_from(numbers).ok().map(|[number]| number),
            _ => None,
        }
    }

    /// The axes that an `Unsqueeze` puts in.
    pub(super) fn axes(&self, unsqueeze: &NodeProto) -> Option<Vec<i64>> {
        if let Some(name) = unsqueeze.input.get(1) {
            return match self.values(name).ok()?.data {
                TensorData::I64(axes) => Some(axes),
                _ => None,
            };
        }
        unsqueeze.find_attribute("axes").map(|a| a.ints.clone())
    }

    /// Whether the first output, dequantised, may reach the next quantisation on a way on which tract would make a table
    /// of what lies between, wrongly. `is_same` tells whether the zero point called so has the type of this node's.
    pub(super) fn is_tabled_wrongly(&self, is_same: impl Fn(&str) -> bool) -> bool {
        let Some(mut value) = self.node.output.first() else { return false };
        for _ in 0..Surroundings::DEEPEST {
            let takers = self.around.consumers.get(value.as_str()).map_or(&[][..], Vec::as_slice);
            let [taker] = takers else {
                // tract goes on where there is one; several of one operator may become one.
                return !takers.is_empty() && takers.iter().all(|t| t.operator() == takers[0].operator());
            };
            let others = || taker.input.iter().filter(|other| *other != value);
            match taker.operator() {
                _ if !taker.operator_domain().is_empty() => return true,
                "QuantizeLinear" => return !taker.input.get(2).is_some_and(|zero| is_same(zero)),
                "Conv" | "ConvTranspose" | "Gemm" | "MatMul" => return false,
                "Add" | "Sub" | "Mul" | "Div" | "Concat" => {
                    if others().any(|other| self.constant(other).is_none()) {
                        return false;
                    }
                    // With a neutral constant it goes, so that the next one counts.
                    if others().next().is_none() || taker.operator() == "Concat" {
                        return true;
                    }
                }
                operator if ALONE.contains(&operator) => {}
                _ => return true,
            }
            let Some(next) = taker.output.first() else { return true };
            value = next;
        }
        true
    }

    /// An attribute that is an integer.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.node.find_attribute(name).and_then(|a| a.i).unwrap_or(default)
    }

    /// An attribute that is a list of integers, empty where it was left out.
    pub(super) fn ints(&self, name: &str) -> &'g [i64] {
        self.node.find_attribute(name).map_or(&[], |a| &a.ints)
    }

    /// An attribute that is a float.
    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.node.find_attribute(name).and_then(|a| a.f).unwrap_or(default)
    }

    /// The node's attributes of these names, for the operator that takes its place.
    pub(super) fn attributes(&self, names: &[&str]) -> Vec<AttributeProto> {
        let kept = self.node.attribute.iter().filter(|a| names.contains(&a.name.as_deref().unwrap_or_default()));
        kept.cloned().collect()
    }

    fn fresh(&mut self, what: &str) -> String {
        *self.serial += 1;
        let output = self.node.output.iter().find(|o| !o.is_empty()).map_or("", String::as_str);
        format!("{output}/{what}#{}", self.serial)
    }

    /// Adds a standard node; gives the name of its output.
    pub(super) fn add(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let name = self.fresh(op);
        self.nodes.push(builder::node(op, "", inputs, &[&name], attributes));
        name
    }

    /// Leaves the node as it is.
    pub(super) fn keep(&mut self) {
        self.nodes.push(self.node.clone());
    }

    /// Adds the standard node that gives output `i` of the rewritten one, where that output is wanted.
    pub(super) fn give(&mut self, i: usize, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) {
        if let Some(output) = self.node.output.get(i).filter(|o| !o.is_empty()) {
            self.nodes.push(builder::node(op, "", inputs, &[output], attributes));
        }
    }

    /// Whether output `i` is wanted.
    pub(super) fn gives(&self, i: usize) -> bool {
        self.node.output.get(i).is_some_and(|o| !o.is_empty())
    }

    /// `value` with axes of length 1 put in, so that they are `axes` of the answer.
    pub(super) fn unsqueezed(&mut self, value: &str, axes: &[i64]) -> Result<String> {
        if self.opset < 13 {
            return Ok(self.add("Unsqueeze", &[value], vec![builder::ints("axes", axes)]));
        }
        let axes = self.tensor("axes", &[axes.len()], axes.to_vec())?;
        Ok(self.add("Unsqueeze", &[value, &axes], Vec::new()))
    }

    /// An integer scalar.
    pub(super) fn whole(&mut self, number: i64) -> Result<String> {
        self.tensor("number", &[], vec![number])
    }

    /// The length of `axis` of a value, a scalar.
    pub(super) fn length(&mut self, value: &str, axis: i64) -> Result<String> {
        let shape = self.add("Shape", &[value], Vec::new());
        let axis = self.whole(axis)?;
        Ok(self.add("Gather", &[&shape, &axis], Vec::new()))
    }

    /// `value` in another shape, in which 0 keeps an axis and one -1 takes what is left.
    pub(super) fn reshaped(&mut self, value: &str, shape: &[i64]) -> Result<String> {
        let shape = self.tensor("shape", &[shape.len()], shape.to_vec())?;
        Ok(self.add("Reshape", &[value, &shape], Vec::new()))
    }

    /// Adds the standard node that gives the outputs of the rewritten one.
    pub(super) fn last(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) {
        let outputs: Vec<&str> = self.node.output.iter().map(String::as_str).collect();
        self.nodes.push(builder::node(op, "", inputs, &outputs, attributes));
    }

    /// Adds a constant; gives its name.
    pub(super) fn tensor(&mut self, what: &str, dims: &[usize], values: impl Into<TensorData>) -> Result<String> {
        let name = self.fresh(what);
        self.initializers.push(dense_tensor(&name, dims, values)?);
        Ok(name)
    }

    /// Adds a cast; gives the name of its output. `code` is one of [`data_type`].
    pub(super) fn cast(&mut self, value: &str, code: i32) -> String {
        self.add("Cast", &[value], vec![builder::int("to", code.into())])
    }

    /// `value` as float32.
    pub(super) fn float_of(&mut self, value: &str) -> String {
        self.cast(value, data_type::FLOAT)
    }

    /// The error for a node that contradicts its operator's specification.
    pub(super) fn malformed(&self, what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Malformed, what.into())
    }

    /// The error for a form of the operator that is not supported.
    pub(super) fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unsupported, what.into())
    }
}
