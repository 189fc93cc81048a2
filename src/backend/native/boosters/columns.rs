//! From the columns of the input to those that trees compare.

use std::fmt;

use super::booster::{Features, Input};
use super::rows::{Codes, Compared, Given, Rows, Table};
use crate::backend::native::trees::Number;
use crate::{Csr, Result};

/// The number up to which LightGBM takes a number for zero.
const NEXT_TO_ZERO: f32 = 1e-35;

/// One column of the input under a rule for missing values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) feature: u32,
    pub(crate) missing: Missing,
}

impl Column {
    /// The column as it is.
    pub(crate) const fn plain(feature: u32) -> Self {
        Self { feature, missing: Missing::IsNan }
    }
}

/// What counts as missing, and what becomes of it. Comparisons see the missing as NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Missing {
    /// NaN is missing.
    IsNan,
    /// Nothing is missing: NaN counts as zero.
    NanIsZero,
    /// NaN is missing, and so are numbers no further from zero than 1e-35.
    ZeroOrNan,
}

impl Missing {
    #[inline(always)]
    pub(super) fn apply<T: Number>(self, x: T) -> T {
        let next_to_zero = || x.to_f64().abs() <= f64::from(NEXT_TO_ZERO);
        match self {
            Self::NanIsZero if x.is_nan() => T::ZERO,
            Self::ZeroOrNan if next_to_zero() => T::NAN,
            _ => x,
        }
    }
}

/// Columns that a [`Stage`] computes from the same features.
#[cfg(feature = "optimize")]
#[derive(Debug, Clone, Default)]
pub(crate) struct Combination {
    /// Columns of the second input, each once.
    pub(crate) cats: Vec<u32>,
    /// Columns of the first with the borders above which they are asked to be, and whether NaN is.
    pub(crate) floats: Vec<(u32, f32, bool)>,
    /// The columns that come of these and of nothing else.
    pub(crate) columns: Vec<u32>,
}

/// What computes columns from whole rows.
pub(crate) trait Stage: fmt::Debug + Send + Sync {
    /// For each column that is made, the columns of the input that it comes from.
    fn sources(&self) -> Vec<Vec<u32>>;

    /// Adds the columns of `rows` (m, n), and of `text` (m, k) where there is a second input, at the end of `columns`, row by
    /// row.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidValue`](crate::ErrorKind) for a value that has no meaning in its column; the row counts from the
    /// first of `rows`.
    fn fill(&self, rows: Rows<'_>, n: usize, text: &[String], columns: &mut Vec<f32>) -> Result<()>;

    /// How many learned numbers it holds, and in how many bytes.
    fn size(&self) -> (u64, u64);

    /// Columns of the first input that are columns here as they are: which, and where.
    #[cfg(feature = "optimize")]
    fn kept(&self) -> Vec<(u32, u32)>;

    /// Where all other columns come from.
    #[cfg(feature = "optimize")]
    fn combinations(&self) -> Vec<Combination>;
}

/// An [`Input`] with what makes it fast.
#[derive(Debug)]
pub(super) struct Feed {
    input: Input,
    /// The number of columns that it makes.
    width: usize,
    /// Whether the columns are the first ones of the input as they are, so that nothing is copied.
    direct: bool,
    /// The columns in the order of their features, which is how sparse rows are met.
    order: Vec<u32>,
    absent: f64,
    codes: Codes,
    /// The number of columns of the second input.
    text: usize,
}

impl Feed {
    pub(super) fn new(input: Input, features: &Features, absent: f64) -> Self {
        let (width, direct, order) = match &input {
            Input::Stage(stage) => (stage.sources().len(), false, Vec::new()),
            Input::Columns(columns) => {
                let mut order: Vec<u32> = (0..columns.len() as u32).collect();
                order.sort_by_key(|&c| columns[c as usize].feature);
                let direct = columns.iter().enumerate().all(|(i, c)| *c == Column::plain(i as u32));
                (columns.len(), direct, order)
            }
        };
        Self { input, width, direct, order, absent, codes: Codes::new(features), text: features.text.len() }
    }

    /// The number of columns that are made.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// How many learned numbers there are here, and in how many bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        match &self.input {
            Input::Columns(_) => (0, 0),
            Input::Stage(stage) => stage.size(),
        }
    }

    /// Whether dense rows are compared where they lie.
    pub(super) fn is_direct(&self) -> bool {
        self.direct
    }

    /// The columns of the rows `from..to` of `n` features, in `columns`, which is emptied first.
    ///
    /// # Errors
    /// For text that has no meaning, and what a [`Stage`] says.
    pub(super) fn fill<T: Compared>(
        &self,
        Table { x: given, text }: Table<'_>,
        (from, to): (usize, usize),
        n: usize,
        columns: &mut Vec<T>,
    ) -> Result<()> {
        columns.clear();
        match (given, &self.input) {
            (Given::Dense(rows), Input::Columns(_)) => match rows.slice(from, to, n) {
                Rows::F32(x) => self.pick(x, n, columns),
                Rows::F64(x) => self.pick(x, n, columns),
                Rows::Text(text) => {
                    let mut numbers = Vec::new();
                    self.codes.read(text, from, &mut numbers)?;
                    self.pick(&numbers, n, columns);
                }
            },
            (Given::SparseF32(rows), Input::Columns(_)) => self.scatter(rows, (from, to), columns),
            (Given::SparseF64(rows), Input::Columns(_)) => self.scatter(rows, (from, to), columns),
            (given, Input::Stage(stage)) => {
                let (mut dense, mut made) = (Vec::new(), Vec::with_capacity((to - from) * self.width));
                let rows = match given {
                    Given::Dense(rows) => rows.slice(from, to, n),
                    Given::SparseF32(rows) => densify(rows, (from, to), self.absent, &mut dense),
                    Given::SparseF64(rows) => densify(rows, (from, to), self.absent, &mut dense),
                };
                let located = |e: crate::Error| match e.row_index() {
                    Some(row) => e.row(row + from as u64),
                    None => e,
                };
                let k = self.text;
                stage.fill(rows, n, &text[from * k..to * k], &mut made).map_err(located)?;
                columns.extend(made.into_iter().map(T::of));
            }
        }
        Ok(())
    }

    fn list(&self) -> &[Column] {
        match &self.input {
            Input::Columns(columns) => columns,
            Input::Stage(_) => &[],
        }
    }

    fn pick<S: Number, T: Compared>(&self, x: &[S], n: usize, columns: &mut Vec<T>) {
        columns.reserve(x.len() / n.max(1) * self.width);
        for row in x.chunks_exact(n.max(1)) {
            columns.extend(self.list().iter().map(|c| c.missing.apply(T::of(row[c.feature as usize]))));
        }
    }

    fn scatter<S: Number, T: Compared>(&self, rows: &Csr<'_, S>, (from, to): (usize, usize), columns: &mut Vec<T>) {
        let list = self.list();
        columns.reserve((to - from) * self.width);
        for r in from..to {
            let start = columns.len();
            columns.extend(list.iter().map(|c| c.missing.apply(T::from_f64(self.absent))));
            let (features, values) = rows.row(r);
            let mut order = self.order.iter().map(|&c| c as usize).peekable();
            for (&feature, &x) in features.iter().zip(values) {
                while order.next_if(|&c| list[c].feature < feature).is_some() {}
                while let Some(c) = order.next_if(|&c| list[c].feature == feature) {
                    columns[start + c] = list[c].missing.apply(T::of(x));
                }
            }
        }
    }
}

fn densify<'d, S: Number>(
    rows: &Csr<'_, S>,
    (from, to): (usize, usize),
    absent: f64,
    dense: &'d mut Vec<f64>,
) -> Rows<'d> {
    let n = rows.shape()[1];
    dense.resize((to - from) * n, absent);
    for (row, r) in dense.chunks_exact_mut(n.max(1)).zip(from..to) {
        let (columns, values) = rows.row(r);
        for (&column, x) in columns.iter().zip(values) {
            row[column as usize] = x.to_f64();
        }
    }
    Rows::F64(dense)
}
