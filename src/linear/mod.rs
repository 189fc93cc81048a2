//! Linear models built in code: regression, logistic regression, softmax regression.

#[cfg(feature = "std")]
mod export;
mod kernel;
mod model;
#[cfg(test)]
mod tests;

pub use model::{LinearModel, Link};
