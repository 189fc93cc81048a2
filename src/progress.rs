//! Progress of long work: events that a host can take and the command line draws.

use std::fmt;
use std::time::{Duration, Instant};

/// How far a piece of long work is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ProgressEvent<'a> {
    /// What is being done, in a word or two: `predict`.
    pub task: &'a str,
    /// What is counted: `rows`.
    pub unit: &'a str,
    /// How many units are done.
    pub done: u64,
    /// How many there are, where that is known in advance.
    pub total: Option<u64>,
    /// The share that is done, from 0 to 1, where it can be told.
    pub share: Option<f64>,
    /// The time since the work began.
    pub elapsed: Duration,
    /// Whether this is the last event.
    pub finished: bool,
}

impl ProgressEvent<'_> {
    /// Units per second so far; 0 before any time has passed.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.done as f64 / seconds } else { 0.0 }
    }

    /// The time that the rest will take at the rate so far; `None` when it can't be told.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let share = self.share.filter(|s| *s > 0.0)?;
        Duration::try_from_secs_f64(self.elapsed.as_secs_f64() * (1.0 - share).max(0.0) / share).ok()
    }
}

/// Takes the progress of long work. A closure over a [`ProgressEvent`] is one, [`NoProgress`] ignores it.
///
/// ```
/// use modelberth::{Progress, ProgressEvent, ProgressMeter};
/// let seen = std::sync::Mutex::new(Vec::new());
/// let progress = |event: &ProgressEvent<'_>| seen.lock().unwrap().push(event.done);
/// let mut meter = ProgressMeter::new(&progress, "copy", "rows", Some(3));
/// meter.advance(2);
/// meter.finish();
/// assert_eq!(seen.lock().unwrap().last(), Some(&2));
/// ```
pub trait Progress: Send + Sync {
    /// Takes an event. It is called a few times per second at most, by the thread that does the work, and should
    /// return soon.
    fn report(&self, event: &ProgressEvent<'_>);
}

/// Ignores all progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn report(&self, _event: &ProgressEvent<'_>) {}
}

impl<F: Fn(&ProgressEvent<'_>) + Send + Sync> Progress for F {
    fn report(&self, event: &ProgressEvent<'_>) {
        self(event);
    }
}

/// Counts what is done and reports it now and then: the side of [`Progress`] that works.
pub struct ProgressMeter<'p> {
    progress: &'p dyn Progress,
    task: &'p str,
    unit: &'p str,
    total: Option<u64>,
    share: Option<f64>,
    done: u64,
    began: Instant,
    reported: Option<Instant>,
}

impl fmt::Debug for ProgressMeter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressMeter").field("task", &self.task).field("done", &self.done).finish_non_exhaustive()
    }
}

impl<'p> ProgressMeter<'p> {
    /// The shortest time between two events.
    pub const INTERVAL: Duration = Duration::from_millis(100);

    /// Begins a piece of work of `total` units, where their number is known.
    #[must_use]
    pub fn new(progress: &'p dyn Progress, task: &'p str, unit: &'p str, total: Option<u64>) -> Self {
        Self { progress, task, unit, total, share: None, done: 0, began: Instant::now(), reported: None }
    }

    /// Counts `units` more as done.
    pub fn advance(&mut self, units: u64) {
        self.done += units;
        let now = Instant::now();
        if self.reported.is_none_or(|last| now - last >= Self::INTERVAL) {
            self.reported = Some(now);
            self.report(false);
        }
    }

    /// Sets the share that is done, for work that can't tell its total number of units.
    pub fn set_share(&mut self, share: Option<f64>) {
        self.share = share;
    }

    /// Reports the end.
    pub fn finish(self) {
        self.report(true);
    }

    fn report(&self, finished: bool) {
        let of_total = self.total.map(|total| if total == 0 { 1.0 } else { self.done as f64 / total as f64 });
        self.progress.report(&ProgressEvent {
            task: self.task,
            unit: self.unit,
            done: self.done,
            total: self.total,
            share: self.share.or(of_total).map(|share| share.clamp(0.0, 1.0)),
            elapsed: self.began.elapsed(),
            finished,
        });
    }
}
