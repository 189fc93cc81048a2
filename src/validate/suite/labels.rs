use crate::table::{CellValue, Column};
use crate::{Error, ErrorKind, Result};

/// The different labels of a data set.
pub(super) struct Labels {
    /// In order: numbers by value, text by the alphabet.
    pub(super) different: Vec<String>,
    /// Whether they are numbers with fractions, which are no classes.
    pub(super) fractional: bool,
}

impl Labels {
    pub(super) fn of(column: &Column, name: &str) -> Result<Self> {
        if let Some(row) = (0..column.len()).find(|&row| column.cell(row) == CellValue::Missing) {
            return Err(Error::new(
                ErrorKind::InvalidValue,
                "a label is missing or NaN; drop the row or fill it; data rows count from 0",
            )
            .column(name)
            .row(row as u64));
        }
        Ok(match column {
            Column::Text { values, .. } => {
                let mut different = values.clone();
                different.sort();
                Self { different, fractional: false }
            }
            Column::Int(cells) => {
                let mut cells = cells.clone();
                cells.sort_unstable();
                cells.dedup();
                Self { different: cells.iter().map(ToString::to_string).collect(), fractional: false }
            }
            Column::Float(cells) => {
                let fractional = cells.iter().any(|x| x.fract() != 0.0);
                let mut cells = if fractional { Vec::new() } else { cells.clone() };
                cells.sort_unstable_by(f64::total_cmp);
                cells.dedup();
                Self { different: cells.iter().map(ToString::to_string).collect(), fractional }
            }
        })
    }
}

pub(super) fn text_of(cell: CellValue<'_>) -> std::borrow::Cow<'_, str> {
    match cell {
        CellValue::Text(text) => text.into(),
        CellValue::Int(i) => i.to_string().into(),
        CellValue::Float(x) => x.to_string().into(),
        CellValue::Missing => "".into(),
    }
}

pub(super) fn number_of(cell: CellValue<'_>) -> f64 {
    match cell {
        CellValue::Int(i) => i as f64,
        CellValue::Float(x) => x,
        CellValue::Text(_) | CellValue::Missing => f64::NAN,
    }
}
