use std::time::Duration;

use ndarray::{Array1, Array2};

use super::{Distill, Student};
use crate::optimize::Data;
use crate::{ErrorKind, LinearModel, Link, Loader, Model, Tensor, Tensors};

fn rows(n: usize) -> Tensors<'static> {
    let values = (0..n * 4).map(|i| ((i * 7919 + i / 3) % 1009) as f32 / 504.5 - 1.0).collect();
    Tensors::one("x", Tensor::from_vec(&[n, 4], values).unwrap())
}

fn teacher(link: Link) -> LinearModel {
    let k = if link == Link::Softmax { 3 } else { 1 };
    let weights = Array2::from_shape_fn((4, k), |(i, j)| ((i * 5 + j * 3) % 7) as f32 - 3.0);
    LinearModel::new(weights, Array1::zeros(k), link).unwrap()
}

fn share_of_equal_classes(teacher: &dyn Model, student: &dyn Model) -> f64 {
    let x = rows(200);
    let [a, b] = [teacher, student].map(|m| m.predict_batch(&x).unwrap().get::<i64>("label").unwrap().to_owned());
    a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64 / 200.0
}

#[test]
fn forests_learn_classes_and_numbers_and_are_seeded() {
    let teacher = teacher(Link::Softmax);
    let student = |seed| {
        Distill::to(Student::Forest { trees: 20, depth: 8 })
            .data(Data::arrays(rows(600)))
            .seed(seed)
            .latency_time(Duration::ZERO)
            .run(&teacher)
            .unwrap()
    };
    let [first, again, other] = [student(1), student(1), student(2)];
    let bytes = |o: &crate::optimize::Optimized| o.artifact().files[0].content().unwrap();
    assert_eq!(bytes(&first), bytes(&again));
    assert_ne!(bytes(&first), bytes(&other));
    let loaded = first.load(&Loader::new()).unwrap();
    assert!(share_of_equal_classes(&teacher, &loaded) > 0.85);
    assert!(first.report.notes.iter().any(|n| n.contains("held-out rows")));

    let numbers = LinearModel::new(Array2::ones((4, 1)), Array1::zeros(1), Link::Identity).unwrap();
    let done = Distill::to(Student::Tree { depth: 8 })
        .data(Data::arrays(rows(600)))
        .latency_time(Duration::ZERO)
        .run(&numbers)
        .unwrap();
    assert!(done.report.notes.iter().any(|n| n.starts_with("R2")), "{:?}", done.report.notes);
    assert!(done.report.fidelity[0].cosine.unwrap() > 0.8);
}

#[cfg(feature = "candle")]
#[test]
fn perceptrons_learn_probabilities() {
    let teacher = teacher(Link::Softmax);
    for student in [Student::Mlp(vec![16]), Student::Linear] {
        let done = Distill::to(student)
            .data(Data::arrays(rows(600)))
            .epochs(60)
            .latency_time(Duration::ZERO)
            .run(&teacher)
            .unwrap();
        let loaded = done.load(&Loader::new()).unwrap();
        assert!(share_of_equal_classes(&teacher, &loaded) > 0.93, "{}", done.report);
        assert!(done.report.fidelity.iter().any(|f| f.cosine.is_some_and(|c| c > 0.98)));
    }
}

#[test]
fn bad_lessons_are_refused() {
    let teacher = teacher(Link::Softmax);
    let tree = || Distill::to(Student::Tree { depth: 3 });
    assert_eq!(tree().run(&teacher).unwrap_err().kind(), ErrorKind::InvalidArgument);
    assert!(tree().data(Data::arrays(rows(3))).run(&teacher).unwrap_err().to_string().contains("more rows"));
    let e = tree().data(Data::arrays(rows(60))).temperature(0.0).run(&teacher).unwrap_err();
    assert!(e.to_string().contains("temperature"), "{e}");
    let nan = Tensors::one("x", Tensor::from_vec(&[12, 4], vec![f32::NAN; 48]).unwrap());
    let e = tree().data(Data::arrays(nan)).run(&teacher).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::InvalidValue);
}
