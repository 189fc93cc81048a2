//! A perceptron whose weights lie in a safetensors file, as PyTorch's `nn.Sequential` and its like save them.

use safetensors::{Dtype, SafeTensors};

use super::Activation;
use crate::onnx::builder::{self, Dim};
use crate::onnx::{ModelProto, data_type};
use crate::{Error, ErrorKind, Result};

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unsupported, what.into())
}

/// A name in pieces, numbers as numbers, so that layer 10 comes after layer 9.
fn natural(name: &str) -> Vec<(u64, &str)> {
    name.split('.').map(|part| part.parse().map_or((u64::MAX, part), |number| (number, ""))).collect()
}

/// The ONNX model of layers `NAME.weight` (outputs, inputs) and `NAME.bias`, in the order of their names, with
/// `activation` between them. It takes `x` (m, n) and gives `output` (m, k).
///
/// # Errors
/// [`ErrorKind::Malformed`] for a file that is none; [`ErrorKind::Unsupported`] where its layers are no chain.
pub(super) fn convert(bytes: &[u8], activation: Activation) -> Result<ModelProto> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| Error::new(ErrorKind::Malformed, "the safetensors file can't be read").with_source(e))?;
    let mut names: Vec<&str> = file.names().into_iter().filter_map(|name| name.strip_suffix(".weight")).collect();
    names.sort_by_key(|name| natural(name));
    if names.is_empty() {
        return Err(wrong("the file has no tensor `NAME.weight`, so it holds no layers of a perceptron"));
    }
    let floats = |name: &str| -> Result<(Vec<f32>, Vec<usize>)> {
        let tensor = file.tensor(name).map_err(|e| wrong(format!("`{name}` can't be read")).with_source(e))?;
        let data = tensor.data();
        let values = match tensor.dtype() {
            Dtype::F32 => data.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Dtype::F16 => data.as_chunks::<2>().0.iter().map(|&b| half::f16::from_le_bytes(b).to_f32()).collect(),
            Dtype::BF16 => data.as_chunks::<2>().0.iter().map(|&b| half::bf16::from_le_bytes(b).to_f32()).collect(),
            other => return Err(wrong(format!("`{name}` holds {other:?}, and layers hold floats"))),
        };
        Ok((values, tensor.shape().to_vec()))
    };
    let (mut nodes, mut constants) = (Vec::new(), Vec::new());
    let (mut h, mut width, mut first) = ("x".to_owned(), 0, 0);
    for (i, name) in names.iter().enumerate() {
        let (values, shape) = floats(&format!("{name}.weight"))?;
        let &[out, inputs] = &shape[..] else {
            return Err(wrong(format!("`{name}.weight` has the shape {shape:?}, and layers have (outputs, inputs)")));
        };
        if i == 0 {
            first = inputs;
        } else if inputs != width {
            return Err(wrong(format!("`{name}` takes {inputs} numbers, and the layer before it gives {width}")));
        }
        width = out;
        let [weights, bias, sums, active] = ["weight", "bias", "sums", "active"].map(|what| format!("{name}.{what}"));
        constants.push(builder::f32_tensor(&weights, &shape, values)?);
        let mut taken = vec![h.as_str(), &weights];
        if file.names().contains(&bias.as_str()) {
            let (values, shape) = floats(&bias)?;
            if shape != [out] {
                return Err(wrong(format!("`{bias}` has the shape {shape:?}")).expected(format!("[{out}]")));
            }
            constants.push(builder::f32_tensor(&bias, &shape, values)?);
            taken.push(&bias);
        }
        let last = i + 1 == names.len();
        let given = if last { "output" } else { &sums };
        nodes.push(builder::node("Gemm", "", &taken, &[given], [builder::int("transB", 1)]));
        h = sums;
        if !last {
            nodes.push(builder::node(activation.operator(), "", &[&h], &[&active], []));
            h = active;
        }
    }
    let value =
        |name: &str, k: usize| builder::value_info(name, data_type::FLOAT, &[Dim::Symbolic("m"), Dim::Fixed(k as i64)]);
    let graph = builder::graph("perceptron", [value("x", first)], nodes, constants, [value("output", width)]);
    Ok(builder::model(8, &[("", 17)], graph))
}
