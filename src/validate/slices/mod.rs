//! Slices that are found: SliceLine.

mod code;
mod discover;
mod items;
mod score;
mod search;
#[cfg(test)]
mod tests;

pub(super) use code::quantile_bins;
pub use code::{CodedColumn, DEFAULT_QUANTILES, SliceValue};
pub use discover::{DiscoveredSlice, SliceFinder};
pub use score::slice_score;
