//! The threads of a model.

use std::ops::Range;

use crate::{Error, ErrorKind, Result};

/// The fewest rows worth a thread of their own.
const ROWS_PER_THREAD: usize = 256;

/// The threads that calls of one model share; none where a call runs on the thread of its caller.
#[derive(Debug)]
pub(super) struct Pool(Option<rayon::ThreadPool>);

impl Pool {
    /// Starts `threads` threads, where there is more than one.
    ///
    /// # Errors
    /// [`ErrorKind::Backend`] when the system has no threads to give.
    pub(super) fn new(threads: usize) -> Result<Self> {
        if threads < 2 {
            return Ok(Self(None));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| {
            Error::new(ErrorKind::Backend, "the threads of the model could not be started").with_source(e)
        })?;
        Ok(Self(Some(pool)))
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
        let Some(pool) = self.0.as_ref().filter(|_| m >= 2 * ROWS_PER_THREAD) else {
            return Ok(vec![work(0..m)?]);
        };
        let parts = pool.current_num_threads().min(m / ROWS_PER_THREAD);
        let ranges: Vec<Range<usize>> = (0..parts).map(|i| m * i / parts..m * (i + 1) / parts).collect();
        pool.install(|| ranges.into_par_iter().map(work).collect())
    }
}
