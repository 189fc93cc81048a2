//! Real models, and what is asked of any model that loads.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use zip::ZipArchive;

use modelberth::{Dim, ErrorKind, Limits, Loader, Model, Tensors};

use crate::{Bytes, conforming, hostile};

/// A loader for files that nobody vouches for, small enough to fuzz with.
pub fn loader() -> Loader {
    let limits = Limits::default().max_file_bytes(1 << 20).max_elements(1 << 16).max_messages(1 << 16).max_depth(32);
    Loader::new().limits(limits)
}

/// The model at `index` of the zoo, in the order of the files' names, modulo their number.
pub fn model(index: usize) -> &'static Arc<dyn Model> {
    static LOADED: OnceLock<Vec<Arc<dyn Model>>> = OnceLock::new();
    let loaded = LOADED.get_or_init(|| {
        let zoo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/zoo");
        let mut paths: Vec<_> = std::fs::read_dir(zoo).expect("the zoo is there").flatten().map(|e| e.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
        paths.sort();
        let load = |path: &PathBuf| match modelberth::load(path) {
            Ok(model) => Some(model),
            // Every other error is the business of the tests.
            Err(e) if e.kind() == ErrorKind::Unsupported => None,
            Err(e) => panic!("{}: {e}", path.display()),
        };
        paths.iter().filter_map(load).collect()
    });
    &loaded[index % loaded.len()]
}

/// Graphs of one operator each, to start edits from.
pub fn operators() -> &'static [Vec<u8>] {
    static READ: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    READ.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/ops/ops.zip");
        let mut archive =
            ZipArchive::new(File::open(path).expect("the operators are there")).expect("it is a zip file");
        let mut all = Vec::new();
        for i in 0..archive.len() {
            let mut file = archive.by_index(i).expect("an entry below their number");
            if file.name().is_ok_and(|name| name.ends_with(".onnx")) {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).expect("the entry is whole");
                all.push(bytes);
            }
        }
        all
    })
}

/// How much of a signature is held against the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// Names, types and shapes.
    Whole,
    /// Names and types: shapes can depend on values (`Unique`, `Tokenizer`, loops), which dry runs do not always show.
    Types,
}

/// Puts `model` to work on inputs from `bytes` and holds it to its signature.
pub fn exercise(model: &dyn Model, bytes: &mut Bytes<'_>, promise: Promise) {
    let signature = model.signature();
    // `describe` and `Debug` walk all there is.
    let _ = (model.describe(), format!("{model:?}"));
    let m = bytes.below(5);
    let batched = signature.inputs().iter().any(|s| s.is_batched());
    if let Some(inputs) = conforming(bytes, signature, m)
        && let Ok(answers) = model.predict_batch(&inputs)
    {
        kept(model, &answers, promise, batched.then_some(m));
        if batched && m > 0 {
            one_row(model, &inputs);
        }
    }
    let inputs = hostile(bytes, signature);
    if let Ok(answers) = model.predict_batch(&inputs) {
        kept(model, &answers, promise, None);
    }
    let _ = model.predict(&inputs);
}

/// Whether the answers are what the signature promises.
fn kept(model: &dyn Model, answers: &Tensors<'_>, promise: Promise, m: Option<usize>) {
    let specs = model.signature().outputs();
    assert_eq!(answers.len(), specs.len(), "the signature promises another number of outputs");
    for (spec, (name, tensor)) in specs.iter().zip(answers.iter()) {
        assert_eq!(spec.name(), name);
        assert!(spec.dtypes().contains(&tensor.dtype()), "{spec} came as {}", tensor.dtype());
        if promise == Promise::Types {
            continue;
        }
        assert_eq!(spec.dims().len(), tensor.shape().len(), "{spec} came as {:?}", tensor.shape());
        for (dim, &size) in spec.dims().iter().zip(tensor.shape()) {
            let fits = match dim {
                Dim::Fixed(n) => size == *n,
                Dim::Batch => m.is_none_or(|m| size == m),
                _ => true,
            };
            assert!(fits, "{spec} came as {:?}", tensor.shape());
        }
    }
}

/// Gives the first row of `inputs` alone.
fn one_row(model: &dyn Model, inputs: &Tensors<'_>) {
    let mut row = Tensors::new();
    for (spec, (name, tensor)) in model.signature().inputs().iter().zip(inputs.iter()) {
        let tensor = if spec.is_batched() {
            let Ok(one) = tensor.rows(0..1) else { return };
            match one.into_owned().without_batch_axis() {
                Ok(one) => one,
                Err(_) => return,
            }
        } else {
            tensor.as_view()
        };
        let _ = row.insert(name.clone(), tensor.into_owned());
    }
    let _ = model.predict(&row);
}

/// Loads a booster's own file with one choice of outputs after another, and puts what loads to work on the end of `bytes`.
pub fn booster(file: &[u8], bytes: &[u8]) {
    let tail = &bytes[bytes.len() - bytes.len().min(256)..];
    let Ok(model) = loader().load_bytes("fuzzed", file) else { return };
    exercise(&*model, &mut Bytes::new(tail), Promise::Whole);
    for output in ["raw", "leaf", "contributions"] {
        if let Ok(model) = loader().outputs([output]).load_bytes("fuzzed", file) {
            exercise(&*model, &mut Bytes::new(tail), Promise::Whole);
        }
    }
}
