//! The checks that compare answers.

use std::sync::Barrier;

use super::Tolerance;
use super::compare::difference;
use super::suite::{Find, Subject, first, guarded};
use crate::tensor::shape_text;
use crate::{Dim, Signature, Tensors};

const EXACT: Tolerance = Tolerance::new(0.0, 0.0);

/// How many observations are asked for one by one.
const SINGLES: usize = 8;

impl Subject<'_> {
    pub(super) fn signature(&self) -> Vec<String> {
        let signature = self.model.signature();
        let mut found = Vec::new();
        for specs in [signature.inputs(), signature.outputs()] {
            for (i, spec) in specs.iter().enumerate() {
                if specs[..i].iter().any(|other| other.name() == spec.name()) {
                    found.push(format!("two tensors are called `{}`", spec.name()));
                }
                if spec.dims().iter().skip(1).any(|dim| *dim == Dim::Batch) {
                    found.push(format!("`{}` has its batch axis elsewhere than in front", spec.name()));
                }
            }
        }
        found.extend(promised(signature, &self.inputs, &self.answers, Some(self.rows)));
        if signature.is_batched() && found.is_empty() {
            match self.observation(0).and_then(|input| Ok((self.one(&input)?, input))) {
                Ok((answer, input)) => {
                    let broken = promised(signature, &input, &answer, None);
                    found.extend(broken.into_iter().map(|what| format!("`predict`: {what}")));
                }
                Err(e) => found.push(format!("`predict` refuses a sample: {e}")),
            }
        }
        found
    }

    pub(super) fn determinism(&self) -> Vec<String> {
        (2..4)
            .find_map(|call| match self.batch(&self.inputs) {
                Ok(again) => difference(&self.answers, &again, EXACT).map(|what| format!("on call {call}, {what}")),
                Err(e) => Some(format!("call {call} failed: {e}")),
            })
            .into_iter()
            .collect()
    }

    pub(super) fn parity(&self) -> Vec<String> {
        let of_row = |row: usize| -> Result<Option<String>, String> {
            let batch = self.batch(&self.input_rows(row..row + 1)?)?;
            let expected = first(self.model.signature(), Signature::output, &batch)?;
            let one = self.one(&self.observation(row)?)?;
            Ok(difference(&expected, &one, self.options.tolerance))
        };
        (0..self.rows.min(SINGLES))
            .filter_map(|row| of_row(row).unwrap_or_else(Some).map(|what| format!("observation {row}: {what}")))
            .take(3)
            .collect()
    }

    pub(super) fn batch_split(&self) -> Vec<String> {
        let m = self.rows;
        let mut cuts: Vec<(String, Vec<usize>)> =
            vec![("one by one".to_owned(), (0..=m).collect()), ("in halves".to_owned(), vec![0, m / 2, m])];
        if m > 8 {
            cuts.push(("into 3, 5 and the rest".to_owned(), vec![0, 3, 8, m]));
        }
        let of_part = |range: std::ops::Range<usize>| -> Result<Option<String>, String> {
            let part = self.batch(&self.input_rows(range.clone())?)?;
            Ok(difference(&self.answer_rows(range)?, &part, self.options.tolerance))
        };
        let mut found = Vec::new();
        for (how, cuts) in cuts {
            let broken = cuts.windows(2).find_map(|cut| {
                let what = of_part(cut[0]..cut[1]).unwrap_or_else(Some)?;
                Some(format!("split {how}, rows {}..{} differ though rows are independent: {what}", cut[0], cut[1]))
            });
            found.extend(broken);
        }
        found
    }

    pub(super) fn threads(&self) -> Vec<String> {
        let threads = self.options.threads;
        let barrier = Barrier::new(threads);
        let single = if self.model.signature().is_batched() {
            match self.observation(0).and_then(|input| Ok((self.one(&input)?, input))) {
                Ok((answer, input)) => Some((input, answer)),
                Err(e) => return vec![e],
            }
        } else {
            None
        };
        let work = || -> Result<Option<String>, String> {
            barrier.wait();
            for _ in 0..4 {
                let answers = self.batch(&self.inputs)?;
                if let Some(what) = difference(&self.answers, &answers, EXACT) {
                    return Ok(Some(what));
                }
                if let Some((input, expected)) = &single
                    && let Some(what) = difference(expected, &self.one(input)?, EXACT)
                {
                    return Ok(Some(format!("`predict`: {what}")));
                }
            }
            Ok(None)
        };
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let ended = running.into_iter().map(|thread| thread.join());
            let broken = ended.filter_map(|end| match end {
                Ok(end) => end.unwrap_or_else(Some),
                Err(_) => Some("a thread panicked".to_owned()),
            });
            let broken: Vec<String> = broken.collect();
            let count = broken.len();
            broken.into_iter().next().map(|what| format!("{count} of {threads} threads got another answer: {what}"))
        })
        .into_iter()
        .collect()
    }

    pub(super) fn empty_batch(&self) -> Vec<String> {
        let signature = self.model.signature();
        let answers = match self.input_rows(0..0).and_then(|none| self.batch(&none)) {
            Ok(answers) => answers,
            Err(e) => return vec![format!("it is refused: {e}")],
        };
        let mut found = Vec::new();
        if answers.len() != self.answers.len() {
            found.push(format!("it gives {} outputs, not {}", answers.len(), self.answers.len()));
        }
        for ((name, empty), (expected, full)) in answers.iter().zip(self.answers.iter()) {
            let Some(spec) = signature.output(expected) else { continue };
            let fits = |(dim, (e, f)): (&Dim, (&usize, &usize))| match dim {
                Dim::Batch => *e == 0,
                Dim::Fixed(_) => e == f,
                _ => true,
            };
            let (e, f) = (empty.shape(), full.shape());
            if name != expected {
                found.push(format!("it gives `{name}` in the place of `{expected}`"));
            } else if empty.dtype() != full.dtype() {
                found.push(format!("`{name}` has type {}, not {}", empty.dtype(), full.dtype()));
            } else if e.len() != f.len() || !spec.dims().iter().zip(e.iter().zip(f)).all(fits) {
                found.push(format!("`{name}` has shape {}, not {} for m = 0", shape_text(e), spec.shape_text()));
            }
        }
        found
    }

    /// `comparable` says whether the answers to repeated observations can be foretold.
    pub(super) fn large_batch(&self, comparable: bool) -> Vec<String> {
        let repeats = self.options.large_rows.div_ceil(self.rows).max(2);
        let tiled = |set: &Tensors<'static>, find: Find| {
            set.iter()
                .map(|(name, tensor)| {
                    let batched = find(self.model.signature(), name).is_none_or(crate::TensorSpec::is_batched);
                    let tensor = if batched {
                        crate::Tensor::concat_rows(&vec![tensor.as_view(); repeats]).map_err(|e| e.to_string())?
                    } else {
                        tensor.clone()
                    };
                    Ok((name.clone(), tensor))
                })
                .collect::<Result<Tensors<'static>, String>>()
        };
        let compare = || -> Result<Vec<String>, String> {
            let inputs = tiled(&self.inputs, Signature::input)?;
            let answers = self.batch(&inputs)?;
            let rows = repeats * self.rows;
            if comparable {
                let expected = tiled(&self.answers, Signature::output)?;
                return Ok(difference(&expected, &answers, self.options.tolerance).into_iter().collect());
            }
            Ok(promised(self.model.signature(), &inputs, &answers, Some(rows)))
        };
        compare()
            .unwrap_or_else(|e| vec![e])
            .into_iter()
            .map(|what| format!("{} rows: {what}", repeats * self.rows))
            .collect()
    }

    pub(super) fn artifact(&self) -> Vec<String> {
        let reload = || {
            let artifact = self
                .model
                .artifact()
                .map_err(|e| format!("there is none; if that is meant, say `Options::without_artifact`: {e}"))?;
            self.options.loader.load_artifact(&artifact).map_err(|e| format!("it does not load again: {e}"))
        };
        let again = match guarded(reload).and_then(|result| result) {
            Ok(again) => again,
            Err(e) => return vec![e],
        };
        let shown = |signature: &Signature| {
            let text =
                |specs: &[crate::TensorSpec]| specs.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            format!("{} -> {}", text(signature.inputs()), text(signature.outputs()))
        };
        let (before, after) = (shown(self.model.signature()), shown(again.signature()));
        if before != after {
            return vec![format!("loaded again, the signature is {after}, not {before}")];
        }
        let answers =
            guarded(|| again.predict_batch(&self.inputs)).and_then(|answer| answer.map_err(|e| e.to_string()));
        match answers {
            Ok(answers) => difference(&self.answers, &answers, self.options.artifact_tolerance)
                .map(|what| format!("loaded again, {what}"))
                .into_iter()
                .collect(),
            Err(e) => vec![format!("loaded again, the samples are refused: {e}")],
        }
    }
}

/// Where the answers are not what the signature promises. `rows` is none for one observation.
fn promised(signature: &Signature, inputs: &Tensors<'_>, answers: &Tensors<'_>, rows: Option<usize>) -> Vec<String> {
    let mut found = Vec::new();
    let names: Vec<&str> = answers.iter().map(|(name, _)| name.as_str()).collect();
    let wanted: Vec<&str> = signature.outputs().iter().map(|spec| spec.name().as_str()).collect();
    if names != wanted {
        return vec![format!("the outputs are {names:?}, promised were {wanted:?}")];
    }
    let mut lengths: Vec<(&str, usize)> = Vec::new();
    let pairs = inputs.iter().filter_map(|(name, tensor)| Some((signature.input(name)?, tensor, true)));
    for (spec, tensor, given) in
        pairs.chain(signature.outputs().iter().zip(answers.iter()).map(|(spec, (_, tensor))| (spec, tensor, false)))
    {
        if !given && tensor.dtype() != spec.dtype() {
            found.push(format!("`{}` has type {}, promised was {}", spec.name(), tensor.dtype(), spec.dtype()));
        }
        let dims = if rows.is_none() && spec.is_batched() { &spec.dims()[1..] } else { spec.dims() };
        let shape = tensor.shape();
        let mut fits = dims.len() == shape.len() || (given && tensor.is_sparse());
        for (dim, &length) in dims.iter().zip(shape) {
            match dim {
                Dim::Fixed(n) => fits &= length == *n,
                Dim::Batch => fits &= rows == Some(length),
                Dim::Any => {}
                Dim::Named(name) => match lengths.iter().find(|(n, _)| n == name) {
                    Some((_, n)) => fits &= length == *n,
                    None => lengths.push((name, length)),
                },
            }
        }
        if !fits && !given {
            let m = rows.map_or_else(String::new, |m| format!(" with m = {m}"));
            let promise = crate::TensorSpec::new("", spec.dtype(), dims).shape_text();
            found.push(format!("`{}` has shape {}, promised was {promise}{m}", spec.name(), shape_text(shape)));
        }
    }
    found
}
