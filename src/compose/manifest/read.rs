//! From a manifest and the files it names to a composed model.

use std::path::Path;
use std::sync::Arc;

use super::{Combine, EnsembleEntry, Manifest, StageEntry};
use crate::compose::pipeline::Feed;
use crate::compose::{Ensemble, Pipeline};
use crate::load::Source;
use crate::{Checked, Digest, Error, ErrorKind, Loader, Model, Result};

/// The composed model that the manifest in `source` describes. The parts are loaded as `loader` says.
pub(crate) fn load(source: &Source, loader: &Loader) -> Result<Arc<dyn Model>> {
    let manifest = Manifest::from_json(&source.bytes)?;
    for (path, digest) in &manifest.sha256 {
        let found = Digest::of(&source.sibling(path, &loader.limits)?.bytes);
        if found != *digest {
            let message = "a file of the composed model does not have the digest that its manifest records";
            return Err(Error::new(ErrorKind::Integrity, message).expected(digest).actual(found).model(path));
        }
    }
    let mut parts = Parts { source, loader: Loader { outputs: None, ..loader.clone() }, names: Vec::new() };
    let model: Arc<dyn Model> = match (&manifest.pipeline, &manifest.ensemble) {
        (Some(stages), _) => {
            let model = pipeline(&manifest, stages, &mut parts)?;
            if loader.cast { Arc::new(Checked::new(model).cast(true)) } else { Arc::new(model) }
        }
        (None, Some(members)) => {
            let model = ensemble(members, &mut parts)?;
            if loader.cast { Arc::new(Checked::new(model).cast(true)) } else { Arc::new(model) }
        }
        (None, None) => return Err(Error::new(ErrorKind::Malformed, "the manifest holds no model")),
    };
    match &loader.outputs {
        None => Ok(model),
        Some(names) => Ok(Arc::new(crate::compose::Selected::new(model, names)?)),
    }
}

struct Parts<'s> {
    source: &'s Source,
    loader: Loader,
    names: Vec<String>,
}

impl Parts<'_> {
    /// The model at `path`, with the name it goes by: the one given, else that of its file.
    fn part(&mut self, name: Option<&str>, path: &str) -> Result<(String, Arc<dyn Model>)> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => {
                let stem = Path::new(path).file_stem().map_or_else(|| path.into(), |stem| stem.to_string_lossy());
                let free = |name: &String| !self.names.contains(name);
                let numbered = (2..).map(|i| format!("{stem}-{i}"));
                std::iter::once(stem.to_string()).chain(numbered).find(free).unwrap_or_default()
            }
        };
        self.names.push(name.clone());
        let model = self
            .source
            .part(path, &self.loader.limits)
            .and_then(|source| self.loader.load_source(&source))
            .map_err(|e| e.within(format_args!("part `{name}`")))?;
        Ok((name, model))
    }
}

fn pipeline(manifest: &Manifest, stages: &[StageEntry], parts: &mut Parts<'_>) -> Result<Pipeline> {
    let mut builder = Pipeline::builder().cast(manifest.cast);
    for stage in stages {
        let (name, model) = parts.part(stage.name.as_deref(), &stage.model)?;
        builder = builder.stage(name, model);
        for (input, name) in &stage.rename {
            builder = builder.feed(input, Feed::Name(name.clone()));
        }
        for (input, name) in &stage.input {
            builder = builder.feed(input, Feed::Input(name.clone()));
        }
        for (input, link) in &stage.link {
            builder = builder.feed(input, Feed::Output(link.stage.clone(), link.output.clone()));
        }
    }
    for extra in &manifest.outputs {
        builder = builder.output_as(&extra.stage, &extra.output, extra.name.as_ref().unwrap_or(&extra.output));
    }
    builder.build()
}

fn ensemble(entry: &EnsembleEntry, parts: &mut Parts<'_>) -> Result<Ensemble> {
    let mut builder = Ensemble::builder().features(&entry.features);
    let malformed = |message: &str| Error::new(ErrorKind::Malformed, message);
    if let Some(weights) = &entry.weights
        && weights.len() != entry.members.len()
    {
        return Err(malformed("an ensemble needs one weight per member")
            .expected(format!("{} weights", entry.members.len()))
            .actual(weights.len()));
    }
    for (i, member) in entry.members.iter().enumerate() {
        let (name, model) = parts.part(member.name.as_deref(), &member.model)?;
        builder = builder.member(name, model);
        for (input, name) in &member.rename {
            builder = builder.rename(input, name);
        }
        for (output, name) in &member.rename_outputs {
            builder = builder.rename_output(output, name);
        }
        if let Some(weights) = &entry.weights {
            builder = builder.weight(weights[i]);
        }
    }
    match (entry.combine, &entry.last) {
        (Combine::Mean, None) => builder.mean(),
        (Combine::Vote, None) => builder.vote(),
        (Combine::Stack, Some(path)) => builder.stack(parts.part(Some("final"), path)?.1),
        (Combine::Stack, None) => return Err(malformed("a stack needs the file of its `final` model")),
        (_, Some(_)) => return Err(malformed("only a stack has a `final` model")),
    }
    .build()
}
