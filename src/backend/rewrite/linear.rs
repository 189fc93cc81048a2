//! The `QLinear*` operators, `QGemm` and their kin: dequantise, compute, quantise. And products of halves.

use super::Rule;
use super::qdq::{dequantized, quantize_last};
use super::site::Site;
use crate::Result;
use crate::onnx::{AttributeProto, builder, data_type};

const MS: &str = "com.microsoft";

pub(super) const RULES: &[(&str, &str, Rule)] = &[
    ("", "Gemm", gemm_of_halves),
    (MS, "QLinearAdd", |site| binary(site, "Add")),
    (MS, "QLinearMul", |site| binary(site, "Mul")),
    (MS, "QLinearSigmoid", |site| unary(site, "Sigmoid", Vec::new())),
    (MS, "QLinearLeakyRelu", |site| unary(site, "LeakyRelu", site.attributes(&["alpha"]))),
    (MS, "QLinearSoftmax", softmax),
    (MS, "QLinearAveragePool", average_pool),
    (MS, "QLinearGlobalAveragePool", global_average_pool),
    (MS, "QLinearReduceMean", |site| unary(site, "ReduceMean", site.attributes(&["axes", "keepdims"]))),
    (MS, "QLinearConcat", concat),
    (MS, "QLinearWhere", choose),
    (MS, "QGemm", gemm),
    (MS, "MatMulIntegerToFloat", mat_mul_integer_to_float),
    (MS, "DynamicQuantizeMatMul", dynamic_quantize_mat_mul),
];

/// a b + c in f16, for which tract (0.23.9) takes its `Gemm` to give f32.
fn gemm_of_halves(site: &mut Site<'_>) -> Result<()> {
    let plain = site.float("alpha", 1.0) == 1.0 && site.float("beta", 1.0) == 1.0;
    let halves =
        [0, 1, 2].iter().any(|&i| site.constant(site.input(i)).and_then(|t| t.data_type) == Some(data_type::FLOAT16));
    if !(plain && halves) {
        site.keep();
        return Ok(());
    }
    let mut factors = [site.required(0)?.to_owned(), site.required(1)?.to_owned()];
    for (factor, name) in factors.iter_mut().zip(["transA", "transB"]) {
        if site.int(name, 0) != 0 {
            *factor = site.add("Transpose", &[factor], vec![builder::ints("perm", [1, 0])]);
        }
    }
    product(site, &factors[0], &factors[1], 2)
}

/// x, its scale and zero point; scale and zero point of the answer.
fn unary(site: &mut Site<'_>, op: &str, attributes: Vec<AttributeProto>) -> Result<()> {
    let x = dequantized(site, [site.required(0)?, site.required(1)?, site.input(2)], 1)?;
    let y = site.add(op, &[&x], attributes);
    quantize_last(site, &y, [site.required(3)?, site.input(4)], 1)
}

/// a and b with scale and zero point each; scale and zero point of the answer.
fn binary(site: &mut Site<'_>, op: &str) -> Result<()> {
    let a = dequantized(site, [site.required(0)?, site.required(1)?, site.input(2)], 1)?;
    let b = dequantized(site, [site.required(3)?, site.required(4)?, site.input(5)], 1)?;
    let c = site.add(op, &[&a, &b], Vec::new());
    quantize_last(site, &c, [site.required(6)?, site.input(7)], 1)
}

/// Which softmax is meant stands in the attribute `opset`: up to 12 over all axes from `axis` on.
fn softmax(site: &mut Site<'_>) -> Result<()> {
    let axis = site.int("axis", -1);
    if (site.int("opset", site.opset) < 13) != (site.opset < 13) && axis != -1 {
        return Err(site.unsupported(
            "the softmax is of another operator set than the graph, and not over the last axis; quantise it again",
        ));
    }
    unary(site, "Softmax", vec![builder::int("axis", axis)])
}

fn channels_first(site: &Site<'_>) -> Result<()> {
    match site.int("channels_last", 0) {
        0 => Ok(()),
        _ => Err(site.unsupported("the backend `tract` takes this operator only with channels first")),
    }
}

fn average_pool(site: &mut Site<'_>) -> Result<()> {
    channels_first(site)?;
    let kept = site.attributes(&[
        "auto_pad",
        "ceil_mode",
        "count_include_pad",
        "dilations",
        "kernel_shape",
        "pads",
        "strides",
    ]);
    unary(site, "AveragePool", kept)
}

fn global_average_pool(site: &mut Site<'_>) -> Result<()> {
    channels_first(site)?;
    unary(site, "GlobalAveragePool", Vec::new())
}

/// Scale and zero point of the answer, then each part with its own.
fn concat(site: &mut Site<'_>) -> Result<()> {
    let mut parts = Vec::new();
    for i in (2..site.node().input.len()).step_by(3) {
        parts.push(dequantized(site, [site.required(i)?, site.required(i + 1)?, site.input(i + 2)], 1)?);
    }
    if parts.is_empty() {
        return Err(site.malformed("there is nothing to concatenate"));
    }
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    let whole = site.add("Concat", &names, site.attributes(&["axis"]));
    quantize_last(site, &whole, [site.required(0)?, site.input(1)], 1)
}

/// A condition, x and y with scale and zero point each; scale and zero point of the answer.
fn choose(site: &mut Site<'_>) -> Result<()> {
    let condition = site.required(0)?;
    let x = dequantized(site, [site.required(1)?, site.required(2)?, site.input(3)], 1)?;
    let y = dequantized(site, [site.required(4)?, site.required(5)?, site.input(6)], 1)?;
    let z = site.add("Where", &[condition, &x, &y], Vec::new());
    quantize_last(site, &z, [site.required(7)?, site.input(8)], 1)
}

/// alpha * (a b + c), where the integers of c are in units of the scales of a and b.
fn gemm(site: &mut Site<'_>) -> Result<()> {
    let (a_scale, b_scale) = (site.required(1)?, site.required(4)?);
    let columns = if site.int("transB", 0) == 0 { 1 } else { 0 };
    let a = dequantized(site, [site.required(0)?, a_scale, site.input(2)], 1)?;
    let b = dequantized(site, [site.required(3)?, b_scale, site.input(5)], columns)?;
    let alpha = site.float("alpha", 1.0);
    let mut attributes = site.attributes(&["transA", "transB"]);
    attributes.push(builder::float("alpha", alpha));
    let mut inputs = vec![a, b];
    if !site.input(6).is_empty() {
        let c = site.float_of(site.input(6));
        let c = site.add("Mul", &[&c, a_scale], Vec::new());
        inputs.push(site.add("Mul", &[&c, b_scale], Vec::new()));
        attributes.push(builder::float("beta", alpha));
    }
    let names: Vec<&str> = inputs.iter().map(String::as_str).collect();
    if site.input(7).is_empty() {
        site.last("Gemm", &names, attributes);
        return Ok(());
    }
    let y = site.add("Gemm", &names, attributes);
    quantize_last(site, &y, [site.required(7)?, site.input(8)], 1)
}

/// a, b, their scales, their zero points, a bias.
fn mat_mul_integer_to_float(site: &mut Site<'_>) -> Result<()> {
    let a = dequantized(site, [site.required(0)?, site.required(2)?, site.input(4)], 1)?;
    let b = dequantized(site, [site.required(1)?, site.required(3)?, site.input(5)], -1)?;
    product(site, &a, &b, 6)
}

/// a as float, b, its scale, its zero point, a bias. The rounding of a is left out.
fn dynamic_quantize_mat_mul(site: &mut Site<'_>) -> Result<()> {
    let b = dequantized(site, [site.required(1)?, site.required(2)?, site.input(3)], -1)?;
    product(site, site.required(0)?, &b, 4)
}

/// a b, plus input `bias` where it is there.
fn product(site: &mut Site<'_>, a: &str, b: &str, bias: usize) -> Result<()> {
    if site.input(bias).is_empty() {
        site.last("MatMul", &[a, b], Vec::new());
    } else {
        let y = site.add("MatMul", &[a, b], Vec::new());
        site.last("Add", &[&y, site.input(bias)], Vec::new());
    }
    Ok(())
}
