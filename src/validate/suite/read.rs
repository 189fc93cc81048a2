//! Suites read from files, and what is held against them before they run.

use std::path::Path as FilePath;

use super::file::{Behaviour, Expect, Suite};
use super::place::{Path, Source, Step, place, steps};
use super::verdict::CheckKind;
use crate::table::Columns;
use crate::validate::{Mask, Predicate};
use crate::{Error, ErrorKind, Result};

/// The most steps of a range; each is a prediction of all rows.
const MOST_STEPS: usize = 10_000;

/// The most rows of a batch whose latency is measured.
const MOST_LATENCY_BATCH: usize = 1 << 20;

impl Suite {
    /// The suite that the TOML `text` is.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] with line and column: no TOML, an unknown key, a wrong type, a predicate that is none;
    /// [`ErrorKind::InvalidValue`] for a number out of range; [`ErrorKind::InvalidArgument`] for keys that do not go
    /// together.
    pub fn parse(text: &str) -> Result<Self> {
        Self::of_source(Source { text: text.into(), file: None })
    }

    /// The suite in the file at `path`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), naming the file; [`ErrorKind::NotFound`] or [`ErrorKind::Io`] when it can't be read.
    pub fn read(path: impl AsRef<FilePath>) -> Result<Self> {
        let path = path.as_ref();
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| {
            let e = Error::from(e);
            Error::new(e.kind(), format!("the suite can't be read: {}", e.message())).file(&file)
        })?;
        Self::of_source(Source { text: text.into(), file: Some(file) })
    }

    fn of_source(source: Source) -> Result<Self> {
        let mut suite: Self = toml::from_str(&source.text).map_err(|e| {
            let place = e.span().map_or_else(String::new, |span| format!("{}: ", place(&source.text, span.start)));
            let error = Error::new(ErrorKind::Malformed, format!("{place}{}", e.message().trim()));
            match &source.file {
                Some(file) => error.file(file),
                None => error,
            }
        })?;
        suite.source = Some(source);
        suite.check()?;
        Ok(suite)
    }

    /// An error with the place of the part at `path`, where the suite was read from a file.
    pub(super) fn located(&self, path: &[Step], error: Error) -> Error {
        let Some(source) = &self.source else {
            return error;
        };
        let error = error.within(source.place(path));
        match &source.file {
            Some(file) => error.file(file),
            None => error,
        }
    }

    /// Every behaviour with its kind and its place.
    pub(super) fn behaviours(&self) -> impl Iterator<Item = (CheckKind, Path, &Behaviour)> {
        let kinds = [
            (CheckKind::Invariance, &self.invariance),
            (CheckKind::Direction, &self.direction),
            (CheckKind::Metamorphic, &self.metamorphic),
        ];
        kinds.into_iter().flat_map(|(kind, all)| {
            all.iter().enumerate().map(move |(i, behaviour)| (kind, steps![kind.as_str(), i], behaviour))
        })
    }

    /// Every predicate with its place.
    fn predicates(&self) -> impl Iterator<Item = (Path, &str)> {
        let slices = self.slice.iter().enumerate().map(|(i, s)| (steps!["slice", i], s.predicate.as_ref()));
        let behaviours = self.behaviours().map(|(_, path, b)| (path, b.predicate.as_ref()));
        let minimum = self.minimum.iter().enumerate().map(|(i, m)| (steps!["minimum", i], Some(&m.predicate)));
        slices.chain(behaviours).chain(minimum).filter_map(|(mut path, predicate)| {
            path.push(Step::Key("where"));
            Some((path, predicate?.as_str()))
        })
    }

    /// The columns of the data that the suite names, outside of predicates, each with its place.
    pub(super) fn named_columns(&self) -> Vec<(Path, &str)> {
        let mut columns = vec![(steps!["label"], self.label.as_str())];
        columns.extend(self.weight.as_ref().map(|w| (steps!["weight"], w.as_str())));
        columns.extend(self.query.as_ref().map(|q| (steps!["query"], q.as_str())));
        let fairness = self.fairness.iter().enumerate();
        columns.extend(fairness.map(|(i, f)| (steps!["fairness", i, "by"], f.by.as_str())));
        for (i, slice) in self.slice.iter().enumerate() {
            let by = slice.by.iter().flat_map(|by| by.as_slice().iter().enumerate());
            columns.extend(by.map(|(j, name)| (steps!["slice", i, "by", j], name.as_str())));
        }
        columns
    }

    /// The columns of the data that the checks look at, other than through the model.
    pub(super) fn columns(&self) -> Result<Vec<String>> {
        let mut columns: Vec<String> = self.named_columns().into_iter().map(|(_, name)| name.to_string()).collect();
        for (_, predicate) in self.predicates() {
            columns.extend(Predicate::parse(predicate)?.columns().into_iter().map(String::from));
        }
        columns.sort_unstable();
        columns.dedup();
        Ok(columns)
    }

    /// The error for a column that the data lack, at the first place that names it.
    pub(super) fn lacks(&self, column: &str, there: &str) -> Error {
        let named = self.named_columns().into_iter().find(|(_, name)| *name == column);
        if let Some((path, _)) = named {
            let error = Error::new(ErrorKind::NotFound, "the data have no column of this name");
            return self.located(&path, error.column(column).actual(there));
        }
        for (path, text) in self.predicates() {
            if let Some(error) = Predicate::parse(text).ok().and_then(|p| p.lacks(column, there)) {
                return self.located(&path, error);
            }
        }
        Error::new(ErrorKind::NotFound, "the data have no column of this name").column(column).actual(there)
    }

    /// The rows that the predicate at `path` takes.
    pub(super) fn rows(&self, mut path: Path, predicate: &str, columns: &Columns) -> Result<Mask> {
        path.push(Step::Key("where"));
        Predicate::parse(predicate).and_then(|p| p.rows(columns)).map_err(|e| self.located(&path, e))
    }

    /// Holds the suite against what its types can't say.
    pub(super) fn check(&self) -> Result<()> {
        self.check_numbers()?;
        for (path, predicate) in self.predicates() {
            Predicate::parse(predicate).map_err(|e| self.located(&path, e))?;
        }
        let wrong =
            |path: Path, what: &str| Err(self.located(&path, Error::new(ErrorKind::InvalidArgument, what.to_string())));
        for (i, slice) in self.slice.iter().enumerate() {
            if slice.predicate.is_some() == slice.by.is_some() {
                return wrong(steps!["slice", i], "a `[[slice]]` has either `where` or `by`");
            }
            if slice.by.as_ref().is_some_and(|by| by.as_slice().is_empty()) {
                return wrong(steps!["slice", i, "by"], "`by` names at least one column");
            }
        }
        for (_, mut path, behaviour) in self.behaviours() {
            path.push(Step::Key("change"));
            if behaviour.change.is_empty() {
                return wrong(path, "a behaviour has at least one `change`");
            }
            for (i, change) in behaviour.change.iter().enumerate() {
                let ways =
                    [change.to.is_some(), change.add.is_some(), change.multiply.is_some(), change.range.is_some()];
                if ways.iter().filter(|w| **w).count() != 1 {
                    path.push(Step::Item(i));
                    return wrong(path, "a change has one of `to`, `add`, `multiply` and `range`");
                }
            }
        }
        for (i, behaviour) in self.direction.iter().enumerate() {
            if !matches!(behaviour.expect, Some(e) if e != Expect::Same && e != Expect::Different) {
                let what = "a `[[direction]]` says what it expects: `up`, `down`, `not_up` or `not_down`";
                return wrong(steps!["direction", i, "expect"], what);
            }
        }
        for (i, example) in self.must_pass.iter().enumerate() {
            if example.input.is_empty() == example.row.is_empty() {
                return wrong(steps!["must_pass", i], "a `[[must_pass]]` has either `input` or `row`");
            }
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<()> {
        let bad = |path: &[Step], what: String, x: f64| {
            Err(self.located(path, Error::new(ErrorKind::InvalidValue, what).actual(x)))
        };
        for (name, x) in [("level", self.level), ("alpha", self.alpha)] {
            if !(x > 0.0 && x < 1.0) {
                return bad(&steps![name], format!("`{name}` must lie between 0 and 1"), x);
            }
        }
        let rates = self.behaviours().map(|(_, path, b)| (path, b.max_failure_rate));
        let minimum = self.minimum.iter().enumerate().map(|(i, m)| (steps!["minimum", i], m.max_failure_rate));
        for (mut path, rate) in rates.chain(minimum) {
            if !(0.0..=1.0).contains(&rate) {
                path.push(Step::Key("max_failure_rate"));
                return bad(&path, "`max_failure_rate` is a share, from 0 to 1".to_string(), rate);
            }
        }
        for (_, mut path, behaviour) in self.behaviours() {
            if let Some(i) = behaviour.change.iter().position(|c| c.steps.is_some_and(|n| n > MOST_STEPS)) {
                path.extend(steps!["change", i, "steps"]);
                let what = format!("a range has at most {MOST_STEPS} steps");
                return Err(self.located(&path, Error::new(ErrorKind::LimitExceeded, what)));
            }
        }
        if self.contract.latency_batch.is_some_and(|n| n > MOST_LATENCY_BATCH) {
            let what = format!("the latency is measured in batches of at most {MOST_LATENCY_BATCH} rows");
            let error = Error::new(ErrorKind::LimitExceeded, what);
            return Err(self.located(&steps!["contract", "latency_batch"], error));
        }
        let contract = &self.contract;
        let against = &self.against;
        let numbers = [
            (steps!["contract", "tolerance"], Some(contract.tolerance)),
            (steps!["contract", "max_ns_per_row"], contract.max_ns_per_row),
            (steps!["gaps", "max_gap"], self.gaps.max_gap),
            (steps!["against", "max_worse"], against.max_worse),
            (steps!["against", "max_slice_worse"], against.max_slice_worse),
            (steps!["against", "max_flips"], against.max_flips),
        ];
        let metrics = self.metric.iter().enumerate();
        let bounds = metrics.flat_map(|(i, m)| {
            [(steps!["metric", i, "at_least"], m.at_least), (steps!["metric", i, "at_most"], m.at_most)]
        });
        let fairness = self.fairness.iter().enumerate().flat_map(|(i, f)| {
            [
                (steps!["fairness", i, "max_difference"], f.max_difference),
                (steps!["fairness", i, "min_ratio"], f.min_ratio),
            ]
        });
        let changes = self.behaviours().flat_map(|(_, path, behaviour)| {
            behaviour.change.iter().enumerate().flat_map(move |(i, c)| {
                let at = |key: &'static str| {
                    let mut path = path.clone();
                    path.extend(steps!["change", i, key]);
                    path
                };
                let [from, to] = c.range.map_or([None; 2], |[a, b]| [Some(a), Some(b)]);
                [(at("add"), c.add), (at("multiply"), c.multiply), (at("range"), from), (at("range"), to)]
            })
        });
        let tolerances = self.behaviours().map(|(_, mut path, b)| {
            path.push(Step::Key("tolerance"));
            (path, b.tolerance)
        });
        for (path, number) in bounds.chain(fairness).chain(changes).chain(tolerances) {
            if let Some(x) = number.filter(|x| !x.is_finite()) {
                return bad(&path, "this must be a finite number".to_string(), x);
            }
        }
        for (path, number) in numbers {
            if let Some(x) = number.filter(|x| !(x.is_finite() && *x >= 0.0)) {
                return bad(&path, "a bound is a number of 0 or more".to_string(), x);
            }
        }
        Ok(())
    }
}
