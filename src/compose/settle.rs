//! What the outputs of an ensemble are, settled once when it is built.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::combine::{Classes, votes};
use super::ensemble::{Combined, How, Members};
use super::wiring::{qualified, unify};
use crate::{DType, Dim, Error, ErrorKind, Model, Name, Result, TensorSpec};

/// An output that all members have.
enum Slot {
    Ready(TensorSpec, Combined),
    /// To be read off the scores beside it, if they name their classes.
    Label(TensorSpec),
}

impl Members {
    /// Decides how each output comes about, and says what it is.
    pub(super) fn settle(&mut self) -> Result<Vec<TensorSpec>> {
        if let How::Stack(last) = &self.how {
            let last = Arc::clone(last);
            self.settle_stack(&last)?;
            let name = |spec: &TensorSpec| qualified(spec, "final", spec.name());
            return Ok(last.signature().outputs().iter().map(name).collect());
        }
        let mut slots: Vec<Slot> = Vec::new();
        for (i, name) in self.members[0].outputs.iter().enumerate() {
            let Some(places) = self.places(name) else { continue };
            let dtype = self.spec(0, i).dtype();
            slots.push(match self.how {
                How::Mean if matches!(dtype, DType::F32 | DType::F64) => {
                    Slot::Ready(self.common(name, &places)?, Combined::Mean(places))
                }
                How::Vote if votes(dtype) => Slot::Ready(self.common(name, &places)?, Combined::Vote(places)),
                How::Mean => Slot::Label(TensorSpec::new(name.clone(), dtype, self.spec(0, i).dims())),
                _ => continue,
            });
        }
        // The one averaged output that has classes along its last axis.
        let mut scored = slots.iter().enumerate().filter_map(|(at, slot)| match slot {
            Slot::Ready(spec, _) if spec.dims().len() == 2 && !spec.features().is_empty() => Some((at, spec)),
            _ => None,
        });
        let scores = match (scored.next(), scored.next()) {
            (Some((at, spec)), None) => Some((at, spec.features().to_vec())),
            _ => None,
        };
        let classes = |spec: &TensorSpec| match &scores {
            Some((_, names)) if spec.dims() == [Dim::Batch] => Classes::read(names, spec.dtype()),
            _ => None,
        };
        let kept: Vec<bool> = slots
            .iter()
            .map(|slot| if let Slot::Label(spec) = slot { classes(spec).is_some() } else { true })
            .collect();
        let scores_at = scores.as_ref().map_or(0, |(at, _)| kept[..*at].iter().filter(|k| **k).count());
        let (mut combined, mut specs, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for slot in slots {
            match slot {
                Slot::Ready(spec, how) => {
                    specs.push(spec);
                    combined.push(how);
                }
                Slot::Label(spec) => match classes(&spec) {
                    Some(classes) => {
                        specs.push(spec);
                        combined.push(Combined::Label(scores_at, classes));
                    }
                    None => notes.push(alloc::format!(
                        "the output `{}` of the members is left out: it has no mean, and no averaged output names its classes",
                        spec.name()
                    )),
                },
            }
        }
        if combined.is_empty() {
            let what = if matches!(self.how, How::Vote) { "label to vote on" } else { "float output to average" };
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                alloc::format!("the members have no {what} in common; rename outputs so that they meet"),
            ));
        }
        self.combined = combined;
        self.notes = notes;
        Ok(specs)
    }

    /// Where `name` stands among the outputs of each member, if all have it.
    fn places(&self, name: &Name) -> Option<Vec<usize>> {
        self.members.iter().map(|m| m.outputs.iter().position(|n| n == name)).collect()
    }

    /// What an output is that all members have.
    fn common(&self, name: &Name, places: &[usize]) -> Result<TensorSpec> {
        let mut common = qualified(self.spec(0, places[0]), &self.parts[0].name, name);
        for (member, &output) in places.iter().enumerate().skip(1) {
            let spec = self.spec(member, output);
            let differ = |kind, what: &str| {
                Error::new(kind, alloc::format!("the members disagree on the {what} of an output they share"))
                    .tensor(name)
                    .within(format_args!("member `{}`", self.parts[member].name))
            };
            if spec.dtype() != common.dtype() {
                return Err(differ(ErrorKind::WrongType, "element type").expected(common.dtype()).actual(spec.dtype()));
            }
            let Some(dims) = unify(common.dims(), spec.dims()) else {
                let e = differ(ErrorKind::WrongShape, "shape");
                return Err(e.expected(common.shape_text()).actual(spec.shape_text()));
            };
            let features = match (common.features(), spec.features()) {
                (a, []) => a,
                ([], b) => b,
                (a, b) if a == b => a,
                (a, b) => {
                    let e = differ(ErrorKind::InvalidArgument, "classes");
                    return Err(e.expected(a.join(", ")).actual(b.join(", ")));
                }
            };
            common = TensorSpec::new(name.clone(), spec.dtype(), dims).with_features(features.to_vec());
        }
        Ok(common)
    }

    /// Which outputs of a member are features of the final model.
    pub(super) fn stacked(&self, member: usize) -> Result<Vec<usize>> {
        let outputs = &self.members[member].outputs;
        let of = |wanted: &dyn Fn(DType) -> bool| -> Vec<usize> {
            (0..outputs.len()).filter(|&i| wanted(self.spec(member, i).dtype())).collect()
        };
        let chosen = if self.features.is_empty() {
            let floats = of(&DType::is_float);
            if floats.is_empty() { of(&|dtype| dtype != DType::String) } else { floats }
        } else {
            (0..outputs.len()).filter(|&i| self.features.iter().any(|f| f.as_str() == outputs[i].as_str())).collect()
        };
        let unfit =
            chosen.iter().map(|&i| self.spec(member, i)).find(|s| s.dtype() == DType::String || !s.is_batched());
        let problem = match unfit {
            Some(spec) => {
                alloc::format!("the output `{}` can't be a feature, for it is no batch of numbers", spec.name())
            }
            None if chosen.is_empty() => "no output can be a feature of the final model; choose some".into(),
            None => return Ok(chosen),
        };
        Err(Error::new(ErrorKind::InvalidArgument, problem)
            .within(format_args!("member `{}`", self.parts[member].name)))
    }

    fn settle_stack(&mut self, last: &Arc<dyn Model>) -> Result<()> {
        let wrong = |message: &str| Error::new(ErrorKind::InvalidArgument, message).within("final model");
        let [input] = last.signature().inputs() else {
            return Err(wrong("it must have exactly one input, which takes the features"));
        };
        let takes = |dtype| input.dtypes().contains(&dtype);
        if !(takes(DType::F32) || takes(DType::F64)) || !input.is_batched() || input.dims().len() != 2 {
            return Err(wrong("its input must be (m, features) of f32 or f64").tensor(input.name()));
        }
        let mut width = Some(0usize);
        for member in 0..self.parts.len() {
            for i in self.stacked(member)? {
                for dim in &self.spec(member, i).dims()[1..] {
                    if !matches!(dim, Dim::Fixed(_)) {
                        width = None;
                    }
                }
                let fixed = self.spec(member, i).dims()[1..].iter().map(|d| if let Dim::Fixed(n) = d { *n } else { 1 });
                width = width.map(|w| w + fixed.product::<usize>());
            }
        }
        match (width, &input.dims()[1]) {
            (Some(width), Dim::Fixed(n)) if width != *n => {
                Err(Error::new(ErrorKind::WrongShape, "the members give another number of features than it takes")
                    .tensor(input.name())
                    .expected(n)
                    .actual(width)
                    .within("final model"))
            }
            _ => Ok(()),
        }
    }
}
