use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ndarray::{Array2, array};

use super::{Ensemble, Pipeline};
use crate::{
    Artifact, Checked, DType, Description, Dim, ErrorKind, LinearModel, Link, Model, ModelExt, Result, Signature,
    Tensor, TensorSpec, Tensors, tensors,
};

fn regression(weights: &[f32], bias: f32) -> LinearModel {
    let weights = Array2::from_shape_vec((weights.len(), 1), weights.to_vec()).unwrap();
    LinearModel::new(weights, array![bias], Link::Identity).unwrap()
}

/// Probability of the second of two classes at the logistic of `x`, labels by name.
fn classifier(weight: f32, names: [&str; 2]) -> LinearModel {
    LinearModel::new(array![[weight]], array![0.0], Link::Logistic).unwrap().class_names(names).unwrap()
}

#[derive(Debug)]
struct Sum(Signature);

/// `sum` (m,) f64 of `a` (m,) and `b` (m,) f64.
fn sum() -> Checked<Sum> {
    let spec = |name: &str| TensorSpec::new(name, DType::F64, [Dim::Batch]);
    Checked::new(Sum(Signature::new([spec("a"), spec("b")].into(), [spec("sum")].into())))
}

impl Model for Sum {
    fn signature(&self) -> &Signature {
        &self.0
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let sums = &inputs.get::<f64>("a")? + &inputs.get::<f64>("b")?;
        match sums.iter().position(|s| *s > 1e6) {
            Some(row) => Err(crate::Error::new(ErrorKind::InvalidValue, "the sum is too large").row(row as u64)),
            None => Ok(Tensors::one("sum", sums)),
        }
    }

    fn describe(&self) -> Description {
        Description::new("code", "test", "a + b")
    }

    fn artifact(&self) -> Result<Artifact> {
        Err(crate::Error::new(ErrorKind::Unsupported, "a test has no files"))
    }
}

fn spread(model: &dyn Model) -> Vec<&str> {
    model.signature().inputs().iter().chain(model.signature().outputs()).map(|s| s.name().as_str()).collect()
}

#[test]
fn stages_feed_each_other_by_name() {
    let pipeline = Pipeline::builder()
        .stage("first", sum())
        .stage("second", sum())
        .rename("a", "sum")
        .rename("b", "c")
        .stage("third", sum())
        .link("a", "first", "sum")
        .rename("b", "sum")
        .output_as("first", "sum", "early")
        .build()
        .unwrap();
    assert_eq!(spread(&pipeline), ["a", "b", "c", "sum", "early"]);
    let inputs = tensors! { "c" => array![100.0, 200.0], "a" => array![1.0, 2.0], "b" => array![10.0, 20.0] }.unwrap();
    let answers = pipeline.predict_batch(&inputs).unwrap();
    // (a + b) + ((a + b) + c)
    assert_eq!(answers.get::<f64>("sum").unwrap(), array![122.0, 244.0].into_dyn());
    assert_eq!(answers.get::<f64>("early").unwrap(), array![11.0, 22.0].into_dyn());
    let scalar = |x: f64| Tensor::scalar(x);
    let one =
        pipeline.predict(&tensors! { "a" => scalar(1.0), "b" => scalar(10.0), "c" => scalar(100.0) }.unwrap()).unwrap();
    assert_eq!(one.get::<f64>("sum").unwrap(), ndarray::arr0(122.0).into_dyn());
    let description = pipeline.describe();
    assert_eq!((description.engine.as_str(), description.parts.len()), ("pipeline: first -> second -> third", 3));
    assert!(!description.row_independent, "a part does not promise it");
}

#[test]
fn an_input_is_shared_and_can_be_taken_past_an_output_of_its_name() {
    let past = Pipeline::builder().stage("first", sum()).stage("second", sum()).rename("b", "sum").build().unwrap();
    assert_eq!(spread(&past), ["a", "b", "sum"]);
    let scale = || regression(&[2.0], 0.0).input_name("v").unwrap();
    let named = Pipeline::builder().stage("1", scale()).stage("2", scale()).input("v", "v").build().unwrap();
    assert_eq!(spread(&named), ["v", "prediction"]);
    assert_eq!(named.predict_row(array![3.0f32]).unwrap().get::<f32>("prediction").unwrap()[0], 6.0);
}

#[test]
fn wiring_that_does_not_fit_names_the_stage() {
    let fails = |builder: super::PipelineBuilder, kind, words: &[&str]| {
        let e = builder.build().unwrap_err();
        assert_eq!(e.kind(), kind, "{e}");
        for word in words {
            assert!(e.to_string().contains(word), "`{word}` in: {e}");
        }
    };
    let two =
        || Pipeline::builder().stage("enc", regression(&[1.0, 1.0], 0.0)).stage("head", regression(&[1.0, 1.0], 0.0));
    fails(Pipeline::builder(), ErrorKind::InvalidArgument, &[]);
    fails(Pipeline::builder().rename("x", "y"), ErrorKind::InvalidArgument, &[]);
    fails(two().rename("x", "prediction"), ErrorKind::WrongShape, &["head", "enc", "(m, 2)", "(m, 1)"]);
    fails(two().rename("y", "prediction"), ErrorKind::UnknownTensor, &["head", "`y`"]);
    fails(two().link("x", "nobody", "prediction"), ErrorKind::InvalidArgument, &["head", "nobody"]);
    fails(two().link("x", "enc", "nothing"), ErrorKind::UnknownTensor, &["head", "enc", "nothing"]);
    fails(two().stage("enc", sum()), ErrorKind::InvalidArgument, &["enc"]);
    fails(two().output("enc", "prediction"), ErrorKind::InvalidArgument, &["prediction"]);
    let typed = || Pipeline::builder().stage("enc", sum()).stage("head", regression(&[1.0], 0.0)).rename("x", "sum");
    fails(typed(), ErrorKind::WrongShape, &["head"]);
}

#[test]
fn a_failure_names_the_stage_and_a_cast_bridges_types() {
    let narrow = || {
        let spec = |name: &str, dtype| TensorSpec::new(name, dtype, [Dim::Batch]);
        Checked::new(Sum(Signature::new(
            [spec("a", DType::F64), spec("b", DType::F64)].into(),
            [spec("sum", DType::F64)].into(),
        )))
    };
    let pipeline = Pipeline::builder()
        .stage("low", sum())
        .stage("high", narrow())
        .rename("a", "sum")
        .rename("b", "sum")
        .build()
        .unwrap();
    let e =
        pipeline.predict_batch(&tensors! { "a" => array![1.0, 4e5], "b" => array![1.0, 4e5] }.unwrap()).unwrap_err();
    assert_eq!((e.kind(), e.row_index()), (ErrorKind::InvalidValue, Some(1)));
    assert!(e.message().starts_with("stage `high`: "), "{e}");
    let ints = LinearModel::new(array![[1.0, 2.0]], array![0.0, 0.0], Link::Softmax).unwrap();
    let labels = |cast| {
        let spec = |name: &str| TensorSpec::new(name, DType::F64, [Dim::Batch]);
        let signature = Signature::new([spec("label"), spec("b")].into(), [spec("sum")].into());
        let sum = Checked::new(Sum(signature));
        Pipeline::builder().stage("classes", ints.clone()).stage("sum", sum).cast(cast).build()
    };
    assert_eq!(labels(false).unwrap_err().kind(), ErrorKind::WrongType);
    assert!(labels(true).is_ok());
}

#[test]
fn means_are_weighted_and_labels_follow_them() {
    let names = ["no", "yes"];
    let build = |weights: [f64; 2]| {
        Ensemble::builder()
            .member("for", classifier(1.0, names))
            .weight(weights[0])
            .member("against", classifier(-1.0, names))
            .weight(weights[1])
            .build()
            .unwrap()
    };
    let answers = build([3.0, 1.0]).predict_array(array![[2.0f32], [-2.0]]).unwrap();
    let p = 1.0 / (1.0 + (-2.0f64).exp());
    let probabilities = answers.get::<f32>("probabilities").unwrap();
    assert!((f64::from(probabilities[[0, 1]]) - (3.0 * p + (1.0 - p)) / 4.0).abs() < 1e-6);
    assert_eq!(answers.get::<String>("label").unwrap(), array!["yes".to_string(), "no".into()].into_dyn());
    let answers = build([1.0, 3.0]).predict_array(array![[2.0f32], [-2.0]]).unwrap();
    assert_eq!(answers.get::<String>("label").unwrap(), array!["no".to_string(), "yes".into()].into_dyn());
    let one = build([1.0, 3.0]).predict_row(array![2.0f32]).unwrap();
    assert_eq!(one.get::<String>("label").unwrap(), ndarray::arr0("no".to_string()).into_dyn());
    assert_eq!(build([1.0, 1.0]).signature().outputs().len(), 2);
    assert!(build([1.0, 1.0]).describe().row_independent);
}

#[test]
fn votes_are_weighted_and_ties_go_to_the_smallest() {
    let threshold = |at: f32| LinearModel::new(array![[1.0]], array![-at], Link::Logistic).unwrap();
    let ensemble = |weight: f64| {
        Ensemble::builder()
            .member("a", threshold(0.0))
            .weight(weight)
            .member("b", threshold(1.0))
            .member("c", threshold(2.0))
            .vote()
            .build()
            .unwrap()
    };
    let rows = array![[-1.0f32], [0.5], [1.5], [2.5]];
    let labels = |weight| ensemble(weight).predict_array(rows.view()).unwrap().take("label").unwrap();
    assert_eq!(labels(1.0).as_slice::<i64>().unwrap(), [0, 0, 1, 1]);
    assert_eq!(labels(5.0).as_slice::<i64>().unwrap(), [0, 1, 1, 1]);
    assert_eq!(labels(2.0).as_slice::<i64>().unwrap(), [0, 0, 1, 1]);
    assert_eq!(spread(&ensemble(1.0)), ["x", "label"]);
}

#[test]
fn a_final_model_takes_the_answers_as_features() {
    let last = LinearModel::new(array![[10.0], [100.0]], array![1.0], Link::Identity).unwrap();
    let build = |last| {
        Ensemble::builder()
            .member("a", regression(&[1.0], 0.0))
            .member("b", regression(&[2.0], 0.0))
            .stack(last)
            .build()
    };
    let stack = build(last).unwrap();
    let answers = stack.predict_array(array![[1.0f32], [2.0]]).unwrap();
    assert_eq!(answers.get::<f32>("prediction").unwrap(), array![[211.0f32], [421.0]].into_dyn());
    assert_eq!(stack.predict_row(array![2.0f32]).unwrap().get::<f32>("prediction").unwrap()[0], 421.0);
    assert_eq!(stack.predict_array(Array2::<f32>::zeros((0, 1))).unwrap().single().unwrap().shape(), [0, 1]);
    assert_eq!(stack.describe().parts.len(), 3);
    assert_eq!(build(regression(&[1.0, 2.0, 3.0], 0.0)).unwrap_err().kind(), ErrorKind::WrongShape);
}

#[test]
fn members_that_disagree_are_named() {
    let fails = |builder: super::EnsembleBuilder, kind, words: &[&str]| {
        let e = builder.build().unwrap_err();
        assert_eq!(e.kind(), kind, "{e}");
        for word in words {
            assert!(e.to_string().contains(word), "`{word}` in: {e}");
        }
    };
    let one = || Ensemble::builder().member("one", regression(&[1.0], 0.0));
    fails(Ensemble::builder(), ErrorKind::InvalidArgument, &[]);
    fails(one().member("wide", regression(&[1.0, 1.0], 0.0)), ErrorKind::WrongShape, &["wide", "`x`"]);
    fails(one().member("one", regression(&[1.0], 0.0)), ErrorKind::InvalidArgument, &["one"]);
    fails(one().weight(-1.0), ErrorKind::InvalidArgument, &["-1"]);
    fails(one().weight(0.0), ErrorKind::InvalidArgument, &[]);
    fails(one().vote(), ErrorKind::InvalidArgument, &["vote"]);
    fails(one().member("other", classifier(1.0, ["a", "b"])), ErrorKind::InvalidArgument, &["in common"]);
    fails(one().rename("y", "x"), ErrorKind::UnknownTensor, &["one", "`y`"]);
    let classes =
        Ensemble::builder().member("ab", classifier(1.0, ["a", "b"])).member("ba", classifier(1.0, ["b", "a"]));
    fails(classes, ErrorKind::InvalidArgument, &["ba", "b, a"]);
    let met = one().member("v", regression(&[2.0], 0.0).input_name("v").unwrap()).rename("v", "x").build().unwrap();
    assert_eq!(spread(&met), ["x", "prediction"]);
}
