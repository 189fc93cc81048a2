//! Telling an ONNX file from the other formats by its first bytes.

use super::{
    bytes::Bytes,
    wire::{Reader, Wire},
};

/// How much of the input is looked at: the graph begins long before, unless the documentation is a book.
const HEAD_BYTES: usize = 64 * 1024;

/// Whether `head`, a file or the beginning of one, looks like an ONNX model: only fields that a model has, laid out as
/// a model's are, an IR version and a graph that begins with a graph's field.
///
/// Text, JSON, safetensors, npy and the protobuf models of other frameworks are turned away. Some kilobytes are enough;
/// at most the first 64 KiB are read.
pub(crate) fn looks_like_onnx(head: &[u8]) -> bool {
    let short = Bytes::from(&head[..head.len().min(HEAD_BYTES)]);
    let mut reader = Reader::new(&short, "ModelProto");
    let (mut ir_version, mut graph) = (false, false);
    while let Ok(Some((field, wire))) = reader.next_field() {
        match (field, wire) {
            (1, Wire::Varint) => match reader.varint() {
                Ok(1..=0xffff) => ir_version = true,
                _ => return false,
            },
            (7, Wire::Len) => {
                let mut inside = reader.clone();
                graph = inside.varint().is_ok_and(|length| length == 0 || starts_like_graph(&mut inside));
                if !graph {
                    return false;
                }
                if reader.skip(wire).is_err() {
                    // The graph is longer than the head.
                    return ir_version;
                }
            }
            (5, Wire::Varint) | (2..=4 | 6 | 8 | 14 | 20 | 25 | 26, Wire::Len) => {
                if reader.skip(wire).is_err() {
                    return ir_version && graph;
                }
            }
            _ => return false,
        }
    }
    ir_version && graph
}

fn starts_like_graph(reader: &mut Reader<'_>) -> bool {
    matches!(reader.next_field(), Ok(Some((1 | 2 | 5 | 10..=16, Wire::Len))))
}
