//! Units taken out of the graph, neurons, channels and heads of attention, and the layers behind them refitted.

use std::collections::HashSet;

use super::chains::{self, Chain};
use super::heads;
use super::solve::Normal;
use crate::backend::native::Tap;
use crate::onnx::edit::Editor;
use crate::onnx::node::int;
use crate::onnx::{GraphProto, NodeProto, TensorData, TensorProto, builder};
use crate::optimize::data::Data;
use crate::optimize::file::Original;
use crate::optimize::quantize::layer_name;
use crate::optimize::report::{Layer, Skipped};
use crate::optimize::run::Changed;
use crate::validate::Random;
use crate::{Limits, Model, ProgressMeter, Result, Tensor};

/// How far refitted weights are held to those that they come from, as a share of the mean square of the activations.
const RIDGE: f64 = 1e-2;

/// Takes the share `share` of the units out of every chain of layers; refits the layers behind them where there are data.
///
/// # Errors
/// Those of reading the weights and of running the model.
pub(super) fn prune(
    editor: &mut Editor,
    keep: &HashSet<String>,
    share: f64,
    original: &Original,
    data: Option<(&Data<'_>, &dyn Model)>,
    progress: &dyn crate::Progress,
) -> Result<Changed> {
    let mut changed = Changed::default();
    let found = chains::find(editor.graph(), &mut |node, reason| {
        changed.skipped.push(Skipped::node(node, reason));
    });
    let mut meter = ProgressMeter::new(progress, "prune", "layers", Some(found.len() as u64));
    for chain in found {
        let node = editor.graph().node[chain.first].clone();
        let name = layer_name(&node).to_owned();
        let groups = chain.units / chain.together;
        let gone = (groups as f64 * share).round() as usize;
        let skip = |reason: &str| Skipped::node(&node, reason);
        if keep.contains(&name) {
            changed.skipped.push(skip("kept whole as asked for"));
            continue;
        }
        if gone == 0 || gone >= groups {
            changed.skipped.push(skip("it has too few units for this share"));
            continue;
        }
        let worth = worth(editor, &chain, data)?;
        let worth: Vec<f64> =
            worth.chunks_exact(chain.together).map(|group| group.iter().map(|w| w * w).sum()).collect();
        let mut order: Vec<usize> = (0..groups).collect();
        order.sort_by(|&a, &b| worth[b].total_cmp(&worth[a]).then(a.cmp(&b)));
        order.truncate(groups - gone);
        order.sort_unstable();
        let units: Vec<usize> =
            order.iter().flat_map(|&group| group * chain.together..(group + 1) * chain.together).collect();
        let (before, after) = trim(editor, &chain, &units)?;
        heads::shorten(editor, &chain, units.len())?;
        let mut fitted = false;
        if let Some((data, model)) = data {
            fitted = refit(editor, &chain, original, data, model)?;
        }
        changed.notes.push(format!(
            "`{name}`: {} of {groups} {} are left{}",
            order.len(),
            if chain.together > 1 { "heads" } else { "units" },
            if fitted { ", and the layer behind it was refitted" } else { "" }
        ));
        changed.layers.push(Layer {
            name,
            operator: node.operator().to_owned(),
            // The layer behind it gives what can be compared: this one has fewer units now.
            output: editor.graph().node[chain.second].output[0].clone(),
            parameters: before - after,
            bytes_before: 4 * before,
            bytes_after: 4 * after,
            weight_sqnr_db: None,
            sqnr_db: None,
        });
        meter.advance(1);
    }
    meter.finish();
    // Shapes in between that the file declares are no longer those that it has.
    editor.graph_mut().value_info.clear();
    Ok(changed)
}

pub(super) fn tensor_mut<'g>(graph: &'g mut GraphProto, name: &str) -> Option<&'g mut TensorProto> {
    if let Some(at) = graph.initializer.iter().position(|t| t.name.as_deref() == Some(name)) {
        return graph.initializer.get_mut(at);
    }
    let node = graph.node.iter_mut().find(|n| n.operator() == "Constant" && n.output.iter().any(|y| y == name))?;
    node.attribute.iter_mut().find(|a| a.name.as_deref() == Some("value"))?.t.as_deref_mut()
}

/// The constant called `name`.
pub(super) fn constant<'g>(graph: &'g GraphProto, name: &str) -> Option<&'g TensorProto> {
    graph.initializer.iter().find(|t| t.name.as_deref() == Some(name)).or_else(|| {
        let node = graph.node.iter().find(|n| n.operator() == "Constant" && n.output.iter().any(|y| y == name))?;
        node.find_attribute("value")?.t.as_deref()
    })
}

/// The floats of a constant with its shape.
pub(super) fn floats(editor: &Editor, name: &str) -> Result<(Vec<f32>, Vec<usize>)> {
    let tensor = constant(editor.graph(), name);
    let missing = || crate::Error::new(crate::ErrorKind::Malformed, "a constant is missing").tensor(name);
    let dense = editor.dense(tensor.ok_or_else(missing)?)?;
    match dense.data {
        TensorData::F32(values) => Ok((values, dense.dims)),
        _ => Err(missing()),
    }
}

/// Puts other values, and perhaps another shape, into a constant.
pub(super) fn put(editor: &mut Editor, name: &str, dims: &[usize], values: Vec<f32>) -> Result<()> {
    let made = builder::f32_tensor("", dims, values)?;
    if let Some(tensor) = tensor_mut(editor.graph_mut(), name) {
        tensor.dims = made.dims;
        tensor.raw_data = made.raw_data;
        tensor.float_data.clear();
        tensor.external_data.clear();
        tensor.data_location = None;
    }
    Ok(())
}

/// The entries `kept` along `axis`.
fn select(values: &[f32], dims: &[usize], axis: usize, kept: &[usize]) -> (Vec<f32>, Vec<usize>) {
    let run: usize = dims[axis + 1..].iter().product();
    let mut out = Vec::with_capacity(values.len() / dims[axis].max(1) * kept.len());
    for block in values.chunks_exact((dims[axis] * run).max(1)) {
        kept.iter().for_each(|&i| out.extend_from_slice(&block[i * run..(i + 1) * run]));
    }
    let mut dims = dims.to_vec();
    dims[axis] = kept.len();
    (out, dims)
}

/// The root of the sum of squares of what each index of `axis` holds.
fn norms(values: &[f32], dims: &[usize], axis: usize) -> Vec<f64> {
    let run: usize = dims[axis + 1..].iter().product();
    let mut sums = vec![0.0; dims[axis]];
    for (i, chunk) in values.chunks_exact(run.max(1)).enumerate() {
        sums[i % dims[axis]] += chunk.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    }
    sums.into_iter().map(f64::sqrt).collect()
}

/// What each unit is worth: how much it moves the layer behind it, the root mean square of the activation over the data
/// times the norm of the weights that take it. Without data the norm of the weights that give it stands for the first.
fn worth(editor: &Editor, chain: &Chain, data: Option<(&Data<'_>, &dyn Model)>) -> Result<Vec<f64>> {
    let (takes, given) = (chain.trims.last().expect("a chain has weights at both ends"), &chain.trims[0]);
    let (values, dims) = floats(editor, &takes.0)?;
    let outgoing = norms(&values, &dims, takes.1);
    let moves = match data {
        Some((data, model)) => spread(editor, chain, data, model)?,
        None => {
            let (values, dims) = floats(editor, &given.0)?;
            norms(&values, &dims, given.1)
        }
    };
    Ok(outgoing.iter().zip(moves).map(|(a, b)| a * b).collect())
}

/// The standard deviation of each unit over the data: a constant one is a bias.
fn spread(editor: &Editor, chain: &Chain, data: &Data<'_>, model: &dyn Model) -> Result<Vec<f64>> {
    let tap = Tap::new(&editor.model, None, std::slice::from_ref(&chain.activation), &Limits::default())?;
    let (mut sums, mut squares, mut count) = (vec![0.0; chain.units], vec![0.0; chain.units], 0.0);
    data.each_batch(model.signature(), &mut |inputs, _| {
        let tensor = only(tap.run(inputs)?);
        let (values, shape) = (tensor.as_slice::<f32>()?, tensor.shape());
        let run = if chain.images && shape.len() > 2 { shape[2..].iter().product() } else { 1 };
        for (i, chunk) in values.chunks_exact(run).enumerate() {
            let unit = i % chain.units;
            sums[unit] += chunk.iter().map(|&x| f64::from(x)).sum::<f64>();
            squares[unit] += chunk.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
        }
        count += (values.len() / chain.units) as f64;
        Ok(())
    })?;
    let deviation = |(s, q): (&f64, &f64)| (q / count.max(1.0) - (s / count.max(1.0)).powi(2)).max(0.0).sqrt();
    Ok(sums.iter().zip(&squares).map(deviation).collect())
}

fn only(mut tensors: Vec<Tensor<'static>>) -> Tensor<'static> {
    tensors.pop().expect("one value was asked for")
}

/// Keeps these units alone; the parameters of the trimmed constants before and after.
fn trim(editor: &mut Editor, chain: &Chain, kept: &[usize]) -> Result<(u64, u64)> {
    let (mut before, mut after) = (0, 0);
    for (name, axis) in &chain.trims {
        let (values, dims) = floats(editor, name)?;
        let (chosen, shape) = select(&values, &dims, *axis, kept);
        before += values.len() as u64;
        after += chosen.len() as u64;
        put(editor, name, &shape, chosen)?;
    }
    for &at in &chain.grouped {
        for attribute in &mut editor.graph_mut().node[at].attribute {
            if attribute.name.as_deref() == Some("group") {
                attribute.i = Some(kept.len() as i64);
            }
        }
    }
    Ok((before, after))
}

/// Fits the weights of the second layer, and its bias where that is its own, so that on the data it gives what it gave in
/// the original model: least squares, held to the weights that are there.
fn refit(editor: &mut Editor, chain: &Chain, original: &Original, data: &Data<'_>, model: &dyn Model) -> Result<bool> {
    let node = editor.graph().node[chain.second].clone();
    let patches = Patches::of(&node);
    if node.operator() == "Conv" && patches.is_none() {
        return Ok(false);
    }
    let y = node.output[0].clone();
    let first = original.edit()?;
    let target = Tap::new(&first.model, original.external(), std::slice::from_ref(&y), &Limits::default())?;
    let names = [chain.activation.clone(), y];
    let now = Tap::new(&editor.model, None, &names, &Limits::default())?;
    let weights = node.input[1].clone();
    let (mut values, dims) = floats(editor, &weights)?;
    let across = patches.is_some() || (int(&node, "transB", 0) != 0 && node.operator() == "Gemm");
    let terms: usize = dims[1..].iter().product();
    let (k, n) = if across { (terms, dims[0]) } else { (dims[0], dims[1]) };
    let bias = node.input.get(2).filter(|b| node.operator() != "MatMul" && !b.is_empty());
    let mut normal = Normal::new(k, n, bias.is_some());
    let mut random = Random::new(0, 0);
    data.each_batch(model.signature(), &mut |inputs, _| {
        let want = only(target.run(inputs)?);
        let mut have = now.run(inputs)?;
        let (given, x) = (only(have.split_off(1)), only(have));
        if want.shape() != given.shape() {
            return Ok(());
        }
        let error: Vec<f32> =
            want.as_slice::<f32>()?.iter().zip(given.as_slice::<f32>()?).map(|(a, b)| a - b).collect();
        match &patches {
            None => normal.add(x.as_slice::<f32>()?, &error),
            Some(patches) => {
                let kernel = [dims[2], dims[3]];
                let (x, y) = patches.rows(x.as_slice::<f32>()?, x.shape(), &error, want.shape(), kernel, &mut random);
                normal.add(&x, &y);
            }
        }
        Ok(())
    })?;
    let Some(step) = normal.solve(RIDGE) else { return Ok(false) };
    for i in 0..k {
        for j in 0..n {
            values[if across { j * k + i } else { i * n + j }] += step[i * n + j] as f32;
        }
    }
    put(editor, &weights, &dims, values)?;
    if let Some(bias) = bias {
        let (mut values, dims) = floats(editor, bias)?;
        if values.len() == n {
            values.iter_mut().zip(&step[k * n..]).for_each(|(b, s)| *b += *s as f32);
            put(editor, bias, &dims, values)?;
        }
    }
    Ok(true)
}

/// The places of images that a batch contributes to a fit, at most; more say little that these do not.
const PLACES: usize = 1024;

/// Where the windows of a convolution over images stand.
struct Patches {
    strides: [usize; 2],
    dilations: [usize; 2],
    /// Above and to the left.
    pads: [usize; 2],
}

impl Patches {
    /// Those of a convolution of one group over images with padding that it spells out.
    fn of(node: &NodeProto) -> Option<Self> {
        let automatic = node.find_attribute("auto_pad").and_then(|a| a.s.as_deref()).is_some_and(|s| s != b"NOTSET");
        if node.operator() != "Conv" || int(node, "group", 1) != 1 || automatic {
            return None;
        }
        let pair = |name: &str, default: usize| {
            let list = node.find_attribute(name).map_or(&[][..], |a| &a.ints);
            [0, 1].map(|i| list.get(i).and_then(|&v| usize::try_from(v).ok()).unwrap_or(default))
        };
        Some(Self { strides: pair("strides", 1), dilations: pair("dilations", 1), pads: pair("pads", 0) })
    }

    /// Windows of `x` (m, c, h, w) row by row, and what belongs to them in `y` (m, n, p, q).
    fn rows(
        &self,
        x: &[f32],
        x_shape: &[usize],
        y: &[f32],
        y_shape: &[usize],
        kernel: [usize; 2],
        random: &mut Random,
    ) -> (Vec<f32>, Vec<f32>) {
        let (&[m, c, h, w], &[_, n, p, q]) = (x_shape, y_shape) else { return Default::default() };
        let all = m * p * q;
        let chosen = (0..all.min(PLACES)).map(|i| if all <= PLACES { i } else { random.below(all) });
        let (mut windows, mut targets) = (Vec::new(), Vec::new());
        for place in chosen {
            let (image, i, j) = (place / (p * q), place / q % p, place % q);
            for channel in 0..c {
                for a in 0..kernel[0] {
                    for b in 0..kernel[1] {
                        let row = (i * self.strides[0] + a * self.dilations[0]).wrapping_sub(self.pads[0]);
                        let column = (j * self.strides[1] + b * self.dilations[1]).wrapping_sub(self.pads[1]);
                        let inside = row < h && column < w;
                        windows.push(if inside { x[((image * c + channel) * h + row) * w + column] } else { 0.0 });
                    }
                }
            }
            targets.extend((0..n).map(|k| y[((image * n + k) * p + i) * q + j]));
        }
        (windows, targets)
    }
}
