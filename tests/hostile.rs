//! Files and inputs that are broken, or made to do harm: each is an error that names the culprit, at once and without
//! memory, or an answer that is defined.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "common/onnx.rs"]
mod onnx;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use modelberth::ndarray::Array2;
use modelberth::{Error, ErrorKind, Limits, Loader, Model, ModelExt, Result, Tensor, Tensors, tensors};
use onnx::*;

/// What no case may take, in a debug build on a busy machine.
const LONG: Duration = Duration::from_secs(20);
/// A dimension that no memory holds.
const HUGE: i64 = 1 << 62;
/// The elements of a tensor of 3 GB.
const THREE_GB: i64 = 750_000_000;

const ML: &str = "ai.onnx.ml";

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)
}

/// An empty directory of the test's own.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn load(bytes: impl Into<Arc<[u8]>>) -> Result<Arc<dyn Model>> {
    Loader::new().load_bytes("hostile.onnx", bytes)
}

/// Holds an error to its kind and to the words that it must hold.
#[track_caller]
fn names<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind, words: &[&str]) {
    let error = result.unwrap_err();
    let text = chain(&error);
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Holds what a file gives to "a model, or an error that blames the file", and runs the model.
#[track_caller]
fn survives(bytes: &[u8], what: &str) {
    let start = Instant::now();
    match Loader::new().limits(Limits::default().max_elements(1 << 20)).load_bytes("damaged.onnx", bytes) {
        Ok(model) => {
            let mut inputs = Tensors::new();
            for spec in model.signature().inputs() {
                let shape: Vec<usize> = spec
                    .dims()
                    .iter()
                    .map(|d| if let modelberth::Dim::Fixed(n) = d { (*n).min(1 << 10) } else { 2 })
                    .collect();
                let zeros = Tensor::from_vec(&shape, vec![0.5f32; shape.iter().product()]).unwrap();
                let _ = inputs.insert(spec.name().clone(), zeros.cast(spec.dtype()).unwrap_or(zeros));
            }
            let _ = model.predict_batch(&inputs);
        }
        Err(e) => {
            use ErrorKind::*;
            let blamed = [Malformed, Unsupported, FeatureDisabled, LimitExceeded, WrongShape, WrongType, InvalidValue];
            assert!(blamed.contains(&e.kind()), "{what}: {e:?}");
            assert!(e.to_string().contains("damaged.onnx"), "{what}: {e}");
        }
    }
    assert!(start.elapsed() < LONG, "{what} took {:?}", start.elapsed());
}

/// Real files, small to large.
const REAL: [&str; 9] = [
    "zoo/transformer_Normalizer.onnx",
    "zoo/regressor_Ridge.onnx",
    "zoo/classifier_LogisticRegression.onnx",
    "zoo/zipmap_iris.onnx",
    "zoo/pipeline_onehot_logreg.onnx",
    "zoo/pipeline_ordinal_mlp.onnx",
    "zoo/classifier_OneVsOneClassifier.onnx",
    "zoo/pipeline_onehot_gb.onnx",
    "zoo/regressor_KNeighborsRegressor.onnx",
];

#[test]
fn truncated_files_are_refused() {
    for name in REAL {
        let bytes = fs::read(data(name)).unwrap();
        // Every length of a small file; of a larger one its head, its tail and a sample.
        let step = (bytes.len() / 300).max(1);
        let lengths = (0..bytes.len()).filter(|n| *n < 100 || bytes.len() - n < 100 || n % step == 0);
        lengths.for_each(|n| survives(&bytes[..n], &format!("{name} cut to {n} bytes")));
        // All but the last byte cannot be whole.
        names(load(&bytes[..bytes.len() - 1]), ErrorKind::Malformed, &["hostile.onnx", "byte"]);
    }
    let cut = &fs::read(data("zoo/zipmap_iris.onnx")).unwrap()[..300];
    names(load(cut), ErrorKind::Malformed, &["ModelProto, field 7", "the value takes", "are left"]);
}

#[test]
fn flipped_bits_never_panic() {
    for name in REAL {
        let bytes = fs::read(data(name)).unwrap();
        let whole = bytes.len() < 700;
        let step = if whole { 1 } else { (bytes.len() * 8 / 400).max(1) | 1 };
        for bit in (0..bytes.len() * 8).step_by(step) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            survives(&damaged, &format!("{name} with bit {bit} flipped"));
        }
    }
}

#[test]
fn the_content_counts_and_not_the_extension() {
    let directory = directory("extension");
    let text = directory.join("model.txt");
    fs::copy(data("zoo/zipmap_iris.onnx"), &text).unwrap();
    assert_eq!(modelberth::load(&text).unwrap().describe().format, "onnx");

    let refused = |name: &str, content: &[u8], kind: ErrorKind, words: &[&str]| {
        let path = directory.join(name);
        fs::write(&path, content).unwrap();
        names(modelberth::load(&path), kind, &[&[name], words].concat());
    };
    refused("empty.onnx", b"", ErrorKind::Malformed, &["the file is empty"]);
    refused("csv.onnx", b"age,plan\n31,pro\n", ErrorKind::Malformed, &["no format that is known", "age,plan"]);
    refused("npy.onnx", &fs::read(data("tables/column.npy")).unwrap(), ErrorKind::Malformed, &["array of numbers"]);
    refused("npz.onnx", &fs::read(data("tables/two_in.npz")).unwrap(), ErrorKind::Unsupported, &["zip archive"]);
    refused("pickle.onnx", b"\x80\x04\x95\x1b\0\0\0\0\0\0\0\x8c\x07sklearn", ErrorKind::Unsupported, &["pickle"]);
    refused("json.onnx", b"{\"a\": 1}", ErrorKind::Malformed, &["no format that is known"]);
    refused("zeros.onnx", &[0; 64], ErrorKind::Malformed, &["no format that is known"]);
    names(modelberth::load(directory.join("absent.onnx")), ErrorKind::NotFound, &["absent.onnx"]);
}

#[test]
fn weights_need_their_directory_and_the_feature() {
    let mut safetensors = 2u64.to_le_bytes().to_vec();
    safetensors.extend_from_slice(b"{}");
    let directory = directory("safetensors");
    fs::write(directory.join("model.safetensors"), &safetensors).unwrap();
    let candle = Loader::new().backend(modelberth::Backend::Candle).load(data("zoo/zipmap_iris.onnx"));
    if cfg!(feature = "candle") {
        names(load(safetensors), ErrorKind::Unsupported, &["weights alone", "config.json"]);
        names(modelberth::load(&directory), ErrorKind::NotFound, &["Hugging Face directory", "config.json"]);
        names(modelberth::load(directory.join("model.safetensors")), ErrorKind::NotFound, &["config.json"]);
        names(candle, ErrorKind::Unsupported, &["ONNX"]);
    } else {
        names(load(safetensors), ErrorKind::FeatureDisabled, &["Hugging Face", "feature `candle`"]);
        names(modelberth::load(&directory), ErrorKind::FeatureDisabled, &["directory", "feature `candle`"]);
        names(candle, ErrorKind::FeatureDisabled, &["feature `candle`"]);
    }
}

#[test]
fn cycles() {
    let nodes = [node("Add", "", &["x", "b"], &["a"], &[]), node("Relu", "", &["a"], &["b"], &[])];
    let (x, y) = (value("x", FLOAT, &[None, Some(2)]), value("b", FLOAT, &[None, Some(2)]));
    names(load(file(&graph(&[x], &nodes, &[], &[y]))), ErrorKind::Malformed, &["cycle", "the_add"]);
    let itself = [node("Add", "", &["x", "y"], &["y"], &[])];
    names(load(floats_to_floats(&itself, &[])), ErrorKind::Malformed, &["cycle", "the_add"]);
}

#[test]
fn missing_values() {
    let nodes = [node("Add", "", &["x", "weights"], &["y"], &[])];
    names(load(floats_to_floats(&nodes, &[])), ErrorKind::Malformed, &["the_add", "`weights`"]);
    let nodes = [node("Identity", "", &["x"], &["z"], &[])];
    names(load(floats_to_floats(&nodes, &[])), ErrorKind::Malformed, &["`y`"]);
    let absent = [node("Add", "", &["x", ""], &["y"], &[])];
    names(load(floats_to_floats(&absent, &[])), ErrorKind::Malformed, &["the_add", "input 1"]);
    let twice = [node("Identity", "", &["x"], &["y"], &[]), node("Relu", "", &["x"], &["y"], &[])];
    names(load(floats_to_floats(&twice, &[])), ErrorKind::Malformed, &["`y`", "two nodes"]);
    let nothing = file(&graph(&[value("x", FLOAT, &[None])], &[], &[], &[]));
    names(load(nothing), ErrorKind::Malformed, &["no outputs"]);
}

#[test]
fn names_given_twice() {
    let (x, y) = (value("x", FLOAT, &[None, Some(2)]), value("y", FLOAT, &[None, Some(2)]));
    let relu = [node("Relu", "", &["x"], &["y"], &[])];
    let outputs = load(file(&graph(std::slice::from_ref(&x), &relu, &[], &[y.clone(), y.clone()])));
    names(outputs, ErrorKind::Malformed, &["two outputs", "`y`"]);
    let inputs = load(file(&graph(&[x.clone(), x.clone()], &relu, &[], std::slice::from_ref(&y))));
    names(inputs, ErrorKind::Malformed, &["two inputs", "`x`"]);
    // The elements of a sequence are named after it, which another output may be called already.
    let nodes = [node("Identity", "", &["x"], &["s_0"], &[]), node("SequenceConstruct", "", &["x", "x"], &["s"], &[])];
    let (first, second) = (value("s", FLOAT, &[]), value("s_0", FLOAT, &[None, Some(2)]));
    names(load(file(&graph(&[x], &nodes, &[], &[first, second]))), ErrorKind::Malformed, &["two outputs", "`s_0`"]);
    let twice = Loader::new().outputs(["label", "label"]);
    names(twice.load(data("zoo/zipmap_iris.onnx")), ErrorKind::InvalidArgument, &["twice", "`label`"]);
    let iris = modelberth::load(data("zoo/zipmap_iris.onnx")).unwrap();
    let name = iris.signature().outputs()[0].name().to_string();
    let twice = Loader::new().outputs([name.clone(), name.clone()]);
    names(twice.load(data("zoo/zipmap_iris.onnx")), ErrorKind::InvalidArgument, &["twice", &name]);
}

#[test]
fn impossible_dimensions() {
    let add = [node("Add", "", &["x", "w"], &["y"], &[])];
    let with = |dims: &[i64]| load(floats_to_floats(&add, &[raw("w", FLOAT, dims, &[0; 8])]));
    names(with(&[HUGE]), ErrorKind::LimitExceeded, &["`w`", "4611686018427387904"]);
    names(with(&[HUGE, HUGE]), ErrorKind::Malformed, &["`w`", "overflows"]);
    names(with(&[0, HUGE, HUGE]), ErrorKind::Malformed, &["`w`", "overflows"]);
    names(with(&[-2]), ErrorKind::Malformed, &["`w`", "negative"]);
    names(with(&[i64::MIN]), ErrorKind::Malformed, &["`w`", "negative"]);
    names(with(&[3]), ErrorKind::Malformed, &["`w`", "expected 12", "got 8"]);

    let declared = |dims: &[Dim]| {
        let (x, y) = (value("x", FLOAT, dims), value("y", FLOAT, &[None, Some(2)]));
        load(file(&graph(&[x], &[node("Relu", "", &["x"], &["y"], &[])], &[], &[y])))
    };
    names(declared(&[None, Some(HUGE)]), ErrorKind::LimitExceeded, &["`x`", "4611686018427387904"]);
    names(declared(&[Some(HUGE), Some(HUGE)]), ErrorKind::LimitExceeded, &["`x`"]);
    names(declared(&[None, Some(-7)]), ErrorKind::Malformed, &["`x`", "negative", "-7"]);
}

#[test]
fn three_gigabytes_in_a_small_file() {
    let start = Instant::now();
    let add = [node("Add", "", &["x", "w"], &["y"], &[])];
    let declared = load(floats_to_floats(&add, &[raw("w", FLOAT, &[THREE_GB], &[0; 8])]));
    names(declared, ErrorKind::Malformed, &["`w`", "3000000000", "got 8"]);
    let limited = Loader::new().limits(Limits::default().max_elements(1 << 20));
    let bytes = floats_to_floats(&add, &[raw("w", FLOAT, &[THREE_GB], &[0; 8])]);
    names(limited.load_bytes("x", bytes), ErrorKind::LimitExceeded, &["`w`", "750000000"]);

    // The same through operators that make large values of small ones.
    let made = |nodes: &[Message], constants: &[Message]| {
        let nodes = [nodes, &[node("Add", "", &["x", "w"], &["y"], &[])]].concat();
        load(floats_to_floats(&nodes, constants))
    };
    for size in [THREE_GB, HUGE] {
        let shape = i64s("shape", &[2], &[size, 2]);
        let filled = made(&[node("ConstantOfShape", "", &["shape"], &["w"], &[])], std::slice::from_ref(&shape));
        names(filled, ErrorKind::LimitExceeded, &["the_constantofshape"]);
        let one = f32s("one", &[1, 2], &[1.0, 2.0]);
        let expanded = made(&[node("Expand", "", &["one", "shape"], &["w"], &[])], &[shape.clone(), one.clone()]);
        names(expanded, ErrorKind::LimitExceeded, &["the_expand"]);
        let tiled = made(&[node("Tile", "", &["one", "shape"], &["w"], &[])], &[shape, one.clone()]);
        names(tiled, ErrorKind::LimitExceeded, &["the_tile"]);
        let bounds = [i64s("from", &[], &[0]), i64s("to", &[], &[size]), i64s("step", &[], &[1])];
        let range = node("Range", "", &["from", "to", "step"], &["r"], &[]);
        let ranged = made(&[range, node("Cast", "", &["r"], &["w"], &[int("to", 1)])], &bounds);
        names(ranged, ErrorKind::LimitExceeded, &["the_range"]);
        let pads = i64s("pads", &[4], &[0, 0, size, 0]);
        let padded = made(&[node("Pad", "", &["one", "pads"], &["w"], &[])], &[one, pads]);
        names(padded, ErrorKind::LimitExceeded, &["the_pad"]);
        let depth = i64s("depth", &[], &[size]);
        let constants = [depth, i64s("at", &[2], &[0, 1]), f32s("values", &[2], &[0.0, 1.0])];
        let hot = made(&[node("OneHot", "", &["at", "depth", "values"], &["w"], &[])], &constants);
        names(hot, ErrorKind::LimitExceeded, &["the_onehot"]);
    }
    // Steps that each stay within the limit, and together double 40 times.
    let mut nodes = vec![node("Concat", "", &["x", "x"], &["c0"], &[int("axis", 1)])];
    for i in 0..40 {
        let (from, to) = (format!("c{i}"), format!("c{}", i + 1));
        nodes.push(node("Concat", "", &[&from, &from], &[&to], &[int("axis", 1)]));
    }
    nodes.push(node("Identity", "", &["c40"], &["y"], &[]));
    names(load(floats_to_floats(&nodes, &[])), ErrorKind::LimitExceeded, &["the_concat"]);
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
}

#[test]
fn attributes_of_the_wrong_type() {
    let text = [node("Concat", "", &["x", "x"], &["y"], &[string("axis", "1")])];
    names(load(floats_to_floats(&text, &[])), ErrorKind::Malformed, &["the_concat", "`axis`", "int", "string"]);
    let number = [node("Scaler", ML, &["x"], &["y"], &[int("offset", 1), floats("scale", &[1.0])])];
    names(load(floats_to_floats(&number, &[])), ErrorKind::Malformed, &["the_scaler", "`offset`", "floats", "int"]);
    let list = [node("LinearRegressor", ML, &["x"], &["y"], &[ints("coefficients", &[1, 2])])];
    names(load(floats_to_floats(&list, &[])), ErrorKind::Malformed, &["the_linearregressor", "`coefficients`"]);
    let float = [node("Softmax", "", &["x"], &["y"], &[float("axis", 1.0)])];
    names(load(floats_to_floats(&float, &[])), ErrorKind::Malformed, &["the_softmax", "`axis`"]);
    let unknown = strings("cats_strings", &["a", "b"]);
    let both = [node("OneHotEncoder", ML, &["x"], &["y"], &[unknown, ints("cats_int64s", &[1])])];
    names(load(floats_to_floats(&both, &[])), ErrorKind::Malformed, &["the_onehotencoder"]);
    let tensor_wanted = [
        node("ConstantOfShape", "", &["x"], &["w"], &[floats("value", &[1.0])]),
        node("Add", "", &["x", "w"], &["y"], &[]),
    ];
    names(load(floats_to_floats(&tensor_wanted, &[])), ErrorKind::Malformed, &["the_constantofshape", "`value`"]);
}

#[test]
fn lists_that_do_not_fit() {
    let scaler = [node("Scaler", ML, &["x"], &["y"], &[floats("offset", &[0.0; 3]), floats("scale", &[1.0, 1.0])])];
    names(load(floats_to_floats(&scaler, &[])), ErrorKind::Malformed, &["the_scaler"]);
    let svm = [node(
        "SVMRegressor",
        ML,
        &["x"],
        &["y"],
        &[
            int("n_supports", HUGE),
            floats("support_vectors", &[1.0, 2.0]),
            floats("coefficients", &[1.0]),
            floats("rho", &[0.0]),
        ],
    )];
    names(load(floats_to_floats(&svm, &[])), ErrorKind::Malformed, &["the_svmregressor"]);
    let classes = [node(
        "LinearClassifier",
        ML,
        &["x"],
        &["label", "y"],
        &[floats("coefficients", &[1.0; 4]), floats("intercepts", &[0.0; 2]), ints("classlabels_ints", &[0, 1, 2])],
    )];
    names(load(floats_to_floats(&classes, &[])), ErrorKind::Malformed, &["the_linearclassifier"]);
    let keys = [
        node("Cast", "", &["x"], &["i"], &[int("to", INT64)]),
        node("LabelEncoder", ML, &["i"], &["y"], &[ints("keys_int64s", &[1, 2]), floats("values_floats", &[1.0])]),
    ];
    names(load(floats_to_floats(&keys, &[])), ErrorKind::Malformed, &["the_labelencoder"]);
    // An index may be computed, so one out of range is told at load or when rows come.
    let features = [node("ArrayFeatureExtractor", ML, &["x", "i"], &["y"], &[])];
    let refused = match load(floats_to_floats(&features, &[i64s("i", &[1], &[7])])) {
        Ok(model) => model.predict_array(Array2::<f32>::zeros((3, 2))).unwrap_err(),
        Err(e) => e,
    };
    assert!(refused.to_string().contains("the_arrayfeatureextractor"), "{refused}");
}

#[test]
fn unknown_operators_are_named_with_their_node() {
    let unknown = [node("Abracadabra", "", &["x"], &["y"], &[])];
    names(load(floats_to_floats(&unknown, &[])), ErrorKind::Unsupported, &["`Abracadabra`", "the_abracadabra"]);
    let foreign = [node("Relu", "com.example", &["x"], &["y"], &[])];
    names(load(floats_to_floats(&foreign, &[])), ErrorKind::Unsupported, &["`Relu`", "com.example", "the_relu"]);
    let nameless = [Message::new().bytes(1, "x").bytes(2, "y")];
    names(load(floats_to_floats(&nameless, &[])), ErrorKind::Unsupported, &["'y'"]);
}

#[test]
fn external_data_stays_in_the_directory() {
    let directory = directory("external");
    let inner = directory.join("inner");
    fs::create_dir_all(&inner).unwrap();
    fs::write(directory.join("secret.bin"), [0; 8]).unwrap();
    let load_with = |location: &str| {
        let add = [node("Add", "", &["x", "w"], &["y"], &[])];
        let path = inner.join("model.onnx");
        fs::write(&path, floats_to_floats(&add, &[external("w", &[2], location)])).unwrap();
        modelberth::load(&path)
    };
    names(load_with("../../etc/passwd"), ErrorKind::Malformed, &["`w`", "../../etc/passwd", "without `..`"]);
    names(load_with("../secret.bin"), ErrorKind::Malformed, &["`w`", "../secret.bin"]);
    names(load_with("a/../../secret.bin"), ErrorKind::Malformed, &["`w`", "a/../../secret.bin"]);
    names(load_with("/etc/passwd"), ErrorKind::Malformed, &["`w`", "/etc/passwd", "not absolute"]);
    names(load_with(""), ErrorKind::Malformed, &["`w`"]);
    names(load_with("absent.bin"), ErrorKind::NotFound, &["`w`", "absent.bin"]);
    names(load_with("."), ErrorKind::Malformed, &["`w`"]);
    fs::write(inner.join("short.bin"), [0; 7]).unwrap();
    names(load_with("short.bin"), ErrorKind::Malformed, &["`w`", "short.bin", "at least 8", "got 7"]);
    fs::write(inner.join("whole.bin"), [0; 8]).unwrap();
    load_with("whole.bin").unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../secret.bin", inner.join("link.bin")).unwrap();
        names(load_with("link.bin"), ErrorKind::Malformed, &["`w`", "link.bin", "leads out"]);
        names(load_with("/dev/zero"), ErrorKind::Malformed, &["`w`"]);
    }
    let add = [node("Add", "", &["x", "w"], &["y"], &[])];
    let memory = load(floats_to_floats(&add, &[external("w", &[2], "whole.bin")]));
    names(memory, ErrorKind::Malformed, &["`w`", "load the model from its path"]);
}

/// One tree of five nodes over two features, in the parallel lists of the operators before `TreeEnsemble`.
struct Tree {
    yes: [i64; 5],
    no: [i64; 5],
    feature: [i64; 5],
    leaf: [i64; 3],
    tree: [i64; 5],
    modes: [&'static str; 5],
}

const LEAF: &str = "LEAF";
const SOUND: Tree = Tree {
    yes: [1, 3, 0, 0, 0],
    no: [2, 4, 0, 0, 0],
    feature: [0, 1, 0, 0, 0],
    leaf: [2, 3, 4],
    tree: [0; 5],
    modes: ["BRANCH_LEQ", "BRANCH_LEQ", LEAF, LEAF, LEAF],
};

impl Tree {
    fn load(&self) -> Result<Arc<dyn Model>> {
        let attributes = [
            ints("nodes_treeids", &self.tree),
            ints("nodes_nodeids", &[0, 1, 2, 3, 4]),
            ints("nodes_featureids", &self.feature),
            floats("nodes_values", &[0.5, 0.25, 0.0, 0.0, 0.0]),
            strings("nodes_modes", &self.modes),
            ints("nodes_truenodeids", &self.yes),
            ints("nodes_falsenodeids", &self.no),
            ints("nodes_missing_value_tracks_true", &[0; 5]),
            ints("target_treeids", &[0, 0, 0]),
            ints("target_nodeids", &self.leaf),
            ints("target_ids", &[0, 0, 0]),
            floats("target_weights", &[1.0, 2.0, 3.0]),
            int("n_targets", 1),
        ];
        let nodes = [node("TreeEnsembleRegressor", ML, &["x"], &["y"], &attributes)];
        let (x, y) = (value("x", FLOAT, &[None, Some(2)]), value("y", FLOAT, &[None, Some(1)]));
        load(file(&graph(&[x], &nodes, &[], &[y])))
    }

    #[track_caller]
    fn refused(&self, words: &[&str]) {
        names(self.load(), ErrorKind::Malformed, &[&["the_treeensembleregressor"], words].concat());
    }
}

#[test]
fn trees_that_are_none() {
    let model = SOUND.load().unwrap();
    let answers = model.predict_array(Array2::from_shape_vec((3, 2), vec![0f32, 0., 0., 1., 1., 0.]).unwrap()).unwrap();
    assert_eq!(answers.single().unwrap().as_slice::<f32>().unwrap(), [2.0, 3.0, 1.0]);
    Tree { yes: [1, 0, 0, 0, 0], ..SOUND }.refused(&[]);
    Tree { yes: [0, 3, 0, 0, 0], ..SOUND }.refused(&[]);
    Tree { yes: [1, 1, 0, 0, 0], ..SOUND }.refused(&[]);
    Tree { no: [9, 4, 0, 0, 0], ..SOUND }.refused(&[]);
    Tree { no: [2, -1, 0, 0, 0], ..SOUND }.refused(&[]);
    Tree { no: [HUGE, 4, 0, 0, 0], ..SOUND }.refused(&[]);
    Tree { leaf: [2, 3, 99], ..SOUND }.refused(&[]);
    Tree { feature: [0, -1, 0, 0, 0], ..SOUND }.refused(&[]);
    Tree { modes: ["BRANCH_LEQ", "BRANCH_SOMETIMES", LEAF, LEAF, LEAF], ..SOUND }.refused(&["BRANCH_SOMETIMES"]);
    // Features beyond the declared columns: refused at load, or when a row comes that is too short.
    for feature in [2, HUGE] {
        match (Tree { feature: [0, feature, 0, 0, 0], ..SOUND }).load() {
            Err(e) => assert!(e.to_string().contains("the_treeensembleregressor"), "{e}"),
            Ok(model) => assert!(model.predict_array(Array2::<f32>::zeros((3, 2))).is_err()),
        }
    }
}

/// `TreeEnsemble` of opset 5, whose branches are numbered by position.
fn tree_ensemble(yes: [i64; 2], yes_leaf: [i64; 2], no: [i64; 2], roots: &[i64]) -> Result<Arc<dyn Model>> {
    let attributes = [
        int("n_targets", 1),
        ints("tree_roots", roots),
        ints("nodes_featureids", &[0, 1]),
        tensor("nodes_splits", &f32s("", &[2], &[0.5, 0.25])),
        tensor("nodes_modes", &raw("", 2, &[2], &[0, 0])),
        ints("nodes_truenodeids", &yes),
        ints("nodes_trueleafs", &yes_leaf),
        ints("nodes_falsenodeids", &no),
        ints("nodes_falseleafs", &[1, 1]),
        ints("leaf_targetids", &[0, 0, 0]),
        tensor("leaf_weights", &f32s("", &[3], &[1.0, 2.0, 3.0])),
    ];
    let nodes = [node("TreeEnsemble", ML, &["x"], &["y"], &attributes)];
    let (x, y) = (value("x", FLOAT, &[None, Some(2)]), value("y", FLOAT, &[None, Some(1)]));
    load(file(&graph(&[x], &nodes, &[], &[y])))
}

#[test]
fn tree_ensembles_of_opset_5_that_are_none() {
    let model = tree_ensemble([1, 1], [0, 1], [0, 2], &[0]).unwrap();
    let answers = model.predict_array(Array2::from_shape_vec((2, 2), vec![0f32, 0., 1., 0.]).unwrap()).unwrap();
    assert_eq!(answers.single().unwrap().as_slice::<f32>().unwrap(), [2.0, 1.0]);
    let refused = |model: Result<Arc<dyn Model>>| names(model, ErrorKind::Malformed, &["the_treeensemble"]);
    refused(tree_ensemble([1, 0], [0, 0], [0, 2], &[0]));
    refused(tree_ensemble([1, 1], [0, 0], [0, 2], &[0]));
    refused(tree_ensemble([7, 1], [0, 1], [0, 2], &[0]));
    refused(tree_ensemble([1, 1], [0, 1], [0, 3], &[0]));
    refused(tree_ensemble([1, -1], [0, 1], [0, 2], &[0]));
    refused(tree_ensemble([1, 1], [0, 1], [0, 2], &[5]));
    refused(tree_ensemble([1, 1], [0, 1], [0, 2], &[HUGE]));
}

#[test]
fn loops_without_end() {
    let start = Instant::now();
    let limited = |bytes| Loader::new().limits(Limits::default().max_elements(1 << 22)).load_bytes("loop.onnx", bytes);
    let body = graph(
        &[value("i", INT64, &[]), value("go_on", BOOL, &[]), value("state", FLOAT, &[None, Some(2)])],
        &[node("Identity", "", &["go_on"], &["again"], &[]), node("Add", "", &["state", "state"], &["next"], &[])],
        &[],
        &[value("again", BOOL, &[]), value("next", FLOAT, &[None, Some(2)])],
    );
    let nodes = [node("Loop", "", &["trips", "", "x"], &["y"], &[subgraph("body", &body)])];
    let model = limited(floats_to_floats(&nodes, &[i64s("trips", &[], &[HUGE])]));
    names(model, ErrorKind::LimitExceeded, &["the_loop"]);

    // The same with an output that grows by a row each time.
    let body = graph(
        &[value("i", INT64, &[]), value("go_on", BOOL, &[])],
        &[node("Identity", "", &["go_on"], &["again"], &[]), node("Identity", "", &["x"], &["row"], &[])],
        &[],
        &[value("again", BOOL, &[]), value("row", FLOAT, &[None, Some(2)])],
    );
    let nodes = [node("Loop", "", &["trips", ""], &["y"], &[subgraph("body", &body)])];
    let model = limited(floats_to_floats(&nodes, &[i64s("trips", &[], &[HUGE])]));
    names(model, ErrorKind::LimitExceeded, &["the_loop"]);
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
}

#[test]
fn deep_nesting() {
    let nested = |depth: usize| {
        let mut graph_inside = graph(&[], &[node("Identity", "", &["x"], &["y"], &[])], &[], &[value("y", FLOAT, &[])]);
        for _ in 0..depth {
            let branches = [subgraph("then_branch", &graph_inside), subgraph("else_branch", &graph_inside)];
            // One branch is enough to nest; two would double the file each time.
            let nodes = [node("If", "", &["yes"], &["y"], &branches[..1])];
            graph_inside = graph(&[], &nodes, &[], &[value("y", FLOAT, &[])]);
        }
        let nodes = [node("If", "", &["yes"], &["y"], &[subgraph("then_branch", &graph_inside)])];
        load(floats_to_floats(&nodes, &[raw("yes", BOOL, &[], &[1])]))
    };
    names(nested(40), ErrorKind::LimitExceeded, &["deeper than 64"]);
    names(nested(2000), ErrorKind::LimitExceeded, &["deeper than 64"]);
    let deep = Loader::new().limits(Limits::default().max_depth(usize::MAX));
    let types = (0..100_000).fold(Message::new().int(1, 1), |m, _| {
        if m.clone().into_bytes().len() > 20_000 {
            m
        } else {
            Message::new().message(4, &Message::new().message(1, &m))
        }
    });
    let x = Message::new().bytes(1, "x").message(2, &types);
    let bytes = file(&graph(&[x], &[node("Identity", "", &["x"], &["y"], &[])], &[], &[value("y", FLOAT, &[])]));
    names(deep.load_bytes("types.onnx", bytes), ErrorKind::LimitExceeded, &["types.onnx", "deeper than 256"]);
}

#[test]
fn limits_are_kept() {
    let bytes = fs::read(data("zoo/zipmap_iris.onnx")).unwrap();
    let with = |limits: Limits| Loader::new().limits(limits).load_bytes("iris", bytes.clone());
    names(with(Limits::default().max_file_bytes(100)), ErrorKind::LimitExceeded, &["iris", "max_file_bytes", "670"]);
    names(with(Limits::default().max_messages(5)), ErrorKind::LimitExceeded, &["iris", "more than 5 messages"]);
    names(with(Limits::default().max_depth(2)), ErrorKind::LimitExceeded, &["iris", "deeper than 2"]);
    let path = data("zoo/zipmap_iris.onnx");
    let small = Loader::new().limits(Limits::default().max_file_bytes(100));
    names(small.load(path), ErrorKind::LimitExceeded, &["zipmap_iris.onnx", "max_file_bytes"]);
}

#[test]
fn numbers_that_are_none() {
    let model = modelberth::load(data("zoo/zipmap_iris.onnx")).unwrap();
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let rows = [[nan, 0.2, 1.0, 1.0], [inf, 1.0, 1.0, 1.0], [-inf, inf, 1.0, 1.0], [5.0, 3.0, 1.5, 0.2]];
    let rows = Array2::from_shape_fn((4, 4), |(i, j)| rows[i][j]);
    let answers = model.predict_array(&rows).unwrap();
    let label = answers.tensor(model.signature().outputs()[0].name()).unwrap().as_slice::<i64>().unwrap().to_vec();
    assert_eq!(label.len(), 4);
    assert!(label.iter().all(|l| (0..3).contains(l)), "{label:?}");
    let last = answers.tensor(model.signature().outputs()[1].name()).unwrap().as_slice::<f32>().unwrap()[9..].to_vec();
    // The row beside them is not touched.
    let alone = model.predict_row(&[5.0f32, 3.0, 1.5, 0.2]).unwrap();
    let alone = alone.tensor(model.signature().outputs()[1].name()).unwrap();
    let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
    assert!(last.iter().zip(alone.as_slice::<f32>().unwrap()).all(close), "{last:?} {alone:?}");
}

#[test]
fn no_rows() {
    for name in ["zoo/zipmap_iris.onnx", "zoo/transformer_Normalizer.onnx", "zoo/classifier_LogisticRegression.onnx"] {
        let model = modelberth::load(data(name)).unwrap();
        let columns = model.signature().inputs()[0].dims()[1].clone();
        let modelberth::Dim::Fixed(columns) = columns else { panic!("{name}: {columns}") };
        let answers = model.predict_array(Array2::<f32>::zeros((0, columns))).unwrap();
        for (spec, (name, tensor)) in model.signature().outputs().iter().zip(answers.iter()) {
            assert_eq!((spec.name(), spec.dtype(), tensor.shape()[0]), (name, tensor.dtype(), 0));
            assert_eq!(spec.dims().len(), tensor.shape().len());
        }
    }
}

#[test]
fn inputs_that_do_not_fit() {
    let model = modelberth::load(data("zoo/zipmap_iris.onnx")).unwrap();
    let name = model.signature().inputs()[0].name().clone();
    let give = |tensor: Tensor<'static>| model.predict_batch(&Tensors::one(name.clone(), tensor));
    let zeros = |shape: &[usize]| Tensor::from_vec(shape, vec![0.0f32; shape.iter().product()]).unwrap();
    names(give(zeros(&[2, 3])), ErrorKind::WrongShape, &[&name, "(m, 4)", "(2, 3)"]);
    names(give(zeros(&[4])), ErrorKind::WrongShape, &[&name, "(4,)"]);
    names(give(zeros(&[0])), ErrorKind::WrongShape, &[&name]);
    names(give(zeros(&[0, 0, 0, 4])), ErrorKind::WrongShape, &[&name]);
    names(give(Tensor::from_vec(&[1, 4], vec![0.0f64; 4]).unwrap()), ErrorKind::WrongType, &[&name, "f32", "f64"]);
    names(model.predict_batch(&Tensors::new()), ErrorKind::MissingInput, &[&name]);
    let extra = tensors! { name.clone() => zeros(&[1, 4]), "stranger" => zeros(&[1, 4]) }.unwrap();
    names(model.predict_batch(&extra), ErrorKind::UnknownTensor, &["stranger"]);
    names(model.predict(&Tensors::one(name.clone(), zeros(&[1, 4]))), ErrorKind::WrongShape, &[&name, "(4,)"]);
}

#[test]
fn text_that_is_none() {
    let bad = raw("w", STRING, &[1], &[]);
    let nodes = [node("Identity", "", &["w"], &["y"], &[])];
    names(load(floats_to_floats(&nodes, &[bad])), ErrorKind::Malformed, &["`w`"]);
    let bytes = Message::new().int(1, 1).int(2, STRING).bytes(6, [0xff, 0xfe]).bytes(8, "w");
    names(load(floats_to_floats(&nodes, &[bytes])), ErrorKind::Malformed, &["`w`", "not UTF-8"]);
    let name = Message::new().bytes(1, [0xff]).bytes(4, "Relu");
    names(load(floats_to_floats(&[name], &[])), ErrorKind::Malformed, &["NodeProto", "not UTF-8"]);
}
