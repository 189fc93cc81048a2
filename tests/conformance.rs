//! The conformance suite on what the crate hands out: models built in code, composed models, wrappers, and every file
//! of the zoos.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{data, with_prefix};
use modelberth::conformance::{Check, Options, Tolerance, assert_conforms, check};
use modelberth::ndarray::{Array1, Array2, array};
use modelberth::table::{TableReader, read_npz};
use modelberth::{Checked, Ensemble, LinearModel, Link, Loader, Model, Pipeline, Result, Tensors};

/// Weights that are not round, so that another order of summing would show.
fn weights(n: usize, k: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, k), |(i, j)| ((i * 37 + j * 11) % 29) as f32 / 7.3 - 1.9)
}

fn linear(n: usize, k: usize, link: Link) -> LinearModel {
    LinearModel::new(weights(n, k), Array1::from_shape_fn(k, |j| j as f32 * 0.3 - 0.7), link).unwrap()
}

fn named(n: usize, names: &[&str]) -> LinearModel {
    linear(n, names.len(), Link::Softmax).class_names(names.iter().copied()).unwrap()
}

fn everything(model: &dyn Model) {
    let report = assert_conforms(model, &Options::new());
    assert_eq!(report.passed(), Check::ALL, "{report}");
}

#[test]
fn linear_models() {
    for link in [Link::Identity, Link::Logistic, Link::Softmax] {
        for n in [1, 3, 64, 200] {
            for k in [1, 2, 10, 40] {
                if (link == Link::Logistic && k != 1) || (link == Link::Softmax && k == 1) {
                    continue;
                }
                everything(&linear(n, k, link));
            }
        }
    }
    everything(&named(5, &["a", "b", "c"]));
    everything(&linear(5, 1, Link::Logistic).class_names(["no", "yes"]).unwrap());
    everything(&linear(2, 1, Link::Identity).input_name("model.weights").unwrap().feature_names(["a", "b"]).unwrap());
}

fn pipeline() -> Pipeline {
    Pipeline::builder()
        .stage("encoder", linear(6, 4, Link::Identity))
        .stage("head", named(4, &["low", "mid", "high"]))
        .rename("x", "prediction")
        .output_as("encoder", "prediction", "embedding")
        .build()
        .unwrap()
}

fn members() -> modelberth::EnsembleBuilder {
    Ensemble::builder()
        .member("one", named(5, &["a", "b", "c"]))
        .member("two", LinearModel::new(weights(5, 3) * -0.5, Array1::zeros(3), Link::Softmax).unwrap())
        .rename("x", "y")
}

#[test]
fn pipelines() {
    everything(&pipeline());
    let branches = Pipeline::builder()
        .stage("left", linear(3, 2, Link::Identity))
        .stage("right", linear(3, 2, Link::Identity))
        .stage("join", linear(2, 1, Link::Logistic))
        .link("x", "left", "prediction")
        .output_as("right", "prediction", "right")
        .build();
    everything(&branches.unwrap());
}

#[test]
fn ensembles() {
    let agreeing = || {
        Ensemble::builder()
            .member("one", named(5, &["a", "b", "c"]))
            .weight(2.0)
            .member("two", named(5, &["a", "b", "c"]))
            .weight(0.5)
    };
    everything(&agreeing().mean().build().unwrap());
    everything(&agreeing().vote().build().unwrap());
    let stack = Ensemble::builder()
        .member("one", linear(5, 3, Link::Softmax))
        .member("two", linear(5, 2, Link::Identity))
        .stack(linear(5, 1, Link::Logistic))
        .build();
    everything(&stack.unwrap());
    assert!(members().mean().build().is_err(), "the classes differ");
}

#[test]
fn composed_models_inside_composed_models() {
    let ensemble = Ensemble::builder()
        .member("straight", linear(6, 1, Link::Identity))
        .member(
            "deep",
            Pipeline::builder()
                .stage("a", linear(6, 3, Link::Identity))
                .stage("b", linear(3, 1, Link::Identity))
                .rename("x", "prediction")
                .build()
                .unwrap(),
        )
        .build()
        .unwrap();
    let outer = Pipeline::builder()
        .stage("mean", ensemble)
        .stage("last", linear(1, 1, Link::Logistic))
        .rename("x", "prediction")
        .build()
        .unwrap();
    everything(&outer);
}

#[test]
fn wrappers_and_pointers() {
    everything(&Checked::new(linear(4, 2, Link::Softmax)));
    everything(&Arc::new(linear(4, 2, Link::Softmax)));
    let shared: Arc<dyn Model> = Arc::new(pipeline());
    everything(&shared);
    everything(&(Box::new(shared) as Box<dyn Model>));
    let cast = Checked::new(linear(4, 2, Link::Softmax)).cast(true);
    let doubles = Tensors::one("x", array![[1.0f64, 2.0, 3.0, 4.0], [0.5, 0.25, 0.125, 1.5]]);
    assert_conforms(&cast, &Options::new().samples(doubles).loader(Loader::new().cast(true)));
}

/// Sample inputs from the file beside the model: a table, or arrays under `in:`.
fn samples(path: &Path, model: &dyn Model) -> Result<Tensors<'static>> {
    let csv = path.with_extension("csv");
    let whole = if csv.exists() {
        TableReader::open(&csv, model.signature())?.read_all()?.into_owned()
    } else {
        let golden = read_npz(&fs::read(path.with_extension("npz"))?)?;
        let given = with_prefix(&golden, "in:");
        let of = |spec: &modelberth::TensorSpec| {
            let tensor = given.tensor(spec.name()).or_else(|e| given.single().map_err(|_| e))?;
            Ok((spec.name().clone(), tensor.cast(spec.dtype()).unwrap_or_else(|_| tensor.as_view().into_owned())))
        };
        model.signature().inputs().iter().map(of).collect::<Result<Tensors<'static>>>()?
    };
    if !model.signature().is_batched() {
        return Ok(whole);
    }
    let rows = whole.iter().filter_map(|(_, tensor)| tensor.shape().first().copied()).min().unwrap_or(0);
    Ok(whole.rows(0..rows.min(20))?.into_owned())
}

fn zoo(folder: &str, at_least: usize) {
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(data(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "onnx") {
            continue;
        }
        count += 1;
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let run = || -> Result<(), String> {
            let model = modelberth::load(&path).map_err(|e| e.to_string())?;
            let samples = samples(&path, &*model).map_err(|e| e.to_string())?;
            let options = Options::new().samples(samples).large_rows(1000).tolerance(tolerance(&name));
            check(&*model, &options).map(drop).map_err(|e| e.to_string())
        };
        if let Err(e) = run() {
            wrong.push(format!("{name}: {e}"));
        }
    }
    assert!(count >= at_least, "only {count} models were found in {folder}");
    assert!(wrong.is_empty(), "{} of {count} models of {folder} do not conform:\n{}", wrong.len(), wrong.join("\n"));
}

/// The same bits for one row and for many.
fn tolerance(_name: &str) -> Tolerance {
    Tolerance::default()
}

#[test]
fn the_zoo() {
    zoo("zoo", 61);
}

#[test]
fn the_second_zoo() {
    zoo("zoo2", 48);
}

/// Every output that a booster has.
fn outputs_of(model: &dyn Model) -> Vec<&'static str> {
    let classifier = model.signature().output("label").is_some();
    let first: &[&str] = if classifier { &["probabilities", "label"] } else { &["prediction"] };
    [first, &["contributions", "raw", "leaf"]].concat()
}

/// Holds a booster to the suite as it loads by itself, and with all its outputs on two threads.
fn booster(name: &str, bytes: &[u8], samples: &Tensors<'_>) -> Result<(), String> {
    let wrong = |e: modelberth::Error| e.to_string();
    let plain = Loader::new();
    let model = plain.load_bytes(name, bytes).map_err(wrong)?;
    let outputs = outputs_of(&*model);
    let mut loader = plain.clone().outputs(outputs.iter().copied()).threads(2);
    if loader.load_bytes(name, bytes).is_err() {
        // Linear models have no leaves, and trees with linear leaves no contributions.
        let fewer = outputs.iter().copied().filter(|o| *o != "leaf" && *o != "contributions");
        loader = plain.clone().outputs(fewer);
    }
    for loader in [plain, loader] {
        let model = loader.load_bytes(name, bytes).map_err(wrong)?;
        let options = Options::new().samples(samples.as_view().into_owned()).large_rows(1000).loader(loader);
        check(&*model, &options).map_err(|e| e.to_string())?;
    }
    Ok(())
}

#[test]
fn boosters_of_the_zoo() {
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in fs::read_dir(data("zoo")).unwrap() {
        let path = entry.unwrap().path();
        let own = path.extension().is_some_and(|e| e == "json" || e == "ubj" || e == "txt");
        if !own || !path.with_extension("npz").exists() {
            continue;
        }
        count += 1;
        let golden = read_npz(&fs::read(path.with_extension("npz")).unwrap()).unwrap();
        let x = golden.tensor("in:x").unwrap();
        let x = if x.dtype() == modelberth::DType::F64 { x.as_view() } else { x.cast(modelberth::DType::F32).unwrap() };
        let samples = Tensors::one("x", x.rows(0..20).unwrap().into_owned());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if let Err(e) = booster(&name, &fs::read(&path).unwrap(), &samples) {
            wrong.push(format!("{name}: {e}"));
        }
    }
    assert!(count >= 7, "only {count} boosters were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn xgboost_of_every_kind() {
    let archive = read_npz(&fs::read(data("boosters/xgboost.npz")).unwrap()).unwrap();
    let cases = ["multi_softmax", "base_hinge", "dart_multi", "linear_multi", "early", "vectors", "labels", "deep"];
    for case in cases.into_iter().chain(["one_leaf", "categories_one_hot", "categories_sets"]) {
        let own = archive.tensor(&format!("{case}/x"));
        let x = own.unwrap_or_else(|_| archive.tensor("x").unwrap());
        let m = x.shape()[0];
        let samples = Tensors::one("x", x.rows(m - 20..m).unwrap().into_owned());
        let bytes: Vec<u8> = archive.get::<u8>(&format!("{case}/model")).unwrap().iter().copied().collect();
        booster(case, &bytes, &samples).unwrap_or_else(|e| panic!("{case}: {e}"));
    }
}

#[test]
fn catboost_of_every_kind() {
    let mut archive = zip::ZipArchive::new(fs::File::open(data("boosters/catboost.zip")).unwrap()).unwrap();
    let mut read = |name: String| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut archive.by_name(&name).unwrap(), &mut bytes).unwrap();
        bytes
    };
    let cases = ["logloss_words", "multiclass_absent", "multi_logloss", "uncertainty", "rmse_deep", "rmse_zero_trees"];
    let with_categories =
        ["one_hot", "one_hot_lossguide", "ctr_default", "ctr_all", "ctr_lossguide_3", "ctr_multi_rmse"];
    for case in cases.into_iter().chain(with_categories) {
        let golden = read_npz(&read(format!("{case}.npz"))).unwrap();
        let inputs = with_prefix(&golden, "in:");
        let m = inputs.at(0).unwrap().1.shape()[0];
        let samples = inputs.rows(m - 20..m).unwrap().into_owned();
        booster(&format!("{case}.json"), &read(format!("{case}.json")), &samples)
            .unwrap_or_else(|e| panic!("{case}: {e}"));
    }
}
