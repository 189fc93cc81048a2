//! Pools: the largest or the mean of each window, or of a whole image.

use smallvec::smallvec;

use super::nd;
use super::window::{Images, Window, channels_last};
use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::value::{Data, Item, Value};
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group =
    &[("MaxPool", max), ("AveragePool", average), ("GlobalMaxPool", whole_max), ("GlobalAveragePool", whole_average)];
/// With the attributes `last_in` and `last_out`.
pub(super) const FUSED: Group = GROUP;

/// What a window becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Max,
    /// Whether the border counts as zeros.
    Mean {
        border: bool,
    },
}

#[derive(Debug)]
struct Pool {
    kind: Kind,
    /// The windows; none is the whole image.
    window: Option<Window>,
    last: [bool; 2],
    /// The same for elements that this one does not take.
    general: Option<nd::Pool>,
}

/// The most pixels of a window.
const MOST_PIXELS: usize = 1 << 16;

fn kernel(node: &Node<'_>) -> Result<Vec<usize>> {
    let lengths = node.ints("kernel_shape")?.unwrap_or_default();
    let lengths: Vec<usize> = lengths.iter().map(|&k| usize::try_from(k).unwrap_or(0)).collect();
    // Every pixel of every window is looked at, whatever the file says.
    match lengths.iter().try_fold(1usize, |all, &k| all.checked_mul(k)) {
        Some(pixels) if pixels <= MOST_PIXELS => Ok(lengths),
        _ => Err(node.unsupported("pools over windows of more than 65,536 pixels")),
    }
}

/// A pool of this kind where its windows have one or two axes and are otherwise `plain`, else the general one.
fn pool(node: &Node<'_>, kind: Kind, plain: bool, general: fn(&Node<'_>) -> Result<nd::Pool>) -> Result<Box<dyn Op>> {
    if !node.domain().is_empty() {
        let window = Some(Window::of(node, &kernel(node)?)?);
        return Ok(Box::new(Pool { kind, window, last: channels_last(node)?, general: None }));
    }
    let kernel = kernel(node)?;
    if !plain || !(1..=2).contains(&kernel.len()) {
        return Ok(Box::new(general(node)?));
    }
    let (window, general) = (Some(Window::of(node, &kernel)?), Some(general(node)?));
    Ok(Box::new(Pool { kind, window, last: [false; 2], general }))
}

fn max(node: &Node<'_>) -> Result<Box<dyn Op>> {
    pool(node, Kind::Max, !node.has_output(1), nd::max)
}

fn average(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let border = node.flag("count_include_pad", false)?;
    pool(node, Kind::Mean { border }, !(border && node.flag("ceil_mode", false)?), nd::average)
}

fn whole_max(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Pool { kind: Kind::Max, window: None, last: channels_last(node)?, general: None }))
}

fn whole_average(node: &Node<'_>) -> Result<Box<dyn Op>> {
    Ok(Box::new(Pool { kind: Kind::Mean { border: false }, window: None, last: channels_last(node)?, general: None }))
}

/// An element that pools take.
trait Pooled: Item + Copy + PartialOrd {
    const LEAST: Self;
    fn sum(sum: f32, item: Self) -> f32;
    /// The mean of elements with this sum.
    fn over(sum: f32, count: usize) -> Self;
    fn mean(items: impl Iterator<Item = Self>, count: usize) -> Self {
        Self::over(items.fold(0.0, Self::sum), count)
    }
}

impl Pooled for f32 {
    const LEAST: Self = f32::NEG_INFINITY;
    fn sum(sum: f32, item: Self) -> f32 {
        sum + item
    }
    fn over(sum: f32, count: usize) -> Self {
        sum / count as f32
    }
}

macro_rules! bytes {
    ($($t:ty)*) => {$(
        impl Pooled for $t {
            const LEAST: Self = <$t>::MIN;
            fn sum(sum: f32, item: Self) -> f32 {
                sum + f32::from(item)
            }
            fn over(sum: f32, count: usize) -> Self {
                (sum / count as f32).round_ties_even() as Self
            }
        }
    )*};
}

bytes!(u8 i8);

/// The larger of two; NaN wins, as it does in ONNX Runtime's sums.
#[inline(always)]
fn larger<T: PartialOrd>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

impl Pool {
    fn pooled<T: Pooled>(&self, value: &Value<'_>, cx: &mut Scratch) -> Result<Value<'static>> {
        let x = value.as_slice::<T>()?;
        let axes = self.window.as_ref().map_or(value.rank().saturating_sub(2), |w| w.axes);
        let Some(window) = &self.window else { return self.whole(value, x, axes, cx) };
        let images = Images::of(value.shape(), axes, self.last[0])?;
        let frame = window.frame(images.size)?;
        let given = Images { size: frame.windows, ..images };
        let shape = given.shape(axes, self.last[1]);
        let mut out = cx.buffer::<T>(cx.check_shape(&shape)?);
        out.resize(given.count * given.elements(), T::LEAST);
        if images.elements() == 0 || out.is_empty() {
            return Ok(Value::new(shape, out));
        }
        let [h, w] = images.size;
        // How far apart channels and pixels lie, where they are read and where they go.
        let steps = |images: Images, last: bool| if last { (1, images.channels) } else { (images.pixels(), 1) };
        let ((from_c, from_p), (to_c, to_p)) = (steps(images, self.last[0]), steps(given, self.last[1]));
        let (mut plane, mut best) = (vec![T::LEAST; given.pixels()], vec![T::LEAST; images.channels]);
        for (x, out) in x.chunks_exact(images.elements()).zip(out.chunks_exact_mut(given.elements())) {
            if self.kind == Kind::Max && !self.last[0] {
                for (c, x) in x.chunks_exact(images.pixels()).enumerate() {
                    plane.fill(T::LEAST);
                    window.largest(&frame, x, &mut plane, larger);
                    plane.iter().enumerate().for_each(|(at, v)| out[at * to_p + c * to_c] = *v);
                }
                continue;
            }
            for (at, (oy, ox)) in
                (0..frame.windows[0]).flat_map(|y| (0..frame.windows[1]).map(move |x| (y, x))).enumerate()
            {
                let inside = |i: usize, axis: usize, k: usize, len: usize| {
                    (i * window.strides[axis] + k * window.dilations[axis])
                        .checked_sub(frame.offset[axis])
                        .filter(|&p| p < len)
                };
                let pixels = || {
                    (0..window.kernel[0]).filter_map(move |ky| inside(oy, 0, ky, h)).flat_map(move |y| {
                        (0..window.kernel[1]).filter_map(move |kx| inside(ox, 1, kx, w)).map(move |x| y * w + x)
                    })
                };
                match self.kind {
                    Kind::Max => {
                        let largest = |best: &mut [T]| {
                            for p in pixels() {
                                let pixel = &x[p * from_p..(p + 1) * from_p];
                                best.iter_mut().zip(pixel).for_each(|(o, v)| *o = larger(*o, *v));
                            }
                        };
                        if to_c == 1 {
                            largest(&mut out[at * to_p..(at + 1) * to_p]);
                        } else {
                            best.fill(T::LEAST);
                            largest(&mut best);
                            best.iter().enumerate().for_each(|(c, v)| out[at * to_p + c * to_c] = *v);
                        }
                    }
                    Kind::Mean { border } => {
                        let count = if border { window.kernel[0] * window.kernel[1] } else { pixels().count().max(1) };
                        for c in 0..images.channels {
                            let all = pixels().map(|p| x[p * from_p + c * from_c]);
                            out[at * to_p + c * to_c] = T::mean(all, count);
                        }
                    }
                }
            }
        }
        Ok(Value::new(shape, out))
    }

    /// One answer for each channel of an image of any number of axes.
    fn whole<T: Pooled>(&self, value: &Value<'_>, x: &[T], axes: usize, cx: &mut Scratch) -> Result<Value<'static>> {
        let (&[count, ref rest @ ..], 1..) = (value.shape(), axes) else {
            return Err(Error::new(ErrorKind::WrongShape, "images have a batch, channels and further axes")
                .actual(crate::tensor::shape_text(value.shape())));
        };
        let channels = if self.last[0] { rest[axes] } else { rest[0] };
        let elements: usize = rest.iter().product();
        let pixels = elements.checked_div(channels).unwrap_or(0);
        let mut shape = crate::backend::native::value::Shape::from_slice(&[count, channels]);
        shape.extend(std::iter::repeat_n(1, axes));
        if self.last[1] {
            shape[1..].rotate_left(1);
        }
        let mut out = cx.buffer::<T>(cx.check_shape(&shape)?);
        if elements == 0 {
            out.resize(count * channels, T::mean(std::iter::empty(), 0));
            return Ok(Value::new(shape, out));
        }
        for image in x.chunks_exact(elements) {
            if self.last[0] {
                self.pixels(image, channels, pixels, &mut out);
                continue;
            }
            for c in 0..channels {
                let all = image[c * pixels..][..pixels].iter().copied();
                out.push(match self.kind {
                    Kind::Max => all.fold(T::LEAST, larger),
                    Kind::Mean { .. } => T::mean(all, pixels),
                });
            }
        }
        Ok(Value::new(shape, out))
    }

    /// The answers for one image that lies channels last, pixel by pixel so that channels stand side by side.
    fn pixels<T: Pooled>(&self, image: &[T], channels: usize, pixels: usize, out: &mut Vec<T>) {
        if self.kind == Kind::Max {
            let first = out.len();
            out.resize(first + channels, T::LEAST);
            for pixel in image.chunks_exact(channels) {
                out[first..].iter_mut().zip(pixel).for_each(|(o, v)| *o = larger(*o, *v));
            }
            return;
        }
        const LANES: usize = 64;
        for c in (0..channels).step_by(LANES) {
            let width = LANES.min(channels - c);
            let mut sums = [0.0f32; LANES];
            for pixel in image.chunks_exact(channels) {
                for (sum, v) in sums.iter_mut().zip(&pixel[c..c + width]) {
                    *sum = T::sum(*sum, *v);
                }
            }
            out.extend(sums[..width].iter().map(|sum| T::over(*sum, pixels)));
        }
    }
}

impl Op for Pool {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let value = args.get(0)?;
        Ok(smallvec![match value.data() {
            Data::F32(_) => self.pooled::<f32>(value, cx)?,
            Data::U8(_) => self.pooled::<u8>(value, cx)?,
            Data::I8(_) => self.pooled::<i8>(value, cx)?,
            _ => match &self.general {
                Some(general) => return general.outputs(value, cx),
                None => {
                    return Err(Error::new(ErrorKind::Unsupported, "pools of other elements than f32, u8 and i8")
                        .actual(value.type_text()));
                }
            },
        }])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.first().is_none_or(|x| !x.only_first())
    }
}
