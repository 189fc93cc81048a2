//! Weights alone in 8 or 4 bits, in blocks along the terms of a product or with a scale for each channel.
//!
//! Forms: `MatMulNBits` and `GatherBlockQuantized` of `com.microsoft`; `DequantizeLinear` in blocks (opset 21);
//! `DequantizeLinear` along an axis (opset 13).

use std::collections::HashMap;

use super::compensate::{Costs, Rounded};
use super::grid::{Grid, Noise, transposed};
use super::layers::{Factor, Form, Kind, Made, Outcome, name, qualifies, read};
use super::settings::{Settings, WeightForm};
use crate::Result;
use crate::onnx::edit::{Editor, Site};
use crate::onnx::node::{float, input, int};
use crate::onnx::{Bytes, NodeProto, TensorProto, builder, data_type};

/// A matrix (n, k) in blocks along k: row by row, each row in blocks, the last one filled up.
struct Blocks {
    bits: u32,
    per_row: usize,
    /// (n, blocks * block), each below 2^bits.
    numbers: Vec<u8>,
    scales: Vec<f32>,
    zeros: Vec<u8>,
    noise: Noise,
}

/// How much of either end of its values the range of a block may reach: clipping a few may bring the others nearer.
const REACHES: [f32; 5] = [1.0, 0.94, 0.88, 0.82, 0.76];

/// Scale and zero point of a block by the least squared error.
pub(super) fn fit(values: &[f32], bits: u32, symmetric: bool) -> (f32, u8) {
    let most = ((1u32 << bits) - 1) as f32;
    let middle = 1u8 << (bits - 1);
    let (low, high) = super::grid::extremes(values.iter().copied());
    if low == 0.0 && high == 0.0 {
        return (1.0, middle);
    }
    let mut best = (f32::INFINITY, 1.0, middle);
    let mut consider = |scale: f32, zero: u8| {
        if scale.is_normal() {
            let error = squared_error(values, scale, zero, most);
            if error < best.0 {
                best = (error, scale, zero);
            }
        }
    };
    let reaches = if bits < 8 { &REACHES[..] } else { &REACHES[..1] };
    for &reach in reaches {
        if symmetric {
            // The end of the grid that reaches further stands for the value that lies further out.
            let far = if -low > high { low } else { high };
            consider(far * reach / -f32::from(middle), middle);
            continue;
        }
        for &other in reaches {
            let (low, high) = (low * reach, high * other);
            let scale = (high - low) / most;
            consider(scale, (-low / scale).round_ties_even().clamp(0.0, most) as u8);
        }
    }
    (best.1, best.2)
}

/// The squared error of values brought to the numbers from 0 to `most`, summed in lanes, which vectorises.
fn squared_error(values: &[f32], scale: f32, zero: u8, most: f32) -> f32 {
    const LANES: usize = 8;
    let zero = f32::from(zero);
    let error = |x: f32| {
        let difference = x - (number(x, scale, zero, most) - zero) * scale;
        difference * difference
    };
    let mut lanes = [0.0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|&x| error(x)).sum();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += error(x);
        }
    }
    rest + lanes.iter().sum::<f32>()
}

/// The nearest number from 0 to `most`, ties to even.
#[inline(always)]
fn number(x: f32, scale: f32, zero: f32, most: f32) -> f32 {
    // Floats of this size are whole numbers, so that the sum rounds; without a call, which would keep loops from being
    // vectorised.
    const WHOLE: f32 = 12_582_912.0;
    let whole = (x / scale).clamp(-256.0, 256.0) + WHOLE - WHOLE;
    (whole + zero).clamp(0.0, most)
}

#[inline(always)]
pub(super) fn nearest(x: f32, scale: f32, zero: u8, most: f32) -> u8 {
    number(x, scale, f32::from(zero), most) as u8
}

impl Blocks {
    /// Brings `values` (n, k) to blocks; where it is known what errors cost, so that they make up for each other.
    fn of(values: &[f32], k: usize, settings: (usize, u32, bool), costs: Option<&Costs>) -> Self {
        let (block, bits, symmetric) = settings;
        let (n, per_row) = (values.len() / k, k.div_ceil(block));
        let most = ((1u32 << bits) - 1) as f32;
        let mut blocks = Self {
            bits,
            per_row,
            numbers: vec![0; n * per_row * block],
            scales: vec![0.0; n * per_row],
            zeros: vec![0; n * per_row],
            noise: Noise::default(),
        };
        if let Some(costs) = costs.filter(|c| c.fits(k)) {
            costs.round(values, settings, &mut |rounded| {
                blocks.take(rounded, &values[rounded.row * k + rounded.block * block..]);
            });
            return blocks;
        }
        let mut numbers = Vec::with_capacity(block);
        for (row, values) in values.chunks_exact(k).enumerate() {
            for (at, part) in values.chunks(block).enumerate() {
                let (scale, zero) = fit(part, bits, symmetric);
                numbers.clear();
                numbers.extend(part.iter().map(|&x| nearest(x, scale, zero, most)));
                blocks.take(&Rounded { row, block: at, numbers: &numbers, scale, zero }, part);
            }
        }
        blocks
    }

    /// Puts a block where it belongs, filled up with zeros; `values` begin with those that it stands for.
    fn take(&mut self, rounded: &Rounded<'_>, values: &[f32]) {
        let &Rounded { numbers, scale, zero, .. } = rounded;
        let at = rounded.row * self.per_row + rounded.block;
        let block = self.numbers.len() / self.scales.len();
        let place = &mut self.numbers[at * block..(at + 1) * block];
        place.fill(zero);
        place[..numbers.len()].copy_from_slice(numbers);
        (self.scales[at], self.zeros[at]) = (scale, zero);
        for (&x, &q) in values.iter().zip(numbers) {
            self.noise.add(x, (f32::from(q) - f32::from(zero)) * scale);
        }
    }

    /// Numbers packed as they lie, the first of a byte in its lower half; rows of `row` numbers begin a byte each.
    fn pack(&self, numbers: &[u8], row: usize) -> Vec<u8> {
        if self.bits == 8 {
            return numbers.to_vec();
        }
        let pair = |pair: &[u8]| pair[0] | pair.get(1).map_or(0, |high| high << 4);
        numbers.chunks(row).flat_map(|row| row.chunks(2).map(pair)).collect()
    }

    fn made(&self, parameters: usize, tensors: &[TensorProto]) -> Made {
        Made {
            numbers: String::new(),
            scale: String::new(),
            zero: String::new(),
            scales: Vec::new(),
            sqnr_db: self.noise.decibels(),
            bytes: tensors.iter().map(|t| t.raw_data.as_ref().map_or(0, |raw| raw.len()) as u64).sum(),
            parameters: parameters as u64,
        }
    }
}

/// Numbers of `code` with their bytes as they are.
fn raw(name: &str, code: i32, dims: &[usize], bytes: Vec<u8>) -> TensorProto {
    TensorProto {
        dims: dims.iter().map(|&d| d as i64).collect(),
        data_type: Some(code),
        name: Some(name.to_owned()),
        raw_data: Some(Bytes::from(bytes)),
        ..TensorProto::default()
    }
}

/// Names for numbers, scales and zero points.
fn fresh(site: &mut Site<'_>, base: &str) -> [String; 3] {
    ["quantized", "scale", "zero_point"].map(|what| site.fresh(&format!("{base}_{what}")))
}

struct Weights<'s> {
    settings: &'s Settings,
    /// What errors cost in the products of an activation, by its name in the graph that is run.
    costs: &'s HashMap<String, Costs>,
    bits: u32,
    form: WeightForm,
    outcome: Outcome,
    /// Weights in blocks, by the graph that declares them, their name and what they are scaled by.
    packed: HashMap<(usize, String), Packed>,
    microsoft: bool,
}

/// Weights of `MatMulNBits`.
#[derive(Clone)]
struct Packed {
    k: usize,
    n: usize,
    /// Numbers, scales and, where they are not in the middle, zero points.
    inputs: Vec<String>,
    made: Made,
}

/// Quantises the weights of every layer that the settings let through.
///
/// # Errors
/// Those of reading the weights.
pub(super) fn quantise(
    editor: &mut Editor,
    settings: &Settings,
    bits: u32,
    costs: &HashMap<String, Costs>,
) -> Result<Outcome> {
    let form = settings.weight_form(bits);
    let mut weights =
        Weights { settings, costs, bits, form, outcome: Outcome::default(), packed: HashMap::new(), microsoft: false };
    editor.rewrite(&mut |node, site| weights.node(node, site))?;
    if weights.microsoft {
        editor.import("com.microsoft", 1);
    }
    Ok(weights.outcome)
}

impl Weights<'_> {
    fn node(&mut self, node: NodeProto, site: &mut Site<'_>) -> Result<()> {
        let made = match qualifies(&node, site, self.settings) {
            None => return site.leave(node),
            Some(Err(reason)) => Err(reason),
            Some(Ok(kind)) => match (kind, self.form) {
                (Kind::MatMul | Kind::Gemm, WeightForm::NBits) => self.n_bits(&node, kind, site)?,
                (Kind::MatMul | Kind::Gemm, WeightForm::BlockedQdq) => self.blocked(&node, kind, site)?,
                (Kind::Gather, WeightForm::NBits) => self.table(&node, site)?,
                (Kind::Gather, _) if self.bits == 8 => self.outcome.table(&node, site, self.settings)?,
                _ if self.bits < 8 => Err("its weights are no matrix of a product, and 4 bits take blocks".into()),
                _ => self.channels(&node, kind, site)?,
            },
        };
        if let Err(reason) = made {
            self.outcome.skip(&node, reason);
            site.push(node);
        }
        Ok(())
    }

    /// The length of blocks, their bits and whether they are symmetric.
    fn blocks(&self, block: usize) -> (usize, u32, bool) {
        (block, self.bits, self.settings.symmetric)
    }

    /// What errors in the weights of `node` cost.
    fn costs_of(&self, node: &NodeProto, site: &Site<'_>) -> Option<&Costs> {
        self.costs.get(input(node, 0)).filter(|_| site.depth() == 0)
    }

    fn n_bits(&mut self, node: &NodeProto, kind: Kind, site: &mut Site<'_>) -> Result<Result<(), String>> {
        let packed = match self.pack(node, kind, site)? {
            Ok(packed) => packed,
            Err(reason) => return Ok(Err(reason)),
        };
        let bias = if kind == Kind::Gemm { input(node, 2) } else { "" };
        let product = match bias {
            "" => node.output[0].clone(),
            _ => site.fresh(&format!("{}_product", name(node))),
        };
        let mut inputs = vec![input(node, 0)];
        inputs.extend(packed.inputs.iter().map(String::as_str));
        let attributes = [
            builder::int("K", packed.k as i64),
            builder::int("N", packed.n as i64),
            builder::int("bits", self.bits.into()),
            builder::int("block_size", self.settings.block as i64),
        ];
        let mut heart = builder::node("MatMulNBits", "com.microsoft", &inputs, &[&product], attributes);
        heart.name.clone_from(&node.name);
        heart.metadata_props.clone_from(&node.metadata_props);
        site.push(heart);
        if !bias.is_empty() {
            site.push(builder::node("Add", "", &[&product, bias], &[&node.output[0]], []));
        }
        self.microsoft = true;
        self.outcome.done(node, &[&packed.made]);
        Ok(Ok(()))
    }

    /// The weights of a product in blocks, made once for all that share them.
    fn pack(&mut self, node: &NodeProto, kind: Kind, site: &mut Site<'_>) -> Result<Result<Packed, String>> {
        let weights = input(node, 1).to_owned();
        let across = kind == Kind::Gemm && int(node, "transB", 0) != 0;
        let alpha = if kind == Kind::Gemm { float(node, "alpha", 1.0) } else { 1.0 };
        let key = (site.owner(&weights).unwrap_or(usize::MAX), format!("{weights} {across} {alpha}"));
        if let Some(packed) = self.packed.get(&key) {
            return Ok(Ok(packed.clone()));
        }
        let (mut values, dims) = match read(site, &weights)? {
            Ok(read) => read,
            Err(reason) => return Ok(Err(reason)),
        };
        let (k, n) = if across { (dims[1], dims[0]) } else { (dims[0], dims[1]) };
        if !across {
            values = transposed(&values, k, n);
        }
        if alpha != 1.0 {
            values.iter_mut().for_each(|x| *x *= alpha);
        }
        let block = self.settings.block;
        let blocks = Blocks::of(&values, k, self.blocks(block), self.costs_of(node, site));
        let per_row = blocks.per_row;
        let [numbers, scale, zero] = fresh(site, &weights);
        let mut tensors = vec![
            raw(&numbers, data_type::UINT8, &[n, per_row, block * self.bits as usize / 8], {
                blocks.pack(&blocks.numbers, block)
            }),
            builder::f32_tensor(&scale, &[n * per_row], blocks.scales.clone())?,
        ];
        // The middle of the grid is what is taken where no zero points are given.
        if !self.settings.symmetric {
            let bytes = n * (per_row * self.bits as usize).div_ceil(8);
            tensors.push(raw(&zero, data_type::UINT8, &[bytes], blocks.pack(&blocks.zeros, per_row)));
        }
        let inputs = tensors.iter().filter_map(|t| t.name.clone()).collect();
        let packed = Packed { k, n, inputs, made: blocks.made(values.len(), &tensors) };
        for tensor in tensors {
            site.add_beside(&weights, tensor);
        }
        site.replaced(&weights);
        self.packed.insert(key, packed.clone());
        Ok(Ok(packed))
    }

    /// `DequantizeLinear` in blocks along the terms of the product, before it.
    fn blocked(&mut self, node: &NodeProto, kind: Kind, site: &mut Site<'_>) -> Result<Result<(), String>> {
        let weights = input(node, 1).to_owned();
        let (values, dims) = match read(site, &weights)? {
            Ok(read) => read,
            Err(reason) => return Ok(Err(reason)),
        };
        let [rows, columns] = dims[..] else { return Ok(Err("its weights are no matrix".into())) };
        let last = kind == Kind::Gemm && int(node, "transB", 0) != 0;
        let (k, block) = (if last { columns } else { rows }, self.settings.block);
        let source = if last { values.clone() } else { transposed(&values, rows, columns) };
        let mut blocks = Blocks::of(&source, k, self.blocks(block), self.costs_of(node, site));
        let (n, per_row) = (source.len() / k, blocks.per_row);
        // Rows without what fills up their last blocks, and everything the way the weights lie.
        let numbers: Vec<u8> = blocks.numbers.chunks_exact(per_row * block).flat_map(|row| row[..k].to_vec()).collect();
        let lie = |all: &[u8], width: usize| -> Vec<u8> {
            if last {
                return all.to_vec();
            }
            (0..width).flat_map(|i| (0..n).map(move |j| all[j * width + i])).collect()
        };
        let numbers = lie(&numbers, k);
        let zeros = lie(&blocks.zeros, per_row);
        if !last {
            blocks.scales = transposed(&blocks.scales, n, per_row);
        }
        let scale_dims = if last { [n, per_row] } else { [per_row, n] };
        let code = if self.bits == 8 { data_type::UINT8 } else { data_type::UINT4 };
        let [q, scale, zero] = fresh(site, &weights);
        let floats = site.fresh(&format!("{weights}_floats"));
        let tensors = [
            raw(&q, code, &dims, blocks.pack(&numbers, numbers.len())),
            builder::f32_tensor(&scale, &scale_dims, blocks.scales.clone())?,
            raw(&zero, code, &scale_dims, blocks.pack(&zeros, zeros.len())),
        ];
        let made = blocks.made(values.len(), &tensors);
        let axis = builder::int("axis", i64::from(last));
        let attributes = [axis, builder::int("block_size", block as i64)];
        site.push(builder::node("DequantizeLinear", "", &[&q, &scale, &zero], &[&floats], attributes));
        let mut user = node.clone();
        user.input[1] = floats;
        site.push(user);
        for tensor in tensors {
            site.add_beside(&weights, tensor);
        }
        site.replaced(&weights);
        self.outcome.done(node, &[&made]);
        Ok(Ok(()))
    }

    /// An embedding in blocks along its rows.
    fn table(&mut self, node: &NodeProto, site: &mut Site<'_>) -> Result<Result<(), String>> {
        let table = input(node, 0).to_owned();
        let (values, dims) = match read(site, &table)? {
            Ok(read) => read,
            Err(reason) => return Ok(Err(reason)),
        };
        let &[rows, width] = &dims[..] else { return Ok(Err("its table is no matrix".into())) };
        // Rows are read and not summed: they bear blocks twice as long.
        let block = self.settings.block;
        let Some(block) = [2 * block, block].into_iter().find(|block| width.is_multiple_of(*block)) else {
            return Ok(Err(format!("its rows of {width} numbers are no whole blocks of {block}")));
        };
        let blocks = Blocks::of(&values, width, self.blocks(block), None);
        let code = if self.bits == 8 { data_type::UINT8 } else { data_type::UINT4 };
        let [q, scale, zero] = fresh(site, &table);
        let shape = [rows, blocks.per_row];
        let tensors = [
            raw(&q, code, &dims, blocks.pack(&blocks.numbers, blocks.numbers.len())),
            builder::f32_tensor(&scale, &shape, blocks.scales.clone())?,
            raw(&zero, code, &shape, blocks.pack(&blocks.zeros, blocks.zeros.len())),
        ];
        let made = blocks.made(values.len(), &tensors);
        let attributes = [
            builder::int("gather_axis", 0),
            builder::int("quantize_axis", 1),
            builder::int("block_size", block as i64),
            builder::int("bits", self.bits.into()),
        ];
        let inputs = [q.as_str(), input(node, 1), &scale, &zero];
        let mut heart = builder::node("GatherBlockQuantized", "com.microsoft", &inputs, &[&node.output[0]], attributes);
        heart.name.clone_from(&node.name);
        site.push(heart);
        for tensor in tensors {
            site.add_beside(&table, tensor);
        }
        site.replaced(&table);
        self.microsoft = true;
        self.outcome.done(node, &[&made]);
        Ok(Ok(()))
    }

    /// `DequantizeLinear` along the axis of the channels, before the layer.
    fn channels(&mut self, node: &NodeProto, kind: Kind, site: &mut Site<'_>) -> Result<Result<(), String>> {
        let inputs: &[usize] = match kind {
            Kind::Gather => &[0],
            Kind::Lstm | Kind::Recurrent => &[1, 2],
            _ => &[1],
        };
        let axis = match kind {
            Kind::MatMul => 1,
            Kind::Gemm => usize::from(int(node, "transB", 0) == 0),
            Kind::Lstm | Kind::Recurrent => 1,
            Kind::Conv | Kind::Gather => 0,
        };
        let grid = Grid::weights(self.settings.symmetric, self.settings.seven_bits);
        let form = if self.settings.per_channel { Form::Along(axis) } else { Form::Whole };
        let mut user = node.clone();
        let mut all = Vec::new();
        for &i in inputs {
            let weights = input(node, i);
            if site.constant(weights).is_none() {
                return Ok(Err("its weights are computed".into()));
            }
            match self.outcome.weights(site, weights, form, grid, Factor::ONE)? {
                Ok(made) => all.push(made),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        for (&i, made) in inputs.iter().zip(&all) {
            let floats = site.fresh(&format!("{}_floats", input(node, i)));
            let mut parts = vec![made.numbers.as_str(), &made.scale];
            if !made.zero.is_empty() {
                parts.push(&made.zero);
            }
            let axis = builder::int("axis", axis as i64);
            site.push(builder::node("DequantizeLinear", "", &parts, &[&floats], [axis]));
            user.input[i] = floats;
        }
        site.push(user);
        self.outcome.done(node, &all.iter().collect::<Vec<_>>());
        Ok(Ok(()))
    }
}
