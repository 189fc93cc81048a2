//! Weights in files beside the model.

use super::proto::TensorProto;
use crate::ArtifactFile;
use crate::error::{Error, ErrorKind, Result};
use std::{
    collections::BTreeSet,
    format,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
    string::String,
    sync::{Arc, Mutex, PoisonError},
    vec::Vec,
};

#[derive(Debug)]
struct Memory {
    files: Arc<[ArtifactFile]>,
    base: String,
    /// The file read last: a content may have to be fetched and checked, and one file holds many tensors.
    last: Mutex<Option<(String, Arc<[u8]>)>>,
}

impl Memory {
    fn content(&self, path: &str) -> Result<Arc<[u8]>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, content)) = &*last
            && of == path
        {
            return Ok(Arc::clone(content));
        }
        let whole = format!("{}{path}", self.base);
        let file = self.files.iter().find(|file| file.path == whole).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("external data at `{path}`: the artifact holds no such file"))
        })?;
        let content = file.content()?;
        *last = Some((path.into(), Arc::clone(&content)));
        Ok(content)
    }
}

/// Finds the files beside a model that hold its weights, and lets none be read outside the model's directory.
#[derive(Debug)]
pub(crate) struct ExternalData {
    base: PathBuf,
    /// The files and what their paths begin with, when they are in memory.
    memory: Option<Memory>,
    used: Mutex<BTreeSet<String>>,
}

impl ExternalData {
    /// For a model in the directory `base`.
    pub(crate) fn new(base: impl Into<PathBuf>) -> Self {
        let mut base = base.into();
        // `Path::new("model.onnx").parent()` is the empty path, which no file system call takes.
        if base.as_os_str().is_empty() {
            base.push(".");
        }
        Self { base, memory: None, used: Mutex::default() }
    }

    /// For a model among `files`, in the directory whose paths begin with `base` (empty, or ending in `/`).
    pub(crate) fn in_memory(files: Arc<[ArtifactFile]>, base: &str) -> Self {
        Self {
            base: base.into(),
            memory: Some(Memory { files, base: base.into(), last: Mutex::default() }),
            used: Mutex::default(),
        }
    }

    /// The files read so far, relative to the model's directory with `/` between the parts, in order and each once.
    pub(crate) fn used(&self) -> Vec<String> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Reads the `length` bytes of a tensor.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where the location leads out of the directory or the bytes are not in the file,
    /// [`ErrorKind::NotFound`] and [`ErrorKind::Io`] from the file system.
    pub(crate) fn read(&self, tensor: &TensorProto, length: usize) -> Result<Vec<u8>> {
        let entry = |key: &str| {
            let mut entries = tensor.external_data.iter();
            entries.find(|entry| entry.key.as_deref() == Some(key)).and_then(|entry| entry.value.as_deref())
        };
        let location = entry("location").unwrap_or_default();
        let refuse = |message: String| {
            Error::new(ErrorKind::Malformed, format!("external data at `{location}`: {message}"))
                .tensor(tensor.name.as_deref().unwrap_or_default())
        };
        let number = |key: &str| {
            entry(key).map(|text| text.parse::<u64>().map_err(|e| refuse(format!("{key} `{text}`: {e}")))).transpose()
        };
        let offset = number("offset")?.unwrap_or(0);
        let wanted = length as u64;
        if let Some(declared) = number("length")?
            && declared != wanted
        {
            return Err(refuse("the length does not fit the tensor's shape".into()).expected(wanted).actual(declared));
        }

        let relative = confined(location).ok_or_else(|| {
            refuse("the location must be a path within the model's directory, without `..` and not absolute".into())
        })?;
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        let plain = parts.join("/");
        if let Some(memory) = &self.memory {
            let content = memory.content(&plain)?;
            let range = usize::try_from(offset).ok().and_then(|from| content.get(from..from.checked_add(length)?));
            let bytes =
                range.ok_or_else(|| refuse(format!("{wanted} bytes from byte {offset} on are not in the file")))?;
            self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(plain);
            return Ok(bytes.to_vec());
        }
        let io = |e: std::io::Error| {
            let kind = Error::from(std::io::Error::from(e.kind())).kind();
            Error::new(kind, format!("external data at `{location}` in `{}`: {e}", self.base.display()))
                .tensor(tensor.name.as_deref().unwrap_or_default())
                .with_source(e)
        };
        let base = self.base.canonicalize().map_err(io)?;
        let path = base.join(&relative).canonicalize().map_err(io)?;
        if !path.starts_with(&base) {
            return Err(refuse("a link leads out of the model's directory".into()));
        }
        // Before opening: a named pipe would block there.
        if !path.metadata().map_err(io)?.is_file() {
            return Err(refuse("it is not a regular file".into()));
        }
        let mut file = File::open(&path).map_err(io)?;
        let available = file.metadata().map_err(io)?.len();
        if offset.checked_add(wanted).is_none_or(|end| end > available) {
            return Err(refuse(format!("{wanted} bytes from byte {offset} on are not in the file"))
                .expected(format!("a file of at least {} bytes", offset.saturating_add(wanted)))
                .actual(available));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|e| {
            Error::new(ErrorKind::LimitExceeded, "there is no memory for the tensor")
                .tensor(tensor.name.as_deref().unwrap_or_default())
                .with_source(e)
        })?;
        file.seek(SeekFrom::Start(offset)).map_err(io)?;
        file.take(wanted).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() != length {
            return Err(refuse("the file was cut while it was read".into()));
        }

        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(plain);
        Ok(bytes)
    }
}

/// The location as a plain relative path, or nothing where it is anything else.
fn confined(location: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(location).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!path.as_os_str().is_empty()).then_some(path)
}
