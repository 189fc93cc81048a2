//! What an alias names, what it named before, and what it demands.

use serde::{Deserialize, Serialize};

use super::log::Record;
use super::time::Timestamp;
use super::verdict::{Against, VerdictRecord};

/// One entry in the history of an alias: a move, or a change of what it demands. Each holds the whole state after it,
/// so that the last entry alone tells what the alias names now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AliasEntry {
    /// The model's name.
    pub model: String,
    /// The alias's name.
    pub alias: String,
    /// The entry's number, from 1 on without gaps.
    pub number: u64,
    /// What was done.
    pub action: AliasAction,
    /// The version that the alias names from now on; nothing when it was removed, or never set.
    pub version: Option<u64>,
    /// The version that it named before.
    pub previous: Option<u64>,
    /// What a version must have before the alias may name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// When, by the clock of whoever did it.
    pub at: Timestamp,
    /// Who did it.
    pub by: String,
    /// Why, in the words of whoever did it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What stood against the move, where it was made nevertheless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overridden: Vec<String>,
}

impl Record for AliasEntry {
    fn number(&self) -> u64 {
        self.number
    }
}

/// What an [`AliasEntry`] records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AliasAction {
    /// The alias was moved.
    Set,
    /// The alias was moved back.
    Rollback,
    /// The alias was taken away.
    Remove,
    /// What it demands was changed.
    Gates,
}

impl AliasAction {
    /// The name, as records have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Rollback => "rollback",
            Self::Remove => "remove",
            Self::Gates => "gates",
        }
    }
}

/// A verdict that an alias demands of the versions it may name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gate {
    /// The suite that must have been passed.
    pub suite: String,
    /// Whether it must have been passed in comparison with the version that the alias names now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub against_current: bool,
}

impl Gate {
    /// Demands that `suite` was passed.
    #[must_use]
    pub fn suite(suite: impl Into<String>) -> Self {
        Self { suite: suite.into(), against_current: false }
    }

    /// Demands that it was passed in comparison with the version that the alias names now.
    #[must_use]
    pub fn against_current(mut self) -> Self {
        self.against_current = true;
        self
    }

    /// Why version `number` of `model` does not pass the gate of `alias`, which names `current`; nothing when it passes.
    /// Of several verdicts of one suite the last counts.
    pub(crate) fn refusal(
        &self,
        alias: &str,
        current: Option<u64>,
        (model, number): (&str, u64),
        verdicts: &[&VerdictRecord],
    ) -> Option<String> {
        let Self { suite, against_current } = self;
        let said = || verdicts.iter().rev().filter(|verdict| verdict.suite == *suite);
        let demand = match (against_current, current) {
            (true, Some(current)) => format!("`{alias}` demands suite `{suite}` passed against version {current}"),
            _ => format!("`{alias}` demands suite `{suite}` passed"),
        };
        let against = current.filter(|_| *against_current).map(|number| Against { model: model.to_owned(), number });
        let counts = said().find(|verdict| against.is_none() || verdict.against == against);
        match (counts, said().next()) {
            (Some(verdict), _) if verdict.pass => None,
            (Some(verdict), _) => {
                let reasons = verdict.reasons.join("; ");
                Some(format!("{demand}; version {number} failed it: {reasons}"))
            }
            (None, Some(other)) => Some(match &other.against {
                Some(other) => {
                    format!("{demand}; version {number} was tested against {}:{}", other.model, other.number)
                }
                None => format!("{demand}; version {number} was tested alone"),
            }),
            (None, None) => Some(format!("{demand}; version {number} has no such verdict")),
        }
    }
}

/// The version that a rollback leads to: the one before the last move that no rollback has undone yet.
pub(crate) fn before(history: &[AliasEntry]) -> Option<u64> {
    let mut stack: Vec<u64> = Vec::new();
    for entry in history {
        match (entry.action, entry.version) {
            (AliasAction::Set, Some(version)) if stack.last() != Some(&version) => stack.push(version),
            (AliasAction::Rollback, Some(version)) => {
                // A rollback may name a version further back.
                match stack.iter().rposition(|v| *v == version) {
                    Some(at) => stack.truncate(at + 1),
                    None => stack.push(version),
                }
            }
            _ => {}
        }
    }
    let now = history.last().and_then(|entry| entry.version);
    if stack.last().copied() == now {
        stack.pop();
    }
    stack.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(moves: &[(AliasAction, u64)]) -> Vec<AliasEntry> {
        let entry = |(i, (action, version)): (usize, &(AliasAction, u64))| AliasEntry {
            model: "m".to_owned(),
            alias: "champion".to_owned(),
            number: i as u64 + 1,
            action: *action,
            version: Some(*version).filter(|v| *v > 0),
            previous: None,
            gates: Vec::new(),
            at: Timestamp::from_unix_ms(0),
            by: String::new(),
            reason: String::new(),
            overridden: Vec::new(),
        };
        moves.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn rollbacks_undo_one_move_each() {
        use AliasAction::{Remove, Rollback, Set};
        assert_eq!(before(&[]), None);
        let cases = [
            (&[(Set, 1)][..], None),
            (&[(Set, 1), (Set, 2), (Set, 3)], Some(2)),
            (&[(Set, 1), (Set, 2), (Set, 3), (Rollback, 2)], Some(1)),
            (&[(Set, 1), (Set, 2), (Set, 3), (Rollback, 2), (Rollback, 1)], None),
            (&[(Set, 1), (Set, 2), (Rollback, 1), (Set, 3)], Some(1)),
            (&[(Set, 1), (Set, 2), (Remove, 0)], Some(2)),
            (&[(Set, 1), (Set, 2), (Set, 2)], Some(1)),
        ];
        for (moves, expected) in cases {
            assert_eq!(before(&history(moves)), expected, "{moves:?}");
        }
    }

    #[test]
    fn gates_say_what_is_missing() {
        let gate = Gate::suite("churn").against_current();
        let ask = |verdicts: &[&VerdictRecord]| gate.refusal("champion", Some(3), ("m", 5), verdicts);
        assert!(ask(&[]).is_some_and(|why| why.contains("no such verdict")));
        let alone = VerdictRecord::new("churn", true);
        assert!(ask(&[&alone]).is_some_and(|why| why.contains("tested alone")));
        let other = VerdictRecord::new("churn", true).against("m", 2);
        assert!(ask(&[&other]).is_some_and(|why| why.contains("against m:2")));
        let right = VerdictRecord::new("churn", true).against("m", 3);
        assert_eq!(ask(&[&other, &right]), None);
        let mut failed = VerdictRecord::new("churn", false).against("m", 3);
        failed.reasons.push("accuracy is 0.7".to_owned());
        assert!(ask(&[&right, &failed]).is_some_and(|why| why.contains("accuracy is 0.7")));
        assert_eq!(gate.refusal("champion", None, ("m", 5), &[&alone]), None);
    }
}
