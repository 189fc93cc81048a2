//! The features of a model, and the questions that its trees ask about them.

use std::collections::{HashMap, HashSet};

use super::json::{self, FeaturesInfo, SplitType};
use crate::{Error, ErrorKind, Result};

/// The features that the file lists, each kind in its order.
#[derive(Debug)]
pub(super) struct Features {
    pub(super) floats: Vec<Float>,
    pub(super) cats: Vec<Cat>,
    /// The places of all features in the training, sorted.
    flats: Vec<u32>,
    /// The places of features by the numbers that the file gives them.
    float_places: HashMap<u32, u32>,
    cat_places: HashMap<u32, u32>,
}

/// A column of numbers.
#[derive(Debug)]
pub(super) struct Float {
    /// The place among all features of the training.
    pub(super) flat: u32,
    pub(super) name: String,
    pub(super) borders: Vec<f32>,
    /// Whether NaN counts as larger than every border; else it is larger than none.
    pub(super) nan_true: bool,
}

/// A column of categories.
#[derive(Debug)]
pub(super) struct Cat {
    pub(super) flat: u32,
    pub(super) name: String,
    /// The hashes that one-hot splits ask for.
    pub(super) values: Vec<i32>,
}

/// A question about a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Question {
    /// Whether a float feature is larger than a border.
    Above { float: u32, border: f32 },
    /// Whether a category is the one with a hash; `value` is its place among the feature's.
    Is { cat: u32, value: u32 },
    /// Whether a statistic is larger than a border.
    CtrAbove { ctr: u32, border: f32 },
}

impl Question {
    /// The float feature that it is about.
    pub(super) fn float(self) -> Option<u32> {
        match self {
            Self::Above { float, .. } => Some(float),
            _ => None,
        }
    }
}

pub(super) fn malformed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Malformed, message)
}

impl Features {
    /// # Errors
    /// [`ErrorKind::Unsupported`] for kinds of features that can't be computed; [`ErrorKind::Malformed`].
    pub(super) fn new(info: &FeaturesInfo) -> Result<Self> {
        for (list, kind) in [(&info.text_features, "text"), (&info.embedding_features, "embedding")] {
            if list.as_ref().is_some_and(|list| !list.is_empty()) {
                let message = format!("the CatBoost model has {kind} features, which this version does not compute");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        }
        let name =
            |name: &Option<String>, id: &str| name.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| id.to_owned());
        let mut flats = HashSet::new();
        let mut new = |flat: u32| {
            if flats.insert(flat) {
                Ok(flat)
            } else {
                Err(malformed("two features have the same `flat_feature_index`").actual(flat))
            }
        };
        let mut floats = Vec::with_capacity(info.float_features.len());
        let mut float_places = HashMap::new();
        for feature in &info.float_features {
            let nan_true = match feature.nan_value_treatment.as_deref() {
                None | Some("AsIs" | "AsFalse") => false,
                Some("AsTrue") => true,
                Some(other) => {
                    return Err(malformed("a float feature has an unknown `nan_value_treatment`").actual(other));
                }
            };
            if feature.borders.iter().any(|b| b.is_nan()) {
                return Err(malformed("a border of a float feature is not a number"));
            }
            if float_places.insert(feature.feature_index, floats.len() as u32).is_some() {
                return Err(malformed("two float features have the same `feature_index`").actual(feature.feature_index));
            }
            let name = name(&feature.feature_name, &feature.feature_id);
            floats.push(Float {
                flat: new(feature.flat_feature_index)?,
                name,
                borders: feature.borders.clone(),
                nan_true,
            });
        }
        let mut cats = Vec::with_capacity(info.categorical_features.len());
        let mut cat_places = HashMap::new();
        for feature in &info.categorical_features {
            if cat_places.insert(feature.feature_index, cats.len() as u32).is_some() {
                return Err(
                    malformed("two categorical features have the same `feature_index`").actual(feature.feature_index)
                );
            }
            let name = name(&feature.feature_name, &feature.feature_id);
            cats.push(Cat { flat: new(feature.flat_feature_index)?, name, values: feature.values.clone() });
        }
        let mut flats: Vec<u32> = flats.into_iter().collect();
        flats.sort_unstable();
        let mut features = Self { floats, cats, flats, float_places, cat_places };
        features.settle_names();
        Ok(features)
    }

    /// Without names, columns are known by their place among all features of the training, as in CatBoost itself; where
    /// the places are 0, 1, ... and all features are numbers, they need none.
    fn settle_names(&mut self) {
        let places_are_names = |name: &str, flat: u32| name.is_empty() || *name == flat.to_string();
        let unnamed = self.floats.iter().all(|f| places_are_names(&f.name, f.flat))
            && self.cats.iter().all(|c| places_are_names(&c.name, c.flat));
        let plain =
            unnamed && self.cats.is_empty() && self.floats.iter().enumerate().all(|(i, f)| f.flat as usize == i);
        let settle = |name: &mut String, flat: u32| {
            if plain {
                name.clear();
            } else if name.is_empty() {
                *name = flat.to_string();
            }
        };
        self.floats.iter_mut().for_each(|f| settle(&mut f.name, f.flat));
        self.cats.iter_mut().for_each(|c| settle(&mut c.name, c.flat));
    }

    /// The place of a feature among all that the file lists, in the order of the training.
    pub(super) fn rank(&self, flat: u32) -> u32 {
        self.flats.partition_point(|&other| other < flat) as u32
    }

    /// The place of the float feature that the file gives this number.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when there is none.
    pub(super) fn float(&self, index: Option<u32>) -> Result<u32> {
        place(&self.float_places, index, "float")
    }

    /// The place of the categorical feature that the file gives this number.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when there is none.
    pub(super) fn cat(&self, index: Option<u32>) -> Result<u32> {
        place(&self.cat_places, index, "categorical")
    }

    /// Every question that a split can ask, by `split_index`: the borders of float features, the values of categories,
    /// the borders of statistics.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for a border that is not a number.
    pub(super) fn questions(&self, ctrs: &[json::Ctr]) -> Result<Vec<Question>> {
        let mut all = Vec::new();
        for (i, float) in self.floats.iter().enumerate() {
            all.extend(float.borders.iter().map(|&border| Question::Above { float: i as u32, border }));
        }
        for (i, cat) in self.cats.iter().enumerate() {
            all.extend((0..cat.values.len() as u32).map(|value| Question::Is { cat: i as u32, value }));
        }
        for (i, ctr) in ctrs.iter().enumerate() {
            if ctr.borders.iter().any(|b| b.is_nan()) {
                return Err(malformed("a border of a statistic is not a number"));
            }
            all.extend(ctr.borders.iter().map(|&border| Question::CtrAbove { ctr: i as u32, border }));
        }
        Ok(all)
    }

    /// The question of a split, which must be what the split says that it is.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] when there is no such question or the split says otherwise;
    /// [`ErrorKind::Unsupported`] for kinds of splits that can't be computed.
    pub(super) fn question(&self, questions: &[Question], split: &json::Split) -> Result<Question> {
        if let SplitType::Other(kind) = &split.split_type {
            let message = "the CatBoost model has splits of a kind that this version does not compute (text or embedding features)";
            return Err(Error::new(ErrorKind::Unsupported, message).actual(kind));
        }
        let Some(&question) = questions.get(split.split_index as usize) else {
            return Err(malformed("a split has a `split_index` that no feature has")
                .expected(format!("below {}", questions.len()))
                .actual(split.split_index));
        };
        let agrees = match question {
            Question::Above { float, border } => {
                split.split_type == SplitType::Float
                    && split.border.is_none_or(|b| b == border)
                    && (split.float_feature_index.is_none() || self.float(split.float_feature_index)? == float)
            }
            Question::Is { cat, value } => {
                split.split_type == SplitType::OneHot
                    && split.value.is_none_or(|v| v == self.cats[cat as usize].values[value as usize])
                    && (split.cat_feature_index.is_none() || self.cat(split.cat_feature_index)? == cat)
            }
            Question::CtrAbove { border, .. } => {
                split.split_type == SplitType::Ctr && split.border.is_none_or(|b| b == border)
            }
        };
        if agrees {
            Ok(question)
        } else {
            Err(malformed("a split is not what its `split_index` stands for").actual(split.split_index))
        }
    }
}

fn place(places: &HashMap<u32, u32>, index: Option<u32>, kind: &str) -> Result<u32> {
    let index = index.ok_or_else(|| malformed(format!("the index of a {kind} feature is missing")))?;
    places
        .get(&index)
        .copied()
        .ok_or_else(|| malformed(format!("the file has no {kind} feature of this index")).actual(index))
}
