//! `ConvTranspose`: every pixel of the image is spread over a window of the answer.

use smallvec::smallvec;

use super::conv::BLOCK;
use super::grid::{Border, Grid, OUTSIDE, Windows, counts, each_axis, image_shape, images};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::math::{narrowed, widened};
use crate::backend::native::value::{Data, Item, Value};
use crate::kernel::{Packed, Real};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("ConvTranspose", build)];

#[derive(Debug)]
struct ConvTranspose {
    windows: Windows,
    output_padding: Vec<usize>,
    output_shape: Vec<usize>,
    groups: usize,
    /// Constant weights, packed: of each group (channels of the group, answers of the group * places).
    packed: Option<Vec<Packed<f32>>>,
    parameters: usize,
}

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let groups = usize::try_from(node.int_or("group", 1)?).ok().filter(|&g| g > 0);
    let groups = groups.ok_or_else(|| node.malformed("the groups of a convolution are at least one"))?;
    let constant = node.constant(1).filter(|w| matches!(w.data(), Data::F32(_) | Data::F16(_) | Data::Bf16(_)));
    let packed = match constant {
        Some(value) => Some(packed(&value.to_f32s()?, value.shape(), groups)?),
        None => None,
    };
    Ok(Box::new(ConvTranspose {
        windows: Windows::of(node)?,
        output_padding: counts(node, "output_padding", 0)?,
        output_shape: node.ints("output_shape")?.unwrap_or_default().iter().map(|&n| n.max(0) as usize).collect(),
        groups,
        packed,
        parameters: node.constant(1).map_or(0, Value::len),
    }))
}

/// Weights (channels, answers of a group, window) of every group.
fn packed<T: Real>(items: &[T], shape: &[usize], groups: usize) -> Result<Vec<Packed<T>>> {
    match shape {
        [channels, rest @ ..] if rest.len() > 1 && channels % groups == 0 => {
            let (taken, n) = (channels / groups, rest.iter().product());
            Ok((0..groups).map(|g| Packed::new(taken, n, |i, j| items[(g * taken + i) * n + j], None)).collect())
        }
        _ => Err(Error::new(ErrorKind::WrongShape, "the weights of a convolution do not fit its groups")
            .actual(shape_text(shape))),
    }
}

impl ConvTranspose {
    /// The windows on the answer, one for each pixel of an image of the lengths `size`.
    fn grid(&self, kernel: &[usize], size: &[usize]) -> Result<Grid> {
        let axes = size.len();
        let (strides, dilations) =
            (each_axis(&self.windows.strides, 1, axes)?, each_axis(&self.windows.dilations, 1, axes)?);
        let extra = each_axis(&self.output_padding, 0, axes)?;
        let (mut before, mut after, mut to) = (vec![0; axes], vec![0; axes], vec![0; axes]);
        // Some files give all axes of the answer, not those of the image alone.
        let wanted = match self.output_shape.len() {
            n if n == axes + 2 => &self.output_shape[2..],
            _ => &self.output_shape,
        };
        for axis in 0..axes {
            let reach = (kernel[axis] - 1).saturating_mul(dilations[axis]).saturating_add(1);
            let natural = (size[axis].saturating_sub(1).saturating_mul(strides[axis]))
                .saturating_add(reach)
                .saturating_add(extra[axis]);
            let target = match (&self.windows.border, wanted.is_empty()) {
                (_, false) => Some(each_axis(wanted, 0, axes)?[axis]),
                (Border::Same { .. }, true) => Some(size[axis].saturating_mul(strides[axis])),
                (Border::Given(_), true) => None,
            };
            match (target, &self.windows.border) {
                (Some(length), border) => {
                    let total = natural.saturating_sub(length);
                    let upper = matches!(border, Border::Same { upper: true });
                    before[axis] = if upper { total / 2 } else { total - total / 2 };
                    after[axis] = total - before[axis];
                    to[axis] = length;
                }
                (None, Border::Given(pads)) => {
                    let pads = each_axis(pads, 0, 2 * axes)?;
                    [before[axis], after[axis]] = [pads[axis], pads[axes + axis]];
                    to[axis] = natural.checked_sub(before[axis] + after[axis]).ok_or_else(|| {
                        Error::new(ErrorKind::WrongShape, "the border of a convolution is wider than its answer")
                            .expected(natural)
                            .actual(before[axis] + after[axis])
                    })?;
                }
                (None, Border::Same { .. }) => unreachable!("such a border has a target"),
            }
        }
        let windows = size.to_vec();
        Ok(Grid { size: to, windows, kernel: kernel.to_vec(), strides, dilations, before, after })
    }

    fn typed<T: Real + Item>(
        &self,
        x: &Value<'_>,
        weights: &[usize],
        packed: &[Packed<T>],
        bias: Option<&Value<'_>>,
        cx: &mut Scratch,
    ) -> Result<Value<'static>> {
        let items = x.as_slice::<T>()?;
        let (count, channels, size) = images(x.shape())?;
        let (per_group, kernel) = (weights[1], &weights[2..]);
        if channels != weights[0] || kernel.len() != size.len() || kernel.contains(&0) {
            return Err(Error::new(ErrorKind::WrongShape, "the weights of a convolution do not fit the images")
                .expected(shape_text(weights))
                .actual(shape_text(x.shape())));
        }
        let grid = self.grid(kernel, size)?;
        let answers = per_group * self.groups;
        let shape = image_shape(count, answers, &grid.size);
        let mut out = cx.buffer::<T>(cx.check_shape(&shape)?);
        let to_pixels = grid.pixels();
        match bias {
            Some(bias) if bias.shape() == [answers] => {
                let bias = bias.as_slice::<T>()?;
                (0..count * answers).for_each(|i| out.extend(std::iter::repeat_n(bias[i % answers], to_pixels)));
            }
            Some(bias) => {
                return Err(Error::new(ErrorKind::WrongShape, "a convolution takes one bias for each answer")
                    .expected(answers)
                    .actual(shape_text(bias.shape())));
            }
            None => out.resize(count * answers * to_pixels, T::ZERO),
        }
        let (pixels, places, taken) = (grid.count(), grid.places(), channels / self.groups);
        let n = per_group * places;
        if pixels == 0 || taken == 0 || n == 0 || to_pixels == 0 {
            return Ok(Value::new(shape, out));
        }
        let room = (BLOCK / n.max(taken)).clamp(1, pixels);
        cx.check_shape(&[room, n])?;
        let mut rows = cx.buffer::<T>(room * taken);
        let mut spread = cx.buffer::<T>(room * n);
        for (image, from) in items.chunks_exact(channels * pixels).enumerate() {
            for (g, packed) in packed.iter().enumerate() {
                let from = &from[g * taken * pixels..][..taken * pixels];
                let to = &mut out[(image * answers + g * per_group) * to_pixels..][..per_group * to_pixels];
                let mut pixel = 0;
                grid.each(|_, places_at| {
                    if pixel % room == 0 {
                        rows.clear();
                        let end = pixels.min(pixel + room);
                        (pixel..end).for_each(|p| rows.extend(from[p..].iter().step_by(pixels).copied()));
                        spread.clear();
                        packed.multiply(&rows, end - pixel, &mut spread);
                    }
                    let answers = &spread[pixel % room * n..][..n];
                    for (plane, window) in to.chunks_exact_mut(to_pixels).zip(answers.chunks_exact(places)) {
                        for (&at, v) in places_at.iter().zip(window).filter(|(at, _)| **at != OUTSIDE) {
                            plane[at] += *v;
                        }
                    }
                    pixel += 1;
                    Ok(())
                })?;
            }
        }
        cx.recycle_buffer(rows);
        cx.recycle_buffer(spread);
        Ok(Value::new(shape, out))
    }
}

impl Op for ConvTranspose {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (x, w) = (args.get(0)?, args.get(1)?);
        if x.dtype() != w.dtype() {
            return Err(w.type_error(x.type_text()));
        }
        let (shape, bias) = (w.shape(), args.opt(2));
        let answer = match x.data() {
            Data::F64(_) => {
                self.typed::<f64>(x, shape, &packed(w.as_slice::<f64>()?, shape, self.groups)?, bias, cx)?
            }
            Data::F32(_) | Data::F16(_) | Data::Bf16(_) => {
                let (wide, bias) = (widened(x, cx), bias.map(|b| widened(b, cx)));
                let own;
                let packed = match &self.packed {
                    Some(packed) => packed,
                    None => {
                        own = packed(widened(w, cx).as_slice::<f32>()?, shape, self.groups)?;
                        &own
                    }
                };
                narrowed(self.typed::<f32>(&wide, shape, packed, bias.as_ref(), cx)?, x.data(), cx)
            }
            _ => return Err(x.type_error("a float")),
        };
        Ok(smallvec![answer])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| !x.only_first()) || inputs.iter().skip(1).any(Flow::any)
    }

    fn parameters(&self) -> usize {
        self.parameters
    }
}
