//! What walks over images: convolutions and pools.

use super::learned::{ints, text};
use super::network::misfit;
use super::program::Axis;
use super::shapes::crossed;
use super::values::{Data, Packer, Value, unsupported};
use crate::Result;
use crate::backend::native::{Border, stand};
use crate::edge::{Binary, Kind, Reduction, Unary};
use crate::onnx::NodeProto;
use crate::onnx::node::int;

/// How a kernel walks over the axes behind batch and channels.
pub(super) struct Walk {
    axes: Vec<Axis>,
}

impl Walk {
    /// Of a node with the usual attributes, over axes of lengths `input` by a kernel of lengths `kernel`.
    pub(super) fn of(node: &NodeProto, input: &[usize], kernel: &[usize]) -> Result<Self> {
        let rank = input.len();
        let list = |name: &str, n: usize, default: i64| -> Result<Vec<usize>> {
            let given = ints(node, name);
            let given = if given.is_empty() { vec![default; n] } else { given.to_vec() };
            let sizes: Option<Vec<usize>> =
                given.iter().map(|v| usize::try_from(*v).ok().filter(|v| *v < 1 << 30)).collect();
            sizes
                .filter(|sizes| sizes.len() == n)
                .ok_or_else(|| misfit(node, "strides, pads and dilations that do not fit"))
        };
        let (strides, dilations) = (list("strides", rank, 1)?, list("dilations", rank, 1)?);
        let pads = list("pads", 2 * rank, 0)?;
        if rank == 0 || rank > 3 || kernel.len() != rank || strides.iter().chain(&dilations).any(|n| *n == 0) {
            return Err(unsupported(node, "a kernel over these axes"));
        }
        let ceil = int(node, "ceil_mode", 0) != 0;
        let auto = text(node, "auto_pad", "NOTSET");
        let mut axes = Vec::new();
        for i in 0..rank {
            let (n, k, stride, dilation) = (input[i], kernel[i], strides[i], dilations[i]);
            let reach = k.saturating_sub(1).checked_mul(dilation).map_or(usize::MAX, |reach| reach.saturating_add(1));
            if k == 0 || n == 0 || reach > 1 << 31 {
                return Err(misfit(node, "a kernel of nothing, or over nothing"));
            }
            let border = match auto.as_str() {
                "NOTSET" | "" => Border::Given(pads[i], pads[rank + i]),
                "VALID" => Border::Given(0, 0),
                "SAME_UPPER" => Border::Same { upper: true },
                "SAME_LOWER" => Border::Same { upper: false },
                _ => return Err(unsupported(node, "this `auto_pad`")),
            };
            let found = stand(n, reach, stride, border, ceil)
                .map_err(|_| misfit(node, "a kernel that is larger than what it walks over"))?;
            let (before, output) = (found.before, found.windows);
            axes.push([n, k, stride, dilation, before, output]);
        }
        Ok(Self { axes })
    }

    pub(super) fn outputs(&self) -> impl Iterator<Item = usize> + '_ {
        self.axes.iter().map(|axis| axis[5])
    }

    /// As three axes.
    fn three(&self) -> [Axis; 3] {
        let mut three = [[1, 1, 1, 1, 0, 1]; 3];
        let skipped = 3 - self.axes.len();
        three[skipped..].copy_from_slice(&self.axes);
        three
    }

    /// For each output, then each element of the kernel, the place in the input that it meets.
    fn places(&self) -> Vec<Option<usize>> {
        let mut places: Vec<Vec<Option<usize>>> = vec![vec![Some(0)]];
        for &[n, kernel, stride, dilation, before, output] in &self.axes {
            let meets = |o: usize, k: usize| (o * stride + k * dilation).checked_sub(before).filter(|at| *at < n);
            let next = |window: &Vec<Option<usize>>| -> Vec<Vec<Option<usize>>> {
                let at = |o: usize| {
                    window.iter().flat_map(move |place| (0..kernel).map(move |k| Some((*place)? * n + meets(o, k)?)))
                };
                (0..output).map(|o| at(o).collect()).collect()
            };
            places = places.iter().flat_map(next).collect();
        }
        places.into_iter().flatten().collect()
    }
}

/// Windows over the channels of images.
struct Pool {
    /// The images as one with the channels of all.
    x: Value,
    walk: Walk,
    /// The shape of the answer, and the numbers of a window.
    shape: Vec<usize>,
    kernel: usize,
}

/// The order of a norm, a float in the first version of its operator.
fn order(node: &NodeProto) -> f32 {
    let p = node.find_attribute("p");
    p.and_then(|p| p.f.or(p.i.map(|p| p as f32))).unwrap_or(2.0)
}

impl Packer {
    /// Packs a node that walks over the axes behind batch and channels, unless it is of another kind.
    pub(super) fn windowed(&mut self, node: &NodeProto) -> Result<Option<Value>> {
        Ok(Some(match node.operator() {
            "Conv" => {
                let (x, w) = (self.input(node, 0)?, self.input(node, 1)?);
                match self.opt(node, 2)? {
                    Some(Value { data: Data::Known(bias), .. }) => self.convolved(node, &x, &w, Some(&bias))?,
                    None => self.convolved(node, &x, &w, None)?,
                    Some(bias) => {
                        let sums = self.convolved(node, &x, &w, None)?;
                        self.with_bias(node, &sums, bias)?
                    }
                }
            }
            "ConvTranspose" => self.transposed_convolution(node)?,
            "MaxPool" => self.greatest_of_windows(node)?,
            "AveragePool" => self.mean_of_windows(node)?,
            "LpPool" => self.norm_of_windows(node)?,
            "GlobalAveragePool" => self.pooled(node, Reduction::Mean)?,
            "GlobalMaxPool" => self.pooled(node, Reduction::Maximum)?,
            "GlobalLpPool" => {
                let p = order(node);
                let x = self.input(node, 0)?;
                let powers = self.powers(node, &x, p)?;
                let sums = self.pooled_of(node, &powers, Reduction::Sum)?;
                self.roots(node, &sums, p)?
            }
            _ => return Ok(None),
        }))
    }

    /// `sums` (n, channels, axes...) plus a number for each channel.
    fn with_bias(&mut self, node: &NodeProto, sums: &Value, bias: Value) -> Result<Value> {
        let shape = [bias.len()].into_iter().chain(sums.shape.iter().skip(2).map(|_| 1)).collect();
        self.zip(node, Binary::Add, sums, &Value { shape, ..bias }, Kind::F32)
    }

    /// A convolution of `x` (n, channels, axes...) with weights (filters, channels of a group, axes...).
    pub(super) fn convolved(&mut self, node: &NodeProto, x: &Value, w: &Value, bias: Option<&[f32]>) -> Result<Value> {
        let groups = usize::try_from(int(node, "group", 1)).unwrap_or(0);
        let ([images, channels, input @ ..], [filters, own, kernel @ ..]) = (x.shape.as_slice(), w.shape.as_slice())
        else {
            return Err(misfit(node, "a convolution of what has no channels"));
        };
        let fits = groups > 0
            && own.checked_mul(groups) == Some(*channels)
            && filters.is_multiple_of(groups)
            && bias.is_none_or(|bias| bias.len() == *filters)
            && input.len() == kernel.len();
        if !fits {
            return Err(misfit(node, "weights that do not fit the channels"));
        }
        let walk = Walk::of(node, input, kernel)?;
        self.each_image(node, x, *images, |packer, image| packer.walked(node, image, &walk, groups, w, bias))
    }

    /// One image (1, channels, axes...) under weights (filters, channels of a group, axes...).
    fn walked(
        &mut self,
        node: &NodeProto,
        image: &Value,
        walk: &Walk,
        groups: usize,
        w: &Value,
        bias: Option<&[f32]>,
    ) -> Result<Value> {
        let filters = w.shape[0];
        let shape: Vec<usize> = [1, filters].into_iter().chain(walk.outputs()).collect();
        self.check(node, &shape)?;
        let none = vec![0.0; filters];
        if let Data::Known(weights) = &w.data {
            let span = self.span(image);
            let span = self.program.convolve(span, groups, &walk.three(), weights, bias.unwrap_or(&none));
            return Ok(Value::slot(&shape, Kind::F32, span));
        }
        // Computed weights: each group's filters times what every window sees.
        let plane: usize = image.shape[2..].iter().product();
        let (own, pixels) = (w.shape[1], w.shape[2..].iter().product::<usize>());
        let windows: usize = walk.outputs().product();
        self.check(node, &[groups, windows, own, pixels])?;
        let seen = walk.places();
        let mut parts = Vec::new();
        for group in 0..groups {
            let mut places = Vec::with_capacity(own * pixels * windows);
            for (channel, pixel) in (0..own).flat_map(|channel| (0..pixels).map(move |pixel| (channel, pixel))) {
                let first = (group * own + channel) * plane;
                places.extend(seen.chunks_exact(pixels).map(|window| window[pixel].map(|at| first + at)));
            }
            let patches = self.windows(image, &[own * pixels, windows], &places, 0.0);
            let each = filters / groups * own * pixels;
            let own_filters: Vec<usize> = (group * each..(group + 1) * each).collect();
            let weights = self.arranged(w, &[filters / groups, own * pixels], &own_filters);
            parts.push(self.multiplied(node, &weights, &patches)?);
        }
        let sums = Value { shape, ..self.concat(node, &parts, 0)? };
        match bias {
            Some(bias) => self.with_bias(node, &sums, Value::known(&[filters], Kind::F32, bias.to_vec())),
            None => Ok(sums),
        }
    }

    /// What `f` gives for each of the images, one behind the other.
    fn each_image(
        &mut self,
        node: &NodeProto,
        x: &Value,
        images: usize,
        f: impl Fn(&mut Self, &Value) -> Result<Value>,
    ) -> Result<Value> {
        if images == 1 {
            return f(self, x);
        }
        let each = x.len() / images.max(1);
        let shape: Vec<usize> = [1].into_iter().chain(x.shape[1..].iter().copied()).collect();
        let mut parts = Vec::new();
        for i in 0..images {
            let places: Vec<usize> = (i * each..(i + 1) * each).collect();
            let image = self.arranged(x, &shape, &places);
            parts.push(f(self, &image)?);
        }
        self.concat(node, &parts, 0)
    }

    /// `ConvTranspose`: a convolution with the turned kernel of pixels that stand a stride apart.
    fn transposed_convolution(&mut self, node: &NodeProto) -> Result<Value> {
        let (x, w) = (self.input(node, 0)?, self.input(node, 1)?);
        let groups = usize::try_from(int(node, "group", 1)).unwrap_or(0);
        let ([images, channels, input @ ..], [taken, own, kernel @ ..]) = (x.shape.as_slice(), w.shape.as_slice())
        else {
            return Err(misfit(node, "a convolution of what has no channels"));
        };
        let rank = input.len();
        if groups == 0 || channels % groups != 0 || taken != channels || kernel.len() != rank || rank == 0 || rank > 3 {
            return Err(misfit(node, "weights that do not fit the channels"));
        }
        // `native` knows how large the answer is.
        let mut inputs = self.inputs(node)?;
        for value in inputs.iter_mut().flatten() {
            *value = Value::known(&value.shape, Kind::F32, vec![0.0; value.len()]);
        }
        let answers = self.answers(node, &inputs)?;
        let Some(to) = answers.first().and_then(|answer| answer.shape().get(2..)).filter(|to| to.len() == rank) else {
            return Err(misfit(node, "an answer without axes"));
        };
        let list = |name: &str, default: i64| -> Vec<usize> {
            let given = ints(node, name);
            let given = if given.is_empty() { vec![default; rank] } else { given.to_vec() };
            given.into_iter().map(|n| usize::try_from(n).unwrap_or(0)).collect()
        };
        let (strides, dilations, extra) = (list("strides", 1), list("dilations", 1), list("output_padding", 0));
        let pads: Vec<usize> = ints(node, "pads").iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
        let auto = text(node, "auto_pad", "NOTSET");
        let given = ints(node, "output_shape").is_empty() && matches!(auto.as_str(), "NOTSET" | "" | "VALID");
        let usable = |list: &[usize]| list.len() == rank && list.iter().all(|n| (1..1 << 30).contains(n));
        if !usable(&strides) || !usable(&dilations) || extra.len() != rank || !usable(kernel) {
            return Err(misfit(node, "strides, dilations and paddings that do not fit"));
        }
        let lengths = (0..rank).map(|i| to[i].saturating_add((kernel[i] - 1).saturating_mul(dilations[i])));
        self.check(node, &lengths.chain([*channels]).collect::<Vec<_>>())?;
        let mut axes = Vec::new();
        // For each axis, the pixel that stands at each place.
        let mut stand = Vec::new();
        for i in 0..rank {
            let (n, k, stride, dilation) = (input[i], kernel[i], strides[i], dilations[i]);
            let reach = (k - 1).saturating_mul(dilation);
            let natural = n
                .saturating_sub(1)
                .saturating_mul(stride)
                .saturating_add(reach)
                .saturating_add(1)
                .saturating_add(extra[i]);
            let over = natural.saturating_sub(to[i]);
            let before = match (given, auto.as_str()) {
                (true, _) => pads.get(i).copied().unwrap_or(0),
                (false, "SAME_UPPER") => over / 2,
                (false, _) => over - over / 2,
            };
            let length = to[i].saturating_add(reach);
            let pixel = |p: usize| {
                let at = p.saturating_add(before).checked_sub(reach)?;
                (at % stride == 0).then_some(at / stride).filter(|at| *at < n)
            };
            stand.push((0..length).map(pixel).collect::<Vec<_>>());
            axes.push([length, k, 1, dilation, 0, to[i]]);
        }
        let walk = Walk { axes };
        let all = [vec![Some(0)], (0..*channels).map(Some).collect()].into_iter().chain(stand.iter().cloned());
        let places = crossed(&all.collect::<Vec<_>>(), &[&[1, *channels], input].concat());
        let spread: Vec<usize> = [1, *channels].into_iter().chain(stand.iter().map(Vec::len)).collect();
        let (filters, each, pixels) = (own * groups, channels / groups, kernel.iter().product::<usize>());
        let mut turned = Vec::with_capacity(w.len());
        for filter in 0..filters {
            for c in 0..each {
                let at = ((filter / own * each + c) * own + filter % own) * pixels;
                turned.extend((at..at + pixels).rev());
            }
        }
        let turned = self.arranged(&w, &[&[filters, each], kernel].concat(), &turned);
        let bias = self.opt(node, 2)?;
        if bias.as_ref().is_some_and(|bias| bias.len() != filters) {
            return Err(misfit(node, "a bias that does not fit the channels"));
        }
        let sums = self.each_image(node, &x, *images, |packer, image| {
            let image = packer.windows(image, &spread, &places, 0.0);
            packer.walked(node, &image, &walk, groups, &turned, None)
        })?;
        match bias {
            Some(bias) => self.with_bias(node, &sums, bias),
            None => Ok(sums),
        }
    }

    /// The windows over each channel of input 0.
    fn pool(&self, node: &NodeProto) -> Result<Pool> {
        let given = self.input(node, 0)?;
        let [images, channels, input @ ..] = given.shape.as_slice() else {
            return Err(misfit(node, "a pool over what has no channels"));
        };
        let kernel: Vec<usize> = ints(node, "kernel_shape").iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
        let walk = Walk::of(node, input, &kernel)?;
        let shape: Vec<usize> = [*images, *channels].into_iter().chain(walk.outputs()).collect();
        let kernel = kernel.iter().product();
        self.check(node, &[&shape[..], &[kernel]].concat())?;
        let x = Value { shape: [&[1, images * channels], input].concat(), ..given.clone() };
        Ok(Pool { x, walk, shape, kernel })
    }

    fn greatest_of_windows(&mut self, node: &NodeProto) -> Result<Value> {
        let Pool { x, walk, shape, kernel } = self.pool(node)?;
        let (own, plane) = (walk.places(), x.shape[2..].iter().product::<usize>());
        let places: Vec<Option<usize>> =
            (0..x.shape[1]).flat_map(|c| own.iter().map(move |place| Some((*place)? + c * plane))).collect();
        let windows = self.windows(&x, &[places.len()], &places, f32::NEG_INFINITY);
        let windows = self.span(&windows);
        if node.output.get(1).is_some_and(|name| !name.is_empty()) {
            let winners = self.program.reduce(Reduction::ArgMax, windows, kernel, 1);
            let starts: Vec<f32> = (0..winners.len).map(|window| (window * kernel) as f32).collect();
            let starts = self.program.constant(&starts);
            let winners = self.program.zip(Binary::Add, winners, starts);
            let axes = &x.shape[2..];
            // Places may count the first axis fastest.
            let column_major = |place: usize| {
                let (mut rest, mut at) = (place % plane, place - place % plane);
                for (i, n) in axes.iter().enumerate().rev() {
                    at += rest % n * axes[..i].iter().product::<usize>();
                    rest /= n;
                }
                at
            };
            let turned = int(node, "storage_order", 0) != 0;
            let number = |place: usize| if turned { column_major(place) } else { place };
            let table: Vec<f32> = places.iter().map(|place| place.map_or(-1.0, |place| number(place) as f32)).collect();
            let span = self.program.rows(winners, 1, &table);
            self.give(node, 1, Value::slot(&shape, Kind::I64, span));
        }
        let span = self.program.reduce(Reduction::Maximum, windows, kernel, 1);
        Ok(Value::slot(&shape, x.kind, span))
    }

    fn mean_of_windows(&mut self, node: &NodeProto) -> Result<Value> {
        let Pool { x, walk, shape, kernel } = self.pool(node)?;
        let (channels, span) = (x.shape[1], self.span(&x));
        let weights = vec![1.0 / kernel as f32; channels * kernel];
        let span = self.program.convolve(span, channels, &walk.three(), &weights, &vec![0.0; channels]);
        let means = Value::slot(&shape, Kind::F32, span);
        let padded =
            |axis: &Axis| axis[4] > 0 || (axis[5] - 1) * axis[2] + (axis[1] - 1) * axis[3] >= axis[0] + axis[4];
        if !walk.axes.iter().any(padded) {
            return Ok(means);
        }
        // `native` knows how much of each window counts.
        let ones =
            Value::known(&[&[1, 1], &x.shape[2..]].concat(), Kind::F32, vec![1.0; x.shape[2..].iter().product()]);
        let answers = self.answers(node, &[Some(ones)])?;
        let answer = answers.first().ok_or_else(|| misfit(node, "a pool without an answer"))?.as_slice::<f32>()?;
        let inside = walk.places();
        let inside = inside.chunks_exact(kernel).map(|window| window.iter().flatten().count().max(1) as f32);
        let by = answer.iter().zip(inside).map(|(answer, n)| answer * kernel as f32 / n).collect();
        self.zip(node, Binary::Multiply, &means, &Value::known(&shape[2..], Kind::F32, by), Kind::F32)
    }

    /// One number for each channel.
    fn pooled(&mut self, node: &NodeProto, f: Reduction) -> Result<Value> {
        let x = self.input(node, 0)?;
        self.pooled_of(node, &x, f)
    }

    fn pooled_of(&mut self, node: &NodeProto, x: &Value, f: Reduction) -> Result<Value> {
        let len: usize = x.shape.iter().skip(2).product();
        if x.shape.len() < 2 || len == 0 {
            return Err(misfit(node, "a pool of nothing"));
        }
        let shape: Vec<usize> = x.shape.iter().enumerate().map(|(axis, n)| if axis < 2 { *n } else { 1 }).collect();
        let span = self.span(x);
        Ok(Value::slot(&shape, x.kind, self.program.reduce(f, span, len, 1)))
    }

    /// The magnitudes of `x` to the power of `p`.
    fn powers(&mut self, node: &NodeProto, x: &Value, p: f32) -> Result<Value> {
        let sizes = self.map(Unary::Absolute, x, x.kind);
        self.zip(node, Binary::Power, &sizes, &Value::known(&[], Kind::F32, vec![p]), Kind::F32)
    }

    fn roots(&mut self, node: &NodeProto, x: &Value, p: f32) -> Result<Value> {
        self.zip(node, Binary::Power, x, &Value::known(&[], Kind::F32, vec![1.0 / p]), Kind::F32)
    }

    fn norm_of_windows(&mut self, node: &NodeProto) -> Result<Value> {
        let Pool { x, walk, shape, kernel } = self.pool(node)?;
        let (channels, p) = (x.shape[1], order(node));
        let powers = self.powers(node, &x, p)?;
        let span = self.span(&powers);
        let ones = vec![1.0; channels * kernel];
        let span = self.program.convolve(span, channels, &walk.three(), &ones, &vec![0.0; channels]);
        self.roots(node, &Value::slot(&shape, Kind::F32, span), p)
    }
}
