use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Limits;
use crate::{Error, ErrorKind, Result};

/// The bytes of a model's main file, and where the others would be.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The file's name, for messages and artifacts.
    pub(crate) name: String,
    /// The content.
    pub(crate) bytes: Arc<[u8]>,
    /// The directory that other files of the model are confined to; none when it came from memory.
    pub(crate) directory: Option<PathBuf>,
}

impl Source {
    pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let shown = path.display().to_string();
        let meta = std::fs::metadata(path).map_err(|e| {
            Error::new(Error::from(e).kind(), "the model file can't be opened; check the path").model(&shown)
        })?;
        if meta.is_dir() {
            return Err(Error::new(
                ErrorKind::FeatureDisabled,
                "this is a directory; directories with safetensors need the feature `candle`, which this build lacks",
            )
            .model(&shown));
        }
        if meta.len() > limits.max_file_bytes {
            return Err(Error::new(ErrorKind::LimitExceeded, "the model file is larger than `Limits::max_file_bytes`")
                .model(&shown)
                .expected(format!("at most {} bytes", limits.max_file_bytes))
                .actual(format!("{} bytes", meta.len())));
        }
        let bytes = std::fs::read(path).map_err(|e| Error::from(e).model(&shown))?;
        let name = path.file_name().map_or_else(|| shown.clone(), |n| n.to_string_lossy().into_owned());
        let directory = path.parent().map(|p| if p.as_os_str().is_empty() { PathBuf::from(".") } else { p.to_owned() });
        Ok(Self { name, bytes: bytes.into(), directory })
    }

    pub(crate) fn memory(name: &str, bytes: Arc<[u8]>, limits: &Limits) -> Result<Self> {
        if bytes.len() as u64 > limits.max_file_bytes {
            return Err(Error::new(ErrorKind::LimitExceeded, "the model is larger than `Limits::max_file_bytes`")
                .model(name)
                .expected(format!("at most {} bytes", limits.max_file_bytes))
                .actual(format!("{} bytes", bytes.len())));
        }
        Ok(Self { name: name.to_owned(), bytes, directory: None })
    }
}
