//! Models read for a change, and what became of them written whole or not at all.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::Report;
use crate::onnx::edit::{Editor, Encoded};
use crate::onnx::{Bytes, ExternalData, GraphProto, looks_like_onnx};
use crate::{Artifact, ArtifactFile, Error, ErrorKind, Format, Limits, Loader, Model, Result};

/// An ONNX file in memory, ready to be edited as often as is needed.
#[derive(Debug, Clone)]
pub(super) struct Original {
    pub(super) bytes: Bytes,
    artifact: Option<Arc<[ArtifactFile]>>,
    directory: Option<std::path::PathBuf>,
    pub(super) name: String,
    limits: Limits,
}

impl Original {
    /// Reads the ONNX file at `path`.
    pub(super) fn read(path: &Path, limits: &Limits) -> Result<Self> {
        let shown = path.display().to_string();
        let in_file = |e: std::io::Error| {
            Error::new(Error::from(e).kind(), "the model file can't be opened; check the path").model(&shown)
        };
        let meta = std::fs::metadata(path).map_err(in_file)?;
        if meta.is_dir() {
            let what = "this is a directory; the optimiser takes ONNX files, and `convert` makes them of other models";
            return Err(Error::new(ErrorKind::Unsupported, what).model(&shown));
        }
        if meta.len() > limits.max_file_bytes {
            return Err(Error::new(ErrorKind::LimitExceeded, "the model file is larger than `Limits::max_file_bytes`")
                .model(&shown)
                .expected(format!("at most {} bytes", limits.max_file_bytes))
                .actual(format!("{} bytes", meta.len())));
        }
        let bytes = std::fs::read(path).map_err(in_file)?;
        let directory = path.parent().map(Path::to_path_buf);
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Self::checked(Self { bytes: bytes.into(), artifact: None, directory, name, limits: *limits })
    }

    /// The ONNX file in an artifact.
    pub(super) fn of_artifact(artifact: &Artifact, limits: &Limits) -> Result<Self> {
        let Some(main) = artifact.files.first() else {
            return Err(Error::new(ErrorKind::InvalidArgument, "the artifact holds no file"));
        };
        Self::checked(Self {
            bytes: main.content()?.into(),
            artifact: Some(artifact.files.clone().into()),
            directory: None,
            name: main.path.clone(),
            limits: *limits,
        })
    }

    fn checked(self) -> Result<Self> {
        // A file with fields that nobody knows is no file of another kind.
        if looks_like_onnx(&self.bytes) || self.edit().is_ok_and(|e| e.model.ir_version.is_some()) {
            return Ok(self);
        }
        if let Some(Format::XgboostJson | Format::XgboostUbjson | Format::LightGbm | Format::CatBoostJson) =
            Format::sniff(&self.bytes)
        {
            let what = "a booster's own file has nothing to quantise: its trees are asked in bins of a byte as soon as they \
                        are loaded, which `inspect` tells the bytes of; `convert` makes ONNX of it";
            return Err(Error::new(ErrorKind::Unsupported, what).model(&self.name));
        }
        let what = "this is no ONNX file; the optimiser takes those, and `convert` makes them of other models";
        Err(Error::new(ErrorKind::Unsupported, what).model(&self.name))
    }

    /// Where its constants may lie beside it.
    pub(super) fn external(&self) -> Option<ExternalData> {
        match (&self.artifact, &self.directory) {
            (Some(files), _) => {
                let base = self.name.rsplit_once('/').map_or_else(String::new, |(d, _)| format!("{d}/"));
                Some(ExternalData::in_memory(Arc::clone(files), &base))
            }
            (None, directory) => directory.as_ref().map(ExternalData::new),
        }
    }

    pub(super) fn edit(&self) -> Result<Editor> {
        Editor::new(self.bytes.clone(), self.external(), &self.limits).map_err(|e| e.model(&self.name))
    }

    /// The bytes of all its files.
    pub(super) fn total_bytes(&self, editor: &Editor) -> u64 {
        let beside: u64 = editor
            .graph()
            .initializer
            .iter()
            .filter(|t| !t.external_data.is_empty())
            .map(|t| t.dims.iter().product::<i64>().unsigned_abs() * 4)
            .sum();
        self.bytes.len() as u64 + beside
    }

    /// The model, for measurements.
    pub(super) fn load(&self, loader: &Loader) -> Result<Arc<dyn Model>> {
        match &self.artifact {
            Some(files) => loader.load_artifact(&Artifact { format: "onnx".into(), files: files.to_vec() }),
            None => match &self.directory {
                Some(directory) => loader.load(directory.join(&self.name)),
                None => loader.load_artifact(&Artifact::in_memory("onnx", &self.name, self.bytes.to_vec())),
            },
        }
    }
}

/// The learned numbers of a graph: the elements of its constants of more than one element.
pub(super) fn parameters(graph: &GraphProto) -> u64 {
    let count = |dims: &[i64]| dims.iter().product::<i64>().unsigned_abs();
    graph.initializer.iter().map(|t| count(&t.dims)).filter(|&n| n > 1).sum()
}

/// A changed model with the report on it.
#[derive(Debug, Clone)]
pub struct Optimized {
    /// What became of the model.
    pub report: Report,
    artifact: Artifact,
}

impl Optimized {
    pub(super) fn new(report: Report, artifact: Artifact) -> Self {
        Self { report, artifact }
    }

    pub(super) fn artifact_of(encoded: Encoded, name: &str) -> Artifact {
        let mut files = vec![ArtifactFile::in_memory(name, encoded.main)];
        files.extend(encoded.data.map(|(name, bytes)| ArtifactFile::in_memory(name, bytes)));
        Artifact { format: "onnx".into(), files }
    }

    /// The files of the model.
    #[must_use]
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// The model, loaded.
    ///
    /// # Errors
    /// As [`Loader::load_artifact`].
    pub fn load(&self, loader: &Loader) -> Result<Arc<dyn Model>> {
        loader.load_artifact(&self.artifact)
    }

    /// Writes the model to `path`, and what does not fit into one file beside it. Each file appears whole or not at all,
    /// the main one last.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] and its like from the file system; then nothing stands at `path` that did not before.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (main, others) = self.artifact.files.split_first().expect("an optimised model has a file");
        for file in others {
            write_whole(&path.with_file_name(&file.path), &file.content()?)?;
        }
        write_whole(path, &main.content()?)
    }
}

/// Writes a file that appears whole or not at all: into a new one beside it, which then takes its place.
///
/// # Errors
/// Those of the file system, naming the path.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let attempt = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".modelberth-").tempfile_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Temporary files are their owner's alone; a model is an ordinary file.
            let mode = std::fs::metadata(path).map_or(0o644, |m| m.permissions().mode());
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode))?;
        }
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    attempt().map_err(|e| {
        let e = Error::from(e);
        Error::new(e.kind(), format!("the file can't be written, and nothing was: {}", e.message()))
            .file(path.display())
    })
}

/// Refuses to write over what is read.
///
/// # Errors
/// [`ErrorKind::InvalidArgument`] where both paths lead to one file.
pub fn refuse_same_file(input: &Path, output: &Path) -> Result<()> {
    let same = match (input.canonicalize(), output.canonicalize()) {
        (Ok(a), Ok(b)) => a == b || same_inode(&a, &b),
        _ => false,
    };
    if same {
        let what = "the output is the input; name another file, so that the model you have is not lost";
        return Err(Error::new(ErrorKind::InvalidArgument, what).file(output.display()));
    }
    Ok(())
}

#[cfg(unix)]
fn same_inode(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    matches!((a.metadata(), b.metadata()), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
fn same_inode(_a: &Path, _b: &Path) -> bool {
    false
}
