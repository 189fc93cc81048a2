//! Packed models: their answers against the reference library's, the conformance suite, no memory taken, and broken bytes.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{Gap, data, distance, gap, with_prefix};
use modelberth::conformance::{Check, Options, assert_conforms};
use modelberth::edge::Packed;
use modelberth::optimize::{Convert, Data};
use modelberth::table::{TableReader, read_npz};
use modelberth::{ErrorKind, Loader, Model, Result, Tensor, Tensors};

/// How many tolerances the packed form, all f32 and summed one by one, may be off.
const WITHIN: f64 = 2.0;

/// Models whose answers are differences of nearly equal numbers, so that f32 shows in them.
const LOOSE: &[&str] = &["cluster_KMeans", "transformer_KMeans", "i64_ocsvm", "gpr_c_rbf_std"];

/// How many tolerances the answers of the model called `name` may be off.
fn within(name: &str) -> f64 {
    if LOOSE.contains(&name) { 20.0 } else { WITHIN }
}

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread allocates.
struct Counting;

#[allow(unsafe_code, reason = "an allocator is an unsafe trait")]
// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn packed(path: &Path) -> Result<Vec<u8>> {
    let done = Convert::new().packed().run(path)?;
    Ok(done.artifact().files[0].content()?.to_vec())
}

fn answers(model: &dyn Model, path: &Path, golden: &Tensors<'_>) -> Result<Tensors<'static>> {
    let csv = path.with_extension("csv");
    if csv.exists() {
        return model.predict_batch(&TableReader::open(&csv, model.signature())?.read_all()?);
    }
    let given = with_prefix(golden, "in:");
    let mut inputs = Tensors::new();
    for spec in model.signature().inputs() {
        let tensor = given.tensor(spec.name()).or_else(|_| given.single())?;
        inputs.insert(spec.name(), tensor.cast(spec.dtype())?)?;
    }
    model.predict_batch(&inputs)
}

/// The outputs of the model called `name` that are not those expected.
fn off(name: &str, got: &Tensors<'_>, expected: &Tensors<'_>) -> Vec<String> {
    let far = |output: &str, expected| distance(got.tensor(output).map_err(|e| e.to_string())?, expected);
    let what = expected.iter().filter_map(|(output, expected)| match far(output, expected) {
        Ok(far) if far <= within(name) => None,
        Ok(far) => Some(format!("{name}: `{output}` is {far:.1} tolerances off")),
        Err(what) => Some(format!("{name}: `{output}`: {what}")),
    });
    what.collect()
}

#[test]
fn packed_models_answer_as_the_reference_does() {
    let (mut count, mut wrong, mut smaller) = (0, Vec::new(), 0);
    for path in common::models("zoo") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = match packed(&path) {
            Ok(bytes) => bytes,
            Err(e) => {
                wrong.push(format!("{name}: {e}"));
                continue;
            }
        };
        count += 1;
        smaller += usize::from((bytes.len() as u64) < fs::metadata(&path).unwrap().len());
        let model = Loader::new().load_bytes("small.mbp", bytes).unwrap();
        let golden = read_npz(&fs::read(path.with_extension("npz")).unwrap()).unwrap();
        let got = answers(&*model, &path, &golden).unwrap();
        let native = answers(&*modelberth::load(&path).unwrap(), &path, &golden).unwrap();
        let expected = with_prefix(&golden, "ort:");
        // Where ONNX Runtime has no answers, those of `native`, which are held against the library elsewhere.
        let expected = if expected.is_empty() { native } else { expected };
        wrong.extend(off(&name, &got, &expected));
    }
    assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 61, "only {count} models were packed");
    assert!(smaller * 2 > count, "only {smaller} of {count} are smaller than they were");
}

#[test]
fn the_second_zoo_answers_as_the_reference_does_where_it_packs() {
    let (mut count, mut wrong) = (0, Vec::new());
    for path in common::models("zoo2") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = match packed(&path) {
            Ok(bytes) => bytes,
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Unsupported, "{name}: {e}");
                continue;
            }
        };
        let model = Loader::new().load_bytes("small.mbp", bytes).unwrap();
        let golden = read_npz(&fs::read(path.with_extension("npz")).unwrap()).unwrap();
        let expected = with_prefix(&golden, "ort:");
        if expected.is_empty() {
            continue;
        }
        count += 1;
        let got = answers(&*model, &path, &golden).unwrap();
        wrong.extend(off(&name, &got, &expected));
    }
    assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 40, "only {count} models were packed");
}

/// Networks give ONNX Runtime's classes, and its numbers as far as 8 bits let them.
#[test]
fn networks_answer_as_the_reference_does() {
    for path in common::models("nets") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = packed(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let model = Loader::new().load_bytes("small.mbp", bytes).unwrap();
        let golden = common::golden(&path);
        let got = answers(&*model, &path, &golden).unwrap();
        let expected = with_prefix(&golden, "ort:");
        let Gap { most, mean, other } = gap(got.single().unwrap(), expected.single().unwrap());
        println!("{name:24} most {most:.2e}, mean/range {mean:.2e}, other classes {other}");
        let fits = if name.contains("int8") { mean <= 0.01 } else { most <= 1e-4 };
        assert!(fits && other == 0, "{name}: most {most}, mean {mean}, other {other}");
    }
}

/// Single layers: convolutions, pools, recurrences both ways, sorting, attention, trees that ask for sets.
#[test]
fn layers_answer_as_the_reference_does() {
    let mut wrong = Vec::new();
    for path in common::models("layers") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let convert = if name == "open" { Convert::new().size("length", 5) } else { Convert::new() };
        let model = convert.packed().run(&path).unwrap().load(&Loader::new()).unwrap();
        let golden = common::golden(&path);
        let got = answers(&*model, &path, &golden).unwrap();
        wrong.extend(off(&name, &got, &with_prefix(&golden, "ort:")));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn sizes_that_stay_open_are_asked_for() {
    let path = data("layers/open.onnx");
    let error = Convert::new().packed().run(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("NAME=N"), "{error}");
    let error = Convert::new().packed().size("width", 5).run(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("length"), "{error}");
    let error = Convert::new().size("length", 5).run(data("zoo/xgb_binary.json")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let model = Convert::new().packed().size("x:1", 3).run(&path).unwrap().load(&Loader::new()).unwrap();
    assert_eq!(model.signature().inputs()[0].to_string(), "x: f32 (m, 3)");
}

/// A model without a batch axis answers as a whole.
#[test]
fn a_model_without_a_batch_axis_is_one_observation() {
    let bytes = packed(&data("layers/whole.onnx")).unwrap();
    let model = Packed::new(&bytes).unwrap();
    assert!(model.inputs().chain(model.outputs()).all(|port| port.is_whole()));
    let loaded = Loader::new().load_bytes("small.mbp", bytes).unwrap();
    assert!(!loaded.signature().is_batched());
    let golden = common::golden(&data("layers/whole.onnx"));
    let got = answers(&*loaded, &data("layers/whole.onnx"), &golden).unwrap();
    assert_eq!(off("whole", &got, &with_prefix(&golden, "ort:")), [""; 0]);
}

/// Small graphs of every operator that the quantiser writes, where they answer rows by themselves.
#[test]
fn quantised_operators_answer_as_the_reference_does_where_they_pack() {
    let mut count = 0;
    for path in ["qops", "quantized"].into_iter().flat_map(common::models) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let bytes = match packed(&path) {
            Ok(bytes) => bytes,
            Err(e) => {
                println!("{name}: {e}");
                assert_eq!(e.kind(), ErrorKind::Unsupported, "{name}: {e}");
                continue;
            }
        };
        count += 1;
        let model = Loader::new().load_bytes("small.mbp", bytes).unwrap();
        let golden = common::golden(&path);
        let got = answers(&*model, &path, &golden).unwrap();
        let expected = with_prefix(&golden, "ort:");
        for ((output, got), (_, expected)) in got.iter().zip(expected.iter()) {
            let mean = gap(got, expected).mean;
            assert!(mean <= 0.01, "{name}: `{output}` is {mean} of the range off on average");
        }
    }
    assert!(count >= 70, "only {count} graphs were packed");
}

#[test]
fn boosters_own_files_are_packed() {
    for file in [
        "lgb_binary.txt",
        "lgb_multi.txt",
        "lgb_categorical.txt",
        "xgb_binary.json",
        "xgb_multi.json",
        "xgb_reg.json",
        "cat_binary.json",
    ] {
        let path = data("zoo").join(file);
        let golden = read_npz(&fs::read(path.with_extension("npz")).unwrap()).unwrap();
        let model = Loader::new().load_bytes("small.mbp", packed(&path).unwrap()).unwrap();
        let got = answers(&*model, &path, &golden).unwrap();
        let expected = answers(&*modelberth::load(&path).unwrap(), &path, &golden).unwrap();
        assert_eq!(off(file, &got, &expected), [""; 0]);
    }
}

/// CatBoost's models of every loss, as ONNX and packed, against the file itself; those that read categories with the texts of
/// their rows, and one text more that nobody saw.
#[test]
fn catboosts_losses_become_onnx() {
    let mut archive = zip::ZipArchive::new(fs::File::open(data("boosters/catboost.zip")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    archive.extract(folder.path()).unwrap();
    let (mut count, mut wrong) = (0, Vec::new());
    let mut paths: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "json")) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        // Numbers that are too large for f32 become infinite for all.
        let golden = common::golden(path);
        let x = golden.tensor("in:x").unwrap();
        let narrow = common::numbers(x).unwrap().into_iter().map(|x| x as f32).collect::<Vec<f32>>();
        let mut rows = Tensors::one("in:x", Tensor::from_vec(x.shape(), narrow).unwrap());
        let convert = || match golden.tensor("in:categories") {
            Ok(texts) => {
                let mut known = Tensors::one("x", rows.tensor("in:x").unwrap().clone());
                known.insert("categories", texts.clone()).unwrap();
                Convert::new().data(Data::arrays(known)).latency_time(Duration::ZERO)
            }
            Err(_) => Convert::new(),
        };
        let load = |convert: Convert<'static>| convert.run(path)?.load(&Loader::new());
        let (converted, small) = match (load(convert()), load(convert().packed())) {
            (Ok(converted), Ok(small)) => (converted, small),
            (Err(e), _) | (_, Err(e)) => {
                println!("{name}: {e}");
                assert_eq!(e.kind(), ErrorKind::Unsupported, "{name}: {e}");
                continue;
            }
        };
        count += 1;
        if let Ok(texts) = golden.tensor("in:categories") {
            let error = Convert::new().run(path).unwrap_err();
            assert!(error.to_string().contains("--data"), "{name}: {error}");
            let mut cells = texts.as_slice::<String>().unwrap().to_vec();
            cells.iter_mut().step_by(7).for_each(|cell| *cell = "nobody saw this".to_owned());
            rows.insert("in:categories", Tensor::from_vec(texts.shape(), cells).unwrap()).unwrap();
        }
        let expected = answers(&*modelberth::load(path).unwrap(), path, &rows).unwrap();
        for model in [converted, small] {
            wrong.extend(off(&name, &answers(&*model, path, &rows).unwrap(), &expected));
        }
    }
    println!("{count} became ONNX");
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 70, "only {count} models became ONNX");
}

#[test]
fn packed_models_conform() {
    for name in
        ["classifier_RandomForestClassifier", "pipeline_onehot_logreg", "regressor_Ridge", "classifier_MLPClassifier"]
    {
        let model = Loader::new().load_bytes("small.mbp", packed(&data(&format!("zoo/{name}.onnx"))).unwrap()).unwrap();
        let report = assert_conforms(&*model, &Options::new());
        assert_eq!(report.passed(), Check::ALL, "{name}: {report}");
    }
}

#[test]
fn nothing_is_allocated() {
    for name in ["classifier_RandomForestClassifier", "pipeline_ordinal_mlp", "classifier_GaussianNB"] {
        let bytes = packed(&data(&format!("zoo/{name}.onnx"))).unwrap();
        let mut scratch = vec![0.0; Packed::new(&bytes).unwrap().scratch_len()];
        let (mut input, mut output) = ([0.5f32; 16], [0.0f32; 16]);
        let before = ALLOCATIONS.get();
        let model = Packed::new(&bytes).unwrap();
        let (input, output) = (&mut input[..model.input_len()], &mut output[..model.output_len()]);
        model.predict(input, &mut scratch, output).unwrap();
        let texts =
            model.texts().count() + model.inputs().count() + model.outputs().map(|p| p.dims().count()).sum::<usize>();
        assert_eq!(ALLOCATIONS.get(), before, "{name}, {texts} texts and ports");
        assert!(output.iter().any(|x| *x != 0.0), "{name} answers");
    }
}

#[test]
fn texts_stand_for_categories_and_labels() {
    let bytes = packed(&data("zoo/pipeline_onehot_rf.onnx")).unwrap();
    let model = Packed::new(&bytes).unwrap();
    assert!(model.inputs().any(|port| port.is_text()));
    let known: Vec<&str> = model.texts().collect();
    for (i, text) in known.iter().enumerate() {
        assert_eq!(model.code(text), i as f32);
        assert_eq!(model.text(i as f32), Some(*text));
    }
    assert_eq!(model.code("no such category"), -1.0);
    assert_eq!((model.text(-1.0), model.text(f32::NAN), model.text(1e9)), (None, None, None));
}

/// Broken bytes with the checksum that belongs to them are refused, or answer something; nothing panics.
#[test]
fn broken_bytes_are_errors() {
    let whole = packed(&data("zoo/pipeline_onehot_rf.onnx")).unwrap();
    let short = packed(&data("zoo/classifier_LogisticRegression.onnx")).unwrap();
    for cut in 0..short.len() {
        assert!(Packed::new(&short[..cut]).is_err(), "cut at {cut}");
    }
    let mut refused = 0;
    for (bytes, step) in [(&short, 1), (&whole, 101)] {
        for at in (16..bytes.len()).step_by(step) {
            for change in [0x01, 0x80, 0xff] {
                let mut broken = bytes.clone();
                broken[at] ^= change;
                assert!(Packed::new(&broken).is_err(), "the checksum at {at}");
                let sum =
                    broken[16..].iter().fold(0x811c_9dc5u32, |s, b| (s ^ u32::from(*b)).wrapping_mul(0x0100_0193));
                broken[12..16].copy_from_slice(&sum.to_le_bytes());
                match Packed::new(&broken) {
                    Ok(model) if model.scratch_len() < 1 << 16 && model.input_len() < 1 << 16 => {
                        let mut output = vec![0.0; model.output_len()];
                        let input = vec![f32::NAN; model.input_len()];
                        model.predict(&input, &mut vec![0.0; model.scratch_len()], &mut output).unwrap();
                    }
                    Ok(_) => {}
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(refused > 500, "only {refused} were refused");
}
