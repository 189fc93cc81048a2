use alloc::string::String;
use alloc::vec::Vec;

use ndarray::{Array1, Array2, array};

use super::{LinearModel, Link};
use crate::{DType, Dim, ErrorKind, Model, ModelExt, tensors};

#[test]
fn the_sums_are_right_alone_and_in_a_batch() {
    let weights = Array2::from_shape_fn((13, 3), |(i, j)| i as f32 * 0.25 - j as f32);
    let bias = array![0.5f32, -1.0, 2.0];
    let rows = Array2::from_shape_fn((5, 13), |(i, j)| ((i * 13 + j) % 7) as f32 - 3.0);
    let model = LinearModel::new(weights.clone(), bias.clone(), Link::Identity).unwrap();
    let answers = model.predict_array(rows.view()).unwrap();
    assert_eq!(answers.get::<f32>("prediction").unwrap(), (rows.dot(&weights) + &bias).into_dyn());
    let one = model.predict_row(rows.row(3)).unwrap();
    assert_eq!(one.get::<f32>("prediction").unwrap(), (rows.row(3).dot(&weights) + &bias).into_dyn());
    assert_eq!((model.weights(), model.bias()), (weights, bias));
}

#[test]
fn classes_have_probabilities_and_labels() {
    let model = LinearModel::new(array![[2.0, -1.0, 0.0]], array![0.0, 0.0, 0.5], Link::Softmax).unwrap();
    let answers = model.predict_array(array![[0.0f32], [1.0], [-2.0], [1000.0]]).unwrap();
    assert_eq!(answers.get::<i64>("label").unwrap(), array![2i64, 0, 1, 0].into_dyn());
    let probabilities = answers.get::<f32>("probabilities").unwrap();
    assert!(probabilities.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-6));
    let model = LinearModel::new(array![[1.0]], array![0.0], Link::Logistic).unwrap();
    let answers = model.predict_array(array![[0.0f32], [1e-3], [-200.0], [200.0], [f32::NAN]]).unwrap();
    assert_eq!(answers.get::<i64>("label").unwrap(), array![0i64, 1, 0, 1, 0].into_dyn());
    assert_eq!(answers.get::<f32>("probabilities").unwrap()[[2, 1]], 0.0);
    assert_eq!(answers.get::<f32>("probabilities").unwrap()[[3, 1]], 1.0);
}

#[test]
fn names_stand_in_the_signature() {
    let model = LinearModel::new(array![[1.0], [0.5]], array![0.0], Link::Logistic).unwrap();
    let model = model.input_name("features").unwrap().feature_names(["age", "income"]).unwrap();
    let model = model.class_names(["no", "yes"]).unwrap();
    let input = &model.signature().inputs()[0];
    assert_eq!((input.name().as_str(), input.features()), ("features", &["age".into(), "income".into()][..]));
    let [label, probabilities] = model.signature().outputs() else { panic!("two outputs") };
    assert_eq!((label.dtype(), label.dims()), (DType::String, &[Dim::Batch][..]));
    assert_eq!(probabilities.features(), ["no", "yes"]);
    let one = model.predict_row(array![3.0f32, 1.0]).unwrap();
    assert_eq!(one.get::<String>("label").unwrap().iter().collect::<Vec<_>>(), ["yes"]);
    assert_eq!(one.get::<f32>("probabilities").unwrap().shape(), [2]);
}

#[test]
fn contradictions_are_refused() {
    let kind = |weights: (usize, usize), k, link| {
        LinearModel::new(Array2::zeros(weights), Array1::zeros(k), link).unwrap_err().kind()
    };
    assert_eq!(kind((0, 1), 1, Link::Identity), ErrorKind::WrongShape);
    assert_eq!(kind((2, 0), 0, Link::Identity), ErrorKind::WrongShape);
    assert_eq!(kind((2, 3), 2, Link::Identity), ErrorKind::WrongShape);
    assert_eq!(kind((2, 2), 2, Link::Logistic), ErrorKind::WrongShape);
    assert_eq!(kind((2, 1), 1, Link::Softmax), ErrorKind::WrongShape);
    let model = || LinearModel::new(array![[1.0], [0.5]], array![0.0], Link::Logistic).unwrap();
    assert_eq!(model().feature_names(["a"]).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(model().class_names(["a", "a"]).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert_eq!(model().input_name("label").unwrap_err().kind(), ErrorKind::InvalidArgument);
    let e = model().predict_batch(&tensors! { "x" => array![[1.0f64, 2.0]] }.unwrap()).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::WrongType);
}

#[test]
fn no_rows_give_no_answers() {
    let model = LinearModel::new(array![[1.0], [0.5]], array![0.0], Link::Logistic).unwrap();
    let answers = model.predict_array(Array2::<f32>::zeros((0, 2))).unwrap();
    assert_eq!(answers.tensor("label").unwrap().shape(), [0]);
    assert_eq!(answers.tensor("probabilities").unwrap().shape(), [0, 2]);
}
