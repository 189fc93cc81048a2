//! The messages of `onnx-ml.proto` (IR version 14), with its field numbers.
//!
//! What a field means stands in the [ONNX specification](https://onnx.ai/onnx/repo-docs/IR.html). Optional scalars are
//! `Option`s, optional messages `Option`s of boxes, repeated fields `Vec`s. The members of a `oneof` are separate
//! fields; [`TypeProto::value`] and [`Dimension::value`] read them as one.

use super::{
    bytes::Bytes,
    message::{
        Blob, Codec, Double, Float, Int32, Int64, Message, Nested, Occurrence, Optional, Packed, Repeated, Shared,
        Text, Uint64, merge_message, message, write_message,
    },
    wire::{Budget, DecodeLimits, Reader, Sink, Wire},
};
use crate::error::Result;
use std::vec::Vec;

macro_rules! codes {
    ($($(#[$doc:meta])* $module:ident { $($name:ident = $code:literal $text:literal,)* })*) => {$(
        $(#[$doc])*
        pub(crate) mod $module {
            $(#[doc = concat!("`", stringify!($name), "` (", $text, ").")] pub(crate) const $name: i32 = $code;)*

            /// The code in words, as messages show it.
            pub(crate) fn name(code: i32) -> &'static str {
                match code {
                    $($code => $text,)*
                    _ => "unknown",
                }
            }
        }
    )*};
}

codes! {
    /// `AttributeProto.AttributeType`: which field of an attribute is in use.
    attribute_type {
        UNDEFINED = 0 "undefined",
        FLOAT = 1 "float",
        INT = 2 "int",
        STRING = 3 "string",
        TENSOR = 4 "tensor",
        GRAPH = 5 "graph",
        FLOATS = 6 "floats",
        INTS = 7 "ints",
        STRINGS = 8 "strings",
        TENSORS = 9 "tensors",
        GRAPHS = 10 "graphs",
        SPARSE_TENSOR = 11 "sparse tensor",
        SPARSE_TENSORS = 12 "sparse tensors",
        TYPE_PROTO = 13 "type",
        TYPE_PROTOS = 14 "types",
    }

    /// `TensorProto.DataType`: element types.
    data_type {
        UNDEFINED = 0 "undefined",
        FLOAT = 1 "float32",
        UINT8 = 2 "uint8",
        INT8 = 3 "int8",
        UINT16 = 4 "uint16",
        INT16 = 5 "int16",
        INT32 = 6 "int32",
        INT64 = 7 "int64",
        STRING = 8 "string",
        BOOL = 9 "bool",
        FLOAT16 = 10 "float16",
        DOUBLE = 11 "float64",
        UINT32 = 12 "uint32",
        UINT64 = 13 "uint64",
        COMPLEX64 = 14 "complex64",
        COMPLEX128 = 15 "complex128",
        BFLOAT16 = 16 "bfloat16",
        FLOAT8E4M3FN = 17 "float8e4m3fn",
        FLOAT8E4M3FNUZ = 18 "float8e4m3fnuz",
        FLOAT8E5M2 = 19 "float8e5m2",
        FLOAT8E5M2FNUZ = 20 "float8e5m2fnuz",
        UINT4 = 21 "uint4",
        INT4 = 22 "int4",
        FLOAT4E2M1 = 23 "float4e2m1",
        FLOAT8E8M0 = 24 "float8e8m0",
        UINT2 = 25 "uint2",
        INT2 = 26 "int2",
        FLOAT6E2M3 = 27 "float6e2m3",
        FLOAT6E3M2 = 28 "float6e3m2",
    }

    /// `TensorProto.DataLocation`: where a tensor's values lie.
    data_location {
        DEFAULT = 0 "in the message",
        EXTERNAL = 1 "in another file",
    }
}

message! {
    /// A model: a graph with the operator sets it is written in.
    ModelProto {
        /// The version of the file format.
        ir_version: Optional<Int64> = 1,
        /// The tool that wrote the file.
        producer_name: Optional<Text> = 2,
        /// The version of that tool.
        producer_version: Optional<Text> = 3,
        /// The reverse-DNS name of the model's namespace.
        domain: Optional<Text> = 4,
        /// The version of the model.
        model_version: Optional<Int64> = 5,
        /// Documentation.
        doc_string: Optional<Text> = 6,
        /// The graph that is run.
        graph: Nested<GraphProto> = 7,
        /// The operator sets, one a domain.
        opset_import: Repeated<OperatorSetIdProto> = 8,
        /// Named metadata.
        metadata_props: Repeated<StringStringEntryProto> = 14,
        /// Graphs for training.
        training_info: Repeated<TrainingInfoProto> = 20,
        /// Functions that nodes may call.
        functions: Repeated<FunctionProto> = 25,
        /// Devices that nodes may be laid on.
        configuration: Repeated<DeviceConfigurationProto> = 26,
    }

    /// A set of devices.
    DeviceConfigurationProto {
        /// The name nodes refer to.
        name: Optional<Text> = 1,
        /// How many devices.
        num_devices: Optional<Int32> = 2,
        /// Their names.
        device: Repeated<Text> = 3,
    }

    /// The graphs of one training step.
    TrainingInfoProto {
        /// Sets the state up.
        initialization: Nested<GraphProto> = 1,
        /// Makes one step.
        algorithm: Nested<GraphProto> = 2,
        /// Which outputs of `initialization` set which initializers.
        initialization_binding: Repeated<StringStringEntryProto> = 3,
        /// Which outputs of `algorithm` set which initializers.
        update_binding: Repeated<StringStringEntryProto> = 4,
    }

    /// A graph: nodes in topological order, their constants, inputs and outputs.
    GraphProto {
        /// The nodes.
        node: Repeated<NodeProto> = 1,
        /// The name.
        name: Optional<Text> = 2,
        /// Named constants.
        initializer: Repeated<TensorProto> = 5,
        /// Documentation.
        doc_string: Optional<Text> = 10,
        /// The inputs; one that is also an initializer has that as its default.
        input: Repeated<ValueInfoProto> = 11,
        /// The outputs.
        output: Repeated<ValueInfoProto> = 12,
        /// Types of values in between.
        value_info: Repeated<ValueInfoProto> = 13,
        /// Which tensors hold the scale and zero point of which.
        quantization_annotation: Repeated<TensorAnnotation> = 14,
        /// Named sparse constants.
        sparse_initializer: Repeated<SparseTensorProto> = 15,
        /// Named metadata.
        metadata_props: Repeated<StringStringEntryProto> = 16,
    }

    /// A call of one operator.
    NodeProto {
        /// The values it takes; an empty name is an input left out.
        input: Repeated<Text> = 1,
        /// The values it makes; an empty name is an output not wanted.
        output: Repeated<Text> = 2,
        /// The name.
        name: Optional<Text> = 3,
        /// The operator.
        op_type: Optional<Text> = 4,
        /// The operator's constants.
        attribute: Repeated<AttributeProto> = 5,
        /// Documentation.
        doc_string: Optional<Text> = 6,
        /// The operator's domain; absent or empty for the standard one.
        domain: Optional<Text> = 7,
        /// Which of several functions of one name.
        overload: Optional<Text> = 8,
        /// Named metadata.
        metadata_props: Repeated<StringStringEntryProto> = 9,
        /// How it is laid on devices.
        device_configurations: Repeated<NodeDeviceConfigurationProto> = 10,
    }

    /// How a node is laid on one set of devices.
    NodeDeviceConfigurationProto {
        /// The name of the set.
        configuration_id: Optional<Text> = 1,
        /// How its tensors are split.
        sharding_spec: Repeated<ShardingSpecProto> = 2,
        /// The stage of a pipeline.
        pipeline_stage: Optional<Int32> = 3,
    }

    /// How one tensor is split over devices.
    ShardingSpecProto {
        /// The tensor.
        tensor_name: Optional<Text> = 1,
        /// The devices.
        device: Repeated<Int64> = 2,
        /// Groups of devices.
        index_to_device_group_map: Repeated<IntIntListEntryProto> = 3,
        /// How each axis is split.
        sharded_dim: Repeated<ShardedDimProto> = 4,
    }

    /// A number and the numbers it stands for.
    IntIntListEntryProto {
        /// The number.
        key: Optional<Int64> = 1,
        /// What it stands for.
        value: Repeated<Int64> = 2,
    }

    /// How one axis is split.
    ShardedDimProto {
        /// The axis.
        axis: Optional<Int64> = 1,
        /// The parts.
        simple_sharding: Repeated<SimpleShardedDimProto> = 2,
    }

    /// A number of equal parts of one dimension.
    SimpleShardedDimProto {
        /// The dimension, where it is fixed.
        dim_value: Optional<Int64> = 1,
        /// The dimension, where it is symbolic.
        dim_param: Optional<Text> = 2,
        /// How many parts.
        num_shards: Optional<Int64> = 3,
    }

    /// A named constant of a node.
    AttributeProto {
        /// The name.
        name: Optional<Text> = 1,
        /// A float.
        f: Optional<Float> = 2,
        /// An integer.
        i: Optional<Int64> = 3,
        /// A string, UTF-8 by the specification but not always in fact.
        s: Optional<Blob> = 4,
        /// A tensor.
        t: Nested<TensorProto> = 5,
        /// A graph.
        g: Nested<GraphProto> = 6,
        /// Floats.
        floats: Repeated<Float> = 7,
        /// Integers.
        ints: Repeated<Int64> = 8,
        /// Strings.
        strings: Repeated<Shared> = 9,
        /// Tensors.
        tensors: Repeated<TensorProto> = 10,
        /// Graphs.
        graphs: Repeated<GraphProto> = 11,
        /// Documentation.
        doc_string: Optional<Text> = 13,
        /// A type.
        tp: Nested<TypeProto> = 14,
        /// Types.
        type_protos: Repeated<TypeProto> = 15,
        /// Which of the fields is in use: a code of [`attribute_type`].
        r#type: Optional<Int32> = 20,
        /// Within a function: the function's attribute that gives the value.
        ref_attr_name: Optional<Text> = 21,
        /// A sparse tensor.
        sparse_tensor: Nested<SparseTensorProto> = 22,
        /// Sparse tensors.
        sparse_tensors: Repeated<SparseTensorProto> = 23,
    }

    /// A dense tensor. [`TensorProto::to_dense`] reads its values.
    TensorProto {
        /// The shape.
        dims: Repeated<Int64> = 1,
        /// The element type: a code of [`data_type`].
        data_type: Optional<Int32> = 2,
        /// The part of a longer tensor that this is.
        segment: Nested<Segment> = 3,
        /// Values of float32 and complex64.
        float_data: Packed<Float> = 4,
        /// Values of int32 and of all types of 16 bits and less.
        int32_data: Packed<Int32> = 5,
        /// Values of string.
        string_data: Repeated<Blob> = 6,
        /// Values of int64.
        int64_data: Packed<Int64> = 7,
        /// The name.
        name: Optional<Text> = 8,
        /// Values of any type but string, little endian; shared with the file.
        raw_data: Optional<Shared> = 9,
        /// Values of float64 and complex128.
        double_data: Packed<Double> = 10,
        /// Values of uint32 and uint64.
        uint64_data: Packed<Uint64> = 11,
        /// Documentation.
        doc_string: Optional<Text> = 12,
        /// Where values in another file lie: `location`, `offset`, `length`, `checksum`.
        external_data: Repeated<StringStringEntryProto> = 13,
        /// Whether the values lie in another file: a code of [`data_location`].
        data_location: Optional<Int32> = 14,
        /// Named metadata.
        metadata_props: Repeated<StringStringEntryProto> = 16,
    }

    /// A part of a longer tensor (`TensorProto.Segment`).
    Segment {
        /// The first element.
        begin: Optional<Int64> = 1,
        /// One past the last.
        end: Optional<Int64> = 2,
    }

    /// A sparse tensor in coordinate form.
    SparseTensorProto {
        /// The values, (nnz).
        values: Nested<TensorProto> = 1,
        /// Where they stand: (nnz) into the flattened tensor or (nnz, rank).
        indices: Nested<TensorProto> = 2,
        /// The shape.
        dims: Repeated<Int64> = 3,
    }

    /// A value's name and type.
    ValueInfoProto {
        /// The name.
        name: Optional<Text> = 1,
        /// The type.
        r#type: Nested<TypeProto> = 2,
        /// Documentation.
        doc_string: Optional<Text> = 3,
        /// Named metadata.
        metadata_props: Repeated<StringStringEntryProto> = 4,
    }

    /// A type; one of the `*_type` fields is set.
    TypeProto {
        /// A dense tensor.
        tensor_type: Nested<TensorType> = 1,
        /// A sequence.
        sequence_type: Nested<SequenceType> = 4,
        /// A map.
        map_type: Nested<MapType> = 5,
        /// What the value stands for.
        denotation: Optional<Text> = 6,
        /// A type of its domain's own.
        opaque_type: Nested<OpaqueType> = 7,
        /// A sparse tensor.
        sparse_tensor_type: Nested<TensorType> = 8,
        /// A value that may be absent.
        optional_type: Nested<OptionalType> = 9,
    }

    /// The type of a dense or sparse tensor (`TypeProto.Tensor`, `TypeProto.SparseTensor`).
    TensorType {
        /// The element type: a code of [`data_type`].
        elem_type: Optional<Int32> = 1,
        /// The shape; absent where not even the rank is known.
        shape: Nested<TensorShapeProto> = 2,
    }

    /// The type of a sequence (`TypeProto.Sequence`).
    SequenceType {
        /// The type of the elements.
        elem_type: Nested<TypeProto> = 1,
    }

    /// The type of a map (`TypeProto.Map`).
    MapType {
        /// The type of the keys: a code of [`data_type`], string or an integer.
        key_type: Optional<Int32> = 1,
        /// The type of the values.
        value_type: Nested<TypeProto> = 2,
    }

    /// The type of a value that may be absent (`TypeProto.Optional`).
    OptionalType {
        /// The type where it is there.
        elem_type: Nested<TypeProto> = 1,
    }

    /// A type of its domain's own (`TypeProto.Opaque`).
    OpaqueType {
        /// The domain.
        domain: Optional<Text> = 1,
        /// The name.
        name: Optional<Text> = 2,
    }

    /// A shape of which dimensions may be unknown.
    TensorShapeProto {
        /// The dimensions.
        dim: Repeated<Dimension> = 1,
    }

    /// One dimension (`TensorShapeProto.Dimension`): fixed, symbolic or, with neither set, unknown.
    Dimension {
        /// The length, where it is fixed.
        dim_value: Optional<Int64> = 1,
        /// The symbol, where it has one.
        dim_param: Optional<Text> = 2,
        /// What the dimension stands for (`DATA_BATCH`, ...).
        denotation: Optional<Text> = 3,
    }

    /// An operator set.
    OperatorSetIdProto {
        /// The domain; absent or empty for the standard one.
        domain: Optional<Text> = 1,
        /// The version.
        version: Optional<Int64> = 2,
    }

    /// A key and a value.
    StringStringEntryProto {
        /// The key.
        key: Optional<Text> = 1,
        /// The value.
        value: Optional<Text> = 2,
    }

    /// The tensors that hold a tensor's quantisation parameters.
    TensorAnnotation {
        /// The tensor.
        tensor_name: Optional<Text> = 1,
        /// `SCALE_TENSOR`, `ZERO_POINT_TENSOR` and their tensors.
        quant_parameter_tensor_names: Repeated<StringStringEntryProto> = 2,
    }

    /// An operator written as a graph of others.
    FunctionProto {
        /// The name; with `domain` and `overload` what a node calls.
        name: Optional<Text> = 1,
        /// The formal inputs.
        input: Repeated<Text> = 4,
        /// The formal outputs.
        output: Repeated<Text> = 5,
        /// Attributes without a default.
        attribute: Repeated<Text> = 6,
        /// The nodes.
        node: Repeated<NodeProto> = 7,
        /// Documentation.
        doc_string: Optional<Text> = 8,
        /// The operator sets its nodes are written in.
        opset_import: Repeated<OperatorSetIdProto> = 9,
        /// The domain.
        domain: Optional<Text> = 10,
        /// Attributes with a default.
        attribute_proto: Repeated<AttributeProto> = 11,
        /// Types of values in between.
        value_info: Repeated<ValueInfoProto> = 12,
        /// Which of several functions of one name.
        overload: Optional<Text> = 13,
        /// Named metadata.
        metadata_props: Repeated<StringStringEntryProto> = 14,
    }
}
