//! The registry: what its verbs do, what it refuses, and what bad input meets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "registry/mod.rs"]
mod registry;
