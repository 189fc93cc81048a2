use crate::ndarray::Array2;
use crate::table::{Column, Columns};
use crate::validate::{Metric, Suite};
use crate::{LinearModel, Link, ndarray::array, tensors};

fn report() -> crate::validate::Report {
    let model =
        LinearModel::new(array![[3.0]], array![0.0], Link::Logistic).unwrap().class_names(["<a>", "b|\"c\""]).unwrap();
    let x: Vec<f32> = (0..400).map(|i| (i as f32 - 200.0) / 100.0).collect();
    let mut columns = Columns::new();
    let wrong = |i: usize| i % 4 == 0 && i < 250;
    let label = (0..400).map(|i| if (i >= 200) != wrong(i) { "b|\"c\"" } else { "<a>" });
    columns.push("label", Column::text(label)).unwrap();
    columns.push("group", Column::text((0..400).map(|i| if i < 250 { "<first>" } else { "second & last" }))).unwrap();
    let inputs = tensors! { "x" => Array2::from_shape_vec((400, 1), x).unwrap() }.unwrap();
    let suite =
        Suite::new("label").require(Metric::Accuracy, 0.99).slices_by(["group"]).max_gap([Metric::Accuracy], 0.01);
    suite.test(&model).on(&inputs, &columns).unwrap()
}

#[test]
fn every_form_holds_the_verdict_and_escapes_what_it_shows() {
    let report = report();
    assert!(!report.passed());
    let json: serde_json::Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json["verdict"]["pass"], false);
    assert_eq!(json["slices"][0]["metrics"][0]["metric"], "accuracy");
    assert!(json["metrics"][0]["value"]["interval"].as_array().unwrap().len() == 2);
    let junit = report.to_junit();
    assert!(junit.contains("failures=\"2\"") && junit.contains("<testcase classname=\"slice\""), "{junit}");
    assert!(junit.contains("&lt;first&gt;") && !junit.contains("<first>"));
    let markdown = report.to_markdown();
    assert!(markdown.starts_with("# Model test: FAILED") && markdown.contains("\\<first>"), "{markdown}");
    let html = report.to_html();
    assert!(html.contains("<svg") && html.contains("second &amp; last") && !html.contains("<first>"));
    assert!(!html.contains("http") && !html.contains("<script") && !html.contains("NaN"));
    for tag in ["section", "table", "ul", "li", "svg", "div", "g"] {
        let (open, close) = (
            html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count(),
            html.matches(&format!("</{tag}>")).count(),
        );
        assert_eq!(open, close, "{tag}");
    }
}
