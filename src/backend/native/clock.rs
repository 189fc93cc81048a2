//! How long each step of a program takes, for whoever asks on the thread that runs it.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    static SPENT: RefCell<Vec<(String, Duration)>> = const { RefCell::new(Vec::new()) };
}

/// What each step took that this thread ran within `f`, in the order in which steps ended first; what a step runs inside
/// of it, the body of a loop say, counts as its own.
pub(crate) fn record<R>(f: impl FnOnce() -> R) -> (R, Vec<(String, Duration)>) {
    SPENT.take();
    RUNNING.set(true);
    let stop = Stop;
    let result = f();
    drop(stop);
    (result, SPENT.take())
}

/// Stops the clock, even when what it times panics.
struct Stop;

impl Drop for Stop {
    fn drop(&mut self) {
        RUNNING.set(false);
    }
}

/// Runs the step that is called `label`, timed where somebody asks.
#[inline(always)]
pub(super) fn timed<R>(label: &str, step: impl FnOnce() -> R) -> R {
    if RUNNING.get() { lap(label, step) } else { step() }
}

#[cold]
fn lap<R>(label: &str, step: impl FnOnce() -> R) -> R {
    RUNNING.set(false);
    let began = Instant::now();
    let result = step();
    let took = began.elapsed();
    SPENT.with_borrow_mut(|spent| match spent.iter_mut().find(|(name, _)| name == label) {
        Some((_, sum)) => *sum += took,
        None => spent.push((label.to_owned(), took)),
    });
    RUNNING.set(true);
    result
}
