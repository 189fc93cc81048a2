//! ONNX files written by hand: a protobuf writer small enough to write files that no exporter would.

/// A protobuf message under construction.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A message without fields.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Adds an integer.
    pub(crate) fn int(mut self, field: u64, value: i64) -> Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    /// Adds a 32-bit float.
    pub(crate) fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Adds text or bytes.
    pub(crate) fn bytes(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.as_ref().len() as u64);
        self.0.extend_from_slice(value.as_ref());
        self
    }

    /// Adds a message.
    pub(crate) fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// Adds messages, one key each.
    pub(crate) fn messages(self, field: u64, values: &[Self]) -> Self {
        values.iter().fold(self, |this, value| this.message(field, value))
    }

    /// The bytes so far.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Codes of element types.
pub(crate) const FLOAT: i64 = 1;
pub(crate) const INT64: i64 = 7;
pub(crate) const STRING: i64 = 8;
pub(crate) const BOOL: i64 = 9;

/// A length, or `None` for the batch.
pub(crate) type Dim = Option<i64>;

/// A `ValueInfoProto` of a tensor.
pub(crate) fn value(name: &str, code: i64, dims: &[Dim]) -> Message {
    let dim = |dim: &Dim| match dim {
        Some(n) => Message::new().int(1, *n),
        None => Message::new().bytes(2, "N"),
    };
    let shape = Message::new().messages(1, &dims.iter().map(dim).collect::<Vec<_>>());
    let tensor = Message::new().int(1, code).message(2, &shape);
    Message::new().bytes(1, name).message(2, &Message::new().message(1, &tensor))
}

/// A `NodeProto`, named after its first output.
pub(crate) fn node(op: &str, domain: &str, inputs: &[&str], outputs: &[&str], attributes: &[Message]) -> Message {
    let named = |field, names: &[&str], message: Message| names.iter().fold(message, |m, name| m.bytes(field, name));
    let message = named(2, outputs, named(1, inputs, Message::new()));
    message.bytes(3, format!("the_{}", op.to_lowercase())).bytes(4, op).messages(5, attributes).bytes(7, domain)
}

/// An integer attribute.
pub(crate) fn int(name: &str, value: i64) -> Message {
    Message::new().bytes(1, name).int(20, 2).int(3, value)
}

/// A float attribute.
pub(crate) fn float(name: &str, value: f32) -> Message {
    Message::new().bytes(1, name).int(20, 1).float(2, value)
}

/// A text attribute.
pub(crate) fn string(name: &str, value: &str) -> Message {
    Message::new().bytes(1, name).int(20, 3).bytes(4, value)
}

/// An attribute of integers.
pub(crate) fn ints(name: &str, values: &[i64]) -> Message {
    values.iter().fold(Message::new().bytes(1, name).int(20, 7), |m, v| m.int(8, *v))
}

/// An attribute of floats.
pub(crate) fn floats(name: &str, values: &[f32]) -> Message {
    values.iter().fold(Message::new().bytes(1, name).int(20, 6), |m, v| m.float(7, *v))
}

/// An attribute of texts.
pub(crate) fn strings(name: &str, values: &[&str]) -> Message {
    values.iter().fold(Message::new().bytes(1, name).int(20, 8), |m, v| m.bytes(9, v))
}

/// A tensor attribute.
pub(crate) fn tensor(name: &str, value: &Message) -> Message {
    Message::new().bytes(1, name).int(20, 4).message(5, value)
}

/// A graph attribute.
pub(crate) fn subgraph(name: &str, value: &Message) -> Message {
    Message::new().bytes(1, name).int(20, 5).message(6, value)
}

/// A `TensorProto` whose values are given raw.
pub(crate) fn raw(name: &str, code: i64, dims: &[i64], values: &[u8]) -> Message {
    dims.iter().fold(Message::new(), |m, d| m.int(1, *d)).int(2, code).bytes(8, name).bytes(9, values)
}

/// A `TensorProto` of floats.
pub(crate) fn f32s(name: &str, dims: &[i64], values: &[f32]) -> Message {
    raw(name, FLOAT, dims, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

/// A `TensorProto` of 64-bit integers.
pub(crate) fn i64s(name: &str, dims: &[i64], values: &[i64]) -> Message {
    raw(name, INT64, dims, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
}

/// A `TensorProto` whose values lie in the file at `location`.
pub(crate) fn external(name: &str, dims: &[i64], location: &str) -> Message {
    let entry = Message::new().bytes(1, "location").bytes(2, location);
    dims.iter().fold(Message::new(), |m, d| m.int(1, *d)).int(2, FLOAT).bytes(8, name).message(13, &entry).int(14, 1)
}

/// A `GraphProto`.
pub(crate) fn graph(inputs: &[Message], nodes: &[Message], constants: &[Message], outputs: &[Message]) -> Message {
    let message = Message::new().messages(1, nodes).bytes(2, "g").messages(5, constants);
    message.messages(11, inputs).messages(12, outputs)
}

/// The file of a graph, with recent operator sets.
pub(crate) fn file(graph: &Message) -> Vec<u8> {
    let opset = |domain: &str, version| Message::new().bytes(1, domain).int(2, version);
    let message = Message::new().int(1, 10).message(7, graph);
    message.messages(8, &[opset("", 21), opset("ai.onnx.ml", 5)]).into_bytes()
}

/// The file of a graph of `nodes` from `x`, floats (m, 2), to `y`.
pub(crate) fn floats_to_floats(nodes: &[Message], constants: &[Message]) -> Vec<u8> {
    let (x, y) = (value("x", FLOAT, &[None, Some(2)]), value("y", FLOAT, &[None, Some(2)]));
    file(&graph(&[x], nodes, constants, &[y]))
}
