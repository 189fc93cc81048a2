mod bad_input;
mod cases;
#[cfg(feature = "cli")]
mod command_line;
mod faults;
mod serving;
mod suite;
mod support;
mod support_store;
