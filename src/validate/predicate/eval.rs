use super::parse::{Expr, Literal, Op, located, parse};
use crate::table::{Column, Columns};
use crate::validate::slices::{SliceValue, quantile_bins};
use crate::{Error, ErrorKind, Result};

/// The rows that a predicate takes, a bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    words: Vec<u64>,
    rows: usize,
}

impl Mask {
    /// A mask of `rows` rows from a function of the row.
    #[must_use]
    pub fn from_fn(rows: usize, keep: impl Fn(usize) -> bool) -> Self {
        let mut words = vec![0u64; rows.div_ceil(64)];
        for row in 0..rows {
            words[row / 64] |= u64::from(keep(row)) << (row % 64);
        }
        Self { words, rows }
    }

    /// Whether `row` is taken.
    #[must_use]
    #[inline]
    pub fn get(&self, row: usize) -> bool {
        self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// How many rows there are, taken or not.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many rows are taken.
    #[must_use]
    pub fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    fn not(mut self) -> Self {
        for word in &mut self.words {
            *word = !*word;
        }
        if let Some(last) = self.words.last_mut()
            && !self.rows.is_multiple_of(64)
        {
            *last &= (1 << (self.rows % 64)) - 1;
        }
        self
    }

    fn with(mut self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a = f(*a, *b);
        }
        self
    }
}

/// A condition on the columns of a table.
///
/// ```text
/// country == "FR" and age < 25
/// plan in ["free", "trial"] or not (age >= 18)
/// income is missing
/// quantile(income, 4) == 1              the first of four bins of about as many rows
/// `a column` != true                    backticks for names of other characters
/// ```
///
/// Comparisons are `==`, `!=`, `<`, `<=`, `>`, `>=`; `not` binds closer than `and`, and `and` closer than `or`. A missing
/// cell meets no comparison but `!=`; truth values compare with the text `true` and `false`, and with 1 and 0.
///
/// ```
/// use modelberth::{table::Columns, validate::Predicate};
/// let table = Columns::from_bytes(b"country,age\nFR,20\nFR,30\nDE,20\n", None)?;
/// let mask = Predicate::parse("country == 'FR' and age < 25")?.rows(&table)?;
/// assert_eq!(mask.count(), 1);
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    text: String,
    expr: Expr,
}

impl Predicate {
    /// The predicate that `text` is.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] with the character at which it is no predicate; [`ErrorKind::InvalidValue`] for a number of
    /// bins out of range; [`ErrorKind::LimitExceeded`] when it nests too deeply.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self { text: text.to_string(), expr: parse(text)? })
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The columns it looks at.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut columns = Vec::new();
        names(&self.expr, &mut columns);
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// The error for a table with the columns `there` and without `column`, if it looks at that.
    pub(in crate::validate) fn lacks(&self, column: &str, there: &str) -> Option<Error> {
        position(&self.expr, column).map(|at| no_such_column(&self.text, at, column, there))
    }

    /// The rows of `table` that it takes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when a column is not there; [`ErrorKind::WrongType`] when one is compared with what it does
    /// not hold. Both say at which character.
    pub fn rows(&self, table: &Columns) -> Result<Mask> {
        Evaluation { table, text: &self.text }.rows(&self.expr)
    }
}

fn names<'e>(expr: &'e Expr, into: &mut Vec<&'e str>) {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|p| names(p, into)),
        Expr::Not(inner) => names(inner, into),
        Expr::Compare { column, .. }
        | Expr::In { column, .. }
        | Expr::Missing { column, .. }
        | Expr::Quantile { column, .. } => into.push(column),
    }
}

/// Where a column is named first.
fn position(expr: &Expr, name: &str) -> Option<usize> {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().find_map(|p| position(p, name)),
        Expr::Not(inner) => position(inner, name),
        Expr::Compare { column, at, .. }
        | Expr::In { column, at, .. }
        | Expr::Missing { column, at }
        | Expr::Quantile { column, at, .. } => (column == name).then_some(*at),
    }
}

fn no_such_column(text: &str, at: usize, column: &str, there: &str) -> Error {
    located(ErrorKind::NotFound, "there is no such column", text, at).column(column).actual(there)
}

struct Evaluation<'a> {
    table: &'a Columns,
    text: &'a str,
}

impl<'a> Evaluation<'a> {
    fn rows(&self, expr: &Expr) -> Result<Mask> {
        match expr {
            Expr::And(parts) => self.joined(parts, |a, b| a & b),
            Expr::Or(parts) => self.joined(parts, |a, b| a | b),
            Expr::Not(inner) => Ok(self.rows(inner)?.not()),
            Expr::Compare { column, at, op, value } => self.compare(column, *at, *op, value),
            Expr::In { column, at, values } => {
                let mut values = values.iter().map(|v| self.compare(column, *at, Op::Equal, v));
                let first = values.next().unwrap_or_else(|| Ok(self.none()))?;
                values.try_fold(first, |mask, next| Ok(mask.with(&next?, |a, b| a | b)))
            }
            Expr::Missing { column, at } => {
                let column = self.column(column, *at)?;
                Ok(Mask::from_fn(column.len(), |row| column.cell(row) == crate::table::CellValue::Missing))
            }
            Expr::Quantile { column, at, bins, op, bin } => self.quantile(column, *at, *bins, *op, *bin),
        }
    }

    fn joined(&self, parts: &[Expr], join: impl Fn(u64, u64) -> u64 + Copy) -> Result<Mask> {
        let mut masks = parts.iter().map(|p| self.rows(p));
        let first = masks.next().unwrap_or_else(|| Ok(self.none()))?;
        masks.try_fold(first, |mask, next| Ok(mask.with(&next?, join)))
    }

    fn none(&self) -> Mask {
        Mask::from_fn(self.table.rows(), |_| false)
    }

    fn column(&self, name: &str, at: usize) -> Result<&'a Column> {
        self.table.column(name).map_err(|e| no_such_column(self.text, at, name, e.actual_text().unwrap_or("")))
    }

    fn wrong_type(&self, name: &str, at: usize, column: &Column, expected: &str) -> Error {
        located(ErrorKind::WrongType, format_args!("the column can't be compared with {expected}"), self.text, at)
            .column(name)
            .actual(column.kind())
    }

    fn compare(&self, name: &str, at: usize, op: Op, value: &Literal) -> Result<Mask> {
        let column = self.column(name, at)?;
        let missing = op == Op::Unequal;
        let number = match value {
            Literal::Number(x) => Some(*x),
            Literal::Bool(b) => Some(f64::from(*b)),
            Literal::Text(_) => None,
        };
        match (column, value) {
            (Column::Text { values, codes }, Literal::Text(_) | Literal::Bool(_)) => {
                let of_value: Vec<bool> = values
                    .iter()
                    .map(|v| match value {
                        Literal::Text(text) => holds(op, v.as_str().cmp(text.as_str())),
                        _ => holds(
                            op,
                            v.to_ascii_lowercase().as_str().cmp(if number == Some(1.0) { "true" } else { "false" }),
                        ),
                    })
                    .collect();
                Ok(Mask::from_fn(codes.len(), |row| of_value.get(codes[row] as usize).copied().unwrap_or(missing)))
            }
            (Column::Int(cells), _) => {
                let number = number.ok_or_else(|| self.wrong_type(name, at, column, "text"))?;
                Ok(Mask::from_fn(cells.len(), |row| match cells[row] {
                    i64::MIN => missing,
                    cell => (cell as f64).partial_cmp(&number).is_some_and(|o| holds(op, o)),
                }))
            }
            (Column::Float(cells), _) => {
                let number = number.ok_or_else(|| self.wrong_type(name, at, column, "text"))?;
                Ok(Mask::from_fn(cells.len(), |row| cells[row].partial_cmp(&number).map_or(missing, |o| holds(op, o))))
            }
            _ => Err(self.wrong_type(name, at, column, "a number")),
        }
    }

    fn quantile(&self, name: &str, at: usize, bins: usize, op: Op, bin: f64) -> Result<Mask> {
        let column = self.column(name, at)?;
        let cells: Vec<f64> = match column {
            Column::Float(cells) => cells.clone(),
            Column::Int(cells) => cells.iter().map(|&i| if i == i64::MIN { f64::NAN } else { i as f64 }).collect(),
            Column::Text { .. } => return Err(self.wrong_type(name, at, column, "quantiles")),
        };
        let edges: Vec<f64> = quantile_bins(&cells, bins)
            .iter()
            .map(|b| match b {
                SliceValue::Range(_, high, _) | SliceValue::Float(high) => *high,
                _ => f64::INFINITY,
            })
            .collect();
        Ok(Mask::from_fn(cells.len(), |row| {
            let of_row = edges.partition_point(|e| *e < cells[row]) as f64 + 1.0;
            !cells[row].is_nan() && of_row.partial_cmp(&bin).is_some_and(|o| holds(op, o))
        }))
    }
}

fn holds(op: Op, ordering: std::cmp::Ordering) -> bool {
    match op {
        Op::Equal => ordering.is_eq(),
        Op::Unequal => ordering.is_ne(),
        Op::Less => ordering.is_lt(),
        Op::AtMost => ordering.is_le(),
        Op::More => ordering.is_gt(),
        Op::AtLeast => ordering.is_ge(),
    }
}
