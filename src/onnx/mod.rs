//! ONNX files: the protobuf messages read and written, tensors turned into typed data, graphs built in code.
//!
//! * [`ModelProto`] and the other messages stand in [`proto`]; every one has `decode` and `encode_to_vec`, and keeps
//!   the raw bytes of fields that it does not know, so that a file made by a newer exporter survives an edit.
//! * [`DecodeLimits`] bounds nesting and the number of messages of an untrusted file.
//! * [`DenseTensor`] is a tensor's content with its element type; [`ExternalData`] finds the files beside a model that
//!   carry weights.
//! * [`builder`] makes graphs without the ceremony.

mod access;
mod bytes;
mod external;
mod message;
#[cfg(any(feature = "optimize", feature = "tract", feature = "ort"))]
mod packed;
mod sniff;
mod tensor;
mod wire;

pub(crate) mod builder;
#[cfg(feature = "optimize")]
pub(crate) mod edit;
#[cfg(feature = "native")]
pub(crate) mod node;
pub(crate) mod proto;

#[cfg(test)]
mod tests;

#[cfg(any(all(feature = "native", feature = "tract"), feature = "optimize"))]
pub(crate) use self::tensor::code_of;
#[allow(unused_imports, reason = "the floors above import from here as they arrive")]
pub(crate) use self::{
    access::{DimensionValue, TypeValue},
    bytes::{Bytes, Owner},
    external::ExternalData,
    proto::*,
    sniff::looks_like_onnx,
    tensor::{DenseTensor, TensorData},
    wire::DecodeLimits,
};
