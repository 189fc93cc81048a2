//! The threads of a model.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{Error, ErrorKind, Result};

/// The most rows that a part must have for itself.
const ROWS_PER_PART: usize = 256;
/// The elements of so many rows are worth a part of their own.
const ELEMENTS_PER_PART: usize = 1 << 18;
/// A thread that wakes late, or is slower, takes fewer parts than the others.
const PARTS_PER_THREAD: usize = 4;
/// Looks at the last parts, some tens of microseconds in all, before the caller sleeps until they are done: to be woken takes
/// about as long.
const LOOKS: usize = 2048;

/// The threads that calls of one model share; none where a call runs on the thread of its caller.
#[derive(Debug)]
pub(super) struct Pool {
    /// Those beside the caller's own.
    helpers: Option<rayon::ThreadPool>,
    /// The fewest rows worth a part of their own.
    rows: usize,
}

impl Pool {
    /// Threads so that `threads` in all work on a call, where that is more than one, for rows of which each takes so many
    /// elements in all values between the steps.
    ///
    /// # Errors
    /// [`ErrorKind::Backend`] when the system has no threads to give.
    pub(super) fn new(threads: usize, elements_per_row: usize) -> Result<Self> {
        let rows = (ELEMENTS_PER_PART / elements_per_row.max(1)).clamp(1, ROWS_PER_PART);
        if threads < 2 {
            return Ok(Self { helpers: None, rows });
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads - 1).build().map_err(|e| {
            Error::new(ErrorKind::Backend, "the threads of the model could not be started").with_source(e)
        })?;
        Ok(Self { helpers: Some(pool), rows })
    }

    /// Whether `m` rows are worth more than one thread.
    pub(super) fn splits(&self, m: usize) -> bool {
        self.helpers.is_some() && m >= 2 * self.rows
    }

    /// Runs `work` on consecutive ranges of the rows `0..m`, on all threads where there are rows enough; what each gave,
    /// in order. The caller's thread begins at once and the others join as they wake, each taking the next range that is
    /// left.
    ///
    /// # Errors
    /// The first that `work` gives, in the order of the rows.
    pub(super) fn split<R: Send>(&self, m: usize, work: impl Fn(Range<usize>) -> Result<R> + Sync) -> Result<Vec<R>> {
        let Some(pool) = self.helpers.as_ref().filter(|_| self.splits(m)) else {
            return Ok(vec![work(0..m)?]);
        };
        let helpers = pool.current_num_threads();
        let parts = ((helpers + 1) * PARTS_PER_THREAD).min(m / self.rows);
        let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let done = Mutex::new(Vec::with_capacity(parts));
        let take = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= parts {
                    return;
                }
                let answer = work(m * i / parts..m * (i + 1) / parts);
                done.lock().unwrap_or_else(PoisonError::into_inner).push((i, answer));
                finished.fetch_add(1, Ordering::Relaxed);
            }
        };
        pool.in_place_scope(|scope| {
            (1..parts.min(helpers + 1)).for_each(|_| scope.spawn(|_| take()));
            take();
            let mut looks = 0;
            while finished.load(Ordering::Relaxed) < parts && looks < LOOKS {
                std::hint::spin_loop();
                looks += 1;
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(i, _)| *i);
        done.into_iter().map(|(_, answer)| answer).collect()
    }
}
