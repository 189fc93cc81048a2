//! The categories that XGBoost 3.1 and later keep with a model.

use super::super::{Categories, Unseen};
use super::fields::{index, malformed};
use super::value::Value;
use crate::Result;

/// The categories of each of `features` columns, where the model has any.
///
/// # Errors
/// [`ErrorKind::Malformed`](crate::ErrorKind) when they contradict themselves.
pub(super) fn categories(model: &Value, features: usize) -> Result<Vec<Option<Categories>>> {
    let Some(cats) = model.get("cats") else { return Ok(Vec::new()) };
    let encodings = cats.list("enc")?;
    if encodings.is_empty() {
        return Ok(Vec::new());
    }
    if encodings.len() != features {
        let error = malformed("enc", "does not hold the categories of every feature");
        return Err(error.expected(features).actual(encodings.len()));
    }
    let of = |encoding: &Value| {
        let known = if encoding.get("offsets").is_some() { texts(encoding)? } else { numbers(encoding)? };
        Ok((!known.is_empty()).then_some(Categories { known, unseen: Unseen::Refused }))
    };
    encodings.iter().map(of).collect()
}

/// Texts, one after another as bytes.
fn texts(encoding: &Value) -> Result<Vec<String>> {
    let bytes: Vec<u8> = encoding.numbers("values")?.iter().map(|&b| b as i64 as u8).collect();
    let offsets = encoding.numbers("offsets")?;
    let bad = || malformed("offsets", "does not lead to texts");
    let text = |pair: &[f64]| {
        let at = |x| index(x, bytes.len() + 1).ok_or_else(bad);
        let text = bytes.get(at(pair[0])?..at(pair[1])?).ok_or_else(bad)?;
        // XGBoost cuts texts to as many bytes as they have characters, in the middle of one where need be.
        Ok(String::from_utf8_lossy(text).into_owned())
    };
    offsets.windows(2).map(text).collect()
}

fn numbers(encoding: &Value) -> Result<Vec<String>> {
    Ok(encoding.numbers("values")?.iter().map(ToString::to_string).collect())
}
