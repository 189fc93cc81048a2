//! The threads of a model.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, ErrorKind, Result};

/// The most rows that a part must have for itself.
const ROWS_PER_PART: usize = 256;
/// The elements of so many rows are worth a part of their own.
const ELEMENTS_PER_PART: usize = 1 << 18;
/// A thread that wakes late, or is slower, takes fewer parts than the others.
const PARTS_PER_THREAD: usize = 4;
/// The multiplications that are worth a part of their own: some 20 microseconds.
const WORK_PER_PART: usize = 1 << 20;
/// Looks at the last parts, some tens of microseconds in all, before the caller sleeps until they are done: to be woken takes
/// about as long.
const LOOKS: usize = 2048;

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
        Ok(Self { threads: Threads(Some(Arc::new(pool))), rows })
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
        let parts = if self.splits(m) { self.threads.parts().min(m / self.rows) } else { 1 };
        if parts == 1 {
            return Ok(vec![work(0..m)?]);
        }
        let done = Mutex::new(Vec::with_capacity(parts));
        self.threads.run(parts, |i| {
            let answer = work(m * i / parts..m * (i + 1) / parts);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((i, answer));
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(i, _)| *i);
        done.into_iter().map(|(_, answer)| answer).collect()
    }
}

/// How the rows of a step may be shared among threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// The multiplications that a row costs.
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

/// Threads beside the caller's own; none by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Threads(Option<Arc<rayon::ThreadPool>>);

impl Threads {
    /// How many parts keep all threads busy.
    fn parts(&self) -> usize {
        self.0.as_ref().map_or(1, |pool| (pool.current_num_threads() + 1) * PARTS_PER_THREAD)
    }

    /// Runs `work` once for each part. The caller's thread begins at once and the others join as they wake, each taking
    /// the next part that is left.
    fn run(&self, parts: usize, work: impl Fn(usize) + Sync) {
        let Some(pool) = self.0.as_ref().filter(|_| parts > 1) else {
            return (0..parts).for_each(work);
        };
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
        pool.in_place_scope(|scope| {
            (1..parts.min(pool.current_num_threads() + 1)).for_each(|_| scope.spawn(|_| take()));
            take();
            let mut looks = 0;
            while finished.load(Ordering::Relaxed) < parts && looks < LOOKS {
                std::hint::spin_loop();
                looks += 1;
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
        let m = out.len() / n.max(1);
        let parts = self.parts().min(m.saturating_mul(cost) / WORK_PER_PART).max(1);
        if parts == 1 {
            return work(0, out);
        }
        let rows = m.div_ceil(parts).next_multiple_of(together);
        let parts = m.div_ceil(rows);
        let left = Mutex::new(out.chunks_mut(rows * n).enumerate());
        self.run(parts, |_| {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
            if let Some((i, part)) = next {
                work(i * rows, part);
            }
        });
    }
}
