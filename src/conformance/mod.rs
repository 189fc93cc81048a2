//! What every model must do, as a suite that any backend or wrapper can run: ours, and yours.
//!
//! [`check`] draws inputs from the model's signature (or takes [yours](Options::samples)) and holds the model against
//! the contract of [`Model`](crate::Model). It returns all that failed, each under the name of its [`Check`];
//! [`assert_conforms`] is for tests.
//!
//! ```
//! use modelberth::{conformance, ndarray::array, LinearModel, Link};
//! let model = LinearModel::new(array![[2.0], [-1.0]], array![0.5], Link::Identity)?;
//! let report = conformance::check(&model, &conformance::Options::new().large_rows(1000)).expect("it conforms");
//! assert!(report.passed().contains(&conformance::Check::BatchSplit));
//! # Ok::<(), modelberth::Error>(())
//! ```

mod answers;
mod bad_inputs;
mod compare;
mod options;
mod report;
mod samples;
mod suite;
#[cfg(test)]
mod tests;

pub use options::{Options, Tolerance};
pub use report::{Check, Failure, Failures, Report};
pub use suite::{assert_conforms, check};
