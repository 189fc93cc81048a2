//! Hugging Face directories through candle: tiny random models with the answers of PyTorch
//! (`tests/data/bert/make_bert.py` makes them), and what is refused.

#![allow(clippy::unwrap_used, reason = "tests, and what they share")]

mod common;
#[path = "../examples/embed.rs"]
#[allow(dead_code, reason = "its `main` is not called")]
mod embed;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::data;
use modelberth::conformance::{Options, Tolerance, check};
use modelberth::ndarray::Array2;
use modelberth::{Backend, Device, Error, ErrorKind, Limits, Loader, Model, ModelExt, Tensor, Tensors, tensors};
use serde::Deserialize;

const SENTENCES: [&str; 4] = ["bert", "distilbert", "xlmr", "roberta"];

/// What PyTorch answered.
#[derive(Deserialize)]
struct Golden {
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    embeddings: Vec<Vec<f32>>,
    input_ids: Vec<Vec<i64>>,
    attention_mask: Vec<Vec<i64>>,
    hidden_states: Vec<Vec<Vec<f32>>>,
}

fn directory(name: &str) -> PathBuf {
    data("bert").join(name)
}

fn golden(directory: &Path) -> Golden {
    serde_json::from_slice(&fs::read(directory.join("golden.json")).unwrap()).unwrap()
}

/// Where the models compute: `MODELBERTH_DEVICE`, such as `cuda:0` with the feature `candle-cuda`; the processor where
/// it is not set.
fn device() -> Device {
    std::env::var("MODELBERTH_DEVICE").map_or(Device::Cpu, |text| text.parse().unwrap())
}

fn loader() -> Loader {
    Loader::new().device(device())
}

/// How far an answer may be from PyTorch's. A card keeps weights in f16 and bf16, and computes in them.
fn rounding(name: &str) -> f32 {
    match name {
        "xlmr" if device() != Device::Cpu => 1e-2,
        "tokens" if device() != Device::Cpu => 1e-1,
        _ => 2e-5,
    }
}

fn states_loader() -> Loader {
    loader().outputs(["hidden_states"])
}

fn matrix(rows: &[Vec<i64>]) -> Array2<i64> {
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn tokens(golden: &Golden) -> Tensors<'static> {
    tensors! { "input_ids" => matrix(&golden.input_ids), "attention_mask" => matrix(&golden.attention_mask) }.unwrap()
}

/// The largest distance and the smallest cosine between rows of the same length.
fn compared(got: &Tensor<'_>, expected: &[Vec<f32>]) -> (f32, f32) {
    let got = got.as_slice::<f32>().unwrap();
    assert_eq!(got.len(), expected.iter().map(Vec::len).sum::<usize>());
    let (mut most, mut cosine) = (0.0f32, 1.0f32);
    for (got, expected) in got.chunks_exact(expected[0].len()).zip(expected) {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        most = got.iter().zip(expected).fold(most, |most, (g, e)| most.max((g - e).abs()));
        cosine = cosine.min(dot(got, expected) / (dot(got, got) * dot(expected, expected)).sqrt());
    }
    (most, cosine)
}

#[test]
fn embeddings_are_those_of_sentence_transformers() {
    for name in SENTENCES {
        let golden = golden(&directory(name));
        let model = loader().load(directory(name)).unwrap();
        let answers = model.predict_array(golden.texts.clone()).unwrap();
        let (most, cosine) = compared(answers.tensor("embedding").unwrap(), &golden.embeddings);
        println!("{name:12} most {most:.1e}  cosine {cosine}");
        assert!(most < rounding(name) && cosine > 0.999_9, "{name}: {most}, {cosine}");
    }
}

#[test]
fn hidden_states_are_those_of_transformers() {
    for name in ["tokens"].iter().chain(&SENTENCES) {
        let golden = golden(&directory(name));
        // A directory that does not say how to pool gives hidden states unasked.
        let loader = if *name == "tokens" { loader() } else { states_loader() };
        let model = loader.load(directory(name)).unwrap();
        let answers = model.predict_batch(&tokens(&golden)).unwrap();
        let states = answers.tensor("hidden_states").unwrap();
        assert_eq!(states.shape(), [4, 7, 16], "{name}");
        // What stands where nothing is seen is of no use to anybody, and differs between versions of PyTorch.
        let (mut got, mut expected) = (Vec::new(), Vec::new());
        for ((mask, states), row) in golden
            .attention_mask
            .iter()
            .zip(&golden.hidden_states)
            .zip(states.as_slice::<f32>().unwrap().chunks(7 * 16))
        {
            let n = mask.iter().filter(|seen| **seen == 1).count();
            got.extend_from_slice(&row[..n * 16]);
            expected.extend_from_slice(&states[..n]);
        }
        let (most, _) = compared(&got.into(), &expected);
        println!("{name:12} most {most:.1e}");
        assert!(most < rounding(name), "{name}: {most}");
    }
}

#[test]
fn a_directory_can_be_named_by_its_files() {
    let text = vec!["The cat sits outside.".to_owned()];
    let expected = loader().load(directory("bert")).unwrap().predict_array(text.clone()).unwrap();
    for file in ["config.json", "model.safetensors"] {
        let model = loader().load(directory("bert").join(file)).unwrap();
        assert_eq!(model.predict_array(text.clone()).unwrap(), expected, "{file}");
    }
}

#[test]
fn a_directory_without_a_pooling_is_pooled_by_the_mean_when_asked() {
    let model = loader().outputs(["embedding"]).load(directory("tokens")).unwrap();
    let answers = model.predict_array(vec!["The cat".to_owned()]).unwrap();
    assert_eq!(answers.tensor("embedding").unwrap().shape(), [1, 16]);
    let notes = model.describe().notes.join("; ");
    assert!(notes.contains("pooling: mean; texts are cut to 16 tokens"), "{notes}");
}

#[test]
fn inspection_tells_what_was_loaded() {
    let model = loader().load(directory("bert")).unwrap();
    let inspection = modelberth::Inspection::of(&model);
    assert_eq!(inspection.description.backend, "candle");
    assert_eq!(inspection.description.format, "hugging face");
    assert_eq!(inspection.file.as_deref(), Some("config.json"));
    assert!(inspection.description.row_independent);
    // The tables, two layers, and no pooler.
    let (d, wide) = (16u64, 28u64);
    let layer = 4 * (d * d + d) + 2 * d * wide + wide + d + 4 * d;
    assert_eq!(inspection.description.parameters, (140 + 40 + 2) * d + 2 * d + 2 * layer);
    assert_eq!(inspection.description.bytes, 4 * inspection.description.parameters);
    let page = inspection.to_string();
    for word in ["text", "(m,)", "embedding", "(m, 16)", "pooling: mean, brought to length 1", "cut to 14 tokens"] {
        assert!(page.contains(word), "`{word}` is not in\n{page}");
    }
}

#[test]
fn directories_conform() {
    let mut failures = Vec::new();
    // Products of other sizes sum in another order.
    let tolerance = |name| Tolerance::new(rounding(name).into(), f64::from(rounding(name)) / 2.0);
    for name in SENTENCES {
        let golden = golden(&directory(name));
        let samples = Tensors::one("text", golden.texts).into_owned();
        let options = Options::new().loader(loader()).samples(samples).large_rows(300).tolerance(tolerance(name));
        if let Err(failed) = check(&*loader().load(directory(name)).unwrap(), &options) {
            failures.push(format!("{name}: {failed}"));
        }
    }
    for (name, loader) in [("tokens", loader()), ("xlmr", states_loader()), ("distilbert", states_loader().threads(2))]
    {
        let options =
            Options::new().samples(tokens(&golden(&directory(name)))).large_rows(300).tolerance(tolerance(name));
        if let Err(failed) = check(&*loader.load(directory(name)).unwrap(), &options.loader(loader)) {
            failures.push(format!("{name}, hidden states: {failed}"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn threads_change_nothing() {
    let texts: Vec<String> = golden(&directory("bert")).texts.iter().cycle().take(100).cloned().collect();
    let one = loader().load(directory("bert")).unwrap().predict_array(texts.clone()).unwrap();
    let two = loader().threads(2).load(directory("bert")).unwrap();
    assert_eq!(two.describe().threads, 2);
    let two = two.predict_array(texts).unwrap();
    let rows: Vec<Vec<f32>> =
        one.tensor("embedding").unwrap().as_slice::<f32>().unwrap().chunks(16).map(<[f32]>::to_vec).collect();
    assert!(compared(two.tensor("embedding").unwrap(), &rows).0 < 1e-6);
}

#[test]
fn an_artifact_holds_every_file_that_matters() {
    let model = loader().load(directory("distilbert")).unwrap();
    let artifact = model.artifact().unwrap();
    let paths: Vec<&str> = artifact.files.iter().map(|file| file.path.as_str()).collect();
    for path in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "modules.json",
        "1_Pooling/config.json",
        "model.safetensors.index.json",
        "model-00001-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
    ] {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
        let file = artifact.files.iter().find(|file| file.path == path).unwrap();
        let content = fs::read(directory("distilbert").join(path)).unwrap();
        assert_eq!(file.sha256, modelberth::Digest::of(&content), "{path}");
    }
    let again = loader().load_artifact(&artifact).unwrap();
    let text = vec!["Deploying".to_owned(), String::new()];
    assert_eq!(again.predict_array(text.clone()).unwrap(), model.predict_array(text).unwrap());
    assert_eq!(again.artifact().unwrap().files.len(), artifact.files.len());
}

// What is refused.

/// A copy of a model's directory, to be spoiled.
struct Copy(tempfile::TempDir);

impl Copy {
    fn of(name: &str) -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        let source = directory(name);
        for entry in fs::read_dir(&source).unwrap().chain(fs::read_dir(source.join("1_Pooling")).into_iter().flatten())
        {
            let from = entry.unwrap().path();
            let to = copy.file(from.strip_prefix(&source).unwrap().to_str().unwrap());
            if from.is_dir() { fs::create_dir_all(to).unwrap() } else { fs::copy(from, to).map(|_| ()).unwrap() }
        }
        copy
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces text in a file.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.file(name)).unwrap();
        assert!(text.contains(from), "`{from}` is not in {name}: {text}");
        fs::write(self.file(name), text.replacen(from, to, 1)).unwrap();
    }

    fn load(&self) -> modelberth::Result<Arc<dyn Model>> {
        loader().load(self.0.path())
    }

    /// Asserts that loading is refused as `kind`, with these words in what the error says.
    fn refused(&self, kind: ErrorKind, words: &[&str]) {
        refused(&self.load().unwrap_err(), kind, words);
    }
}

fn refused(error: &Error, kind: ErrorKind, words: &[&str]) {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(below) = source {
        text = format!("{text}: {below}");
        source = below.source();
    }
    println!("{text}");
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

#[test]
fn missing_files_are_named() {
    let copy = Copy::of("bert");
    fs::remove_file(copy.file("tokenizer.json")).unwrap();
    copy.refused(ErrorKind::NotFound, &["tokenizer.json", "save_pretrained"]);
    // Hidden states need no tokenizer.
    states_loader().load(copy.0.path()).unwrap();

    let copy = Copy::of("bert");
    fs::remove_file(copy.file("config.json")).unwrap();
    copy.refused(ErrorKind::NotFound, &["config.json"]);
    refused(&loader().load(copy.file("model.safetensors")).unwrap_err(), ErrorKind::NotFound, &["config.json"]);

    let copy = Copy::of("bert");
    fs::remove_file(copy.file("model.safetensors")).unwrap();
    copy.refused(ErrorKind::NotFound, &["model.safetensors", "model.safetensors.index.json"]);

    let copy = Copy::of("bert");
    fs::remove_file(copy.file("1_Pooling/config.json")).unwrap();
    copy.refused(ErrorKind::NotFound, &["1_Pooling/config.json"]);

    let copy = Copy::of("distilbert");
    fs::remove_file(copy.file("model-00002-of-00003.safetensors")).unwrap();
    copy.refused(ErrorKind::NotFound, &["shard", "model-00002-of-00003.safetensors"]);
}

#[test]
fn what_is_not_there_is_named() {
    let copy = Copy::of("bert");
    copy.edit("config.json", "\"model_type\": \"bert\"", "\"model_type\": \"mamba\"");
    copy.refused(ErrorKind::Unsupported, &["`mamba`", "xlm-roberta"]);

    let copy = Copy::of("bert");
    copy.edit("config.json", "\"hidden_act\": \"gelu\"", "\"hidden_act\": \"swish\"");
    copy.refused(ErrorKind::Unsupported, &["hidden_act", "`swish`"]);

    let copy = Copy::of("bert");
    copy.edit("modules.json", "normalize.Normalize", "dense.Dense");
    copy.refused(ErrorKind::Unsupported, &["modules.json", "dense.Dense", "hidden_states"]);

    let error = Loader::new().outputs(["logits"]).load(directory("bert")).unwrap_err();
    refused(&error, ErrorKind::UnknownTensor, &["`embedding` or `hidden_states`", "logits"]);

    let cards = [
        (Device::Cuda(0), "candle-cuda", cfg!(feature = "candle-cuda")),
        (Device::Metal(0), "candle-metal", cfg!(feature = "candle-metal")),
    ];
    for (device, feature, _) in cards.into_iter().filter(|(_, _, enabled)| !enabled) {
        let error = Loader::new().device(device).load(directory("bert")).unwrap_err();
        refused(&error, ErrorKind::FeatureDisabled, &[feature]);
    }
    let error = Loader::new().backend(Backend::Native).load(directory("bert")).unwrap_err();
    let kind = if cfg!(feature = "native") { ErrorKind::Unsupported } else { ErrorKind::FeatureDisabled };
    refused(&error, kind, &["native"]);
    let onnx = data("zoo/classifier_LogisticRegression.onnx");
    let error = Loader::new().backend(Backend::Candle).load(onnx).unwrap_err();
    refused(&error, ErrorKind::Unsupported, &["ONNX", "candle"]);
}

#[test]
fn weights_that_contradict_the_configuration_are_refused() {
    let copy = Copy::of("bert");
    copy.edit("config.json", "\"intermediate_size\": 28", "\"intermediate_size\": 32");
    copy.refused(ErrorKind::Malformed, &["encoder.layer.0.intermediate.dense.weight", "(32, 16)", "(28, 16)"]);

    let copy = Copy::of("bert");
    copy.edit("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    copy.refused(ErrorKind::Malformed, &["encoder.layer.2.attention.self.query.weight"]);

    let copy = Copy::of("bert");
    copy.edit("config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 3");
    copy.refused(ErrorKind::Malformed, &["hidden_size", "multiple of 3"]);

    let copy = Copy::of("bert");
    copy.edit("config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 4000000000");
    copy.refused(ErrorKind::LimitExceeded, &["num_hidden_layers"]);

    let copy = Copy::of("bert");
    copy.edit("config.json", "\"vocab_size\": 140", "\"vocab_size\": 120");
    copy.refused(ErrorKind::Malformed, &["word_embeddings", "(120, 16)"]);

    // A tokenizer with more words than the network.
    let copy = Copy::of("bert");
    fs::copy(directory("roberta").join("tokenizer.json"), copy.file("tokenizer.json")).unwrap();
    let error = copy.load().unwrap().predict_array(vec!["zebra".to_owned()]).unwrap_err();
    refused(&error, ErrorKind::Malformed, &["tokenizer", "below 140", "row 0"]);
}

#[test]
fn broken_safetensors_are_refused_before_memory_is_taken() {
    let copy = Copy::of("bert");
    let whole = fs::read(copy.file("model.safetensors")).unwrap();
    let spoil = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(copy.file("model.safetensors"), bytes).unwrap();
    };

    spoil(&|bytes| bytes[..8].copy_from_slice(&(2u64 << 30).to_le_bytes()));
    copy.refused(ErrorKind::LimitExceeded, &["header", "2147483648 bytes"]);

    spoil(&|bytes| bytes[..8].copy_from_slice(&99_000_000u64.to_le_bytes()));
    copy.refused(ErrorKind::Malformed, &["cut short", "99000000"]);

    for length in [0, 7, 100, whole.len() - 1] {
        spoil(&|bytes| bytes.truncate(length));
        copy.refused(ErrorKind::Malformed, &["cut short"]);
    }

    spoil(&|bytes| bytes.push(0));
    copy.refused(ErrorKind::Malformed, &["cut short or damaged"]);

    spoil(&|bytes| bytes[8] = b'[');
    copy.refused(ErrorKind::Malformed, &["header"]);

    // A shape whose product overflows.
    spoil(&|bytes| {
        let header = br#"{"w":{"dtype":"F32","shape":[4294967296,4294967296,16],"data_offsets":[0,0]}}"#;
        *bytes = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    });
    copy.refused(ErrorKind::Malformed, &["header"]);

    // Offsets beyond the file.
    spoil(&|bytes| {
        let header = br#"{"w":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}"#;
        *bytes = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    });
    copy.refused(ErrorKind::Malformed, &["cut short"]);

    spoil(&|_| {});
    let limits = Limits::default().max_elements(100);
    refused(&loader().limits(limits).load(copy.0.path()).unwrap_err(), ErrorKind::LimitExceeded, &[]);
    let limits = Limits::default().max_file_bytes(10_000);
    refused(&loader().limits(limits).load(copy.0.path()).unwrap_err(), ErrorKind::LimitExceeded, &["max_file_bytes"]);
    copy.load().unwrap();
}

#[test]
fn broken_text_files_are_refused() {
    for file in ["config.json", "tokenizer.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"]
    {
        let copy = Copy::of("bert");
        let whole = fs::read(copy.file(file)).unwrap();
        for part in [&whole[..whole.len() / 2], b"", b"[[[[", b"{\"model_type\": \xff}"] {
            fs::write(copy.file(file), part).unwrap();
            // On the processor: a directory that can't be told for what it is has no backend that takes a card.
            let error = Loader::new().load(copy.0.path()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Malformed, "{file}: {error:?}");
        }
    }
    let copy = Copy::of("distilbert");
    copy.edit("model.safetensors.index.json", "model-00001-of", "../model-00001-of");
    copy.refused(ErrorKind::Malformed, &["must stay in it"]);
    // No room for a token beside those that are added.
    let copy = Copy::of("bert");
    copy.edit("sentence_bert_config.json", "14", "2");
    copy.refused(ErrorKind::Malformed, &["no room"]);
}

/// Bytes of the real files with some changed; whatever comes of it is an answer or an error, never a panic.
#[test]
fn mutated_files_never_panic() {
    // Panics of the engines are contained; their messages would fill the output.
    std::panic::set_hook(Box::new(|_| {}));
    let mut state = 7u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut loaded, mut panics) = (0, 0);
    for name in ["bert", "xlmr"] {
        let copy = Copy::of(name);
        for file in ["config.json", "tokenizer.json", "modules.json", "model.safetensors"] {
            let whole = fs::read(copy.file(file)).unwrap();
            for _ in 0..25 {
                let mut bytes = whole.clone();
                for _ in 0..1 + random(3) {
                    let at = random(bytes.len().min(4000));
                    bytes[at] = random(256) as u8;
                }
                fs::write(copy.file(file), bytes).unwrap();
                let outcome = std::panic::catch_unwind(|| {
                    copy.load().map(|model| model.predict_array(vec!["The cat sits".to_owned(), String::new()]).is_ok())
                });
                match outcome {
                    Err(_) => panics += 1,
                    Ok(outcome) => loaded += usize::from(outcome.is_ok()),
                }
            }
            fs::write(copy.file(file), whole).unwrap();
        }
    }
    let _ = std::panic::take_hook();
    println!("{loaded} of 200 loaded");
    assert_eq!(panics, 0);
}

#[test]
fn any_text_has_an_embedding() {
    for name in SENTENCES {
        let model = loader().load(directory(name)).unwrap();
        let long = "the model in production answers every request ".repeat(23_000);
        assert!(long.len() > 1 << 20);
        let odd = vec![
            String::new(),
            " ".repeat(1000),
            "\0\u{fffd}\u{10ffff}\u{202e}".to_owned(),
            "[CLS] [SEP] <s> </s> <pad>".to_owned(),
            "x".repeat(1 << 16),
            long,
        ];
        let answers = model.predict_array(odd).unwrap();
        let embeddings = answers.get::<f32>("embedding").unwrap();
        assert!(embeddings.iter().all(|v| v.is_finite()), "{name}");
    }
}

#[test]
fn bad_tokens_are_refused() {
    let model = loader().load(directory("tokens")).unwrap();
    let ask = |ids: Vec<i64>, n: usize| {
        let m = ids.len() / n;
        let mask = Array2::<i64>::ones((m, n));
        model.predict_batch(
            &tensors! { "input_ids" => Array2::from_shape_vec((m, n), ids).unwrap(), "attention_mask" => mask }
                .unwrap(),
        )
    };
    refused(
        &ask(vec![1, 2, 3, 140], 2).unwrap_err(),
        ErrorKind::InvalidValue,
        &["input_ids", "row 1", "0 to 139", "got 140"],
    );
    refused(&ask(vec![-1], 1).unwrap_err(), ErrorKind::InvalidValue, &["got -1"]);
    refused(&ask(vec![1; 17], 17).unwrap_err(), ErrorKind::WrongShape, &["at most 16 tokens", "got 17"]);
    let none =
        tensors! { "input_ids" => Array2::<i64>::zeros((3, 0)), "attention_mask" => Array2::<i64>::zeros((3, 0)) };
    assert_eq!(model.predict_batch(&none.unwrap()).unwrap().single().unwrap().shape(), [3, 0, 16]);
    // Nothing is seen: still numbers.
    let unseen =
        tensors! { "input_ids" => Array2::<i64>::zeros((1, 3)), "attention_mask" => Array2::<i64>::zeros((1, 3)) };
    let states = model.predict_batch(&unseen.unwrap()).unwrap();
    assert!(states.get::<f32>("hidden_states").unwrap().iter().all(|v| v.is_finite()));
}

#[test]
fn the_example_finds_the_nearest_lines() {
    let folder = tempfile::tempdir().unwrap();
    let texts = folder.path().join("texts.txt");
    fs::write(&texts, "The cat sits outside.\n\nDeploying a model is the easy part.\r\n  naïve façade \n").unwrap();
    let (model, file) = (directory("bert"), texts.to_str().unwrap());
    let ask = |file: &str| {
        let mut out = Vec::new();
        let query = ["Deploying a model is the easy part.".to_owned()];
        embed::search(&mut out, model.to_str().unwrap(), file, &query).map(|()| String::from_utf8(out).unwrap())
    };
    let answer = ask(file).unwrap();
    let hits: Vec<&str> = answer.lines().collect();
    assert_eq!(hits.len(), 4, "{answer}");
    assert_eq!(hits[1], "   1.000  Deploying a model is the easy part.");

    fs::write(&texts, b"good\nbad \xff line\n").unwrap();
    let error = ask(file).unwrap_err().to_string();
    assert!(error.contains("not UTF-8 in line 2, byte 5"), "{error}");
    fs::write(&texts, b" \n").unwrap();
    assert!(ask(file).unwrap_err().to_string().contains("has no text"));
    assert!(ask("absent.txt").unwrap_err().to_string().contains("absent.txt"));
}

#[cfg(feature = "cli")]
#[test]
fn the_command_line_embeds_a_table_of_texts() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let model = directory("bert").to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_modelberth"));
        let output = command.args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let golden = golden(&directory("bert"));
    let quoted = golden.texts.iter().map(|text| format!("\"{}\"\n", text.replace('"', "\"\""))).collect::<String>();
    fs::write(file("texts.csv"), format!("text\n{quoted}")).unwrap();
    let (code, _, error) = run(&["predict", &model, "--input", &file("texts.csv"), "--output", &file("out.npz")]);
    assert_eq!(code, Some(0), "{error}");
    let answers = modelberth::table::read_npz(&fs::read(file("out.npz")).unwrap()).unwrap();
    let (most, _) = compared(answers.tensor("embedding").unwrap(), &golden.embeddings);
    assert!(most < 2e-5, "{most}");

    fs::write(file("bad.csv"), b"text\ngood\nbad \xff\n").unwrap();
    let (code, _, error) = run(&["predict", &model, "--input", &file("bad.csv"), "--output", "-"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("not UTF-8") && error.contains("row 1"), "{error}");

    let (code, page, error) = run(&["inspect", &model]);
    assert!(code == Some(0) && page.contains("hugging face") && page.contains("candle"), "{page}{error}");
    let (code, page, error) =
        run(&["bench", &model, "--input", &file("texts.csv"), "--batch", "1,4", "--seconds", "0.05"]);
    assert!(code == Some(0) && page.lines().count() == 2, "{page}{error}");
}

/// A real model against PyTorch: `MODELBERTH_BERT` names its directory, with a `golden.json` in it or where
/// `MODELBERTH_BERT_GOLDEN` says (`make_bert.py --real MODEL OUT` writes it). Passes where it is not set.
#[test]
fn a_real_model_answers_as_pytorch_does() {
    let Some(home) = std::env::var_os("MODELBERTH_BERT").map(PathBuf::from) else { return };
    let golden = golden(&std::env::var_os("MODELBERTH_BERT_GOLDEN").map_or_else(|| home.clone(), PathBuf::from));
    let model = loader().load(&home).unwrap();
    let answers = model.predict_array(golden.texts.clone()).unwrap();
    let (most, cosine) = compared(answers.single().unwrap(), &golden.embeddings);
    println!("{} texts: most {most:.1e}, smallest cosine {cosine}", golden.texts.len());
    assert!(cosine > 0.9999, "{cosine}");
}
