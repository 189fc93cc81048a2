use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Range;

use ndarray::Array2;

use crate::{Error, ErrorKind, Result};

/// The rows of a sparse matrix (m, n), compressed by row as in SciPy's `csr_matrix`.
///
/// What is absent counts as zero for dense consumers; a boosted tree applies its booster's own rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Csr<'a, T: Clone> {
    shape: [usize; 2],
    row_offsets: Cow<'a, [usize]>,
    columns: Cow<'a, [u32]>,
    values: Cow<'a, [T]>,
}

impl<'a, T: Clone + Default> Csr<'a, T> {
    /// Sparse rows of `n` columns. Row `i` holds `values[row_offsets[i]..row_offsets[i + 1]]` at `columns[..]` of the
    /// same range; columns of a row stand in increasing order, without repetition.
    ///
    /// # Errors
    /// [`ErrorKind::WrongShape`] when the three arrays contradict each other; [`ErrorKind::InvalidValue`] when a
    /// column is out of range, repeated or out of order (the row is named).
    pub fn new(
        n: usize,
        row_offsets: impl Into<Cow<'a, [usize]>>,
        columns: impl Into<Cow<'a, [u32]>>,
        values: impl Into<Cow<'a, [T]>>,
    ) -> Result<Self> {
        let (row_offsets, columns, values) = (row_offsets.into(), columns.into(), values.into());
        let bad = |message: &str| Error::new(ErrorKind::WrongShape, message);
        if row_offsets.first() != Some(&0) {
            return Err(bad("the row offsets of sparse rows must start with 0"));
        }
        if columns.len() != values.len() {
            return Err(bad("sparse rows need one column index per value")
                .expected(values.len())
                .actual(columns.len()));
        }
        if row_offsets.last() != Some(&values.len()) {
            return Err(bad("the last row offset of sparse rows must be the number of values").expected(values.len()));
        }
        for (row, bounds) in row_offsets.windows(2).enumerate() {
            let Some(of_row) = columns.get(bounds[0]..bounds[1]) else {
                return Err(bad("the row offsets of sparse rows must not decrease").row(row as u64));
            };
            let ordered = of_row.windows(2).all(|pair| pair[0] < pair[1]);
            if !ordered || of_row.last().is_some_and(|&last| last as usize >= n) {
                return Err(Error::new(
                    ErrorKind::InvalidValue,
                    "the columns of a sparse row must increase and stay below the number of columns",
                )
                .row(row as u64)
                .expected(alloc::format!("columns below {n}")));
            }
        }
        Ok(Self { shape: [row_offsets.len() - 1, n], row_offsets, columns, values })
    }

    /// `[m, n]`.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of stored values.
    #[must_use]
    pub fn stored(&self) -> usize {
        self.values.len()
    }

    /// The stored columns and values of row `i`.
    ///
    /// # Panics
    /// When `i` is not below m.
    #[must_use]
    pub fn row(&self, i: usize) -> (&[u32], &[T]) {
        let range = self.row_offsets[i]..self.row_offsets[i + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// The rows `range`, copied.
    pub(crate) fn select(&self, range: Range<usize>) -> Csr<'static, T> {
        let (from, to) = (self.row_offsets[range.start], self.row_offsets[range.end]);
        let offsets: Vec<usize> = self.row_offsets[range.start..=range.end].iter().map(|o| o - from).collect();
        Csr {
            shape: [range.len(), self.shape[1]],
            row_offsets: offsets.into(),
            columns: self.columns[from..to].to_vec().into(),
            values: self.values[from..to].to_vec().into(),
        }
    }

    /// The same rows, borrowing from these.
    #[must_use]
    pub fn as_view(&self) -> Csr<'_, T> {
        Csr {
            shape: self.shape,
            row_offsets: Cow::Borrowed(&self.row_offsets),
            columns: Cow::Borrowed(&self.columns),
            values: Cow::Borrowed(&self.values),
        }
    }

    /// The same rows, owned.
    #[must_use]
    pub fn into_owned(self) -> Csr<'static, T> {
        Csr {
            shape: self.shape,
            row_offsets: self.row_offsets.into_owned().into(),
            columns: self.columns.into_owned().into(),
            values: self.values.into_owned().into(),
        }
    }

    /// A dense array (m, n) with the default (zero) where nothing is stored.
    #[must_use]
    pub fn to_dense(&self) -> Array2<T> {
        let mut dense = Array2::from_elem(self.shape, T::default());
        for (i, mut out) in dense.outer_iter_mut().enumerate() {
            let (columns, values) = self.row(i);
            for (&column, value) in columns.iter().zip(values) {
                out[column as usize] = value.clone();
            }
        }
        dense
    }
}
