//! LightGBM's own files against the answers of LightGBM.
//!
//! `tests/data/boosters/make_lightgbm.py` made the models, the rows and the answers.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use common::{data, numbers};
use modelberth::ndarray::{Array2, ArrayD, Axis};
use modelberth::table::read_npz;
use modelberth::{Csr, Element, Loader, Model, Tensor, Tensors};

/// All goldens.
struct Goldens(Tensors<'static>);

/// Those of one case.
struct Case<'g> {
    all: &'g Tensors<'static>,
    name: &'g str,
}

impl Goldens {
    fn read() -> Self {
        Self(read_npz(&fs::read(data("boosters/lightgbm.npz")).unwrap()).unwrap())
    }

    fn cases(&self) -> Vec<Case<'_>> {
        let names: BTreeSet<&str> = self.0.iter().filter_map(|(key, _)| Some(key.split_once('/')?.0)).collect();
        assert!(names.len() > 45);
        names.into_iter().map(|name| Case { all: &self.0, name }).collect()
    }

    fn case<'g>(&'g self, name: &'g str) -> Case<'g> {
        Case { all: &self.0, name }
    }
}

impl Case<'_> {
    fn get(&self, key: &str) -> Option<&Tensor<'static>> {
        self.all.tensor(&format!("{}/{key}", self.name)).ok()
    }

    fn numbers(&self, key: &str) -> Option<Vec<f64>> {
        self.get(key).map(|t| numbers(t).unwrap())
    }

    fn load(&self, outputs: &[&str]) -> Arc<dyn Model> {
        let bytes = self.get("model").unwrap().as_slice::<u8>().unwrap().to_vec();
        let loader = if outputs.is_empty() { Loader::new() } else { Loader::new().outputs(outputs.iter().copied()) };
        loader.load_bytes(self.name, bytes).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    /// The rows of `key`, values drawn from the pool.
    fn rows(&self, key: &str) -> Array2<f64> {
        let pool = self.get("pool").unwrap().view::<f64>().unwrap();
        let at = self.get(key).unwrap().view::<u8>().unwrap();
        Array2::from_shape_fn((at.shape()[0], at.shape()[1]), |(i, j)| pool[[j, usize::from(at[[i, j]])]])
    }

    /// Holds the answers of `model` to the library's for `x`, whose goldens end in `bits`.
    fn check<T: Element>(&self, x: &Array2<T>, bits: &str, wrong: &mut Vec<String>) {
        let model = self.load(&[]);
        let inputs = Tensors::one("x", x.view());
        let answers = model.predict_batch(&inputs).unwrap();
        let predict = self.numbers(&format!("predict{bits}")).unwrap();
        let got = match answers.tensor("probabilities") {
            Err(_) => numbers(answers.tensor("prediction").unwrap()).unwrap(),
            Ok(p) if p.shape()[1] == 2 && predict.len() == x.nrows() => {
                numbers(p).unwrap().into_iter().skip(1).step_by(2).collect()
            }
            Ok(p) => numbers(p).unwrap(),
        };
        let mut hold = |what: &str, got: &[f64], expected: &[f64], tolerance: f64| {
            let far = got.iter().zip(expected).position(|(g, e)| !near(*g, *e, tolerance));
            if got.len() != expected.len() {
                wrong.push(format!("{} {what}{bits}: {} numbers, expected {}", self.name, got.len(), expected.len()));
            } else if let Some(at) = far {
                let all = got.iter().zip(expected).filter(|(g, e)| !near(**g, **e, tolerance)).count();
                wrong.push(format!(
                    "{} {what}{bits}: {all} of {}; at {at} {} for {}",
                    self.name,
                    got.len(),
                    got[at],
                    expected[at]
                ));
            }
        };
        hold("predict", &got, &predict, 1e-12);
        let detailed = self.load(&["raw", "leaf"]).predict_batch(&inputs).unwrap();
        let raw = self.numbers(&format!("raw{bits}")).unwrap_or(predict);
        hold("raw", &numbers(detailed.tensor("raw").unwrap()).unwrap(), &raw, 1e-12);
        let leaf = self.numbers(&format!("leaf{bits}")).unwrap();
        hold("leaf", &numbers(detailed.tensor("leaf").unwrap()).unwrap(), &leaf, 0.0);
        for i in [0, x.nrows() - 1] {
            let one = model.predict(&Tensors::one("x", x.row(i))).unwrap();
            for ((name, one), (_, all)) in one.iter().zip(answers.iter()) {
                let all = all.view::<f64>().map(|v| v.index_axis(Axis(0), i).to_owned());
                if let Ok(all) = all {
                    let one: ArrayD<f64> = one.view::<f64>().unwrap().to_owned();
                    if bits_of(&one) != bits_of(&all) {
                        wrong.push(format!("{} {name}{bits}: row {i} alone is another answer", self.name));
                    }
                }
            }
        }
    }
}

fn bits_of(x: &ArrayD<f64>) -> Vec<u64> {
    x.iter().map(|x| x.to_bits()).collect()
}

fn near(got: f64, expected: f64, tolerance: f64) -> bool {
    got == expected || (got.is_nan() && expected.is_nan()) || (got - expected).abs() <= tolerance * expected.abs()
}

#[test]
fn answers_are_the_librarys() {
    let goldens = Goldens::read();
    let mut wrong = Vec::new();
    for case in goldens.cases() {
        case.check(&case.rows("rows64"), "64", &mut wrong);
        case.check(&case.rows("rows32").mapv(|x| x as f32), "32", &mut wrong);
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn contributions_are_the_librarys() {
    let goldens = Goldens::read();
    let mut wrong = Vec::new();
    for case in goldens.cases() {
        let Some(expected) = case.numbers("contrib64") else { continue };
        let x = case.rows("rows64");
        let rows = case.get("contrib64").unwrap().shape()[0];
        let x = x.slice(modelberth::ndarray::s![..rows, ..]);
        let answers = case.load(&["contributions", "raw"]).predict_batch(&Tensors::one("x", x)).unwrap();
        let got = numbers(answers.tensor("contributions").unwrap()).unwrap();
        let raw = numbers(answers.tensor("raw").unwrap()).unwrap();
        let per_sum = x.ncols() + 1;
        assert_eq!(got.len(), expected.len(), "{}", case.name);
        for ((got, expected), raw) in got.chunks(per_sum).zip(expected.chunks(per_sum)).zip(&raw) {
            let size = expected.iter().map(|c| c.abs()).sum::<f64>();
            if got.iter().zip(expected).any(|(g, e)| (g - e).abs() > 1e-9 * size) {
                wrong.push(format!("{}: {got:?} for {expected:?}", case.name));
            }
            if (got.iter().sum::<f64>() - raw).abs() > 1e-9 * size {
                wrong.push(format!("{}: {got:?} don't add up to {raw}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn absent_entries_of_sparse_rows_are_zero() {
    let goldens = Goldens::read();
    let mut cases = 0;
    for case in goldens.cases() {
        let Some(expected) = case.numbers("sparse64") else { continue };
        cases += 1;
        let dense = case.rows("rows64");
        let (mut offsets, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
        for row in dense.rows() {
            for (j, &x) in row.iter().enumerate().filter(|(_, x)| **x != 0.0) {
                columns.push(j as u32);
                values.push(x);
            }
            offsets.push(values.len());
        }
        let narrow: Vec<f32> = values.iter().map(|&x| x as f32).collect();
        let model = case.load(&[]);
        let sparse = Csr::new(dense.ncols(), offsets.clone(), columns.clone(), values).unwrap();
        let answer = |x: Tensor<'_>| {
            let answers = model.predict_batch(&Tensors::one("x", x)).unwrap();
            match answers.tensor("probabilities") {
                Ok(p) => numbers(p).unwrap().into_iter().skip(1).step_by(2).collect(),
                Err(_) => numbers(answers.tensor("prediction").unwrap()).unwrap(),
            }
        };
        let got = answer(sparse.into());
        assert!(got.iter().zip(&expected).all(|(g, e)| near(*g, *e, 1e-12)), "{}", case.name);
        let sparse = Csr::new(dense.ncols(), offsets, columns, narrow).unwrap();
        let dense = dense.mapv(|x| x as f32);
        assert_eq!(answer(sparse.into()), answer(dense.view().into()), "{}", case.name);
    }
    assert!(cases >= 3);
}

#[test]
fn text_becomes_the_codes_of_a_data_frame() {
    let goldens = Goldens::read();
    let case = goldens.case("pandas");
    let texts = |key: &str| -> Vec<String> {
        case.get(&format!("frame_{key}")).unwrap().view::<String>().unwrap().iter().cloned().collect()
    };
    let (plan, floor, paid) = (texts("plan"), texts("floor"), texts("paid"));
    let numbers_of = case.get("frame_numbers").unwrap().view::<f64>().unwrap();
    let rows = Array2::from_shape_fn((plan.len(), 5), |(i, j)| match j {
        1 => plan[i].clone(),
        2 => floor[i].clone(),
        3 => paid[i].clone(),
        _ => numbers_of[[i, j / 4]].to_string(),
    });
    let model = case.load(&[]);
    let spec = &model.signature().inputs()[0];
    assert_eq!(spec.features(), ["größe_in_m", "plan", "floor", "paid", "age"]);
    assert_eq!(spec.categories()[1], ["free", "pro", "team", "très cher"]);
    assert_eq!((spec.categories()[2][3].as_str(), spec.categories()[3][1].as_str()), ("45", "True"));
    let answers = model.predict_batch(&Tensors::one("x", rows.view())).unwrap();
    let got = numbers(answers.tensor("prediction").unwrap()).unwrap();
    assert!(got.iter().zip(case.numbers("frame_predict").unwrap()).all(|(g, e)| near(*g, e, 1e-12)));

    // A column in an order of its own is no set: which column a list belongs to can't be told, so text has no meaning.
    let model = goldens.case("pandas_ordered").load(&[]);
    assert!(model.signature().inputs()[0].categories().is_empty());
    assert!(model.describe().notes.iter().any(|n| n.contains("take codes, not text")));
}

#[test]
fn labels_are_the_most_probable_classes() {
    let goldens = Goldens::read();
    for name in ["binary", "multiclass", "multiclassova", "rf_multiclass"] {
        let case = goldens.case(name);
        let x = case.rows("rows64");
        let answers = case.load(&[]).predict_batch(&Tensors::one("x", x.view())).unwrap();
        let labels = answers.get::<i64>("label").unwrap();
        let probabilities = answers.get::<f64>("probabilities").unwrap();
        for (label, row) in labels.iter().zip(probabilities.axis_iter(Axis(0))) {
            let best = row.iter().copied().fold(f64::MIN, f64::max);
            assert_eq!(row[*label as usize], best, "{name}");
        }
    }
}

#[test]
fn files_of_the_zoo_answer_as_they_did() {
    for name in ["lgb_binary", "lgb_categorical", "lgb_multi"] {
        let golden = read_npz(&fs::read(data(&format!("zoo/{name}.npz"))).unwrap()).unwrap();
        let model = modelberth::load(data(&format!("zoo/{name}.txt"))).unwrap();
        let answers = model.predict_batch(&Tensors::one("x", golden.tensor("in:x").unwrap().as_view())).unwrap();
        let got = answers.tensor("probabilities").or_else(|_| answers.tensor("prediction")).unwrap();
        let mut got_numbers = numbers(got).unwrap();
        let expected = numbers(golden.tensor("src:predict").unwrap()).unwrap();
        if got_numbers.len() == 2 * expected.len() {
            got_numbers = got_numbers.into_iter().skip(1).step_by(2).collect();
        }
        assert_eq!(got_numbers.len(), expected.len());
        assert!(got_numbers.iter().zip(&expected).all(|(g, e)| near(*g, *e, 1e-12)), "{name}");
        let description = model.describe();
        assert_eq!((description.format.as_str(), description.backend.as_str()), ("lightgbm text", "native"));
    }
}

/// Words and lines of a small model, edited at random: each file is refused or answers as its signature says.
#[test]
fn edited_files_are_refused_or_answer() {
    const WORDS: &[&str] = &[
        "0",
        "1",
        "-1",
        "2",
        "-2",
        "3",
        "7",
        "31",
        "-128",
        "2147483647",
        "-2147483648",
        "4294967295",
        "18446744073709551615",
        "0.5",
        "1e-36",
        "1e300",
        "1e999",
        "nan",
        "-inf",
        "0,5",
        "",
        "null",
        "[[\"a\"]]",
    ];
    let small = concat!(env!("CARGO_MANIFEST_DIR"), "/src/backend/native/boosters/lightgbm/small.txt");
    let small = fs::read_to_string(small).unwrap();
    let mut state = 1u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % n as u64) as usize
    };
    let x = Array2::from_shape_fn((6, 3), |(i, j)| [f64::NAN, 0.0, -3.0, 31.5, 1e300, f64::INFINITY][(i + j) % 6]);
    let (mut loaded, mut refused) = (0, 0);
    for _ in 0..800 {
        let mut lines: Vec<String> = small.lines().map(str::to_owned).collect();
        for _ in 0..=below(2) {
            let (a, b) = (1 + below(lines.len() - 1), 1 + below(lines.len() - 1));
            match below(12) {
                0 => _ = lines.remove(a),
                1 => lines.swap(a, b),
                2 => lines.insert(a, lines[b].clone()),
                _ => {
                    let (key, values) = lines[a].split_once('=').map_or(("", lines[a].as_str()), |(k, v)| (k, v));
                    let mut values: Vec<&str> = values.split(' ').collect();
                    let at = below(values.len());
                    values[at] = WORDS[below(WORDS.len())];
                    lines[a] = format!("{key}={}", values.join(" "));
                }
            }
        }
        let file = lines.join("\n") + "\n";
        for outputs in [["raw", "leaf"].as_slice(), &["prediction", "contributions"], &["label", "probabilities"]] {
            match Loader::new().outputs(outputs.iter().copied()).load_bytes("edited", file.clone().into_bytes()) {
                Err(_) => refused += 1,
                Ok(model) => {
                    loaded += 1;
                    let n = model.signature().inputs()[0].features().len();
                    if n == 3 {
                        let answers = model.predict_batch(&Tensors::one("x", x.view())).unwrap();
                        assert!(answers.iter().all(|(_, t)| t.shape()[0] == 6));
                    }
                }
            }
        }
    }
    assert!(loaded > 200 && refused > 200, "{loaded} loaded, {refused} refused");
}
