use super::ctr;
use super::features::{Features, malformed};
use super::json::{self, OneOrMany};
use super::objective::Objective;
use super::stage::Plan;
use super::trees::{Builder, Test};
use crate::backend::native::boosters::{self, Booster, Input, Scorer};
use crate::{Limits, Result};

/// What a file says.
///
/// # Errors
/// [`ErrorKind::Malformed`](crate::ErrorKind) for a broken file; [`ErrorKind::Unsupported`](crate::ErrorKind) naming what
/// can't be computed exactly from it; [`ErrorKind::LimitExceeded`](crate::ErrorKind).
pub(in crate::backend::native::boosters) fn read_json(bytes: &[u8], limits: &Limits) -> Result<Booster> {
    let file = json::read(bytes, limits)?;
    let info = &file.features_info;
    let features = Features::new(info)?;
    let questions = features.questions(&info.ctrs)?;
    if features.floats.is_empty() && features.cats.is_empty() {
        return Err(malformed("the file lists no features"));
    }
    let tables = file.ctr_data.unwrap_or_default();
    let groups = ctr::groups(&info.ctrs, &tables, file.model_info.params.as_ref(), &features, limits)?;
    let (scale, OneOrMany(bias)) = file.scale_and_bias.unwrap_or((1.0, OneOrMany(Vec::new())));
    let mut plan = Plan::default();
    let direct = features.cats.is_empty() && groups.is_empty();
    let test = |question| {
        let test = plan.test(question, &features);
        // Without categories the columns are the input's own.
        if direct { Test { column: question.float().unwrap_or(0), ..test } } else { test }
    };
    let mut builder = Builder::new(&features, &questions, scale, test);
    match (&file.oblivious_trees, &file.trees) {
        (Some(trees), None) => trees.iter().try_for_each(|tree| builder.oblivious(tree))?,
        (None, Some(trees)) => trees.iter().try_for_each(|tree| builder.nested(tree))?,
        (None, None) => return Err(malformed("the file has neither `oblivious_trees` nor `trees`")),
        (Some(_), Some(_)) => return Err(malformed("the file has both `oblivious_trees` and `trees`")),
    }
    let trees = builder.finish(bias.len().max(1));
    let targets = trees.forest.targets;
    if !bias.is_empty() && bias.len() != targets {
        return Err(malformed("the bias does not have one number for each target")
            .expected(targets)
            .actual(bias.len()));
    }
    let objective = Objective::new(&file.model_info, targets)?;
    let bias = if bias.is_empty() { vec![0.0; targets] } else { bias };
    let (trees, base) = objective.spread(trees, bias);
    let input = if direct {
        Input::plain(features.floats.len())
    } else {
        Input::Stage(Box::new(plan.finish(&features, groups)))
    };
    let named = features.floats.iter().all(|f| !f.name.is_empty());
    let names = if named { features.floats.iter().map(|f| f.name.clone()).collect() } else { Vec::new() };
    Ok(Booster {
        format: "catboost json",
        features: boosters::Features {
            count: features.floats.len(),
            names,
            categories: Vec::new(),
            text: features.cats.iter().map(|c| c.name.clone()).collect(),
        },
        input,
        absent: 0.0,
        scorer: Scorer::Mixed(trees),
        base,
        divisor: 1.0,
        link: objective.link,
        task: objective.task,
        notes: Vec::new(),
    })
}
