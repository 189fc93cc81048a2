//! The binary `modelberth`, run as a user runs it, on models that scikit-learn exported.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use modelberth::table::{TableReader, read_npz};
use modelberth::{DType, Dim, Signature, TensorSpec};

fn zoo(name: &str) -> String {
    format!("{}/tests/data/zoo/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn table(name: &str) -> String {
    format!("{}/tests/data/tables/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_modelberth"));
    command.args(args).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

fn run_with(args: &[&str], input: &[u8]) -> Output {
    let mut child = command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The reader may stop early, when the first row is already wrong.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The standard error of a run that must have failed, in the shape that every failure has.
fn failure(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let mut lines = text.lines();
    assert!(lines.next().is_some_and(|line| line.starts_with("error: ")), "{text}");
    assert!(lines.all(|line| line.starts_with("caused by: ")), "{text}");
    text
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).display().to_string()
    }
}

/// Predicts `input`, and gives the failure; no output may be left behind.
fn refused(model: &str, input: &str) -> String {
    let folder = Folder::new();
    let out = folder.path("out.npz");
    let text = failure(&run(&["predict", model, "--input", input, "--output", out.to_str().unwrap()]));
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 0);
    text
}

fn refused_csv(model: &str, text: &str) -> String {
    let folder = Folder::new();
    refused(model, &folder.write("in.csv", text))
}

#[test]
fn inspect_as_text_and_as_json() {
    let model = zoo("classifier_LinearSVC.onnx");
    let text = stdout(&run(&["inspect", &model]));
    for part in [
        "format",
        "onnx",
        "native",
        "inputs",
        "X",
        "(m, 4)",
        "outputs",
        "label",
        "i64",
        "LinearClassifier",
        "parameters",
        "bytes",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: serde_json::Value = serde_json::from_str(&stdout(&run(&["inspect", &model, "--json"]))).unwrap();
    let keys = [
        "format",
        "backend",
        "reason",
        "engine",
        "signature",
        "operators",
        "parameters",
        "bytes",
        "threads",
        "row_independent",
        "notes",
        "file",
        "sha256",
        "parts",
    ];
    for key in keys {
        assert!(json.get(key).is_some(), "{key}: {json}");
    }
    assert_eq!((&json["format"], &json["backend"]), (&"onnx".into(), &"native".into()));
    assert_eq!(json["signature"]["inputs"][0]["name"], "X");
    assert_eq!(json["signature"]["outputs"][0]["name"], "label");
    assert_eq!(json["operators"]["ai.onnx.ml:LinearClassifier"], 1);
    assert_eq!(json["file"], "classifier_LinearSVC.onnx");
    assert_eq!(json["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn predict_from_npz_to_every_format() {
    let folder = Folder::new();
    let arrays = read_npz(&std::fs::read(zoo("classifier_LinearSVC.npz")).unwrap()).unwrap();
    let (labels, scores) = (arrays.get::<i64>("ort:label").unwrap(), arrays.get::<f32>("ort:probabilities").unwrap());
    let dims = [Dim::Batch, Dim::Fixed(3)];
    let outputs = Signature::new(
        vec![TensorSpec::new("label", DType::I64, [Dim::Batch]), TensorSpec::new("probabilities", DType::F32, dims)],
        Vec::new(),
    );
    for name in ["out.npz", "out.csv", "out.parquet"] {
        let out = folder.path(name).display().to_string();
        let (model, input) = (zoo("classifier_LinearSVC.onnx"), zoo("classifier_LinearSVC.npz"));
        // Batches that do not divide the 60 rows.
        stdout(&run(&["predict", &model, "--input", &input, "--output", &out, "--batch", "7", "--threads", "2"]));
        let back = TableReader::open(&out, &outputs).unwrap().read_all().unwrap();
        assert_eq!(back.get::<i64>("label").unwrap(), labels, "{name}");
        let worst = (&back.get::<f32>("probabilities").unwrap() - &scores).iter().fold(0.0f32, |w, d| w.max(d.abs()));
        assert!(worst < 1e-5, "{name}: {worst}");
    }
}

#[test]
fn a_frame_gives_the_same_answers_from_csv_parquet_and_npz() {
    let folder = Folder::new();
    let model = zoo("pipeline_onehot_logreg.onnx");
    let csv = std::fs::read_to_string(zoo("pipeline_onehot_logreg.csv")).unwrap();
    let from_csv = stdout(&run(&["predict", &model, "--input", &zoo("pipeline_onehot_logreg.csv"), "--output", "-"]));
    let expected = read_npz(&std::fs::read(zoo("pipeline_onehot_logreg.npz")).unwrap()).unwrap();
    let labels: Vec<i64> = from_csv.lines().skip(1).map(|l| l.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(labels, expected.tensor("ort:label").unwrap().as_slice::<i64>().unwrap());
    assert!(from_csv.starts_with("label,probabilities_"), "{from_csv}");
    let from_stream = stdout(&run_with(&["predict", &model, "--input", "-", "--output", "-"], csv.as_bytes()));
    assert_eq!(from_stream, from_csv);

    // The frame in other formats, written with the model's own input signature as that of outputs.
    let signature = modelberth::load(&model).unwrap().signature().clone();
    let frame = TableReader::open(zoo("pipeline_onehot_logreg.csv"), &signature).unwrap().read_all().unwrap();
    for name in ["frame.parquet", "frame.npz"] {
        let path = folder.path(name);
        let mut writer = modelberth::table::TableWriter::create(&path, &Signature::default()).unwrap();
        writer.write(&frame).unwrap();
        writer.finish().unwrap();
        let again = stdout(&run(&["predict", &model, "--input", path.to_str().unwrap(), "--output", "-"]));
        assert_eq!(again, from_csv, "{name}");
    }
}

#[test]
fn only_the_outputs_that_are_asked_for() {
    let (model, input) = (zoo("classifier_LinearSVC.onnx"), zoo("classifier_LinearSVC.npz"));
    let folder = Folder::new();
    let out = folder.path("label.npy").display().to_string();
    stdout(&run(&["predict", &model, "--input", &input, "--output", &out, "--outputs", "label"]));
    assert!(std::fs::read(&out).unwrap().starts_with(b"\x93NUMPY"));
    let text =
        stdout(&run(&["predict", &model, "--input", &input, "--output", "-", "--outputs", "probabilities,label"]));
    assert!(text.starts_with("probabilities_0,probabilities_1,probabilities_2,label\n"), "{text}");
    let text = failure(&run(&["predict", &model, "--input", &input, "--output", "-", "--outputs", "lable"]));
    assert!(text.contains("lable"), "{text}");
    let text = failure(&run(&["predict", &model, "--input", &input, "--output", &out]));
    assert!(text.contains("several outputs"), "{text}");
}

#[test]
fn rows_without_values_and_tables_without_rows() {
    let model = zoo("regressor_Ridge.onnx");
    let header = "a,b,c,d,e,f,g,h,i,j\n";
    let none = stdout(&run_with(&["predict", &model, "--input", "-", "--output", "-"], header.as_bytes()));
    assert_eq!(none, "variable\n");
    let folder = Folder::new();
    let out = folder.path("none.npz");
    let input = folder.write("none.csv", header);
    stdout(&run(&["predict", &model, "--input", &input, "--output", out.to_str().unwrap()]));
    assert_eq!(read_npz(&std::fs::read(out).unwrap()).unwrap().tensor("variable").unwrap().shape(), [0, 1]);
    let rows = format!("{header}1,2,3,4,5,6,7,8,9,nan\n1,2,3,4,5,6,7,8,9,\n1,2,3,4,5,6,7,8,9,inf\n");
    let text = stdout(&run_with(&["predict", &model, "--input", "-", "--output", "-"], rows.as_bytes()));
    let answers: Vec<f32> = text.lines().skip(1).map(|l| l.parse().unwrap()).collect();
    assert!(answers[0].is_nan() && answers[1].is_nan() && answers[2].is_infinite(), "{text}");
}

#[test]
fn bad_tables_say_what_and_where() {
    let ridge = zoo("regressor_Ridge.onnx");
    let header = "a,b,c,d,e,f,g,h,i,j\n";
    let ten = "1,2,3,4,5,6,7,8,9,10\n";
    for (text, says) in [
        (format!("{header}{ten}1,2,3\n"), vec!["row 1", "10 cells", "3 cells"]),
        (format!("{header}{ten}{ten}1,2,3,4,5,6,7,8,9,10,11\n"), vec!["row 2", "11 cells"]),
        ("a,b,c\n1,2,3\n".to_owned(), vec!["10 columns", "3 columns", "`b`"]),
        ("a,b,c,d,e,f,g,h,i,j,k\n1,2,3,4,5,6,7,8,9,10,11\n".to_owned(), vec!["11 columns", "`k`"]),
        (format!("{header}{ten}1,2,x,4,5,6,7,8,9,10\n"), vec!["row 1", "column `c`", "`x`", "not a number"]),
        (format!("{header}1,2,3,4,5,6,7,8,9,1e39\n"), vec!["row 0", "column `j`", "infinite"]),
        (String::new(), vec!["empty"]),
    ] {
        let message = refused_csv(&ridge, &text);
        assert!(says.iter().all(|part| message.contains(part)), "{text}: {message}");
    }
    assert!(refused(&ridge, "no/such.csv").contains("no/such.csv"));
    assert!(refused(&ridge, &table("x_lf4.npy")).contains("(m, 10)"));
    assert!(refused(&ridge, &table("objects.npy")).contains("astype(str)"));
    let folder = Folder::new();
    assert!(refused(&ridge, &folder.write("in.parquet", "a,b\n1,2\n")).contains("extension"));
    let cut = std::fs::read(zoo("regressor_Ridge.npz")).unwrap();
    assert!(refused(&ridge, &folder.write("in.npz", &cut[..cut.len() / 2])).contains("truncated"));
}

#[test]
fn columns_that_are_missing_or_too_many_are_named() {
    let frame = zoo("pipeline_onehot_logreg.onnx");
    for (text, says) in [
        ("age,fare,sex,port\n1,2,male,C\n", "`plan`"),
        ("age,fare,sex,port,plan,id\n1,2,male,C,pro,7\n", "`id`"),
        ("age,fare,sex,port,Plan\n1,2,male,C,pro\n", "`Plan`"),
    ] {
        let message = refused_csv(&frame, text);
        assert!(message.contains(says), "{text}: {message}");
    }
    let text = "age,fare,sex,port,plan,id\n1,2,male,C,pro,7\n";
    let args = ["predict", &frame, "--input", "-", "--output", "-", "--ignore-extra"];
    assert_eq!(stdout(&run_with(&args, text.as_bytes())).lines().count(), 2);
    assert!(refused(&frame, &table("mixed.npz")).contains("`fare`"));
}

#[test]
fn what_is_no_model_is_refused() {
    let folder = Folder::new();
    let bytes = std::fs::read(zoo("regressor_Ridge.onnx")).unwrap();
    let cases = [
        folder.write("cut.onnx", &bytes[..bytes.len() / 2]),
        folder.write("table.onnx", "a,b\n1,2\n"),
        folder.write("empty.onnx", ""),
        table("x_lf4.npy"),
        zoo("regressor_Ridge.npz"),
        folder.path("absent.onnx").display().to_string(),
    ];
    for model in cases {
        let name = Path::new(&model).file_name().unwrap().to_str().unwrap().to_owned();
        let text = failure(&run(&["inspect", &model]));
        assert!(text.contains(&name), "{text}");
    }
    // The format is told from the content: another extension changes nothing.
    stdout(&run(&["inspect", &folder.write("model.txt", &bytes)]));
    let text = failure(&run(&["inspect", &zoo("regressor_Ridge.onnx"), "--backend", "candle"]));
    assert!(text.contains(if cfg!(feature = "candle") { "candle" } else { "feature `candle`" }), "{text}");
}

#[test]
fn bench_prints_a_line_per_batch_size() {
    let model = zoo("regressor_Ridge.onnx");
    let args = ["bench", &model, "--batch", "1,70", "--seconds", "0.02", "--json"];
    let with_rows: Vec<&str> = args.iter().copied().chain(["--input", "IN"]).collect();
    let input = zoo("regressor_Ridge.npz");
    let with_rows: Vec<&str> = with_rows.iter().map(|a| if *a == "IN" { input.as_str() } else { a }).collect();
    for args in [&args[..], &with_rows] {
        let text = stdout(&run(args));
        let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let batches: Vec<u64> = lines.iter().map(|l| l["batch"].as_u64().unwrap()).collect();
        assert_eq!(batches, [1, 70]);
        for line in lines {
            assert_eq!(line["backend"], "native");
            let (median, p99) =
                (line["ns_per_row"]["median"].as_f64().unwrap(), line["ns_per_row"]["p99"].as_f64().unwrap());
            assert!(0.0 < median && median <= p99 && line["rows_per_s"].as_f64().unwrap() > 0.0, "{line}");
        }
    }
    assert_eq!(stdout(&run(&["bench", &model, "--batch", "3", "--seconds", "0.01"])).lines().count(), 1);
}

#[test]
fn bench_times_operators() {
    let net = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/nets/mlp.onnx");
    let args = ["bench", net, "--backend", "native", "--batch", "40", "--seconds", "0.02", "--operators"];
    let with_json: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let line: serde_json::Value = serde_json::from_str(&stdout(&run(&with_json))).unwrap();
    let operators = line["operators"].as_array().unwrap();
    let share: f64 = operators.iter().map(|o| o["share"].as_f64().unwrap()).sum();
    assert!(operators.len() >= 3 && (share - 1.0).abs() < 0.01, "{line}");
    assert!(operators.iter().any(|o| o["operator"].as_str().unwrap().contains("Gemm")), "{line}");
    let text = stdout(&run(&args));
    assert_eq!(text.lines().count(), 1 + operators.len(), "{text}");
    // A graph of one step, and a model that is no graph.
    assert_eq!(
        stdout(&run(&["bench", &zoo("regressor_Ridge.onnx"), "--batch", "3", "--seconds", "0.01", "--operators"]))
            .lines()
            .count(),
        2
    );
    let output = run(&["bench", &zoo("lgb_binary.txt"), "--seconds", "0.01", "--operators"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && stderr.contains("tells no operators"), "{stderr}");
}

#[test]
fn wrong_usage_ends_with_two() {
    for args in [
        &[][..],
        &["predict"],
        &["predict", "m.onnx", "--input", "a.csv"],
        &["predict", "m.onnx", "--input", "a.csv", "--output", "b.xlsx"],
        &["predict", "m.onnx", "--input", "a.csv", "--output", "b.csv", "--batch", "0"],
        &["predict", "m.onnx", "--input", "a.csv", "--output", "b.csv", "--backend", "abacus"],
        &["bench", "m.onnx", "--batch", "1,x"],
        &["bench", "m.onnx", "--seconds", "0"],
        &["train", "m.onnx"],
        &["completions", "command.com"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn help_and_completions() {
    assert!(stdout(&run(&["--version"])).starts_with("modelberth "));
    for verb in ["inspect", "predict", "bench", "completions"] {
        let text = stdout(&run(&[verb, "--help"]));
        assert!(text.contains("Examples:") && text.contains(&format!("modelberth {verb}")), "{text}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(stdout(&run(&["completions", shell])).contains("predict"), "{shell}");
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut child = command(&["predict", &zoo("regressor_Ridge.onnx"), "--input", "-", "--output", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut rows = "a,b,c,d,e,f,g,h,i,j\n".to_owned();
    rows.push_str(&"1,2,3,4,5,6,7,8,9,10\n".repeat(50_000));
    let _ = child.stdin.take().unwrap().write_all(rows.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.len()),
        (Some(0), 0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[cfg(unix)]
#[test]
fn the_output_keeps_what_it_replaces_until_it_is_whole() {
    let folder = Folder::new();
    let out = folder.write("out.csv", "before\n");
    let input = folder.write("in.csv", "a,b,c,d,e,f,g,h,i,j\n1,2,3,4,5,6,7,8,9,10\n1,2\n");
    let model = zoo("regressor_Ridge.onnx");
    failure(&run(&["predict", &model, "--input", &input, "--output", &out, "--batch", "1"]));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "before\n");
    // A link keeps pointing at its file.
    let link = folder.path("link.csv");
    std::os::unix::fs::symlink(&out, &link).unwrap();
    let good = folder.write("in.csv", "a,b,c,d,e,f,g,h,i,j\n1,2,3,4,5,6,7,8,9,10\n");
    stdout(&run(&["predict", &model, "--input", &good, "--output", link.to_str().unwrap()]));
    assert!(link.is_symlink() && std::fs::read_to_string(&out).unwrap().starts_with("variable\n"));
}
