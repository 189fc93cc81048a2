//! `modelberth registry`, run as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

fn model(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn run_at(store: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_modelberth"))
        .args(args)
        .env("MODELBERTH_STORE", store)
        .env_remove("MODELBERTH_CACHE")
        .output()
        .unwrap()
}

fn ok(store: &Path, args: &[&str]) -> String {
    let output = run_at(store, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(store: &Path, args: &[&str]) -> String {
    let output = run_at(store, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_verb_works_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let (digits, other) = (model("digits/digits.onnx"), model("zoo/classifier_LinearSVC.onnx"));
    let place = store.to_str().unwrap();
    let number = Command::new(env!("CARGO_BIN_EXE_modelberth"))
        .args([
            "registry",
            "--store",
            place,
            "register",
            "digits",
            &digits,
            "--tag",
            "team=mail",
            "--metric",
            "auc=0.93",
        ])
        .env_remove("MODELBERTH_STORE")
        .output()
        .unwrap();
    assert_eq!((String::from_utf8_lossy(&number.stdout).as_ref(), number.status.code()), ("1\n", Some(0)));
    let r = |args: &[&str]| ok(&store, &[&["registry"], args].concat());
    let no = |args: &[&str]| refused(&store, &[&["registry"], args].concat());
    assert_eq!(
        r(&["register", "digits", &digits, "--parent", "digits:1=retrained from", "--metric", "auc=0.95,0.9,0.97"]),
        "2\n"
    );
    assert_eq!(r(&["register", "digits", &other]), "3\n");
    assert_eq!(r(&["alias", "set", "digits", "champion", "1", "--expect", "none"]), "digits@champion: none -> 1\n");
    assert!(
        no(&["alias", "set", "digits", "champion", "2", "--expect", "none"]).contains("expected none, got version 1")
    );
    r(&["alias", "set", "digits", "champion", "2", "--expect", "1", "--reason", "better"]);
    assert_eq!(r(&["alias", "get", "digits", "champion"]), "2\n");
    assert!(no(&["alias", "set", "digits", "champion", "3"]).contains("can't call it"));
    assert!(r(&["alias", "history", "digits", "champion"]).contains("better"));
    assert_eq!(json(&r(&["alias", "history", "digits", "champion", "--json"])).as_array().unwrap().len(), 2);
    assert_eq!(r(&["rollback", "digits", "champion"]), "digits@champion: 2 -> 1\n");
    assert!(r(&["alias", "list", "digits"]).contains("rollback"));
    assert!(r(&["list"]).contains("champion=1"));
    assert!(r(&["list", "digits"]).lines().count() == 4);
    assert_eq!(json(&r(&["list", "digits", "--json"]))[1]["metrics"]["auc"]["interval"][0], 0.9);
    assert!(r(&["search", "--tag", "team=mail", "--metric", "auc<=0.93"]).lines().count() == 2);
    assert!(r(&["diff", "digits:1", "digits:2"]).contains("auc: 0.93 -> 0.95"));
    assert!(r(&["lineage", "digits:1"]).contains("digits:2, retrained from"));
    r(&["note", "digits:1", "a note"]);
    r(&["archive", "digits:3", "--reason", "wrong model"]);
    assert!(r(&["events", "digits"]).contains("wrong model"));
    assert!(no(&["alias", "set", "digits", "champion", "3", "--override", "now"]).contains("archived"));
    r(&["restore", "digits:3"]);
    r(&["gate", "digits", "champion", "--suite", "digits", "--against-current"]);
    assert!(no(&["alias", "set", "digits", "champion", "2"]).contains("no such verdict"));
    let check = run_at(&store, &["registry", "alias", "check", "digits", "champion", "2"]);
    assert_eq!(check.status.code(), Some(1));
    let out = folder.path().join("out.onnx");
    r(&["get", "digits@champion", "--output", out.to_str().unwrap()]);
    assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(&digits).unwrap());
    assert!(r(&["get", "digits"]).contains("digits:3") && r(&["get", "digits:1", "--json"]).contains("\"auc\""));
    assert!(r(&["card", "digits:2"]).starts_with("# digits, version 2"));
    assert_eq!(json(&r(&["bom", "digits:2"]))["specVersion"], "1.6");
    assert_eq!(r(&["watch", "digits@champion", "--count", "1"]), "digits:1\n");
    assert!(r(&["verify"]).starts_with("sound"));
    assert!(r(&["gc", "--dry-run"]).contains("would delete 0 files"));
    let export = folder.path().join("export.zip");
    r(&["export", "--output", export.to_str().unwrap()]);
    let second = folder.path().join("second");
    let imported = ok(&second, &["registry", "import", export.to_str().unwrap(), "--aliases"]);
    assert!(imported.contains("new"), "{imported}");
    assert_eq!(ok(&second, &["registry", "alias", "get", "digits", "champion"]), "1\n");
    // A model of the registry wherever a model file is taken.
    assert!(ok(&store, &["inspect", "registry:digits@champion"]).contains("digits.onnx"));
    assert!(refused(&store, &["inspect", "registry:nothing"]).contains("no model of this name"));
    // A record that was changed.
    let record = store.join("models/digits/versions/0000000001.json");
    std::fs::write(&record, std::fs::read_to_string(&record).unwrap().replace("mail", "mall")).unwrap();
    let broken = run_at(&store, &["registry", "verify"]);
    assert!(broken.status.code() == Some(1) && String::from_utf8_lossy(&broken.stdout).contains("FAULT"));
    assert!(no(&["get", "digits:1"]).contains("changed after it was written"));
}

#[test]
fn a_version_is_tested_and_promoted_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let digits = model("digits/digits.onnx");
    for _ in 0..2 {
        ok(&store, &["registry", "register", "digits", &digits]);
    }
    ok(&store, &["registry", "alias", "set", "digits", "champion", "1"]);
    ok(&store, &["registry", "gate", "digits", "champion", "--suite", "digits", "--against-current"]);
    let suite = folder.path().join("suite.toml");
    std::fs::write(&suite, "name = 'digits'\nlabel = 'label'\n[[metric]]\nmetric = 'accuracy'\nat_least = 0.9\n")
        .unwrap();
    let rows = folder.path().join("rows.csv");
    let header: String = (0..64).map(|i| format!("X_{i},")).collect();
    let table = std::fs::read_to_string(model("digits/heldout.csv")).unwrap();
    std::fs::write(&rows, format!("{header}label,predicted,p\n{table}")).unwrap();
    let (suite, rows) = (suite.to_str().unwrap(), rows.to_str().unwrap());
    let test = ["registry", "test", "digits:2", "--suite", suite, "--data", rows, "--against", "digits@champion"];
    assert!(ok(&store, &test).contains("passed"));
    assert!(ok(&store, &["registry", "events", "digits"]).contains("passed digits against digits:1"));
    ok(&store, &["registry", "alias", "set", "digits", "champion", "2"]);
    let missing = run_at(&store, &["registry", "test", "digits:9", "--suite", suite, "--data", rows]);
    assert_eq!(missing.status.code(), Some(2));
    // A report that was made elsewhere.
    let report = folder.path().join("report.json");
    let report = report.to_str().unwrap();
    ok(&store, &["test", "registry:digits:1", "--suite", suite, "--data", rows, "--json", report]);
    ok(
        &store,
        &["registry", "verdict", "digits:1", "--report", report, "--against", "digits@champion", "--data", rows],
    );
    ok(&store, &["registry", "alias", "set", "digits", "champion", "1"]);
}
