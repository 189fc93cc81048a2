//! Networks as the loader chooses: float and 8-bit ones trained on digits, and single operators of ONNX Runtime's
//! quantiser, against ONNX Runtime's own answers. The scripts beside the files made them.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;

use std::sync::Arc;

use common::{Gap, data, gap, golden, models, numbers, with_prefix};
use modelberth::{Backend, Loader, Model, Tensor, Tensors};

#[test]
fn nets_answer_as_onnx_runtime_does_and_run_natively() {
    let mut failures = Vec::new();
    for path in models("nets") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let golden = golden(&path);
        let model = modelberth::load(&path);
        let answers = model.as_ref().map(|m| m.predict_batch(&with_prefix(&golden, "in:")));
        let (Ok(model), Ok(Ok(answers))) = (&model, &answers) else {
            failures.push(format!("{name}: {model:?} {answers:?}"));
            continue;
        };
        let expected = with_prefix(&golden, "ort:");
        let Gap { most, mean, other } = gap(answers.single().unwrap(), expected.single().unwrap());
        let told = model.describe();
        println!("{name:24} {:8} most {most:.2e}  mean/range {mean:.2e}  other classes {other}", told.backend);
        let (fits, independent) = match name.split_once("_int8_") {
            None => (most <= 1e-4 && other == 0, true),
            Some((_, kind)) => (mean <= 0.01 && other == 0, kind != "dynamic"),
        };
        if !fits || told.row_independent != independent || told.backend != "native" {
            failures.push(format!("{name}: {} most {most}, mean {mean}, other {other}", told.backend));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn ranges_of_rows_make_dynamic_nets_independent() {
    for path in models("nets").into_iter().filter(|p| p.to_string_lossy().contains("dynamic")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let model = Loader::new().row_ranges(true).load(&path).unwrap();
        assert!(model.describe().row_independent, "{name}");
        let golden = golden(&path);
        let inputs = with_prefix(&golden, "in:");
        let together = model.predict_batch(&inputs).unwrap();
        let expected = with_prefix(&golden, "ort:");
        let Gap { mean, other, .. } = gap(together.single().unwrap(), expected.single().unwrap());
        println!("{name:24} mean/range {mean:.2e}  other classes {other}");
        assert!(mean <= 0.01 && other == 0, "{name}: mean {mean}, other {other}");
        let (together, alone) = (numbers(together.single().unwrap()).unwrap(), rows(&model, &inputs, 7));
        assert!(together[7 * 10..8 * 10] == alone[..], "{name}: a row's answer depends on its neighbours");
    }
}

/// The answers for row `row` alone.
fn rows(model: &Arc<dyn Model>, inputs: &Tensors<'_>, row: usize) -> Vec<f64> {
    let (name, tensor) = inputs.iter().next().unwrap();
    let all = tensor.view::<f32>().unwrap().to_owned();
    let width = all.len() / all.shape()[0];
    let values = all.as_slice().unwrap()[row * width..(row + 1) * width].to_vec();
    let mut shape = all.shape().to_vec();
    shape[0] = 1;
    let one: Tensors<'_> = [(name.clone(), Tensor::from_vec(&shape, values).unwrap())].into_iter().collect();
    numbers(model.predict_batch(&one).unwrap().single().unwrap()).unwrap()
}

/// Single operators and small graphs in every form that the quantiser writes.
fn answers_fit(folder: &str) {
    let (mut failures, mut native) = (Vec::new(), 0);
    for path in models(folder) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let golden = golden(&path);
        let model = match modelberth::load(&path) {
            Ok(model) => model,
            Err(error) => {
                failures.push(format!("{name}: {error:?}"));
                continue;
            }
        };
        native += usize::from(model.describe().backend == "native");
        let answers = match model.predict_batch(&with_prefix(&golden, "in:")) {
            Ok(answers) => answers,
            Err(error) => {
                failures.push(format!("{name}: {error:?}"));
                continue;
            }
        };
        let expected = with_prefix(&golden, "ort:");
        for ((_, got), (_, expected)) in answers.iter().zip(expected.iter()) {
            let Gap { most, mean, .. } = gap(got, expected);
            println!("{name:40} {:8} most {most:.2e}  mean/range {mean:.2e}", model.describe().backend);
            // One step of a quantised answer, which rounding the other way makes.
            let step = if expected.dtype().is_integer() { 1.0 } else { f64::INFINITY };
            if mean > 0.01 || most > step {
                failures.push(format!("{name}: {} most {most}, mean {mean}", model.describe().backend));
            }
        }
    }
    println!("{native} of them natively");
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn operators_of_the_quantiser_answer_as_onnx_runtime_does() {
    answers_fit("qops");
}

#[test]
fn whatever_the_quantiser_writes_answers_as_onnx_runtime_does() {
    answers_fit("quantized");
}

#[test]
fn every_backend_of_a_net_can_still_be_asked_for() {
    let model = Loader::new().backend(Backend::Tract).load(data("nets/cnn.onnx")).unwrap();
    assert_eq!(model.describe().backend, "tract");
}
