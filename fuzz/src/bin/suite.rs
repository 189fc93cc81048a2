//! Text to suites: any may be refused with a place, none may panic; what is a suite runs on a small model to a report in
//! every form, or says why not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelberth::ndarray::{Array2, array};
use modelberth::table::Columns;
use modelberth::validate::{Contract, Suite};
use modelberth::{LinearModel, Link, tensors};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(mut suite) = Suite::parse(text) else { return };
    // What takes its time by design.
    suite.contract = Contract::default();
    let changes = suite.invariance.iter().chain(&suite.direction).chain(&suite.metamorphic).flat_map(|b| &b.change);
    if changes.map(|c| c.steps.unwrap_or(10)).sum::<usize>() > 200 {
        return;
    }
    let csv = "churned,revenue,country,age,plan,sex,tenure\n\
               yes,1,FR,20,free,f,3\nno,2,DE,35,pro,m,80\nno,0,FR,41,pro,f,70\nyes,1,IT,19,free,m,1\n";
    let columns = Columns::from_bytes(csv.as_bytes(), None).expect("this table can be read");
    let model = LinearModel::new(array![[-0.1], [0.5]], array![1.0], Link::Logistic)
        .and_then(|m| m.feature_names(["age", "income"]))
        .and_then(|m| m.class_names(["no", "yes"]))
        .expect("this is a model");
    let x: Array2<f32> = array![[20.0, 1.0], [35.0, 2.0], [41.0, 0.5], [19.0, 1.0]];
    let inputs = tensors! { "x" => x }.expect("these are inputs");
    if let Ok(report) = suite.test(&model).against(&model).on(&inputs, &columns) {
        assert_eq!(report.verdict.pass, report.verdict.reasons.is_empty());
        report.to_json().expect("a report is JSON");
        assert!(!report.to_html().contains("NaN") || text.contains("NaN") || text.contains("nan"));
        assert!(report.to_junit().ends_with("</testsuites>\n") && report.to_markdown().starts_with("# "));
    }
});
