use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::{
    Artifact, DType, Description, Dim, Error, ErrorKind, Model, NoProgress, Result, Signature, Tensor, TensorSpec,
    Tensors,
};

/// Remembers the first value of each window that it saw, and how many rows it had.
#[derive(Debug)]
struct Witness(Signature, Mutex<Vec<(i64, usize)>>);

impl Model for Witness {
    fn signature(&self) -> &Signature {
        &self.0
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let x = inputs.get::<i64>("x")?;
        let contiguous = x.iter().zip(x.iter().skip(1)).all(|(a, b)| (a + 1) % 5 == *b);
        assert!(contiguous, "{x}");
        let mut seen = self.1.lock().map_err(|_| Error::new(ErrorKind::Backend, "poisoned"))?;
        if seen.len() < 10 {
            seen.push((x[[0]], x.len()));
        }
        Ok(Tensors::one("y", x.to_owned()))
    }

    fn describe(&self) -> Description {
        Description::new("code", "test", "test")
    }

    fn artifact(&self) -> Result<Artifact> {
        Err(Error::new(ErrorKind::Unsupported, "not a file"))
    }
}

fn witness() -> Witness {
    let spec = |name| TensorSpec::new(name, DType::I64, [Dim::Batch]);
    Witness(Signature::new(vec![spec("x")], vec![spec("y")]), Mutex::default())
}

#[test]
fn windows_are_consecutive_and_wrap_round() {
    let rows = Tensors::one("x", (0..5i64).collect::<Vec<_>>());
    for (batch, starts) in [(1, [0, 1, 2, 3, 4, 0]), (2, [0, 2, 4, 1, 3, 0]), (12, [0, 2, 4, 1, 3, 0])] {
        let model = witness();
        let timing = measure(&model, &rows, batch, Duration::from_millis(1), &NoProgress).unwrap();
        assert_eq!((timing.batch, timing.backend.as_str()), (batch, "test"));
        assert!(timing.rows_per_s > 0.0 && timing.ns_per_row.median <= timing.ns_per_row.p99);
        let seen = model.1.lock().unwrap();
        let expected: Vec<(i64, usize)> = starts.iter().map(|s| (*s, batch)).collect();
        assert_eq!(seen.iter().take(6).copied().collect::<Vec<_>>(), expected[..seen.len().min(6)], "batch {batch}");
    }
}

#[test]
fn a_timing_has_the_keys_that_are_promised() {
    let timing: Timing = serde_json::from_str(
        r#"{"batch":1,"backend":"native","ns_per_row":{"median":81.0,"p99":96.0},"rows_per_s":12345678.0}"#,
    )
    .unwrap();
    assert_eq!((timing.batch, timing.ns_per_row.p99), (1, 96.0));
    assert!(
        serde_json::to_string(&timing)
            .unwrap()
            .starts_with(r#"{"batch":1,"backend":"native","ns_per_row":{"median":81.0"#)
    );
}

#[test]
fn nothing_to_time_is_an_error() {
    let none = Tensors::one("x", Vec::<i64>::new());
    let some = Tensors::one("x", vec![1i64]);
    let kind = |rows: &Tensors<'_>, batch| {
        measure(&witness(), rows, batch, Duration::from_millis(1), &NoProgress).unwrap_err().kind()
    };
    assert_eq!((kind(&none, 1), kind(&some, 0)), (ErrorKind::InvalidArgument, ErrorKind::InvalidArgument));
}

#[test]
fn drawn_inputs_fit_the_signature_and_repeat() {
    let specs = DType::ALL.map(|dtype| TensorSpec::new(dtype.as_str(), dtype, [Dim::Batch, Dim::Fixed(3)]));
    let plans = TensorSpec::new("plan", DType::String, [Dim::Batch, Dim::Fixed(1)])
        .with_categories(vec![vec!["free".into(), "pro".into()]]);
    let signature = Signature::new(
        specs.into_iter().chain([plans, TensorSpec::new("state", DType::F32, [Dim::Any])]).collect(),
        Vec::new(),
    );
    let drawn = draw_inputs(&signature, 100, 7).unwrap();
    assert_eq!(drawn, draw_inputs(&signature, 100, 7).unwrap());
    assert_ne!(drawn, draw_inputs(&signature, 100, 8).unwrap());
    for dtype in DType::ALL {
        let tensor: &Tensor<'_> = drawn.tensor(dtype.as_str()).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (dtype, &[100, 3][..]));
    }
    assert!(drawn.tensor("plan").unwrap().as_slice::<String>().unwrap().iter().all(|p| p == "free" || p == "pro"));
    let mean = drawn.get::<f64>("f64").unwrap().mean().unwrap();
    assert!(mean.abs() < 0.3, "{mean}");
    let ids = TensorSpec::new("ids", DType::I64, [Dim::Batch, Dim::Named("s".into())]);
    let ids = draw_inputs(&Signature::new(vec![ids], Vec::new()), 100, 7).unwrap();
    assert_eq!(ids.tensor("ids").unwrap().shape(), [100, 16]);
    assert!(ids.get::<i64>("ids").unwrap().iter().all(|id| (0..2).contains(id)));
    let huge = Signature::new(vec![TensorSpec::new("x", DType::F32, [Dim::Batch, Dim::Fixed(1 << 40)])], Vec::new());
    assert_eq!(draw_inputs(&huge, 10, 0).unwrap_err().kind(), ErrorKind::LimitExceeded);
}
