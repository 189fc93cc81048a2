//! Operators that change the order of elements: Transpose, DepthToSpace, SpaceToDepth, ReverseSequence.

use smallvec::smallvec;

use super::Group;
use super::common::{axis_of, no_sequence, permuted, spreads, volume};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::value::{Shape, Value, typed};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[
    ("Transpose", transpose),
    ("DepthToSpace", depth_to_space),
    ("SpaceToDepth", space_to_depth),
    ("ReverseSequence", reverse_sequence),
];

/// Input 0 with its axes in another order; reversed when none is given.
#[derive(Debug)]
pub(in crate::backend::native::ops) struct Transpose {
    order: Option<Vec<usize>>,
}

impl Transpose {
    /// Whether this swaps the axes of a matrix.
    pub(in crate::backend::native::ops) fn swaps(&self) -> bool {
        self.order.as_deref().is_none_or(|order| order == [1, 0])
    }
}

fn transpose(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let Some(perm) = node.ints("perm")? else { return Ok(Box::new(Transpose { order: None })) };
    let order = perm.iter().map(|&a| axis_of(a, perm.len())).collect::<Result<Vec<_>>>()?;
    if (0..order.len()).any(|a| !order.contains(&a)) {
        return Err(node.malformed("`perm` of Transpose does not name every axis once"));
    }
    Ok(Box::new(Transpose { order: Some(order) }))
}

impl Op for Transpose {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let reversed: Vec<usize>;
        let order = match &self.order {
            Some(order) => order,
            None => {
                reversed = (0..value.rank()).rev().collect();
                &reversed
            }
        };
        if order.len() != value.rank() {
            return Err(Error::new(ErrorKind::WrongShape, "Transpose names another number of axes than its input has")
                .expected(order.len())
                .actual(value.rank()));
        }
        // Moving axes of length 1 alone moves no element.
        let moved = order.iter().filter(|&&a| value.shape()[a] != 1);
        if moved.clone().zip(moved.skip(1)).all(|(a, b)| a < b) {
            let shape: Shape = order.iter().map(|&a| value.shape()[a]).collect();
            return Ok(smallvec![args.take(0)?.with_shape(shape)?]);
        }
        Ok(smallvec![permuted(value, order, cx)?])
    }

    fn mixes_rows(&self, _inputs: &[Flow], _outputs: &[Flow]) -> bool {
        false
    }
}

/// Moves blocks of channels to places in the plane or back, for (m, channels, height, width).
#[derive(Debug)]
struct Blocks {
    size: usize,
    kind: BlockKind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum BlockKind {
    /// Depth to space, the place being the slower part of the channel.
    PlaceFirst,
    /// Depth to space, the place being the faster part of the channel.
    ChannelFirst,
    /// Space to depth.
    ToDepth,
}

fn block_size(node: &Node<'_>) -> Result<usize> {
    node.int("blocksize")?
        .and_then(|n| usize::try_from(n).ok())
        .filter(|&n| n > 0)
        .ok_or_else(|| node.malformed("`blocksize` must be given and positive"))
}

fn depth_to_space(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let kind = match node.string_or("mode", "DCR")? {
        "DCR" => BlockKind::PlaceFirst,
        "CRD" => BlockKind::ChannelFirst,
        other => return Err(node.malformed(format!("DepthToSpace has no mode `{other}`"))),
    };
    Ok(Box::new(Blocks { size: block_size(node)?, kind }))
}

fn space_to_depth(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Blocks { size: block_size(node)?, kind: BlockKind::ToDepth }))
}

impl Op for Blocks {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.take(0)?;
        let b = self.size;
        let bad = |value: &Value<'_>| {
            Error::new(ErrorKind::WrongShape, "the channels or the plane can't be divided into blocks")
                .expected(format!("(m, channels, height, width) in blocks of {b}"))
                .actual(shape_text(value.shape()))
        };
        let &[m, c, h, w] = value.shape() else { return Err(bad(&value)) };
        let blocks = b.checked_mul(b).ok_or_else(|| bad(&value))?;
        if self.kind == BlockKind::ToDepth {
            if h % b != 0 || w % b != 0 {
                return Err(bad(&value));
            }
            let split = value.with_shape([m, c, h / b, b, w / b, b].as_slice())?;
            let moved = permuted(&split, &[0, 3, 5, 1, 2, 4], cx)?;
            return Ok(smallvec![moved.with_shape([m, c * blocks, h / b, w / b].as_slice())?]);
        }
        if c % blocks != 0 {
            return Err(bad(&value));
        }
        let c = c / blocks;
        let (split, order) = match self.kind {
            BlockKind::PlaceFirst => ([m, b, b, c, h, w], [0, 3, 4, 1, 5, 2]),
            _ => ([m, c, b, b, h, w], [0, 1, 4, 2, 5, 3]),
        };
        let moved = permuted(&value.with_shape(split.as_slice())?, &order, cx)?;
        Ok(smallvec![moved.with_shape([m, c, h * b, w * b].as_slice())?])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        self.size > 1 && inputs.first().is_some_and(|i| !i.only_first())
    }
}

/// The first elements along the time axis of each sequence in reverse, as many as input 1 says.
#[derive(Debug)]
struct ReverseSequence {
    /// Whether axis 0 is the time and axis 1 the sequence; else the other way round.
    time_first: bool,
}

fn reverse_sequence(node: &Node<'_>) -> Result<Box<dyn Op>> {
    match (node.int_or("time_axis", 0)?, node.int_or("batch_axis", 1)?) {
        (0, 1) => Ok(Box::new(ReverseSequence { time_first: true })),
        (1, 0) => Ok(Box::new(ReverseSequence { time_first: false })),
        _ => Err(node.malformed("`time_axis` and `batch_axis` of ReverseSequence must be 0 and 1 or 1 and 0")),
    }
}

impl Op for ReverseSequence {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (value, lengths) = (args.get(0)?, args.get(1)?.to_i64s()?);
        let &[a, b, ref rest @ ..] = value.shape() else {
            return Err(Error::new(ErrorKind::WrongShape, "ReverseSequence needs two axes at least")
                .actual(shape_text(value.shape())));
        };
        let (time, sequences) = if self.time_first { (a, b) } else { (b, a) };
        let lengths: Vec<usize> = lengths
            .iter()
            .map(|&n| usize::try_from(n).ok().filter(|&n| n <= time))
            .collect::<Option<_>>()
            .filter(|n: &Vec<usize>| n.len() == sequences)
            .ok_or_else(|| {
                Error::new(ErrorKind::InvalidValue, "the lengths of ReverseSequence do not fit its input")
                    .expected(format!("{sequences} lengths of at most {time}"))
            })?;
        let inner = volume(rest);
        typed!(value.data(), T, items => {
            let mut out = cx.buffer::<T>(items.len());
            for i in 0..a {
                for j in 0..b {
                    let (t, s) = if self.time_first { (i, j) } else { (j, i) };
                    let t = if t < lengths[s] { lengths[s] - 1 - t } else { t };
                    let at = if self.time_first { t * b + s } else { s * b + t } * inner;
                    out.extend_from_slice(&items[at..at + inner]);
                }
            }
            Ok(smallvec![Value::new(value.shape(), out)])
        }, _seq => Err(no_sequence()))
    }

    fn mixes_rows(&self, inputs: &[Flow], outputs: &[Flow]) -> bool {
        inputs.first().is_some_and(|i| i.varies(usize::from(!self.time_first))) || spreads(outputs)
    }
}
