//! `RoiAlign`: regions of images, each brought to one size.

use smallvec::smallvec;

use crate::backend::native::node::Node;
use crate::backend::native::op::{Args, Flow, Op, Outs, Scratch};
use crate::backend::native::ops::Group;
use crate::backend::native::ops::layout::index_of;
use crate::backend::native::ops::wide::{floats, rounded};
use crate::tensor::shape_text;
use crate::{Error, ErrorKind, Result};

pub(super) const GROUP: Group = &[("RoiAlign", build)];

/// The most places that one bin of a region is sampled at along an axis.
const MOST_SAMPLES: f64 = 4096.0;

#[derive(Debug)]
struct RoiAlign {
    /// Whether the largest sample counts, not their mean.
    largest: bool,
    sampling: Sampling,
}

/// Where the bins of regions are sampled.
#[derive(Debug)]
pub(crate) struct Sampling {
    /// Height and width of the answer.
    pub(crate) size: [usize; 2],
    /// Whether pixels are points half a pixel from the corner.
    pub(crate) half_pixel: bool,
    /// The samples of a bin along each axis; as many as it has pixels where 0.
    pub(crate) samples: usize,
    pub(crate) scale: f64,
}

/// Along one axis of a sample: the two pixels it lies between, with their shares; nothing outside of the image.
type Between = Option<[(usize, f64); 2]>;

fn build(node: &Node<'_>) -> Result<Box<dyn Op>> {
    let length = |name: &str, default: i64| -> Result<usize> {
        let n = node.int_or(name, default)?;
        usize::try_from(n)
            .ok()
            .filter(|&n| n <= 1 << 12)
            .ok_or_else(|| node.unsupported(format!("this `{name}`")).actual(n))
    };
    let largest = match node.string_or("mode", "avg")? {
        "avg" => false,
        "max" => true,
        other => return Err(node.malformed("an unknown `mode`").actual(other)),
    };
    // The first version does not shift.
    let default = if node.opset() < 16 { "output_half_pixel" } else { "half_pixel" };
    let half_pixel = match node.string_or("coordinate_transformation_mode", default)? {
        "half_pixel" => true,
        "output_half_pixel" => false,
        other => return Err(node.malformed("an unknown `coordinate_transformation_mode`").actual(other)),
    };
    let sampling = Sampling {
        size: [length("output_height", 1)?, length("output_width", 1)?],
        half_pixel,
        samples: length("sampling_ratio", 0)?,
        scale: node.float_or("spatial_scale", 1.0)?.into(),
    };
    Ok(Box::new(RoiAlign { largest, sampling }))
}

fn between(at: f64, length: usize) -> Between {
    if !(-1.0..=length as f64).contains(&at) || length == 0 {
        return None;
    }
    let (at, last) = (at.max(0.0), length - 1);
    let low = at as usize;
    if low >= last {
        return Some([(last, 1.0), (last, 0.0)]);
    }
    let rest = at - low as f64;
    Some([(low, 1.0 - rest), (low + 1, rest)])
}

impl Sampling {
    /// For the rows of bins of a region (x1, y1, x2, y2), then for their columns: the samples of each along that axis of an
    /// image of this height and width.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`] for a region that is too large, or no number.
    pub(crate) fn axes(&self, region: [f64; 4], height: usize, width: usize) -> Result<[Vec<Vec<Between>>; 2]> {
        let shift = if self.half_pixel { 0.5 } else { 0.0 };
        let [x1, y1, x2, y2] = region.map(|at| at * self.scale - shift);
        let side = |from: f64, to: f64| if self.half_pixel { to - from } else { (to - from).max(1.0) };
        let along = |start: f64, whole: f64, count: usize, length: usize| {
            let bin = whole / count as f64;
            let samples = if self.samples > 0 { self.samples as f64 } else { bin.ceil().max(0.0) };
            if !samples.is_finite() || !start.is_finite() || samples > MOST_SAMPLES {
                return Err(Error::new(ErrorKind::InvalidValue, "a region of RoiAlign is too large or no number")
                    .actual(format!("{region:?}")));
            }
            let n = samples as usize;
            let at = |i: usize, k: usize| start + bin * i as f64 + (k as f64 + 0.5) * bin / n as f64;
            Ok((0..count).map(|i| (0..n).map(|k| between(at(i, k), length)).collect()).collect())
        };
        Ok([along(y1, side(y1, y2), self.size[0], height)?, along(x1, side(x1, x2), self.size[1], width)?])
    }
}

impl Op for RoiAlign {
    fn run<'v>(&self, args: &mut Args<'_, 'v>, cx: &mut Scratch) -> Result<Outs<'v>> {
        let (value, regions, batches) = (args.get(0)?, args.get(1)?, args.get(2)?);
        let (&[count, channels, height, width], &[rois, 4]) = (value.shape(), regions.shape()) else {
            return Err(Error::new(
                ErrorKind::WrongShape,
                "RoiAlign takes images (n, channels, h, w) and regions (m, 4)",
            )
            .actual(format!("{} and {}", shape_text(value.shape()), shape_text(regions.shape()))));
        };
        let batches = batches.to_i64s()?;
        if batches.len() != rois {
            return Err(Error::new(ErrorKind::WrongShape, "RoiAlign takes the number of an image for each region")
                .expected(rois)
                .actual(batches.len()));
        }
        let [rows, columns] = self.sampling.size;
        let shape = [rois, channels, rows, columns];
        let mut out = Vec::with_capacity(cx.check_shape(&shape)?);
        let (items, regions) = (floats(value)?, floats(regions)?);
        for (region, &batch) in regions.chunks_exact(4).zip(&batches) {
            let batch = index_of(batch, count)?;
            let [ys, xs] = self.sampling.axes([0, 1, 2, 3].map(|i| region[i]), height, width)?;
            for channel in 0..channels {
                let image = &items[(batch * channels + channel) * height * width..][..height * width];
                for (ys, xs) in ys.iter().flat_map(|y| xs.iter().map(move |x| (y, x))) {
                    let (mut sum, mut most) = (0.0, f64::NEG_INFINITY);
                    for (y, x) in ys.iter().flat_map(|y| xs.iter().map(move |x| (y, x))) {
                        let (Some(y), Some(x)) = (y, x) else {
                            most = most.max(0.0);
                            continue;
                        };
                        for ((row, a), (column, b)) in y.iter().flat_map(|y| x.iter().map(move |x| (y, x))) {
                            let part = a * b * image[row * width + column];
                            sum += part;
                            most = most.max(part);
                        }
                    }
                    let count = ys.len() * xs.len();
                    out.push(if !self.largest {
                        sum / count.max(1) as f64
                    } else if count == 0 {
                        0.0
                    } else {
                        most
                    });
                }
            }
        }
        Ok(smallvec![rounded(out, shape.as_slice(), value.data())])
    }

    fn mixes_rows(&self, inputs: &[Flow], _outputs: &[Flow]) -> bool {
        inputs.iter().any(Flow::any)
    }
}
