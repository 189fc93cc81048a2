//! QuantizeLinear and DequantizeLinear, in the forms that tract lacks.
//!
//! tract has both for 8-bit numbers with constant parameters. Numbers of 16 bits and computed parameters are written
//! out: (x - zero) * scale, and round(x / scale) + zero brought into the range.
//!
//! So is, in part, the dequantisation of some activations. What stands alone between its two operators tract (0.23.9)
//! replaces by a table of 256 answers where it keeps axes apart, and takes a softmax for such an operator: wrong answers
//! without an error. A product in between keeps it from that. Where each number is taken alone the table is right.

use super::Rule;
use super::blocks::{self, Spread, numbers};
use super::site::Site;
use crate::onnx::{TensorData, builder, data_type};
use crate::{ErrorKind, Result};

pub(super) const RULES: &[(&str, &str, Rule)] = &[
    ("", "DequantizeLinear", dequantize),
    ("", "QuantizeLinear", quantize),
    ("com.microsoft", "DequantizeLinear", dequantize),
    ("com.microsoft", "QuantizeLinear", quantize),
];

fn dequantize(site: &mut Site<'_>) -> Result<()> {
    let (x, scale, zero) = (site.required(0)?, site.required(1)?, site.input(2));
    let (axis, block) = (site.int("axis", 1), site.int("block_size", 0));
    if let Some(tensor) = site.constant(x)
        && (block != 0 || tensor.is_packed())
    {
        let value = blocks::folded(site, [x, scale, zero], Spread { axis, block })?;
        site.last("Identity", &[&value], Vec::new());
        return Ok(());
    }
    if block != 0 {
        return Err(site.unsupported("the backend `tract` takes quantisation by blocks for constants only"));
    }
    let wrong = || site.is_tabled_wrongly(|other| zero_type(site, other) == zero_type(site, zero));
    if !zero.is_empty() && plain(site, scale, zero, QUANTIZED) && !wrong() {
        site.last("DequantizeLinear", &[x, scale, zero], vec![builder::int("axis", axis)]);
        return Ok(());
    }
    let value = dequantized(site, [x, scale, zero], axis)?;
    site.last("Identity", &[&value], Vec::new());
    Ok(())
}

fn quantize(site: &mut Site<'_>) -> Result<()> {
    let (x, scale, zero) = (site.required(0)?, site.required(1)?, site.input(2));
    if site.int("block_size", 0) != 0 {
        return Err(site.unsupported("the backend `tract` takes quantisation by blocks for constants only"));
    }
    quantize_last(site, x, [scale, zero], site.int("axis", 1))
}

/// The element type of a zero point; uint8 where none is given or it is computed.
fn zero_type(site: &Site<'_>, zero: &str) -> i32 {
    site.constant(zero).and_then(|t| t.data_type).unwrap_or(data_type::UINT8)
}

/// What tract dequantises itself.
const QUANTIZED: &[i32] = &[data_type::UINT8, data_type::INT8, data_type::INT32];

/// Whether tract's own operator takes these parameters.
fn plain(site: &Site<'_>, scale: &str, zero: &str, types: &[i32]) -> bool {
    site.constant(scale).is_some()
        && (zero.is_empty() || site.constant(zero).is_some())
        && types.contains(&zero_type(site, zero))
}

/// The real numbers that `x` stands for, as the name of a new value. `axis` is that of scales for each channel.
pub(super) fn dequantized(site: &mut Site<'_>, [x, scale, zero]: [&str; 3], axis: i64) -> Result<String> {
    let known = plain(site, scale, zero, QUANTIZED);
    // tract wants a zero point of the type of what is dequantised.
    let typed = !zero.is_empty() || !matches!(constant_type(site, x), Some(data_type::INT8 | data_type::INT32));
    if known && typed && (constant_type(site, x).is_some() || is_many(site, scale) || is_many(site, zero)) {
        let inputs = if zero.is_empty() { vec![x, scale] } else { vec![x, scale, zero] };
        return Ok(site.add("DequantizeLinear", &inputs, vec![builder::int("axis", axis)]));
    }
    if known && !zero.is_empty() && numbers(site, scale)?.iter().all(|s| *s != 1.0) {
        let one = site.tensor("one", &[], vec![1.0f32])?;
        let value = site.add("DequantizeLinear", &[x, &one, zero], Vec::new());
        return Ok(site.add("Mul", &[&value, scale], Vec::new()));
    }
    let [scale, zero] = channels(site, x, [scale, zero], axis)?;
    let mut value = site.float_of(x);
    if !zero.is_empty() {
        let zero = site.float_of(&zero);
        value = site.add("Sub", &[&value, &zero], Vec::new());
    }
    Ok(site.add("Mul", &[&value, &scale], Vec::new()))
}

/// Whether the constant `name` holds more than one number.
fn is_many(site: &Site<'_>, name: &str) -> bool {
    site.constant(name).is_some_and(|t| t.dims.iter().product::<i64>() > 1)
}

fn constant_type(site: &Site<'_>, name: &str) -> Option<i32> {
    site.constant(name).and_then(|t| t.data_type)
}

/// Gives `x`, quantised, as the output of the rewritten node.
pub(super) fn quantize_last(site: &mut Site<'_>, x: &str, [scale, zero]: [&str; 2], axis: i64) -> Result<()> {
    if plain(site, scale, zero, &[data_type::UINT8, data_type::INT8]) {
        let inputs = if zero.is_empty() { vec![x, scale] } else { vec![x, scale, zero] };
        site.last("QuantizeLinear", &inputs, vec![builder::int("axis", axis)]);
        return Ok(());
    }
    let code = zero_type(site, zero);
    let (low, high) = match code {
        data_type::UINT8 => (0.0, 255.0),
        data_type::INT8 => (-128.0, 127.0),
        data_type::UINT16 => (0.0, 65535.0),
        data_type::INT16 => (-32768.0, 32767.0),
        other => {
            return Err(site
                .unsupported("the backend `tract` does not quantise to this element type")
                .actual(data_type::name(other)));
        }
    };
    let [scale, zero] = channels(site, x, [scale, zero], axis)?;
    let mut value = site.add("Div", &[x, &scale], Vec::new());
    value = site.add("Round", &[&value], Vec::new());
    if !zero.is_empty() {
        let zero = site.float_of(&zero);
        value = site.add("Add", &[&value, &zero], Vec::new());
    }
    let (low, high) = (site.tensor("low", &[], vec![low])?, site.tensor("high", &[], vec![high])?);
    value = site.add("Max", &[&value, &low], Vec::new());
    value = site.add("Min", &[&value, &high], Vec::new());
    site.last("Cast", &[&value], vec![builder::int("to", code.into())]);
    Ok(())
}

/// Scale and zero point as they broadcast against `x`: one for each channel along `axis` gets the other axes.
fn channels(site: &mut Site<'_>, x: &str, [scale, zero]: [&str; 2], axis: i64) -> Result<[String; 2]> {
    if !is_many(site, scale) && !is_many(site, zero) {
        return Ok([scale.to_owned(), zero.to_owned()]);
    }
    let Some(rank) = site.constant(x).map(|t| t.dims.len()) else {
        return Err(
            site.unsupported("the backend `tract` takes scales for each channel only for constants and 8-bit numbers")
        );
    };
    let axis = if axis < 0 { axis + rank as i64 } else { axis };
    let axis = usize::try_from(axis).ok().filter(|a| *a < rank);
    let axis = axis.ok_or_else(|| site.malformed("the axis of the scales is not one of the tensor's"))?;
    let mut out = [String::new(), String::new()];
    for (name, out) in [scale, zero].into_iter().zip(&mut out).filter(|(name, _)| !name.is_empty()) {
        let values = site.values(name)?;
        let mut dims = vec![1; rank];
        dims[axis] = values.data.len();
        *out = site.tensor("channels", &dims, values.data)?;
    }
    Ok(out)
}

/// The constant `name` as real numbers, whatever integer type it has.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a type that is no 8-bit number or float.
pub(super) fn weights(site: &Site<'_>, name: &str) -> Result<Vec<f32>> {
    match site.values(name)?.data {
        TensorData::U8(values) => Ok(values.into_iter().map(f32::from).collect()),
        TensorData::I8(values) => Ok(values.into_iter().map(f32::from).collect()),
        TensorData::F32(values) => Ok(values),
        _ => {
            Err(crate::Error::new(ErrorKind::Unsupported, "8-bit weights and float scales were expected").tensor(name))
        }
    }
}
