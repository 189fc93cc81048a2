//! XGBoost's own files against the answers of XGBoost; `tests/data/boosters/make_xgboost.py` says what stands in the archive.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs;
use std::sync::{Arc, OnceLock};

use modelberth::ndarray::{Array2, ArrayD};
use modelberth::table::{TableOptions, TableReader, read_npz};
use modelberth::{Csr, DType, Dim, ErrorKind, Limits, Loader, Model, ModelExt, Tensor, Tensors};

use common::data;

/// The largest distance of two lists, relative where numbers are larger than 1.
fn distance(got: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let one = |(g, e): (&f64, &f64)| {
        if g == e || (g.is_nan() && e.is_nan()) { 0.0 } else { (g - e).abs() / e.abs().max(1.0) }
    };
    got.iter().zip(expected).map(one).fold(0.0, |far, d| if d.is_nan() || d > far { d } else { far })
}

/// Every element of a tensor of numbers.
fn numbers(tensor: &Tensor<'_>) -> Vec<f64> {
    common::numbers(tensor).expect("the tensor holds numbers")
}

fn archive() -> &'static Tensors<'static> {
    static READ: OnceLock<Tensors<'static>> = OnceLock::new();
    READ.get_or_init(|| read_npz(&fs::read(data("boosters/xgboost.npz")).unwrap()).unwrap())
}

fn entry(name: &str) -> Tensor<'static> {
    archive().tensor(name).unwrap_or_else(|e| panic!("{e}")).as_view()
}

fn has(name: &str) -> bool {
    archive().tensor(name).is_ok()
}

/// The names of the cases, with the bytes of their models.
fn cases() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    archive().iter().filter_map(|(name, tensor)| {
        let case = name.as_str().strip_suffix("/model")?;
        Some((case, tensor.view::<u8>().unwrap().iter().copied().collect()))
    })
}

fn model(case: &str, outputs: &[&str]) -> Arc<dyn Model> {
    let (_, bytes) = cases().find(|(name, _)| *name == case).unwrap();
    let loader = Loader::new();
    let loader = if outputs.is_empty() { loader } else { loader.outputs(outputs.iter().copied()) };
    loader.load_bytes(case, bytes).unwrap_or_else(|e| panic!("{case}: {e}"))
}

/// The rows of a case.
fn rows(case: &str) -> Tensor<'static> {
    match case {
        _ if has(&format!("{case}/x")) => entry(&format!("{case}/x")),
        _ if case.starts_with("old/") => entry("old/x"),
        _ => entry("x"),
    }
}

/// What the library's `predict` gives, out of the answers of ours.
fn library_answer(case: &str, answers: &Tensors<'_>) -> Vec<f64> {
    match answers.tensor("prediction").or_else(|_| answers.tensor("probabilities")) {
        Ok(tensor) if answers.tensor("prediction").is_ok() => numbers(tensor),
        _ if case == "multi_softmax" => numbers(answers.tensor("label").unwrap()),
        Ok(tensor) if tensor.shape()[1] == 2 && !case.ends_with("multi") => {
            numbers(tensor).into_iter().skip(1).step_by(2).collect()
        }
        Ok(tensor) => numbers(tensor),
        Err(e) => panic!("{e}"),
    }
}

/// Checks every case that `check` gives a distance for, against a bound.
fn every(bound: f64, at_least: usize, check: impl Fn(&str) -> Option<f64>) {
    let found: Vec<(&str, f64)> = cases().filter_map(|(case, _)| Some((case, check(case)?))).collect();
    let far: Vec<_> = found.iter().filter(|(_, d)| d.is_nan() || *d > bound).collect();
    assert!(far.is_empty(), "{far:?}");
    assert!(found.len() >= at_least, "only {} cases", found.len());
}

#[test]
fn the_zoo() {
    let cases = [("xgb_binary", "json"), ("xgb_binary", "ubj"), ("xgb_multi", "json"), ("xgb_reg", "json")];
    for (name, extension) in cases {
        let golden = read_npz(&fs::read(data(&format!("zoo/{name}.npz"))).unwrap()).unwrap();
        let model = Loader::new().load(data(&format!("zoo/{name}.{extension}"))).unwrap();
        let answers = model.predict_array(golden.tensor("in:x").unwrap().as_view()).unwrap();
        let far = distance(
            &library_answer(name.trim_start_matches("xgb_multi"), &answers),
            &numbers(golden.tensor("src:predict").unwrap()),
        );
        assert!(far < 1e-6, "{name}.{extension}: {far:e}");
    }
}

#[test]
fn margins_are_the_librarys() {
    every(1e-6, 60, |case| {
        let answers = model(case, &["raw"]).predict_array(rows(case)).unwrap();
        let (got, mut expected) = (numbers(answers.tensor("raw").unwrap()), numbers(&entry(&format!("{case}/raw"))));
        let mut got = got;
        // The library does not answer rows with infinities for linear models.
        let known: Vec<bool> = expected.iter().map(|e| !e.is_nan()).collect();
        let mut keep = known.iter();
        got.retain(|_| *keep.next().unwrap());
        expected.retain(|e| !e.is_nan());
        Some(distance(&got, &expected))
    });
}

#[test]
fn trees_are_summed_bit_for_bit() {
    every(0.0, 40, |case| {
        // Version 1.0 added the base score last; later ones, asked about its files, add it first, as we do.
        if case.contains("linear") || case.starts_with("old/1.0.2") {
            return None;
        }
        let answers = model(case, &["raw"]).predict_array(rows(case)).unwrap();
        let got = answers.get::<f32>("raw").unwrap();
        let same = if has(&format!("{case}/predicted")) {
            let x = rows(case);
            let x = x.view::<f32>().unwrap();
            let known = x.outer_iter().map(|row| !row.iter().any(|x| x.is_infinite()));
            let known: Vec<_> =
                got.outer_iter().zip(known).filter(|(_, known)| *known).map(|(answer, _)| answer).collect();
            let expected = entry(&format!("{case}/predicted"));
            let expected = expected.view::<f32>().unwrap();
            known.iter().flat_map(|answer| answer.iter()).eq(expected.iter())
        } else {
            got.iter().eq(entry(&format!("{case}/raw")).view::<f32>().unwrap().iter())
        };
        Some(f64::from(u8::from(!same)))
    });
}

#[test]
fn answers_are_the_librarys() {
    every(1e-6, 55, |case| {
        let expected = archive().tensor(&format!("{case}/answer")).ok()?.as_view();
        let x = rows(case);
        let answers = model(case, &[]).predict_array(x.rows(0..expected.shape()[0]).unwrap()).unwrap();
        let (mut got, mut expected) = (library_answer(case, &answers), numbers(&expected));
        let mut known = expected.clone().into_iter();
        got.retain(|_| !known.next().unwrap().is_nan());
        expected.retain(|e| !e.is_nan());
        Some(distance(&got, &expected))
    });
}

/// The rows `which` of a tensor of f32.
fn chosen(x: &Tensor<'_>, which: &Tensor<'_>) -> Array2<f32> {
    let x = x.view::<f32>().unwrap();
    let picked: Vec<usize> = which.view::<i32>().unwrap().iter().map(|&i| i as usize).collect();
    Array2::from_shape_fn((picked.len(), x.shape()[1]), |(i, j)| x[[picked[i], j]])
}

#[test]
fn leaves_are_the_librarys() {
    every(0.0, 35, |case| {
        let expected = archive().tensor(&format!("{case}/leaf")).ok()?.as_view();
        let answers = model(case, &["leaf"]).predict_array(chosen(&rows(case), &entry("finite"))).unwrap();
        assert_eq!(answers.tensor("leaf").unwrap().dtype(), DType::I32);
        Some(distance(&numbers(answers.tensor("leaf").unwrap()), &numbers(&expected)))
    });
}

#[test]
fn contributions_are_the_librarys_and_sum_to_the_margin() {
    every(2e-6, 40, |case| {
        let expected = archive().tensor(&format!("{case}/shap")).ok()?.as_view();
        let which = if has(&format!("{case}/keep")) { entry(&format!("{case}/keep")) } else { entry("finite") };
        let x = chosen(&rows(case), &which);
        let answers = model(case, &["raw", "contributions"]).predict_array(x.view()).unwrap();
        let got = answers.get::<f64>("contributions").unwrap();
        let n = x.ncols() + 1;
        let margins = numbers(answers.tensor("raw").unwrap());
        for (row, margin) in got.as_slice().unwrap().chunks_exact(n).zip(margins) {
            let sum: f64 = row.iter().sum();
            // The margin itself is a sum of f32s.
            assert!((sum - margin).abs() <= 2e-6 * margin.abs().max(1.0), "{case}: {sum} for {margin}");
        }
        Some(distance(&numbers(answers.tensor("contributions").unwrap()), &numbers(&expected)))
    });
}

/// The library's own contributions are f32, and so are its margins: what ours sum to is held against the leaves of the
/// file, added in f64.
#[test]
fn contributions_sum_to_the_margin() {
    let mut checked = 0;
    for (case, file) in cases() {
        let Ok(file) = serde_json::from_slice::<serde_json::Value>(&file) else { continue };
        let learner = &file["learner"];
        let gradient = &learner["gradient_booster"];
        let trees = &gradient["model"]["trees"];
        let as_is =
            ["reg:squarederror", "reg:absoluteerror", "multi:softprob", "multi:softmax", "rank:ndcg", "rank:map"];
        let objective = learner["objective"]["name"].as_str().unwrap();
        if gradient["name"] != "gbtree" || !as_is.contains(&objective) || !has(&format!("{case}/shap")) {
            continue;
        }
        if trees[0]["tree_param"]["size_leaf_vector"].as_str().is_some_and(|k| k != "0" && k != "1") {
            continue;
        }
        let text = learner["learner_model_param"]["base_score"].as_str().unwrap();
        let base: Vec<f64> =
            text.trim_matches(['[', ']']).split(',').map(|b| f64::from(b.parse::<f32>().unwrap())).collect();
        let answers = model(case, &["contributions", "leaf", "raw"]).predict_array(rows(case)).unwrap();
        let contributions = answers.tensor("contributions").unwrap();
        let targets = if contributions.shape().len() == 3 { contributions.shape()[1] } else { 1 };
        let per_target = contributions.shape()[contributions.shape().len() - 1];
        let leaves = answers.get::<i32>("leaf").unwrap();
        let contributions = answers.get::<f64>("contributions").unwrap();
        for (of_row, leaves) in
            contributions.as_slice().unwrap().chunks_exact(per_target * targets).zip(leaves.outer_iter())
        {
            let mut margins: Vec<f64> = (0..targets).map(|t| base[t % base.len()]).collect();
            for (tree, leaf) in leaves.iter().enumerate() {
                let target = gradient["model"]["tree_info"][tree].as_u64().unwrap() as usize;
                let weight = trees[tree]["split_conditions"][*leaf as usize].as_f64().unwrap();
                margins[target] += f64::from(weight as f32);
            }
            for (of_target, margin) in of_row.chunks_exact(per_target).zip(margins) {
                let sum: f64 = of_target.iter().sum();
                assert!((sum - margin).abs() <= 1e-9 * margin.abs().max(1.0), "{case}: {sum} for {margin}");
            }
        }
        checked += 1;
    }
    assert!(checked >= 5, "only {checked} cases");
}

#[test]
fn rows_of_f64_are_rounded_as_the_library_rounds_them() {
    let answers = model("reg_squarederror", &["raw"]).predict_array(entry("wide")).unwrap();
    assert_eq!(numbers(answers.tensor("raw").unwrap()), numbers(&entry("reg_squarederror/wide")));
}

#[test]
fn what_sparse_rows_lack_is_missing() {
    let offsets: Vec<usize> = numbers(&entry("csr/offsets")).into_iter().map(|x| x as usize).collect();
    let columns: Vec<u32> = numbers(&entry("csr/columns")).into_iter().map(|x| x as u32).collect();
    let values: Vec<f32> = numbers(&entry("csr/values")).into_iter().map(|x| x as f32).collect();
    for case in ["binary_logistic", "multi_softprob", "linear", "dart"] {
        let rows = Csr::new(5, offsets.clone(), columns.clone(), values.clone()).unwrap();
        let answers = model(case, &["raw"]).predict_array(Tensor::CsrF32(rows)).unwrap();
        let far = distance(&numbers(answers.tensor("raw").unwrap()), &numbers(&entry(&format!("{case}/sparse"))));
        assert!(far < 1e-6, "{case}: {far:e}");
    }
}

#[test]
fn categories_are_read_as_text() {
    for case in ["categories_one_hot", "categories_sets", "categories_mixed"] {
        let model = model(case, &["raw"]);
        let text: ArrayD<String> = entry(&format!("{case}/text")).into_array::<String>().unwrap();
        let answers = model.predict_array(Tensor::from(text.clone())).unwrap();
        let far = distance(&numbers(answers.tensor("raw").unwrap()), &numbers(&entry(&format!("{case}/of_text"))));
        assert!(far < 1e-6, "{case}: {far:e}");
        let input = &model.signature().inputs()[0];
        assert_eq!(input.features(), ["number", "colour", "size"]);
        assert_eq!(input.categories()[2], ["10", "20", "30", "40"]);
        let mut strange = text;
        strange[[7, 1]] = "never".to_owned();
        let error = model.predict_array(Tensor::from(strange)).unwrap_err();
        assert_eq!((error.kind(), error.row_index()), (ErrorKind::InvalidValue, Some(7)));
        assert_eq!(error.column_name(), Some("colour"));
    }
}

#[test]
fn one_row_is_answered_like_many() {
    for (case, _) in cases() {
        let model = model(case, &[]);
        let x = rows(case);
        let m = x.shape()[0];
        let few = x.rows(m - 20..m).unwrap();
        let together = model.predict_array(few.as_view()).unwrap();
        for i in 0..20 {
            let row = few.rows(i..i + 1).unwrap().into_owned().without_batch_axis().unwrap();
            let alone = model.predict_row(row).unwrap();
            for (name, answer) in alone.iter() {
                let expected = together.tensor(name).unwrap().rows(i..i + 1).unwrap().into_owned();
                let (got, expected) = (numbers(answer), numbers(&expected));
                assert!(
                    got.iter().zip(&expected).all(|(g, e)| g.to_bits() == e.to_bits()),
                    "{case}: {got:?} for {expected:?}"
                );
            }
        }
    }
}

#[test]
fn the_best_iteration_is_said() {
    let notes = model("early", &[]).describe().notes;
    assert!(notes.iter().any(|n| n.contains("best iteration")), "{notes:?}");
}

#[test]
fn tables_may_hold_categories_as_text() {
    let case = "categories_mixed";
    let model = model(case, &["raw"]);
    let text = entry(&format!("{case}/text"));
    let text = text.view::<String>().unwrap();
    let mut csv = "size,colour,number\n".to_owned();
    for row in text.outer_iter() {
        csv.push_str(&format!("{},{},{}\n", row[2], row[1], row[0]));
    }
    let reader = TableReader::from_bytes("t.csv", csv, model.signature(), &TableOptions::default()).unwrap();
    let answers = model.predict_batch(&reader.read_all().unwrap()).unwrap();
    let far = distance(&numbers(answers.tensor("raw").unwrap()), &numbers(&entry(&format!("{case}/of_text"))));
    assert!(far < 1e-6, "{far:e}");
}

/// SplitMix64.
fn below(state: &mut u64, n: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) % n as u64) as usize
}

/// A file with a few edits: numbers replaced in text, bytes in what is binary, or a part taken out.
fn edited(file: &[u8], state: &mut u64) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "0",
        "-1",
        "1",
        "2",
        "7",
        "1e30",
        "-1e30",
        "NaN",
        "Infinity",
        "0.5",
        "4294967296",
        "2147483647",
        "\"3\"",
        "[]",
        "null",
        "16777216",
    ];
    let mut file = file.to_vec();
    for _ in 0..=below(state, 3) {
        let at = below(state, file.len());
        if below(state, 20) == 0 {
            let to = (at + below(state, 60)).min(file.len());
            file.drain(at..to);
        } else if file[1] == b'"' {
            let is_part = |b: &u8| b.is_ascii_digit() || b"-+.eE".contains(b);
            let Some(from) = file[at..].iter().position(|b| b.is_ascii_digit()).map(|i| at + i) else { continue };
            let to = file[from..].iter().position(|b| !is_part(b)).map_or(file.len(), |i| from + i);
            file.splice(from..to, WORDS[below(state, WORDS.len())].bytes());
        } else {
            file[at] = [0, 1, 2, 127, 128, 255, b'L', b'd', b'[', b'#'][below(state, 10)];
        }
    }
    file
}

#[test]
fn edited_files_are_refused_or_answer() {
    let limits = Limits::default().max_elements(1 << 16).max_messages(1 << 16);
    let (mut state, mut loaded, mut refused) = (7, 0, 0);
    let small = ["base_hinge", "base_poisson", "linear_multi", "vectors", "one_leaf", "categories_one_hot", "early"];
    for case in small.into_iter().chain(["old/1.0.2/dart", "categories_mixed"]) {
        let (_, file) = cases().find(|(name, _)| *name == case).unwrap();
        for i in 0..150 {
            let outputs: &[&str] = [&["raw", "contributions"][..], &["leaf"], &["raw"]][i % 3];
            let loader = Loader::new().limits(limits).outputs(outputs.iter().copied());
            let Ok(model) = loader.load_bytes("edited", edited(&file, &mut state)) else {
                refused += 1;
                continue;
            };
            loaded += 1;
            let spec = &model.signature().inputs()[0];
            let Dim::Fixed(n) = spec.dims()[1] else { panic!("{spec}") };
            let x = Array2::from_shape_fn((3, n), |(i, j)| [0.0, -1.5, f32::NAN, 3.0, 1e9][(i + j) % 5]);
            let answers = model.predict_array(x).unwrap();
            assert_eq!(answers.at(0).unwrap().1.shape()[0], 3);
        }
    }
    assert!(loaded > 100 && refused > 100, "{loaded} loaded, {refused} refused");
}
