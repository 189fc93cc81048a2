//! A model's answers beside the truth, measured on any rows.

mod answers;
mod measure;
mod metric;

pub use answers::Task;
pub(super) use answers::{Answers, Classes, Reading, Rows, Wanted};
pub(super) use measure::{Evaluation, Truth, checked_weights};
pub use metric::Metric;
