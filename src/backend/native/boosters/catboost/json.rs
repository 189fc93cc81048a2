//! The file as it is written. What nothing here asks for (training parameters, logs) is skipped over.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, de};

use crate::{Error, ErrorKind, Limits, Result};

/// A whole file.
#[derive(Debug, Deserialize)]
pub(super) struct File {
    #[serde(default)]
    pub(super) model_info: ModelInfo,
    pub(super) features_info: FeaturesInfo,
    pub(super) oblivious_trees: Option<Vec<ObliviousTree>>,
    pub(super) trees: Option<Vec<Node>>,
    /// The tables of statistics, by the `identifier` of a [`Ctr`].
    pub(super) ctr_data: Option<HashMap<String, Table>>,
    /// What the sum is multiplied with, and what is added to the product.
    pub(super) scale_and_bias: Option<(f64, OneOrMany)>,
}

/// What the training left behind.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ModelInfo {
    pub(super) class_params: Option<ClassParams>,
    pub(super) params: Option<Params>,
    /// Set by `set_probability_threshold`; a number as text.
    pub(super) binclass_probability_threshold: Option<String>,
}

/// The classes of a classifier.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ClassParams {
    /// `Integer`, `Float`, `String` or `Boolean`.
    pub(super) class_label_type: Option<String>,
    #[serde(default)]
    pub(super) class_names: Vec<serde_json::Value>,
    /// For each target the class that it is of.
    #[serde(default)]
    pub(super) class_to_label: Vec<f64>,
    #[serde(default)]
    pub(super) classes_count: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Params {
    pub(super) loss_function: Option<Loss>,
    pub(super) cat_feature_params: Option<CatFeatureParams>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Loss {
    #[serde(rename = "type")]
    pub(super) name: String,
}

/// Which statistics the training made.
#[derive(Debug, Default, Deserialize)]
pub(super) struct CatFeatureParams {
    #[serde(default)]
    pub(super) simple_ctrs: Vec<CtrParams>,
    #[serde(default)]
    pub(super) combinations_ctrs: Vec<CtrParams>,
    #[serde(default)]
    pub(super) per_feature_ctrs: HashMap<String, Vec<CtrParams>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CtrParams {
    pub(super) ctr_type: String,
    pub(super) target_binarization: Option<TargetBinarization>,
}

/// How the target was cut into classes.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct TargetBinarization {
    border_count: Option<u64>,
    border_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct FeaturesInfo {
    #[serde(default)]
    pub(super) float_features: Vec<FloatFeature>,
    #[serde(default)]
    pub(super) categorical_features: Vec<CatFeature>,
    #[serde(default)]
    pub(super) ctrs: Vec<Ctr>,
    pub(super) text_features: Option<Vec<de::IgnoredAny>>,
    pub(super) embedding_features: Option<Vec<de::IgnoredAny>>,
}

/// A column of numbers.
#[derive(Debug, Deserialize)]
pub(super) struct FloatFeature {
    /// Its place among the float features of the training.
    pub(super) feature_index: u32,
    /// Its place among all features of the training.
    pub(super) flat_feature_index: u32,
    #[serde(default)]
    pub(super) feature_id: String,
    pub(super) feature_name: Option<String>,
    pub(super) borders: Vec<f32>,
    pub(super) nan_value_treatment: Option<String>,
}

/// A column of categories.
#[derive(Debug, Deserialize)]
pub(super) struct CatFeature {
    /// Its place among the categorical features of the training.
    pub(super) feature_index: u32,
    pub(super) flat_feature_index: u32,
    #[serde(default)]
    pub(super) feature_id: String,
    pub(super) feature_name: Option<String>,
    /// The hashes that one-hot splits ask for.
    #[serde(default)]
    pub(super) values: Vec<i32>,
}

/// A column computed from a table of statistics.
#[derive(Debug, Deserialize)]
pub(super) struct Ctr {
    pub(super) identifier: String,
    pub(super) ctr_type: String,
    pub(super) elements: Vec<Element>,
    pub(super) prior_numerator: f32,
    #[serde(rename = "prior_denomerator")]
    pub(super) prior_denominator: f32,
    pub(super) shift: f32,
    pub(super) scale: f32,
    pub(super) target_border_idx: u32,
    pub(super) borders: Vec<f32>,
}

/// What a statistic is taken over: the value of a category, or the answer of a split.
#[derive(Debug, Deserialize)]
pub(super) struct Element {
    pub(super) combination_element: String,
    pub(super) cat_feature_index: Option<u32>,
    pub(super) float_feature_index: Option<u32>,
    pub(super) border: Option<f32>,
    pub(super) value: Option<i32>,
}

/// A table of statistics.
#[derive(Debug, Deserialize)]
pub(super) struct Table {
    pub(super) hash_map: Option<Entries>,
    /// The length of an entry, its hash included.
    pub(super) hash_stride: u64,
    #[serde(default)]
    pub(super) counter_denominator: i64,
}

/// The entries of a table: each is a hash, written as text, and numbers.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) hashes: Vec<u64>,
    /// The numbers of all entries, equally many each.
    pub(super) numbers: Vec<f64>,
}

/// A tree whose levels ask one question each.
#[derive(Debug, Deserialize)]
pub(super) struct ObliviousTree {
    pub(super) leaf_values: Vec<f64>,
    pub(super) leaf_weights: Option<Vec<f64>>,
    pub(super) splits: Option<Vec<Split>>,
}

/// A node of any other tree: a leaf has a value, a branch the rest.
#[derive(Debug, Deserialize)]
pub(super) struct Node {
    pub(super) value: Option<OneOrMany>,
    pub(super) weight: Option<f64>,
    pub(super) split: Option<Split>,
    pub(super) left: Option<Box<Node>>,
    pub(super) right: Option<Box<Node>>,
}

/// A question; `split_index` numbers all questions of the model, the rest repeats what it stands for.
#[derive(Debug, Deserialize)]
pub(super) struct Split {
    pub(super) split_index: u32,
    pub(super) split_type: SplitType,
    pub(super) border: Option<f32>,
    pub(super) float_feature_index: Option<u32>,
    pub(super) cat_feature_index: Option<u32>,
    pub(super) value: Option<i32>,
}

/// What a question is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SplitType {
    Float,
    OneHot,
    Ctr,
    Other(String),
}

/// A number, or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OneOrMany(pub(super) Vec<f64>);

/// Reads a file.
///
/// # Errors
/// [`ErrorKind::Malformed`] when it is no JSON of this kind; [`ErrorKind::LimitExceeded`].
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<File> {
    check_nesting(bytes, limits)?;
    serde_json::from_slice(bytes).map_err(|e| {
        let message = if e.is_eof() {
            "the CatBoost file ends too early; it is truncated"
        } else {
            "the file is not a CatBoost model as JSON; save with `model.save_model(path, format=\"json\", pool=pool)`"
        };
        Error::new(ErrorKind::Malformed, message).actual(e.to_string())
    })
}

/// Counts objects and arrays, and how deep they stand in each other, before anything is made of them.
fn check_nesting(bytes: &[u8], limits: &Limits) -> Result<()> {
    let (mut count, mut depth, mut at) = (0_usize, 0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_text(bytes, at + 1),
            b'{' | b'[' => {
                count += 1;
                depth += 1;
                if depth > limits.max_depth {
                    return Err(Error::new(
                        ErrorKind::LimitExceeded,
                        "the JSON is nested too deeply; raise `Limits::max_depth`",
                    )
                    .expected(format!("at most {} levels", limits.max_depth)));
                }
                if count > limits.max_messages {
                    return Err(Error::new(
                        ErrorKind::LimitExceeded,
                        "the JSON has too many objects and arrays; raise `Limits::max_messages`",
                    )
                    .expected(format!("at most {}", limits.max_messages)));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Where the text ends whose first character stands at `from`; past the end where it does not.
fn end_of_text(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at
}

impl<'de> Deserialize<'de> for SplitType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = SplitType;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the type of a split")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<SplitType, E> {
                Ok(match text {
                    "FloatFeature" => SplitType::Float,
                    "OneHotFeature" => SplitType::OneHot,
                    "OnlineCtr" => SplitType::Ctr,
                    other => SplitType::Other(other.to_owned()),
                })
            }
        }
        deserializer.deserialize_str(Name)
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = OneOrMany;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a list of numbers")
            }
            fn visit_f64<E: de::Error>(self, x: f64) -> std::result::Result<OneOrMany, E> {
                Ok(OneOrMany(vec![x]))
            }
            fn visit_u64<E: de::Error>(self, x: u64) -> std::result::Result<OneOrMany, E> {
                Ok(OneOrMany(vec![x as f64]))
            }
            fn visit_i64<E: de::Error>(self, x: i64) -> std::result::Result<OneOrMany, E> {
                Ok(OneOrMany(vec![x as f64]))
            }
            fn visit_unit<E: de::Error>(self) -> std::result::Result<OneOrMany, E> {
                Ok(OneOrMany(Vec::new()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<OneOrMany, A::Error> {
                let mut all = Vec::new();
                while let Some(x) = seq.next_element()? {
                    all.push(x);
                }
                Ok(OneOrMany(all))
            }
        }
        deserializer.deserialize_any(Numbers)
    }
}

/// A member of a list of entries.
enum Cell {
    Hash(u64),
    Number(f64),
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Cell;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a hash as text or a number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Cell, E> {
                text.parse().map(Cell::Hash).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
            fn visit_f64<E: de::Error>(self, x: f64) -> std::result::Result<Cell, E> {
                Ok(Cell::Number(x))
            }
            fn visit_u64<E: de::Error>(self, x: u64) -> std::result::Result<Cell, E> {
                Ok(Cell::Number(x as f64))
            }
            fn visit_i64<E: de::Error>(self, x: i64) -> std::result::Result<Cell, E> {
                Ok(Cell::Number(x as f64))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("entries of a hash and as many numbers each")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Entries, A::Error> {
                let mut entries = Entries::default();
                let mut each = None;
                while let Some(cell) = seq.next_element()? {
                    match cell {
                        Cell::Number(_) if entries.hashes.is_empty() => {
                            return Err(de::Error::custom("a table of statistics begins without a hash"));
                        }
                        Cell::Number(x) => entries.numbers.push(x),
                        Cell::Hash(hash) => {
                            if !entries.hashes.is_empty() {
                                let each = *each.get_or_insert(entries.numbers.len());
                                if entries.numbers.len() != entries.hashes.len() * each {
                                    return Err(de::Error::custom(
                                        "the entries of a table of statistics differ in length",
                                    ));
                                }
                            }
                            entries.hashes.push(hash);
                        }
                    }
                }
                let each = each.unwrap_or(entries.numbers.len());
                if entries.numbers.len() != entries.hashes.len() * each {
                    return Err(de::Error::custom("the entries of a table of statistics differ in length"));
                }
                Ok(entries)
            }
        }
        deserializer.deserialize_seq(List)
    }
}
