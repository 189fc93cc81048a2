//! Trees asked in bins of a byte against the same trees asked as the file has them, in floats.

#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::sync::Arc;

use common::data;
use modelberth::table::read_npz;
use modelberth::{DType, Dim, Loader, Model, Tensor, Tensors, TreeEngine};

/// Rows of a batch: enough for a whole group and a rest.
const ROWS: usize = 300;

/// The models of the three boosters and the forests of scikit-learn.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for archive in ["lightgbm", "xgboost"] {
        let read = read_npz(&fs::read(data(&format!("boosters/{archive}.npz"))).unwrap()).unwrap();
        files.extend(read.iter().filter_map(|(name, tensor)| {
            let case = name.as_str().strip_suffix("/model")?;
            Some((format!("{archive}/{case}"), tensor.view::<u8>().unwrap().iter().copied().collect()))
        }));
    }
    let mut archive = zip::ZipArchive::new(File::open(data("boosters/catboost.zip")).unwrap()).unwrap();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).unwrap();
        let name = entry.name().unwrap().to_string();
        if name.ends_with(".json") {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.push((format!("catboost/{name}"), bytes));
        }
    }
    for path in common::models("zoo") {
        files.push((path.display().to_string(), fs::read(&path).unwrap()));
    }
    files
}

/// The numbers that stand in a file, the thresholds among them, as text or as little-endian f32.
fn pool(file: &[u8]) -> Vec<f64> {
    let is_number = |b: &u8| b.is_ascii_digit() || b"+-.eE".contains(b);
    let text = file.split(|b| !is_number(b)).filter_map(|word| std::str::from_utf8(word).ok()?.parse::<f64>().ok());
    let bytes = file.chunks_exact(4).map(|c| f64::from(f32::from_le_bytes([c[0], c[1], c[2], c[3]])));
    let plain = |x: &f64| x.is_finite() && x.abs() < 1e4 && (*x == 0.0 || x.abs() > 1e-4);
    let distinct: BTreeSet<u64> = text.chain(bytes).filter(plain).map(f64::to_bits).take(20_000).collect();
    distinct.into_iter().map(f64::from_bits).collect()
}

/// Rows for the inputs of `model`: numbers of the pool, those next to them, and NaN.
fn rows(model: &dyn Model, pool: &[f64]) -> Option<Tensors<'static>> {
    let mut state = 11u64;
    let mut below = move |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % n
    };
    let mut inputs = Tensors::new();
    for spec in model.signature().inputs() {
        let &[_, Dim::Fixed(n)] = spec.dims() else { return None };
        let mut number = || match below(9) {
            0 => f64::NAN,
            1 => pool[below(pool.len())].next_up(),
            2 => pool[below(pool.len())].next_down(),
            3 => below(12) as f64,
            _ => pool[below(pool.len())],
        };
        let tensor = match spec.dtype() {
            DType::F64 => Tensor::from_vec(&[ROWS, n], (0..ROWS * n).map(|_| number()).collect::<Vec<f64>>()),
            DType::F32 => Tensor::from_vec(&[ROWS, n], (0..ROWS * n).map(|_| number() as f32).collect::<Vec<f32>>()),
            _ => return None,
        };
        inputs.insert(spec.name().clone(), tensor.unwrap()).unwrap();
    }
    Some(inputs)
}

fn load(file: &[u8], engine: TreeEngine) -> Option<Arc<dyn Model>> {
    Loader::new().tree_engine(engine).load_bytes("model", file.to_vec()).ok()
}

/// The bytes of bins, and of the nodes in their place, where a model says that it has trees in bins.
fn bytes(model: &dyn Model) -> Option<[usize; 2]> {
    let told = format!("{:?}", model.describe());
    let (before, after) = told.split_once(" bytes of u8 bins in place of ")?;
    let number = |text: &str| text.parse().unwrap();
    Some([number(before.rsplit(' ').next()?), number(after.split(' ').next()?)])
}

#[test]
fn bins_decide_as_the_thresholds_do_in_half_the_bytes() {
    let (mut compared, mut sizes) = (BTreeSet::new(), [0, 0]);
    for (name, file) in files() {
        let Some(binned) = load(&file, TreeEngine::BitVector) else { continue };
        let Some([small, plain]) = bytes(&*binned) else { continue };
        let floats = load(&file, TreeEngine::Scalar).unwrap();
        assert_eq!(bytes(&*floats), None, "{name}");
        let Some(x) = rows(&*binned, &pool(&file)) else { continue };
        let (Ok(got), Ok(want)) = (binned.predict_batch(&x), floats.predict_batch(&x)) else {
            // Categories that a file does not know are refused by both.
            assert!(floats.predict_batch(&x).is_err() && binned.predict_batch(&x).is_err(), "{name}");
            continue;
        };
        for ((output, got), (_, want)) in got.iter().zip(want.iter()) {
            match (common::numbers(got), common::numbers(want)) {
                (Some(got), Some(want)) => {
                    assert!(got.iter().zip(&want).all(|(g, w)| g.to_bits() == w.to_bits()), "{name} {output}");
                }
                _ => assert_eq!(got, want, "{name} {output}"),
            }
        }
        if small * 2 > plain {
            println!("{name}: {small} of {plain} bytes");
        }
        sizes = [sizes[0] + small, sizes[1] + plain];
        compared.insert(name);
    }
    println!("{} models, {} of {} bytes", compared.len(), sizes[0], sizes[1]);
    assert!(compared.len() > 60, "{compared:?}");
    for part in ["lightgbm/", "xgboost/", "catboost/", "RandomForest", "linear"] {
        assert!(compared.iter().any(|name| name.contains(part)), "{part} in {compared:?}");
    }
    assert!(sizes[0] * 2 <= sizes[1], "{sizes:?}");
}
