//! Composed models as files: manifests on disk and in memory.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::fs;
use std::path::{Path, PathBuf};

use modelberth::ndarray::{Array2, array};
use modelberth::{
    Artifact, ArtifactFile, Ensemble, ErrorKind, LinearModel, Link, Loader, Model, ModelExt, Pipeline, tensors,
};

/// An empty directory for one test.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compose-{name}"));
    if path.exists() {
        fs::remove_dir_all(&path).unwrap();
    }
    fs::create_dir_all(&path).unwrap();
    path
}

fn linear(weights: Array2<f32>) -> LinearModel {
    let bias = modelberth::ndarray::Array1::zeros(weights.ncols());
    LinearModel::new(weights, bias, Link::Identity).unwrap()
}

fn write(path: &Path, model: &dyn Model) {
    let artifact = model.artifact().unwrap();
    assert_eq!(artifact.files.len(), 1);
    fs::write(path, artifact.files[0].content().unwrap()).unwrap();
}

/// Writes an artifact as files.
fn unpack(directory: &Path, artifact: &Artifact) -> PathBuf {
    for file in &artifact.files {
        let path = directory.join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file.content().unwrap()).unwrap();
    }
    directory.join(&artifact.files[0].path)
}

#[test]
fn a_pipeline_is_loaded_from_its_manifest() {
    let here = directory("pipeline");
    write(&here.join("encoder.onnx"), &linear(array![[1.0, 0.0], [1.0, -1.0]]));
    write(&here.join("head.onnx"), &linear(array![[2.0], [1.0]]));
    let manifest = r#"{"modelberth": 1, "pipeline": [
        {"model": "encoder.onnx"},
        {"model": "./head.onnx", "rename": {"x": "prediction"}}
    ], "outputs": [{"stage": "encoder", "output": "prediction", "name": "embedding"}]}"#;
    // The extension says nothing.
    let path = here.join("whole.bin");
    fs::write(&path, manifest).unwrap();
    let model = modelberth::load(&path).unwrap();
    let answers = model.predict_array(array![[1.0f32, 2.0]]).unwrap();
    assert_eq!(answers.get::<f32>("prediction").unwrap(), array![[4.0f32]].into_dyn());
    assert_eq!(answers.get::<f32>("embedding").unwrap(), array![[3.0f32, -2.0]].into_dyn());
    assert_eq!(model.describe().engine, "pipeline: encoder -> head");
    let only = Loader::new().outputs(["embedding"]).load(&path).unwrap();
    assert_eq!(only.predict_row(array![1.0f32, 2.0]).unwrap().len(), 1);
    let cast = Loader::new().cast(true).load(&path).unwrap();
    assert_eq!(cast.predict_array(array![[1.0f64, 2.0]]).unwrap().get::<f32>("prediction").unwrap()[[0, 0]], 4.0);
    let e = Loader::new().outputs(["nothing"]).load(&path).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::UnknownTensor);
}

#[test]
fn an_ensemble_is_loaded_from_its_manifest() {
    let here = directory("ensemble");
    write(&here.join("m.onnx"), &linear(array![[1.0]]));
    let load = |fields: &str| {
        let path = here.join("ensemble.json");
        fs::write(&path, format!(r#"{{"modelberth": 1, "ensemble": {{{fields}}}}}"#)).unwrap();
        modelberth::load(path)
    };
    let two = r#""members": [{"model": "m.onnx"}, {"model": "m.onnx"}]"#;
    let model = load(&format!(r#"{two}, "combine": "mean", "weights": [3, 1]"#)).unwrap();
    assert_eq!(model.predict_row(array![2.0f32]).unwrap().get::<f32>("prediction").unwrap()[0], 2.0);
    assert_eq!(model.describe().engine, "ensemble (mean): m, m-2");
    write(&here.join("last.onnx"), &linear(array![[1.0], [10.0]]));
    let model = load(&format!(r#"{two}, "combine": "stack", "final": "last.onnx""#)).unwrap();
    assert_eq!(model.predict_row(array![2.0f32]).unwrap().get::<f32>("prediction").unwrap()[0], 22.0);
    for (fields, kind) in [
        (format!(r#"{two}, "weights": [1]"#), ErrorKind::Malformed),
        (format!(r#"{two}, "combine": "stack""#), ErrorKind::Malformed),
        (format!(r#"{two}, "final": "last.onnx""#), ErrorKind::Malformed),
        (format!(r#"{two}, "combine": "median""#), ErrorKind::Malformed),
        (format!(r#"{two}, "wieghts": [1, 1]"#), ErrorKind::Malformed),
        (format!(r#"{two}, "weights": [1, -1]"#), ErrorKind::InvalidArgument),
        (format!(r#"{two}, "combine": "vote""#), ErrorKind::InvalidArgument),
        (r#""members": []"#.to_owned(), ErrorKind::InvalidArgument),
        (r#""members": [{"model": "gone.onnx"}]"#.to_owned(), ErrorKind::NotFound),
    ] {
        assert_eq!(load(&fields).unwrap_err().kind(), kind, "{fields}");
    }
}

#[test]
fn paths_stay_in_the_directory_of_the_manifest() {
    let here = directory("confined");
    fs::create_dir(here.join("inner")).unwrap();
    write(&here.join("outside.onnx"), &linear(array![[1.0]]));
    #[cfg(unix)]
    std::os::unix::fs::symlink("../outside.onnx", here.join("inner/link.onnx")).unwrap();
    let absolute = here.join("outside.onnx").display().to_string();
    for path in ["../outside.onnx", "a/../../outside.onnx", &absolute, "..\\outside.onnx", "", ".", "link.onnx"] {
        let manifest = here.join("inner/manifest.json");
        let text = serde_json::json!({"modelberth": 1, "pipeline": [{"model": path}]}).to_string();
        fs::write(&manifest, &text).unwrap();
        let e = modelberth::load(&manifest).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Malformed, "{path}: {e}");
        let e = Loader::new().load_bytes("manifest.json", text.into_bytes()).unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Malformed | ErrorKind::NotFound), "{path}: {e}");
    }
}

#[test]
fn manifests_that_name_themselves_come_to_an_end() {
    let here = directory("endless");
    let path = here.join("self.json");
    let one = r#"{"model": "self.json"}"#;
    fs::write(&path, format!(r#"{{"modelberth": 1, "ensemble": {{"members": [{one}, {one}, {one}]}}}}"#)).unwrap();
    let e = modelberth::load(&path).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::LimitExceeded, "{e}");
    // Eight levels of eight different files each, all broken only at the bottom: too many to visit.
    for level in 0..7 {
        let entry = format!(r#"{{"model": "{}.json"}}"#, level + 1);
        let text = format!(r#"{{"modelberth": 1, "ensemble": {{"members": [{}]}}}}"#, vec![entry; 8].join(","));
        fs::write(here.join(format!("{level}.json")), text).unwrap();
    }
    write(&here.join("7.json"), &linear(array![[1.0]]));
    let e = modelberth::load(here.join("0.json")).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::LimitExceeded, "{e}");
}

#[test]
fn broken_manifests_are_refused() {
    for (text, kind) in [
        (r#"{"modelberth": 1}"#, ErrorKind::Malformed),
        (r#"{"modelberth": 2, "new": true}"#, ErrorKind::Unsupported),
        (r#"{"modelberth": "1", "pipeline": []}"#, ErrorKind::Malformed),
        (r#"{"modelberth": 1, "pipeline": []}"#, ErrorKind::InvalidArgument),
        (r#"{"modelberth": 1, "pipeline": [], "ensemble": {"members": []}}"#, ErrorKind::Malformed),
        (r#"{"modelberth": 1, "pipeline": [{"model": "a", "extra": 1}]}"#, ErrorKind::Malformed),
        (r#"{"modelberth": 1, "pipeline": ["#, ErrorKind::Malformed),
        (r#"{"modelberth": 1, "ensemble": {"members": [{"model": "a"}]}, "cast": true}"#, ErrorKind::Malformed),
    ] {
        let e = Loader::new().load_bytes("m.json", text.as_bytes()).unwrap_err();
        assert_eq!((e.kind(), e.model_name()), (kind, Some("m.json")), "{text}: {e}");
    }
}

#[test]
fn an_artifact_is_the_same_model_on_disk_and_in_memory() {
    let here = directory("artifact");
    let inner = Pipeline::builder()
        .stage("a b/c", linear(array![[1.5, 0.1], [1.0, -1.3]]))
        .stage("..", linear(array![[0.7], [0.3]]))
        .link("x", "a b/c", "prediction")
        .build()
        .unwrap();
    let model = Ensemble::builder()
        .member("plain", linear(array![[0.3], [0.9]]))
        .weight(0.3)
        .member("piped", inner)
        .build()
        .unwrap();
    let rows = array![[0.1f32, 0.2], [5.0, -7.3]];
    let expected = model.predict_array(rows.view()).unwrap();
    let artifact = model.artifact().unwrap();
    let paths: Vec<&str> = artifact.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "modelberth.json",
            "1-plain/linear.onnx",
            "2-piped/modelberth.json",
            "2-piped/1-a_b_c/linear.onnx",
            "2-piped/2-__/linear.onnx"
        ]
    );
    let path = unpack(&here, &artifact);
    for again in [Loader::new().load_artifact(&artifact).unwrap(), modelberth::load(&path).unwrap()] {
        assert_eq!(again.predict_array(rows.view()).unwrap(), expected);
        let next = again.artifact().unwrap();
        assert_eq!(next.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), paths);
        assert_eq!(next.files[0].sha256, artifact.files[0].sha256, "the manifest is the same, to the byte");
    }
    fs::write(here.join("2-piped/2-__/linear.onnx"), fs::read(here.join("1-plain/linear.onnx")).unwrap()).unwrap();
    assert_eq!(modelberth::load(&path).unwrap_err().kind(), ErrorKind::Integrity);
    let mut lacking = artifact.clone();
    lacking.files.pop();
    assert_eq!(Loader::new().load_artifact(&lacking).unwrap_err().kind(), ErrorKind::NotFound);
    let mut swapped = artifact.clone();
    swapped.files[4] = ArtifactFile::in_memory(paths[4], swapped.files[1].content().unwrap());
    assert_eq!(Loader::new().load_artifact(&swapped).unwrap_err().kind(), ErrorKind::Integrity);
}

#[test]
fn a_failure_inside_names_the_part() {
    let here = directory("failure");
    fs::write(here.join("head.onnx"), b"not a model").unwrap();
    let manifest = r#"{"modelberth": 1, "pipeline": [{"name": "the head", "model": "head.onnx"}]}"#;
    fs::write(here.join("m.json"), manifest).unwrap();
    let e = modelberth::load(here.join("m.json")).unwrap_err();
    assert_eq!((e.kind(), e.model_name()), (ErrorKind::Malformed, Some("head.onnx")));
    assert!(e.message().starts_with("part `the head`: "), "{e}");
    let model = linear(array![[1.0]]);
    let e = model.predict(&tensors! { "x" => array![1.0f64] }.unwrap()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::WrongType);
}
