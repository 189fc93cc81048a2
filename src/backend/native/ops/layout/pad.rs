//! Pad.

use smallvec::smallvec;

use super::Group;
use super::common::{Ints, axis_of, no_sequence, one_expected, spreads, strides};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Data, Item, Shape, Value, typed};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Pad", build)];

/// What stands in the places around the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Edge,
    Reflect,
    Wrap,
}

/// Input 0 with places added before and after along each axis, or taken away where their number is negative.
#[derive(Debug)]
struct Pad {
    mode: Mode,
    pads: Ints,
    axes: Ints,
    /// The value of versions before 11.
    value: Option<f32>,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let mode = match node.string_or("mode", "constant")? {
        "constant" => Mode::Constant,
        "edge" => Mode::Edge,
        "reflect" => Mode::Reflect,
        "wrap" => Mode::Wrap,
        other => return Err(node.malformed(format!("Pad has no mode `{other}`"))),
    };
    let pads = match Ints::attribute(node, "pads")? {
        // The name of version 1.
        Ints::Absent => Ints::either(node, "paddings", 1)?,
        pads => pads,
    };
    if pads.is_absent() {
        return Err(node.malformed("Pad has no pads"));
    }
    Ok(Box::new(Pad { mode, pads, axes: Ints::input(node, 3)?, value: node.float("value")? }))
}

/// The place in a dimension of `dim` whose element stands `at` places from its start; `None` for the constant.
fn source(at: i64, dim: i64, mode: Mode) -> Option<usize> {
    let inside = (0..dim).contains(&at);
    Some(match mode {
        _ if inside => at,
        Mode::Constant => return None,
        Mode::Edge => at.clamp(0, dim - 1),
        Mode::Wrap => at.rem_euclid(dim),
        Mode::Reflect if dim == 1 => 0,
        Mode::Reflect => {
            let round = at.rem_euclid(2 * (dim - 1));
            if round < dim { round } else { 2 * (dim - 1) - round }
        }
    } as usize)
}

impl Pad {
    /// The places before and after each axis.
    fn amounts(&self, rank: usize, args: &Args<'_, '_>) -> Result<Vec<(i64, i64)>> {
        let pads = self.pads.get(args)?;
        let axes = match self.axes.opt(args)? {
            Some(axes) => axes.iter().map(|&a| axis_of(a, rank)).collect::<Result<Vec<_>>>()?,
            None => (0..rank).collect(),
        };
        if pads.len() != 2 * axes.len() {
            return Err(Error::new(ErrorKind::WrongShape, "Pad needs two numbers for each axis")
                .expected(2 * axes.len())
                .actual(pads.len()));
        }
        let mut amounts = vec![(0, 0); rank];
        for (i, &axis) in axes.iter().enumerate() {
            amounts[axis] = (pads[i], pads[axes.len() + i]);
        }
        Ok(amounts)
    }

    /// The one element that the constant mode puts in.
    fn fill<T: Item>(&self, args: &Args<'_, '_>) -> Result<T> {
        if let Some(value) = args.opt(2).filter(|v| v.len() > 0) {
            return match value.as_slice::<T>()? {
                [one] => Ok(one.clone()),
                _ => Err(one_expected(value)),
            };
        }
        let of_float: Value<'_> = match (self.value, T::DTYPE) {
            (Some(f), crate::DType::F32) => Value::scalar(f),
            (Some(f), crate::DType::F64) => Value::scalar(f64::from(f)),
            _ => return Ok(T::default()),
        };
        Ok(of_float.as_slice::<T>()?[0].clone())
    }
}

impl Op for Pad {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let amounts = self.amounts(value.rank(), args)?;
        if amounts.iter().all(|&a| a == (0, 0)) {
            return Ok(smallvec![args.take(0)?]);
        }
        let bad = || {
            Error::new(ErrorKind::WrongShape, "Pad can't bring its input to this size")
                .expected(format!("{amounts:?} around it"))
                .actual(shape_text(value.shape()))
        };
        let mut shape = Shape::new();
        for (&dim, &(before, after)) in value.shape().iter().zip(&amounts) {
            let padded = i128::from(before) + i128::from(after) + dim as i128;
            let padded = usize::try_from(padded).map_err(|_| bad())?;
            if dim == 0 && padded > 0 && self.mode != Mode::Constant {
                return Err(bad());
            }
            shape.push(padded);
        }
        let n = cx.check_shape(&shape)?;
        if n == 0 {
            return typed!(value.data(), T, _items => Ok(smallvec![Value::new(shape, Vec::<T>::new())]), _seq => Err(no_sequence()));
        }
        // For every axis, where each place of the output comes from.
        let sources: Vec<Vec<Option<usize>>> = amounts
            .iter()
            .zip(value.shape())
            .zip(&shape)
            .map(|((&(before, _), &dim), &padded)| {
                (0..padded as i64).map(|at| source(at.saturating_sub(before), dim as i64, self.mode)).collect()
            })
            .collect();
        match value.data() {
            Data::Sequence(_) => Err(no_sequence()),
            data => typed!(data, T, items => {
                let fill = self.fill::<T>(args)?;
                let mut out = cx.buffer::<T>(n);
                padded(items, &sources, &strides(value.shape()), Some(0), &fill, &mut out);
                Ok(smallvec![Value::new(shape, out)])
            }, _seq => Err(no_sequence())),
        }
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        let (Some(from), Some(to)) = (inputs.first(), outputs.first()) else { return false };
        (0..from.rank()).any(|a| from.varies(a) && from.shapes[1].get(a) != to.shapes[1].get(a)) || spreads(outputs)
    }
}

/// Appends the elements along the first of these axes and all below it; `at` is `None` outside of the input.
fn padded<T: Item>(
    items: &[T],
    sources: &[Vec<Option<usize>>],
    steps: &[isize],
    at: Option<usize>,
    fill: &T,
    out: &mut Vec<T>,
) {
    let Some(((axis, below), (&step, steps))) = sources.split_first().zip(steps.split_first()) else {
        out.push(at.map_or(fill, |at| &items[at]).clone());
        return;
    };
    for source in axis {
        let at = at.zip(*source).map(|(at, s)| at + s * step as usize);
        if at.is_none() {
            let count: usize = below.iter().map(Vec::len).product();
            out.extend(std::iter::repeat_n(fill, count).cloned());
        } else {
            padded(items, below, steps, at, fill, out);
        }
    }
}
