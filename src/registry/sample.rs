//! A few rows with their answers, to see that a model still gives them.

use crate::table::{read_npz, to_npz};
use crate::{DType, Error, ErrorKind, Model, Result, Tensor, Tensors};

/// How many rows are drawn.
const ROWS: usize = 4;
/// The most bytes of a sample.
const LARGEST: usize = 1 << 20;
/// How far a number may be from what it was, relative to it and absolutely: kernels of another processor add in another
/// order.
const TOLERANCE: (f64, f64) = (1e-4, 1e-5);

/// Rows drawn from the signature with the answers of `model`; nothing where it has none for them.
pub(super) fn drawn(model: &dyn Model) -> Option<(Vec<u8>, u64)> {
    [ROWS, 1].into_iter().find_map(|rows| {
        let inputs = crate::bench::draw_inputs(model.signature(), rows, 0).ok()?;
        let (npz, _) = made(model, &inputs).ok()?;
        let rows = if model.signature().is_batched() { rows as u64 } else { 1 };
        Some((npz, rows))
    })
}

/// `rows` with the answers of `model`.
pub(super) fn made(model: &dyn Model, rows: &Tensors<'_>) -> Result<(Vec<u8>, u64)> {
    let size: usize = rows.iter().map(|(_, tensor)| tensor.len()).sum();
    let too_large = || {
        Error::new(ErrorKind::LimitExceeded, "a sample is kept with every version; give it fewer rows")
            .expected(format!("at most {LARGEST} bytes"))
    };
    if size > LARGEST {
        return Err(too_large());
    }
    let answers = model.predict_batch(rows)?;
    let mut arrays = Tensors::with_capacity(rows.len() + answers.len());
    for (prefix, set) in [("in", rows), ("out", &answers)] {
        for (name, tensor) in set.iter() {
            arrays.insert(format!("{prefix}:{name}"), tensor.to_dense().into_owned())?;
        }
    }
    let npz = to_npz(&arrays)?;
    if npz.len() > LARGEST {
        return Err(too_large());
    }
    let batched = model.signature().inputs().iter().find(|spec| spec.is_batched());
    let count = batched.and_then(|spec| rows.tensor(spec.name()).ok()).map_or(1, |tensor| tensor.shape()[0]);
    Ok((npz, count as u64))
}

/// Predicts a sample again.
///
/// # Errors
/// [`ErrorKind::Integrity`] when the answers are others.
pub(super) fn check(model: &dyn Model, npz: &[u8]) -> Result<()> {
    let arrays = read_npz(npz)?;
    let mut inputs = Tensors::with_capacity(arrays.len());
    let mut expected = Tensors::with_capacity(arrays.len());
    for (key, tensor) in arrays {
        match key.split_once(':') {
            Some(("in", name)) => {
                // NumPy has no bfloat16.
                let taken = model.signature().input(name).map(|spec| spec.dtypes().to_vec()).unwrap_or_default();
                let same = taken.is_empty() || taken.contains(&tensor.dtype());
                let tensor = if same { tensor } else { tensor.cast(taken[0])? };
                inputs.insert(name, tensor)?;
            }
            Some(("out", name)) => expected.insert(name, tensor)?,
            _ => {}
        }
    }
    let answers = model.predict_batch(&inputs)?;
    for (name, answer) in answers.iter() {
        // A loader may be told to leave outputs out, never to add some.
        let Ok(before) = expected.tensor(name) else { continue };
        if !same(before, answer) {
            return Err(Error::new(
                ErrorKind::Integrity,
                "the model does not give the answers here that it gave where it was registered",
            )
            .tensor(name)
            .expected(shown(before))
            .actual(shown(answer)));
        }
    }
    Ok(())
}

fn same(before: &Tensor<'_>, now: &Tensor<'_>) -> bool {
    if before.shape() != now.shape() || (before.dtype() == DType::String) != (now.dtype() == DType::String) {
        return false;
    }
    let (before, now) = (before.to_dense(), now.to_dense());
    if before.dtype() == DType::String {
        return matches!((before.view::<String>(), now.view::<String>()), (Ok(a), Ok(b)) if a == b);
    }
    if before.dtype() == DType::Bool {
        return matches!((before.view::<bool>(), now.view::<bool>()), (Ok(a), Ok(b)) if a == b);
    }
    let wide = |tensor: &Tensor<'_>| tensor.cast(DType::F64).ok()?.into_array::<f64>().ok();
    let (Some(before), Some(now)) = (wide(&before), wide(&now)) else { return false };
    let (relative, absolute) = TOLERANCE;
    before
        .iter()
        .zip(&now)
        .all(|(a, b)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= absolute + relative * a.abs())
}

fn shown(tensor: &Tensor<'_>) -> String {
    let text = format!("{tensor:?}");
    let short: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(120).collect();
    if short.len() < text.len() { format!("{short} ...") } else { short }
}
