//! Which column of a table goes to which place of which input.

use super::value::{Scalar, Sink, sink, texts};
use crate::{DType, Dim, Error, ErrorKind, Result, Signature, TensorSpec, Tensors};

/// One input and the table columns that fill its last axis, in order.
#[derive(Debug)]
struct InputPlan {
    spec: TensorSpec,
    columns: Vec<usize>,
}

impl InputPlan {
    /// Where its elements go. What a model takes as text as well as in numbers is given as text where any of its columns
    /// is text: only the model knows which numbers its categories are.
    fn sink(&self, is_text: impl Fn(usize) -> bool) -> Box<dyn Sink> {
        let either = self.spec.dtype() != DType::String && self.spec.dtypes().contains(&DType::String);
        if either && self.columns.iter().any(|&c| is_text(c)) { texts() } else { sink(self.spec.dtype()) }
    }
}

/// How the columns of a table become inputs, with the elements gathered so far.
pub(super) struct Assembler {
    inputs: Vec<InputPlan>,
    sinks: Vec<Box<dyn Sink>>,
    names: Vec<String>,
    by_position: bool,
}

impl Assembler {
    /// Matches `columns`, the columns of a table, with the inputs of `signature`; `is_text` says which hold text.
    pub(super) fn new(
        signature: &Signature,
        columns: &[String],
        is_text: impl Fn(usize) -> bool,
        allow_extra: bool,
    ) -> Result<Self> {
        let widths: Vec<Width> = signature.inputs().iter().map(Width::of).collect::<Result<_>>()?;
        let (plans, by_position) = match signature.inputs() {
            [] => (Vec::new(), false),
            [spec] if spec.features().is_empty() => match by_name(spec, widths[0], columns)? {
                Found::All(found) => (vec![found], false),
                Found::Missing(_) => (vec![by_position(spec, widths[0], columns)?], true),
            },
            specs => {
                let mut missing = Vec::new();
                let mut found = Vec::new();
                for (spec, &width) in specs.iter().zip(&widths) {
                    match by_name(spec, width, columns)? {
                        Found::All(plan) => found.push(plan),
                        Found::Missing(names) => missing.extend(names),
                    }
                }
                if !missing.is_empty() {
                    return Err(lacks_columns(&missing, columns));
                }
                (found, false)
            }
        };
        let used = |c: usize| plans.iter().any(|p| p.columns.contains(&c));
        let extra: Vec<&str> = (0..columns.len())
            .filter(|&c| !used(c) && !is_pandas_index(&columns[c]))
            .map(|c| columns[c].as_str())
            .collect();
        if !allow_extra && !extra.is_empty() {
            let hint = if extra.iter().any(|name| name.is_empty() || name.starts_with("Unnamed")) {
                "; a column without a name is most often an index, which `to_csv(..., index=False)` leaves out"
            } else {
                ""
            };
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("the table has columns that the model does not take: {}; drop them{hint}", list(&extra)),
            ));
        }
        let sinks = plans.iter().map(|p| p.sink(&is_text)).collect();
        Ok(Self { inputs: plans, sinks, names: columns.to_vec(), by_position })
    }

    /// Whether columns were taken by position, since neither side has names that match.
    pub(super) fn by_position(&self) -> bool {
        self.by_position
    }

    /// Calls the columns of the table by other names in messages.
    pub(super) fn rename_columns(&mut self, names: &[String]) {
        self.names = names.to_vec();
    }

    /// The table columns that are needed, in increasing order.
    pub(super) fn needed(&self) -> Vec<usize> {
        let mut needed: Vec<usize> = self.inputs.iter().flat_map(|p| p.columns.iter().copied()).collect();
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// Adds one row; `cell` gives the text in a column of the table, or its own error.
    pub(super) fn push_row<'c>(&mut self, row: u64, cell: impl Fn(usize) -> Result<&'c str>) -> Result<()> {
        for (plan, sink) in self.inputs.iter().zip(&mut self.sinks) {
            for &column in &plan.columns {
                let text = Scalar::Text(cell(column)?);
                sink.push(text).map_err(|r| r.error(text, sink.dtype(), row, &self.names[column]))?;
            }
        }
        Ok(())
    }

    /// Adds `rows` rows, column by column: `fill` calls the function it is given for each row of a table column with
    /// the row's number among the new ones. `have` rows are there already; `first` is the number of the first new one.
    pub(super) fn push_columns(
        &mut self,
        have: usize,
        rows: usize,
        first: u64,
        mut fill: impl FnMut(usize, &mut dyn FnMut(usize, Scalar<'_>) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        for (plan, sink) in self.inputs.iter().zip(&mut self.sinks) {
            let width = plan.columns.len();
            sink.grow(rows * width);
            for (j, &column) in plan.columns.iter().enumerate() {
                let name = &self.names[column];
                let located = |e: Error| if e.column_name().is_none() { e.column(name) } else { e };
                fill(column, &mut |i, cell| {
                    sink.put((have + i) * width + j, cell)
                        .map_err(|r| r.error(cell, sink.dtype(), first + i as u64, name))
                })
                .map_err(located)?;
            }
        }
        Ok(())
    }

    /// The `m` rows gathered since the last call.
    pub(super) fn take(&mut self, m: usize) -> Result<Tensors<'static>> {
        let parts = self.inputs.iter().zip(&mut self.sinks);
        parts
            .map(|(plan, sink)| {
                let two = [m, plan.columns.len()];
                let shape = if plan.spec.dims().len() == 1 { &two[..1] } else { &two[..] };
                Ok((plan.spec.name().clone(), sink.take(shape)?))
            })
            .collect()
    }
}

/// How many columns an input takes.
#[derive(Clone, Copy)]
enum Width {
    Known(usize),
    Open,
}

impl Width {
    fn of(spec: &TensorSpec) -> Result<Self> {
        let open = if spec.features().is_empty() { Self::Open } else { Self::Known(spec.features().len()) };
        match spec.dims() {
            [Dim::Batch] => Ok(Self::Known(1)),
            [Dim::Batch, Dim::Fixed(n)] => Ok(Self::Known(*n)),
            [Dim::Batch, _] => Ok(open),
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                "an input of this shape is not a set of columns; give the inputs as .npz",
            )
            .tensor(spec.name())
            .actual(spec.shape_text())),
        }
    }
}

enum Found {
    All(InputPlan),
    Missing(Vec<String>),
}

/// The columns of `spec` by its feature names, or by its own name: `x` for one column, `x_0`, `x_1`, ... for more.
fn by_name(spec: &TensorSpec, width: Width, columns: &[String]) -> Result<Found> {
    let own = spec.name().as_str();
    let wanted: Vec<String> = match width {
        Width::Known(n) if spec.features().len() == n && n > 0 => {
            if n == 1 && !columns.contains(&spec.features()[0]) && columns.iter().any(|c| c == own) {
                vec![own.to_string()]
            } else {
                spec.features().to_vec()
            }
        }
        Width::Known(1) => vec![own.to_string()],
        // No table has more columns than it has names, so what is missing is told without listing a hostile width.
        Width::Known(n) => (0..n.min(columns.len() + 1)).map(|i| format!("{own}_{i}")).collect(),
        Width::Open => {
            let named = (0..columns.len()).map(|i| format!("{own}_{i}")).take_while(|n| columns.contains(n));
            let named: Vec<String> = named.collect();
            if named.is_empty() { vec![format!("{own}_0")] } else { named }
        }
    };
    let mut positions = Vec::with_capacity(wanted.len());
    let mut missing = Vec::new();
    for name in wanted {
        let mut places = columns.iter().enumerate().filter(|(_, c)| **c == name).map(|(i, _)| i);
        match (places.next(), places.next()) {
            (Some(_), Some(_)) => {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "the table has two columns of this name, so it is not clear which one the model should take",
                )
                .column(name));
            }
            (Some(at), None) => positions.push(at),
            _ => missing.push(name),
        }
    }
    Ok(if missing.is_empty() {
        Found::All(InputPlan { spec: spec.clone(), columns: positions })
    } else {
        Found::Missing(missing)
    })
}

/// All columns of the table in their order, for a model with one input and no names for its features.
fn by_position(spec: &TensorSpec, width: Width, columns: &[String]) -> Result<InputPlan> {
    let all: Vec<usize> = (0..columns.len()).filter(|&c| !is_pandas_index(&columns[c])).collect();
    match width {
        Width::Known(n) if n != all.len() => {
            let names: Vec<&str> = all.iter().map(|&c| columns[c].as_str()).collect();
            let hint = match names.as_slice() {
                [one] if one.contains([';', '\t']) => "; the columns must be separated by commas",
                _ => "",
            };
            Err(Error::new(
                ErrorKind::WrongShape,
                format!(
                    "the table does not have as many columns as the model has features, and the model has no names \
                     to choose them by{hint}"
                ),
            )
            .tensor(spec.name())
            .expected(format!("{n} columns"))
            .actual(format!("{} columns: {}", all.len(), list(&names))))
        }
        _ => Ok(InputPlan { spec: spec.clone(), columns: all }),
    }
}

fn lacks_columns(missing: &[String], columns: &[String]) -> Error {
    let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
    let have: Vec<&str> = columns.iter().map(String::as_str).collect();
    let hint = match have.as_slice() {
        [one] if one.contains([';', '\t']) => "; the columns must be separated by commas",
        _ => "; add or rename them",
    };
    Error::new(
        ErrorKind::MissingInput,
        format!("the table lacks columns that the model takes: {}{hint}", list(&missing)),
    )
    .actual(format!("the columns {}", list(&have)))
}

/// Names for a message, shortened where there are many.
pub(super) fn list(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let mut parts: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|n| {
            let short: String = n.chars().take(60).collect();
            format!("`{}`", short.escape_debug())
        })
        .collect();
    if names.len() > SHOWN {
        parts.push(format!("and {} more", names.len() - SHOWN));
    }
    if parts.is_empty() { "none".to_string() } else { parts.join(", ") }
}

/// The columns in which pandas keeps the index of a frame in Parquet.
fn is_pandas_index(name: &str) -> bool {
    name.strip_prefix("__index_level_")
        .and_then(|rest| rest.strip_suffix("__"))
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}
