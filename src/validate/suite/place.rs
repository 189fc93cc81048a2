//! Where in its file a part of a suite stands, for messages.

use std::sync::Arc;

use toml::de::{DeTable, DeValue};

/// The file that a suite was read from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) text: Arc<str>,
    pub(super) file: Option<String>,
}

/// One step on the way to a part of a suite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    Key(&'static str),
    Item(usize),
}

/// The steps to a part, such as `slice`, the third, `where`.
pub(super) type Path = Vec<Step>;

/// The path of these steps: keys as text, items as numbers.
macro_rules! steps {
    ($($step:expr),* $(,)?) => { Vec::from([$(crate::validate::suite::place::Step::from($step)),*]) };
}
pub(super) use steps;

impl From<&'static str> for Step {
    fn from(key: &'static str) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step {
    fn from(item: usize) -> Self {
        Self::Item(item)
    }
}

impl Source {
    /// Where the part at `path` stands, or what holds it where it is not written.
    pub(super) fn place(&self, path: &[Step]) -> String {
        let mut at = 0;
        if let Ok(table) = DeTable::parse(&self.text) {
            let mut value = &DeValue::Table(table.into_inner());
            for step in path {
                let next = match step {
                    Step::Key(key) => value.get(*key),
                    Step::Item(item) => value.get(*item),
                };
                // A list of one may be written without brackets.
                let Some(next) = next else { continue };
                at = next.span().start;
                value = next.get_ref();
            }
        }
        place(&self.text, at)
    }
}

/// The line and column of byte `at`, counted from 1.
pub(super) fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    format!("line {line}, column {column}")
}
