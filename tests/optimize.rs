//! Models made smaller and faster, through the library and the command line.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;

use std::path::PathBuf;
use std::process::{Command, Output};

use common::data;

fn modelberth(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelberth")).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn net(name: &str) -> String {
    data("nets").join(name).display().to_string()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

#[test]
fn quantise_writes_a_model_and_a_report() {
    let folder = Folder::new();
    let (out, report) = (folder.text("mlp8.onnx"), folder.text("r.json"));
    let (model, rows) = (net("mlp.onnx"), net("mlp.npz"));
    let args = ["quantize", &model, &out, "--to", "int8-static", "--data", &rows, "--label", "label"];
    let done = modelberth(&[&args[..], &["--metric", "accuracy", "--max-drop", "0.02", "--report", &report]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert!(report["bytes"]["after"].as_u64().unwrap() * 3 < report["bytes"]["before"].as_u64().unwrap());
    assert_eq!((&report["budget"]["held"], report["layers"].as_array().unwrap().len()), (&true.into(), 3));
    assert!(report["layers"].as_array().unwrap().iter().all(|l| l["sqnr_db"].as_f64().unwrap() > 35.0));
    let compared = modelberth(&["compare", &model, &out, "--data", &rows, "--label", "label", "--json"]);
    assert_eq!(compared.status.code(), Some(0), "{}", said(&compared));
    let compared: serde_json::Value = serde_json::from_slice(&compared.stdout).unwrap();
    assert!(compared["outputs"][0]["cosine"].as_f64().unwrap() > 0.999);
    assert!(compared["metric"]["drop"].as_f64().unwrap() <= 0.02);
}

#[test]
fn the_input_is_never_written_over() {
    let folder = Folder::new();
    let copy = folder.text("m.onnx");
    std::fs::copy(net("cnn.onnx"), &copy).unwrap();
    let before = std::fs::read(&copy).unwrap();
    let done = modelberth(&["quantize", &copy, &copy, "--to", "f16"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("the output is the input"), "{}", said(&done));
    assert_eq!(std::fs::read(&copy).unwrap(), before);
}

#[test]
fn a_target_that_cannot_be_written_leaves_nothing() {
    let folder = Folder::new();
    let done = modelberth(&["quantize", &net("cnn.onnx"), &folder.text("none/m.onnx"), "--to", "f16"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("nothing was"), "{}", said(&done));
    // A directory in its place: the new file is whole, and can't take the place.
    std::fs::create_dir(folder.path("m.onnx")).unwrap();
    let done = modelberth(&["quantize", &net("cnn.onnx"), &folder.text("m.onnx"), "--to", "f16"]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    let left: Vec<_> = std::fs::read_dir(folder.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["m.onnx"]);
}

#[test]
fn usage_and_missing_labels_are_told_apart() {
    let folder = Folder::new();
    let (model, out, rows) = (net("cnn.onnx"), folder.text("m.onnx"), net("cnn.npz"));
    assert_eq!(modelberth(&["quantize", &model, &out]).status.code(), Some(2));
    assert_eq!(modelberth(&["quantize", &model, &out, "--to", "int3"]).status.code(), Some(2));
    let done = modelberth(&["quantize", &model, &out, "--to", "f16", "--data", &rows, "--label", "nobody"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("nobody"), "{}", said(&done));
    let done = modelberth(&["quantize", &model, &out, "--to", "int8-static"]);
    assert!(said(&done).contains("needs data"), "{}", said(&done));
}

/// Files may grow to a few kilobytes and no further, as where a disk is full half way.
#[cfg(unix)]
#[test]
fn a_disk_that_is_full_half_way_leaves_the_target_as_it_was() {
    let folder = Folder::new();
    let full = |args: &[&str]| {
        // A write beyond the limit fails, where the signal that would kill the process is ignored.
        let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
        Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_modelberth")]).args(args).output().unwrap()
    };
    let left = || {
        let mut left: Vec<_> = std::fs::read_dir(folder.0.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        left
    };
    let (model, out) = (net("mlp.onnx"), folder.text("m.onnx"));
    let done = full(&["quantize", &model, &out, "--to", "f16"]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("nothing was"), "{}", said(&done));
    assert!(left().is_empty(), "{:?}", left());
    std::fs::write(folder.path("m.onnx"), "what stood there").unwrap();
    let done = full(&["prune", &model, &out, "--share", "0.1", "--kind", "magnitude"]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert_eq!(std::fs::read(&out).unwrap(), b"what stood there");
    assert_eq!(left(), ["m.onnx"]);
}

#[test]
fn training_that_is_killed_leaves_nothing_and_can_be_run_again() {
    let folder = Folder::new();
    let (teacher, rows, out) = (net("mlp.onnx"), net("mlp.npz"), folder.text("student.onnx"));
    let args = ["distill", &teacher, &out, "--to", "mlp", "--data", &rows];
    let mut child = Command::new(env!("CARGO_BIN_EXE_modelberth"))
        .args(args)
        .args(["--hidden", "2048,2048", "--epochs", "100000"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 0);
    let done = modelberth(&[&args[..], &["--hidden", "8", "--epochs", "2"]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", said(&done));
    modelberth::load(&out).unwrap();
}

#[test]
fn data_that_say_nothing_are_refused_by_name() {
    let folder = Folder::new();
    let (model, out) = (net("mlp.onnx"), folder.text("m.onnx"));
    let wide = |value: &str| format!("{}\n", vec![value; 64].join(","));
    let header = (0..64).map(|i| format!("f{i}")).collect::<Vec<_>>().join(",") + "\n";
    for (rows, what) in [(header.clone(), "no rows"), (header + &wide("NaN"), "NaN")] {
        let data = folder.text("rows.csv");
        std::fs::write(&data, rows).unwrap();
        let done = modelberth(&["quantize", &model, &out, "--to", "int8-static", "--data", &data]);
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
        assert!(said(&done).contains(what), "{}", said(&done));
    }
    // Quantised already, and a booster, which runs in bins as it is.
    let again = net("mlp_int8_qdq.onnx");
    let done = modelberth(&["quantize", &again, &out, "--to", "int8-dynamic"]);
    assert!(said(&done).contains("quantised already"), "{}", said(&done));
    let booster = data("zoo/lgb_binary.txt").display().to_string();
    let done = modelberth(&["quantize", &booster, &out, "--to", "int8-dynamic"]);
    assert!(said(&done).contains("bins"), "{}", said(&done));
    assert!(!folder.path("m.onnx").exists());
}
