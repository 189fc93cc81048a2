//! The contenders. Each answers one question: how long does a call take, over a while, right now?

pub mod ort;
#[cfg(feature = "ours")]
pub mod ours;
pub mod python;
#[cfg(feature = "tract")]
pub mod tract;

use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::{Fault, median};

/// Someone who is timed in turns with the others.
pub trait Lane {
    /// The median time of a call over about `seconds`, in nanoseconds.
    fn median_ns(&mut self, seconds: f64) -> Result<f64, Fault>;
    /// The answers for the first window, in the model's order; empty where they are not to be had.
    fn answers(&mut self) -> Result<Vec<Answer>, Fault>;
}

/// One output for one window, for the check that all contenders do the same work.
pub enum Answer {
    Numbers(Vec<f64>),
    Texts(Vec<String>),
    /// A map or a sequence: not compared.
    Opaque,
}

/// A contender in this process: one call is everything from the host's rows to readable outputs, and their release.
pub trait Caller {
    fn call(&mut self, window: usize) -> Result<(), Fault>;
    fn answers(&mut self) -> Result<Vec<Answer>, Fault>;
}

/// Loads a model as a call.
pub struct Loading<'c>(pub Box<dyn Fn() -> Result<(), Fault> + 'c>);

impl Caller for Loading<'_> {
    fn call(&mut self, _window: usize) -> Result<(), Fault> {
        (self.0)()
    }

    fn answers(&mut self) -> Result<Vec<Answer>, Fault> {
        Ok(Vec::new())
    }
}

/// Walks a caller through the windows of its pool, in order, wrapping round.
pub struct InProcess<C> {
    caller: C,
    windows: usize,
    next: usize,
}

impl<C: Caller> InProcess<C> {
    pub fn new(caller: C, windows: usize) -> Self {
        Self { caller, windows, next: 0 }
    }

    fn step(&mut self) -> Result<(), Fault> {
        let window = self.next;
        self.next = if window + 1 == self.windows { 0 } else { window + 1 };
        self.caller.call(black_box(window))
    }
}

/// Calls are timed in blocks of at least this length, so that reading the clock costs nothing that shows.
const BLOCK: Duration = Duration::from_micros(20);
/// The share of a turn that is spent warming up, untimed.
const WARM_UP_SHARE: f64 = 0.1;

impl<C: Caller> Lane for InProcess<C> {
    fn median_ns(&mut self, seconds: f64) -> Result<f64, Fault> {
        let start = Instant::now();
        let warm_up = Duration::from_secs_f64(seconds * WARM_UP_SHARE);
        let mut warm_calls = 0_u32;
        while start.elapsed() < warm_up || warm_calls < 3 {
            self.step()?;
            warm_calls += 1;
        }
        let mean = start.elapsed() / warm_calls;
        let calls = (BLOCK.as_nanos() / mean.as_nanos().max(1) + 1) as u32;

        let mut per_call_ns = Vec::new();
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        loop {
            let start = Instant::now();
            for _ in 0..calls {
                self.step()?;
            }
            let stop = Instant::now();
            per_call_ns.push((stop - start).as_nanos() as f64 / f64::from(calls));
            if stop >= end && per_call_ns.len() >= 3 {
                return Ok(median(&mut per_call_ns));
            }
        }
    }

    fn answers(&mut self) -> Result<Vec<Answer>, Fault> {
        self.caller.answers()
    }
}

/// Runs what may panic on a model that it does not know, and makes an error of the panic.
pub fn contained<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|cause| {
        let message = cause.downcast_ref::<String>().map(String::as_str);
        let message = message.or(cause.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(format!("panicked: {message}").into())
    })
}

/// Why two sets of answers are not the same, if they are not.
pub fn difference(ours: &[Answer], theirs: &[Answer]) -> Option<String> {
    if ours.len() != theirs.len() {
        return Some(format!("{} outputs against {}", ours.len(), theirs.len()));
    }
    ours.iter().zip(theirs).enumerate().find_map(|(i, pair)| match pair {
        (Answer::Numbers(a), Answer::Numbers(b)) if a.len() != b.len() => {
            Some(format!("output {i}: {} values against {}", a.len(), b.len()))
        }
        (Answer::Numbers(a), Answer::Numbers(b)) => {
            let off = |(a, b): &(&f64, &f64)| {
                let close = (*a - *b).abs() <= 1e-5 * b.abs() + 1e-6;
                !(close || a == b || (a.is_nan() && b.is_nan()))
            };
            let count = a.iter().zip(b).filter(off).count();
            let (a, b) = a.iter().zip(b).find(off)?;
            Some(format!("output {i}: {count} values are off, the first is {a} against {b}"))
        }
        (Answer::Texts(a), Answer::Texts(b)) if a != b => Some(format!("output {i}: texts differ")),
        (Answer::Texts(_), Answer::Numbers(_)) | (Answer::Numbers(_), Answer::Texts(_)) => {
            Some(format!("output {i}: text against numbers"))
        }
        _ => None,
    })
}
