//! The parts of a node, with what stands for those that were left out.

use super::NodeProto;

/// The name of input `i`, empty where it was left out.
pub(crate) fn input(node: &NodeProto, i: usize) -> &str {
    node.input.get(i).map_or("", String::as_str)
}

/// An attribute that is an integer.
pub(crate) fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    node.find_attribute(name).and_then(|a| a.i).unwrap_or(default)
}

/// An attribute that is a float.
pub(crate) fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    node.find_attribute(name).and_then(|a| a.f).unwrap_or(default)
}
