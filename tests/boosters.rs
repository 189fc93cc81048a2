//! Boosters' own files against the answers of the libraries that wrote them.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs;

use common::{data, numbers};
use modelberth::table::read_npz;
use modelberth::{Loader, ModelExt};

/// The largest distance of two lists, relative where numbers are larger than 1.
fn distance(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let one = |(g, e): (&f64, &f64)| {
        if g == e || (g.is_nan() && e.is_nan()) { 0.0 } else { (g - e).abs() / e.abs().max(1.0) }
    };
    got.iter().zip(expected).map(one).fold(0.0, |far, d| if d.is_nan() || d > far { d } else { far })
}

#[test]
fn xgboost_of_the_zoo() {
    let cases = [("xgb_binary", "json"), ("xgb_binary", "ubj"), ("xgb_multi", "json"), ("xgb_reg", "json")];
    for (name, extension) in cases {
        let golden = read_npz(&fs::read(data(&format!("zoo/{name}.npz"))).unwrap()).unwrap();
        let x = golden.tensor("in:x").unwrap();
        let expected = numbers(golden.tensor("src:predict").unwrap()).unwrap();
        let model = Loader::new().load(data(&format!("zoo/{name}.{extension}"))).unwrap();
        let answers = model.predict_array(x.as_view()).unwrap();
        let got = match name {
            "xgb_binary" => {
                answers.get::<f32>("probabilities").unwrap().iter().skip(1).step_by(2).map(|&p| p.into()).collect()
            }
            "xgb_multi" => numbers(answers.tensor("probabilities").unwrap()).unwrap(),
            _ => numbers(answers.tensor("prediction").unwrap()).unwrap(),
        };
        let far = distance(&got, &expected);
        assert!(far < 1e-6, "{name}.{extension}: {far:e}");
    }
}
