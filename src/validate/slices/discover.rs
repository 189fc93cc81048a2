use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::code::{CodedColumn, DEFAULT_QUANTILES, SliceValue};
use super::items::Items;
use super::score::Scorer;
use super::search::{Found, Search};
use crate::table::{CellValue, Column, Columns};
use crate::validate::{Adjustment, Interval, Mean, adjust_within, two_proportions, wilson};
use crate::{Error, ErrorKind, Progress, Result};

/// Finds the slices on which a model errs most: SliceLine, exactly, over every conjunction of column values.
///
/// ```
/// use modelberth::validate::{CodedColumn, SliceFinder};
/// let plan = CodedColumn::from_codes("plan", vec![0, 0, 0, 0, 1, 1, 1, 1]);
/// let country = CodedColumn::from_codes("country", vec![0, 1, 0, 1, 0, 1, 0, 1]);
/// let errors = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0];
/// let found = SliceFinder::new().min_support(2).find(&[plan, country], &errors)?;
/// assert_eq!(found[0].to_string(), "plan = 1 and country = 1");
/// assert_eq!((found[0].size, found[0].mean_error), (2, 1.0));
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SliceFinder {
    /// How many slices are listed at most. Default 10.
    pub top: usize,
    /// How much a high error counts against a small size, above 0 and up to 1. Default 0.95.
    pub alpha: f64,
    /// The fewest rows of a slice; unless set the larger of 32 and a hundredth of the rows.
    pub min_support: Option<usize>,
    /// The most predicates of a slice; unless set as many as there are columns.
    pub max_level: Option<usize>,
    /// The bins of a column of fractions. Default 10.
    pub quantiles: usize,
    /// The confidence of the intervals. Default 0.95.
    pub level: f64,
    /// How p-values are adjusted. Default Benjamini-Hochberg.
    pub adjustment: Adjustment,
}

impl Default for SliceFinder {
    fn default() -> Self {
        Self {
            top: 10,
            alpha: 0.95,
            min_support: None,
            max_level: None,
            quantiles: DEFAULT_QUANTILES,
            level: crate::validate::DEFAULT_LEVEL,
            adjustment: Adjustment::BenjaminiHochberg,
        }
    }
}

/// A slice that was found, best first in its list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DiscoveredSlice {
    /// What its rows have, by column.
    #[serde(serialize_with = "as_map")]
    pub predicates: Vec<(String, SliceValue)>,
    /// Its score, see [`slice_score`](super::slice_score).
    pub score: f64,
    /// Its rows.
    pub size: u64,
    /// The mean error of its rows.
    pub mean_error: f64,
    /// The interval of the mean error: Wilson's for errors of 0 and 1, else Student's t.
    pub interval: Interval,
    /// The p-value of no difference to the other rows: Fisher's or the pooled score test for errors of 0 and 1, else
    /// [`Mean::differs`].
    pub p_value: f64,
    /// The p-value adjusted for every slice whose rows were counted in the search, not only for those listed.
    pub p_adjusted: f64,
}

impl std::fmt::Display for DiscoveredSlice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (column, value)) in self.predicates.iter().enumerate() {
            let and = if i == 0 { "" } else { " and " };
            write!(f, "{and}{}", value.of_column(column))?;
        }
        Ok(())
    }
}

fn as_map<S: Serializer>(predicates: &[(String, SliceValue)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(predicates.len()))?;
    for (column, value) in predicates {
        map.serialize_entry(column, value)?;
    }
    map.end()
}

impl SliceFinder {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`top`](Self::top).
    #[must_use]
    pub fn top(mut self, slices: usize) -> Self {
        self.top = slices;
        self
    }

    /// Sets [`alpha`](Self::alpha).
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Sets [`min_support`](Self::min_support), in rows.
    #[must_use]
    pub fn min_support(mut self, rows: usize) -> Self {
        self.min_support = Some(rows);
        self
    }

    /// Sets [`max_level`](Self::max_level), in predicates.
    #[must_use]
    pub fn max_level(mut self, predicates: usize) -> Self {
        self.max_level = Some(predicates);
        self
    }

    /// Sets [`quantiles`](Self::quantiles).
    #[must_use]
    pub fn quantiles(mut self, bins: usize) -> Self {
        self.quantiles = bins;
        self
    }

    /// The slices of a table with the error of each row in column `errors`; every other column is a feature.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such column; [`ErrorKind::WrongType`] when it holds text; else as
    /// [`find`](Self::find).
    pub fn find_in(&self, table: &Columns, errors: &str) -> Result<Vec<DiscoveredSlice>> {
        let values = errors_of(table.column(errors)?, errors)?;
        let features: Vec<CodedColumn> = table
            .iter()
            .filter(|(name, _)| *name != errors)
            .map(|(name, column)| CodedColumn::from_column(name, column, self.quantiles))
            .collect();
        self.find(&features, &values).map_err(|e| e.column(errors))
    }

    /// [`find_in`](Self::find_in) for a table that is not needed afterwards: each column is dropped once it is coded, so
    /// that none is held twice. Reports how many slices were looked at.
    ///
    /// # Errors
    /// As [`find_in`](Self::find_in).
    pub fn find_in_owned(&self, table: Columns, errors: &str, progress: &dyn Progress) -> Result<Vec<DiscoveredSlice>> {
        let values = errors_of(table.column(errors)?, errors)?;
        let features: Vec<CodedColumn> = table
            .into_iter()
            .filter(|(name, _)| name != errors)
            .map(|(name, column)| CodedColumn::from_owned(name, column, self.quantiles))
            .collect();
        self.find_with(&features, &values, progress).map_err(|e| e.column(errors))
    }

    /// The slices of rows with these features and errors, best first; only those that score above 0.
    ///
    /// # Errors
    /// [`ErrorKind::WrongShape`] when the lengths differ; [`ErrorKind::InvalidValue`] when an error is negative or not
    /// finite; [`ErrorKind::InvalidArgument`] when alpha is not above 0 and at most 1, or a code has no value.
    pub fn find(&self, features: &[CodedColumn], errors: &[f64]) -> Result<Vec<DiscoveredSlice>> {
        self.find_with(features, errors, &crate::NoProgress)
    }

    /// [`find`](Self::find), reporting how many slices were looked at.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn find_with(
        &self,
        features: &[CodedColumn],
        errors: &[f64],
        progress: &dyn Progress,
    ) -> Result<Vec<DiscoveredSlice>> {
        let rows = errors.len();
        self.check(features, errors)?;
        let total: f64 = errors.iter().sum();
        if rows == 0 || total == 0.0 {
            return Ok(Vec::new());
        }
        let least_rows = self.min_support.unwrap_or_else(|| rows.div_ceil(100).max(32)).max(1);
        let search = Search {
            items: Items::new(features, least_rows)?,
            errors,
            scorer: Scorer::new(self.alpha, rows, total, least_rows),
            least_rows,
            top: self.top,
            levels: self.max_level.unwrap_or(usize::MAX),
            progress,
        };
        let (found, counted) = search.run();
        let binary = errors.iter().all(|&e| e == 0.0 || e == 1.0);
        let mut slices: Vec<DiscoveredSlice> =
            found.iter().map(|f| self.describe(features, &search.items, f, errors, binary)).collect();
        let p_values: Vec<f64> = slices.iter().map(|s| s.p_value).collect();
        let family = usize::try_from(counted).unwrap_or(usize::MAX);
        for (slice, p) in slices.iter_mut().zip(adjust_within(&p_values, family, self.adjustment)) {
            slice.p_adjusted = p;
        }
        Ok(slices)
    }

    fn check(&self, features: &[CodedColumn], errors: &[f64]) -> Result<()> {
        if !(self.alpha > 0.0 && self.alpha <= 1.0) {
            return Err(
                Error::new(ErrorKind::InvalidArgument, "alpha must be above 0 and at most 1").actual(self.alpha)
            );
        }
        if errors.len() >= u32::MAX as usize {
            return Err(Error::new(ErrorKind::LimitExceeded, "slices are found in fewer than 2^32 rows"));
        }
        if let Some(row) = errors.iter().position(|e| !e.is_finite() || *e < 0.0) {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "an error is missing, negative or not finite; an error is 0 where the model is right and larger the \
                 more it is wrong",
            )
            .row(row as u64)
            .actual(errors[row]));
        }
        for feature in features {
            if feature.codes.len() != errors.len() {
                return Err(Error::new(ErrorKind::WrongShape, "a column has another number of rows than the errors")
                    .column(&feature.name)
                    .expected(errors.len())
                    .actual(feature.codes.len()));
            }
            if let Some(row) = feature.codes.iter().position(|&c| c as usize >= feature.values.len()) {
                return Err(Error::new(ErrorKind::InvalidArgument, "a code stands for no value of its column")
                    .column(&feature.name)
                    .row(row as u64));
            }
        }
        Ok(())
    }

    fn describe(
        &self,
        features: &[CodedColumn],
        items: &Items<'_>,
        found: &Found,
        errors: &[f64],
        binary: bool,
    ) -> DiscoveredSlice {
        let predicates: Vec<(usize, u32)> = found.items.iter().map(|&item| items.meaning(item)).collect();
        let (mut inside, mut outside) = (Mean::new(), Mean::new());
        for (row, &error) in errors.iter().enumerate() {
            let is_in = predicates.iter().all(|&(column, code)| features[column].codes[row] == code);
            if is_in { inside.add(error) } else { outside.add(error) }
        }
        let size = u64::from(found.stats.rows);
        let mean_error = found.stats.error / size as f64;
        let (interval, p_value) = if binary {
            let cases = |m: &Mean| (m.value().unwrap_or(0.0) * m.rows() as f64).round() as u64;
            (
                wilson(mean_error, size as f64, self.level),
                two_proportions([cases(&inside), cases(&outside)], [inside.rows(), outside.rows()]),
            )
        } else {
            let interval = inside.estimate(self.level).estimate().map(|e| e.interval);
            // A single row bounds nothing, and without spread on either side there is nothing to weigh a gap with.
            let open = Interval { low: 0.0, high: f64::MAX };
            (interval.unwrap_or(open), inside.differs(&outside).unwrap_or(1.0))
        };
        DiscoveredSlice {
            predicates: predicates
                .into_iter()
                .map(|(column, code)| (features[column].name.clone(), features[column].values[code as usize].clone()))
                .collect(),
            score: found.score,
            size,
            mean_error,
            interval,
            p_value,
            p_adjusted: p_value,
        }
    }
}

/// The column of errors as numbers; truth values count as 1 and 0.
fn errors_of(column: &Column, name: &str) -> Result<Vec<f64>> {
    let number = |row: usize| match column.cell(row) {
        CellValue::Int(i) => Ok(i as f64),
        CellValue::Float(x) => Ok(x),
        CellValue::Missing => Ok(f64::NAN),
        CellValue::Text(t) if t.eq_ignore_ascii_case("true") => Ok(1.0),
        CellValue::Text(t) if t.eq_ignore_ascii_case("false") => Ok(0.0),
        CellValue::Text(t) => Err(Error::new(ErrorKind::WrongType, "the errors must be numbers")
            .column(name)
            .row(row as u64)
            .actual(format!("`{}`", t.escape_debug()))),
    };
    (0..column.len()).map(number).collect()
}
