//! Reading messages as what they mean: the one member of a `oneof`, an attribute by name, defaults of absent fields.

use super::proto::{
    AttributeProto, Dimension, MapType, NodeProto, OpaqueType, OptionalType, SequenceType, TensorType, TypeProto,
    attribute_type,
};
use crate::error::{Error, ErrorKind, Result};

/// What a [`TypeProto`] says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum TypeValue<'a> {
    /// A dense tensor.
    Tensor(&'a TensorType),
    /// A sparse tensor.
    SparseTensor(&'a TensorType),
    /// A sequence.
    Sequence(&'a SequenceType),
    /// A map.
    Map(&'a MapType),
    /// A value that may be absent.
    Optional(&'a OptionalType),
    /// A type of its domain's own.
    Opaque(&'a OpaqueType),
}

impl TypeProto {
    /// The type, or nothing where none is set.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where more than one is set.
    pub(crate) fn value(&self) -> Result<Option<TypeValue<'_>>> {
        let all = [
            self.tensor_type.as_deref().map(TypeValue::Tensor),
            self.sparse_tensor_type.as_deref().map(TypeValue::SparseTensor),
            self.sequence_type.as_deref().map(TypeValue::Sequence),
            self.map_type.as_deref().map(TypeValue::Map),
            self.optional_type.as_deref().map(TypeValue::Optional),
            self.opaque_type.as_deref().map(TypeValue::Opaque),
        ];
        let mut set = all.into_iter().flatten();
        let first = set.next();
        match set.next() {
            None => Ok(first),
            Some(_) => Err(Error::new(ErrorKind::Malformed, "an ONNX type says that it is two types at once")),
        }
    }
}

/// What a [`Dimension`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DimensionValue<'a> {
    /// A length, as it stands in the file: negative in some.
    Fixed(i64),
    /// A symbol, not empty.
    Symbolic(&'a str),
    /// Neither.
    Unknown,
}

impl Dimension {
    /// The dimension. A length goes before a symbol; an empty symbol is none.
    pub(crate) fn value(&self) -> DimensionValue<'_> {
        match (self.dim_value, self.dim_param.as_deref()) {
            (Some(length), _) => DimensionValue::Fixed(length),
            (None, Some(symbol)) if !symbol.is_empty() => DimensionValue::Symbolic(symbol),
            _ => DimensionValue::Unknown,
        }
    }
}

impl NodeProto {
    /// The operator, empty where the file names none.
    pub(crate) fn operator(&self) -> &str {
        self.op_type.as_deref().unwrap_or_default()
    }

    /// The operator's domain; the standard one is the empty string, also where the file writes `ai.onnx`.
    pub(crate) fn operator_domain(&self) -> &str {
        match self.domain.as_deref().unwrap_or_default() {
            "ai.onnx" => "",
            domain => domain,
        }
    }

    /// The node as messages name it: operator and name, or what it gives where it has no name.
    pub(crate) fn label(&self) -> std::string::String {
        let operator = self.operator();
        match self.name.as_deref() {
            Some(name) if !name.is_empty() => std::format!("{operator} '{name}'"),
            _ => match self.output.first() {
                Some(output) => std::format!("{operator} giving '{output}'"),
                None => operator.into(),
            },
        }
    }

    /// The attribute of that name.
    pub(crate) fn find_attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name))
    }
}

impl AttributeProto {
    /// Which field is in use: a code of [`attribute_type`]. Files of IR version 1 do not say; the field that is set does.
    pub(crate) fn effective_type(&self) -> i32 {
        match self.r#type {
            Some(code) if code != attribute_type::UNDEFINED => code,
            _ => [
                (self.f.is_some(), attribute_type::FLOAT),
                (self.i.is_some(), attribute_type::INT),
                (self.s.is_some(), attribute_type::STRING),
                (self.t.is_some(), attribute_type::TENSOR),
                (self.g.is_some(), attribute_type::GRAPH),
                (!self.floats.is_empty(), attribute_type::FLOATS),
                (!self.ints.is_empty(), attribute_type::INTS),
                (!self.strings.is_empty(), attribute_type::STRINGS),
                (!self.tensors.is_empty(), attribute_type::TENSORS),
                (!self.graphs.is_empty(), attribute_type::GRAPHS),
                (self.sparse_tensor.is_some(), attribute_type::SPARSE_TENSOR),
                (!self.sparse_tensors.is_empty(), attribute_type::SPARSE_TENSORS),
                (self.tp.is_some(), attribute_type::TYPE_PROTO),
                (!self.type_protos.is_empty(), attribute_type::TYPE_PROTOS),
            ]
            .into_iter()
            .find_map(|(set, code)| set.then_some(code))
            .unwrap_or(attribute_type::UNDEFINED),
        }
    }
}
