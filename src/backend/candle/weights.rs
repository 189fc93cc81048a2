//! Weights in the safetensors format, read once and straight into the tensors.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::Deserialize;

use super::files::{Digesting, Files};
use super::gguf::{self, Stored};
use super::sentence::json;
use crate::backend::contain::contained;
use crate::tensor::{checked_len, shape_text};
use crate::{Error, ErrorKind, Limits, Result};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Weights in blocks of few bits, as the module `optimize` writes them.
const BLOCKS: &str = "model.gguf";
/// The longest header that the format allows.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// How much of a file is held beside the tensor that it becomes.
const BUFFER_BYTES: usize = 1 << 16;

/// The tensors of a model by their names.
pub(super) struct Weights {
    tensors: HashMap<String, Tensor>,
    device: Device,
    /// What the network's names begin with: `bert.`, where the file holds a head as well.
    prefix: String,
    /// What was taken.
    pub(super) parameters: u64,
    pub(super) bytes: u64,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Weights {
    /// Reads `model.safetensors`, the shards that `model.safetensors.index.json` names, or `model.gguf`. On the processor all
    /// floats become f32, since it has no products of others; cards keep f16 and bf16.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] naming the missing file; [`ErrorKind::Malformed`]; [`ErrorKind::LimitExceeded`].
    pub(super) fn read(files: &mut Files<'_>, device: &Device, limits: &Limits) -> Result<Self> {
        let mut tensors = HashMap::new();
        if let Some(file) = files.open(SINGLE)? {
            Self::read_file(files, SINGLE, file, device, limits, &mut tensors)?;
        } else if let Some(index) = json::<Index>(files, INDEX)? {
            // Each once, in an order that does not depend on the run.
            for shard in index.weight_map.values().collect::<BTreeSet<_>>() {
                let Some(file) = files.open(shard)? else {
                    let message = "a shard that `model.safetensors.index.json` names is not there; fetch it again";
                    return Err(Error::new(ErrorKind::NotFound, message).actual(format!("no file `{shard}`")));
                };
                Self::read_file(files, shard, file, device, limits, &mut tensors)?;
            }
        } else if let Some(bytes) = files.read(BLOCKS)? {
            for Stored { name, shape, values } in gguf::read(&bytes, limits).map_err(|e| e.model(BLOCKS))? {
                let made = || Tensor::from_vec(values, shape, device);
                let tensor = contained("candle", ErrorKind::Backend, "making a tensor of weights", made)?;
                tensors.insert(name, tensor);
            }
        } else {
            let message =
                "the directory has no weights; save them with `save_pretrained(..., safe_serialization=True)`";
            return Err(
                Error::new(ErrorKind::NotFound, message).expected(format!("`{SINGLE}`, `{INDEX}` or `{BLOCKS}`"))
            );
        }
        Ok(Self { tensors, device: device.clone(), prefix: String::new(), parameters: 0, bytes: 0 })
    }

    fn read_file(
        files: &mut Files<'_>,
        path: &str,
        mut file: Digesting,
        device: &Device,
        limits: &Limits,
        tensors: &mut HashMap<String, Tensor>,
    ) -> Result<()> {
        let header = header(&mut file).map_err(|e| e.model(path))?;
        let infos = header.tensors();
        // In the order of their places in the file, which have neither gaps nor overlaps.
        for name in header.offset_keys() {
            let info = infos[&name];
            if checked_len(&info.shape).is_none_or(|n| n > limits.max_elements) {
                return Err(Error::new(ErrorKind::LimitExceeded, "a tensor is larger than `Limits::max_elements`")
                    .model(path)
                    .tensor(&name)
                    .expected(format!("at most {} elements", limits.max_elements))
                    .actual(shape_text(&info.shape)));
            }
            if let Some(tensor) = tensor(&mut file, info, device).map_err(|e| e.model(path).tensor(&name))? {
                tensors.insert(name, tensor);
            }
        }
        files.close(path, file)
    }

    /// Finds out what the names begin with: the tensor that ends in `known` tells it.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when no name does.
    pub(super) fn find_prefix(&mut self, known: &str) -> Result<()> {
        let fits = |name: &&String| name.strip_suffix(known).is_some_and(|p| p.is_empty() || p.ends_with('.'));
        let Some(name) = self.tensors.keys().filter(fits).min_by_key(|name| name.len()) else {
            return Err(lacks(known));
        };
        self.prefix = name[..name.len() - known.len()].to_owned();
        Ok(())
    }

    /// Takes out the tensor called `name`, of this shape.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when it is not there or has another shape.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let whole = format!("{}{name}", self.prefix);
        let found = self.tensors.remove(&whole).or_else(|| {
            // As the first checkpoints of BERT call them.
            let old = whole.strip_suffix("LayerNorm.weight").map(|stem| format!("{stem}LayerNorm.gamma"));
            let old = old.or_else(|| whole.strip_suffix("LayerNorm.bias").map(|stem| format!("{stem}LayerNorm.beta")));
            self.tensors.remove(&old?)
        });
        let tensor = found.ok_or_else(|| lacks(&whole))?;
        if tensor.dims() != shape {
            return Err(Error::new(ErrorKind::Malformed, "a weight has another shape than `config.json` says")
                .tensor(whole)
                .expected(shape_text(shape))
                .actual(shape_text(tensor.dims())));
        }
        self.parameters += tensor.elem_count() as u64;
        self.bytes += (tensor.elem_count() * tensor.dtype().size_in_bytes()) as u64;
        Ok(tensor)
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }
}

fn lacks(name: &str) -> Error {
    Error::new(ErrorKind::Malformed, "the weights lack a tensor that the architecture of `config.json` needs")
        .tensor(name)
}

/// The header, held against the length of the file before anything is read.
fn header(file: &mut Digesting) -> Result<Metadata> {
    let whole = file.length();
    let cut_short = || {
        Error::new(ErrorKind::Malformed, "the safetensors file is cut short or damaged; fetch it again")
            .actual(format!("{whole} bytes"))
    };
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| cut_short())?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Err(Error::new(ErrorKind::LimitExceeded, "the header of the safetensors file is too long")
            .expected(format!("at most {MAX_HEADER_BYTES} bytes"))
            .actual(format!("{length} bytes")));
    }
    if length > whole.saturating_sub(8) {
        return Err(cut_short().expected(format!("a header of {length} bytes and the tensors")));
    }
    let mut json = vec![0; length as usize];
    file.read_exact(&mut json).map_err(|_| cut_short())?;
    let metadata: Metadata = serde_json::from_slice(&json).map_err(|e| {
        Error::new(ErrorKind::Malformed, "the header of the safetensors file can't be read").with_source(e)
    })?;
    let expected = metadata.data_len() as u64 + 8 + length;
    if expected != whole {
        return Err(cut_short().expected(format!("{expected} bytes")));
    }
    Ok(metadata)
}

/// The tensor that comes next in the file, or nothing where it does not hold floats.
fn tensor(file: &mut Digesting, info: &TensorInfo, device: &Device) -> Result<Option<Tensor>> {
    let (start, end) = info.data_offsets;
    let mut data = file.take((end - start) as u64);
    let on_card = !device.is_cpu();
    let values = match info.dtype {
        Dtype::F32 => elements(&mut data, f32::from_le_bytes)?,
        Dtype::F64 => elements(&mut data, |b| f64::from_le_bytes(b) as f32)?,
        Dtype::F16 => elements(&mut data, |b| f16::from_le_bytes(b).to_f32())?,
        Dtype::BF16 => elements(&mut data, |b| bf16::from_le_bytes(b).to_f32())?,
        _ => {
            std::io::copy(&mut data, &mut std::io::sink())?;
            return Ok(None);
        }
    };
    let kept = match info.dtype {
        Dtype::F16 if on_card => DType::F16,
        Dtype::BF16 if on_card => DType::BF16,
        _ => DType::F32,
    };
    let shape = info.shape.as_slice();
    contained("candle", ErrorKind::Backend, "making a tensor of weights", || {
        Tensor::from_vec(values, shape, device)?.to_dtype(kept)
    })
    .map(Some)
}

/// The elements of `size_of::<[u8; N]>()` bytes each that `data` holds.
fn elements<const N: usize>(data: &mut std::io::Take<&mut Digesting>, element: fn([u8; N]) -> f32) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(data.limit() as usize / N);
    let mut buffer = vec![0; BUFFER_BYTES];
    while data.limit() > 0 {
        let n = buffer.len().min(data.limit() as usize);
        data.read_exact(&mut buffer[..n])?;
        let (whole, _) = buffer[..n].as_chunks::<N>();
        values.extend(whole.iter().map(|bytes| element(*bytes)));
    }
    Ok(values)
}
