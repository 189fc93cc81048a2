//! Real exports and single operators against the answers of ONNX Runtime.
//!
//! `tests/data/zoo` and `tests/data/zoo2` hold whole models, `tests/data/ops/ops.zip` one small graph an operator and
//! case; the scripts beside them made the files and the answers. Where ONNX Runtime itself is far from the library
//! that the model came from, being as close to that library is accepted, by name.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs;
use std::io::Read;

use common::{data, distance, numbers, with_prefix};
use modelberth::table::{TableReader, read_npz};
use modelberth::{Loader, Model, Result, Tensors};

/// Models on which ONNX Runtime is itself off: it is enough to be as close to the source as it is.
const LOOSE: &[&str] = &["transformer_KernelPCA", "classifier_NuSVC", "regressor_RANSACRegressor", "i64_ocsvm"];

/// Models in which neighbours at nearly the same distance are told apart by rounding: a few answers may differ.
const TIES: &[&str] = &["knnimp_uniform_None"];

/// Cases that are left out, by the beginning of their names, with the reason.
const LEFT_OUT: &[(&str, &str)] = &[
    ("ConstantOfShape_scalar", "no signature can describe it: the rank of the answer is a value of the input"),
    ("Reshape_allowzero", "no signature can describe it: an empty batch becomes three rows"),
    ("Reshape_emptyinfer", "ONNX Runtime refuses what the specification allows"),
    ("Gather_str", "ONNX Runtime 1.32 loses the text of all but the first string of a row"),
    ("TopK_ties_l0s0", "unsorted: the order is nobody's promise"),
    ("TopK_ties_l1s0", "unsorted: the order is nobody's promise"),
    ("Hardmax_v11_1", "which NaN wins changes with the alignment of the row in ONNX Runtime"),
    (
        "LogSoftmax_v13_f64",
        "a row with an infinity is NaN throughout; ONNX Runtime mixes NaN and infinities in f64 only",
    ),
    ("LabelEncoder_floats", "a NaN key matches NaN, as the specification says; ONNX Runtime gives the default"),
    ("LabelEncoder_nankeytwice", "as above"),
    ("TreeEnsembleClassifier_bin2", "the labels are those of the file; ONNX Runtime answers 0 and 1 whatever they are"),
    ("TreeEnsemble_f32_LOGISTIC", "ONNX Runtime takes the codes of SOFTMAX and LOGISTIC for each other"),
    ("TreeEnsemble_f32_SOFTMAX", "as above"),
    ("TreeEnsemble_f64_LOGISTIC", "as above"),
    ("TreeEnsemble_f64_SOFTMAX", "as above"),
];

/// What became of one case.
enum Outcome {
    Right,
    Wrong(String),
}

/// The answers of `model` for the inputs of `golden`, given as (m, n) or whole.
fn answers(model: &dyn Model, golden: &Tensors<'_>) -> Result<Tensors<'static>> {
    let given = with_prefix(golden, "in:");
    let mut inputs = Tensors::new();
    for spec in model.signature().inputs() {
        let tensor = match given.tensor(spec.name()) {
            Ok(tensor) => tensor.as_view(),
            Err(_) if given.len() == 1 => given.single()?.as_view(),
            Err(e) => return Err(e),
        };
        let tensor = if tensor.dtype() == spec.dtype() { tensor.into_owned() } else { tensor.cast(spec.dtype())? };
        inputs.insert(spec.name(), tensor)?;
    }
    model.predict_batch(&inputs)
}

/// Compares every output that `golden` has an answer of ONNX Runtime for.
fn compare(name: &str, got: &Tensors<'_>, golden: &Tensors<'_>) -> Outcome {
    let expected = with_prefix(golden, "ort:");
    if expected.is_empty() {
        return Outcome::Wrong("the golden holds no answer".to_owned());
    }
    for (output, expected) in expected.iter() {
        let Ok(tensor) = got.tensor(output) else { return Outcome::Wrong(format!("no output `{output}`")) };
        match distance(tensor, expected) {
            Ok(far) if far <= 1.0 => {}
            Ok(_) if LOOSE.contains(&name) && as_close_to_source(tensor, expected, golden) => {}
            Ok(_) if TIES.contains(&name) && mostly(tensor, expected) => {}
            Ok(far) => return Outcome::Wrong(format!("`{output}` is {far:.1} tolerances off")),
            Err(what) => return Outcome::Wrong(format!("`{output}`: {what}")),
        }
    }
    Outcome::Right
}

/// Whether `got` is as close to some answer of the source library as ONNX Runtime's is.
fn as_close_to_source(got: &modelberth::Tensor<'_>, ort: &modelberth::Tensor<'_>, golden: &Tensors<'_>) -> bool {
    let (Some(got), Some(ort)) = (numbers(got), numbers(ort)) else { return false };
    let far = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    with_prefix(golden, "src:")
        .iter()
        .filter_map(|(_, t)| numbers(t))
        .any(|source| source.len() == got.len() && far(&got, &source) <= far(&ort, &source) * (1.0 + 1e-6))
}

/// Whether 98 % of the numbers agree.
fn mostly(got: &modelberth::Tensor<'_>, expected: &modelberth::Tensor<'_>) -> bool {
    let (Some(got), Some(expected)) = (numbers(got), numbers(expected)) else { return false };
    let off = got.iter().zip(&expected).filter(|(g, e)| (*g - *e).abs() > 1e-5 * e.abs() + 1e-6).count();
    got.len() == expected.len() && off * 50 <= got.len()
}

/// Fails with every case that is wrong.
fn report(what: &str, outcomes: Vec<(String, Outcome)>, at_least: usize) {
    let count = outcomes.len();
    let wrong: Vec<String> = outcomes
        .into_iter()
        .filter_map(|(name, outcome)| match outcome {
            Outcome::Right => None,
            Outcome::Wrong(why) => Some(format!("  {name}: {why}")),
        })
        .collect();
    assert!(count >= at_least, "only {count} {what} were found");
    assert!(wrong.is_empty(), "{} of {count} {what} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn models(folder: &str, at_least: usize) {
    let mut outcomes = Vec::new();
    for entry in fs::read_dir(data(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "onnx") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let run = || -> Result<Outcome> {
            let golden = read_npz(&fs::read(path.with_extension("npz"))?)?;
            let model = modelberth::load(&path)?;
            let csv = path.with_extension("csv");
            let got = if csv.exists() {
                model.predict_batch(&TableReader::open(&csv, model.signature())?.read_all()?)?
            } else {
                answers(&*model, &golden)?
            };
            if with_prefix(&golden, "ort:").is_empty() {
                return Ok(source_only(&got, &golden));
            }
            Ok(compare(&name, &got, &golden))
        };
        let outcome = run().unwrap_or_else(|e| Outcome::Wrong(e.to_string()));
        outcomes.push((name, outcome));
    }
    report("models", outcomes, at_least);
}

/// For goldens without ONNX Runtime's answers: some output agrees with each answer of the source library, or differs
/// from it by f32 arithmetic only.
fn source_only(got: &Tensors<'_>, golden: &Tensors<'_>) -> Outcome {
    for (name, expected) in with_prefix(golden, "src:").iter() {
        let Some(expected) = numbers(expected) else { continue };
        let agrees = |got: &[f64]| {
            got.len() == expected.len()
                && got.iter().zip(&expected).all(|(g, e)| (g - e).abs() <= 1e-5 * e.abs() + 2e-6)
        };
        // A raw score is not among the outputs of every export.
        let positive = |got: &[f64]| got.chunks(2).map(|pair| pair[pair.len() - 1]).collect::<Vec<_>>();
        let known = got.iter().filter_map(|(_, t)| numbers(t)).any(|g| agrees(&g) || agrees(&positive(&g)));
        if !known && name.as_str() != "raw" {
            return Outcome::Wrong(format!("no output agrees with `src:{name}`"));
        }
    }
    Outcome::Right
}

#[test]
fn the_zoo_answers_as_onnx_runtime_does() {
    models("zoo", 61);
}

#[test]
fn the_second_zoo_answers_as_onnx_runtime_does() {
    models("zoo2", 48);
}

#[test]
fn single_operators_answer_as_onnx_runtime_does() {
    let mut archive = zip::ZipArchive::new(fs::File::open(data("ops/ops.zip")).unwrap()).unwrap();
    let mut read = |name: &str| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let manifest: serde_json::Value = serde_json::from_slice(&read("MANIFEST.json")).unwrap();
    let only = std::env::var("MODELBERTH_OPS").unwrap_or_default();
    let mut outcomes = Vec::new();
    for (name, about) in manifest
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| name.contains(&only) && LEFT_OUT.iter().all(|(left, _)| !name.starts_with(left)))
    {
        let (onnx, npz) = (read(&format!("{name}.onnx")), read(&format!("{name}.npz")));
        let raises = about.get("raises").is_some();
        let run = || -> Result<Outcome> {
            let golden = read_npz(&npz)?;
            if golden.iter().any(|(n, _)| n.ends_with("__keys")) {
                return Ok(Outcome::Right);
            }
            let model = Loader::new().load_bytes(name, onnx.clone())?;
            let got = answers(&*model, &golden)?;
            if raises {
                return Ok(Outcome::Wrong("gives an answer where ONNX Runtime refuses the input".to_owned()));
            }
            Ok(compare(name, &got, &golden))
        };
        let outcome = run().unwrap_or_else(|e| if raises { Outcome::Right } else { Outcome::Wrong(e.to_string()) });
        outcomes.push((name.clone(), outcome));
    }
    report("operator cases", outcomes, if only.is_empty() { 1500 } else { 1 });
}
