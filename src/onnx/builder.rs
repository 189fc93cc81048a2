//! Graphs built in code.

use super::{
    proto::{
        AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
        TensorShapeProto, TensorType, TypeProto, ValueInfoProto, attribute_type,
    },
    tensor::{DenseTensor, TensorData},
};
use crate::error::Result;
use std::{boxed::Box, string::String, vec::Vec};

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| String::from(name)).collect()
}

/// A node. The standard domain is the empty string; the node is named after its first output.
pub(crate) fn node(
    op_type: &str,
    domain: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: impl IntoIterator<Item = AttributeProto>,
) -> NodeProto {
    NodeProto {
        input: owned(inputs),
        output: owned(outputs),
        name: outputs.first().map(|&output| String::from(output)),
        op_type: Some(op_type.into()),
        attribute: attributes.into_iter().collect(),
        domain: (!domain.is_empty()).then(|| domain.into()),
        ..NodeProto::default()
    }
}

macro_rules! attributes {
    ($($(#[$doc:meta])* $function:ident($value:ident: $type:ty) = $code:ident, $field:ident: $set:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $function(name: &str, $value: $type) -> AttributeProto {
            AttributeProto {
                name: Some(name.into()),
                r#type: Some(attribute_type::$code),
                $field: $set,
                ..AttributeProto::default()
            }
        }
    )*};
}

attributes! {
    /// An attribute that is a float.
    float(value: f32) = FLOAT, f: Some(value);
    /// An attribute that is an integer.
    int(value: i64) = INT, i: Some(value);
    /// An attribute that is a string.
    string(value: &str) = STRING, s: Some(value.into());
    /// An attribute that is a tensor.
    tensor(value: TensorProto) = TENSOR, t: Some(Box::new(value));
    /// An attribute that is a graph.
    subgraph(value: GraphProto) = GRAPH, g: Some(Box::new(value));
    /// An attribute that is a list of floats.
    floats(values: impl Into<Vec<f32>>) = FLOATS, floats: values.into();
    /// An attribute that is a list of integers.
    ints(values: impl Into<Vec<i64>>) = INTS, ints: values.into();
    /// An attribute that is a list of strings.
    strings(values: &[&str]) = STRINGS, strings: values.iter().map(|value| value.as_bytes().into()).collect();
}

/// A float32 tensor: an initializer of that name, or with an empty name the value of an attribute.
///
/// # Errors
/// [`ErrorKind::WrongShape`](crate::ErrorKind::WrongShape) where the shape holds another number of elements.
pub(crate) fn f32_tensor(name: &str, dims: &[usize], values: impl Into<Vec<f32>>) -> Result<TensorProto> {
    dense_tensor(name, dims, values.into())
}

/// A tensor of any element type: an initializer of that name, or with an empty name the value of an attribute.
///
/// # Errors
/// [`ErrorKind::WrongShape`](crate::ErrorKind::WrongShape) where the shape holds another number of elements.
pub(crate) fn dense_tensor(name: &str, dims: &[usize], values: impl Into<TensorData>) -> Result<TensorProto> {
    Ok(TensorProto::from_dense(name, &DenseTensor::new(dims.to_vec(), values)?))
}

/// A dimension of a declared shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dim<'a> {
    /// Of this length.
    Fixed(i64),
    /// Of a length that has a name, `batch` as a rule.
    Symbolic(&'a str),
    /// Of any length.
    Unknown,
}

/// The declaration of a tensor: an input, an output or a value in between. `elem_type` is a code of
/// [`data_type`](super::data_type).
pub(crate) fn value_info(name: &str, elem_type: i32, dims: &[Dim<'_>]) -> ValueInfoProto {
    let dimension = |dim: &Dim<'_>| match *dim {
        Dim::Fixed(length) => Dimension { dim_value: Some(length), ..Dimension::default() },
        Dim::Symbolic(symbol) => Dimension { dim_param: Some(symbol.into()), ..Dimension::default() },
        Dim::Unknown => Dimension::default(),
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dimension).collect(), ..TensorShapeProto::default() };
    let tensor = TensorType { elem_type: Some(elem_type), shape: Some(Box::new(shape)), ..TensorType::default() };
    let r#type = TypeProto { tensor_type: Some(Box::new(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: Some(name.into()), r#type: Some(Box::new(r#type)), ..ValueInfoProto::default() }
}

/// A graph; nodes stand in topological order.
pub(crate) fn graph(
    name: &str,
    inputs: impl Into<Vec<ValueInfoProto>>,
    nodes: impl Into<Vec<NodeProto>>,
    initializers: impl Into<Vec<TensorProto>>,
    outputs: impl Into<Vec<ValueInfoProto>>,
) -> GraphProto {
    GraphProto {
        node: nodes.into(),
        name: Some(name.into()),
        initializer: initializers.into(),
        input: inputs.into(),
        output: outputs.into(),
        ..GraphProto::default()
    }
}

/// A model of a graph, the IR version and the operator sets as (domain, version).
pub(crate) fn model(ir_version: i64, opsets: &[(&str, i64)], graph: GraphProto) -> ModelProto {
    let opset = |&(domain, version): &(&str, i64)| OperatorSetIdProto {
        domain: Some(domain.into()),
        version: Some(version),
        ..OperatorSetIdProto::default()
    };
    ModelProto {
        ir_version: Some(ir_version),
        producer_name: Some(env!("CARGO_PKG_NAME").into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(Box::new(graph)),
        opset_import: opsets.iter().map(opset).collect(),
        ..ModelProto::default()
    }
}
