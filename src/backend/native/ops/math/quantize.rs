//! Quantisation: floats as small integers with a scale and a zero point, and back.

use smallvec::{SmallVec, smallvec};

use super::axes::{self, axis_of};
use super::cast;
use super::dispatch::of_types;
use super::num::Num;
use super::reduce::{self, Max, Min};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::quant::bytes_value;
use crate::backend::native::value::{Data, Value};
use crate::kernel::{Isa, bytes};
use crate::tensor::shape_text;
use crate::{DType, Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[
    ("QuantizeLinear", quantize),
    ("DequantizeLinear", dequantize),
    ("DynamicQuantizeLinear", |_| Ok(Box::new(DynamicQuantize))),
];

/// The axis along which scales and zero points stand, where there are several.
#[derive(Debug)]
struct Layout {
    axis: i64,
    /// How many elements along the axis share a scale; all that stand at one place where 0.
    block: usize,
}

/// What a tensor is quantised with: how many consecutive elements share a scale and how many scales there are, the
/// scales, and the zero points.
struct Factors {
    runs: [usize; 2],
    scales: Vec<f32>,
    zeros: SmallVec<[f32; 1]>,
}

impl Layout {
    fn of(node: &Node<'_>) -> Result<Self> {
        let block = node.int_or("block_size", 0)?;
        let block = usize::try_from(block).map_err(|_| node.malformed("`block_size` is negative").actual(block))?;
        Ok(Self { axis: node.int_or("axis", 1)?, block })
    }

    /// For a tensor of `shape` and `scales`: how many consecutive elements share a scale, and how many scales there are.
    fn runs(&self, shape: &[usize], scales: &Value<'_>) -> Result<[usize; 2]> {
        if scales.len() == 1 {
            return Ok([axes::product(shape), 1]);
        }
        let [_, along, after] = axes::around(shape, axis_of(self.axis, shape.len())?);
        if *scales.shape() == [along] {
            return Ok([after, along]);
        }
        Err(misfit(&format!("() or ({along},)"), scales))
    }

    fn factors(&self, shape: &[usize], scale: &Value<'_>, zero: Option<&Value<'_>>) -> Result<Factors> {
        let scales = scale.to_f32s()?;
        if self.block == 0 {
            let runs = self.runs(shape, scale)?;
            return Ok(Factors { runs, scales, zeros: zero_points(zero, runs[1])? });
        }
        let axis = axis_of(self.axis, shape.len())?;
        let [_, along, after] = axes::around(shape, axis);
        let mut blocks = shape.to_vec();
        blocks[axis] = along.div_ceil(self.block);
        if *scale.shape() != blocks[..] {
            return Err(misfit(&shape_text(&blocks), scale));
        }
        let zeros = zero_points(zero, scales.len())?;
        let count = axes::product(shape);
        // The block in which an element stands.
        let of = |i: usize| (i / after / along * blocks[axis] + i / after % along / self.block) * after + i % after;
        let zeros = (0..count).map(|i| zeros[of(i)]).collect();
        Ok(Factors { runs: [1, count], scales: (0..count).map(|i| scales[of(i)]).collect(), zeros })
    }
}

#[cold]
fn misfit(expected: &str, scales: &Value<'_>) -> Error {
    Error::new(ErrorKind::WrongShape, "the scales of a quantisation do not fit the tensor")
        .expected(expected)
        .actual(shape_text(scales.shape()))
}

/// The zero point of every scale, as numbers that hold them exactly.
fn zero_points(value: Option<&Value<'_>>, scales: usize) -> Result<SmallVec<[f32; 1]>> {
    let Some(value) = value else { return Ok(smallvec![0.0; scales]) };
    let zeros: SmallVec<[f32; 1]> = value.to_f32s()?.into();
    match zeros.len() {
        n if n == scales => Ok(zeros),
        n => Err(Error::new(ErrorKind::WrongShape, "there must be as many zero points as scales")
            .expected(scales)
            .actual(n)),
    }
}

/// Calls `f` with every run of elements that share a scale, and the index of the scale.
fn each_run<T>(items: &[T], [run, scales]: [usize; 2], mut f: impl FnMut(&[T], usize)) {
    if !items.is_empty() {
        items.chunks_exact(run).enumerate().for_each(|(i, items)| f(items, i % scales));
    }
}

/// A small integer.
trait Quantum: Num {
    /// The integer that `x` is.
    fn of_float(x: f32) -> Self;
}

macro_rules! quanta {
    ($($t:ty)*) => {$(
        impl Quantum for $t {
            #[inline(always)]
            fn of_float(x: f32) -> Self {
                x as i32 as Self
            }
        }
    )*};
}

quanta!(u8 u16 i8 i16);

/// `x / scale` rounded to nearest, ties to even, plus `zero`, as the nearest `Q`; NaN gives the smallest one.
#[inline(always)]
fn quantised<Q: Quantum>(x: f32, scale: f32, zero: f32) -> Q {
    /// 1.5 * 2^23: adding and taking it off rounds what is smaller than 2^22.
    const ROUNDER: f32 = 12_582_912.0;
    let [low, high] = Q::FINITE.map(|q| q.to_double() as f32);
    let bounds = [low - zero, high - zero];
    let x = x / scale;
    let x = if x > bounds[0] { x } else { bounds[0] };
    let x = if x < bounds[1] { x } else { bounds[1] };
    Q::of_float((x + ROUNDER) - ROUNDER + zero)
}

/// Input 0 quantised with the scales of input 1 and the zero points of input 2.
#[derive(Debug)]
struct Quantize {
    layout: Layout,
    /// The type, when there are no zero points to tell it.
    to: DType,
}

fn quantize(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let to = match node.int_or("output_dtype", 0)? {
        0 => DType::U8,
        code => i32::try_from(code)
            .ok()
            .and_then(cast::dtype)
            .ok_or_else(|| node.unsupported("quantisation to this element type").actual(code))?,
    };
    Ok(Box::new(Quantize { layout: Layout::of(node)?, to }))
}

impl Op for Quantize {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (value, scale, zero) = (args.get(0)?, args.get(1)?, args.opt(2));
        let Factors { runs, scales, zeros } = self.layout.factors(value.shape(), scale, zero)?;
        let shape = value.shape();
        let to = zero.map_or(Some(self.to), Value::dtype);
        if let (Data::F32(items), [scale], [zero], Some(DType::U8 | DType::I8)) =
            (value.data(), &scales[..], &zeros[..], to)
        {
            let signed = to == Some(DType::I8);
            let mut out = cx.buffer::<u8>(items.len());
            out.resize(items.len(), 0);
            bytes::quantise(Isa::best(), items, *scale, *zero as i32, signed, &mut out);
            return Ok(smallvec![bytes_value(value.shape().into(), out, signed, cx)]);
        }
        let items = value.to_f32s()?;
        Ok(smallvec![match to {
            Some(DType::U8) => quantise_all::<u8>(&items, shape, runs, &scales, &zeros, cx),
            Some(DType::I8) => quantise_all::<i8>(&items, shape, runs, &scales, &zeros, cx),
            Some(DType::U16) => quantise_all::<u16>(&items, shape, runs, &scales, &zeros, cx),
            Some(DType::I16) => quantise_all::<i16>(&items, shape, runs, &scales, &zeros, cx),
            _ => {
                return Err(Error::new(ErrorKind::Unsupported, "quantisation to this element type")
                    .expected("u8, i8, u16 or i16"));
            }
        }])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

fn quantise_all<Q: Quantum>(
    items: &[f32],
    shape: &[usize],
    runs: [usize; 2],
    scales: &[f32],
    zeros: &[f32],
    cx: &mut Scratch,
) -> Value<'static> {
    let mut out = cx.buffer::<Q>(items.len());
    each_run(items, runs, |run, i| {
        let (scale, zero) = (scales[i], zeros[i]);
        out.extend(run.iter().map(|&x| quantised::<Q>(x, scale, zero)));
    });
    Value::new(shape, out)
}

/// (input 0 - zero point) * scale, with the type of the scales.
#[derive(Debug)]
struct Dequantize {
    layout: Layout,
    to: Option<DType>,
}

fn dequantize(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let to = match node.int_or("output_dtype", 0)? {
        0 => None,
        code => Some(
            i32::try_from(code)
                .ok()
                .and_then(cast::dtype)
                .filter(|d| d.is_float())
                .ok_or_else(|| node.unsupported("dequantisation to this element type").actual(code))?,
        ),
    };
    Ok(Box::new(Dequantize { layout: Layout::of(node)?, to }))
}

impl Op for Dequantize {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (value, scale) = (args.get(0)?, args.get(1)?);
        let to = self.to.or(scale.dtype()).filter(|d| d.is_float());
        let to = to.ok_or_else(|| scale.type_error("a float"))?;
        let Factors { runs, scales, zeros } = self.layout.factors(value.shape(), scale, args.opt(2))?;
        let mut out = cx.buffer::<f32>(value.len());
        of_types!(value.data(), T, items => each_run(items, runs, |run, i| {
            let (scale, zero) = (scales[i], zeros[i]);
            out.extend(run.iter().map(|&x| (x as f32 - zero) * scale));
        }), return Err(value.type_error("a small integer")); U8 u8, U16 u16, I8 i8, I16 i16, I32 i32);
        let out = Value::new(value.shape(), out);
        Ok(smallvec![if to == DType::F32 { out } else { cast::cast(&out, to, cx)? }])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

/// Input 0 as bytes, with the scale and zero point that its range asks for.
#[derive(Debug)]
struct DynamicQuantize;

impl Op for DynamicQuantize {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let items = value.as_slice::<f32>()?;
        let low = reduce::fold_run::<f32, Min>(items).min(0.0);
        let high = reduce::fold_run::<f32, Max>(items).max(0.0);
        let scale = if low == high { 1.0 } else { (high - low) / 255.0 };
        let zero = quantised::<u8>(-low, scale, 0.0);
        let out = quantise_all::<u8>(items, value.shape(), [items.len(), 1], &[scale], &[zero.into()], cx);
        Ok(smallvec![out, Value::scalar(scale), Value::scalar(zero)])
    }

    /// The range is that of the whole batch.
    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(Flow::any)
    }
}
