//! Weights in files beside the model.

use super::{Bytes, proto::TensorProto};
use crate::ArtifactFile;
use crate::error::{Error, ErrorKind, Result};
use std::{
    collections::BTreeSet,
    format,
    fs::File,
    io::{Read, Seek, SeekFrom},
    ops::Range,
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

    /// The `length` bytes of a tensor, mapped where they are many.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] where the location leads out of the directory or the bytes are not in the file,
    /// [`ErrorKind::NotFound`] and [`ErrorKind::Io`] from the file system.
    pub(crate) fn read(&self, tensor: &TensorProto, length: usize) -> Result<Bytes> {
        let place = Place::of(tensor, length)?;
        let mut file = match self.found(&place)? {
            Found::Memory(content, range) => return Ok(Bytes::from(content).slice(range.start, range.end)),
            Found::Disk(file) => file,
        };
        if let Some(mapped) = mapped(&file, place.offset, length) {
            return Ok(mapped);
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|e| {
            Error::new(ErrorKind::LimitExceeded, "there is no memory for the tensor")
                .tensor(tensor.name.as_deref().unwrap_or_default())
                .with_source(e)
        })?;
        file.seek(SeekFrom::Start(place.offset)).map_err(|e| self.io(&place, e))?;
        file.take(place.length as u64).read_to_end(&mut bytes).map_err(|e| self.io(&place, e))?;
        if bytes.len() != length {
            return Err(place.refuse("the file was cut while it was read".into()));
        }
        Ok(bytes.into())
    }

    /// Looks whether the `length` bytes of a tensor are where it says, without reading them.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    #[cfg(feature = "ort")]
    pub(crate) fn locate(&self, tensor: &TensorProto, length: usize) -> Result<()> {
        self.found(&Place::of(tensor, length)?).map(drop)
    }

    /// The place of a tensor, checked, and noted as used.
    fn found(&self, place: &Place<'_>) -> Result<Found> {
        let parts: Vec<_> = place.relative.iter().map(|part| part.to_string_lossy()).collect();
        let plain = parts.join("/");
        let Place { offset, length, .. } = *place;
        let missing = || place.refuse(format!("{length} bytes from byte {offset} on are not in the file"));
        let found = if let Some(memory) = &self.memory {
            let content = memory.content(&plain)?;
            let end = usize::try_from(offset).ok().and_then(|from| from.checked_add(length));
            let end = end.filter(|end| *end <= content.len()).ok_or_else(missing)?;
            Found::Memory(content, end - length..end)
        } else {
            let base = self.base.canonicalize().map_err(|e| self.io(place, e))?;
            let path = base.join(&place.relative).canonicalize().map_err(|e| self.io(place, e))?;
            if !path.starts_with(&base) {
                return Err(place.refuse("a link leads out of the model's directory".into()));
            }
            // Before opening: a named pipe would block there.
            if !path.metadata().map_err(|e| self.io(place, e))?.is_file() {
                return Err(place.refuse("it is not a regular file".into()));
            }
            let file = File::open(&path).map_err(|e| self.io(place, e))?;
            let available = file.metadata().map_err(|e| self.io(place, e))?.len();
            if offset.checked_add(length as u64).is_none_or(|end| end > available) {
                return Err(missing()
                    .expected(format!("a file of at least {} bytes", offset.saturating_add(length as u64)))
                    .actual(available));
            }
            Found::Disk(file)
        };
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(plain);
        Ok(found)
    }

    fn io(&self, place: &Place<'_>, e: std::io::Error) -> Error {
        let kind = Error::from(std::io::Error::from(e.kind())).kind();
        Error::new(kind, format!("external data at `{}` in `{}`: {e}", place.location, self.base.display()))
            .tensor(place.tensor)
            .with_source(e)
    }
}

/// A part of a file that is worth a map, where the system has such.
#[cfg(any(feature = "native", feature = "tract"))]
fn mapped(file: &File, offset: u64, length: usize) -> Option<Bytes> {
    const LEAST: usize = 1 << 20;
    (length >= LEAST).then(|| crate::kernel::MappedFile::open(file, offset, length).ok().map(Bytes::from_owner))?
}

#[cfg(not(any(feature = "native", feature = "tract")))]
fn mapped(_file: &File, _offset: u64, _length: usize) -> Option<Bytes> {
    None
}

/// Where a tensor says that its values lie.
struct Place<'t> {
    tensor: &'t str,
    location: &'t str,
    relative: PathBuf,
    offset: u64,
    length: usize,
}

/// The place of a tensor's values, looked at.
enum Found {
    Memory(Arc<[u8]>, Range<usize>),
    Disk(File),
}

impl<'t> Place<'t> {
    fn of(tensor: &'t TensorProto, length: usize) -> Result<Self> {
        let entry = |key: &str| {
            let mut entries = tensor.external_data.iter();
            entries.find(|entry| entry.key.as_deref() == Some(key)).and_then(|entry| entry.value.as_deref())
        };
        let mut place = Self {
            tensor: tensor.name.as_deref().unwrap_or_default(),
            location: entry("location").unwrap_or_default(),
            relative: PathBuf::new(),
            offset: 0,
            length,
        };
        let number = |key: &str| {
            entry(key)
                .map(|text| text.parse::<u64>().map_err(|e| place.refuse(format!("{key} `{text}`: {e}"))))
                .transpose()
        };
        let (offset, declared) = (number("offset")?.unwrap_or(0), number("length")?);
        if let Some(declared) = declared
            && declared != length as u64
        {
            let message = "the length does not fit the tensor's shape";
            return Err(place.refuse(message.into()).expected(length).actual(declared));
        }
        place.offset = offset;
        place.relative = confined(place.location).ok_or_else(|| {
            let message = "the location must be a path within the model's directory, without `..` and not absolute";
            place.refuse(message.into())
        })?;
        Ok(place)
    }

    fn refuse(&self, message: String) -> Error {
        Error::new(ErrorKind::Malformed, format!("external data at `{}`: {message}", self.location)).tensor(self.tensor)
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
