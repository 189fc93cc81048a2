//! What is asked of the quantiser.

use std::fmt;
use std::str::FromStr;

use super::layers::name;
use crate::onnx::NodeProto;
use crate::{Error, ErrorKind};

/// What a network's numbers are brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Target {
    /// Weights in 8 bits; activations in 8 bits by the range that each call finds. Needs no data. Opset 11.
    Int8Dynamic,
    /// Weights and activations in 8 bits by ranges that calibration data have; as `QuantizeLinear` and
    /// `DequantizeLinear`. Opset 13.
    Int8Static,
    /// Weights in 8 bits, computation in f32.
    Int8Weights,
    /// Weights in 4 bits, in blocks, computation in f32.
    Int4Weights,
    /// Weights in half precision, computation in f32.
    F16,
    /// Weights as the upper half of f32, computation in f32. Opset 13.
    Bf16,
}

impl Target {
    /// Every target.
    pub const ALL: [Self; 6] =
        [Self::Int8Dynamic, Self::Int8Static, Self::Int8Weights, Self::Int4Weights, Self::F16, Self::Bf16];

    /// The name, as the command line has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Int8Dynamic => "int8-dynamic",
            Self::Int8Static => "int8-static",
            Self::Int8Weights => "int8-weights",
            Self::Int4Weights => "int4-weights",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|t| t.as_str() == text).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "no target has this name")
                .expected("int8-dynamic, int8-static, int8-weights, int4-weights, f16 or bf16")
                .actual(text)
        })
    }
}

/// Which operators carry weights that alone are quantised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum WeightForm {
    /// `DequantizeLinear` with a scale for each channel; 8 bits. Opset 13, every runtime.
    Channels,
    /// `MatMulNBits` and `GatherBlockQuantized` of `com.microsoft`; 4 or 8 bits. Any opset.
    NBits,
    /// `DequantizeLinear` in blocks; 4 or 8 bits. Opset 21.
    BlockedQdq,
}

impl FromStr for WeightForm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "channels" => Ok(Self::Channels),
            "n-bits" => Ok(Self::NBits),
            "blocked-qdq" => Ok(Self::BlockedQdq),
            _ => Err(Error::new(ErrorKind::InvalidArgument, "no form of weights has this name")
                .expected("channels, n-bits or blocked-qdq")
                .actual(text)),
        }
    }
}

/// How calibration turns the values it has seen into a range.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Calibration {
    /// From the least to the greatest value.
    MinMax,
    /// The range that holds so many per cent of the values, the same share cut off at either end.
    Percentile(f64),
    /// The range whose quantised distribution diverges least from that of the values (Kullback and Leibler).
    Entropy,
}

impl FromStr for Calibration {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let share = |text: &str| text.parse().ok().filter(|p| *p > 50.0 && *p <= 100.0).map(Self::Percentile);
        match text {
            "min-max" => Some(Self::MinMax),
            "entropy" => Some(Self::Entropy),
            "percentile" => Some(Self::Percentile(99.999)),
            other => other.strip_prefix("percentile@").and_then(share),
        }
        .ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "no way to calibrate has this name")
                .expected("min-max, entropy, percentile or percentile@P with P above 50 and up to 100")
                .actual(text)
        })
    }
}

/// What the parts of the quantiser are told.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) target: Target,
    pub(super) per_channel: bool,
    pub(super) symmetric: bool,
    pub(super) seven_bits: bool,
    pub(super) block: usize,
    pub(super) form: Option<WeightForm>,
    pub(super) calibration: Calibration,
    pub(super) activations_symmetric: bool,
    pub(super) activation_aware: bool,
    /// Layers and tensors that stay as they are, by name.
    pub(super) keep: Vec<String>,
}

impl Settings {
    /// Whether the layer is to stay as it is: it, what it gives or what it takes was named.
    pub(super) fn keeps(&self, node: &NodeProto) -> bool {
        let mut names = node.input.iter().chain(&node.output).map(String::as_str).chain([name(node)]);
        !self.keep.is_empty() && names.any(|name| !name.is_empty() && self.keep.iter().any(|keep| keep == name))
    }

    pub(super) fn keeps_tensor(&self, name: &str) -> bool {
        self.keep.iter().any(|keep| keep == name)
    }

    /// The form of weights of so many bits.
    pub(super) fn weight_form(&self, bits: u32) -> WeightForm {
        self.form.unwrap_or(if bits == 8 { WeightForm::Channels } else { WeightForm::NBits })
    }
}
