//! Metrics over a stream, each with its interval.

mod confusion;
mod probability;
mod ranked;
mod ranking;
mod regression;
#[cfg(test)]
mod tests;

pub use confusion::{Average, Confusion, Rate};
pub use probability::{CalibrationBin, DEFAULT_BINS, Probabilities};
pub(super) use ranked::Area;
pub use ranked::{Ranked, Scores};
pub use ranking::Rankings;
pub use regression::Regression;

use crate::{Error, ErrorKind, Result};

/// Refuses weights that are no weights.
fn check_weight(weight: f64, row: u64) -> Result<()> {
    if weight.is_finite() && weight >= 0.0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidValue, "a weight is negative or not finite").row(row).actual(weight))
}
