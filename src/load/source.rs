use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(feature = "candle")]
use super::Folder;
use super::content::{Content, LARGE_BYTES};
use super::{Format, Limits};
use crate::onnx::ExternalData;
use crate::{Artifact, ArtifactFile, Error, ErrorKind, Result};

/// The file that says what a directory in Hugging Face's layout holds.
pub(super) const CONFIG: &str = "config.json";
/// How deep composed models may hold composed models.
const MAX_NESTING: usize = 8;
/// How many parts a composed model may have altogether. A few manifests that name each other twice would else be
/// exponentially many.
const MAX_PARTS: usize = 1024;

/// The bytes of a model's main file, and where the others would be.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The file's name, for messages and artifacts.
    pub(crate) name: String,
    /// The content.
    pub(crate) bytes: Content,
    /// The directory that other files of the model are confined to; none when it came from memory.
    pub(crate) directory: Option<PathBuf>,
    /// Where the content was read; none when it came from memory.
    path: Option<PathBuf>,
    /// The other files, when they are in memory.
    beside: Option<Beside>,
    nesting: usize,
    parts: Arc<AtomicUsize>,
}

/// A directory in memory.
#[derive(Debug, Clone)]
struct Beside {
    files: Arc<[ArtifactFile]>,
    /// What the paths of its files begin with: empty, or a path and `/`.
    base: String,
}

impl Source {
    pub(crate) fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let shown = path.display().to_string();
        let meta = std::fs::metadata(path).map_err(|e| {
            Error::new(Error::from(e).kind(), "the model file can't be opened; check the path").model(&shown)
        })?;
        if meta.is_dir() {
            let name = path.file_name().map_or_else(|| shown.clone(), |n| n.to_string_lossy().into_owned());
            return Ok(Self { name, ..Self::beside_config(&path.join(CONFIG), &shown, limits)? });
        }
        if Format::sniff(&head(path).map_err(|e| Error::from(e).model(&shown))?) == Some(Format::Safetensors) {
            return Self::beside_config(&path.with_file_name(CONFIG), &shown, limits);
        }
        if meta.len() > limits.max_file_bytes {
            return Err(Error::new(ErrorKind::LimitExceeded, "the model file is larger than `Limits::max_file_bytes`")
                .model(&shown)
                .expected(format!("at most {} bytes", limits.max_file_bytes))
                .actual(format!("{} bytes", meta.len())));
        }
        let bytes = Content::open(path).map_err(|e| Error::from(e).model(&shown))?;
        let name = path.file_name().map_or_else(|| shown.clone(), |n| n.to_string_lossy().into_owned());
        let directory = path.parent().map(|p| if p.as_os_str().is_empty() { PathBuf::from(".") } else { p.to_owned() });
        Ok(Self { directory, path: Some(path.to_owned()), ..Self::bare(name, bytes) })
    }

    /// Other content in the place of this file, with the same files beside it.
    #[cfg(all(feature = "native", feature = "tract"))]
    pub(crate) fn with_bytes(&self, bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into(), path: None, ..self.clone() }
    }

    /// The configuration of the directory of weights that `shown` is or lies in.
    fn beside_config(config: &Path, shown: &str, limits: &Limits) -> Result<Self> {
        if !cfg!(feature = "candle") {
            return Err(Format::HuggingFace.refusal().model(shown));
        }
        if !config.is_file() {
            let message = "there is no `config.json` beside the weights, which says what they are; a Hugging Face \
                           directory has `config.json`, `tokenizer.json` and `model.safetensors`";
            return Err(Error::new(ErrorKind::NotFound, message).model(shown));
        }
        Self::open(config, limits)
    }

    /// The files that this one stands among; none when it came from memory alone.
    #[cfg(feature = "candle")]
    pub(crate) fn folder(&self) -> Option<Folder> {
        match (&self.beside, &self.directory) {
            (Some(Beside { files, base }), _) => Some(Folder::in_memory(Arc::clone(files), base)),
            (None, Some(directory)) => Some(Folder::on_disk(directory)),
            (None, None) => None,
        }
    }

    pub(crate) fn memory(name: &str, bytes: Arc<[u8]>, limits: &Limits) -> Result<Self> {
        if bytes.len() as u64 > limits.max_file_bytes {
            return Err(Error::new(ErrorKind::LimitExceeded, "the model is larger than `Limits::max_file_bytes`")
                .model(name)
                .expected(format!("at most {} bytes", limits.max_file_bytes))
                .actual(format!("{} bytes", bytes.len())));
        }
        Ok(Self::bare(name.to_owned(), bytes.into()))
    }

    /// Where the content was read; nothing where it came from memory.
    #[cfg(feature = "ort")]
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    fn bare(name: String, bytes: Content) -> Self {
        Self { name, bytes, directory: None, path: None, beside: None, nesting: 0, parts: Arc::default() }
    }

    /// The main file of an artifact, with the others beside it.
    pub(crate) fn artifact(artifact: &Artifact, limits: &Limits) -> Result<Self> {
        let Some((main, others)) = artifact.files.split_first() else {
            return Err(Error::new(ErrorKind::InvalidArgument, "the artifact holds no file"));
        };
        let source = Self::memory(&main.path, main.content()?, limits)?;
        if others.is_empty() {
            return Ok(source);
        }
        Ok(source.among(others.into(), &main.path))
    }

    /// The same, as the file at `path` among `files`.
    fn among(mut self, files: Arc<[ArtifactFile]>, path: &str) -> Self {
        let (directory, name) = path.rsplit_once('/').map_or(("", path), |(d, n)| (d, n));
        let base = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        name.clone_into(&mut self.name);
        self.beside = Some(Beside { files, base });
        self
    }

    /// A part of this composed model: the file at `path`, relative to this one and confined to its directory.
    pub(crate) fn part(&self, path: &str, limits: &Limits) -> Result<Self> {
        let too_many = |message: &str, most: usize| {
            Err(Error::new(ErrorKind::LimitExceeded, message).model(path).expected(format!("at most {most}")))
        };
        if self.nesting >= MAX_NESTING {
            return too_many("composed models are nested too deeply; does a manifest name itself?", MAX_NESTING);
        }
        if self.parts.fetch_add(1, Ordering::Relaxed) >= MAX_PARTS {
            return too_many("the composed model has too many parts; does a manifest name itself?", MAX_PARTS);
        }
        let part = self.sibling(path, limits)?;
        Ok(Self { nesting: self.nesting + 1, parts: Arc::clone(&self.parts), ..part })
    }

    /// The file at `path`, relative to this one and confined to its directory.
    pub(crate) fn sibling(&self, path: &str, limits: &Limits) -> Result<Self> {
        let plain = confined(path).ok_or_else(|| {
            let message =
                "a path in a manifest must stay in its directory: relative, without `..`, with `/` between parts";
            Error::new(ErrorKind::Malformed, message).actual(format!("`{path}`"))
        })?;
        let missing = |message: &str| Error::new(ErrorKind::NotFound, message).model(path);
        if let Some(Beside { files, base }) = &self.beside {
            let whole = format!("{base}{plain}");
            let Some(file) = files.iter().find(|file| file.path == whole) else {
                return Err(missing("the artifact does not hold this file"));
            };
            return Ok(Self::memory(&whole, file.content()?, limits)?.among(Arc::clone(files), &whole));
        }
        let Some(directory) = &self.directory else {
            return Err(missing(
                "the model came from memory alone, so the files it names can't be reached; load it from its path",
            ));
        };
        let within = |path: &Path| {
            path.canonicalize().map_err(|e| {
                Error::new(Error::from(e).kind(), "a file that the manifest names can't be opened")
                    .model(path.display())
            })
        };
        let found = within(&directory.join(&plain))?;
        if !found.starts_with(within(directory)?) {
            let message = "a link leads out of the manifest's directory";
            return Err(Error::new(ErrorKind::Malformed, message).actual(format!("`{path}`")));
        }
        if !found.is_file() {
            return Err(missing("a path in a manifest must lead to a regular file"));
        }
        Self::open(&found, limits)
    }

    /// Where the weights of an ONNX file may lie beside it.
    #[cfg_attr(
        not(any(feature = "native", feature = "tract", feature = "ort")),
        allow(dead_code, reason = "for backends")
    )]
    pub(crate) fn external(&self) -> Option<ExternalData> {
        match (&self.beside, &self.directory) {
            (Some(Beside { files, base }), _) => Some(ExternalData::in_memory(Arc::clone(files), base)),
            (None, Some(directory)) => Some(ExternalData::new(directory)),
            (None, None) => None,
        }
    }

    /// The main file as part of this model's artifact: in memory, or where it was read when it is large.
    #[cfg_attr(
        not(any(feature = "native", feature = "tract", feature = "ort")),
        allow(dead_code, reason = "for backends")
    )]
    pub(crate) fn main_file(&self) -> ArtifactFile {
        match &self.path {
            Some(path) if self.bytes.len() as u64 >= LARGE_BYTES => {
                let location = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                ArtifactFile::on_disk(self.name.as_str(), location, self.bytes.digest(), self.bytes.len() as u64)
            }
            _ => ArtifactFile::in_memory(self.name.as_str(), self.bytes.to_memory()),
        }
    }

    /// The file at `path` as part of this model's artifact.
    ///
    /// # Errors
    /// As for reading it.
    #[cfg_attr(
        not(any(feature = "native", feature = "tract", feature = "ort")),
        allow(dead_code, reason = "for backends")
    )]
    pub(crate) fn file(&self, path: &str) -> Result<ArtifactFile> {
        if let Some(Beside { files, base }) = &self.beside {
            let whole = format!("{base}{path}");
            let file = files
                .iter()
                .find(|file| file.path == whole)
                .ok_or_else(|| Error::new(ErrorKind::NotFound, "the artifact does not hold this file").model(path))?;
            let mut file = file.clone();
            path.clone_into(&mut file.path);
            return Ok(file);
        }
        let location = self.directory.as_deref().unwrap_or(Path::new(".")).join(path);
        let bytes = Content::open(&location).map_err(|e| Error::from(e).model(location.display()))?;
        Ok(ArtifactFile::on_disk(path, location, bytes.digest(), bytes.len() as u64))
    }
}

/// The first bytes of a file, enough to tell the format.
fn head(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    std::fs::File::open(path)?.take(4096).read_to_end(&mut head)?;
    Ok(head)
}

/// A relative path in its plainest form, or nothing where it could lead elsewhere on any system.
pub(crate) fn confined(path: &str) -> Option<String> {
    if path.contains(['\\', ':', '\0']) {
        return None;
    }
    let mut parts = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}
