//! The threads of a model.

use std::ops::Range;

use crate::{Error, ErrorKind, Result};

/// The most rows that a thread must have for itself.
const ROWS_PER_THREAD: usize = 256;
/// The elements of so many rows are worth a thread of their own.
const ELEMENTS_PER_THREAD: usize = 1 << 18;

/// The threads that calls of one model share; none where a call runs on the thread of its caller.
#[derive(Debug)]
pub(super) struct Pool {
    threads: Option<rayon::ThreadPool>,
    /// The fewest rows worth a thread of their own.
    rows: usize,
}

impl Pool {
    /// Starts `threads` threads, where there is more than one, for rows of which each takes so many elements in all
    /// values between the steps.
    ///
    /// # Errors
    /// [`ErrorKind::Backend`] when the system has no threads to give.
    pub(super) fn new(threads: usize, elements_per_row: usize) -> Result<Self> {
        let rows = (ELEMENTS_PER_THREAD / elements_per_row.max(1)).clamp(1, ROWS_PER_THREAD);
        if threads < 2 {
            return Ok(Self { threads: None, rows });
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| {
            Error::new(ErrorKind::Backend, "the threads of the model could not be started").with_source(e)
        })?;
        Ok(Self { threads: Some(pool), rows })
    }

    /// Whether `m` rows are worth more than one thread.
    pub(super) fn splits(&self, m: usize) -> bool {
        self.threads.is_some() && m >= 2 * self.rows
    }

    /// Runs `work` on consecutive ranges of the rows `0..m`, on all threads where there are rows enough; what each gave,
    /// in order.
    ///
    /// # Errors
    /// The first that `work` gives.
    pub(super) fn split<R: Send>(
        &self,
        m: usize,
        work: impl Fn(Range<usize>) -> Result<R> + Send + Sync,
    ) -> Result<Vec<R>> {
        use rayon::iter::{IntoParallelIterator, ParallelIterator};
        let Some(pool) = self.threads.as_ref().filter(|_| self.splits(m)) else {
            return Ok(vec![work(0..m)?]);
        };
        let parts = pool.current_num_threads().min(m / self.rows);
        let ranges: Vec<Range<usize>> = (0..parts).map(|i| m * i / parts..m * (i + 1) / parts).collect();
        pool.install(|| ranges.into_par_iter().map(work).collect())
    }
}
