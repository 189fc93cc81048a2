//! `RoiAlign` by the largest sample of each bin.

use super::learned::text;
use super::network::misfit;
use super::values::{Packer, Value, unsupported};
use crate::Result;
use crate::backend::native::Sampling;
use crate::edge::{Binary, Kind, Reduction};
use crate::onnx::NodeProto;
use crate::onnx::node::{float, int};

impl Packer {
    /// Bins of known regions, each the largest of the shares of pixels that its samples take.
    pub(super) fn largest_of_regions(&mut self, node: &NodeProto) -> Result<Value> {
        let x = self.input(node, 0)?;
        let (regions, images) = (self.known(node, 1)?.unwrap_or_default(), self.ints(node, 2)?.unwrap_or_default());
        let [count, channels, height, width] = *x.shape.as_slice() else {
            return Err(misfit(node, "regions of what are no images"));
        };
        let length = |name: &str, default: i64| usize::try_from(int(node, name, default)).unwrap_or(0);
        let default = if self.opset < 16 { "output_half_pixel" } else { "half_pixel" };
        let sampling = Sampling {
            size: [length("output_height", 1), length("output_width", 1)],
            half_pixel: text(node, "coordinate_transformation_mode", default) == "half_pixel",
            samples: length("sampling_ratio", 0),
            scale: float(node, "spatial_scale", 1.0).into(),
        };
        let [rows, columns] = sampling.size;
        let shape = [images.len(), channels, rows, columns];
        if regions.len() != 4 * images.len() || self.check(node, &shape)? * x.len() == 0 {
            return Err(misfit(node, "regions that do not fit the images, or none"));
        }
        // For each number of the answer, pixels and their shares; outside of the image stand zeros.
        let mut bins: Vec<Vec<(Option<usize>, f32)>> = Vec::with_capacity(shape.iter().product());
        for (region, image) in regions.chunks_exact(4).zip(&images) {
            let image = usize::try_from(*image).ok().filter(|image| *image < count);
            let image = image.ok_or_else(|| misfit(node, "a region of an image that is not there"))?;
            let [ys, xs] = sampling.axes([0, 1, 2, 3].map(|i| region[i].into()), height, width)?;
            for channel in 0..channels {
                let first = (image * channels + channel) * height * width;
                for (ys, xs) in ys.iter().flat_map(|ys| xs.iter().map(move |xs| (ys, xs))) {
                    let mut bin = Vec::new();
                    for (y, x) in ys.iter().flat_map(|y| xs.iter().map(move |x| (y, x))) {
                        let (Some(y), Some(x)) = (y, x) else {
                            bin.push((None, 0.0));
                            continue;
                        };
                        for ((row, a), (column, b)) in y.iter().flat_map(|y| x.iter().map(move |x| (y, x))) {
                            bin.push((Some(first + row * width + column), (a * b) as f32));
                        }
                    }
                    bins.push(bin);
                }
            }
        }
        let most = bins.iter().map(Vec::len).max().unwrap_or(0);
        let all = self.check(node, &[bins.len(), most])?;
        if most == 0 {
            return Err(unsupported(node, "regions without samples"));
        }
        let (mut places, mut shares) = (Vec::with_capacity(all), Vec::with_capacity(all));
        for bin in bins {
            let filler = bin.first().copied().unwrap_or((None, 0.0));
            for (place, share) in bin.iter().copied().chain(std::iter::repeat(filler)).take(most) {
                places.push(place);
                shares.push(share);
            }
        }
        let pixels = self.windows(&x, &[places.len()], &places, 0.0);
        let parts = self.zip(node, Binary::Multiply, &pixels, &Value::known(&[all], Kind::F32, shares), Kind::F32)?;
        let span = self.span(&parts);
        Ok(Value::slot(&shape, x.kind, self.program.reduce(Reduction::Maximum, span, most, 1)))
    }
}
