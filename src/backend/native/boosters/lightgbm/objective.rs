//! What answers become of sums.

use super::text::Field;
use crate::backend::native::boosters::{Cut, Labels, Link, Task};
use crate::{Error, ErrorKind, Result};

/// The regressions that may be trained on the square root of the target, by all of their names.
const TAKES_SQRT: [&str; 16] = [
    "regression",
    "regression_l2",
    "mean_squared_error",
    "mse",
    "l2",
    "l2_root",
    "root_mean_squared_error",
    "rmse",
    "regression_l1",
    "mean_absolute_error",
    "l1",
    "mae",
    "quantile",
    "fair",
    "mape",
    "mean_absolute_percentage_error",
];

/// The transform of an objective and what kind of model it makes; `targets` is the number of sums a row has.
///
/// Names and their synonyms are LightGBM's. No objective at all, or one called `custom`, was a function of the user's.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a name that LightGBM does not have, [`ErrorKind::Malformed`] for a parameter that has
/// no meaning.
pub(super) fn objective(field: Option<&Field<'_>>, targets: usize) -> Result<(Link, Task)> {
    let Some(field) = field else {
        return Ok((Link::Identity, Task::Regression));
    };
    let name = field.words().next().unwrap_or("custom");
    let has_sqrt = field.words().any(|w| w == "sqrt");
    let one = |link| if targets == 1 { Ok((link, Task::Regression)) } else { Err(classes(field, 1, targets)) };
    let labels = Labels::Count(targets.max(2));
    let cut = Cut::Probability(0.5);
    match name {
        name if TAKES_SQRT.contains(&name) => one(if has_sqrt { Link::SignedSquare } else { Link::Identity }),
        "huber" | "lambdarank" | "rank_xendcg" | "xendcg" | "xe_ndcg" | "xe_ndcg_mart" | "xendcg_mart" => {
            one(Link::Identity)
        }
        "poisson" | "gamma" | "tweedie" => one(Link::Exp),
        "cross_entropy" | "xentropy" => one(Link::Logistic { k: 1.0 }),
        "cross_entropy_lambda" | "xentlambda" => one(Link::Softplus),
        "binary" if targets == 1 => Ok((Link::Logistic { k: sigmoid(field)? }, Task::Binary { labels, cut })),
        "binary" => Err(classes(field, 1, targets)),
        "multiclass" | "softmax" => {
            check_classes(field, targets)?;
            Ok((Link::Softmax, Task::Multiclass { labels, cut }))
        }
        "multiclassova" | "multiclass_ova" | "ova" | "ovr" => {
            check_classes(field, targets)?;
            Ok((Link::Logistic { k: sigmoid(field)? }, Task::Multiclass { labels, cut }))
        }
        "custom" | "none" | "null" | "na" => Ok((Link::Identity, Task::Regression)),
        other => Err(Error::new(
            ErrorKind::Unsupported,
            format!("line {}: the objective `{other}` is none of LightGBM's", field.line),
        )),
    }
}

/// The value of a parameter, `name:value` after the objective.
fn parameter<'f>(field: &Field<'f>, name: &str) -> Option<&'f str> {
    field.words().find_map(|w| w.strip_prefix(name)?.strip_prefix(':'))
}

fn sigmoid(field: &Field<'_>) -> Result<f64> {
    match parameter(field, "sigmoid").map(str::parse::<f64>) {
        Some(Ok(k)) if k > 0.0 && k.is_finite() => Ok(k),
        _ => Err(field.malformed("needs `sigmoid:k` with a k above zero")),
    }
}

fn check_classes(field: &Field<'_>, targets: usize) -> Result<()> {
    match parameter(field, "num_class").map(str::parse::<usize>) {
        Some(Ok(classes)) if classes == targets && classes > 1 => Ok(()),
        Some(Ok(found)) => Err(classes(field, found, targets)),
        _ => Err(field.malformed("needs `num_class:k`")),
    }
}

#[cold]
fn classes(field: &Field<'_>, classes: usize, targets: usize) -> Error {
    field.malformed(format_args!("is for {classes} sums a row, and the trees make {targets}"))
}
