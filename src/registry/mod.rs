//! Where models live, and how one becomes the one in production.
//!
//! A [`Registry`] keeps every version of a model with its record: signature, metrics, lineage, verdicts, environment. It
//! lies in a directory or a bucket; there is no server, and nothing in it is ever overwritten, so that writers on many
//! machines can't undo each other's work. Aliases say which version is in use, with their whole history. The manual's page
//! [`registry`](crate::manual::registry) shows the layout, the command line, and what is promised when.
//!
//! Everything here is asynchronous, on tokio; [`blocking`] is the same for hosts without a runtime.

mod alias;
mod aliases;
mod blobs;
pub mod blocking;
mod bom;
mod cache;
mod card;
mod cloud;
mod compat;
mod diff;
mod environment;
mod event;
mod frame;
mod gc;
mod layout;
mod lineage;
mod load;
mod log;
#[cfg(feature = "mlflow")]
pub mod mlflow;
mod name;
mod new_version;
mod query;
mod read;
mod record;
mod register;
#[allow(clippy::module_inception, reason = "the type that the module is about")]
mod registry;
mod sample;
mod store;
mod time;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure", feature = "mlflow"))]
mod tls;
mod transfer;
mod verdict;
mod verify;
mod watch;

pub use alias::{AliasAction, AliasEntry, Gate};
pub use aliases::Promotion;
pub use compat::incompatibilities;
pub use diff::{Change, Difference, MetricChange};
pub use environment::Environment;
pub use event::{Event, EventKind};
pub use gc::{Collection, DEFAULT_GRACE};
pub use lineage::{LineageNode, LineageTree};
pub use load::Loaded;
pub use name::{Reference, Selector};
pub use new_version::NewVersion;
pub use object_store;
pub use query::Query;
pub use read::{Listed, ModelSummary};
pub use record::{Blob, CodeSource, DataSource, FileRecord, Lineage, MetricValue, Origin, Parent, Sample, Version};
pub use registry::Registry;
pub use time::Timestamp;
pub use transfer::{Export, ExportedAlias, Imported};
pub use verdict::{Against, Evidence, VerdictRecord};
pub use verify::{Fault, Verification};
pub use watch::Watch;
