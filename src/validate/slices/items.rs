//! The predicates of a search: the values of all columns, numbered.

use std::borrow::Cow;

use super::code::CodedColumn;
use crate::{Error, ErrorKind, Result};

/// A predicate: a value of a column, numbered over all columns.
pub(super) type Item = u32;

/// Columns of more values than this are coded anew, without the values that are too rare for any slice: identifiers and
/// times have as many values as rows, and every table of the search is as long as a column has values.
const MANY: usize = 1024;

/// The columns of a search and what their codes stand for.
pub(super) struct Items<'d> {
    /// The codes of each column.
    pub(super) columns: Vec<Cow<'d, [u32]>>,
    /// For each column the number of its first item; one more at the end.
    pub(super) first: Vec<Item>,
    /// How many values of each column occur.
    pub(super) occurring: Vec<u64>,
    /// The original codes of a column that was coded anew; its last code is for all values that are left out.
    original: Vec<Option<Vec<u32>>>,
}

impl<'d> Items<'d> {
    /// The items of these columns; a slice has at least `least_rows` rows.
    pub(super) fn new(features: &'d [CodedColumn], least_rows: usize) -> Result<Self> {
        let mut items = Self { columns: Vec::new(), first: vec![0], occurring: Vec::new(), original: Vec::new() };
        let mut end: Item = 0;
        for feature in features {
            let mut rows = vec![0u32; feature.values.len()];
            feature.codes.iter().for_each(|&code| rows[code as usize] += 1);
            items.occurring.push(rows.iter().filter(|n| **n > 0).count() as u64);
            let mut values = rows.len();
            if values > MANY {
                let kept: Vec<u32> =
                    (0u32..).zip(&rows).filter(|(_, n)| **n as usize >= least_rows).map(|(c, _)| c).collect();
                let rest = kept.len() as u32;
                let mut places = vec![rest; values];
                (0u32..).zip(&kept).for_each(|(place, &code)| places[code as usize] = place);
                items.columns.push(Cow::Owned(feature.codes.iter().map(|&code| places[code as usize]).collect()));
                items.original.push(Some(kept));
                values = rest as usize + 1;
            } else {
                items.columns.push(Cow::Borrowed(&feature.codes));
                items.original.push(None);
            }
            end = u32::try_from(values).ok().and_then(|n| end.checked_add(n)).ok_or_else(|| {
                Error::new(ErrorKind::LimitExceeded, "the columns have more than 2^32 values").column(&feature.name)
            })?;
            items.first.push(end);
        }
        Ok(items)
    }

    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.first.last().map_or(0, |n| *n as usize)
    }

    /// How many codes a column has.
    pub(super) fn values(&self, column: usize) -> usize {
        (self.first[column + 1] - self.first[column]) as usize
    }

    pub(super) fn column_of(&self, item: Item) -> usize {
        self.first.partition_point(|f| *f <= item) - 1
    }

    /// Whether `code` stands for all values of a column that were left out.
    pub(super) fn is_rest(&self, column: usize, code: u32) -> bool {
        self.original[column].as_ref().is_some_and(|kept| code as usize == kept.len())
    }

    /// The column and the code, as it was given, that an item stands for.
    pub(super) fn meaning(&self, item: Item) -> (usize, u32) {
        let column = self.column_of(item);
        let code = item - self.first[column];
        (column, self.original[column].as_ref().map_or(code, |kept| kept[code as usize]))
    }
}
