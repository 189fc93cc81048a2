//! From a composed model to its files.

use super::Manifest;
use crate::compose::wiring::Part;
use crate::{Artifact, ArtifactFile, Model, Result};

/// The name of the manifest in an artifact.
const MANIFEST: &str = "modelberth.json";

/// Gathers the files of the parts, each part in a directory of its own.
#[derive(Debug, Default)]
pub(in crate::compose) struct Packer {
    parts: usize,
    files: Vec<ArtifactFile>,
}

impl Packer {
    /// Takes in the files of a part; gives the path of its main file.
    pub(in crate::compose) fn pack(&mut self, part: &Part) -> Result<String> {
        let artifact = part.model.artifact().map_err(|e| e.within(format_args!("part `{}`", part.name)))?;
        self.parts += 1;
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
        let directory = format!("{}-{}", self.parts, part.name.chars().take(40).map(plain).collect::<String>());
        let first = self.files.len();
        for mut file in artifact.files {
            file.path = format!("{directory}/{}", file.path);
            self.files.push(file);
        }
        self.files.get(first).map(|main| main.path.clone()).ok_or_else(|| {
            crate::Error::new(crate::ErrorKind::Unsupported, format!("part `{}`: its artifact has no file", part.name))
        })
    }

    /// The artifact: the manifest, with the digests of all files, and the files.
    pub(in crate::compose) fn finish(self, mut manifest: Manifest) -> Result<Artifact> {
        manifest.sha256 = self.files.iter().map(|file| (file.path.clone(), file.sha256)).collect();
        let mut files = vec![ArtifactFile::in_memory(MANIFEST, manifest.to_json()?.into_bytes())];
        files.extend(self.files);
        Ok(Artifact { format: "manifest".to_owned(), files })
    }
}
