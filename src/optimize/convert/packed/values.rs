//! The values of a graph that is run for one observation, as far as they are known when it is packed.

use std::collections::HashMap;

use super::program::{Program, Span};
use crate::edge::{Binary, Kind, Unary, binary, unary};
use crate::onnx::data_type as t;
use crate::onnx::{DenseTensor, ExternalData, NodeProto, OperatorSetIdProto, TensorData, TensorProto};
use crate::{Error, ErrorKind, Result};

/// Numbers that are known, or where they will stand.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Known(Vec<f32>),
    Slot(Span),
}

/// A value of the graph, with the batch axis of 1 that it has there.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) shape: Vec<usize>,
    pub(super) kind: Kind,
    pub(super) data: Data,
}

impl Value {
    /// Numbers that will stand at `span`; of none, all are known.
    pub(super) fn slot(shape: &[usize], kind: Kind, span: Span) -> Self {
        let data = if shape.contains(&0) { Data::Known(Vec::new()) } else { Data::Slot(span) };
        Self { shape: shape.to_vec(), kind, data }
    }

    pub(super) fn known(shape: &[usize], kind: Kind, items: Vec<f32>) -> Self {
        Self { shape: shape.to_vec(), kind, data: Data::Known(items) }
    }

    pub(super) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The length of the last axis, and how often it is there.
    pub(super) fn rows(&self) -> (usize, usize) {
        let last = self.shape.last().copied().unwrap_or(1);
        (self.len() / last.max(1), last)
    }
}

/// Why a whole number of the file can't be packed.
const INEXACT: &str = "a packed model holds whole numbers up to 2^24";

/// What can't be packed of a node, and what can.
#[cold]
pub(super) fn unsupported(node: &NodeProto, what: &str) -> Error {
    let text = format!("{what} has no packed form; the manual's page on smaller models lists what has one");
    Error::new(ErrorKind::Unsupported, text).node(node.label())
}

/// A graph while it is packed.
#[derive(Debug, Default)]
pub(super) struct Packer {
    pub(super) program: Program,
    pub(super) values: HashMap<String, Value>,
    pub(super) sequences: HashMap<String, Vec<Value>>,
    /// Constants with whole numbers that are no floats, for nodes whose inputs are all known.
    pub(super) wide: HashMap<String, TensorProto>,
    pub(super) external: Option<ExternalData>,
    pub(super) opset: i64,
    pub(super) opsets: Vec<OperatorSetIdProto>,
    pub(super) max_elements: usize,
}

impl Packer {
    /// Packs a node.
    pub(super) fn node(&mut self, node: &NodeProto) -> Result<()> {
        if self.sequenced(node)? || self.tried(node)? {
            return Ok(());
        }
        match node.operator_domain() {
            "" => self.standard(node),
            "ai.onnx.ml" => self.learned(node),
            "com.microsoft" => self.microsoft(node),
            "ai.onnx.preview" if node.operator() == "FlexAttention" => self.flex_attention(node),
            "ai.onnx.preview.training" => self.optimised(node),
            other => Err(unsupported(node, &format!("the domain `{other}`"))),
        }
    }

    /// Names a constant of the graph.
    pub(super) fn constant_tensor(&mut self, tensor: &TensorProto) -> Result<()> {
        let name = tensor.name.as_deref().unwrap_or_default();
        match self.tensor(tensor) {
            Ok(value) => {
                self.values.insert(name.to_owned(), value);
            }
            Err(e)
                if e.kind() == ErrorKind::Unsupported
                    && matches!(tensor.data_type, Some(t::INT32 | t::INT64 | t::UINT32 | t::UINT64)) =>
            {
                self.wide.insert(name.to_owned(), tensor.clone());
            }
            Err(e) => return Err(e.tensor(name)),
        }
        Ok(())
    }

    /// Input `i` of `node`, unless it was left out.
    pub(super) fn opt(&self, node: &NodeProto, i: usize) -> Result<Option<Value>> {
        match node.input.get(i).filter(|name| !name.is_empty()) {
            None => Ok(None),
            Some(name) => self.values.get(name.as_str()).cloned().map(Some).ok_or_else(|| {
                let wide = self.wide.contains_key(name.as_str());
                let kind = if wide { ErrorKind::Unsupported } else { ErrorKind::Malformed };
                let text = if wide { INEXACT } else { "nothing in the graph gives a value that a node takes" };
                Error::new(kind, text).tensor(name)
            }),
        }
    }

    /// Input `i` of `node`.
    pub(super) fn input(&self, node: &NodeProto, i: usize) -> Result<Value> {
        self.opt(node, i)?.ok_or_else(|| unsupported(node, "an operator without one of its inputs"))
    }

    /// The numbers of input `i`, which must be known.
    pub(super) fn known(&self, node: &NodeProto, i: usize) -> Result<Option<Vec<f32>>> {
        match self.opt(node, i)?.map(|value| value.data) {
            None => Ok(None),
            Some(Data::Known(items)) => Ok(Some(items)),
            Some(Data::Slot(_)) => Err(unsupported(node, "an operator whose sizes, axes or weights are computed")),
        }
    }

    /// Input `i` as whole numbers, which must be known.
    pub(super) fn ints(&self, node: &NodeProto, i: usize) -> Result<Option<Vec<i64>>> {
        Ok(self.known(node, i)?.map(|items| items.into_iter().map(|x| x as i64).collect()))
    }

    /// Names output `i` of `node`.
    pub(super) fn give(&mut self, node: &NodeProto, i: usize, value: Value) {
        if let Some(name) = node.output.get(i).filter(|name| !name.is_empty()) {
            self.values.insert(name.to_string(), value);
        }
    }

    /// The numbers of `value` in the scratch.
    pub(super) fn span(&mut self, value: &Value) -> Span {
        match &value.data {
            Data::Slot(span) => *span,
            Data::Known(items) => self.program.constant(items),
        }
    }

    /// The elements at `places` of `value`, under another shape.
    pub(super) fn arranged(&mut self, value: &Value, shape: &[usize], places: &[usize]) -> Value {
        let data = match &value.data {
            Data::Known(items) => Data::Known(places.iter().map(|place| items[*place]).collect()),
            Data::Slot(span) if places.len() == span.len && places.iter().enumerate().all(|(i, place)| i == *place) => {
                Data::Slot(*span)
            }
            Data::Slot(span) => Data::Slot(self.program.gather(*span, places)),
        };
        Value { shape: shape.to_vec(), kind: value.kind, data }
    }

    /// `value` spread to `shape`.
    pub(super) fn spread(&mut self, value: &Value, shape: &[usize]) -> Value {
        let places = spread_places(&value.shape, shape);
        self.arranged(value, shape, &places)
    }

    /// `value` so far spread that repeating it fills `shape`, as steps of two numbers do by themselves.
    pub(super) fn repeated(&mut self, value: &Value, shape: &[usize]) -> Value {
        let own = value.shape.iter().position(|dim| *dim != 1).map_or(&[][..], |first| &value.shape[first..]);
        if shape.ends_with(own) { value.clone() } else { self.spread(value, shape) }
    }

    pub(super) fn map(&mut self, f: Unary, value: &Value, kind: Kind) -> Value {
        let data = match &value.data {
            Data::Known(items) => Data::Known(items.iter().map(|x| unary(f, *x)).collect()),
            Data::Slot(span) => Data::Slot(self.program.map(f, *span)),
        };
        Value { shape: value.shape.clone(), kind, data }
    }

    /// `f` of two values spread to a common shape.
    pub(super) fn zip(&mut self, node: &NodeProto, f: Binary, a: &Value, b: &Value, kind: Kind) -> Result<Value> {
        let shape = common_shape(node, &a.shape, &b.shape)?;
        let len = self.check(node, &shape)?;
        let (a, b) = (self.repeated(a, &shape), self.repeated(b, &shape));
        let data = match (&a.data, &b.data) {
            (Data::Known(a), Data::Known(b)) => {
                Data::Known(a.iter().cycle().zip(b.iter().cycle()).take(len).map(|(a, b)| binary(f, *a, *b)).collect())
            }
            _ if len == 0 => Data::Known(Vec::new()),
            _ => {
                let (a, b) = (self.span(&a), self.span(&b));
                Data::Slot(self.program.zip(f, a, b))
            }
        };
        Ok(Value { shape, kind, data })
    }

    /// The number of elements of `shape`, within the limits.
    pub(super) fn check(&self, node: &NodeProto, shape: &[usize]) -> Result<usize> {
        let count = shape.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim));
        count.filter(|n| *n <= self.max_elements).ok_or_else(|| {
            Error::new(ErrorKind::LimitExceeded, "a tensor of the graph is larger than `Limits::max_elements`")
                .node(node.label())
        })
    }

    /// The numbers of a tensor of the file; texts become their codes.
    pub(super) fn tensor(&mut self, tensor: &TensorProto) -> Result<Value> {
        let small = tensor.is_packed();
        let DenseTensor { dims, data } = if small {
            tensor.unpacked(self.max_elements)?
        } else {
            tensor.to_dense(self.external.as_ref(), self.max_elements)?
        };
        // Slices say "to the end" with the largest and smallest of integers.
        let ends = [i64::MAX, -i64::MAX, i64::MIN, i32::MAX.into(), i32::MIN.into()];
        let exact = |x: i64| if ends.contains(&x) { Ok(x as f32) } else { whole(x) };
        let whole = |items: Vec<i64>| items.into_iter().map(exact).collect::<Result<Vec<f32>>>();
        let (kind, items) = match data {
            TensorData::F32(x) => (Kind::F32, x),
            TensorData::F64(x) => (Kind::F64, x.into_iter().map(|x| x as f32).collect()),
            TensorData::I64(x) => (Kind::I64, whole(x)?),
            TensorData::I32(x) => (Kind::I32, whole(x.into_iter().map(i64::from).collect())?),
            TensorData::I8(x) => (if small { Kind::I4 } else { Kind::I8 }, x.into_iter().map(f32::from).collect()),
            TensorData::U8(x) => (if small { Kind::U4 } else { Kind::U8 }, x.into_iter().map(f32::from).collect()),
            TensorData::I16(x) => (Kind::I16, x.into_iter().map(f32::from).collect()),
            TensorData::U16(x) => (Kind::U16, x.into_iter().map(f32::from).collect()),
            TensorData::U32(x) => (Kind::U32, whole(x.into_iter().map(i64::from).collect())?),
            TensorData::U64(x) => {
                (Kind::U64, whole(x.into_iter().map(|x| i64::try_from(x).unwrap_or(i64::MAX)).collect())?)
            }
            TensorData::F16(x) => (Kind::F16, x.into_iter().map(f32::from).collect()),
            TensorData::Bf16(x) => (Kind::Bf16, x.into_iter().map(f32::from).collect()),
            TensorData::Bool(x) => (Kind::Bool, x.into_iter().map(|b| f32::from(u8::from(b))).collect()),
            TensorData::String(x) => {
                let codes = x.iter().map(|text| self.program.code(text));
                (Kind::Text, codes.collect())
            }
        };
        Ok(Value::known(&dims, kind, items))
    }
}

/// A whole number of the file as a float.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for one that might not be exact.
pub(super) fn whole(x: i64) -> Result<f32> {
    if x.unsigned_abs() <= 1 << 24 {
        return Ok(x as f32);
    }
    Err(Error::new(ErrorKind::Unsupported, INEXACT).actual(x))
}

/// The shape to which two are spread.
pub(super) fn common_shape(node: &NodeProto, a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    (0..rank)
        .map(|axis| match (dim(a, axis), dim(b, axis)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            (x, y) => Err(Error::new(ErrorKind::WrongShape, "two values of a node do not fit each other")
                .node(node.label())
                .expected(x)
                .actual(y)),
        })
        .collect()
}

/// For each element of `shape`, which of `from`'s it is when that is spread.
fn spread_places(from: &[usize], shape: &[usize]) -> Vec<usize> {
    let skipped = shape.len() - from.len();
    let mut steps = vec![0; shape.len()];
    let mut step = 1;
    for (axis, dim) in from.iter().enumerate().rev() {
        steps[skipped + axis] = if *dim == 1 { 0 } else { step };
        step *= dim;
    }
    strided(shape, &steps)
}

/// The places of the elements of `shape` that lie `steps` apart along its axes.
pub(super) fn strided(shape: &[usize], steps: &[usize]) -> Vec<usize> {
    let mut places = vec![0];
    for (dim, step) in shape.iter().zip(steps) {
        places = places.iter().flat_map(|place| (0..*dim).map(move |i| place + i * step)).collect();
    }
    places
}

/// Axis `axis` of `rank`, which may count from the end.
pub(super) fn axis_of(node: &NodeProto, axis: i64, rank: usize) -> Result<usize> {
    let at = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(at).ok().filter(|at| *at < rank).ok_or_else(|| {
        Error::new(ErrorKind::Malformed, "an axis that the value does not have")
            .node(node.label())
            .expected(format!("less than {rank}"))
            .actual(axis)
    })
}
