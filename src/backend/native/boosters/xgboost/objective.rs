//! What the objectives make of margins.

use super::super::{Cut, Labels, Link, Task};
use crate::{Error, ErrorKind, Result};

/// The closest that a base score comes to 0 or 1 before its logit is taken.
const CLOSEST: f32 = 1e-6;

/// The version that no longer takes the logit of the base score of `binary:logitraw`.
const LOGITRAW_AS_IS: (u32, u32) = (1, 3);

/// What an objective means for answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Objective {
    pub(super) link: Link,
    pub(super) task: Task,
    /// The function that makes a margin of `base_score`.
    pub(super) margin: Margin,
}

/// From the scale of predictions, in which `base_score` stands, to that of margins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Margin {
    AsIs,
    Logit,
    Log,
}

impl Margin {
    /// The margin of a base score.
    pub(super) fn of(self, base: f32) -> f32 {
        match self {
            Self::AsIs => base,
            Self::Logit => -(1.0 / base.clamp(CLOSEST, 1.0 - CLOSEST) - 1.0).ln(),
            Self::Log => base.ln(),
        }
    }
}

/// What the objective `name` means for a model of `targets` margins a row that was written by this major and minor
/// version.
///
/// # Errors
/// [`ErrorKind::Unsupported`] naming an objective that is not known.
pub(super) fn objective(name: &str, targets: usize, version: (u32, u32)) -> Result<Objective> {
    let of = |link, task, margin| Ok(Objective { link, task, margin });
    let logistic = Link::Logistic { k: 1.0 };
    let binary = Task::Binary { labels: Labels::Count(2), cut: Cut::Probability(0.5) };
    let classes = |cut| Task::Multiclass { labels: Labels::Count(targets), cut };
    match name {
        // Several targets are labels of their own, each there or not.
        "binary:logistic" if targets > 1 => of(logistic, Task::Regression, Margin::Logit),
        "binary:logistic" => of(logistic, binary, Margin::Logit),
        "binary:hinge" if targets > 1 => of(Link::Step, Task::Regression, Margin::AsIs),
        "binary:hinge" => of(Link::Step, binary, Margin::AsIs),
        "binary:logitraw" => {
            let margin = if version < LOGITRAW_AS_IS { Margin::Logit } else { Margin::AsIs };
            of(Link::Identity, Task::Regression, margin)
        }
        "reg:logistic" => of(logistic, Task::Regression, Margin::Logit),
        "multi:softprob" => of(Link::Softmax, classes(Cut::Probability(0.0)), Margin::AsIs),
        "multi:softmax" => of(Link::Softmax, classes(Cut::Margin(0.0)), Margin::AsIs),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            of(Link::Exp, Task::Regression, Margin::Log)
        }
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:pseudohubererror"
        | "reg:absoluteerror"
        | "reg:quantileerror"
        | "rank:pairwise"
        | "rank:ndcg"
        | "rank:map" => of(Link::Identity, Task::Regression, Margin::AsIs),
        other => Err(Error::new(
            ErrorKind::Unsupported,
            "the file's objective is not known here, so it is not known what its margins mean",
        )
        .actual(format!("`{}`", other.escape_debug()))),
    }
}
