//! From a document to a booster.

use super::super::{Booster, Features, Input, Linear, Scorer, Trees};
use super::categories::categories;
use super::fields::malformed;
use super::objective::{Objective, objective};
use super::trees::{Frame, trees};
use super::value::Value;
use crate::{Error, ErrorKind, Limits, Result};

/// The most features, each of which takes memory of its own.
const MOST_FEATURES: usize = 1 << 24;
/// The most targets or classes.
const MOST_TARGETS: usize = 1 << 20;

/// The booster that a document describes.
pub(super) fn booster(document: &Value, format: &'static str, limits: &Limits) -> Result<Booster> {
    let learner = document.need("learner")?;
    let version = version(document);
    let params = learner.need("learner_model_param")?;
    let bounded = |key: &str, otherwise, most: usize| {
        let count = params.count(key, otherwise)?;
        if count > most {
            let message = format!("`{key}` is larger than is allowed");
            return Err(Error::new(ErrorKind::LimitExceeded, message)
                .expected(format!("at most {most}"))
                .actual(count));
        }
        Ok(count)
    };
    let count = bounded("num_feature", 0, limits.max_elements.min(MOST_FEATURES))?;
    let most = limits.max_elements.min(MOST_TARGETS);
    let targets = bounded("num_class", 0, most)?.max(bounded("num_target", 1, most)?).max(1);
    let name = learner.need("objective")?.text("name")?;
    let Objective { link, task, margin } =
        objective(name, targets, version.map_or((0, 0), |[major, minor, _]| (major, minor)))?;
    let mut base: Vec<f64> = base(params, targets)?.into_iter().map(|b| margin.of(b as f32).into()).collect();
    let gradient = learner.need("gradient_booster")?;
    let kind = gradient.text("name")?;
    let mut notes = vec![format!("objective {name}")];
    if let Some([major, minor, patch]) = version {
        notes.push(format!("written by XGBoost {major}.{minor}.{patch}"));
    }
    let (scorer, model) = match kind {
        "gblinear" => {
            let model = gradient.need("model")?;
            // The library adds the first base score to every class.
            base = vec![base[0]; targets];
            (Scorer::Linear(linear(model, count, targets)?), model)
        }
        "gbtree" | "dart" => {
            let inner = if kind == "dart" { gradient.need("gbtree")? } else { gradient };
            let model = inner.need("model")?;
            let weights = if kind == "dart" { Some(gradient.numbers("weight_drop")?) } else { None };
            let frame = Frame::new(count, targets, limits);
            let best = best_iteration(learner)?;
            (Scorer::F32(ensemble(model, weights, best, frame, &mut notes)?), model)
        }
        other => {
            return Err(Error::new(ErrorKind::Unsupported, "the file's kind of booster is not known here")
                .expected("gbtree, dart or gblinear")
                .actual(format!("`{}`", other.escape_debug())));
        }
    };
    let names: Vec<String> = learner.texts_if_any("feature_names")?.into_iter().map(str::to_owned).collect();
    if !names.is_empty() && names.len() != count {
        return Err(malformed("feature_names", "does not name every feature").expected(count).actual(names.len()));
    }
    Ok(Booster {
        format,
        features: Features { count, names, categories: categories(model, count)?, ..Features::default() },
        input: Input::plain(count),
        absent: f64::NAN,
        scorer,
        base,
        divisor: 1.0,
        link,
        task,
        notes,
    })
}

/// The base scores, one a target.
fn base(params: &Value, targets: usize) -> Result<Vec<f64>> {
    let base = params.one_or_many("base_score")?;
    match base.len() {
        1 => Ok(vec![base[0]; targets]),
        n if n == targets => Ok(base),
        n => Err(malformed("base_score", "is not one number, or one a target").expected(targets).actual(n)),
    }
}

fn version(document: &Value) -> Option<[u32; 3]> {
    match document.get("version")? {
        Value::Numbers(numbers) => Some([*numbers.first()? as u32, *numbers.get(1)? as u32, *numbers.get(2)? as u32]),
        _ => None,
    }
}

/// The best iteration that early stopping found, counted from 0.
fn best_iteration(learner: &Value) -> Result<Option<usize>> {
    let Some(attributes) = learner.get("attributes") else { return Ok(None) };
    if attributes.get("best_iteration").is_none() {
        return Ok(None);
    }
    attributes.count("best_iteration", 0).map(Some)
}

/// The trees up to the best iteration; all where there is none. `weights` are those of dart.
fn ensemble(
    model: &Value,
    weights: Option<&[f64]>,
    best: Option<usize>,
    frame: Frame,
    notes: &mut Vec<String>,
) -> Result<Trees<f32, f32>> {
    let all = model.list("trees")?;
    let groups = model.numbers("tree_info")?;
    let declared = model.get("gbtree_model_param").map_or(Ok(all.len()), |p| p.count("num_trees", all.len()))?;
    let lengths =
        [("num_trees", declared), ("tree_info", groups.len()), ("weight_drop", weights.map_or(all.len(), <[_]>::len))];
    for (key, length) in lengths {
        if length != all.len() {
            return Err(malformed(key, "does not agree with the number of trees").expected(all.len()).actual(length));
        }
    }
    let mut count = all.len();
    if let Some(best) = best {
        let ends = model.numbers_if_any("iteration_indptr")?;
        let end = if ends.is_empty() {
            let parallel = model.get("gbtree_model_param").map_or(Ok(1), |p| p.count("num_parallel_tree", 1))?;
            best.saturating_add(1).saturating_mul(parallel.max(1)).saturating_mul(frame.targets)
        } else {
            ends.get(best.saturating_add(1)).map_or(all.len(), |&end| end.max(0.0) as usize)
        };
        count = end.min(all.len());
        if count < all.len() {
            notes.push(format!("scored up to the best iteration {best}: {count} of {} trees", all.len()));
        }
    }
    trees(&all[..count], groups, weights.unwrap_or_default(), frame)
}

/// The weights of gblinear: those of every feature, then the bias.
fn linear(model: &Value, features: usize, targets: usize) -> Result<Linear> {
    let all: Vec<f32> = model.numbers("weights")?.iter().map(|&w| w as f32).collect();
    let of_features = features.saturating_mul(targets);
    if all.len() != of_features + targets {
        let error = malformed("weights", "does not hold one weight a feature and a bias, each for every class");
        return Err(error.expected(of_features + targets).actual(all.len()));
    }
    Ok(Linear { bias: all[of_features..].to_vec(), weights: all[..of_features].to_vec() })
}
