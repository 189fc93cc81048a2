//! As much of ONNX's protobuf messages as the cases of the suite need.

use modelberth::Tensor;
use modelberth::half::{bf16, f16};

/// A value of the wire format.
enum Wire<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// The fields of a message with their numbers.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or("a message is cut off")?;
            self.0 = rest;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number is too long".to_owned())
    }

    fn take(&mut self, length: usize) -> Result<&'b [u8], String> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or("a message is cut off")?;
        self.0 = rest;
        Ok(bytes)
    }

    fn field(&mut self) -> Result<(u64, Wire<'b>), String> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Bytes(self.take(8)?),
            2 => {
                let length = self.varint()?;
                Wire::Bytes(self.take(usize::try_from(length).map_err(|e| e.to_string())?)?)
            }
            5 => Wire::Bytes(self.take(4)?),
            other => return Err(format!("wire type {other}")),
        };
        Ok((tag >> 3, value))
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u64, Wire<'b>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The messages in field `number`.
fn messages(bytes: &[u8], number: u64) -> Result<Vec<&[u8]>, String> {
    let mut found = Vec::new();
    for field in Fields(bytes) {
        if let (n, Wire::Bytes(inner)) = field?
            && n == number
        {
            found.push(inner);
        }
    }
    Ok(found)
}

fn text(bytes: &[u8], number: u64) -> Result<String, String> {
    Ok(messages(bytes, number)?.last().map_or_else(String::new, |t| String::from_utf8_lossy(t).into_owned()))
}

/// What an input or output is declared as.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Declared {
    Tensor,
    Complex,
    SubByte,
    F8,
    Sequence,
}

impl Declared {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Tensor => "a tensor",
            Self::Complex => "complex numbers",
            Self::SubByte => "numbers of less than 8 bits",
            Self::F8 => "floats of 8 bits",
            Self::Sequence => "a sequence, map or optional",
        }
    }

    /// From a `ValueInfoProto`.
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let Some(kind) = messages(bytes, 2)?.last().copied() else { return Ok(Self::Tensor) };
        let Some(tensor) = messages(kind, 1)?.last().copied() else { return Ok(Self::Sequence) };
        let mut code = 0;
        for field in Fields(tensor) {
            if let (1, Wire::Number(n)) = field? {
                code = n;
            }
        }
        Ok(match code {
            14 | 15 => Self::Complex,
            21..=23 | 25 | 26 => Self::SubByte,
            17..=20 | 24 => Self::F8,
            _ => Self::Tensor,
        })
    }
}

/// What the suite wants to know about a model.
pub(crate) struct ModelFacts {
    pub(crate) inputs: Vec<Declared>,
    pub(crate) outputs: Vec<Declared>,
    /// The operators of the graph and its subgraphs.
    pub(crate) operators: Vec<String>,
}

impl ModelFacts {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let graph = messages(bytes, 7)?.last().copied().ok_or("the file has no graph")?;
        let initialised = messages(graph, 5)?.into_iter().map(|t| text(t, 8)).collect::<Result<Vec<_>, _>>()?;
        let mut inputs = Vec::new();
        for input in messages(graph, 11)? {
            if !initialised.contains(&text(input, 1)?) {
                inputs.push(Declared::read(input)?);
            }
        }
        let outputs = messages(graph, 12)?.into_iter().map(Declared::read).collect::<Result<_, _>>()?;
        let mut operators = Vec::new();
        collect(graph, 1, &mut operators)?;
        for function in messages(bytes, 25)? {
            collect(function, 7, &mut operators)?;
        }
        Ok(Self { inputs, outputs, operators })
    }
}

/// The names of the inputs that a model asks for.
pub(crate) fn input_names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let graph = messages(bytes, 7)?.last().copied().ok_or("the file has no graph")?;
    let initialised = messages(graph, 5)?.into_iter().map(|t| text(t, 8)).collect::<Result<Vec<_>, _>>()?;
    let names = messages(graph, 11)?.into_iter().map(|i| text(i, 1)).collect::<Result<Vec<_>, _>>()?;
    Ok(names.into_iter().filter(|name| !initialised.contains(name)).collect())
}

fn write_varint(mut n: usize, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push((n & 0x7F) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn write_message(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    write_varint((number << 3 | 2) as usize, out);
    write_varint(bytes.len(), out);
    out.extend(bytes);
}

/// The model with more initialisers: the names of inputs, and the tensors that they always are.
pub(crate) fn bound(bytes: &[u8], constants: &[(String, Vec<u8>)]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(bytes.len());
    for field in Fields(bytes) {
        match field? {
            (7, Wire::Bytes(graph)) => {
                let mut graph = graph.to_vec();
                for (name, tensor) in constants {
                    let mut named = tensor.clone();
                    write_message(8, name.as_bytes(), &mut named);
                    write_message(5, &named, &mut graph);
                }
                write_message(7, &graph, &mut out);
            }
            (number, Wire::Bytes(inner)) => write_message(number, inner, &mut out),
            (number, Wire::Number(n)) => {
                write_varint((number << 3) as usize, &mut out);
                write_varint(n as usize, &mut out);
            }
        }
    }
    Ok(out)
}

/// The operators of the nodes in field `number`.
fn collect(bytes: &[u8], number: u64, operators: &mut Vec<String>) -> Result<(), String> {
    for node in messages(bytes, number)? {
        operators.push(text(node, 4)?);
        for attribute in messages(node, 5)? {
            for graph in messages(attribute, 6)? {
                collect(graph, 1, operators)?;
            }
        }
    }
    Ok(())
}

/// An input or output of a case.
pub(crate) enum Value {
    Tensor(Tensor<'static>),
    Sequence(Vec<Tensor<'static>>),
}

impl Value {
    /// From a `TensorProto`, or a `SequenceProto` of them.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        // Field 2 is the element type of a tensor, a number, and the kind of a sequence; field 3 the tensors of one.
        let tensors = messages(bytes, 3)?;
        let (mut dims, mut strings) = (false, false);
        for field in Fields(bytes) {
            match field? {
                (1, Wire::Number(_)) => dims = true,
                (1, Wire::Bytes(_)) => strings = true,
                _ => {}
            }
        }
        if !tensors.is_empty() && !dims && strings {
            return Ok(Self::Sequence(tensors.into_iter().map(tensor).collect::<Result<_, _>>()?));
        }
        tensor(bytes).map(Self::Tensor)
    }
}

/// A `TensorProto`.
fn tensor(bytes: &[u8]) -> Result<Tensor<'static>, String> {
    let (mut dims, mut code, mut raw, mut texts) = (Vec::new(), 0, None, Vec::new());
    let (mut floats, mut numbers, mut doubles) = (Vec::new(), Vec::new(), Vec::new());
    let packed = |bytes: &[u8]| -> Result<Vec<u64>, String> {
        let mut inner = Fields(bytes);
        let mut found = Vec::new();
        while !inner.0.is_empty() {
            found.push(inner.varint()?);
        }
        Ok(found)
    };
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(n)) => dims.push(n as usize),
            (1, Wire::Bytes(b)) => dims.extend(packed(b)?.into_iter().map(|n| n as usize)),
            (2, Wire::Number(n)) => code = n,
            (4, Wire::Bytes(b)) => floats.extend(b.as_chunks().0.iter().map(|c| f32::from_le_bytes(*c))),
            (5 | 7 | 11, Wire::Number(n)) => numbers.push(n),
            (5 | 7 | 11, Wire::Bytes(b)) => numbers.extend(packed(b)?),
            (6, Wire::Bytes(b)) => texts.push(String::from_utf8_lossy(b).into_owned()),
            (9, Wire::Bytes(b)) => raw = Some(b),
            (10, Wire::Bytes(b)) => doubles.extend(b.as_chunks().0.iter().map(|c| f64::from_le_bytes(*c))),
            _ => {}
        }
    }
    macro_rules! of {
        ($t:ty, $from:expr) => {
            match raw {
                Some(raw) => {
                    Tensor::from_vec(&dims, raw.as_chunks().0.iter().map(|c| <$t>::from_le_bytes(*c)).collect())
                }
                None => Tensor::from_vec(&dims, $from),
            }
        };
        ($t:ty) => {
            of!($t, numbers.iter().map(|n| *n as $t).collect::<Vec<$t>>())
        };
    }
    let made = match code {
        1 => of!(f32, floats),
        2 => of!(u8),
        3 => of!(i8),
        4 => of!(u16),
        5 => of!(i16),
        6 => of!(i32),
        7 => of!(i64),
        8 => Tensor::from_vec(&dims, texts),
        9 => {
            let bytes = raw.map_or_else(|| numbers.iter().map(|n| *n as u8).collect(), <[u8]>::to_vec);
            Tensor::from_vec(&dims, bytes.into_iter().map(|b| b != 0).collect::<Vec<bool>>())
        }
        10 => of!(f16, numbers.iter().map(|n| f16::from_bits(*n as u16)).collect()),
        11 => of!(f64, doubles),
        12 => of!(u32),
        13 => of!(u64),
        16 => of!(bf16, numbers.iter().map(|n| bf16::from_bits(*n as u16)).collect()),
        other => return Err(format!("element type {other}")),
    };
    made.map_err(|e| e.to_string())
}
