//! Where windows stand on an image.

use super::axis;
use crate::backend::native::node::Node;
use crate::backend::native::value::Shape;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

/// Lengths, strides and borders that are refused as hostile.
const MOST: i64 = 1 << 16;

/// How the border around an image is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Border {
    /// Above, left, below, right.
    Given([usize; 4]),
    /// As many outputs as strides fit into the image; an odd rest goes behind, or in front.
    Same { upper: bool },
}

/// The windows of a convolution or a pool over one or two axes; one axis is the second of an image of height 1.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) strides: [usize; 2],
    pub(super) dilations: [usize; 2],
    border: Border,
    /// Whether windows that reach past the border count.
    ceil: bool,
    /// One axis or two.
    pub(super) axes: usize,
}

/// How the windows stand on images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    /// Height and width of the image.
    pub(super) size: [usize; 2],
    /// Height and width with the border.
    pub(super) padded: [usize; 2],
    /// Rows above and columns left of the image.
    pub(super) offset: [usize; 2],
    /// How many windows there are, by rows and columns.
    pub(super) windows: [usize; 2],
}

impl Window {
    /// The windows of `node`, whose kernel has the lengths `kernel`.
    pub(super) fn of(node: &Node<'_>, kernel: &[usize]) -> Result<Self> {
        let axes = kernel.len();
        if !(1..=2).contains(&axes) || kernel.iter().any(|&k| k == 0 || k as i64 > MOST) {
            return Err(node.unsupported("windows over one or two axes are taken").actual(axes));
        }
        let list = |name: &str, default: i64, count: usize| -> Result<Vec<usize>> {
            let items = node.ints(name)?.map_or_else(|| vec![default; count], <[i64]>::to_vec);
            let least = i64::from(name != "pads");
            if items.len() != count || items.iter().any(|i| !(least..=MOST).contains(i)) {
                return Err(node.unsupported(format!("these `{name}`")).actual(format!("{items:?}")));
            }
            Ok(items.into_iter().map(|i| i as usize).collect())
        };
        let two = |items: &[usize], first: usize| match items {
            [one] => [first, *one],
            items => [items[0], items[1]],
        };
        let border = match node.string_or("auto_pad", "NOTSET")? {
            "NOTSET" | "" => {
                let pads = list("pads", 0, 2 * axes)?;
                Border::Given(if axes == 1 { [0, pads[0], 0, pads[1]] } else { [pads[0], pads[1], pads[2], pads[3]] })
            }
            "VALID" => Border::Given([0; 4]),
            "SAME_UPPER" => Border::Same { upper: true },
            "SAME_LOWER" => Border::Same { upper: false },
            other => return Err(node.malformed("an unknown `auto_pad`").actual(other)),
        };
        Ok(Self {
            kernel: two(kernel, 1),
            strides: two(&list("strides", 1, axes)?, 1),
            dilations: two(&list("dilations", 1, axes)?, 1),
            border,
            ceil: node.flag("ceil_mode", false)?,
            axes,
        })
    }

    /// How the windows stand on images of height and width `size`.
    pub(super) fn frame(&self, size: [usize; 2]) -> Result<Frame> {
        let (mut padded, mut offset, mut windows) = ([0; 2], [0; 2], [0; 2]);
        for axis in 0..2 {
            let (len, stride) = (size[axis], self.strides[axis]);
            let reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1;
            let border = match self.border {
                Border::Given(pads) => axis::Border::Given(pads[axis], pads[axis + 2]),
                Border::Same { upper } => axis::Border::Same { upper },
            };
            let found = axis::stand(len, reach, stride, border, self.ceil).map_err(|whole| {
                Error::new(ErrorKind::WrongShape, "a window is larger than the image with its border")
                    .expected(reach)
                    .actual(whole)
            })?;
            let (before, count) = (found.before, found.windows);
            windows[axis] = count;
            offset[axis] = before;
            padded[axis] = (len + before + found.after).max((count - 1) * stride + reach);
        }
        Ok(Frame { size, padded, offset, windows })
    }
}

impl Window {
    /// What `larger` leaves of each window and of what stands in `out`, for one channel, a row of windows at a time.
    pub(super) fn largest<T: Copy>(&self, frame: &Frame, plane: &[T], out: &mut [T], larger: impl Fn(T, T) -> T) {
        let (Frame { size: [height, width], offset, .. }, stride) = (*frame, self.strides[1]);
        for (oy, out) in out.chunks_exact_mut(frame.windows[1]).enumerate() {
            for ky in 0..self.kernel[0] {
                let y = (oy * self.strides[0] + ky * self.dilations[0]).checked_sub(offset[0]);
                let Some(y) = y.filter(|y| *y < height) else { continue };
                let row = &plane[y * width..][..width];
                for kx in 0..self.kernel[1] {
                    // The windows whose pixel kx lies on the image.
                    let shift = kx * self.dilations[1];
                    let first = offset[1].saturating_sub(shift).div_ceil(stride);
                    let end = (width + offset[1]).saturating_sub(shift).div_ceil(stride).min(out.len());
                    if first < end {
                        let pixels = row[first * stride + shift - offset[1]..].iter().step_by(stride);
                        out[first..end].iter_mut().zip(pixels).for_each(|(o, v)| *o = larger(*o, *v));
                    }
                }
            }
        }
    }
}

impl Frame {
    /// Whether there is no border.
    pub(super) fn bare(&self) -> bool {
        self.padded == self.size && self.offset == [0; 2]
    }
}

/// The axes of a batch of images: how many, channels, height and width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Images {
    pub(super) count: usize,
    pub(super) channels: usize,
    pub(super) size: [usize; 2],
}

impl Images {
    /// The axes of a value of `shape` with one or two axes for the image, which stands channels last or first.
    pub(super) fn of(shape: &[usize], axes: usize, last: bool) -> Result<Self> {
        let wrong = || {
            Error::new(ErrorKind::WrongShape, "images have a batch, channels and as many axes as their windows")
                .expected(axes + 2)
                .actual(shape_text(shape))
        };
        let (count, channels, size) = match (shape, axes, last) {
            (&[count, channels, w], 1, false) | (&[count, w, channels], 1, true) => (count, channels, [1, w]),
            (&[count, channels, h, w], 2, false) | (&[count, h, w, channels], 2, true) => (count, channels, [h, w]),
            _ => return Err(wrong()),
        };
        Ok(Self { count, channels, size })
    }

    /// The shape of a value of such images.
    pub(super) fn shape(self, axes: usize, last: bool) -> Shape {
        let [h, w] = self.size;
        let (count, channels) = (self.count, self.channels);
        match (axes, last) {
            (1, false) => Shape::from_slice(&[count, channels, w]),
            (1, true) => Shape::from_slice(&[count, w, channels]),
            (_, false) => Shape::from_slice(&[count, channels, h, w]),
            (_, true) => Shape::from_slice(&[count, h, w, channels]),
        }
    }

    /// The pixels of one image.
    pub(super) fn pixels(self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The elements of one image.
    pub(super) fn elements(self) -> usize {
        self.pixels() * self.channels
    }
}

/// Whether a node of the fused operators reads, and gives, images channels last.
pub(super) fn channels_last(node: &Node<'_>) -> Result<[bool; 2]> {
    Ok([node.flag("last_in", false)?, node.flag("last_out", false)?])
}
