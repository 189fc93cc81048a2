use std::path::Path;

use super::spec::{self, Spec};
use crate::load::confined;
use crate::registry::NewVersion;
use crate::{ArtifactFile, Digest, Error, ErrorKind, Result};

/// What else MLflow writes into a model's directory; none of it is the model.
pub(super) fn is_beside(path: &str) -> bool {
    matches!(
        path,
        spec::NAME
            | "conda.yaml"
            | "python_env.yaml"
            | "requirements.txt"
            | "input_example.json"
            | "serving_input_example.json"
            | "registered_model_meta"
    ) || path.starts_with("code/")
        || path.starts_with("metadata/")
}

/// The version in the directory that MLflow wrote at `path`: the one that holds `MLmodel`.
///
/// ```no_run
/// use modelberth::registry::{blocking::Registry, mlflow};
/// let new = mlflow::from_directory("mlruns/1/models/m-4f2a/artifacts")?;
/// Registry::open("models")?.register("fraud", new)?;
/// # Ok::<(), modelberth::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Unsupported`] with the line that logs a readable model, where this one is not; [`ErrorKind::NotFound`],
/// [`ErrorKind::Malformed`], and what [`Loader::load`](crate::Loader::load) says.
pub fn from_directory(path: impl AsRef<Path>) -> Result<NewVersion> {
    let path = path.as_ref();
    let description = path.join(spec::NAME);
    let failed = |e: std::io::Error| Error::from(e).file(description.display());
    if std::fs::metadata(&description).map_err(failed)?.len() > spec::LARGEST {
        return Err(Error::new(ErrorKind::LimitExceeded, "the file `MLmodel` is too large").file(description.display()));
    }
    let spec = Spec::read(&std::fs::read(&description).map_err(failed)?)?;
    let main = spec.file()?;
    let main = confined(main).ok_or_else(|| {
        Error::new(ErrorKind::Malformed, "`MLmodel` names a file outside of its directory").actual(main)
    })?;
    let mut files = vec![file(path, &main)?];
    // Weights beside the graph.
    let folder = main.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut beside: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(path.join(folder)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if entry.file_type().map_err(failed)?.is_file() && name != main && !is_beside(&name) {
            beside.push(name);
        }
    }
    beside.sort();
    for name in beside {
        files.push(file(path, &name)?);
    }
    spec.version(files)
}

fn file(directory: &Path, name: &str) -> Result<ArtifactFile> {
    let location = directory.join(name);
    let content = std::fs::read(&location).map_err(|e| Error::from(e).file(location.display()))?;
    let (digest, bytes) = (Digest::of(&content), content.len() as u64);
    Ok(ArtifactFile::on_disk(name, location, digest, bytes))
}
