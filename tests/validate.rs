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

/// A table of 400 rows on which `wrong` marks one group.
fn errors_csv(wrong: impl Fn(usize) -> String) -> String {
    let mut csv = String::from("city,id,constant,x,gone,wrong\n");
    for i in 0..400 {
        let city = if i % 4 == 0 { "\"Paris, 12e\"" } else { "\"say \"\"hi\"\"\"" };
        csv += &format!("{city},u{i},1,{}.25,,{}\n", i % 37, wrong(i));
    }
    csv
}

#[test]
fn awkward_tables_of_errors_are_searched_or_refused() {
    let group = |i: usize| u8::from(i.is_multiple_of(4) && !i.is_multiple_of(3)).to_string();
    let cases: [(&str, String, Result<&str, &str>); 8] = [
        ("commas", errors_csv(group), Ok("Paris, 12e")),
        ("truth", errors_csv(|i| (group(i) == "1").to_string()), Ok("Paris, 12e")),
        ("right", errors_csv(|_| "0".into()), Ok("[]")),
        ("nan", errors_csv(|i| if i == 7 { "nan".into() } else { group(i) }), Err("row 7")),
        ("empty", errors_csv(|i| if i == 9 { String::new() } else { group(i) }), Err("row 9")),
        ("negative", errors_csv(|i| if i == 3 { "-1".into() } else { group(i) }), Err("row 3")),
        ("text", errors_csv(|i| if i == 5 { "bad".into() } else { group(i) }), Err("numbers")),
        ("header", "city,wrong\n".into(), Ok("[]")),
    ];
    for (name, csv, expected) in cases {
        let path = scratch(&format!("{name}.csv"), &csv);
        let output = run(&["slices", path.to_str().unwrap(), "--errors", "wrong", "--json"]);
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        match expected {
            Ok(text) => assert!(output.status.success() && out.contains(text), "{name}: {out}{err}"),
            Err(text) => assert!(output.status.code() == Some(1) && err.contains(text), "{name}: {out}{err}"),
        }
        fs::remove_file(path).unwrap();
    }
    let nothing = scratch("nothing.csv", "");
    let output = run(&["slices", nothing.to_str().unwrap(), "--errors", "wrong"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("empty"));
    fs::remove_file(nothing).unwrap();
    assert_eq!(run(&["slices", "no.csv", "--errors", "e", "--top", "0"]).status.code(), Some(2));
    assert_eq!(run(&["slices", "no.csv", "--errors", "e"]).status.code(), Some(1));
}

#[test]
fn parquet_keeps_its_types_in_slices() {
    let path = data("validate/types.parquet");
    let output = run(&[
        "slices",
        &path,
        "--errors",
        "error",
        "--min-support",
        "20",
        "--top",
        "40",
        "--max-level",
        "1",
        "--json",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let sizes: Vec<(String, u64)> =
        found.as_array().unwrap().iter().map(|s| (s["predicates"].to_string(), s["size"].as_u64().unwrap())).collect();
    // pandas: category, bool, date, nullable integer with nulls, timestamp, decimal; each names the rows that err.
    for predicate in [
        r#"{"category":"b"}"#,
        r#"{"flag":"true"}"#,
        r#"{"day":"2024-02-29"}"#,
        r#"{"count":null}"#,
        r#"{"moment":"2024-02-29T12:30:00"}"#,
        r#"{"text":null}"#,
    ] {
        assert!(sizes.iter().any(|(p, n)| p == predicate && *n == 50), "{predicate}: {sizes:?}");
    }
}

#[test]
fn record_batches_are_tested_like_files() {
    use std::sync::Arc;

    use modelberth::table::arrow::{Batches, arrow_array as arrow};
    use modelberth::validate::{Metric, SliceFinder, Suite};
    use modelberth::{LinearModel, Link, ndarray::array};

    let model = LinearModel::new(array![[1.0], [0.5]], array![0.0], Link::Identity).unwrap();
    let model = model.feature_names(["a", "b"]).unwrap();
    let batch = |from: i64, to: i64| {
        let a: arrow::ArrayRef = Arc::new((from..to).map(|i| i as f64).collect::<arrow::Float64Array>());
        let b: arrow::ArrayRef = Arc::new((from..to).map(|i| (i % 7) as i32).collect::<arrow::Int32Array>());
        let y = (from..to).map(|i| i as f64 + 0.5 * (i % 7) as f64 + if i % 4 == 0 { 3.0 } else { 0.1 });
        let y: arrow::ArrayRef = Arc::new(y.collect::<arrow::Float64Array>());
        let keys = (from..to).map(|i| if i % 4 == 0 { "bad" } else { "good" });
        let group: arrow::ArrayRef = Arc::new(keys.collect::<arrow::DictionaryArray<arrow::types::Int8Type>>());
        arrow::RecordBatch::try_from_iter([("group", group), ("a", a), ("y", y), ("b", b)]).unwrap()
    };
    let batches = Batches::new([batch(0, 120), batch(120, 123), batch(123, 400)]).unwrap();
    let suite = Suite::new("y").require(Metric::Mae, 2.0).slices_by(["group"]).max_gap([Metric::Mae], 0.5);
    let report = suite.test(&model).on_batches(&batches).unwrap();
    assert_eq!((report.rows, report.slices.len()), (400, 2));
    let reasons = &report.verdict.reasons;
    assert!(reasons.len() == 1 && reasons[0].contains("group = bad"), "{reasons:?}");
    // What a file of the same rows gives.
    let mut csv = String::from("a,b,y,group\n");
    for i in 0..400i64 {
        let (wrong, group) = if i % 4 == 0 { (3.0, "bad") } else { (0.1, "good") };
        csv += &format!("{i},{},{},{group}\n", i % 7, i as f64 + 0.5 * (i % 7) as f64 + wrong);
    }
    let path = scratch("rows-of-batches.csv", &csv);
    let of_file = suite.test(&model).on_file(&path).unwrap();
    assert_eq!(of_file.metrics, report.metrics);
    fs::remove_file(path).unwrap();
    let lacking = Suite::parse("label = 'y'\n[[slice]]\nwhere = 'town == 1'").unwrap();
    let error = lacking.test(&model).on_batches(&batches).unwrap_err().to_string();
    assert!(error.starts_with("line 3, column 9") && error.contains("town"), "{error}");
    let columns = batches.columns(Some(&["group", "b"])).unwrap();
    assert_eq!(columns.rows(), 400);
    assert!(SliceFinder::new().find_in(&columns, "b").is_ok());
    let other =
        arrow::RecordBatch::try_from_iter([("a", Arc::new(arrow::Int8Array::from(vec![1])) as arrow::ArrayRef)]);
    assert!(Batches::new([batch(0, 2), other.unwrap()]).is_err());
}

#[test]
fn what_could_not_be_run_exits_with_2() {
    let model = data("digits/digits.onnx");
    let rows = scratch("few.csv", "label,word\n1,a\n2,b\n");
    let rows_path = rows.to_str().unwrap();
    for (suite, said) in [
        ("label = 'none'\n", "line 1, column 9"),
        ("label = 'label'\n[[slice]]\nwhere = 'word < 3'\n", "line 3, column 9"),
        ("label = 'label'\nunknown = 1\n", "line 2, column 1"),
    ] {
        let path = scratch("not-run.toml", suite);
        let output = run(&["test", &model, "--suite", path.to_str().unwrap(), "--data", rows_path]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{suite}: {error}");
        assert!(error.contains(said) || error.contains("X_0") || error.contains("columns"), "{suite}: {error}");
    }
    let output = run(&["test", "missing.onnx", "--suite", "missing.toml", "--data", rows_path]);
    assert_eq!(output.status.code(), Some(2));
    fs::remove_file(rows).unwrap();
}
