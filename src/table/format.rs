use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// The format of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TableFormat {
    /// One array, as `numpy.save` writes it.
    Npy,
    /// Arrays by name, as `numpy.savez` and `numpy.savez_compressed` write them.
    Npz,
    /// Comma-separated text with a header line.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl TableFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Npy, Self::Npz, Self::Csv, Self::Parquet];

    /// The format of content that starts with `head`: told from its magic bytes, else CSV.
    #[must_use]
    pub fn sniff(head: &[u8]) -> Self {
        if head.starts_with(b"\x93NUMPY") {
            Self::Npy
        } else if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            Self::Npz
        } else if head.starts_with(b"PAR1") {
            Self::Parquet
        } else {
            Self::Csv
        }
    }

    /// The format that the extension of `path` stands for.
    #[must_use]
    pub fn from_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "pq" => Some(Self::Parquet),
            other => other.parse().ok(),
        }
    }

    /// The name, which is also the extension.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }
}

impl fmt::Display for TableFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TableFormat {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|f| f.as_str() == s).ok_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "no table format has this name")
                .expected("npy, npz, csv or parquet")
                .actual(s)
        })
    }
}
