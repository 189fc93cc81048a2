mod bad_input;
mod cases;
#[cfg(feature = "cli")]
mod command_line;
mod faults;
#[cfg(feature = "mlflow")]
mod mlflow;
mod serving;
mod suite;
mod support;
mod support_store;
