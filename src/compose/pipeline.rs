use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::wiring::{Inputs, Part, check_name, describe, fit, pick, qualified};
use crate::{
    Artifact, Checked, DType, Description, Error, ErrorKind, Model, Name, Result, Signature, Tensor, TensorSpec,
    Tensors,
};

/// Models in a row: the outputs of one feed the inputs of the next by name.
///
/// A stage's input takes the output of that name from the nearest earlier stage that has one. What no earlier stage
/// gives becomes an input of the pipeline; stages that ask for the same name share it. The outputs of the last stage
/// are the outputs of the pipeline, and with [`output`](PipelineBuilder::output) those of earlier ones too.
///
/// ```
/// use modelberth::{ndarray::array, tensors, LinearModel, Link, Model, Pipeline};
/// let encoder = LinearModel::new(array![[1.0, 0.0], [1.0, -1.0]], array![0.0, 0.0], Link::Identity)?;
/// let head = LinearModel::new(array![[2.0], [1.0]], array![0.5], Link::Identity)?;
/// let model = Pipeline::builder()
///     .stage("encoder", encoder)
///     .stage("head", head)
///     .rename("x", "prediction") // the head's input `x` is fed with `prediction`
///     .build()?;
/// let answers = model.predict_batch(&tensors! { "x" => array![[1.0f32, 2.0]] }?)?;
/// assert_eq!(answers.get::<f32>("prediction")?, array![[4.5]].into_dyn());
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Pipeline(Checked<Stages>);

impl Pipeline {
    /// A pipeline without stages, to add them to.
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder { stages: Vec::new(), outputs: Vec::new(), cast: false, misplaced: false }
    }
}

/// Where a stage's input is to come from, when not simply by its own name.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Feed {
    /// What goes by this name: an earlier output, else an input of the pipeline.
    Name(String),
    /// The output of this stage.
    Output(String, String),
    /// The input of the pipeline.
    Input(String),
}

/// An output of an earlier stage that is an output of the pipeline as well.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Extra {
    pub(super) stage: String,
    pub(super) output: String,
    pub(super) name: String,
}

#[derive(Debug)]
struct Draft {
    name: String,
    model: Arc<dyn Model>,
    feeds: Vec<(String, Feed)>,
}

/// Builds a [`Pipeline`], stage after stage.
#[derive(Debug)]
#[must_use = "a pipeline is there after `build`"]
pub struct PipelineBuilder {
    stages: Vec<Draft>,
    outputs: Vec<Extra>,
    cast: bool,
    misplaced: bool,
}

impl PipelineBuilder {
    /// Adds a stage after those that are there. The name stands in messages and in [`link`](Self::link).
    pub fn stage(mut self, name: impl Into<String>, model: impl Model) -> Self {
        self.stages.push(Draft { name: name.into(), model: Arc::new(model), feeds: Vec::new() });
        self
    }

    pub(super) fn feed(mut self, input: impl Into<String>, feed: Feed) -> Self {
        match self.stages.last_mut() {
            Some(stage) => stage.feeds.push((input.into(), feed)),
            None => self.misplaced = true,
        }
        self
    }

    /// Feeds `input` of the stage added last with what goes by `name`: the nearest earlier output of that name, else
    /// the pipeline's own input.
    pub fn rename(self, input: impl Into<String>, name: impl Into<String>) -> Self {
        self.feed(input, Feed::Name(name.into()))
    }

    /// Feeds `input` of the stage added last with the `output` of the earlier `stage`.
    pub fn link(self, input: impl Into<String>, stage: impl Into<String>, output: impl Into<String>) -> Self {
        self.feed(input, Feed::Output(stage.into(), output.into()))
    }

    /// Feeds `input` of the stage added last with the pipeline's own input `name`, whatever earlier stages give.
    pub fn input(self, input: impl Into<String>, name: impl Into<String>) -> Self {
        self.feed(input, Feed::Input(name.into()))
    }

    /// Gives the `output` of an earlier `stage` as an output of the pipeline too, after those of the last stage.
    pub fn output(self, stage: impl Into<String>, output: impl Into<String>) -> Self {
        let output = output.into();
        self.output_as(stage, output.clone(), output)
    }

    /// As [`output`](Self::output), under another name.
    pub fn output_as(mut self, stage: impl Into<String>, output: impl Into<String>, name: impl Into<String>) -> Self {
        self.outputs.push(Extra { stage: stage.into(), output: output.into(), name: name.into() });
        self
    }

    /// Whether numbers are cast where a stage takes another number type than it is fed. Off unless set.
    pub fn cast(mut self, cast: bool) -> Self {
        self.cast = cast;
        self
    }

    /// The pipeline.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when there is no stage, or a name is taken or repeated;
    /// [`ErrorKind::UnknownTensor`] when a rename or link names what is not there; [`ErrorKind::WrongType`] or
    /// [`ErrorKind::WrongShape`] when an output does not fit the input it feeds. All name the stage.
    pub fn build(self) -> Result<Pipeline> {
        if self.stages.is_empty() || self.misplaced {
            let message = "a pipeline needs a stage before anything that is said about one";
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let mut stages: Vec<Stage> = Vec::with_capacity(self.stages.len());
        let mut parts: Vec<Part> = Vec::with_capacity(self.stages.len());
        let mut inputs = Inputs::default();
        for draft in self.stages {
            let place = alloc::format!("stage `{}`", draft.name);
            let stage = wire(&parts, &mut inputs, &draft, self.cast).map_err(|e| e.within(&place))?;
            parts.push(Part { name: draft.name, model: draft.model });
            stages.push(stage);
        }
        let last = parts.len() - 1;
        let mut outputs: Vec<(usize, usize)> = Vec::new();
        let mut specs: Vec<TensorSpec> = Vec::new();
        let mut add = |stage: usize, at: usize, name: &Name| {
            if specs.iter().any(|s| s.name() == name) {
                let message = "two outputs of the pipeline have the same name; give one under another name";
                return Err(Error::new(ErrorKind::InvalidArgument, message).tensor(name));
            }
            specs.push(qualified(&parts[stage].model.signature().outputs()[at], &parts[stage].name, name));
            outputs.push((stage, at));
            Ok(())
        };
        for (at, spec) in parts[last].model.signature().outputs().iter().enumerate() {
            add(last, at, spec.name())?;
        }
        for extra in &self.outputs {
            let (stage, at) = find(&parts, &extra.stage, &extra.output)?;
            add(stage, at, &Name::new(&extra.name))?;
        }
        let signature = Signature::new(inputs.0, specs);
        Ok(Pipeline(Checked::new(Stages { parts, stages, outputs, signature, extra: self.outputs, cast: self.cast })))
    }
}

/// Settles where each input of the stage comes from.
fn wire(earlier: &[Part], inputs: &mut Inputs, draft: &Draft, cast: bool) -> Result<Stage> {
    check_name(earlier, &draft.name)?;
    let signature = draft.model.signature();
    for (i, (input, _)) in draft.feeds.iter().enumerate() {
        if signature.input(input).is_none() {
            let known: Vec<&str> = signature.inputs().iter().map(|s| s.name().as_str()).collect();
            return Err(Error::new(ErrorKind::UnknownTensor, "the stage has no input of this name")
                .tensor(input)
                .expected(known.join(", ")));
        }
        if draft.feeds[..i].iter().any(|(other, _)| other == input) {
            return Err(Error::new(ErrorKind::InvalidArgument, "an input of the stage is fed twice").tensor(input));
        }
    }
    let nearest = |name: &str| {
        earlier.iter().enumerate().rev().find_map(|(stage, part)| {
            let at = part.model.signature().outputs().iter().position(|s| s.name().as_str() == name)?;
            Some((stage, at))
        })
    };
    let mut sources = Vec::with_capacity(signature.inputs().len());
    for spec in signature.inputs() {
        let feed = draft.feeds.iter().find(|(input, _)| input.as_str() == spec.name().as_str()).map(|(_, feed)| feed);
        let (from, name) = match feed {
            None => (nearest(spec.name()), spec.name().clone()),
            Some(Feed::Name(name)) => (nearest(name), Name::new(name)),
            Some(Feed::Output(stage, output)) => (Some(find(earlier, stage, output)?), Name::new(output)),
            Some(Feed::Input(name)) => (None, Name::new(name)),
        };
        sources.push(match from {
            Some((stage, output)) => {
                let given = &earlier[stage].model.signature().outputs()[output];
                let to =
                    fit(given, spec, cast).map_err(|e| e.within(format_args!("fed by `{}`", earlier[stage].name)))?;
                Source::Output { stage, output, cast: to }
            }
            None => Source::Given(inputs.ask_for(spec, &draft.name, &name)?),
        });
    }
    Ok(Stage { sources, feeds: draft.feeds.clone() })
}

fn find(parts: &[Part], stage: &str, output: &str) -> Result<(usize, usize)> {
    let Some(at) = parts.iter().position(|part| part.name == stage) else {
        let known: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        return Err(Error::new(ErrorKind::InvalidArgument, "there is no earlier stage of this name")
            .expected(known.join(", "))
            .actual(stage));
    };
    let specs = parts[at].model.signature().outputs();
    let Some(output) = specs.iter().position(|s| s.name().as_str() == output) else {
        let known: Vec<&str> = specs.iter().map(|s| s.name().as_str()).collect();
        return Err(Error::new(ErrorKind::UnknownTensor, alloc::format!("stage `{stage}` has no output of this name"))
            .tensor(output)
            .expected(known.join(", ")));
    };
    Ok((at, output))
}

#[derive(Debug, Clone)]
enum Source {
    Given(usize),
    Output { stage: usize, output: usize, cast: Option<DType> },
}

#[derive(Debug, Clone)]
struct Stage {
    sources: Vec<Source>,
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the manifest needs it"))]
    feeds: Vec<(String, Feed)>,
}

/// The stages behind the check of the inputs.
#[derive(Debug, Clone)]
struct Stages {
    parts: Vec<Part>,
    stages: Vec<Stage>,
    outputs: Vec<(usize, usize)>,
    signature: Signature,
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the manifest needs it"))]
    extra: Vec<Extra>,
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the manifest needs it"))]
    cast: bool,
}

impl Stages {
    fn run(&self, given: &Tensors<'_>, one: bool) -> Result<Tensors<'static>> {
        let mut answers: Vec<Tensors<'static>> = Vec::with_capacity(self.parts.len());
        for (part, stage) in self.parts.iter().zip(&self.stages) {
            let specs = part.model.signature().inputs();
            let mut inputs = Tensors::with_capacity(specs.len());
            for (spec, source) in specs.iter().zip(&stage.sources) {
                let tensor = match *source {
                    Source::Given(at) => pick(given, at, self.signature.inputs()[at].name())?.as_view(),
                    Source::Output { stage, output, cast } => {
                        let name = self.parts[stage].model.signature().outputs()[output].name();
                        let tensor = pick(&answers[stage], output, name)?;
                        match cast {
                            None => tensor.as_view(),
                            Some(to) => tensor
                                .cast(to)
                                .map_err(|e| e.tensor(spec.name()).within(format_args!("stage `{}`", part.name)))?,
                        }
                    }
                };
                inputs.push(spec.name().clone(), tensor);
            }
            let answer = part.ask("stage", &inputs, one)?;
            answers.push(answer);
        }
        let mut taken = Tensors::with_capacity(self.outputs.len());
        for (&(stage, output), spec) in self.outputs.iter().zip(self.signature.outputs()) {
            let name = self.parts[stage].model.signature().outputs()[output].name();
            // An output can be given under two names, so it is copied unless this is the last use.
            let again = self.outputs.iter().filter(|o| **o == (stage, output)).count() > 1;
            let tensor: Tensor<'static> =
                if again { answers[stage].tensor(name)?.as_view().into_owned() } else { answers[stage].take(name)? };
            taken.push(spec.name().clone(), tensor);
        }
        Ok(taken)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Model for Stages {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        self.run(inputs, false)
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        if !self.signature.is_batched() {
            return crate::model::predict_as_batch(self, input);
        }
        self.run(input, true)
    }

    fn describe(&self) -> Description {
        let names: Vec<&str> = self.parts.iter().map(|part| part.name.as_str()).collect();
        describe(alloc::format!("pipeline: {}", names.join(" -> ")), &self.parts.iter().collect::<Vec<_>>())
    }

    fn artifact(&self) -> Result<Artifact> {
        #[cfg(feature = "std")]
        return self.save();
        #[cfg(not(feature = "std"))]
        Err(Error::new(ErrorKind::FeatureDisabled, "writing a manifest needs the feature `std`"))
    }
}

#[cfg(feature = "std")]
impl Stages {
    fn save(&self) -> Result<Artifact> {
        use super::manifest::{LinkEntry, Manifest, OutputEntry, Packer, StageEntry};
        let mut packer = Packer::default();
        let mut stages = Vec::with_capacity(self.parts.len());
        for (part, stage) in self.parts.iter().zip(&self.stages) {
            let mut entry = StageEntry::new(packer.pack(part)?);
            entry.name = Some(part.name.clone());
            for (input, feed) in &stage.feeds {
                let input = input.clone();
                match feed {
                    Feed::Name(name) => drop(entry.rename.insert(input, name.clone())),
                    Feed::Input(name) => drop(entry.input.insert(input, name.clone())),
                    Feed::Output(stage, output) => {
                        let link = LinkEntry { stage: stage.clone(), output: output.clone() };
                        drop(entry.link.insert(input, link));
                    }
                }
            }
            stages.push(entry);
        }
        let outputs = self.extra.iter().map(|extra| OutputEntry {
            stage: extra.stage.clone(),
            output: extra.output.clone(),
            name: (extra.name != extra.output).then(|| extra.name.clone()),
        });
        packer.finish(Manifest::pipeline(stages, outputs.collect(), self.cast))
    }
}

crate::model::forward_model!(Pipeline, |this| this.0);
