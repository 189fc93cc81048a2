//! Statistics of categories ("CTR"): numbers that the training counted for every value of a combination of features.
//!
//! A row's combination is hashed; its entry in the file's table gives counts, and these with the prior a number,
//! ((count + prior) / (total + prior's weight) + shift) · scale, in f32 throughout. All that depends on the entry alone
//! is computed at load.

use std::collections::HashMap;

use super::features::{Features, malformed};
use super::index::Index;
use super::json::{self, CtrParams, Params, Table};
use crate::{Error, ErrorKind, Limits, Result};

/// The hash that stands for an empty place in CatBoost's tables; files repeat one of their entries under it.
const EMPTY: u64 = u64::MAX;

/// What a statistic is taken over.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Projection {
    /// Categorical features whose values are combined.
    pub(super) cats: Vec<u32>,
    /// Float features with the borders above which they are asked to be, and what NaN answers.
    pub(super) floats: Vec<(u32, f32, bool)>,
    /// Categorical features with the hash of the value that they are asked to have.
    pub(super) values: Vec<(u32, i32)>,
}

/// All statistics over one projection.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) projection: Projection,
    /// The places of the statistics among all of the model.
    pub(super) ctrs: Vec<u32>,
    index: Index,
    /// The statistics of every entry (entries + 1, ctrs), row-major; the last row is for a value never seen.
    statistics: Vec<f32>,
}

impl Group {
    /// The statistics of a row: its float features, and the hashes of its categories.
    pub(super) fn of_row(&self, floats: impl Fn(u32) -> f32, cats: &[i32]) -> &[f32] {
        let entry = self.index.place(self.projection.hash(floats, cats)).unwrap_or(self.index.len());
        &self.statistics[entry * self.ctrs.len()..(entry + 1) * self.ctrs.len()]
    }

    /// How many numbers are held, and in how many bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        let n = self.statistics.len();
        (n as u64, (n * size_of::<f32>() + self.index.bytes()) as u64)
    }
}

impl Projection {
    fn of(elements: &[json::Element], features: &Features) -> Result<Self> {
        let mut projection = Self::default();
        for element in elements {
            match element.combination_element.as_str() {
                "cat_feature_value" => projection.cats.push(features.cat(element.cat_feature_index)?),
                "float_feature" => {
                    let float = features.float(element.float_feature_index)?;
                    let border = element
                        .border
                        .ok_or_else(|| malformed("a combination has a float feature without a border"))?;
                    projection.floats.push((float, border, features.floats[float as usize].nan_true));
                }
                "cat_feature_exact_value" => {
                    let value =
                        element.value.ok_or_else(|| malformed("a combination has a category without its value"))?;
                    projection.values.push((features.cat(element.cat_feature_index)?, value));
                }
                other => {
                    let message = "a statistic is taken over something that this version does not know";
                    return Err(Error::new(ErrorKind::Unsupported, message).actual(other));
                }
            }
        }
        if projection.cats.is_empty() && projection.floats.is_empty() && projection.values.is_empty() {
            return Err(malformed("a statistic is taken over nothing"));
        }
        Ok(projection)
    }

    /// The hash of a row's combination: values of categories first, then answers.
    fn hash(&self, floats: impl Fn(u32) -> f32, cats: &[i32]) -> u64 {
        const FACTOR: u64 = 0x4906_ba49_4954_cb65;
        let add = |hash: u64, part: u64| FACTOR.wrapping_mul(hash.wrapping_add(FACTOR.wrapping_mul(part)));
        // A category is a signed number of 32 bits there, which widens with its sign.
        let hash = self.cats.iter().fold(0, |hash, &cat| add(hash, i64::from(cats[cat as usize]) as u64));
        let hash = self.floats.iter().fold(hash, |hash, &(float, border, nan_true)| {
            let x = floats(float);
            add(hash, u64::from(x > border || (nan_true && x.is_nan())))
        });
        self.values.iter().fold(hash, |hash, &(cat, value)| add(hash, u64::from(cats[cat as usize] == value)))
    }

    /// The features to which the library credits it, by their places among all features of the training: those whose values
    /// are combined, and only for want of them those whose answers are.
    pub(super) fn sources(&self, features: &Features) -> Vec<u32> {
        let cat = |&cat: &u32| features.cats[cat as usize].flat;
        let floats = self.floats.iter().map(|&(float, ..)| features.floats[float as usize].flat);
        let answers = self.values.iter().map(|(c, _)| cat(c)).chain(floats);
        let mut all: Vec<u32> =
            if self.cats.is_empty() { answers.collect() } else { self.cats.iter().map(cat).collect() };
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The statistics of a model, those over one projection together.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where the file can't give them exactly; [`ErrorKind::Malformed`].
pub(super) fn groups(
    ctrs: &[json::Ctr],
    tables: &HashMap<String, Table>,
    params: Option<&Params>,
    features: &Features,
    limits: &Limits,
) -> Result<Vec<Group>> {
    if let Some(params) = params {
        check_targets(ctrs, params)?;
    }
    let mut members: Vec<(Projection, Vec<u32>)> = Vec::new();
    let mut place_of: HashMap<String, usize> = HashMap::new();
    for (i, ctr) in ctrs.iter().enumerate() {
        let projection = Projection::of(&ctr.elements, features)?;
        let key = format!("{projection:?}");
        let place = *place_of.entry(key).or_insert_with(|| {
            members.push((projection, Vec::new()));
            members.len() - 1
        });
        members[place].1.push(i as u32);
    }
    members.into_iter().map(|(projection, of)| group(projection, of, ctrs, tables, limits)).collect()
}

fn group(
    projection: Projection,
    of: Vec<u32>,
    ctrs: &[json::Ctr],
    tables: &HashMap<String, Table>,
    limits: &Limits,
) -> Result<Group> {
    let with_table = |&i: &u32| {
        let ctr = &ctrs[i as usize];
        let table = tables.get(&ctr.identifier).ok_or_else(|| {
            let message = "the file lacks a table of category statistics (`ctr_data`) that the model needs; save it anew with CatBoost 0.14 or later";
            Error::new(ErrorKind::Unsupported, message).expected(&ctr.identifier)
        })?;
        Ok((Formula::new(ctr, table)?, table.hash_map.as_ref()))
    };
    let parts = of.iter().map(with_table).collect::<Result<Vec<_>>>()?;
    let hashes = |entries: &json::Entries| entries.hashes.iter().copied().filter(|&h| h != EMPTY).collect::<Vec<_>>();
    let index = Index::new(parts.iter().filter_map(|(_, entries)| *entries).flat_map(hashes).collect());
    let k = of.len();
    if (index.len() + 1).checked_mul(k).is_none_or(|n| n > limits.max_elements) {
        return Err(Error::new(
            ErrorKind::LimitExceeded,
            "the category statistics are too many; raise `Limits::max_elements`",
        )
        .expected(format!("at most {}", limits.max_elements))
        .actual(format!("{k} statistics of {} entries", index.len())));
    }
    let unseen: Vec<f32> = parts.iter().map(|(formula, _)| formula.unseen()).collect();
    let mut statistics = unseen.repeat(index.len() + 1);
    for (j, (formula, entries)) in parts.iter().enumerate() {
        let Some(entries) = entries else { continue };
        for (&hash, numbers) in entries.hashes.iter().zip(entries.numbers.chunks_exact(formula.numbers)) {
            if let Some(entry) = index.place(hash) {
                statistics[entry * k + j] = formula.of_entry(numbers);
            }
        }
    }
    Ok(Group { projection, ctrs: of, index, statistics })
}

/// How a statistic is computed from the numbers of an entry.
#[derive(Debug)]
struct Formula<'f> {
    ctr: &'f json::Ctr,
    kind: Kind,
    /// How many numbers an entry has.
    numbers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// The share of rows whose target is above a border: counts by class of the target.
    Borders,
    /// The share of rows whose target is in one class.
    Buckets,
    /// The mean of the target: its sum, and a count.
    Mean,
    /// The count of rows, as a share of the largest count.
    Counter { denominator: f32 },
}

impl<'f> Formula<'f> {
    fn new(ctr: &'f json::Ctr, table: &Table) -> Result<Self> {
        let numbers = (table.hash_stride.max(1) - 1) as usize;
        let (kind, fits) = match ctr.ctr_type.as_str() {
            "Borders" => {
                (Kind::Borders, numbers == 2 || (numbers > 2 && (ctr.target_border_idx as usize) < numbers - 1))
            }
            "Buckets" => (Kind::Buckets, (ctr.target_border_idx as usize) < numbers),
            "BinarizedTargetMeanValue" | "FloatTargetMeanValue" => (Kind::Mean, numbers == 2),
            "Counter" | "FeatureFreq" => {
                (Kind::Counter { denominator: table.counter_denominator as f32 }, numbers == 1)
            }
            other => {
                let message = "the CatBoost model has category statistics of a type that this version does not compute";
                return Err(Error::new(ErrorKind::Unsupported, message).actual(other));
            }
        };
        let whole =
            table.hash_map.as_ref().is_none_or(|e| e.hashes.len().checked_mul(numbers) == Some(e.numbers.len()));
        if !fits || !whole {
            return Err(malformed("a table of category statistics does not have the form of its type")
                .expected(format!("entries for {}, class {}", ctr.ctr_type, ctr.target_border_idx))
                .actual(format!("{numbers} numbers an entry")));
        }
        Ok(Self { ctr, kind, numbers })
    }

    fn value(&self, count: f32, total: f32) -> f32 {
        let share = (count + self.ctr.prior_numerator) / (total + self.ctr.prior_denominator);
        (share + self.ctr.shift) * self.ctr.scale
    }

    /// The statistic of a combination that was never seen.
    fn unseen(&self) -> f32 {
        match self.kind {
            Kind::Counter { denominator } => self.value(0.0, denominator),
            _ => self.value(0.0, 0.0),
        }
    }

    fn of_entry(&self, numbers: &[f64]) -> f32 {
        // Counts are summed exactly and rounded once.
        let sum = |numbers: &[f64]| numbers.iter().sum::<f64>() as f32;
        let class = self.ctr.target_border_idx as usize;
        match self.kind {
            Kind::Borders if numbers.len() == 2 => self.value(numbers[1] as f32, sum(numbers)),
            Kind::Borders => self.value(sum(&numbers[class + 1..]), sum(numbers)),
            Kind::Buckets => self.value(numbers[class] as f32, sum(numbers)),
            Kind::Mean => self.value(numbers[0] as f32, numbers[1] as f32),
            Kind::Counter { denominator } => self.value(numbers[0] as f32, denominator),
        }
    }
}

/// Refuses a model that was trained with two statistics of one type over different classes of the target, or over several
/// targets: the file names all of their tables alike and holds one.
fn check_targets(ctrs: &[json::Ctr], params: &Params) -> Result<()> {
    let counts_classes = |kind: &str| !matches!(kind, "Counter" | "FeatureFreq" | "FloatTargetMeanValue");
    let refuse = |kind: &str, what: &str| {
        let message = format!(
            "the model was trained with category statistics of one type over {what}, of which CatBoost keeps a single table in JSON"
        );
        Err(Error::new(ErrorKind::Unsupported, message).actual(kind))
    };
    let loss = params.loss_function.as_ref().map_or("", |l| l.name.as_str());
    if ["MultiRMSE", "MultiLogloss", "MultiCrossEntropy", "MultiTarget", "SurvivalAft"]
        .iter()
        .any(|of| loss.contains(of))
        && let Some(ctr) = ctrs.iter().find(|c| counts_classes(&c.ctr_type))
    {
        return refuse(&ctr.ctr_type, "several targets (`simple_ctr=\"Counter\"` is the same for all)");
    }
    let Some(params) = &params.cat_feature_params else { return Ok(()) };
    let simple = params.per_feature_ctrs.values().chain([&params.simple_ctrs]).map(|list| (list, false));
    for (list, combined) in simple.chain([(&params.combinations_ctrs, true)]) {
        let mut seen: HashMap<&str, &CtrParams> = HashMap::new();
        for of in list.iter().filter(|p| counts_classes(&p.ctr_type)) {
            let first = seen.entry(&of.ctr_type).or_insert(of);
            let used = |c: &json::Ctr| c.ctr_type == of.ctr_type && (c.elements.len() > 1) == combined;
            if first.target_binarization != of.target_binarization && ctrs.iter().any(used) {
                return refuse(&of.ctr_type, "different classes of the target (more than one `TargetBorderCount`)");
            }
        }
    }
    Ok(())
}
