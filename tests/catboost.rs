//! CatBoost's models against the library's own answers; `tests/data/boosters/make_catboost.py` made both.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs::File;
use std::io::Read;
use std::sync::Arc;

use common::{data, numbers};
use modelberth::table::{TableReader, read_npz};
use modelberth::{ErrorKind, Loader, Model, Tensor, Tensors, ndarray, tensors};
use zip::ZipArchive;

/// The file and the golden of every case.
fn cases() -> Vec<(String, Arc<[u8]>, Tensors<'static>)> {
    let mut archive = ZipArchive::new(File::open(data("boosters/catboost.zip")).unwrap()).unwrap();
    let names: Vec<String> =
        archive.file_names().filter_map(|n| Some(n.ok()?.strip_suffix(".json")?.to_owned())).collect();
    let mut read = |name: String| {
        let mut bytes = Vec::new();
        archive.by_name(&name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let mut case = |name: String| {
        let (file, golden) = (read(format!("{name}.json")), read(format!("{name}.npz")));
        (name, file.into(), read_npz(&golden).unwrap())
    };
    names.into_iter().map(&mut case).collect()
}

fn case(name: &str) -> (Arc<[u8]>, Tensors<'static>) {
    let (_, file, golden) = cases().into_iter().find(|(n, ..)| n == name).unwrap();
    (file, golden)
}

fn load(name: &str, file: &Arc<[u8]>, outputs: &[&str]) -> modelberth::Result<Arc<dyn Model>> {
    let loader = if outputs.is_empty() { Loader::new() } else { Loader::new().outputs(outputs.iter().copied()) };
    loader.load_bytes(&format!("{name}.json"), Arc::clone(file))
}

/// The inputs of a golden.
fn inputs<'g>(golden: &'g Tensors<'_>) -> Tensors<'g> {
    common::with_prefix(golden, "in:")
}

/// Holds numbers to 1e-12 of the largest one in their row.
#[track_caller]
fn near(what: &str, got: &Tensor<'_>, expected: &Tensor<'_>) {
    let (got, expected) = (numbers(got).unwrap(), numbers(expected).unwrap());
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (g, e)) in got.iter().zip(&expected).enumerate() {
        let close = g == e || (g - e).abs() <= 1e-12 * e.abs().max(1.0);
        assert!(close, "{what}: element {i} is {g}, expected {e}");
    }
}

#[track_caller]
fn same(what: &str, got: &Tensor<'_>, expected: &Tensor<'_>) {
    match (numbers(got), numbers(expected)) {
        (Some(got), Some(expected)) => assert_eq!(got, expected, "{what}"),
        _ => {
            let (got, expected) = (got.view::<String>().unwrap(), expected.view::<String>().unwrap());
            assert!(got.iter().eq(expected.iter()), "{what}: {got} expected {expected}");
        }
    }
}

#[test]
fn answers_are_the_librarys() {
    let mut rows = 0;
    for (name, file, golden) in cases() {
        if name.starts_with("refused") {
            continue;
        }
        let classifier = golden.tensor("label").is_ok();
        let outputs: &[&str] =
            if classifier { &["label", "probabilities", "raw", "leaf"] } else { &["prediction", "raw", "leaf"] };
        let model = load(&name, &file, outputs).unwrap_or_else(|e| panic!("{name}: {e}"));
        let got = model.predict_batch(&inputs(&golden)).unwrap_or_else(|e| panic!("{name}: {e}"));
        same(&format!("{name} leaf"), got.tensor("leaf").unwrap(), golden.tensor("leaf").unwrap());
        near(&format!("{name} raw"), got.tensor("raw").unwrap(), golden.tensor("raw").unwrap());
        if classifier {
            let what = format!("{name} probabilities");
            near(&what, got.tensor("probabilities").unwrap(), golden.tensor("probabilities").unwrap());
            same(&format!("{name} label"), got.tensor("label").unwrap(), golden.tensor("label").unwrap());
        } else {
            let expected = golden.tensor("prediction").or_else(|_| golden.tensor("raw")).unwrap();
            near(&format!("{name} prediction"), got.tensor("prediction").unwrap(), expected);
        }
        rows += got.tensor("raw").unwrap().shape()[0];
        one_row(&name, &*model, &inputs(&golden), &got);
    }
    assert!(rows >= 5000, "only {rows} rows were compared");
}

/// One observation is answered as in the batch, to the last bit.
fn one_row(name: &str, model: &dyn Model, inputs: &Tensors<'_>, batch: &Tensors<'_>) {
    for r in [0, 41, 71] {
        let one = |t: &Tensor<'_>| t.rows(r..r + 1).unwrap().into_owned().without_batch_axis().unwrap();
        let row: Tensors<'_> = inputs.iter().map(|(n, t)| (n.clone(), one(t))).collect();
        let got = model.predict(&row).unwrap();
        for (output, tensor) in got.iter() {
            same(&format!("{name} {output}, row {r}"), tensor, &one(batch.tensor(output).unwrap()));
        }
    }
}

#[test]
fn contributions_are_the_librarys() {
    let mut compared = 0;
    for (name, file, golden) in cases() {
        let Ok(expected) = golden.tensor("contributions") else { continue };
        if name.starts_with("refused") {
            continue;
        }
        let model = load(&name, &file, &["raw", "contributions"]).unwrap_or_else(|e| panic!("{name}: {e}"));
        let rows = expected.shape()[0];
        let given = inputs(&golden);
        let m = given.at(0).unwrap().1.shape()[0];
        let got = model.predict_batch(&given.rows(m - rows..m).unwrap()).unwrap();
        let (raw, contributions) = (numbers(got.tensor("raw").unwrap()).unwrap(), got.tensor("contributions").unwrap());
        let width = *contributions.shape().last().unwrap();
        let contributions = numbers(contributions).unwrap();
        let sums: Vec<f64> = contributions.chunks_exact(width).map(|row| row.iter().sum()).collect();
        for (sum, raw) in sums.iter().zip(&raw).filter(|(_, raw)| raw.is_finite()) {
            assert!((sum - raw).abs() <= 1e-9 * raw.abs().max(1e-3), "{name}: contributions sum to {sum}, not {raw}");
        }
        if contributions.len() != expected.len() {
            // The library explains only some of the targets.
            assert!(["multiclass_absent", "uncertainty"].contains(&name.as_str()), "{name}");
            continue;
        }
        for (i, (g, e)) in contributions.iter().zip(numbers(expected).unwrap()).enumerate() {
            assert!((g - e).abs() <= 1e-9 * e.abs().max(1.0), "{name}: contribution {i} is {g}, expected {e}");
        }
        compared += 1;
    }
    assert!(compared >= 60, "only {compared} models were compared");
}

#[test]
fn the_zoo_answers() {
    let golden = read_npz(&std::fs::read(data("zoo/cat_binary.npz")).unwrap()).unwrap();
    let model = Loader::new().outputs(["probabilities", "raw"]).load(data("zoo/cat_binary.json")).unwrap();
    let x = golden.iter().find(|(n, _)| n.starts_with("in:")).unwrap().1.as_view();
    let got = model.predict_batch(&Tensors::one("x", x)).unwrap();
    near("raw", got.tensor("raw").unwrap(), golden.tensor("src:raw").unwrap());
    let probabilities = numbers(got.tensor("probabilities").unwrap()).unwrap();
    let second: Vec<f64> = probabilities.chunks_exact(2).map(|p| p[1]).collect();
    let expected = numbers(golden.tensor("src:predict").unwrap()).unwrap();
    assert!(second.iter().zip(&expected).all(|(p, e)| (p - e).abs() < 1e-12));
}

#[test]
fn default_outputs_and_signature() {
    let (file, _) = case("ctr_default");
    let model = load("ctr_default", &file, &[]).unwrap();
    let signature = model.signature();
    let names = |specs: &[modelberth::TensorSpec]| specs.iter().map(|s| s.name().to_string()).collect::<Vec<_>>();
    assert_eq!(names(signature.inputs()), ["x", "categories"]);
    assert_eq!(signature.inputs()[0].features(), ["f0", "f1", "f2", "f3"]);
    assert_eq!(signature.inputs()[1].features(), ["c0", "c1", "c2", "c3"]);
    assert_eq!(names(signature.outputs()), ["label", "probabilities"]);
    assert_eq!(signature.outputs()[1].features(), ["bad", "good"]);
    let (file, _) = case("rmse");
    assert_eq!(names(load("rmse", &file, &[]).unwrap().signature().outputs()), ["prediction"]);
    let (file, _) = case("logloss_unnamed");
    assert!(load("logloss_unnamed", &file, &[]).unwrap().signature().inputs()[0].features().is_empty());
}

#[test]
fn csv_columns_go_by_name() {
    let (file, golden) = case("ctr_default");
    let model = load("ctr_default", &file, &["raw"]).unwrap();
    let given = inputs(&golden);
    let (x, c) = (given.get::<f64>("x").unwrap(), given.get::<String>("categories").unwrap());
    let mut csv = String::from("c3,f1,f3,c1,f0,c0,f2,c2\n");
    for (x, c) in x.outer_iter().zip(c.outer_iter()) {
        let number = |j: usize| (x[j] as f32).to_string();
        let text = |j: usize| format!("\"{}\"", c[j]);
        let cells = [text(3), number(1), number(3), text(1), number(0), text(0), number(2), text(2)];
        csv.push_str(&cells.join(","));
        csv.push('\n');
    }
    let options = modelberth::table::TableOptions::default();
    let rows = TableReader::from_bytes("rows.csv", csv.into_bytes(), model.signature(), &options).unwrap();
    let got = model.predict_batch(&rows.read_all().unwrap()).unwrap();
    near("raw", got.tensor("raw").unwrap(), golden.tensor("raw").unwrap());
}

#[test]
fn whole_numbers_are_categories_too() {
    let (file, golden) = case("one_hot");
    let model = load("one_hot", &file, &["raw"]).unwrap();
    let given = inputs(&golden);
    let x = given.tensor("x").unwrap();
    let m = x.shape()[0];
    let counted = ndarray::Array2::from_shape_fn((m, 4), |(i, _)| (i % 14) as i64 - 1);
    let text = counted.mapv(|i| i.to_string());
    let raw = |categories: Tensor<'_>| {
        let mut inputs = Tensors::one("x", x.as_view());
        inputs.insert("categories", categories).unwrap();
        numbers(model.predict_batch(&inputs).unwrap().tensor("raw").unwrap()).unwrap()
    };
    let expected = raw(text.into());
    assert_eq!(raw(counted.clone().into()), expected);
    assert_eq!(raw(counted.mapv(|i| i as i8).into()), expected);
    let ones = ndarray::Array2::from_elem((m, 4), true);
    assert_eq!(raw(ones.into()), raw(ndarray::Array2::from_elem((m, 4), "1".to_owned()).into()));
}

#[test]
fn sparse_rows_are_zero_where_nothing_is_stored() {
    let (file, golden) = case("rmse");
    let model = load("rmse", &file, &["raw"]).unwrap();
    let given = inputs(&golden);
    let mut dense = given.get::<f64>("x").unwrap().into_owned().into_dimensionality::<ndarray::Ix2>().unwrap();
    dense.indexed_iter_mut().filter(|((i, j), _)| (i + j) % 3 != 0).for_each(|(_, x)| *x = 0.0);
    let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for row in dense.outer_iter() {
        for (j, x) in row.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            columns.push(j as u32);
            values.push(*x);
        }
        offsets.push(values.len());
    }
    let sparse = modelberth::Csr::new(dense.ncols(), offsets, columns, values).unwrap();
    let raw = |x: Tensor<'_>| numbers(model.predict_batch(&Tensors::one("x", x)).unwrap().single().unwrap()).unwrap();
    assert_eq!(raw(Tensor::CsrF64(sparse)), raw(dense.into()));
}

/// Holds what loading gives to a kind and to words.
#[track_caller]
fn refused(what: &str, file: &str, kind: ErrorKind, words: &[&str]) {
    let error = Loader::new().load_bytes("hostile.json", file.as_bytes().to_vec()).unwrap_err();
    assert_eq!(error.kind(), kind, "{what}: {error}");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{what}: `{word}` is not in: {text}");
    }
}

#[test]
fn what_can_not_be_exact_is_refused() {
    for (name, word) in [
        ("refused_two_targets", "TargetBorderCount"),
        ("refused_multi_rmse", "several targets"),
        ("refused_multi_logloss", "several targets"),
        ("refused_survival_aft", "several targets"),
    ] {
        let (file, _) = case(name);
        refused(name, str::from_utf8(&file).unwrap(), ErrorKind::Unsupported, &[word, "Borders"]);
    }
    let (file, _) = case("ctr_default");
    let file = str::from_utf8(&file).unwrap().to_owned();
    let tables = file.find("\"ctr_data\":").unwrap();
    let features = file.find("\"features_info\":").unwrap();
    let without = format!("{}{}", &file[..tables], &file[features..]);
    refused("no tables", &without, ErrorKind::Unsupported, &["ctr_data"]);
    let unknown = file.replace("\"ctr_type\":\"Borders\"", "\"ctr_type\":\"Novel\"");
    refused("unknown statistics", &unknown, ErrorKind::Unsupported, &["Novel"]);
    let text = file.replace("\"categorical_features\":", "\"text_features\":[{}],\"categorical_features\":");
    refused("text", &text, ErrorKind::Unsupported, &["text features"]);
    let estimated = file.replacen("\"split_type\":\"FloatFeature\"", "\"split_type\":\"EstimatedFeature\"", 1);
    refused("estimated features", &estimated, ErrorKind::Unsupported, &["EstimatedFeature"]);
}

#[test]
fn broken_files_are_refused() {
    let (file, _) = case("rmse");
    let file = str::from_utf8(&file).unwrap().to_owned();
    for keep in [file.len() - 1, file.len() / 2, 600] {
        refused("truncated", &file[..keep], ErrorKind::Malformed, &["truncated"]);
    }
    let change = |from: &str, to: &str| {
        assert!(file.contains(from), "{from}");
        file.replacen(from, to, 1)
    };
    let features = r#""features_info":{"float_features":[{"borders":[0.5],"feature_index":0,"flat_feature_index":0,"has_nans":false,"nan_value_treatment":"AsIs"}]}"#;
    let tree = |trees: &str| format!("{{{features},{trees},\"scale_and_bias\":[1,[0]]}}");
    let split = r#"{"border":0.5,"float_feature_index":0,"split_index":0,"split_type":"FloatFeature"}"#;
    let whole = tree(&format!(r#""oblivious_trees":[{{"leaf_values":[1,2],"splits":[{split}]}}]"#));
    assert!(Loader::new().load_bytes("whole.json", whole.clone().into_bytes()).is_ok());
    let malformed = [
        ("leaves", whole.replace("[1,2]", "[1,2,3]"), "multiple of 2"),
        ("too few leaves", whole.replace("[1,2]", "[1]"), "fewer leaf values"),
        ("no leaves", whole.replace("[1,2]", "[]"), "fewer leaf values"),
        ("question", whole.replace("\"split_index\":0", "\"split_index\":7"), "split_index"),
        ("2^31", whole.replace("\"split_index\":0", "\"split_index\":2147483648"), "split_index"),
        ("beyond u32", whole.replace("\"split_index\":0", "\"split_index\":1e30"), "CatBoost"),
        ("negative", whole.replace("\"split_index\":0", "\"split_index\":-1"), "CatBoost"),
        (
            "feature",
            whole.replace("\"float_feature_index\":0", "\"float_feature_index\":3"),
            "float feature of this index",
        ),
        ("border", whole.replace("\"border\":0.5", "\"border\":0.25"), "stands for"),
        ("kind", whole.replace("FloatFeature", "OneHotFeature"), "stands for"),
        ("bias", whole.replace("[1,[0]]", "[1,[0,1]]"), "bias"),
        ("targets", whole.replace("]}],\"scale", "]},{\"leaf_values\":[1,2,3,4],\"splits\":[]}],\"scale"), "targets"),
        ("no trees", format!("{{{features}}}"), "oblivious_trees"),
        ("both", whole.replace("\"scale", "\"trees\":[],\"scale"), "both"),
        ("node", tree(r#""trees":[{"weight":1}]"#), "neither a leaf"),
        ("one child", tree(&format!(r#""trees":[{{"split":{split},"left":{{"value":1}}}}]"#)), "neither a leaf"),
        ("same place twice", change("\"flat_feature_index\":1", "\"flat_feature_index\":0"), "flat_feature_index"),
        ("treatment", change("\"AsFalse\"", "\"AsGuessed\""), "AsGuessed"),
        ("not a number", whole.replace("[1,2]", "[1,\"x\"]"), "CatBoost"),
    ];
    for (what, file, word) in malformed {
        refused(what, &file, ErrorKind::Malformed, &[word]);
    }
    let deep = format!("{}{}", "{\"left\":".repeat(100_000), "}".repeat(100_000));
    refused("deep", &tree(&format!("\"trees\":[{deep}]")), ErrorKind::LimitExceeded, &["max_depth"]);
    let many = tree(&format!("\"trees\":[{}{{}}]", "{},".repeat(5_000_000)));
    refused("many", &many, ErrorKind::LimitExceeded, &["max_messages"]);
}

#[test]
fn broken_tables_are_refused() {
    let (file, _) = case("ctr_borders_4");
    let file = str::from_utf8(&file).unwrap().to_owned();
    let stride = file.find("\"hash_stride\":").unwrap() + "\"hash_stride\":".len();
    let digit = &file[stride..=stride];
    for (what, to, word) in
        [("stride 0", "0", "form"), ("stride 2", "2", "form"), ("2^63", "9223372036854775808", "form")]
    {
        let changed = format!("{}{to}{}", &file[..stride], &file[stride + digit.len()..]);
        refused(what, &changed, ErrorKind::Malformed, &[word]);
    }
    let first = file.find("\"hash_map\":[").unwrap() + "\"hash_map\":[".len();
    refused("no hash", &format!("{}1,{}", &file[..first], &file[first..]), ErrorKind::Malformed, &["hash"]);
    let lone = format!("{}\"12\",{}", &file[..first], &file[first..]);
    refused("an entry without numbers", &lone, ErrorKind::Malformed, &["length"]);
    let target = file.replace("\"target_border_idx\":0", "\"target_border_idx\":99");
    refused("class out of range", &target, ErrorKind::Malformed, &["class 99"]);
    let element = file.replace("{\"cat_feature_index\":2", "{\"cat_feature_index\":41");
    refused("feature out of range", &element, ErrorKind::Malformed, &["categorical feature"]);
}

#[test]
fn trees_that_ask_nothing_answer() {
    let file = r#"{"features_info":{"categorical_features":[{"feature_index":0,"flat_feature_index":0,"feature_id":"c"}]},
        "trees":[{"value":1.5,"weight":3},{"value":0.25,"weight":3}],"scale_and_bias":[2,[1]]}"#;
    let model = load("constant", &file.as_bytes().into(), &["raw", "leaf", "contributions"]).unwrap();
    let categories = ndarray::Array2::from_elem((3, 1), "any".to_owned());
    let got = model.predict_batch(&Tensors::one("categories", categories)).unwrap();
    assert_eq!(numbers(got.tensor("raw").unwrap()).unwrap(), [4.5; 3]);
    assert_eq!(numbers(got.tensor("leaf").unwrap()).unwrap(), [0.0; 6]);
    assert_eq!(numbers(got.tensor("contributions").unwrap()).unwrap(), [0.0, 4.5, 0.0, 4.5, 0.0, 4.5]);
}

/// Loads what may be broken, with small limits, and asks it for an answer.
fn survives(file: &[u8]) {
    let limits = modelberth::Limits::default().max_elements(1 << 20);
    let loader = Loader::new().limits(limits).outputs(["raw", "leaf", "contributions"]);
    let Ok(model) = loader.load_bytes("damaged.json", file.to_vec()) else { return };
    let mut inputs = Tensors::new();
    for spec in model.signature().inputs() {
        let modelberth::Dim::Fixed(n) = spec.dims()[1] else { continue };
        let shape = [2, n];
        let tensor = match spec.dtype() {
            modelberth::DType::String => Tensor::from_vec(&shape, vec!["red".to_owned(); 2 * n]),
            _ => Tensor::from_vec(&shape, vec![0.5f32; 2 * n]),
        };
        inputs.insert(spec.name().clone(), tensor.unwrap()).unwrap();
    }
    model.predict_batch(&inputs).unwrap();
}

#[test]
fn damaged_files_do_no_harm() {
    let mut state = 7_u64;
    let mut random = move |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % end
    };
    for name in ["ctr_one_hot_parts", "ctr_lossguide_3", "multiclass_absent"] {
        let (file, _) = case(name);
        let digits: Vec<usize> = (0..file.len()).filter(|&i| file[i].is_ascii_digit()).collect();
        for _ in 0..60 {
            let mut damaged = file.to_vec();
            match random(4) {
                0 => damaged.truncate(random(file.len())),
                1 => damaged[random(file.len())] ^= 1 << random(8),
                // Numbers are what a parser lets through.
                2 => damaged[digits[random(digits.len())]] = b"0192837465-e"[random(12)],
                _ => {
                    let at = random(file.len() - 200);
                    damaged.drain(at..at + 1 + random(199));
                }
            }
            survives(&damaged);
        }
    }
}

#[test]
fn wrong_rows_are_refused() {
    let (file, _) = case("ctr_default");
    let model = load("ctr_default", &file, &[]).unwrap();
    let x = |n: usize| ndarray::Array2::<f32>::zeros((2, n));
    let c = |m: usize, k: usize| ndarray::Array2::from_elem((m, k), "red".to_owned());
    let kind = |x: ndarray::Array2<f32>, c: ndarray::Array2<String>| {
        model.predict_batch(&tensors! { "x" => x, "categories" => c }.unwrap()).unwrap_err().kind()
    };
    assert_eq!(kind(x(3), c(2, 4)), ErrorKind::WrongShape);
    assert_eq!(kind(x(5), c(2, 4)), ErrorKind::WrongShape);
    assert_eq!(kind(x(4), c(2, 3)), ErrorKind::WrongShape);
    assert_eq!(kind(x(4), c(3, 4)), ErrorKind::WrongShape);
    let missing = model.predict_batch(&Tensors::one("x", x(4))).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::MissingInput);
    let floats = tensors! { "x" => x(4), "categories" => x(4) }.unwrap();
    assert_eq!(model.predict_batch(&floats).unwrap_err().kind(), ErrorKind::WrongType);
    let none = tensors! { "x" => ndarray::Array2::<f32>::zeros((0, 4)), "categories" => c(0, 4) }.unwrap();
    assert_eq!(model.predict_batch(&none).unwrap().tensor("label").unwrap().shape(), [0]);
}
