//! `EmbedLayerNormalization` of ONNX Runtime's transformer fusion, and `QEmbedLayerNormalization`, which its quantiser
//! makes of it.

use super::Rule;
use super::qdq::dequantized;
use super::site::Site;
use crate::Result;
use crate::onnx::{builder, data_type};

const MS: &str = "com.microsoft";

pub(super) const RULES: &[(&str, &str, Rule)] = &[
    (MS, "EmbedLayerNormalization", |site| embed(site, false)),
    (MS, "QEmbedLayerNormalization", |site| embed(site, true)),
];

/// Ids (m, s), segments (m, s) or nothing, tables of words, positions and segments, gain, bias, mask (m, s) or nothing;
/// then positions (m, s) or nothing, or for the quantised operator the scales of the five constants and their zero
/// points. Gives the normalised sums (m, s, h), the number of places that the mask leaves (m), and the sums.
fn embed(site: &mut Site<'_>, quantized: bool) -> Result<()> {
    let (ids, segments, mask) = (site.required(0)?, site.input(1), site.input(7));
    let table = |site: &mut Site<'_>, input: usize, rows: &str| -> Result<String> {
        let rows = site.add("Gather", &[site.required(input)?, rows], vec![builder::int("axis", 0)]);
        real(site, &rows, input, quantized)
    };
    let words = table(site, 2, ids)?;
    let given = if quantized { "" } else { site.input(8) };
    let places = if given.is_empty() {
        let (zero, one) = (site.whole(0)?, site.whole(1)?);
        let length = site.length(ids, 1)?;
        site.add("Range", &[&zero, &length, &one], Vec::new())
    } else {
        given.to_owned()
    };
    let places = table(site, 3, &places)?;
    let mut sums = site.add("Add", &[&words, &places], Vec::new());
    if !segments.is_empty() && !site.input(4).is_empty() {
        let segments = table(site, 4, segments)?;
        sums = site.add("Add", &[&sums, &segments], Vec::new());
    }
    let [gain, bias] = [5, 6].map(|input| site.required(input).map(str::to_owned));
    let (gain, bias) = (real(site, &gain?, 5, quantized)?, real(site, &bias?, 6, quantized)?);
    let epsilon = builder::float("epsilon", site.float("epsilon", 1e-12));
    site.give(0, "LayerNormalization", &[&sums, &gain, &bias], vec![builder::int("axis", -1), epsilon]);
    if site.gives(1) {
        let counted = if mask.is_empty() {
            let zero = site.whole(0)?;
            let ids = site.cast(ids, data_type::INT64);
            site.add("Mul", &[&ids, &zero], Vec::new())
        } else {
            mask.to_owned()
        };
        let counted = site.cast(&counted, data_type::INT32);
        if site.opset < 13 {
            site.give(1, "ReduceSum", &[&counted], vec![builder::ints("axes", [1]), builder::int("keepdims", 0)]);
        } else {
            let axes = site.tensor("axes", &[1], vec![1i64])?;
            site.give(1, "ReduceSum", &[&counted, &axes], vec![builder::int("keepdims", 0)]);
        }
    }
    site.give(2, "Identity", &[&sums], Vec::new());
    Ok(())
}

/// `value`, which is (a part of) the constant that is input `input`, as floats.
fn real(site: &mut Site<'_>, value: &str, input: usize, quantized: bool) -> Result<String> {
    if !quantized {
        return Ok(value.to_owned());
    }
    dequantized(site, [value, site.required(input + 6)?, site.input(input + 11)], 1)
}
