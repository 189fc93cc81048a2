use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::combine::{Classes, columns, mean, vote};
use super::wiring::{Inputs, Part, check_name, describe, pick};
use crate::{
    Artifact, Checked, DType, Description, Error, ErrorKind, Model, Name, Result, Signature, Tensor, TensorSpec,
    Tensors,
};

/// Several models that are asked the same, and whose answers are combined.
///
/// The inputs of the ensemble are those of its members; members that ask for the same name share it. How the answers
/// are combined:
///
/// * **mean** (the default), by weight: every f32 or f64 output that all members have is the mean of theirs. A label
///   (m,) beside it is the class with the largest mean, where the specification of one averaged output (m, classes)
///   names the classes; else it is left out, and `describe` says so.
/// * **vote**, by weight: every output of labels (bool, i32, i64, string) that all members have is what most of them
///   say; the smallest label wins a tie.
/// * **stack**: the members' answers are the features of a final model, whose outputs are the ensemble's.
///
/// ```
/// use modelberth::{ndarray::array, Ensemble, LinearModel, Link, ModelExt};
/// let low = LinearModel::new(array![[1.0]], array![0.0], Link::Identity)?;
/// let high = LinearModel::new(array![[1.0]], array![4.0], Link::Identity)?;
/// let model = Ensemble::builder().member("low", low).weight(3.0).member("high", high).weight(1.0).build()?;
/// let answers = model.predict_array(array![[10.0f32]])?;
/// assert_eq!(answers.get::<f32>("prediction")?, array![[11.0]].into_dyn());
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ensemble(Checked<Members>);

impl Ensemble {
    /// An ensemble without members, to add them to.
    pub fn builder() -> EnsembleBuilder {
        EnsembleBuilder { members: Vec::new(), how: How::Mean, features: Vec::new(), misplaced: false }
    }
}

#[derive(Debug, Clone)]
pub(super) enum How {
    Mean,
    Vote,
    Stack(Arc<dyn Model>),
}

#[derive(Debug)]
struct Draft {
    name: String,
    model: Arc<dyn Model>,
    weight: Option<f64>,
    rename: Vec<(String, String)>,
    rename_outputs: Vec<(String, String)>,
}

/// Builds an [`Ensemble`], member after member.
#[derive(Debug)]
#[must_use = "an ensemble is there after `build`"]
pub struct EnsembleBuilder {
    members: Vec<Draft>,
    how: How,
    features: Vec<String>,
    misplaced: bool,
}

impl EnsembleBuilder {
    /// Adds a member. The name stands in messages.
    pub fn member(mut self, name: impl Into<String>, model: impl Model) -> Self {
        let (rename, rename_outputs) = (Vec::new(), Vec::new());
        self.members.push(Draft { name: name.into(), model: Arc::new(model), weight: None, rename, rename_outputs });
        self
    }

    fn last(mut self, edit: impl FnOnce(&mut Draft)) -> Self {
        match self.members.last_mut() {
            Some(member) => edit(member),
            None => self.misplaced = true,
        }
        self
    }

    /// How much the member added last counts; 1 unless set. For means and votes.
    pub fn weight(self, weight: f64) -> Self {
        self.last(|member| member.weight = Some(weight))
    }

    /// Feeds `input` of the member added last with the ensemble's input `name`.
    pub fn rename(self, input: impl Into<String>, name: impl Into<String>) -> Self {
        self.last(|member| member.rename.push((input.into(), name.into())))
    }

    /// Calls `output` of the member added last `name`, so that it meets the outputs of the others.
    pub fn rename_output(self, output: impl Into<String>, name: impl Into<String>) -> Self {
        self.last(|member| member.rename_outputs.push((output.into(), name.into())))
    }

    /// Combines the answers by their (weighted) mean. This is what happens unless said otherwise.
    pub fn mean(mut self) -> Self {
        self.how = How::Mean;
        self
    }

    /// Combines the labels by (weighted) vote.
    pub fn vote(mut self) -> Self {
        self.how = How::Vote;
        self
    }

    /// Makes the answers the features of a final model with one input (m, features) of f32 or f64. The columns stand in
    /// the order of the members, and of the outputs in each.
    pub fn stack(mut self, last: impl Model) -> Self {
        self.how = How::Stack(Arc::new(last));
        self
    }

    /// Which outputs of the members become features when [stacking](Self::stack), by the names they have after
    /// [`rename_output`](Self::rename_output). Unless set: each member's floats, or its numbers where it has no floats.
    pub fn features<S: Into<String>>(mut self, outputs: impl IntoIterator<Item = S>) -> Self {
        self.features = outputs.into_iter().map(Into::into).collect();
        self
    }

    /// The ensemble.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when there is no member, a name is taken, a weight is negative or not finite, all
    /// are zero, or the members have no output in common that can be combined; [`ErrorKind::UnknownTensor`] when a
    /// rename names what is not there; [`ErrorKind::WrongType`] or [`ErrorKind::WrongShape`] when members disagree on
    /// what they share. Where one member is the cause, it is named.
    pub fn build(self) -> Result<Ensemble> {
        let invalid = |message: &str| Error::new(ErrorKind::InvalidArgument, message);
        if self.members.is_empty() || self.misplaced {
            return Err(invalid("an ensemble needs a member before anything that is said about one"));
        }
        let stacks = matches!(self.how, How::Stack(_));
        if stacks && self.members.iter().any(|m| m.weight.is_some()) {
            return Err(invalid("the final model of a stack weighs the members itself; leave the weights out"));
        }
        if !stacks && !self.features.is_empty() {
            return Err(invalid("features are chosen for stacking only"));
        }
        let mut inputs = Inputs::default();
        let (mut parts, mut members, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for draft in self.members {
            let place = alloc::format!("member `{}`", draft.name);
            members.push(wire(&parts, &mut inputs, &draft).map_err(|e| e.within(&place))?);
            weights.push(draft.weight.unwrap_or(1.0));
            parts.push(Part { name: draft.name, model: draft.model });
        }
        if weights.iter().any(|w| !w.is_finite() || *w < 0.0) || weights.iter().sum::<f64>() <= 0.0 {
            return Err(
                invalid("weights are finite and not negative, and not all zero").actual(alloc::format!("{weights:?}"))
            );
        }
        let mut ensemble = Members {
            parts,
            members,
            weights,
            how: self.how,
            features: self.features,
            combined: Vec::new(),
            notes: Vec::new(),
            signature: Signature::default(),
        };
        let outputs = ensemble.settle()?;
        ensemble.signature = Signature::new(inputs.0, outputs);
        Ok(Ensemble(Checked::new(ensemble)))
    }
}

fn wire(earlier: &[Part], inputs: &mut Inputs, draft: &Draft) -> Result<Member> {
    check_name(earlier, &draft.name)?;
    let signature = draft.model.signature();
    let unknown = |name: &str, what: &str| {
        Error::new(ErrorKind::UnknownTensor, alloc::format!("the member has no {what} of this name")).tensor(name)
    };
    if let Some((name, _)) = draft.rename.iter().find(|(name, _)| signature.input(name).is_none()) {
        return Err(unknown(name, "input"));
    }
    if let Some((name, _)) = draft.rename_outputs.iter().find(|(name, _)| signature.output(name).is_none()) {
        return Err(unknown(name, "output"));
    }
    let renamed = |spec: &TensorSpec, names: &[(String, String)]| {
        let to = names.iter().find(|(name, _)| name.as_str() == spec.name().as_str()).map(|(_, to)| to);
        to.map_or_else(|| spec.name().clone(), Name::new)
    };
    let mut sources = Vec::with_capacity(signature.inputs().len());
    for spec in signature.inputs() {
        sources.push(inputs.ask_for(spec, &draft.name, &renamed(spec, &draft.rename))?);
    }
    let outputs: Vec<Name> = signature.outputs().iter().map(|spec| renamed(spec, &draft.rename_outputs)).collect();
    if let Some(twice) = outputs.iter().enumerate().find(|(i, name)| outputs[..*i].contains(name)) {
        return Err(Error::new(ErrorKind::InvalidArgument, "two outputs of the member have this name").tensor(twice.1));
    }
    Ok(Member { sources, outputs, rename: draft.rename.clone(), rename_outputs: draft.rename_outputs.clone() })
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    /// For each input of the model, where it stands among the ensemble's.
    sources: Vec<usize>,
    /// The names of the model's outputs in the ensemble.
    pub(super) outputs: Vec<Name>,
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the manifest needs it"))]
    rename: Vec<(String, String)>,
    #[cfg_attr(not(feature = "std"), allow(dead_code, reason = "only the manifest needs it"))]
    rename_outputs: Vec<(String, String)>,
}

/// How one output comes about; the indices are those of the outputs of the members, one per member.
#[derive(Debug, Clone)]
pub(super) enum Combined {
    Mean(Vec<usize>),
    Vote(Vec<usize>),
    /// The class with the largest mean in the output of the ensemble at this index.
    Label(usize, Classes),
}

/// The members behind the check of the inputs.
#[derive(Debug, Clone)]
pub(super) struct Members {
    pub(super) parts: Vec<Part>,
    pub(super) members: Vec<Member>,
    pub(super) weights: Vec<f64>,
    pub(super) how: How,
    pub(super) features: Vec<String>,
    pub(super) combined: Vec<Combined>,
    pub(super) notes: Vec<String>,
    signature: Signature,
}

impl Members {
    pub(super) fn spec(&self, member: usize, output: usize) -> &TensorSpec {
        &self.parts[member].model.signature().outputs()[output]
    }

    fn run(&self, given: &Tensors<'_>, one: bool) -> Result<Tensors<'static>> {
        let mut answers = Vec::with_capacity(self.parts.len());
        for (part, member) in self.parts.iter().zip(&self.members) {
            let specs = part.model.signature().inputs();
            let mut inputs = Tensors::with_capacity(specs.len());
            for (spec, &at) in specs.iter().zip(&member.sources) {
                let tensor = pick(given, at, self.signature.inputs()[at].name())?;
                inputs.push(spec.name().clone(), tensor.as_view());
            }
            answers.push(part.ask("member", &inputs, one)?);
        }
        if let How::Stack(last) = &self.how {
            return self.run_stack(last, &answers, given, one);
        }
        let gather = |places: &[usize]| {
            let of_member =
                |(member, &output): (usize, &usize)| pick(&answers[member], output, self.spec(member, output).name());
            places.iter().enumerate().map(of_member).collect::<Result<Vec<&Tensor<'_>>>>()
        };
        let mut out: Vec<Option<Tensor<'static>>> = vec![None; self.combined.len()];
        let specs = self.signature.outputs();
        for (i, how) in self.combined.iter().enumerate() {
            out[i] = match how {
                Combined::Mean(places) => Some(mean(&gather(places)?, &self.weights)),
                Combined::Vote(places) => Some(vote(&gather(places)?, &self.weights)),
                Combined::Label(..) => None,
            }
            .transpose()
            .map_err(|e| e.tensor(specs[i].name()))?;
        }
        for (i, how) in self.combined.iter().enumerate() {
            if let Combined::Label(at, classes) = how
                && let Some(scores) = &out[*at]
            {
                out[i] = Some(classes.label(scores).map_err(|e| e.tensor(specs[i].name()))?);
            }
        }
        Ok(specs.iter().zip(out).filter_map(|(spec, tensor)| Some((spec.name().clone(), tensor?))).collect())
    }

    fn run_stack(
        &self,
        last: &Arc<dyn Model>,
        answers: &[Tensors<'static>],
        given: &Tensors<'_>,
        one: bool,
    ) -> Result<Tensors<'static>> {
        let mut features = Vec::new();
        for (member, answer) in answers.iter().enumerate() {
            for i in self.stacked(member)? {
                features.push(pick(answer, i, self.spec(member, i).name())?.as_view());
            }
        }
        let batched = self.signature.inputs().iter().position(TensorSpec::is_batched);
        let rows = match batched.and_then(|at| given.at(at)) {
            Some((_, tensor)) if !one => tensor.shape().first().copied(),
            _ if one => None,
            _ => features.first().and_then(|t| t.shape().first().copied()),
        };
        let input = &last.signature().inputs()[0];
        let dtype = if input.dtypes().contains(&DType::F32) { DType::F32 } else { DType::F64 };
        let table = columns(&features, rows, dtype).map_err(|e| e.within("final model"))?;
        let inputs = Tensors::one(input.name().clone(), table);
        let answer = if one { last.predict(&inputs) } else { last.predict_batch(&inputs) };
        answer.map_err(|e| e.within("final model"))
    }
}

#[deny(clippy::missing_trait_methods)]
impl Model for Members {
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
        let mut parts: Vec<&Part> = self.parts.iter().collect();
        let (how, last) = match &self.how {
            How::Mean => ("mean", None),
            How::Vote => ("vote", None),
            How::Stack(last) => ("stack", Some(Part { name: "final".into(), model: Arc::clone(last) })),
        };
        parts.extend(&last);
        let mut description = describe(alloc::format!("ensemble ({how}): {}", names.join(", ")), &parts);
        description.notes.extend(self.notes.iter().cloned());
        description
    }

    fn artifact(&self) -> Result<Artifact> {
        #[cfg(feature = "std")]
        return self.save();
        #[cfg(not(feature = "std"))]
        Err(Error::new(ErrorKind::FeatureDisabled, "writing a manifest needs the feature `std`"))
    }
}

#[cfg(feature = "std")]
impl Members {
    fn save(&self) -> Result<Artifact> {
        use super::manifest::{Combine, EnsembleEntry, Manifest, MemberEntry, Packer};
        let mut packer = Packer::default();
        let mut members = Vec::with_capacity(self.parts.len());
        for (part, member) in self.parts.iter().zip(&self.members) {
            let mut entry = MemberEntry::new(packer.pack(part)?);
            entry.name = Some(part.name.clone());
            entry.rename = member.rename.iter().cloned().collect();
            entry.rename_outputs = member.rename_outputs.iter().cloned().collect();
            members.push(entry);
        }
        let mut entry = EnsembleEntry::new(members);
        entry.features.clone_from(&self.features);
        match &self.how {
            How::Mean => entry.combine = Combine::Mean,
            How::Vote => entry.combine = Combine::Vote,
            How::Stack(last) => {
                entry.combine = Combine::Stack;
                entry.last = Some(packer.pack(&Part { name: "final".into(), model: Arc::clone(last) })?);
            }
        }
        if !matches!(self.how, How::Stack(_)) {
            entry.weights = Some(self.weights.clone());
        }
        packer.finish(Manifest::ensemble(entry))
    }
}

crate::model::forward_model!(Ensemble, |this| this.0);
