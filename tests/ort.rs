//! ONNX files through ONNX Runtime, where its library is on the machine: `ORT_DYLIB_PATH` names it, or the system finds
//! it. Elsewhere every test here says so and passes.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{data, distance, golden, models, with_prefix};
use modelberth::conformance::{Options, Tolerance, check};
use modelberth::{Backend, DType, ErrorKind, Loader, Model, Tensor, Tensors, half, tensors};

/// A loader of this backend; nothing, said aloud, where there is no library.
fn loader() -> Option<Loader> {
    let loader = Loader::new().backend(Backend::Ort);
    match loader.load(data("nets/mlp.onnx")) {
        Ok(_) => Some(loader),
        Err(error) if error.to_string().contains("needs the shared library") => {
            eprintln!("SKIPPED, nothing was tested: {error}");
            None
        }
        // A library that was named must be there, and one that was found must work.
        Err(error) => panic!("{error:?}"),
    }
}

fn farthest(model: &dyn Model, golden: &Tensors<'_>) -> Result<f64, String> {
    let mut inputs = with_prefix(golden, "in:");
    if let ([spec], [(_, tensor)]) = (model.signature().inputs(), inputs.iter().collect::<Vec<_>>().as_slice()) {
        inputs = Tensors::one(spec.name(), tensor.as_view().into_owned());
    }
    let answers = model.predict_batch(&inputs).map_err(|e| format!("{e:?}"))?;
    let mut most = 0.0f64;
    for (name, expected) in with_prefix(golden, "ort:").iter() {
        most = most.max(distance(answers.tensor(name).map_err(|e| e.to_string())?, expected)?);
    }
    Ok(most)
}

#[test]
fn models_answer_as_onnx_runtime_did() {
    let Some(loader) = loader() else { return };
    let (mut failures, mut seen) = (Vec::new(), 0);
    for path in models("nets").into_iter().chain(models("qops")).chain(models("zoo")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        // The inputs of pipelines over tables stand in a table.
        if name.starts_with("pipeline_") {
            continue;
        }
        seen += 1;
        let model = match loader.load(&path) {
            Ok(model) => model,
            Err(error) => {
                failures.push(format!("{name}: {error:?}"));
                continue;
            }
        };
        assert_eq!(model.describe().backend, "ort");
        // Another version may add up in another order; a step of a quantised answer is far more than rounding.
        let quantised = name.contains("int8") || path.to_string_lossy().contains("qops");
        match farthest(&*model, &golden(&path)) {
            Ok(far) if far <= 100.0 || quantised => {}
            other => failures.push(format!("{name}: {other:?}")),
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(seen >= 95, "only {seen} models were there");
}

#[test]
fn nets_conform() {
    let Some(loader) = loader() else { return };
    let mut failures = Vec::new();
    for path in models("nets") {
        let step = if path.to_string_lossy().contains("int8") { 0.5 } else { 1e-4 };
        let options = Options::new()
            .loader(loader.clone())
            .large_rows(500)
            .tolerance(Tolerance { relative: 1e-4, absolute: step });
        if let Err(failed) = check(&*loader.load(&path).unwrap(), &options) {
            failures.push(format!("{}: {failed}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn one_session_serves_many_threads() {
    let Some(loader) = loader() else { return };
    let path = data("nets/gru.onnx");
    let golden = golden(&path);
    let inputs = with_prefix(&golden, "in:");
    for threads in [1, 2] {
        let model = loader.clone().threads(threads).load(&path).unwrap();
        assert_eq!(model.describe().threads, threads);
        let whole = model.predict_batch(&inputs).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (model, inputs, whole) = (Arc::clone(&model), &inputs, &whole);
                scope.spawn(move || {
                    for round in 0..10 {
                        let m = 1 + (thread * 7 + round * 3) % 20;
                        let part = model.predict_batch(&inputs.rows(thread..thread + m).unwrap()).unwrap();
                        let expected = whole.single().unwrap().rows(thread..thread + m).unwrap();
                        assert!(distance(part.single().unwrap(), &expected).unwrap() < 10.0);
                    }
                });
            }
        });
    }
}

/// `tests/data/ort/make_ort.py` makes the files.
#[test]
fn every_element_type_goes_in_and_out() {
    let Some(loader) = loader() else { return };
    let model = loader.load(data("ort/types.onnx")).unwrap();
    let (f16, bf16) = (half::f16::from_f32, half::bf16::from_f32);
    macro_rules! column {
        ($($value:expr),*) => { Tensor::from_vec(&[2, 1], vec![$($value),*]).unwrap() };
    }
    let given = tensors! {
        "bool" => column![true, false], "u8" => column![0u8, 255], "u16" => column![1u16, u16::MAX],
        "u32" => column![2u32, u32::MAX], "u64" => column![3u64, u64::MAX], "i8" => column![-1i8, 127],
        "i16" => column![-2i16, i16::MAX], "i32" => column![-3i32, i32::MIN], "i64" => column![-4i64, i64::MIN],
        "f16" => column![f16(0.5), f16(-2.0)], "bf16" => column![bf16(0.5), bf16(-3.0)],
        "f32" => column![0.1f32, -1e30], "f64" => column![0.1f64, 1e300],
        "string" => column!["".to_owned(), "a\0b, Größe, 東京".to_owned()],
    }
    .unwrap();
    let answers = model.predict_batch(&given).unwrap();
    for (name, tensor) in given.iter() {
        assert_eq!(answers.tensor(&format!("{name}_out")).unwrap(), tensor, "{name}");
    }
    assert_eq!(model.signature().input("bf16").unwrap().dtype(), DType::Bf16);
    let none = model.predict_batch(&given.rows(0..0).unwrap()).unwrap();
    assert_eq!(none.tensor("string_out").unwrap().shape(), [0, 1]);
}

#[test]
fn types_and_operators_that_are_not_carried_are_named() {
    let Some(loader) = loader() else { return };
    for (file, word) in [("f8.onnx", "float8e4m3fn"), ("sequence.onnx", "sequence"), ("no_such.onnx", "NoSuch")] {
        let error = loader.load(data("ort").join(file)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{file}: {error:?}");
        assert!(format!("{error:?}").contains(word), "{file}: {error:?}");
    }
    let error = loader.load_bytes("cut.onnx", std::fs::read(data("ort/types.onnx")).unwrap()[..200].to_vec());
    assert!(error.is_err());
}

#[test]
fn weights_in_another_file_are_part_of_the_model() {
    let Some(loader) = loader() else { return };
    let x = tensors! { "x" => Tensor::from_vec(&[1, 2], vec![1.0f32, 1.0]).unwrap() }.unwrap();
    let model = loader.load(data("ort/external.onnx")).unwrap();
    let y = model.predict_batch(&x).unwrap();
    assert_eq!(y.single().unwrap().as_slice::<f32>().unwrap(), [4.0, 6.0]);
    let artifact = model.artifact().unwrap();
    assert_eq!(artifact.files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["external.onnx", "weights.bin"]);
    assert_eq!(loader.load_artifact(&artifact).unwrap().predict_batch(&x).unwrap(), y);
    // Alone in memory it has nothing beside it.
    let bytes = std::fs::read(data("ort/external.onnx")).unwrap();
    assert_eq!(loader.load_bytes("external.onnx", bytes).unwrap_err().kind(), ErrorKind::Malformed);
    // Out of the directory no weights are read.
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let copy = |from: &str, to: &Path| std::fs::copy(data("ort").join(from), to).map(drop).unwrap();
    copy("weights.bin", &folder.path().join("weights.bin"));
    copy("external_outside.onnx", &inner.join("m.onnx"));
    assert_eq!(loader.load(inner.join("m.onnx")).unwrap_err().kind(), ErrorKind::Malformed);
}
