//! Safetensors to GGUF in blocks of 8 or 4 bits, by candle.

use std::io::Cursor;

use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{DType, Device};

use crate::backend::contained;
use crate::optimize::report::{Layer, Skipped};
use crate::{Error, ErrorKind, Result};

/// The elements that share a scale.
const BLOCK: usize = 32;

/// What became of the tensors.
pub(super) struct Converted {
    pub(super) bytes: Vec<u8>,
    pub(super) parameters: u64,
    pub(super) layers: Vec<Layer>,
    pub(super) skipped: Vec<Skipped>,
}

/// The GGUF file of the tensors in `bytes`: matrices whose rows are whole blocks in blocks of `bits` bits, everything else
/// in f32.
///
/// # Errors
/// [`ErrorKind::Malformed`] for a file that is no safetensors; [`ErrorKind::InvalidArgument`] where no matrix qualifies.
pub(super) fn convert(bytes: &[u8], bits: u32) -> Result<Converted> {
    let kind = if bits == 4 { GgmlDType::Q4_0 } else { GgmlDType::Q8_0 };
    let read = || candle_core::safetensors::load_buffer(bytes, &Device::Cpu);
    let tensors = contained("candle", ErrorKind::Malformed, "reading safetensors", read)?;
    let mut names: Vec<&String> = tensors.keys().collect();
    names.sort_unstable();
    let mut done = Converted { bytes: Vec::new(), parameters: 0, layers: Vec::new(), skipped: Vec::new() };
    let mut stored = Vec::new();
    for name in names {
        let tensor = &tensors[name];
        let n = tensor.elem_count() as u64;
        done.parameters += n;
        let blocks = tensor.rank() == 2 && tensor.dims()[1].is_multiple_of(BLOCK);
        let to = if blocks { kind } else { GgmlDType::F32 };
        let make = || QTensor::quantize(&tensor.to_dtype(DType::F32)?, to);
        stored.push((name.as_str(), contained("candle", ErrorKind::Backend, "quantising a tensor", make)?));
        if blocks {
            let bits = if bits == 4 { 18 } else { 34 };
            done.layers.push(Layer {
                name: name.clone(),
                operator: format!("{kind:?}"),
                output: String::new(),
                parameters: n,
                bytes_before: n * tensor.dtype().size_in_bytes() as u64,
                bytes_after: n / BLOCK as u64 * bits,
                weight_sqnr_db: None,
                sqnr_db: None,
            });
        } else {
            let reason = format!("it is no matrix of rows of whole blocks of {BLOCK}");
            done.skipped.push(Skipped { name: name.clone(), operator: "tensor".to_owned(), reason });
        }
    }
    if done.layers.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "no tensor of the file is a matrix of rows of whole blocks",
        ));
    }
    let mut out = Cursor::new(Vec::new());
    let all: Vec<(&str, &QTensor)> = stored.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let write = || gguf_file::write(&mut out, &[], &all);
    contained("candle", ErrorKind::Backend, "writing GGUF", write)?;
    done.bytes = out.into_inner();
    Ok(done)
}
