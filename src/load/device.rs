use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// Where a model computes.
///
/// Written as text it is `cpu`, `cuda`, `cuda:1`, `metal` or `metal:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA card by its number, counted from 0 (feature `candle-cuda`).
    Cuda(usize),
    /// One of Apple's cards by its number, counted from 0 (feature `candle-metal`).
    Metal(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal(number) => write!(f, "metal:{number}"),
        }
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (kind, number) = text.split_once(':').unwrap_or((text, "0"));
        match (kind, number.parse()) {
            ("cpu", _) if kind == text => Ok(Self::Cpu),
            ("cuda", Ok(number)) => Ok(Self::Cuda(number)),
            ("metal", Ok(number)) => Ok(Self::Metal(number)),
            _ => Err(Error::new(ErrorKind::InvalidArgument, "no device has this name")
                .expected("cpu, cuda, cuda:N, metal or metal:N")
                .actual(text)),
        }
    }
}
