//! `Conv` of any number of axes, of any float, with computed weights.

use smallvec::smallvec;

use super::grid::{OUTSIDE, Windows, image_shape, images};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::math::{narrowed, widened};
use crate::backend::native::value::{Data, Item, Value};
use crate::kernel::{Packed, Real};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

/// The elements of windows that are laid side by side at once.
pub(super) const BLOCK: usize = 1 << 18;

#[derive(Debug)]
struct Conv {
    windows: Windows,
    groups: usize,
    /// Constant weights, packed: of each group (channels of the group * places, answers of the group).
    packed: Option<Vec<Packed<f32>>>,
    parameters: usize,
}

pub(in crate::backend::native::ops::conv) fn conv(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let groups = usize::try_from(node.int_or("group", 1)?).ok().filter(|&g| g > 0);
    let groups = groups.ok_or_else(|| node.malformed("the groups of a convolution are at least one"))?;
    let constant = node.constant(1).filter(|w| matches!(w.data(), Data::F32(_) | Data::F16(_) | Data::Bf16(_)));
    let packed = match constant {
        Some(value) => {
            let axes = Axes::of(value.shape(), groups)?;
            Some(axes.packed(&value.to_f32s()?))
        }
        None => None,
    };
    let parameters = node.constant(1).map_or(0, Value::len);
    Ok(Box::new(Conv { windows: Windows::of(node)?, groups, packed, parameters }))
}

/// The axes of weights (answers, channels of a group, window).
struct Axes<'w> {
    answers: usize,
    taken: usize,
    kernel: &'w [usize],
    groups: usize,
}

impl<'w> Axes<'w> {
    fn of(shape: &'w [usize], groups: usize) -> Result<Self> {
        match shape {
            [answers, taken, kernel @ ..] if !kernel.is_empty() && answers % groups == 0 => {
                Ok(Self { answers: *answers, taken: *taken, kernel, groups })
            }
            _ => Err(Error::new(ErrorKind::WrongShape, "the weights of a convolution do not fit its groups")
                .actual(shape_text(shape))),
        }
    }

    fn packed<T: Real>(&self, items: &[T]) -> Vec<Packed<T>> {
        let (k, per_group) = (self.taken * self.kernel.iter().product::<usize>(), self.answers / self.groups);
        let pack = |g: usize| Packed::new(k, per_group, |i, j| items[(g * per_group + j) * k + i], None);
        (0..self.groups).map(pack).collect()
    }
}

impl Conv {
    fn typed<T: Real + Item>(
        &self,
        x: &Value<'_>,
        axes: &Axes<'_>,
        packed: &[Packed<T>],
        bias: Option<&Value<'_>>,
        cx: &mut Scratch,
    ) -> Result<Value<'static>> {
        let items = x.as_slice::<T>()?;
        let (count, channels, size) = images(x.shape())?;
        if channels != axes.taken * axes.groups {
            return Err(Error::new(ErrorKind::WrongShape, "a convolution was given images of other channels")
                .expected(axes.taken * axes.groups)
                .actual(channels));
        }
        let grid = self.windows.grid(axes.kernel, size)?;
        let shape = image_shape(count, axes.answers, &grid.windows);
        let mut out = cx.buffer::<T>(cx.check_shape(&shape)?);
        let windows = grid.count();
        match bias {
            Some(bias) if bias.shape() == [axes.answers] => {
                let bias = bias.as_slice::<T>()?;
                (0..count * axes.answers)
                    .for_each(|i| out.extend(std::iter::repeat_n(bias[i % axes.answers], windows)));
            }
            Some(bias) => {
                return Err(Error::new(ErrorKind::WrongShape, "a convolution takes one bias for each answer")
                    .expected(axes.answers)
                    .actual(shape_text(bias.shape())));
            }
            None => out.resize(count * axes.answers * windows, T::ZERO),
        }
        let (pixels, per_group) = (grid.pixels(), axes.answers / axes.groups);
        let (k, taken) = (axes.taken * grid.places(), axes.taken);
        if k == 0 || per_group == 0 || windows == 0 {
            return Ok(Value::new(shape, out));
        }
        let room = (BLOCK / k).clamp(1, windows);
        cx.check_shape(&[room, k])?;
        let mut rows = cx.buffer::<T>(room * k);
        let mut answer = cx.buffer::<T>(room * per_group);
        for image in 0..count {
            for (g, packed) in packed.iter().enumerate() {
                let from = &items[(image * channels + g * taken) * pixels..][..taken * pixels];
                let to = &mut out[(image * axes.answers + g * per_group) * windows..][..per_group * windows];
                let mut first = 0;
                let mut finish = |rows: &mut Vec<T>, first: &mut usize| {
                    answer.clear();
                    packed.multiply(rows, rows.len() / k, &mut answer);
                    for (i, answers) in answer.chunks_exact(per_group).enumerate() {
                        for (j, v) in answers.iter().enumerate() {
                            to[j * windows + *first + i] += *v;
                        }
                    }
                    *first += rows.len() / k;
                    rows.clear();
                };
                grid.each(|_, places| {
                    gather(from, pixels, places, &mut rows);
                    if rows.len() == room * k {
                        finish(&mut rows, &mut first);
                    }
                    Ok(())
                })?;
                if !rows.is_empty() {
                    finish(&mut rows, &mut first);
                }
            }
        }
        cx.recycle_buffer(rows);
        cx.recycle_buffer(answer);
        Ok(Value::new(shape, out))
    }
}

/// Appends a window of every channel, zero outside of the image.
fn gather<T: Real>(channels: &[T], pixels: usize, places: &[usize], rows: &mut Vec<T>) {
    for channel in channels.chunks_exact(pixels) {
        rows.extend(places.iter().map(|&p| if p == OUTSIDE { T::ZERO } else { channel[p] }));
    }
}

impl Op for Conv {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (x, w) = (args.get(0)?, args.get(1)?);
        let axes = Axes::of(w.shape(), self.groups)?;
        if x.dtype() != w.dtype() {
            return Err(w.type_error(x.type_text()));
        }
        let bias = args.opt(2);
        let answer = match x.data() {
            Data::F64(_) => self.typed::<f64>(x, &axes, &axes.packed(w.as_slice::<f64>()?), bias, cx)?,
            Data::F32(_) | Data::F16(_) | Data::Bf16(_) => {
                let (wide, bias) = (widened(x, cx), bias.map(|b| widened(b, cx)));
                let own;
                let packed = match &self.packed {
                    Some(packed) => packed,
                    None => {
                        own = axes.packed(widened(w, cx).as_slice::<f32>()?);
                        &own
                    }
                };
                let answer = self.typed::<f32>(&wide, &axes, packed, bias.as_ref(), cx)?;
                narrowed(answer, x.data(), cx)
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
