//! `modelberth slices` and `modelberth test`, run as a user runs them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelberth")).args(args).output().unwrap()
}

fn data(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A file of this test alone.
fn scratch(name: &str, content: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("modelberth-validate-{}-{name}", std::process::id()));
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn slices_are_found_from_the_command_line() {
    let mut csv = String::from("country,age,income,wrong\n");
    for i in 0..600u32 {
        let (country, age) = (["FR", "DE", "IT"][(i % 3) as usize], i % 4);
        let wrong = u32::from(country == "FR" && age == 2 || i % 50 == 0);
        csv += &format!("{country},{age},{}.5,{wrong}\n", i * 7919 % 600);
    }
    let path = scratch("slices.csv", &csv);
    let path = path.to_str().unwrap();
    let output = run(&[
        "slices",
        path,
        "--errors",
        "wrong",
        "--top",
        "3",
        "--alpha",
        "0.9",
        "--min-support",
        "20",
        "--max-level",
        "2",
        "--json",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let best = &found[0];
    assert_eq!(best["predicates"], serde_json::json!({"country": "FR", "age": 2}));
    assert_eq!((best["size"].as_u64(), best["mean_error"].as_f64()), (Some(50), Some(1.0)));
    for slice in found.as_array().unwrap() {
        let keys: Vec<&String> = slice.as_object().unwrap().keys().collect();
        for key in ["predicates", "score", "size", "mean_error", "interval", "p_value", "p_adjusted"] {
            assert!(keys.iter().any(|k| *k == key), "{slice}");
        }
        assert_eq!(keys.len(), 7, "{slice}");
        assert!(slice["score"].as_f64().unwrap() > 0.0);
    }
    let text = run(&["slices", path, "--errors", "wrong"]);
    assert!(String::from_utf8(text.stdout).unwrap().contains("country = FR and age = 2"));
    let missing = run(&["slices", path, "--errors", "none"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("no column of this name"));
    fs::remove_file(path).unwrap();
}

#[test]
fn a_model_is_tested_from_the_command_line() {
    let suite = "name = 'digits'\nlabel = 'label'\n[[metric]]\nmetric = 'accuracy'\nat_least = 0.9\n\
                 [[slice]]\nby = 'label'\n[gaps]\nmax_gap = 0.3\n[contract]\ndeterministic = true\nround_trip = true\n\
                 predict_is_predict_batch = true\ntolerance = 1e-5\n[against]\nmax_worse = 0.0\nmax_flips = 0.0\n";
    let strict = suite.replace("0.9", "0.9999");
    let (good, bad) = (scratch("good.toml", suite), scratch("bad.toml", &strict));
    let model = data("digits/digits.onnx");
    // 64 pixels, the digit, scikit-learn's answer and its probability, without a header.
    let mut table: String = (0..64).map(|i| format!("X_{i},")).collect();
    table += "label,predicted,p\n";
    table += &fs::read_to_string(data("digits/heldout.csv")).unwrap();
    let rows = scratch("rows.csv", &table);
    let rows = rows.to_str().unwrap();
    let html = scratch("report.html", "");
    let output = run(&[
        "test",
        &model,
        "--suite",
        good.to_str().unwrap(),
        "--data",
        rows,
        "--against",
        &model,
        "--html",
        html.to_str().unwrap(),
    ]);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(fs::read_to_string(&html).unwrap().contains("<table class=\"confusion\">"));
    let output = run(&["test", &model, "--suite", bad.to_str().unwrap(), "--data", rows, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"]["pass"], false);
    assert!(report["verdict"]["reasons"][0].as_str().unwrap().contains("accuracy"));
    let broken = scratch("broken.toml", "label = 'label'\nnonsense = 1\n");
    let output = run(&["test", &model, "--suite", broken.to_str().unwrap(), "--data", rows]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("line 2, column 1") && error.contains("nonsense"), "{error}");
    fs::remove_file(rows).unwrap();
    for path in [good, bad, html, broken] {
        fs::remove_file(path).unwrap();
    }
}
