//! What the sums of a model become: its loss and its classes.

use serde_json::Value;

use super::features::malformed;
use super::json::{ClassParams, ModelInfo};
use crate::Result;
use crate::backend::native::boosters::{Cut, Labels, Link, Task, Trees};

/// The link and the task of a model, and where its targets stand among its classes.
#[derive(Debug)]
pub(super) struct Objective {
    pub(super) link: Link,
    pub(super) task: Task,
    /// For a classifier of several classes, the class of each target; classes without a target have probability 0.
    pub(super) class_of_target: Option<Vec<usize>>,
}

impl Objective {
    /// What the library answers by default for a model with this many targets.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`](crate::ErrorKind) when the classes contradict the targets.
    pub(super) fn new(info: &ModelInfo, targets: usize) -> Result<Self> {
        let loss = info.params.as_ref().and_then(|p| p.loss_function.as_ref()).map_or("", |l| l.name.as_str());
        let plain = |link| Ok(Self { link, task: Task::Regression, class_of_target: None });
        match (loss, &info.class_params) {
            ("Poisson" | "Tweedie", _) => plain(Link::Exp),
            ("RMSEWithUncertainty", _) if targets == 2 => plain(Link::MeanAndVariance),
            ("MultiLogloss" | "MultiCrossEntropy", classes) => {
                let labels = match classes {
                    Some(classes) => labels(classes, targets)?,
                    None => Labels::Count(targets),
                };
                if labels.len() != targets {
                    return Err(contradiction(labels.len(), targets));
                }
                let task = Task::Multilabel { labels, cut: Cut::Margin(0.0) };
                Ok(Self { link: Link::Logistic { k: 1.0 }, task, class_of_target: None })
            }
            (_, Some(classes)) if targets == 1 => {
                let labels = labels(classes, 2)?;
                if labels.len() != 2 {
                    return Err(contradiction(labels.len(), targets));
                }
                let cut = Cut::Margin(margin_cut(info)?);
                Ok(Self { link: Link::Logistic { k: 1.0 }, task: Task::Binary { labels, cut }, class_of_target: None })
            }
            (loss, Some(classes)) => {
                let labels = labels(classes, targets)?;
                let class_of_target = class_of_target(classes, &labels, targets)?;
                let link = if loss == "MultiClassOneVsAll" { Link::Logistic { k: 1.0 } } else { Link::Softmax };
                let task = Task::Multiclass { labels, cut: Cut::Margin(0.0) };
                Ok(Self { link, task, class_of_target: Some(class_of_target) })
            }
            ("Logloss" | "CrossEntropy" | "Focal", None) if targets == 1 => {
                let task = Task::Binary { labels: Labels::Count(2), cut: Cut::Margin(margin_cut(info)?) };
                Ok(Self { link: Link::Logistic { k: 1.0 }, task, class_of_target: None })
            }
            _ => plain(Link::Identity),
        }
    }
}

impl Objective {
    /// The trees and their bias with targets moved to their classes; a class without a target has a margin of minus
    /// infinity.
    pub(super) fn spread(&self, mut trees: Trees<f32, f64>, bias: Vec<f64>) -> (Trees<f32, f64>, Vec<f64>) {
        let (Some(of), Task::Multiclass { labels, .. }) = (&self.class_of_target, &self.task) else {
            return (trees, bias);
        };
        let mut base = vec![f64::NEG_INFINITY; labels.len()];
        of.iter().zip(bias).for_each(|(&class, bias)| base[class] = bias);
        trees.forest.votes.iter_mut().for_each(|vote| vote.target = of[vote.target as usize] as u32);
        trees.forest.targets = labels.len();
        (trees, base)
    }
}

fn contradiction(classes: usize, targets: usize) -> crate::Error {
    malformed("the classes of the CatBoost model contradict its trees")
        .expected(format!("classes for {targets} targets"))
        .actual(format!("{classes} classes"))
}

/// The margin above which the second class is answered.
fn margin_cut(info: &ModelInfo) -> Result<f64> {
    let Some(text) = &info.binclass_probability_threshold else { return Ok(0.0) };
    match text.parse::<f64>() {
        Ok(p) if (0.0..=1.0).contains(&p) => Ok(-(1.0 / p - 1.0).ln()),
        _ => Err(malformed("`binclass_probability_threshold` is not a probability").actual(text)),
    }
}

/// The labels of all classes; where the file does not name them they are numbers.
fn labels(classes: &ClassParams, targets: usize) -> Result<Labels> {
    let wrong = |value: &Value| malformed("a class name is not of the type that the file says").actual(value);
    let names = &classes.class_names;
    if names.is_empty() {
        if classes.classes_count > 0 {
            return Ok(Labels::Count(usize::try_from(classes.classes_count).unwrap_or(usize::MAX)));
        }
        let ints: Vec<i64> = classes.class_to_label.iter().map(|&x| x as i64).collect();
        return Ok(if ints.is_empty() { Labels::Count(targets) } else { Labels::Ints(ints) });
    }
    Ok(match classes.class_label_type.as_deref() {
        Some("String") => Labels::Texts(
            names.iter().map(|v| v.as_str().map(str::to_owned).ok_or_else(|| wrong(v))).collect::<Result<_>>()?,
        ),
        Some("Float") => {
            Labels::Floats(names.iter().map(|v| v.as_f64().ok_or_else(|| wrong(v))).collect::<Result<_>>()?)
        }
        Some("Boolean") => {
            Labels::Bools(names.iter().map(|v| v.as_bool().ok_or_else(|| wrong(v))).collect::<Result<_>>()?)
        }
        None | Some("Integer") => {
            Labels::Ints(names.iter().map(|v| v.as_i64().ok_or_else(|| wrong(v))).collect::<Result<_>>()?)
        }
        Some(other) => return Err(malformed("the classes are of an unknown type").actual(other)),
    })
}

/// The class of each target.
fn class_of_target(classes: &ClassParams, labels: &Labels, targets: usize) -> Result<Vec<usize>> {
    // More classes than the file has room for are not worth a table.
    const MOST: usize = 1 << 20;
    let listed = &classes.class_to_label;
    let named = !classes.class_names.is_empty() || classes.classes_count > 0;
    let of: Vec<usize> =
        if listed.is_empty() || !named { (0..targets).collect() } else { listed.iter().map(|&x| x as usize).collect() };
    let n = labels.len();
    let mut taken = vec![false; n.min(MOST)];
    let fits = n <= MOST && of.len() == targets && of.iter().all(|&c| c < n && !std::mem::replace(&mut taken[c], true));
    if fits { Ok(of) } else { Err(contradiction(n, targets)) }
}
