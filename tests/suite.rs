//! A sample of ONNX's own test suite (`tests/data/suite/sample.py` makes it); `examples/onnx_suite` runs all of it.

#![allow(clippy::unwrap_used, dead_code, reason = "a test, and modules of which it uses a part")]

#[path = "../examples/onnx_suite/case.rs"]
mod case;
mod common;
#[path = "../examples/onnx_suite/proto.rs"]
mod proto;

use std::collections::BTreeSet;

use case::{How, Verdict};

/// Cases that are refused, by name. All others pass.
const REFUSED: &[&str] = &[];

/// The verdict on each case.
fn verdicts(how: How) -> Vec<(String, Verdict)> {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::open(common::data("suite/sample.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let names = archive.file_names().map(|n| n.unwrap().split('/').take(2).collect::<Vec<_>>().join("/"));
    let cases: BTreeSet<String> = names.collect();
    archive.extract(folder.path()).unwrap();
    let run = |case: String| {
        let verdict = case::run(&folder.path().join(&case), how);
        (case, verdict)
    };
    cases.into_iter().map(run).collect()
}

#[test]
fn the_sample_of_the_suite_passes() {
    let mut failures = Vec::new();
    let verdicts = verdicts(How::default());
    for (case, verdict) in &verdicts {
        let fine = match &verdict {
            Verdict::Pass => !REFUSED.contains(&case.as_str()),
            Verdict::Unsupported(_) => REFUSED.contains(&case.as_str()),
            Verdict::Wrong(_) | Verdict::Crash(_) => false,
        };
        if !fine {
            failures.push(format!("{case}: {} {}", verdict.word(), verdict.why()));
        }
    }
    assert!(failures.is_empty(), "{} of {}: {failures:#?}", failures.len(), verdicts.len());
    assert!(verdicts.len() > 300, "only {} cases were there", verdicts.len());
}

/// The packed form answers the same, or is refused by name: texts, sizes that are computed, and a few operators have none.
#[test]
fn the_sample_passes_in_the_packed_form() {
    let verdicts = verdicts(How { packed: true, ..How::default() });
    let of = |word: &str| -> Vec<_> {
        verdicts.iter().filter(|(_, v)| v.word() == word).map(|(case, v)| format!("{case}: {}", v.why())).collect()
    };
    let wrong = [of("wrong"), of("crash")].concat();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let (passed, refused) = (of("pass"), of("unsupported"));
    println!("{} pass; refused are {refused:#?}", passed.len());
    assert!(passed.len() >= 302, "only {} cases were packed", passed.len());
}
