//! Where windows stand on images of any number of axes.

use super::super::axis;
use crate::backend::native::node::Node;
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

/// Strides and borders that are refused as hostile.
const MOST: i64 = 1 << 16;

/// Marks a place of a window that lies outside of the image.
pub(super) const OUTSIDE: usize = usize::MAX;

/// How the border around an image is found.
#[derive(Debug)]
pub(super) enum Border {
    /// What stands before each axis, then behind each; nothing where there is none.
    Given(Vec<usize>),
    /// As many windows as strides fit into the image; an odd rest goes behind, or in front.
    Same { upper: bool },
}

/// The attributes of windows; an empty list is one for each axis, or none for the border.
#[derive(Debug)]
pub(super) struct Windows {
    pub(super) kernel: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) dilations: Vec<usize>,
    pub(super) border: Border,
    ceil: bool,
}

/// How windows stand on images of one size.
#[derive(Debug)]
pub(super) struct Grid {
    /// The lengths of the image, without its border.
    pub(super) size: Vec<usize>,
    /// How many windows there are along each axis.
    pub(super) windows: Vec<usize>,
    pub(super) kernel: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) dilations: Vec<usize>,
    /// The border before each axis, and behind it.
    pub(super) before: Vec<usize>,
    pub(super) after: Vec<usize>,
}

/// The list `name` of counts of at least `least`; empty where it is not given.
pub(super) fn counts(node: &Node<'_>, name: &str, least: i64) -> Result<Vec<usize>> {
    let items = node.ints(name)?.unwrap_or_default();
    if items.iter().any(|i| !(least..=MOST).contains(i)) {
        return Err(node.unsupported(format!("these `{name}`")).actual(format!("{items:?}")));
    }
    Ok(items.iter().map(|&i| i as usize).collect())
}

/// `given`, or as many times `default` as there are axes.
pub(super) fn each_axis(given: &[usize], default: usize, axes: usize) -> Result<Vec<usize>> {
    match given.len() {
        0 => Ok(vec![default; axes]),
        n if n == axes => Ok(given.to_vec()),
        n => Err(Error::new(ErrorKind::WrongShape, "the attributes of windows do not fit the axes of their image")
            .expected(axes)
            .actual(n)),
    }
}

impl Windows {
    pub(super) fn of(node: &Node<'_>) -> Result<Self> {
        let border = match node.string_or("auto_pad", "NOTSET")? {
            "NOTSET" | "" => Border::Given(counts(node, "pads", 0)?),
            "VALID" => Border::Given(Vec::new()),
            "SAME_UPPER" => Border::Same { upper: true },
            "SAME_LOWER" => Border::Same { upper: false },
            other => return Err(node.malformed("an unknown `auto_pad`").actual(other)),
        };
        Ok(Self {
            kernel: counts(node, "kernel_shape", 1)?,
            strides: counts(node, "strides", 1)?,
            dilations: counts(node, "dilations", 1)?,
            border,
            ceil: node.flag("ceil_mode", false)?,
        })
    }

    /// How windows of the lengths `kernel` stand on images of the lengths `size`.
    pub(super) fn grid(&self, kernel: &[usize], size: &[usize]) -> Result<Grid> {
        let axes = size.len();
        if kernel.len() != axes || axes == 0 || kernel.contains(&0) {
            return Err(Error::new(ErrorKind::WrongShape, "a window does not fit the axes of its image")
                .expected(axes)
                .actual(shape_text(kernel)));
        }
        let (strides, dilations) = (each_axis(&self.strides, 1, axes)?, each_axis(&self.dilations, 1, axes)?);
        let (mut windows, mut before, mut after) = (vec![0; axes], vec![0; axes], vec![0; axes]);
        for at in 0..axes {
            let (len, stride) = (size[at], strides[at]);
            let reach = (kernel[at] - 1).saturating_mul(dilations[at]).saturating_add(1);
            let border = match &self.border {
                Border::Given(pads) => {
                    let pads = each_axis(pads, 0, 2 * axes)?;
                    axis::Border::Given(pads[at], pads[axes + at])
                }
                Border::Same { upper } => axis::Border::Same { upper: *upper },
            };
            let found = axis::stand(len, reach, stride, border, self.ceil).map_err(|whole| {
                Error::new(ErrorKind::WrongShape, "a window is larger than the image with its border")
                    .expected(reach)
                    .actual(whole)
            })?;
            (before[at], after[at], windows[at]) = (found.before, found.after, found.windows);
        }
        Ok(Grid { size: size.to_vec(), windows, kernel: kernel.to_vec(), strides, dilations, before, after })
    }
}

impl Grid {
    /// The places of a window.
    pub(super) fn places(&self) -> usize {
        self.kernel.iter().product()
    }

    /// The windows on an image.
    pub(super) fn count(&self) -> usize {
        self.windows.iter().product()
    }

    /// The pixels of an image.
    pub(super) fn pixels(&self) -> usize {
        self.size.iter().product()
    }

    /// Calls `f` for every window, in order, with its number along each axis and where its places lie on the image, or
    /// [`OUTSIDE`].
    pub(super) fn each(&self, mut f: impl FnMut(&[usize], &[usize]) -> Result<()>) -> Result<()> {
        let axes = self.size.len();
        let mut places = vec![OUTSIDE; self.places()];
        let mut window = vec![0; axes];
        if self.windows.contains(&0) {
            return Ok(());
        }
        loop {
            let mut place = vec![0; axes];
            for slot in &mut places {
                let mut at = 0;
                for axis in 0..axes {
                    let from = window[axis] * self.strides[axis] + place[axis] * self.dilations[axis];
                    match from.checked_sub(self.before[axis]).filter(|&p| p < self.size[axis]) {
                        Some(p) if at != OUTSIDE => at = at * self.size[axis] + p,
                        _ => at = OUTSIDE,
                    }
                }
                *slot = at;
                next(&mut place, &self.kernel);
            }
            f(&window, &places)?;
            if !next(&mut window, &self.windows) {
                return Ok(());
            }
        }
    }

    /// How many places of `window` lie on the image or its border.
    pub(super) fn bordered(&self, window: &[usize]) -> usize {
        (0..window.len())
            .map(|axis| {
                let whole = self.size[axis] + self.before[axis] + self.after[axis];
                let room = whole.saturating_sub(window[axis] * self.strides[axis]);
                room.div_ceil(self.dilations[axis]).min(self.kernel[axis])
            })
            .product()
    }
}

/// The next index in row-major order; whether there was one.
pub(super) fn next(index: &mut [usize], lengths: &[usize]) -> bool {
    for axis in (0..index.len()).rev() {
        index[axis] += 1;
        if index[axis] < lengths[axis] {
            return true;
        }
        index[axis] = 0;
    }
    false
}

/// The axes of a batch of images: how many, channels, and the lengths of an image.
pub(super) fn images(shape: &[usize]) -> Result<(usize, usize, &[usize])> {
    match shape {
        [count, channels, size @ ..] if !size.is_empty() => Ok((*count, *channels, size)),
        _ => Err(Error::new(ErrorKind::WrongShape, "images have a batch, channels and further axes")
            .actual(shape_text(shape))),
    }
}

/// The shape of `count` images of `channels` and the lengths `size`.
pub(super) fn image_shape(count: usize, channels: usize, size: &[usize]) -> Vec<usize> {
    [&[count, channels], size].concat()
}
