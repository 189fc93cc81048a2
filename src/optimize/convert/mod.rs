//! Models as ONNX files that every runtime takes.

mod boosters;
mod categories;
#[cfg(feature = "candle")]
mod gguf;
mod packed;
#[cfg(feature = "candle")]
mod perceptron;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use self::categories::Vocabulary;
use super::file::parameters;
use super::report::{Change, Report};
use super::run::{Common, common_methods};
use super::{Optimized, measure};
use crate::onnx::{DecodeLimits, ExternalData, ModelProto};
use crate::{Artifact, DType, Error, ErrorKind, Format, Loader, Result};

/// What stands between the layers of a perceptron, which its weights do not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Activation {
    /// max(x, 0)
    #[default]
    Relu,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + e^-x)
    Sigmoid,
}

impl Activation {
    /// The operator of ONNX.
    #[cfg(feature = "candle")]
    const fn operator(self) -> &'static str {
        match self {
            Self::Relu => "Relu",
            Self::Tanh => "Tanh",
            Self::Sigmoid => "Sigmoid",
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Relu => "relu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
        })
    }
}

impl FromStr for Activation {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [Self::Relu, Self::Tanh, Self::Sigmoid].into_iter().find(|a| a.to_string() == text).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "no activation has this name")
                .expected("relu, tanh or sigmoid")
                .actual(text)
        })
    }
}

/// Writes a model as ONNX: XGBoost's, LightGBM's and CatBoost's own files, and perceptrons whose weights lie in a
/// safetensors file.
///
/// A booster's ONNX file has the inputs and outputs that the model has when its own file is loaded, with categories as their
/// codes; sums are made in f32. CatBoost's file knows categories by the hashes of their texts, which ONNX can't compute: the
/// texts that the [`data`](Self::data) hold become tables, and any other is one that was never seen.
///
/// ```no_run
/// use modelberth::optimize::{Convert, Data};
/// let converted = Convert::new().data(Data::file("rows.csv")).run("churn.xgb.json")?;
/// converted.write("churn.onnx")?;
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Default)]
pub struct Convert<'a> {
    #[cfg_attr(not(feature = "candle"), allow(dead_code, reason = "safetensors are read with candle"))]
    activation: Activation,
    gguf: Option<u32>,
    packed: bool,
    sizes: Vec<(String, usize)>,
    common: Common<'a>,
}

impl fmt::Debug for Convert<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Convert").field("activation", &self.activation).finish_non_exhaustive()
    }
}

impl<'a> Convert<'a> {
    /// A conversion to ONNX.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What stands between the layers of a perceptron; `relu` unless set.
    #[must_use]
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Writes GGUF in blocks of 8 bits (`Q8_0`) or 4 (`Q4_0`) of a safetensors file, in the place of ONNX (feature
    /// `candle`). As `model.gguf` beside the `config.json` of a Hugging Face directory it takes the place of
    /// `model.safetensors`.
    #[must_use]
    pub fn gguf(mut self, bits: u32) -> Self {
        self.gguf = Some(bits);
        self
    }

    /// Writes the packed form of [`edge`](crate::edge) in the place of ONNX, of an ONNX file too.
    #[must_use]
    pub fn packed(mut self) -> Self {
        self.packed = true;
        self
    }

    /// What a size that the model leaves open is in the packed form, which has none: `name` is that of the size, or
    /// `INPUT:AXIS` for one without a name, the batch being axis 0.
    #[must_use]
    pub fn size(mut self, name: impl Into<String>, n: usize) -> Self {
        self.sizes.push((name.into(), n));
        self
    }

    common_methods!(common);

    /// Converts the model in the file at `path`; with data, answers and latency of both are compared.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a format or a model that has no form in ONNX, or no packed one;
    /// [`ErrorKind::InvalidArgument`] for [`size`](Self::size) of what the model does not leave open; else as loading it.
    pub fn run(&self, path: impl AsRef<Path>) -> Result<Optimized> {
        let (path, limits) = (path.as_ref(), &self.common.limits);
        if !self.packed && !self.sizes.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "sizes are set in the packed form alone"));
        }
        let shown = path.display().to_string();
        let meta = std::fs::metadata(path).map_err(|e| Error::from(e).model(&shown))?;
        if !meta.is_file() || meta.len() > limits.max_file_bytes {
            let what = "the model to convert is one file, no larger than `Limits::max_file_bytes`";
            return Err(Error::new(ErrorKind::Unsupported, what).model(&shown));
        }
        let bytes = std::fs::read(path).map_err(|e| Error::from(e).model(&shown))?;
        if let Some(bits) = self.gguf {
            return blocks(&bytes, bits).map_err(|e| e.model(&shown));
        }
        let texts = self.vocabulary(path, &bytes)?;
        let (model, what) = self.model(&bytes, texts.as_ref()).map_err(|e| e.model(&shown))?;
        let (to, artifact) = if self.packed {
            let loader = Loader::new().limits(*limits);
            let loaded = if Format::sniff(&bytes) == Some(Format::Onnx) {
                loader.load(path)?
            } else {
                loader.load_artifact(&Artifact::in_memory("onnx", "model.onnx", model.encode_to_vec()))?
            };
            let external = ExternalData::new(path.parent().unwrap_or(Path::new("")));
            let packed = packed::convert(&model, external, loaded.signature(), &self.sizes, limits)
                .map_err(|e| e.model(&shown))?;
            ("the packed form", Artifact::in_memory("packed", "model.mbp", packed))
        } else {
            ("ONNX", Artifact::in_memory("onnx", "model.onnx", model.encode_to_vec()))
        };
        let mut report = Report::new("convert", format!("{what} to {to}"));
        report.bytes = Change { before: bytes.len() as u64, after: artifact.files[0].bytes };
        let after = Loader::new().limits(*limits).load_artifact(&artifact)?;
        report.parameters.after = after.describe().parameters.max(model.graph.as_deref().map_or(0, parameters));
        report.parameters.before = report.parameters.after;
        if let Some(texts) = &texts {
            let count = texts.iter().map(Vec::len).sum::<usize>();
            report
                .notes
                .push(format!("{count} texts of the data are known as categories; others are taken for never seen"));
        }
        // A perceptron's weights alone are no model that could be asked.
        if let (Some(data), Ok(before)) = (&self.common.data, Loader::new().limits(*limits).load(path)) {
            report.parameters.before = before.describe().parameters;
            report.fidelity = measure::fidelity(data, &*before, &*after)?;
            if let Some(baseline) = data.judge(&*before, None)? {
                report.metric = measure::metric(data, &*before, &baseline, &*after)?;
            }
            let rows = data.first(before.signature(), self.common.batch)?;
            let (batch, time, progress) = (self.common.batch, self.common.time, self.common.progress);
            report.latency = Some(measure::latency(&*before, &*after, &rows, batch, time, progress)?);
        }
        Ok(Optimized::new(report, artifact))
    }

    /// The texts that the data hold for a model of CatBoost's that reads categories.
    fn vocabulary(&self, path: &Path, bytes: &[u8]) -> Result<Option<Vocabulary>> {
        let (Some(data), Some(Format::CatBoostJson)) = (&self.common.data, Format::sniff(bytes)) else {
            return Ok(None);
        };
        let model = Loader::new().limits(self.common.limits).load(path)?;
        let Some(spec) = model.signature().inputs().iter().find(|spec| spec.dtype() == DType::String) else {
            return Ok(None);
        };
        let mut texts: Vec<BTreeSet<String>> = Vec::new();
        let name = spec.name().clone();
        data.each_batch(model.signature(), &mut |inputs, _| {
            let tensor = inputs.tensor(&name)?;
            let width = tensor.shape().get(1).copied().unwrap_or(1).max(1);
            texts.resize_with(width, BTreeSet::new);
            // Whole numbers are categories by how they are written.
            let written: Vec<String> = match tensor.dtype() {
                DType::String => tensor.as_slice::<String>()?.to_vec(),
                _ => tensor.cast(DType::I64)?.as_slice::<i64>()?.iter().map(i64::to_string).collect(),
            };
            for row in written.chunks_exact(width) {
                for (known, text) in texts.iter_mut().zip(row) {
                    if !known.contains(text) {
                        known.insert(text.clone());
                    }
                }
            }
            Ok(())
        })?;
        Ok(Some(texts.into_iter().map(|known| known.into_iter().collect()).collect()))
    }

    fn model(&self, bytes: &[u8], texts: Option<&Vocabulary>) -> Result<(ModelProto, String)> {
        let limits = &self.common.limits;
        match Format::sniff(bytes) {
            Some(format @ (Format::XgboostJson | Format::XgboostUbjson | Format::LightGbm | Format::CatBoostJson)) => {
                Ok((boosters::convert(bytes, limits, format, texts)?, format!("{format:?}")))
            }
            #[cfg(feature = "candle")]
            Some(Format::Safetensors) => {
                Ok((perceptron::convert(bytes, self.activation)?, "a perceptron in safetensors".to_owned()))
            }
            Some(Format::Onnx) if self.packed => {
                let decode = DecodeLimits { max_depth: limits.max_depth, max_messages: limits.max_messages };
                Ok((ModelProto::decode(bytes.to_vec(), &decode)?, "an ONNX graph".to_owned()))
            }
            Some(Format::Onnx) => {
                Err(Error::new(ErrorKind::InvalidArgument, "the file is ONNX already; there is nothing to convert"))
            }
            Some(other) => {
                let what = "no conversion knows this format; boosters' own files and safetensors perceptrons are known";
                Err(Error::new(ErrorKind::Unsupported, what).actual(format!("{other:?}")))
            }
            None => Err(Error::new(ErrorKind::Malformed, "the file is of no known format")),
        }
    }
}

/// A safetensors file as GGUF.
#[cfg(feature = "candle")]
fn blocks(bytes: &[u8], bits: u32) -> Result<Optimized> {
    if bits != 4 && bits != 8 {
        return Err(Error::new(ErrorKind::InvalidArgument, "blocks of GGUF have 4 or 8 bits here").actual(bits));
    }
    let done = gguf::convert(bytes, bits)?;
    let mut report = Report::new("convert", format!("safetensors to GGUF, Q{bits}_0"));
    report.bytes = Change { before: bytes.len() as u64, after: done.bytes.len() as u64 };
    report.parameters = Change { before: done.parameters, after: done.parameters };
    (report.layers, report.skipped) = (done.layers, done.skipped);
    Ok(Optimized::new(report, Artifact::in_memory("gguf", "model.gguf", done.bytes)))
}

#[cfg(not(feature = "candle"))]
fn blocks(_: &[u8], _: u32) -> Result<Optimized> {
    Err(Error::new(ErrorKind::FeatureDisabled, "GGUF is written with candle; this build lacks the feature `candle`"))
}
