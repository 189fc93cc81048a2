//! Convolutions of quantised images: `ConvInteger`, `QLinearConv`, and what was merged with them.

use smallvec::smallvec;

use super::float::{checked, place_of, weight_axes};
use super::image::{Layout, channels_first, frame_image};
use super::window::{Frame, Images, Window, channels_last};
use crate::Result;
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::quant::linear::{
    Input, Output, Places, Quantised, bytes_value, column_scales, fixed, output, recycle,
};
use crate::backend::native::ops::quant::weights::{Weights, panels, zeros};
use crate::backend::native::pool::Share;
use crate::backend::native::value::{Item, Value};
use crate::kernel::bytes::{ByteFilters, ByteMatrix, Bytes, Dot, Finish, Held, NR, ToBytes, ToFloats, ToSums};
use crate::kernel::{Isa, Left};

pub(super) const GROUP: Group = &[("ConvInteger", conv_integer), ("QLinearConv", qlinear_conv)];
/// The inputs of the fused `Linear`; the attributes are those of `Conv`, `relu`, `last_in` and `last_out`.
pub(super) const FUSED: Group = &[("Conv", fused), ("ConvInteger", conv_integer), ("QLinearConv", qlinear_conv)];

/// A convolution with constant 8-bit weights.
#[derive(Debug)]
struct Conv {
    window: Window,
    /// The channels of the image, and of the answer.
    channels: [usize; 2],
    weights: Filters,
    /// The scale of each channel of the answer.
    scales: Vec<[f32; NR]>,
    input: Input,
    output: Output,
    last: [bool; 2],
}

#[derive(Debug)]
enum Filters {
    Whole(ByteMatrix),
    Depthwise(ByteFilters),
}

fn conv(
    node: &Node<'_>,
    at: Places,
    input: Input,
    output: impl FnOnce(usize, &[f32]) -> Result<Output>,
) -> Result<Box<dyn Op>> {
    let computed = || node.unsupported("a quantised convolution whose weights are computed");
    let value = node.constant(at.weights).ok_or_else(computed)?;
    let zero = match node.has_input(at.weight_zero) {
        true => Some(node.constant(at.weight_zero).ok_or_else(computed)?),
        false => None,
    };
    let weights = Weights::of(value)?;
    let ([channels, answers], groups) = weight_axes(node, value.shape())?;
    let window = Window::of(node, &value.shape()[2..])?;
    let zeros: Vec<i32> = zeros(zero, answers)?.into_iter().map(|z| z - weights.moved()).collect();
    let places = window.kernel[0] * window.kernel[1];
    let filters = match groups {
        1 if places * channels <= 1 << 15 => {
            let shape = Layout::shape(&window, channels, channels);
            let item = |s: usize, i: usize, j: usize| {
                let (place, channel) = place_of(&window, channels, channels, s, i);
                weights.at((j * channels + channel) * places + place)
            };
            Filters::Whole(ByteMatrix::new(Dot::best(), [shape[0], shape[1], answers], item, |j| zeros[j]))
        }
        _ if groups > 1 && groups == channels && answers == channels && places <= 1 << 15 => {
            let item = |p: usize, c: usize| i16::from(weights.at(c * places + p)) - zeros[c] as i16;
            Filters::Depthwise(ByteFilters::new(places, channels, item))
        }
        _ => return Err(node.unsupported("a quantised convolution of several groups of channels").actual(groups)),
    };
    let scales = column_scales(node, at, answers)?;
    let output = output(answers, &scales)?;
    let last = channels_last(node)?;
    let (channels, scales) = ([channels, answers], panels(&scales, 0.0));
    Ok(Box::new(Conv { window, channels, weights: filters, scales, input, output, last }))
}

fn conv_integer(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let at = Places { weights: 1, weight_scale: None, weight_zero: 3, bias: None, answer: None };
    conv(node, at, Input::Given { zero: 2, scale: None }, |_, _| Ok(Output::Sums))
}

fn qlinear_conv(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let at = Places { weights: 3, weight_scale: Some(4), weight_zero: 5, bias: Some(8), answer: Some([6, 7]) };
    let (input, scale) = fixed(node)?;
    conv(node, at, input, |n, scales| output(node, at, n, scale, scales, false))
}

fn fused(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let at = Places { weights: 3, weight_scale: Some(4), weight_zero: 5, bias: Some(6), answer: Some([7, 8]) };
    let relu = node.flag("relu", false)?;
    let (input, scale) =
        if node.flag("dynamic", false)? { (Input::Dynamic { rows: node.row_ranges() }, 1.0) } else { fixed(node)? };
    conv(node, at, input, |n, scales| output(node, at, n, scale, scales, relu))
}

/// The images of a call.
struct Call<'c> {
    conv: &'c Conv,
    images: Images,
    given: Images,
    frame: Frame,
    layout: Layout,
    bytes: &'c Bytes,
}

impl Conv {
    fn multiply<F: Finish>(&self, image: &Bytes, left: Left<'_>, finish: &mut F) {
        match &self.weights {
            Filters::Whole(matrix) => matrix.multiply(image, left, finish),
            Filters::Depthwise(filters) => filters.multiply(Isa::best(), image, left, finish),
        }
    }
}

impl Call<'_> {
    /// Every image's answers, for which `each` gives those of some windows of a padded image.
    fn answers<T: Item + Copy + Default>(
        &self,
        cx: &mut Scratch,
        each: impl Fn(usize, &Bytes, Left<'_>, &mut [T]) + Sync,
    ) -> Result<Vec<T>> {
        let Self { conv, images, given, frame, .. } = self;
        let count = cx.check_shape(&given.shape(conv.window.axes, conv.last[1]))?;
        let padded = cx.check_shape(&[frame.padded[0], frame.padded[1], images.channels])?;
        let mut out = cx.stale::<T>(count);
        if count == 0 || images.elements() == 0 {
            out.fill(T::default());
            return Ok(out);
        }
        let mut image = Bytes::like(self.bytes, cx.buffer(0), cx.buffer(0));
        image.grow(padded);
        image.end();
        let turned = !(conv.last[1] || given.channels == 1);
        let mut answer = cx.stale::<T>(if turned { given.elements() } else { 0 });
        // As in products of matrices.
        let share = Share { cost: conv.parameters() / 2, ..Share::product(1, 1) };
        let (threads, channels) = (&cx.threads, given.channels);
        let whole = |i: usize, image: &Bytes, out: &mut [T]| {
            threads.rows(out, channels, share, |from, out| {
                each(i, image, self.layout.left(from, out.len() / channels), out);
            });
        };
        for (i, out) in out.chunks_exact_mut(given.elements()).enumerate() {
            let part = i * images.elements()..(i + 1) * images.elements();
            match (self.bytes.held(), image.held_mut()) {
                (Held::Wide(from), Held::Wide(to)) => frame_image(&from[part], *images, conv.last[0], frame, to),
                (Held::Narrow(from), Held::Narrow(to)) => frame_image(&from[part], *images, conv.last[0], frame, to),
                _ => unreachable!("both are for the same instructions"),
            }
            if turned {
                whole(i, &image, &mut answer);
                channels_first(&answer, given.channels, out);
            } else {
                whole(i, &image, out);
            }
        }
        recycle(image, cx);
        cx.recycle_buffer(answer);
        Ok(out)
    }
}

impl Op for Conv {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        let [channels, answers] = self.channels;
        let images = checked(value.shape(), &self.window, self.last[0], channels)?;
        let frame = self.window.frame(images.size)?;
        cx.check_shape(&[frame.padded[0], frame.padded[1], channels])?;
        let mut bytes = Bytes::new(Dot::best(), cx.buffer(value.len() + 4), cx.buffer(0));
        let mut scales = cx.buffer::<f32>(1);
        Quantised::of(self.input, args)?.push(value, images.elements().max(1), &mut bytes, &mut scales, &cx.threads)?;
        let taken = if matches!(self.weights, Filters::Whole(_)) { channels } else { 1 };
        let layout = Layout::new(&self.window, &frame, channels, taken);
        let given = Images { count: images.count, channels: answers, size: frame.windows };
        let call = Call { conv: self, images, given, frame, layout, bytes: &bytes };
        let shape = given.shape(self.window.axes, self.last[1]);
        let n = answers;
        let answer = match &self.output {
            Output::Sums => {
                let each = |_, image: &Bytes, left: Left<'_>, out: &mut [i32]| {
                    self.multiply(image, left, &mut ToSums { n, out });
                };
                Value::new(shape, call.answers::<i32>(cx, each)?)
            }
            Output::Floats { bias, relu } => {
                let each = |i: usize, image: &Bytes, left: Left<'_>, out: &mut [f32]| {
                    let i = if scales.len() == 1 { 0 } else { i };
                    let (rows, columns) = (&scales[i..=i], &*self.scales);
                    self.multiply(image, left, &mut ToFloats { n, rows, columns, bias, relu: *relu, out });
                };
                Value::new(shape, call.answers::<f32>(cx, each)?)
            }
            Output::Bytes { bias, factors, bounds, zero, signed } => {
                let (bounds, zero) = (*bounds, *zero);
                let each = |_, image: &Bytes, left: Left<'_>, out: &mut [u8]| {
                    self.multiply(image, left, &mut ToBytes { n, bias, factors, bounds, zero, out });
                };
                let out = call.answers::<u8>(cx, each)?;
                bytes_value(shape, out, *signed, cx)
            }
        };
        recycle(bytes, cx);
        cx.recycle_buffer(scales);
        Ok(smallvec![answer])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        let Some(x) = inputs.first() else { return true };
        let whole = matches!(self.input, Input::Dynamic { rows: false }) && x.any();
        whole || !x.only_first() || inputs.iter().skip(1).any(Flow::any)
    }

    fn parameters(&self) -> usize {
        match &self.weights {
            Filters::Whole(matrix) => matrix.k() * matrix.n(),
            Filters::Depthwise(filters) => filters.parameters(),
        }
    }

    fn engine(&self) -> Option<String> {
        Some("8-bit weights".to_owned())
    }
}
