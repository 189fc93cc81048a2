//! What is said of versions after they were registered.

use serde::{Deserialize, Serialize};

use super::log::Record;
use super::time::Timestamp;
use super::verdict::VerdictRecord;
use crate::Digest;

/// Something that was said of a version after it was registered. Events are appended and never change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// The model's name.
    pub model: String,
    /// The event's number among those of the model, from 1 on without gaps.
    pub number: u64,
    /// The version that it is about.
    pub version: u64,
    /// When, by the clock of whoever wrote it.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What.
    #[serde(flatten)]
    pub what: EventKind,
    /// The digest of the event that this is a copy of, where it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Digest>,
}

/// What an [`Event`] says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum EventKind {
    /// A remark.
    Note {
        /// Its text.
        text: String,
    },
    /// The version is not to be used any more.
    Archived {
        /// Why.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// The version may be used again.
    Restored {
        /// Why.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// What a suite said of it.
    Verdict {
        /// The verdict.
        verdict: VerdictRecord,
    },
}

impl Record for Event {
    fn number(&self) -> u64 {
        self.number
    }
}

/// Whether version `version` is archived after these events.
pub(crate) fn is_archived(events: &[Event], version: u64) -> bool {
    let last = events.iter().rev().filter(|event| event.version == version).find_map(|event| match event.what {
        EventKind::Archived { .. } => Some(true),
        EventKind::Restored { .. } => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}
