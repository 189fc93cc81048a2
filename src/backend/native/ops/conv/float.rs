//! `Conv` of floats.

use smallvec::smallvec;

use super::image::{Layout, channels_first, frame_image, whole_rows};
use super::nd;
use super::window::{Images, Window, channels_last};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::pool::{Share, Threads};
use crate::backend::native::value::{Data, Value};
use crate::kernel::{Isa, Packed, depthwise};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("Conv", conv)];
/// With the attributes `relu`, `last_in` and `last_out`.
pub(super) const FUSED: Group = &[("FloatConv", conv)];

/// A convolution with constant weights.
#[derive(Debug)]
struct Conv {
    window: Window,
    /// The channels of the image, and of the answer.
    channels: [usize; 2],
    weights: Weights,
    bias: Vec<f32>,
    relu: bool,
    /// Whether images are read, and given, channels last.
    last: [bool; 2],
}

#[derive(Debug)]
enum Weights {
    /// Of each group, (places of the window * channels of the group, answers of the group).
    Groups(Vec<Packed<f32>>),
    /// One filter for each channel: (places of the window, channels).
    Depthwise(Vec<f32>),
}

impl Weights {
    /// Their number, which is that of the multiplications for a window.
    fn count(&self) -> usize {
        match self {
            Self::Groups(groups) => groups.iter().map(|g| g.k() * g.n()).sum(),
            Self::Depthwise(weights) => weights.len(),
        }
    }
}

/// The axes of weights (answers, channels of a group, window) and the number of groups, checked.
pub(super) fn weight_axes(node: &Node<'_>, shape: &[usize]) -> Result<([usize; 2], usize)> {
    let groups = usize::try_from(node.int_or("group", 1)?).unwrap_or(0);
    match *shape {
        [answers, taken, ..] if groups > 0 && answers > 0 && taken > 0 && answers % groups == 0 => {
            Ok(([taken * groups, answers], groups))
        }
        _ => Err(node.malformed("the weights of a convolution do not fit its groups")),
    }
}

fn conv(node: &Node<'_>) -> Result<Box<dyn Op>> {
    match packed(node) {
        Err(e) if e.kind() == ErrorKind::Unsupported && node.domain().is_empty() => nd::conv(node),
        done => done,
    }
}

/// The operator for constant weights of f32 and windows over one or two axes.
fn packed(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let Some(value) = node.constant(1) else {
        return Err(node.unsupported("a convolution whose weights are computed"));
    };
    let Data::F32(items) = value.data() else {
        return Err(node.unsupported("a convolution of other elements than f32"));
    };
    let ([channels, answers], groups) = weight_axes(node, value.shape())?;
    let window = Window::of(node, value.shape().get(2..).unwrap_or_default())?;
    let bias = match node.has_input(2) {
        true => node
            .constant(2)
            .and_then(|b| b.try_slice::<f32>())
            .filter(|b| b.len() == answers)
            .ok_or_else(|| node.unsupported("a convolution whose bias is computed"))?
            .to_vec(),
        false => vec![0.0; answers],
    };
    let (taken, per_group) = (channels / groups, answers / groups);
    let [rows, columns] = window.kernel;
    let places = rows * columns;
    let weights = if groups > 1 && taken == 1 && per_group == 1 {
        Weights::Depthwise((0..places).flat_map(|p| (0..channels).map(move |c| items[c * places + p])).collect())
    } else {
        let pack = |g: usize| {
            let at = |i: usize, j: usize| items[((g * per_group + j) * taken + i % taken) * places + i / taken];
            Packed::new(places * taken, per_group, at, Some(&bias[g * per_group..(g + 1) * per_group]))
        };
        Weights::Groups((0..groups).map(pack).collect())
    };
    let (relu, last) = (node.flag("relu", false)?, channels_last(node)?);
    Ok(Box::new(Conv { window, channels: [channels, answers], weights, bias, relu, last }))
}

impl Conv {
    /// The answers (pixels, channels) for one image with its border.
    fn image(&self, image: &[f32], layout: &Layout, threads: &Threads, out: &mut [f32]) {
        let isa = Isa::best();
        let [channels, answers] = self.channels;
        threads.rows(out, answers, Share::product(1, self.weights.count()), |from, out| {
            let left = layout.left(from, out.len() / answers);
            match &self.weights {
                Weights::Depthwise(weights) => depthwise(isa, image, left, weights, &self.bias, out),
                Weights::Groups(groups) => match &groups[..] {
                    [one] => one.multiply_left(isa, image, left, out),
                    many => {
                        let (taken, per_group) = (channels / many.len(), answers / many.len());
                        let mut part = vec![0.0; left.m * per_group];
                        for (g, packed) in many.iter().enumerate() {
                            packed.multiply_left(isa, &image[g * taken..], left, &mut part);
                            for (to, from) in out.chunks_exact_mut(answers).zip(part.chunks_exact(per_group)) {
                                to[g * per_group..(g + 1) * per_group].copy_from_slice(from);
                            }
                        }
                    }
                },
            }
            if self.relu {
                // Not `max`, which drops NaN.
                out.iter_mut().for_each(|v| *v = if *v < 0.0 { 0.0 } else { *v });
            }
        });
    }
}

impl Op for Conv {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let x = value.as_slice::<f32>()?;
        let [channels, answers] = self.channels;
        let images = checked(value.shape(), &self.window, self.last[0], channels)?;
        let frame = self.window.frame(images.size)?;
        let given = Images { count: images.count, channels: answers, size: frame.windows };
        let shape = given.shape(self.window.axes, self.last[1]);
        let count = cx.check_shape(&shape)?;
        let padded = cx.check_shape(&[frame.padded[0], frame.padded[1], channels])?;
        let taken = match &self.weights {
            Weights::Groups(groups) => channels / groups.len(),
            Weights::Depthwise(_) => 1,
        };
        let layout = Layout::new(&self.window, &frame, channels, taken);
        let mut out = cx.stale::<f32>(count);
        let copied = !(frame.bare() && (self.last[0] || channels == 1));
        let mut image = cx.buffer::<f32>(padded);
        image.resize(if copied { padded } else { 0 }, 0.0);
        let turned = !(self.last[1] || answers == 1);
        let mut answer = cx.stale::<f32>(if turned { given.elements() } else { 0 });
        if count > 0 && images.elements() > 0 {
            for (x, out) in x.chunks_exact(images.elements()).zip(out.chunks_exact_mut(given.elements())) {
                let mut source = x;
                if copied {
                    frame_image(x, images, self.last[0], &frame, &mut image);
                    source = &image;
                }
                if turned {
                    self.image(source, &layout, &cx.threads, &mut answer);
                    channels_first(&answer, answers, out);
                } else {
                    self.image(source, &layout, &cx.threads, out);
                }
            }
        } else {
            out.fill(0.0);
        }
        cx.recycle_buffer(image);
        cx.recycle_buffer(answer);
        Ok(smallvec![Value::new(shape, out)])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| !x.only_first())
    }

    fn parameters(&self) -> usize {
        self.bias.len() + self.weights.count()
    }
}

/// The axes of images of `channels`, so large that places on them fit 32 bits.
pub(super) fn checked(shape: &[usize], window: &Window, last: bool, channels: usize) -> Result<Images> {
    let images = Images::of(shape, window.axes, last)?;
    if images.channels != channels {
        return Err(Error::new(ErrorKind::WrongShape, "a convolution was given images of other channels")
            .expected(channels)
            .actual(images.channels));
    }
    let [h, w] = window.frame(images.size)?.padded;
    match h.checked_mul(w).and_then(|pixels| pixels.checked_mul(channels)) {
        Some(n) if u32::try_from(n).is_ok() => Ok(images),
        _ => Err(Error::new(ErrorKind::LimitExceeded, "an image of more than 2^32 elements")),
    }
}

/// How the weights of a window are numbered: which place and which channel row `i` of piece `s` is.
pub(super) fn place_of(window: &Window, channels: usize, taken: usize, s: usize, i: usize) -> (usize, usize) {
    let columns = window.kernel[1];
    if whole_rows(window, channels, taken) { (s * columns + i / taken, i % taken) } else { (s, i) }
}
