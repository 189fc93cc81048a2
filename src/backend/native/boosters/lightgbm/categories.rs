//! What text stands for in the columns that were categories of a data frame.

use super::text::{Field, malformed};
use crate::backend::native::boosters::{Categories, Feature, Unseen};
use crate::Result;

/// The categories of each categorical column of the data frame, in the order of the columns.
///
/// # Errors
/// [`ErrorKind::Malformed`](crate::ErrorKind) where it is no JSON of this form.
pub(super) fn lists(field: &Field<'_>) -> Result<Vec<Vec<String>>> {
    let lists: Option<Vec<Vec<serde_json::Value>>> = serde_json::from_str(field.value)
        .map_err(|e| malformed(field.line, "`pandas_categorical` is no list of lists").with_source(e))?;
    Ok(lists.unwrap_or_default().into_iter().map(|list| list.iter().map(text).collect()).collect())
}

/// A category as Python writes it.
fn text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(s) => s.clone(),
        serde_json::Value::Bool(true) => "True".into(),
        serde_json::Value::Bool(false) => "False".into(),
        other => other.to_string(),
    }
}

/// Gives the features their categories. The file has the lists of all columns of the frame that were categories, and
/// says of which features training made sets; columns with an order of their own are in the first alone. So text has a
/// meaning where there are as many of the one as of the other.
pub(super) fn assign(features: &mut [Feature], lists: Vec<Vec<String>>, categorical: &[usize]) -> Option<String> {
    if lists.len() != categorical.len() || categorical.iter().any(|&f| f >= features.len()) {
        return Some(format!(
            "the file has categories of {} columns and sets of {}: columns of categories take codes, not text",
            lists.len(),
            categorical.len()
        ));
    }
    for (known, &feature) in lists.into_iter().zip(categorical) {
        features[feature].categories = Some(Categories { known, unseen: Unseen::Missing });
    }
    None
}
