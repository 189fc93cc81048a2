//! Operators on quantised values that compute in floats: their inputs dequantised, their answer quantised.

use smallvec::smallvec;

use super::linear::{bytes_value, one, zero_point};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::math::{add, multiply};
use crate::backend::native::value::{Data, Value};
use crate::kernel::bytes::quantise;
use crate::kernel::{Isa, softmax_rows};
use crate::{Error, ErrorKind, Result};

pub(super) const MICROSOFT: Group = &[
    ("QLinearAdd", |n| pair(n, Kind::Add)),
    ("QLinearMul", |n| pair(n, Kind::Multiply)),
    ("QLinearSigmoid", |n| table(n, |x| 1.0 / (1.0 + (-x).exp()))),
    ("QLinearLeakyRelu", |n| {
        let alpha = n.float_or("alpha", 0.01)?;
        table(n, move |x| if x < 0.0 { alpha * x } else { x })
    }),
    ("QLinearSoftmax", softmax),
];

/// A scale and a zero point.
#[derive(Debug, Clone, Copy)]
struct Scale {
    scale: f32,
    zero: i32,
    signed: bool,
}

impl Scale {
    fn at(node: &Node<'_>, input: usize) -> Result<Self> {
        let (zero, signed) = zero_point(node, input + 1)?;
        Ok(Self { scale: one(node, input)?, zero, signed })
    }

    /// The floats that bytes stand for.
    fn floats(self, value: &Value<'_>, cx: &mut Scratch) -> Result<Value<'static>> {
        let mut out = cx.buffer::<f32>(value.len());
        let zero = self.zero as f32;
        match value.data() {
            Data::U8(items) => out.extend(items.iter().map(|&b| (f32::from(b) - zero) * self.scale)),
            Data::I8(items) => out.extend(items.iter().map(|&b| (f32::from(b) - zero) * self.scale)),
            _ => return Err(value.type_error("u8 or i8")),
        }
        Ok(Value::new(value.shape(), out))
    }

    /// The bytes that floats become.
    fn bytes(self, value: Value<'_>, cx: &mut Scratch) -> Result<Value<'static>> {
        let mut out = cx.buffer::<u8>(value.len());
        out.resize(value.len(), 0);
        quantise(Isa::best(), value.as_slice::<f32>()?, self.scale, self.zero, self.signed, &mut out);
        let answer = bytes_value(value.shape().into(), out, self.signed, cx);
        cx.recycle(value);
        Ok(answer)
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Add,
    Multiply,
}

/// The sum or the product of two quantised values, with NumPy's rules for their shapes.
#[derive(Debug)]
struct Pair {
    kind: Kind,
    inputs: [Scale; 2],
    answer: Scale,
}

fn pair(node: &Node<'_>, kind: Kind) -> Result<Box<dyn Op>> {
    let inputs = [Scale::at(node, 1)?, Scale::at(node, 4)?];
    Ok(Box::new(Pair { kind, inputs, answer: Scale::at(node, 6)? }))
}

impl Op for Pair {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let a = self.inputs[0].floats(args.get(0)?, cx)?;
        let b = self.inputs[1].floats(args.get(3)?, cx)?;
        let answer = match self.kind {
            Kind::Add => add(a, &b, cx)?,
            Kind::Multiply => multiply(a, &b, cx)?,
        };
        cx.recycle(b);
        Ok(smallvec![self.answer.bytes(answer, cx)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], outputs: &[Flow]) -> bool {
        crate::backend::native::ops::math::broadcast::crosses(outputs)
    }
}

/// A function of one byte, by table.
struct Table {
    /// By the bits of the byte.
    answers: Box<[u8; 256]>,
    signed: bool,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

fn table(node: &Node<'_>, f: impl Fn(f32) -> f32) -> Result<Box<dyn Op>> {
    let (from, to) = (Scale::at(node, 1)?, Scale::at(node, 3)?);
    let floats: Vec<f32> = (0..=255u8)
        .map(|b| {
            let number = if from.signed { i32::from(b as i8) } else { i32::from(b) };
            f((number - from.zero) as f32 * from.scale)
        })
        .collect();
    let mut answers = Box::new([0; 256]);
    quantise(Isa::best(), &floats, to.scale, to.zero, to.signed, &mut answers[..]);
    Ok(Box::new(Table { answers, signed: to.signed }))
}

impl Op for Table {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let mut out = cx.buffer::<u8>(value.len());
        match value.data() {
            Data::U8(items) => out.extend(items.iter().map(|&b| self.answers[usize::from(b)])),
            Data::I8(items) => out.extend(items.iter().map(|&b| self.answers[usize::from(b as u8)])),
            _ => return Err(value.type_error("u8 or i8")),
        }
        Ok(smallvec![bytes_value(value.shape().into(), out, self.signed, cx)])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

/// The softmax along the last axis.
#[derive(Debug)]
struct Softmax {
    axis: i64,
    from: Scale,
    to: Scale,
}

fn softmax(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Softmax { axis: node.int_or("axis", -1)?, from: Scale::at(node, 1)?, to: Scale::at(node, 3)? }))
}

impl Op for Softmax {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let Some((&n, _)) = value.shape().split_last() else {
            return Err(Error::new(ErrorKind::WrongShape, "a softmax can't take a scalar"));
        };
        if self.axis != -1 && self.axis != value.rank() as i64 - 1 {
            return Err(Error::new(ErrorKind::Unsupported, "a quantised softmax along another axis than the last")
                .actual(self.axis));
        }
        let mut floats = self.from.floats(value, cx)?.into_vec::<f32>()?;
        softmax_rows(Isa::best(), &mut floats, n);
        let floats = Value::new(value.shape(), floats);
        Ok(smallvec![self.to.bytes(floats, cx)?])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|x| x.rank() == 0 || x.varies(x.rank() - 1))
    }
}
