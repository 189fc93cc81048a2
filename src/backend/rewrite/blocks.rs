//! Weights quantised in blocks, each with a scale of its own, and weights of 4 bits.
//!
//! tract keeps the weights of `MatMulNBits` and `GatherBlockQuantized` packed in the forms that it takes. In all others
//! they become floats once, at load.

use super::Rule;
use super::site::Site;
use crate::onnx::{TensorData, builder, data_type};
use crate::tensor::checked_len;
use crate::{Error, ErrorKind, Result};

const MS: &str = "com.microsoft";

pub(super) const RULES: &[(&str, &str, Rule)] = &[
    (MS, "MatMulNBits", mat_mul_n_bits),
    (MS, "MatMulBnb4", mat_mul_bnb4),
    (MS, "GatherBlockQuantized", gather_block_quantized),
];

/// The 16 values of a 4-bit float (quantile code `NF4` of QLoRA, Dettmers et al. 2023, appendix E).
#[allow(clippy::excessive_precision, clippy::unreadable_literal, reason = "the published digits")]
const NF4: [f32; 16] = [
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
];
/// The 8 magnitudes of a 4-bit float with a sign, an exponent of 2 bits and a fraction of 1 bit; the largest is 1.
const FP4: [f32; 8] = [0.0, 0.005_208_333_3, 0.666_666_7, 1.0, 0.333_333_34, 0.5, 0.166_666_67, 0.25];

/// The numbers of a constant, whatever type they have.
pub(super) fn numbers(site: &Site<'_>, name: &str) -> Result<Vec<f32>> {
    Ok(match site.values(name)?.data {
        TensorData::U8(values) => values.into_iter().map(f32::from).collect(),
        TensorData::I8(values) => values.into_iter().map(f32::from).collect(),
        TensorData::U16(values) => values.into_iter().map(f32::from).collect(),
        TensorData::I16(values) => values.into_iter().map(f32::from).collect(),
        TensorData::I32(values) => values.into_iter().map(|v| v as f32).collect(),
        TensorData::F16(values) => values.into_iter().map(half::f16::to_f32).collect(),
        TensorData::F32(values) => values,
        _ => {
            let message = "weights, zero points and scales of at most 32 bits were expected";
            return Err(Error::new(ErrorKind::Unsupported, message).tensor(name));
        }
    })
}

/// Adds a constant of floats, in the type that its scales have.
fn floats(site: &mut Site<'_>, what: &str, dims: &[usize], values: Vec<f32>, scale: &str) -> Result<String> {
    if site.constant(scale).and_then(|t| t.data_type) == Some(data_type::FLOAT16) {
        let halves: Vec<half::f16> = values.into_iter().map(half::f16::from_f32).collect();
        return site.tensor(what, dims, halves);
    }
    site.tensor(what, dims, values)
}

/// Where the scales of a constant stand: one for all, one for each entry along an axis, or one for each block of
/// `block` entries along it.
#[derive(Clone, Copy)]
pub(super) struct Spread {
    pub(super) axis: i64,
    /// 0 for scales that do not stand in blocks.
    pub(super) block: i64,
}

/// (x - zero) * scale for constants, as the name of a new one.
pub(super) fn folded(site: &mut Site<'_>, [x, scale, zero]: [&str; 3], spread: Spread) -> Result<String> {
    let dims = site.values(x)?.dims;
    let values = numbers(site, x)?;
    let zeros = if zero.is_empty() { None } else { Some(numbers(site, zero)?) };
    real(site, &dims, values, scale, zeros, spread)
}

/// (value - zero) * scale, as the name of a new constant of the shape `dims`.
fn real(
    site: &mut Site<'_>,
    dims: &[usize],
    mut values: Vec<f32>,
    scale: &str,
    zeros: Option<Vec<f32>>,
    spread: Spread,
) -> Result<String> {
    let scales = numbers(site, scale)?;
    let zeros = zeros.unwrap_or_else(|| vec![0.0; scales.len()]);
    if zeros.len() != scales.len() {
        return Err(site.malformed("there must be as many zero points as scales"));
    }
    if scales.len() == 1 {
        values.iter_mut().for_each(|v| *v = (*v - zeros[0]) * scales[0]);
        return floats(site, "weights", dims, values, scale);
    }
    let axis = axis_of(site, spread.axis, dims.len())?;
    let block = usize::try_from(spread.block).map_err(|_| site.malformed("the size of a block is negative"))?;
    let (along, inner): (usize, usize) = (dims[axis], dims[axis + 1..].iter().product());
    let outer: usize = dims[..axis].iter().product();
    let blocks = if block == 0 { along } else { along.div_ceil(block) };
    let expected = if block == 0 { Some(along) } else { checked_len(&[outer, blocks, inner]) };
    if expected != Some(scales.len()) {
        return Err(site.malformed("the scales of a quantisation do not fit the tensor"));
    }
    if inner > 0 && along > 0 {
        for (row, values) in values.chunks_mut(inner).enumerate() {
            let (o, i) = (row / along, row % along);
            for (j, v) in values.iter_mut().enumerate() {
                let at = i.checked_div(block).map_or(i, |block| (o * blocks + block) * inner + j);
                *v = (*v - zeros[at]) * scales[at];
            }
        }
    }
    floats(site, "weights", dims, values, scale)
}

fn axis_of(site: &Site<'_>, axis: i64, rank: usize) -> Result<usize> {
    let axis = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    let axis = usize::try_from(axis).ok().filter(|axis| *axis < rank);
    axis.ok_or_else(|| site.malformed("the axis of the scales is not one of the tensor's"))
}

/// The unsigned integers of `bits` bits in `bytes`, the lowest first.
fn fields(bytes: &[u8], bits: usize) -> impl Iterator<Item = u8> {
    let mask = u8::MAX >> (8 - bits);
    bytes.iter().flat_map(move |byte| (0..8 / bits).map(move |i| (byte >> (i * bits)) & mask))
}

fn bytes(site: &Site<'_>, name: &str) -> Result<Vec<u8>> {
    match site.values(name)?.data {
        TensorData::U8(bytes) => Ok(bytes),
        _ => Err(site.unsupported("packed weights are taken as uint8")),
    }
}

fn size(site: &Site<'_>, name: &str) -> Result<usize> {
    let size = usize::try_from(site.int(name, 0)).ok().filter(|n| (1..1 << 31).contains(n));
    size.ok_or_else(|| site.malformed(format!("the attribute `{name}` must be a positive number")))
}

/// a (..., k), weights (n, blocks, bytes) for (k, n), scales (n, blocks), zero points, the group of each of the k, a
/// bias (n).
fn mat_mul_n_bits(site: &mut Site<'_>) -> Result<()> {
    let bits = site.int("bits", 4);
    let (scale, zero, groups) = (site.required(2)?, site.input(3), site.input(4));
    let zero_type = site.constant(zero).and_then(|t| t.data_type);
    let packed_zeros = zero.is_empty() || zero_type == Some(data_type::UINT8);
    if !matches!(bits, 2 | 4 | 8) {
        return Err(site.unsupported("weights of 2, 4 or 8 bits are taken").actual(bits));
    }
    if site.takes_blocks && bits == 4 && groups.is_empty() && packed_zeros {
        site.keep();
        return Ok(());
    }
    let bits = bits as usize;
    let (k, n, block) = (size(site, "K")?, size(site, "N")?, size(site, "block_size")?);
    let blocks = k.div_ceil(block);
    let blob = (block * bits).div_ceil(8);
    let (weights, scales) = (bytes(site, site.required(1)?)?, numbers(site, scale)?);
    let fits = |len: usize, dims: &[usize]| checked_len(dims) == Some(len);
    if !fits(weights.len(), &[n, blocks, blob]) || !fits(scales.len(), &[n, blocks]) {
        return Err(site.malformed("weights or scales do not fit the attributes `K`, `N`, `bits` and `block_size`"));
    }
    let zeros = if zero.is_empty() {
        vec![f32::from(1u8 << (bits - 1)); n * blocks]
    } else if packed_zeros {
        let row = (blocks * bits).div_ceil(8);
        let packed = bytes(site, zero)?;
        if !fits(packed.len(), &[n, row]) {
            return Err(site.malformed("the zero points do not fit the scales"));
        }
        packed.chunks(row).flat_map(|row| fields(row, bits).take(blocks)).map(f32::from).collect()
    } else {
        numbers(site, zero)?
    };
    let groups = if groups.is_empty() { None } else { Some(numbers(site, groups)?) };
    if zeros.len() != scales.len() || groups.as_ref().is_some_and(|g| g.len() < k) {
        return Err(site.malformed("zero points or groups do not fit the weights"));
    }
    let mut turned = vec![0.0; checked_len(&[k, n]).unwrap_or_default()];
    for (column, weights) in weights.chunks(blocks * blob).enumerate() {
        let codes = weights.chunks(blob).flat_map(|blob| fields(blob, bits).take(block));
        for (row, code) in codes.take(k).enumerate() {
            let group = groups.as_ref().map_or(row / block, |g| g[row].max(0.0) as usize);
            if group >= blocks {
                return Err(site.malformed("a weight belongs to a group that has no scale"));
            }
            let at = column * blocks + group;
            turned[row * n + column] = (f32::from(code) - zeros[at]) * scales[at];
        }
    }
    let weights = floats(site, "weights", &[k, n], turned, scale)?;
    product(site, &weights, 5)
}

/// a (..., k), weights (n k / 2), the largest magnitude of each block.
fn mat_mul_bnb4(site: &mut Site<'_>) -> Result<()> {
    let (k, n, block) = (size(site, "K")?, size(site, "N")?, size(site, "block_size")?);
    let table = |code: u8| match site.int("quant_type", 1) {
        0 if code > 7 => -FP4[usize::from(code - 8)],
        0 => FP4[usize::from(code)],
        _ => NF4[usize::from(code)],
    };
    let count = checked_len(&[k, n]).unwrap_or_default();
    let (weights, most) = (bytes(site, site.required(1)?)?, numbers(site, site.required(2)?)?);
    if weights.len() != count.div_ceil(2) || most.len() != count.div_ceil(block) {
        return Err(site.malformed("weights or scales do not fit the attributes `K`, `N` and `block_size`"));
    }
    let mut turned = vec![0.0; count];
    // The first of two is the high half of the byte.
    let codes = weights.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(count);
    for (at, code) in codes.enumerate() {
        turned[at % k * n + at / k] = table(code) * most[at / block];
    }
    let weights = floats(site, "weights", &[k, n], turned, site.required(2)?)?;
    product(site, &weights, usize::MAX)
}

/// Input 0 times `weights`, plus input `bias` where it is there.
fn product(site: &mut Site<'_>, weights: &str, bias: usize) -> Result<()> {
    let a = site.required(0)?;
    if site.input(bias).is_empty() {
        site.last("MatMul", &[a, weights], Vec::new());
    } else {
        let y = site.add("MatMul", &[a, weights], Vec::new());
        site.last("Add", &[&y, site.input(bias)], Vec::new());
    }
    Ok(())
}

/// A table, indices into it, the scales of the table and its zero points.
fn gather_block_quantized(site: &mut Site<'_>) -> Result<()> {
    let (data, indices, scale, zero) = (site.required(0)?, site.required(1)?, site.required(2)?, site.input(3));
    let (bits, gather, quantize) = (site.int("bits", 4), site.int("gather_axis", 0), site.int("quantize_axis", 1));
    let block = size(site, "block_size").unwrap_or(128);
    let Some(table) = site.constant(data) else {
        return Err(site.unsupported("this operator is taken only with constant weights"));
    };
    let rank = table.dims.len();
    let last = quantize == -1 || quantize == rank as i64 - 1;
    let bytes_of = |code: Option<i32>| code == Some(data_type::UINT8);
    let in_bytes = bytes_of(table.data_type);
    if site.takes_blocks && in_bytes && bits == 4 && rank == 2 && gather == 0 && last {
        site.keep();
        return Ok(());
    }
    let spread = Spread { axis: quantize, block: block as i64 };
    let whole = if in_bytes {
        if !matches!(bits, 2 | 4 | 8) || !last {
            return Err(site.unsupported("packed tables of 2, 4 or 8 bits, with blocks along the last axis, are taken"));
        }
        let bits = bits as usize;
        let per_byte = 8 / bits;
        let mut dims = site.values(data)?.dims;
        let width = dims.last().copied().unwrap_or_default().saturating_mul(per_byte);
        let codes: Vec<u8> = fields(&bytes(site, data)?, bits).collect();
        if let Some(last) = dims.last_mut() {
            *last = width;
        }
        let scales = site.values(scale)?.dims;
        let blocks = scales.last().copied().unwrap_or_default();
        let rows = checked_len(&scales[..scales.len().saturating_sub(1)]).unwrap_or_default();
        let zeros: Vec<u8> = if zero.is_empty() {
            vec![1 << (bits - 1); rows.saturating_mul(blocks)]
        } else {
            let row = blocks.div_ceil(per_byte).max(1);
            bytes(site, zero)?.chunks(row).flat_map(|row| fields(row, bits).take(blocks)).collect()
        };
        let [codes, zeros] = [codes, zeros].map(|all| all.into_iter().map(f32::from).collect());
        real(site, &dims, codes, scale, Some(zeros), spread)?
    } else {
        folded(site, [data, scale, zero], spread)?
    };
    site.last("Gather", &[&whole, indices], vec![builder::int("axis", gather)]);
    Ok(())
}
