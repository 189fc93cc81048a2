//! The threads of a model.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rayon::Yield;

use crate::{Error, ErrorKind, Result};

/// The most rows that a part must have for itself.
const ROWS_PER_PART: usize = 256;
/// The elements of so many rows are worth a part of their own.
const ELEMENTS_PER_PART: usize = 1 << 18;
/// A thread that wakes late, or is slower, takes fewer parts than the others. Each part is this share of what a thread has
/// left to do, so that the last ones, at whose end some thread may wait for another, are small.
const PARTS_PER_THREAD: usize = 3;
/// The multiplications that are worth a part of their own: some 20 microseconds.
const WORK_PER_PART: usize = 1 << 20;
/// How long a thread looks for more to do before it sleeps: to be woken takes tens of microseconds, at each of the many steps
/// of a call.
const LOOKING: Duration = Duration::from_micros(200);

/// The threads that calls of one model share; none where a call runs on the thread of its caller.
#[derive(Debug)]
pub(super) struct Pool {
    threads: Threads,
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
            return Ok(Self { threads: Threads::default(), rows });
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads - 1).build().map_err(|e| {
            Error::new(ErrorKind::Backend, "the threads of the model could not be started").with_source(e)
        })?;
        Ok(Self { threads: Threads(Some(Arc::new(Workers { pool, looking: Arc::default() }))), rows })
    }

    /// The threads, for steps that divide their own work.
    pub(super) fn threads(&self) -> Threads {
        self.threads.clone()
    }

    /// Whether `m` rows are worth more than one thread.
    pub(super) fn splits(&self, m: usize) -> bool {
        self.threads.0.is_some() && m >= 2 * self.rows
    }

    /// Runs `work` on consecutive ranges of the rows `0..m`, on all threads where there are rows enough; what each gave,
    /// in order. The caller's thread begins at once and the others join as they wake, each taking the next range that is
    /// left.
    ///
    /// # Errors
    /// The first that `work` gives, in the order of the rows.
    pub(super) fn split<R: Send>(&self, m: usize, work: impl Fn(Range<usize>) -> Result<R> + Sync) -> Result<Vec<R>> {
        if !self.splits(m) {
            return Ok(vec![work(0..m)?]);
        }
        let parts: Vec<Range<usize>> = self.threads.parts(m, self.rows).collect();
        let done = Mutex::new(Vec::with_capacity(parts.len()));
        self.threads.run(parts.len(), |i| {
            let answer = work(parts[i].clone());
            done.lock().unwrap_or_else(PoisonError::into_inner).push((i, answer));
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(i, _)| *i);
        done.into_iter().map(|(_, answer)| answer).collect()
    }
}

/// Consecutive ranges of rows, each a share of those that are left.
#[derive(Debug, Clone)]
struct Parts {
    left: Range<usize>,
    /// One in so many of the rows that are left make the next part.
    ways: usize,
    /// All parts but the last have a multiple of so many rows.
    unit: usize,
}

impl Iterator for Parts {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let Range { start, end } = self.left;
        let rows = (end - start).div_ceil(self.ways).next_multiple_of(self.unit);
        // What would be less than a unit goes with the part before it.
        self.left.start = if end - start < rows + self.unit { end } else { start + rows };
        (start < end).then_some(start..self.left.start)
    }
}

/// How the rows of a step may be shared among threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// The multiplications that a row costs; 0 for rows that must stay on one thread.
    pub(crate) cost: usize,
    /// The rows that are best taken together.
    pub(crate) together: usize,
}

impl Share {
    /// Of a product with a matrix (k, n): its kernels take up to 12 rows at once.
    pub(crate) fn product(k: usize, n: usize) -> Self {
        Self { cost: k * n, together: 12 }
    }
}

/// Threads that stay awake for a while when a step is done.
#[derive(Debug)]
struct Workers {
    pool: rayon::ThreadPool,
    /// How many of them look for the next step.
    looking: Arc<AtomicUsize>,
}

impl Workers {
    fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Wakes them, unless they are looking for something to do already.
    fn rouse(&self) {
        if self.looking.compare_exchange(0, self.count(), Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return;
        }
        let looking = Arc::clone(&self.looking);
        self.pool.spawn_broadcast(move |_| {
            let mut since = Instant::now();
            while since.elapsed() < LOOKING {
                match rayon::yield_now() {
                    Some(Yield::Executed) => since = Instant::now(),
                    _ => std::hint::spin_loop(),
                }
            }
            looking.fetch_sub(1, Ordering::AcqRel);
        });
    }
}

/// Threads beside the caller's own; none by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Threads(Option<Arc<Workers>>);

impl Threads {
    /// The parts of `m` rows that keep all threads busy to the end, in multiples of `unit` rows.
    fn parts(&self, m: usize, unit: usize) -> Parts {
        let ways = self.0.as_ref().map_or(1, |workers| (workers.count() + 1) * PARTS_PER_THREAD);
        Parts { left: 0..m, ways, unit: unit.max(1) }
    }

    /// Runs `work` once for each part. The caller's thread begins at once and the others join as they wake, each taking
    /// the next part that is left.
    fn run(&self, parts: usize, work: impl Fn(usize) + Sync) {
        let Some(workers) = self.0.as_ref().filter(|_| parts > 1) else {
            return (0..parts).for_each(work);
        };
        workers.rouse();
        let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let take = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= parts {
                    return;
                }
                work(i);
                finished.fetch_add(1, Ordering::Relaxed);
            }
        };
        workers.pool.in_place_scope(|scope| {
            (1..parts.min(workers.count() + 1)).for_each(|_| scope.spawn(|_| take()));
            take();
            let since = Instant::now();
            while finished.load(Ordering::Relaxed) < parts && since.elapsed() < LOOKING {
                std::hint::spin_loop();
            }
        });
    }

    /// Runs `work` on consecutive rows of `out`, (m, n), with the number of the first of them; on one thread where they
    /// are too little work to share.
    pub(crate) fn rows<T: Send>(
        &self,
        out: &mut [T],
        n: usize,
        Share { cost, together }: Share,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        if self.0.is_none() {
            return work(0, out);
        }
        let m = out.len() / n.max(1);
        let unit = WORK_PER_PART.checked_div(cost).map_or(m, |rows| (rows + 1).next_multiple_of(together));
        if m < unit.saturating_mul(2) {
            return work(0, out);
        }
        let mut rest = out;
        let parts = self.parts(m, unit).map(|rows| {
            let (part, behind) = std::mem::take(&mut rest).split_at_mut(rows.len() * n);
            rest = behind;
            (rows.start, part)
        });
        let parts: Vec<(usize, &mut [T])> = parts.collect();
        let (count, left) = (parts.len(), Mutex::new(parts.into_iter()));
        self.run(count, |_| {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            if let Some((from, part)) = next {
                work(from, part);
            }
        });
    }
}
