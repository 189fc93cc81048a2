//! A node of the file as operators see it while they are built.

use std::cell::RefCell;

use super::compile::Scope;
use super::op::Scratch;
use super::program::Program;
use super::value::Value;
use crate::onnx::{AttributeProto, NodeProto, attribute_type};
use crate::{Error, ErrorKind, Result, TreeEngine};

/// One node: its attributes with their types checked, which inputs are there, and which are constant.
pub(crate) struct Node<'g> {
    pub(super) proto: &'g NodeProto,
    pub(super) opset: i64,
    pub(super) constants: Vec<Option<&'g Value<'static>>>,
    pub(super) scope: &'g Scope<'g>,
    /// Names of the enclosing graph that the node's subgraphs use; they become inputs after the declared ones.
    pub(super) captured: RefCell<Vec<String>>,
}

/// A subgraph of a node. Its program takes the subgraph's own inputs and then the captured values.
#[derive(Debug)]
pub(crate) struct Subgraph {
    pub(crate) program: Program,
    /// The number of inputs that the subgraph declares.
    pub(crate) inputs: usize,
    /// Which arguments of the node hold the captured values, in order.
    pub(crate) captured: Vec<usize>,
}

impl<'g> Node<'g> {
    /// The operator's name.
    pub(crate) fn op_type(&self) -> &'g str {
        self.proto.operator()
    }

    /// The operator's domain; empty for the standard one.
    pub(crate) fn domain(&self) -> &'g str {
        self.proto.operator_domain()
    }

    /// The engine that tree ensembles are to be scored with.
    pub(crate) fn tree_engine(&self) -> TreeEngine {
        self.scope.tree_engine()
    }

    /// Whether activations are to be quantised by the range of each row.
    pub(crate) fn row_ranges(&self) -> bool {
        self.scope.row_ranges()
    }

    /// The version of the operator set that the node's domain is imported at.
    pub(crate) fn opset(&self) -> i64 {
        self.opset
    }

    /// The number of inputs the node declares, trailing absent ones not counted.
    pub(crate) fn inputs(&self) -> usize {
        self.proto.input.iter().rposition(|n| !n.is_empty()).map_or(0, |i| i + 1)
    }

    /// Whether input `i` is given.
    pub(crate) fn has_input(&self, i: usize) -> bool {
        self.proto.input.get(i).is_some_and(|n| !n.is_empty())
    }

    /// Input `i`, if it is given and constant.
    pub(crate) fn constant(&self, i: usize) -> Option<&'g Value<'static>> {
        self.constants.get(i).copied().flatten()
    }

    /// The number of outputs, unused ones in the middle included.
    pub(crate) fn outputs(&self) -> usize {
        self.proto.output.len()
    }

    /// Whether output `i` is wanted by anyone.
    pub(crate) fn has_output(&self, i: usize) -> bool {
        self.proto.output.get(i).is_some_and(|n| !n.is_empty())
    }

    fn attribute(&self, name: &str, code: i32) -> Result<Option<&'g AttributeProto>> {
        let Some(attribute) = self.proto.find_attribute(name) else { return Ok(None) };
        let found = attribute.effective_type();
        // An empty list has no field set, so files that do not say the type leave it undefined.
        if found == code || found == attribute_type::UNDEFINED {
            return Ok(Some(attribute));
        }
        Err(Error::new(ErrorKind::Malformed, format!("the attribute `{name}` has the wrong type"))
            .expected(attribute_type::name(code))
            .actual(attribute_type::name(found)))
    }

    /// Whether the attribute is given at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.proto.find_attribute(name).is_some()
    }

    /// An integer.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when the attribute has another type; so for all getters below.
    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>> {
        Ok(self.attribute(name, attribute_type::INT)?.map(|a| a.i.unwrap_or_default()))
    }

    /// A float.
    pub(crate) fn float(&self, name: &str) -> Result<Option<f32>> {
        Ok(self.attribute(name, attribute_type::FLOAT)?.map(|a| a.f.unwrap_or_default()))
    }

    /// Integers.
    pub(crate) fn ints(&self, name: &str) -> Result<Option<&'g [i64]>> {
        Ok(self.attribute(name, attribute_type::INTS)?.map(|a| a.ints.as_slice()))
    }

    /// Floats.
    pub(crate) fn floats(&self, name: &str) -> Result<Option<&'g [f32]>> {
        Ok(self.attribute(name, attribute_type::FLOATS)?.map(|a| a.floats.as_slice()))
    }

    /// Text.
    pub(crate) fn string(&self, name: &str) -> Result<Option<&'g str>> {
        let Some(attribute) = self.attribute(name, attribute_type::STRING)? else { return Ok(None) };
        text(name, attribute.s.as_ref().map_or(&[][..], |s| s.as_ref())).map(Some)
    }

    /// Texts.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<&'g str>>> {
        let Some(attribute) = self.attribute(name, attribute_type::STRINGS)? else { return Ok(None) };
        attribute.strings.iter().map(|s| text(name, s.as_ref())).collect::<Result<_>>().map(Some)
    }

    /// Texts, copied.
    pub(crate) fn strings(&self, name: &str) -> Result<Option<Vec<String>>> {
        Ok(self.texts(name)?.map(|texts| texts.into_iter().map(str::to_owned).collect()))
    }

    /// A tensor.
    pub(crate) fn tensor(&self, name: &str) -> Result<Option<Value<'static>>> {
        let Some(attribute) = self.attribute(name, attribute_type::TENSOR)? else { return Ok(None) };
        let tensor =
            attribute.t.as_deref().ok_or_else(|| self.malformed(format!("the attribute `{name}` holds no tensor")))?;
        Ok(Some(tensor.to_dense(self.scope.external(), self.scope.limits().max_elements)?.into()))
    }

    /// A sparse tensor, with its zeros filled in.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when the attribute has another type or contradicts itself.
    pub(crate) fn sparse(&self, name: &str) -> Result<Option<Value<'static>>> {
        let Some(attribute) = self.attribute(name, attribute_type::SPARSE_TENSOR)? else { return Ok(None) };
        let Some(sparse) = attribute.sparse_tensor.as_deref() else { return Ok(None) };
        let scratch = Scratch::new(*self.scope.limits());
        super::ops::constant::sparse(sparse, self.scope.external(), &scratch).map(Some)
    }

    /// An integer, or what the operator takes when it is not given.
    pub(crate) fn int_or(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// An integer that says yes or no.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.int(name)?.map_or(default, |i| i != 0))
    }

    /// A float, or what the operator takes when it is not given.
    pub(crate) fn float_or(&self, name: &str, default: f32) -> Result<f32> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    /// Text, or what the operator takes when it is not given.
    pub(crate) fn string_or(&self, name: &str, default: &'g str) -> Result<&'g str> {
        Ok(self.string(name)?.unwrap_or(default))
    }

    /// A subgraph, compiled. Its captured values become further arguments of the step.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when the attribute is missing or no graph; else as compiling any graph.
    pub(crate) fn subgraph(&self, name: &str) -> Result<Subgraph> {
        let graph = self
            .attribute(name, attribute_type::GRAPH)?
            .and_then(|a| a.g.as_deref())
            .ok_or_else(|| Error::new(ErrorKind::Malformed, format!("the subgraph `{name}` is missing")))?;
        let (program, names) = self.scope.compile_subgraph(graph)?;
        let inputs = program.inputs() - names.len();
        let mut all = self.captured.borrow_mut();
        let captured = names
            .into_iter()
            .map(|name| {
                let known = all.iter().position(|n| *n == name);
                self.proto.input.len()
                    + known.unwrap_or_else(|| {
                        all.push(name);
                        all.len() - 1
                    })
            })
            .collect();
        Ok(Subgraph { program, inputs, captured })
    }

    /// The error for an operator that is known, but not in this form.
    pub(crate) fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unsupported, what.into())
    }

    /// The error for a node that contradicts its operator's specification.
    pub(crate) fn malformed(&self, what: impl Into<String>) -> Error {
        Error::new(ErrorKind::Malformed, what.into())
    }
}

fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorKind::Malformed, format!("the attribute `{name}` is not UTF-8 text")))
}
