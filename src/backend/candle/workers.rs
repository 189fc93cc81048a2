//! Threads for candle to compute on.

use std::sync::{Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, ErrorKind, Result};

/// Pools of `threads` threads, one for each caller at a time.
///
/// candle splits its matrix products over the pool that it is called in, by default one that the whole process
/// shares. A pool of its own holds a call to the number of threads it may use, and callers at the same time do not
/// wait for each other.
pub(super) struct Workers {
    threads: usize,
    idle: Mutex<Vec<ThreadPool>>,
}

impl Workers {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads: threads.max(1), idle: Mutex::default() }
    }

    /// Runs `f` in a pool of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Backend`] when the threads can't be started.
    pub(super) fn run<R: Send>(&self, f: impl FnOnce() -> Result<R> + Send) -> Result<R> {
        // Nothing is done under the lock that could leave the list half changed.
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let pool = match kept {
            Some(pool) => pool,
            None => ThreadPoolBuilder::new()
                .num_threads(self.threads)
                .thread_name(|i| format!("modelberth-candle-{i}"))
                .build()
                .map_err(|e| {
                    Error::new(ErrorKind::Backend, "the threads of the model could not be started").with_source(e)
                })?,
        };
        let result = pool.install(f);
        let mut idle = idle();
        if idle.len() < std::thread::available_parallelism().map_or(1, usize::from) {
            idle.push(pool);
        }
        result
    }
}
