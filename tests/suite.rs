//! A sample of ONNX's own test suite (`tests/data/suite/sample.py` makes it); `examples/onnx_suite` runs all of it.

#![allow(clippy::unwrap_used, dead_code, reason = "a test, and modules of which it uses a part")]

#[path = "../examples/onnx_suite/case.rs"]
mod case;
mod common;
#[path = "../examples/onnx_suite/proto.rs"]
mod proto;

use std::collections::BTreeSet;

use case::Verdict;

/// Cases that are refused, by name. All others pass.
const REFUSED: &[&str] = &[];

#[test]
fn the_sample_of_the_suite_passes() {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::open(common::data("suite/sample.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let names = archive.file_names().map(|n| n.unwrap().split('/').take(2).collect::<Vec<_>>().join("/"));
    let cases: BTreeSet<String> = names.collect();
    archive.extract(folder.path()).unwrap();
    let mut failures = Vec::new();
    for case in &cases {
        let verdict = case::run(&folder.path().join(case), None);
        let fine = match &verdict {
            Verdict::Pass => !REFUSED.contains(&case.as_str()),
            Verdict::Unsupported(_) => REFUSED.contains(&case.as_str()),
            Verdict::Wrong(_) | Verdict::Crash(_) => false,
        };
        if !fine {
            failures.push(format!("{case}: {} {}", verdict.word(), verdict.why()));
        }
    }
    assert!(failures.is_empty(), "{} of {}: {failures:#?}", failures.len(), cases.len());
    assert!(cases.len() > 300, "only {} cases were there", cases.len());
}
