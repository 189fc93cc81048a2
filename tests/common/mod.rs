//! What the golden tests share: reading goldens and comparing answers with them.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};

use modelberth::{DType, Tensor, Tensors};

/// The folder of test data. A test that runs where it was not built finds it by the variable that cargo sets.
pub(crate) fn data(path: &str) -> PathBuf {
    let home = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&home).join("tests/data").join(path)
}

/// The ONNX files in a folder of test data, in order.
pub(crate) fn models(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(data(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "onnx"))
        .collect();
    found.sort();
    found
}

/// The inputs and the reference's answers beside a model.
#[cfg(feature = "table")]
pub(crate) fn golden(path: &Path) -> Tensors<'static> {
    modelberth::table::read_npz(&std::fs::read(path.with_extension("npz")).unwrap()).unwrap()
}

/// Every element of a tensor of numbers, as f64.
pub(crate) fn numbers(tensor: &Tensor<'_>) -> Option<Vec<f64>> {
    if tensor.dtype() == DType::String {
        return None;
    }
    let wide = |t: &Tensor<'_>| t.cast(DType::F64).ok()?.into_array::<f64>().ok();
    Some(wide(tensor)?.iter().copied().collect())
}

/// How far `got` is from `expected`: `Ok` with the largest distance in units of the tolerance (1e-5 relative plus
/// 1e-6 absolute), or `Err` with what differs in kind.
pub(crate) fn distance(got: &Tensor<'_>, expected: &Tensor<'_>) -> Result<f64, String> {
    let squeezed = |shape: &[usize]| shape.iter().copied().filter(|&d| d != 1).collect::<Vec<_>>();
    if squeezed(got.shape()) != squeezed(expected.shape()) {
        return Err(format!("shape {:?}, expected {:?}", got.shape(), expected.shape()));
    }
    match (numbers(got), numbers(expected)) {
        (Some(got), Some(expected)) => Ok(got.iter().zip(&expected).map(|(g, e)| one(*g, *e)).fold(0.0, f64::max)),
        (None, None)
            if got
                .view::<String>()
                .map_err(|e| e.to_string())?
                .iter()
                .eq(expected.view::<String>().map_err(|e| e.to_string())?.iter()) =>
        {
            Ok(0.0)
        }
        (None, None) => Err("other strings".to_owned()),
        _ => Err(format!("{}, expected {}", got.dtype(), expected.dtype())),
    }
}

fn one(got: f64, expected: f64) -> f64 {
    if got == expected || (got.is_nan() && expected.is_nan()) {
        0.0
    } else if got.is_finite() && expected.is_finite() {
        (got - expected).abs() / (1e-5 * expected.abs() + 1e-6)
    } else {
        f64::INFINITY
    }
}

fn best(row: &[f64]) -> usize {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0)
}

/// How far a network's answers are from those expected.
pub(crate) struct Gap {
    pub(crate) most: f64,
    /// The mean distance as a share of the range.
    pub(crate) mean: f64,
    /// Rows of ten whose two best are further apart than 2 % of the range and that get another class.
    pub(crate) other: usize,
}

/// The gap between answers and those expected, of the same shape.
pub(crate) fn gap(got: &Tensor<'_>, expected: &Tensor<'_>) -> Gap {
    assert_eq!(got.shape(), expected.shape());
    let (got, expected) = (numbers(got).unwrap(), numbers(expected).unwrap());
    let distances = || got.iter().zip(&expected).map(|(g, e)| (g - e).abs());
    let (low, high) = expected.iter().fold((f64::MAX, f64::MIN), |(l, h), &e| (l.min(e), h.max(e)));
    let range = (high - low).max(f64::MIN_POSITIVE);
    let clear = |row: &[f64]| {
        let first = best(row);
        (0..row.len()).all(|i| i == first || row[first] - row[i] > 0.02 * range)
    };
    let rows = got.chunks(10).zip(expected.chunks(10));
    let other = rows.filter(|(g, e)| clear(e) && best(g) != best(e)).count();
    Gap { most: distances().fold(0.0, f64::max), mean: distances().sum::<f64>() / got.len() as f64 / range, other }
}

/// The tensors of `set` whose names begin with `prefix`, without it.
pub(crate) fn with_prefix<'t>(set: &'t Tensors<'_>, prefix: &str) -> Tensors<'t> {
    set.iter().filter_map(|(n, t)| Some((n.strip_prefix(prefix)?.into(), t.as_view()))).collect()
}
