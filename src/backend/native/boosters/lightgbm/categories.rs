//! What text stands for in the columns that were categories of a data frame.

use super::file::File;
use super::text::{Field, malformed};
use crate::Result;
use crate::backend::native::boosters::{Categories, Unseen};

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

/// The categories of each feature that has any, or why that can't be said.
///
/// The file has the lists of all columns of the frame that were categories, and says which features training made sets
/// of; columns with an order of their own are among the first only, codes given as numbers among the second only. So
/// text has a meaning where there are as many of the one as of the other and each list has every code of its feature.
pub(super) fn of_features(lists: Vec<Vec<String>>, file: &File<'_>) -> Result<Vec<Option<Categories>>, String> {
    let mut of_features = vec![None; file.feature_names.len()];
    let fits = |(list, &feature): (&Vec<String>, &usize)| {
        let codes = file.feature_infos.get(feature).into_iter().flat_map(|info| info.split(':'));
        feature < file.feature_names.len()
            && codes.filter_map(|code| code.parse().ok()).all(|code: i64| code < list.len() as i64)
    };
    if lists.len() != file.categorical.len() || !lists.iter().zip(&file.categorical).all(fits) {
        return Err(format!(
            "the categories of {} columns can't be matched with the {} features that training made sets of; columns of \
             categories take codes, not text",
            lists.len(),
            file.categorical.len()
        ));
    }
    for (known, &feature) in lists.into_iter().zip(&file.categorical) {
        of_features[feature] = Some(Categories { known, unseen: Unseen::Missing });
    }
    Ok(of_features)
}
