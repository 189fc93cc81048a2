//! Intervals, tests, adjustment for many tests, the bootstrap.

mod bootstrap;
mod distribution;
mod estimate;
mod mean;
mod multiple;
mod proportion;
mod random;

pub use bootstrap::{Bootstrap, paired};
pub(super) use distribution::{normal_reach, t_test};
#[cfg(test)]
pub(super) use distribution::{t_reach, t_two_sided};
pub use estimate::{DEFAULT_LEVEL, Estimate, Interval, Measured, Method, wilson};
pub(super) use estimate::{normal_estimate, wilson_estimate};
pub use mean::Mean;
pub use multiple::{Adjustment, adjust, adjust_within};
pub use proportion::{mcnemar, two_proportions};
#[cfg(any(test, feature = "optimize"))]
pub(crate) use random::Random;
