use serde::{Serialize, Serializer};

use crate::table::{CellValue, Column};

/// The bins of a column of fractions where nothing else is asked for.
pub const DEFAULT_QUANTILES: usize = 10;

/// What the rows of a slice have in a column.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SliceValue {
    /// Nothing: the cell is missing.
    Missing,
    /// This whole number.
    Int(i64),
    /// This number.
    Float(f64),
    /// This text.
    Text(String),
    /// A number above the first and up to the second; the first bin of a column holds its lower end too.
    Range(f64, f64, bool),
}

impl SliceValue {
    /// The predicate that `column` has this value: `age in (20, 30]`, `plan = pro`.
    pub(in crate::validate) fn of_column(&self, column: &str) -> String {
        match self {
            Self::Range(..) => format!("{column} in {self}"),
            _ => format!("{column} = {self}"),
        }
    }
}

impl std::fmt::Display for SliceValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Int(i) => write!(f, "{i}"),
            Self::Float(x) => write!(f, "{x}"),
            Self::Text(text) => f.write_str(text),
            Self::Range(low, high, closed) => write!(f, "{}{low}, {high}]", if *closed { '[' } else { '(' }),
        }
    }
}

/// Numbers as numbers, text and ranges as text, what is missing as null.
impl Serialize for SliceValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Missing => serializer.serialize_unit(),
            Self::Int(i) => serializer.serialize_i64(*i),
            Self::Float(x) => serializer.serialize_f64(*x),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Range(..) => serializer.collect_str(self),
        }
    }
}

/// A column as small whole numbers, 0 up to the number of its values.
#[derive(Debug, Clone, PartialEq)]
pub struct CodedColumn {
    /// The name.
    pub name: String,
    /// The code of each row.
    pub codes: Vec<u32>,
    /// What each code stands for.
    pub values: Vec<SliceValue>,
}

impl CodedColumn {
    /// A column that is coded already; code c stands for the number c.
    #[must_use]
    pub fn from_codes(name: impl Into<String>, codes: Vec<u32>) -> Self {
        let most = codes.iter().max().map_or(0, |m| m + 1);
        Self { name: name.into(), codes, values: (0..most).map(|c| SliceValue::Int(c.into())).collect() }
    }

    /// Text and whole numbers as they are; fractions by `quantiles` bins of about as many rows each, or as they are where
    /// there are no more different ones than bins. Missing cells are a value of their own.
    #[must_use]
    pub fn from_column(name: impl Into<String>, column: &Column, quantiles: usize) -> Self {
        match column {
            Column::Text { values, codes } => Self::from_texts(name.into(), values.clone(), codes.clone()),
            Column::Int(cells) => Self::from_ints(name.into(), cells),
            Column::Float(cells) => Self::from_floats(name.into(), cells, quantiles),
        }
    }

    /// [`from_column`](Self::from_column) of a column that is not needed afterwards; text is not copied.
    #[must_use]
    pub fn from_owned(name: impl Into<String>, column: Column, quantiles: usize) -> Self {
        match column {
            Column::Text { values, codes } => Self::from_texts(name.into(), values, codes),
            other => Self::from_column(name, &other, quantiles),
        }
    }

    fn from_texts(name: String, values: Vec<String>, mut codes: Vec<u32>) -> Self {
        let missing = values.len() as u32;
        let mut values: Vec<SliceValue> = values.into_iter().map(SliceValue::Text).collect();
        if codes.iter().any(|&c| c >= missing) {
            values.push(SliceValue::Missing);
            codes.iter_mut().for_each(|c| *c = (*c).min(missing));
        }
        Self { name, codes, values }
    }

    fn from_ints(name: String, cells: &[i64]) -> Self {
        let mut different = cells.to_vec();
        different.sort_unstable();
        different.dedup();
        let codes = cells.iter().map(|c| different.partition_point(|d| d < c) as u32).collect();
        let values = different.iter().map(|&i| match Column::Int(vec![i]).cell(0) {
            CellValue::Missing => SliceValue::Missing,
            _ => SliceValue::Int(i),
        });
        Self { name, codes, values: values.collect() }
    }

    fn from_floats(name: String, cells: &[f64], quantiles: usize) -> Self {
        let bins = quantile_bins(cells, quantiles);
        let missing = bins.len() as u32;
        let upper = |bin: &SliceValue| match bin {
            SliceValue::Range(_, high, _) | SliceValue::Float(high) => *high,
            _ => f64::INFINITY,
        };
        let edges: Vec<f64> = bins.iter().map(upper).collect();
        let codes: Vec<u32> =
            cells.iter().map(|x| if x.is_nan() { missing } else { edges.partition_point(|e| e < x) as u32 }).collect();
        let mut values = bins;
        if codes.contains(&missing) {
            values.push(SliceValue::Missing);
        }
        Self { name, codes, values }
    }
}

/// Up to `quantiles` ranges of numbers that hold about as many of `cells` each; single numbers where there are few.
pub(in crate::validate) fn quantile_bins(cells: &[f64], quantiles: usize) -> Vec<SliceValue> {
    let mut sorted: Vec<f64> = cells.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let (Some(&first), Some(&last)) = (sorted.first(), sorted.last()) else {
        return Vec::new();
    };
    let quantiles = quantiles.max(1);
    let mut different = vec![first];
    for &x in &sorted {
        if different.last().is_some_and(|l| *l < x) {
            different.push(x);
            if different.len() > quantiles {
                break;
            }
        }
    }
    if different.len() <= quantiles {
        return different.into_iter().map(SliceValue::Float).collect();
    }
    let mut edges: Vec<f64> = (1..quantiles).map(|q| sorted[(q * sorted.len()).div_ceil(quantiles) - 1]).collect();
    edges.push(last);
    edges.dedup();
    let mut low = first;
    edges
        .into_iter()
        .enumerate()
        .map(|(i, high)| SliceValue::Range(std::mem::replace(&mut low, high), high, i == 0))
        .collect()
}
