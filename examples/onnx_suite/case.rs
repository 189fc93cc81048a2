//! One case of the suite: a model, inputs, and the outputs that the reference gives.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use modelberth::optimize::Convert;
use modelberth::{Backend, DType, Error, ErrorKind, Loader, Model, Tensor, Tensors};

use crate::proto::{Declared, ModelFacts, Value, bound, input_names};

/// The suite's own tolerances (`onnx.backend.test.loader`).
const RELATIVE: f64 = 1e-3;
const ABSOLUTE: f64 = 1e-7;

/// Cases whose expected answers were themselves rounded in single precision, to 2e-7 where the true ones are 0.
const COARSE: [&str; 2] = ["test_dft_inverse", "test_dft_inverse_opset19"];
const COARSE_ABSOLUTE: f64 = 1e-6;

/// Operators whose answers are drawn at random, so that there is nothing to compare.
const RANDOM: [&str; 6] =
    ["Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"];

/// What runs the models.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct How {
    /// All that there are, unless one is named.
    pub(crate) backend: Option<Backend>,
    /// Whether each model is converted to the packed form first.
    pub(crate) packed: bool,
}

/// What became of a case.
pub(crate) enum Verdict {
    Pass,
    /// Refused by name.
    Unsupported(String),
    /// Other answers, or an error where an answer was promised.
    Wrong(String),
    Crash(String),
}

impl Verdict {
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Unsupported(_) => "unsupported",
            Self::Wrong(_) => "wrong",
            Self::Crash(_) => "crash",
        }
    }

    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Pass => "",
            Self::Unsupported(why) | Self::Wrong(why) | Self::Crash(why) => why,
        }
    }

    pub(crate) fn to_line(&self) -> String {
        format!("{} {}", self.word(), self.why().split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn from_line(line: &str) -> Self {
        let (word, why) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "pass" => Self::Pass,
            "unsupported" => Self::Unsupported(why.to_owned()),
            "wrong" => Self::Wrong(why.to_owned()),
            _ => Self::Crash(why.to_owned()),
        }
    }
}

/// Runs the case in `directory`.
pub(crate) fn run(directory: &Path, how: How) -> Verdict {
    match catch_unwind(AssertUnwindSafe(|| verdict(directory, how))) {
        Ok(verdict) => verdict,
        Err(payload) => {
            let text = payload.downcast_ref::<&str>().map(|t| (*t).to_owned());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            Verdict::Crash(format!("panicked: {}", text.unwrap_or_default()))
        }
    }
}

fn verdict(directory: &Path, how: How) -> Verdict {
    let unreadable = |what: String| Verdict::Wrong(format!("the case can't be read: {what}"));
    let path = directory.join("model.onnx");
    let facts = match std::fs::read(&path).map_err(|e| e.to_string()).and_then(|b| ModelFacts::read(&b)) {
        Ok(facts) => facts,
        Err(what) => return unreadable(what),
    };
    if let Some(operator) = facts.operators.iter().find(|o| RANDOM.contains(&o.as_str())) {
        return Verdict::Unsupported(format!("answers drawn at random ({operator})"));
    }
    let coarse = directory.file_name().is_some_and(|name| COARSE.iter().any(|c| *c == name));
    let absolute = if coarse { COARSE_ABSOLUTE } else { ABSOLUTE };
    let mut loader = Loader::new();
    if let Some(backend) = how.backend {
        loader = loader.backend(backend);
    }
    let loaded = match how.packed {
        false => loader.load(&path),
        true => match packed(&path, &loader) {
            // What a file leaves to be given at every call, sizes and axes above all, is a constant in most models.
            Err(e) if e.kind() == ErrorKind::Unsupported && facts.inputs.iter().all(|i| *i == Declared::Tensor) => {
                match with_constants(directory, &path) {
                    // Constants may belong to another batch than one observation.
                    Ok(file) => packed(file.path(), &loader)
                        .map_err(|bound| if bound.kind() == ErrorKind::WrongShape { e } else { bound }),
                    Err(what) => return unreadable(what),
                }
            }
            done => done,
        },
    };
    let model = match loaded {
        Ok(model) => model,
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::FeatureDisabled) => {
            return Verdict::Unsupported(reason(&facts, &error));
        }
        Err(error) => return Verdict::Wrong(format!("load: {error:?}")),
    };
    for set in 0.. {
        let data = directory.join(format!("test_data_set_{set}"));
        if !data.is_dir() {
            return if set == 0 { unreadable("it has no data".to_owned()) } else { Verdict::Pass };
        }
        let (given, expected) = match (values(&data, "input", facts.inputs.len()), values(&data, "output", usize::MAX))
        {
            (Ok(given), Ok(expected)) => (given, expected),
            (Err(what), _) | (_, Err(what)) => return unreadable(what),
        };
        let mut inputs = Tensors::new();
        for (spec, value) in model.signature().inputs().iter().zip(given) {
            let Value::Tensor(tensor) = value else { return unreadable("an input is no tensor".to_owned()) };
            if let Err(error) = inputs.insert(spec.name(), tensor) {
                return unreadable(error.to_string());
            }
        }
        let answers = match model.predict_batch(&inputs) {
            Ok(answers) => answers,
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                return Verdict::Unsupported(error.message().to_owned());
            }
            Err(error) => return Verdict::Wrong(format!("predict: {error:?}")),
        };
        // A sequence is one output for each of its elements.
        let expected: Vec<Tensor<'static>> = expected
            .into_iter()
            .flat_map(|value| match value {
                Value::Tensor(tensor) => vec![tensor],
                Value::Sequence(tensors) => tensors,
            })
            .collect();
        if answers.len() != expected.len() {
            return Verdict::Wrong(format!("{} outputs, expected {}", answers.len(), expected.len()));
        }
        for ((name, got), expected) in answers.iter().zip(&expected) {
            if let Err(why) = same(got, expected, absolute, how.packed) {
                return Verdict::Wrong(format!("`{name}` by {}: {why}", model.describe().backend));
            }
        }
    }
    Verdict::Pass
}

fn packed(path: &Path, loader: &Loader) -> modelberth::Result<Arc<dyn Model>> {
    Convert::new().packed().run(path)?.load(loader)
}

/// The model of a case in which all inputs but the first are the constants that its first data set gives.
fn with_constants(directory: &Path, path: &Path) -> Result<tempfile::NamedTempFile, String> {
    let model = std::fs::read(path).map_err(|e| e.to_string())?;
    let mut constants = Vec::new();
    for (i, name) in input_names(&model)?.into_iter().enumerate().skip(1) {
        let tensor = std::fs::read(directory.join(format!("test_data_set_0/input_{i}.pb")));
        constants.push((name, tensor.map_err(|e| e.to_string())?));
    }
    let mut file = tempfile::NamedTempFile::new().map_err(|e| e.to_string())?;
    file.write_all(&bound(&model, &constants)?).map_err(|e| e.to_string())?;
    Ok(file)
}

/// The values of `data` called `input_0.pb`, `input_1.pb`, ..., at most `most`.
fn values(data: &Path, name: &str, most: usize) -> Result<Vec<Value>, String> {
    let mut found = Vec::new();
    while found.len() < most {
        let path = data.join(format!("{name}_{}.pb", found.len()));
        if !path.is_file() {
            break;
        }
        let bytes = std::fs::read(&path).map_err(|e| e.to_string())?;
        found.push(Value::read(&bytes)?);
    }
    Ok(found)
}

/// Why a model was refused, in as few words as tell cases apart.
fn reason(facts: &ModelFacts, error: &Error) -> String {
    let worst = facts.inputs.iter().chain(&facts.outputs).max().copied();
    match worst {
        Some(Declared::Tensor) | None => {}
        Some(kind) => return format!("{} as an input or output", kind.as_str()),
    }
    let text = format!("{error:?}");
    // Where several backends refuse, the first says what ours lacks.
    if let Some((_, rest)) = text.split_once("has no operator `")
        && let Some((operator, _)) = rest.split_once('`')
    {
        return format!("operator {operator}");
    }
    text.chars().take(230).collect()
}

/// Whether `got` is `expected` as the suite's own runner sees it; `narrow` where all numbers are f32.
fn same(got: &Tensor<'_>, expected: &Tensor<'_>, absolute: f64, narrow: bool) -> Result<(), String> {
    if got.dtype() != expected.dtype() {
        return Err(format!("{}, expected {}", got.dtype(), expected.dtype()));
    }
    if got.shape() != expected.shape() {
        return Err(format!("shape {:?}, expected {:?}", got.shape(), expected.shape()));
    }
    if got.dtype() == DType::String || got.dtype().is_integer() || got.dtype() == DType::Bool {
        return if got == expected { Ok(()) } else { Err(format!("{got:?}, expected {expected:?}")) };
    }
    let numbers = |t: &Tensor<'_>| -> Result<Vec<f64>, String> {
        let wide = t.cast(DType::F64).map_err(|e| e.to_string())?;
        Ok(wide.into_array::<f64>().map_err(|e| e.to_string())?.into_iter().collect())
    };
    for (i, (got, expected)) in numbers(got)?.into_iter().zip(numbers(expected)?).enumerate() {
        let expected = if narrow { f64::from(expected as f32) } else { expected };
        let close = (got - expected).abs() <= absolute + RELATIVE * expected.abs();
        if !(got == expected || close || (got.is_nan() && expected.is_nan())) {
            return Err(format!("element {i} is {got}, expected {expected}"));
        }
    }
    Ok(())
}
