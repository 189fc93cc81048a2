//! Networks through tract: small ones trained on digits, with ONNX Runtime's own answers
//! (`tests/data/nets/make_nets.py` makes them).

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use common::{data, distance, golden, models, numbers, with_prefix};
use modelberth::conformance::{Options, Tolerance, check};
use modelberth::{Backend, DType, ErrorKind, Loader, Model, ModelExt, Tensor, Tensors};

fn net(name: &str) -> Arc<dyn Model> {
    Loader::new().backend(Backend::Tract).load(data("nets").join(name)).unwrap()
}

/// A model through tract, its answers to the inputs beside it, and ONNX Runtime's.
fn answered(path: &std::path::Path) -> modelberth::Result<(Arc<dyn Model>, Tensors<'static>, Tensors<'static>)> {
    let model = Loader::new().backend(Backend::Tract).load(path)?;
    let golden = golden(path);
    let answers = model.predict_batch(&with_prefix(&golden, "in:"))?;
    Ok((model, answers, with_prefix(&golden, "ort:").into_owned()))
}

fn classes(answers: &[f64], classes: usize) -> Vec<usize> {
    let best = |row: &[f64]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0);
    answers.chunks(classes).map(best).collect()
}

/// The largest distance, the mean distance as a share of the range, and how many rows get another class.
fn differences(got: &Tensor<'_>, expected: &Tensor<'_>) -> (f64, f64, usize) {
    assert_eq!(got.shape(), expected.shape());
    let (got, expected) = (numbers(got).unwrap(), numbers(expected).unwrap());
    let distances = || got.iter().zip(&expected).map(|(g, e)| (g - e).abs());
    let (low, high) = expected.iter().fold((f64::MAX, f64::MIN), |(l, h), &e| (l.min(e), h.max(e)));
    let mean = distances().sum::<f64>() / got.len() as f64 / (high - low).max(f64::MIN_POSITIVE);
    let other = classes(&got, 10).iter().zip(classes(&expected, 10)).filter(|(g, e)| **g != *e).count();
    (distances().fold(0.0, f64::max), mean, other)
}

#[test]
fn nets_answer_as_onnx_runtime_does() {
    let (mut failures, mut seen) = (Vec::new(), 0);
    for path in models("nets") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (model, answers, expected) = match answered(&path) {
            Ok(answered) => answered,
            Err(error) => {
                failures.push(format!("{name}: {error:?}"));
                continue;
            }
        };
        let (most, mean, other) = differences(answers.single().unwrap(), expected.single().unwrap());
        let independent = model.describe().row_independent;
        println!("{name:24} most {most:.2e}  mean/range {mean:.2e}  other classes {other}  independent {independent}");
        let (fits, told) = match name.split_once("_int8_") {
            None => (most <= 1e-4 && other == 0, independent),
            Some((_, kind)) => (mean <= 0.01, independent == (kind != "dynamic")),
        };
        if !fits || !told {
            failures
                .push(format!("{name}: most {most}, mean {mean}, other classes {other}, independent {independent}"));
        }
        seen += 1;
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(seen >= 16, "only {seen} nets were there");
}

/// Each operator of ONNX Runtime's quantiser alone; `tests/data/qops/make_qops.py` makes them.
#[test]
fn operators_of_the_quantiser_answer_as_onnx_runtime_does() {
    let (mut failures, mut seen) = (Vec::new(), 0);
    for path in models("qops") {
        seen += 1;
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (_, answers, expected) = match answered(&path) {
            Ok(answered) => answered,
            Err(error) => {
                failures.push(format!("{name}: {error:?}"));
                continue;
            }
        };
        let (expected, got) = (expected.single().unwrap(), answers.single().unwrap());
        assert_eq!(got.dtype(), expected.dtype(), "{name}");
        let (most, mean, _) = differences(got, expected);
        println!("{name:32} most {most:.2e}  mean/range {mean:.2e}");
        // One step of the quantised answer, which rounding the other way makes.
        let step = if expected.dtype().is_integer() { 1.0 } else { 0.0401 };
        // Where the range is taken from the batch, ours rounds less, and the answer is not itself rounded.
        if mean > 0.01 || (most > step && !name.starts_with("Dynamic")) {
            failures.push(format!("{name}: most {most}, mean {mean}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(seen >= 30, "only {seen} models were there");
}

/// Graphs as each mode of the quantiser, its fusions and its weight-only forms write them;
/// `tests/data/quantized/make_quantized.py` makes them.
#[test]
fn whatever_the_quantiser_writes_answers_as_onnx_runtime_does() {
    let (mut failures, mut seen) = (Vec::new(), 0);
    for path in models("quantized") {
        seen += 1;
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (_, answers, expected) = match answered(&path) {
            Ok(answered) => answered,
            Err(error) => {
                failures.push(format!("{name}: {error:?}"));
                continue;
            }
        };
        for (output, expected) in expected.iter() {
            let got = answers.tensor(output).unwrap();
            assert_eq!(got.dtype(), expected.dtype(), "{name}: {output}");
            let (most, mean, _) = differences(got, expected);
            println!("{name:40} {output:8} most {most:.2e}  mean/range {mean:.2e}");
            let most_allowed = match expected.dtype() {
                // One step where the quantised answer itself is given, none where integers are summed.
                DType::U8 | DType::I8 => 1.0,
                DType::I32 | DType::I64 => 0.0,
                _ => f64::INFINITY,
            };
            let mean_allowed = if name.ends_with("_float") || name.contains("Gelu") { 1e-5 } else { 0.01 };
            if mean > mean_allowed || most > most_allowed || mean.is_nan() {
                failures.push(format!("{name}: {output}: most {most}, mean {mean}"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(seen >= 85, "only {seen} models were there");
}

#[test]
fn one_model_takes_batches_of_any_size_in_turn() {
    for name in ["cnn.onnx", "gru.onnx", "attn_int8_qdq.onnx"] {
        let model = net(name);
        let golden = golden(&data("nets").join(name));
        let inputs = with_prefix(&golden, "in:");
        let whole = model.predict_batch(&inputs).unwrap();
        for m in [1, 7, 32, 1] {
            let part = model.predict_batch(&inputs.rows(0..m).unwrap()).unwrap();
            let (most, _, _) = differences(part.single().unwrap(), &whole.single().unwrap().rows(0..m).unwrap());
            assert!(most < 1e-4, "{name} at {m}: {most}");
        }
        let none = model.predict_batch(&inputs.rows(0..0).unwrap()).unwrap();
        assert_eq!(none.single().unwrap().shape(), [0, 10]);
        let row = inputs.single().unwrap().rows(0..1).unwrap().without_batch_axis().unwrap();
        assert_eq!(model.predict_row(row).unwrap().single().unwrap().shape(), [10]);
    }
}

#[test]
fn eight_threads_share_one_model() {
    let path = data("nets").join("gru.onnx");
    let (model, golden) = (net("gru.onnx"), golden(&path));
    let inputs = with_prefix(&golden, "in:");
    let whole = model.predict_batch(&inputs).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (model, inputs, whole) = (&model, &inputs, &whole);
            scope.spawn(move || {
                for round in 0..10 {
                    let m = 1 + (thread * 7 + round * 3) % 20;
                    let part = model.predict_batch(&inputs.rows(thread..thread + m).unwrap()).unwrap();
                    let expected = whole.single().unwrap().rows(thread..thread + m).unwrap();
                    let (most, _, _) = differences(part.single().unwrap(), &expected);
                    assert!(most < 1e-4, "{most}");
                }
            });
        }
    });
}

#[test]
fn threads_split_rows_and_change_nothing() {
    let path = data("nets").join("cnn.onnx");
    let split = Loader::new().backend(Backend::Tract).threads(2).load(&path).unwrap();
    let golden = golden(&path);
    let inputs = with_prefix(&golden, "in:");
    let (a, b) = (net("cnn.onnx").predict_batch(&inputs).unwrap(), split.predict_batch(&inputs).unwrap());
    assert!(differences(a.single().unwrap(), b.single().unwrap()).0 < 1e-4);
    assert_eq!(split.describe().threads, 2);
}

#[test]
fn native_goes_first_and_tract_takes_what_it_lacks() {
    let model = modelberth::load(data("qops").join("QLinearWhere_u8.onnx")).unwrap();
    let description = model.describe();
    assert_eq!(description.backend, "tract");
    assert!(description.reason.contains("no operator `QLinearWhere`"), "{}", description.reason);
    let model = modelberth::load(data("zoo/classifier_LogisticRegression.onnx")).unwrap();
    assert_eq!(model.describe().backend, "native");
}

#[test]
fn nets_conform() {
    let mut failures = Vec::new();
    for path in models("nets") {
        let loader = Loader::new().backend(Backend::Tract);
        let mut options = Options::new().loader(loader.clone()).large_rows(500);
        // Sums of another order: what is beside a row decides which kernel runs. A number beside the middle of two
        // steps of a quantisation then falls to the other.
        let step = if path.to_string_lossy().contains("int8") { 0.5 } else { 1e-4 };
        options = options.tolerance(Tolerance { relative: 1e-4, absolute: step });
        if let Err(failed) = check(&*loader.load(&path).unwrap(), &options) {
            failures.push(format!("{}: {failed}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn an_artifact_loads_to_the_same_answers() {
    let path = data("nets").join("attn.onnx");
    let model = net("attn.onnx");
    let again = Loader::new().backend(Backend::Tract).load_artifact(&model.artifact().unwrap()).unwrap();
    let golden = golden(&path);
    let inputs = with_prefix(&golden, "in:");
    assert_eq!(model.predict_batch(&inputs).unwrap(), again.predict_batch(&inputs).unwrap());
    assert_eq!(model.signature(), again.signature());
}

/// ONNX-ML operators in front of a network, and behind it; `tests/data/mixed/make_mixed.py` makes the graphs.
#[test]
fn graphs_of_both_worlds_are_cut_between_the_backends() {
    // The other graph of the folder is taken by `native` as a whole.
    assert_eq!(modelberth::load(data("mixed/words_conv.onnx")).unwrap().describe().backend, "native");
    for (name, places) in [("scaled_gru", "front (native) -> network (tract) -> back (native)")] {
        let path = data("mixed").join(name).with_extension("onnx");
        let model = modelberth::load(&path).unwrap();
        let description = model.describe();
        assert!(description.engine.contains(places), "{name}: {}", description.engine);
        assert!(description.reason.contains("cut"), "{}", description.reason);
        assert!(description.row_independent, "{name}");
        let golden = golden(&path);
        let inputs = with_prefix(&golden, "in:");
        let answers = model.predict_batch(&inputs).unwrap();
        let expected = with_prefix(&golden, "ort:");
        assert!(answers.iter().map(|(n, _)| n).eq(expected.iter().map(|(n, _)| n)), "{name}");
        for ((_, got), (output, expected)) in answers.iter().zip(expected.iter()) {
            let distance = distance(got, expected).unwrap();
            assert!(distance < 10.0, "{name}: {output}: {distance}");
        }
        let again = Loader::new().load_artifact(&model.artifact().unwrap()).unwrap();
        assert_eq!(again.predict_batch(&inputs).unwrap(), answers);
        let last = expected.iter().last().unwrap().0.to_string();
        let one = Loader::new().outputs([last.as_str()]).load(&path).unwrap();
        assert_eq!(one.predict_batch(&inputs).unwrap().tensor(&last).unwrap(), answers.tensor(&last).unwrap());
        let rounding = Tolerance { relative: 1e-4, absolute: 1e-5 };
        check(&*model, &Options::new().samples(inputs.into_owned()).large_rows(100).tolerance(rounding)).unwrap();
        // Neither backend alone takes it.
        for backend in [Backend::Native, Backend::Tract] {
            let error = Loader::new().backend(backend).load(&path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        }
    }
}

/// Bytes of real files with some changed; whatever comes of it is an answer or an error, never a panic.
#[test]
fn broken_files_are_errors() {
    // A debug build takes a tenth of a second a file; `MODELBERTH_BROKEN_FILES=1000` asks for more.
    let files = std::env::var("MODELBERTH_BROKEN_FILES").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    // tract's panics are contained; their messages would fill the output.
    std::panic::set_hook(Box::new(|_| {}));
    let nets: Vec<Vec<u8>> = models("nets").into_iter().map(|path| std::fs::read(path).unwrap()).collect();
    let mut state = 42u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut loaded, mut panics) = (0, 0);
    for file in 0..files {
        let mut bytes = nets[file % nets.len()].clone();
        // The structure is at the ends; weights are in between.
        for _ in 0..1 + random(4) {
            let at = if random(2) == 0 { random(600) } else { bytes.len() - 1 - random(2500) };
            bytes[at] = random(256) as u8;
        }
        let outcome = std::panic::catch_unwind(|| Loader::new().backend(Backend::Tract).load_bytes("mutated", bytes));
        match outcome {
            Err(_) => panics += 1,
            Ok(Err(_)) => {}
            Ok(Ok(model)) => {
                loaded += 1;
                let rows = ndarray_rows(3);
                panics += usize::from(
                    std::panic::catch_unwind(AssertUnwindSafe(|| model.predict_array(rows).is_ok())).is_err(),
                );
            }
        }
    }
    let _ = std::panic::take_hook();
    println!("{loaded} of {files} loaded");
    assert_eq!(panics, 0);
}

fn ndarray_rows(m: usize) -> modelberth::ndarray::Array2<f32> {
    modelberth::ndarray::Array2::from_shape_fn((m, 64), |(i, j)| ((i + j) % 7) as f32 / 7.0)
}

#[test]
fn a_truncated_file_is_an_error() {
    let whole = std::fs::read(data("nets").join("gru.onnx")).unwrap();
    for share in [1, 2, 3] {
        let part = whole[..whole.len() * share / 4].to_vec();
        let error = Loader::new().backend(Backend::Tract).load_bytes("truncated", part).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{error:?}");
    }
}
