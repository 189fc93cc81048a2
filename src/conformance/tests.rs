//! Models that break one promise each: the check meant for it must find it, and no other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ndarray::{Array2, Axis, array};

use super::{Check, Options, Tolerance, check};
use crate::{
    Artifact, Checked, DType, Description, Dim, Error, ErrorKind, Model, Result, Signature, Tensor, TensorSpec, Tensors,
};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    Order,
    Type,
    Shape,
    FewerRows,
    Forgetful,
    OneDiffers,
    MeanOfBatch,
    NotShared,
    NoEmpty,
    EmptyShape,
    Large,
    LargeRefused,
}

/// `total` (m,) f64 and `twice` (m, 2) f32 of `x` (m, 2) f32 and `y` (m,) i64.
#[derive(Debug)]
struct Mock {
    fault: Fault,
    independent: bool,
    calls: AtomicUsize,
    inside: AtomicUsize,
    signature: Signature,
}

fn mock(fault: Fault) -> Mock {
    let x = TensorSpec::new("x", DType::F32, [Dim::Batch, Dim::Fixed(2)]);
    let y = TensorSpec::new("y", DType::I64, [Dim::Batch]);
    let total = TensorSpec::new("total", DType::F64, [Dim::Batch]);
    let twice = TensorSpec::new("twice", DType::F32, [Dim::Batch, Dim::Fixed(2)]);
    Mock {
        fault,
        independent: true,
        calls: AtomicUsize::new(0),
        inside: AtomicUsize::new(0),
        signature: Signature::new(vec![x, y], vec![total, twice]),
    }
}

impl Model for Mock {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let x = inputs.get::<f32>("x")?.into_dimensionality::<ndarray::Ix2>().unwrap();
        let y = inputs.get::<i64>("y")?.into_dimensionality::<ndarray::Ix1>().unwrap();
        let m = y.len();
        let mut total = x.sum_axis(Axis(1)).mapv(f64::from) + y.mapv(|y| y as f64);
        let mut twice: Array2<f32> = &x * 2.0;
        match self.fault {
            Fault::Forgetful => total += self.calls.fetch_add(1, Ordering::SeqCst) as f64,
            Fault::MeanOfBatch if m > 0 => total -= total.mean().unwrap_or(0.0),
            Fault::NotShared => {
                let others = self.inside.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                self.inside.fetch_sub(1, Ordering::SeqCst);
                total += others as f64;
            }
            Fault::NoEmpty if m == 0 => panic!("index out of bounds"),
            Fault::EmptyShape if m == 0 => twice = Array2::zeros((0, 1)),
            Fault::Large if m > 1000 => total[1000] += 1e-9,
            Fault::LargeRefused if m > 1000 => {
                return Err(Error::new(ErrorKind::LimitExceeded, "no more than 1000 rows"));
            }
            Fault::Shape => twice = twice.slice_move(ndarray::s![.., ..1]),
            Fault::FewerRows if m > 0 => total = total.slice_move(ndarray::s![1..]),
            _ => {}
        }
        let total: Tensor<'static> =
            if self.fault == Fault::Type { total.mapv(|t| t as f32).into() } else { total.into() };
        let pair = [("total".into(), total), ("twice".into(), Tensor::from(twice))];
        Ok(if self.fault == Fault::Order { pair.into_iter().rev().collect() } else { pair.into_iter().collect() })
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        let mut one = crate::model::predict_as_batch(self, input)?;
        if self.fault == Fault::OneDiffers {
            let total = one.take("total")?.into_array::<f64>()? + 1e-9;
            return Ok([("total".into(), total.into()), ("twice".into(), one.take("twice")?)].into_iter().collect());
        }
        Ok(one)
    }

    fn describe(&self) -> Description {
        let mut description = Description::new("code", "test", "a mock");
        description.row_independent = self.independent;
        description
    }

    fn artifact(&self) -> Result<Artifact> {
        Err(Error::new(ErrorKind::Unsupported, "a mock has no files"))
    }
}

fn options() -> Options {
    Options::new().large_rows(2000).without_artifact()
}

#[test]
fn a_model_that_keeps_its_promises_passes_everything() {
    let report = check(&Checked::new(mock(Fault::None)), &options()).unwrap();
    assert_eq!(report.passed(), &Check::ALL[..8]);
    assert_eq!(report.skipped(), [(Check::Artifact, "the model has no artifact".to_owned())]);
}

#[test]
fn each_fault_is_found_by_its_check_and_by_no_other() {
    for (fault, meant) in [
        (Fault::Order, Check::Signature),
        (Fault::Type, Check::Signature),
        (Fault::Shape, Check::Signature),
        (Fault::FewerRows, Check::Signature),
        (Fault::Forgetful, Check::Determinism),
        (Fault::OneDiffers, Check::Parity),
        (Fault::MeanOfBatch, Check::BatchSplit),
        (Fault::NotShared, Check::Threads),
        (Fault::NoEmpty, Check::EmptyBatch),
        (Fault::EmptyShape, Check::EmptyBatch),
        (Fault::Large, Check::LargeBatch),
        (Fault::LargeRefused, Check::LargeBatch),
    ] {
        let failures = check(&Checked::new(mock(fault)), &options()).unwrap_err();
        assert_eq!(failures.checks(), [meant], "{fault:?}: {failures}");
    }
}

#[test]
fn a_model_that_checks_nothing_is_found_by_bad_inputs() {
    let failures = check(&mock(Fault::None), &options()).unwrap_err();
    assert_eq!(failures.checks(), [Check::BadInputs], "{failures}");
    assert!(failures.failures().iter().any(|f| f.message.contains("panicked")), "{failures}");
    assert!(failures.failures().iter().any(|f| f.message.contains("answered")), "{failures}");
}

#[test]
fn rows_that_depend_on_each_other_are_fine_when_said() {
    let model = Checked::new(Mock { independent: false, ..mock(Fault::MeanOfBatch) });
    let report = check(&model, &options()).unwrap();
    assert_eq!(report.skipped()[0].0, Check::BatchSplit);
}

#[test]
fn a_tolerance_lets_small_differences_pass() {
    let lenient = options().tolerance(Tolerance::new(1e-6, 0.0));
    for fault in [Fault::OneDiffers, Fault::Large] {
        check(&Checked::new(mock(fault)), &lenient).unwrap();
    }
}

#[test]
fn an_artifact_is_expected_unless_said_otherwise() {
    let failures = check(&Checked::new(mock(Fault::None)), &Options::new().large_rows(100)).unwrap_err();
    assert_eq!(failures.checks(), [Check::Artifact]);
    assert!(failures.to_string().contains("without_artifact"), "{failures}");
}

/// A linear model whose artifact is that of another one.
#[cfg(feature = "native")]
#[derive(Debug)]
struct Swapped(crate::LinearModel, crate::LinearModel);

#[cfg(feature = "native")]
impl Model for Swapped {
    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        self.0.predict_batch(inputs)
    }

    fn describe(&self) -> Description {
        self.0.describe()
    }

    fn artifact(&self) -> Result<Artifact> {
        self.1.artifact()
    }
}

#[cfg(feature = "native")]
#[test]
fn an_artifact_of_another_model_is_found() {
    use crate::{LinearModel, Link};
    let model = |bias: f32| LinearModel::new(array![[1.0], [2.0]], array![bias], Link::Identity).unwrap();
    check(&Swapped(model(0.5), model(0.5)), &Options::new().large_rows(100)).unwrap();
    for other in [model(0.25), model(0.5).input_name("other").unwrap()] {
        let failures = check(&Swapped(model(0.5), other), &Options::new().large_rows(100)).unwrap_err();
        assert_eq!(failures.checks(), [Check::Artifact], "{failures}");
    }
}

#[test]
fn samples_are_the_callers_when_given() {
    let samples: Tensors<'static> =
        [("x".into(), array![[1.0f32, 2.0], [3.0, 4.0]].into()), ("y".into(), array![1i64, 2].into())]
            .into_iter()
            .collect();
    check(&Checked::new(mock(Fault::None)), &options().samples(samples)).unwrap();
    let short: Tensors<'static> = Tensors::one("x", array![[1.0f32, 2.0]]);
    let failures = check(&Checked::new(mock(Fault::None)), &options().samples(short)).unwrap_err();
    assert_eq!(failures.checks(), [Check::Signature]);
}
