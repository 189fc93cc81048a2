//! Stores that fail, or kill their process, where a test says so.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use modelberth::registry::object_store::path::Path;
use modelberth::registry::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What happens at a write: a put or a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The process is killed before write `n` reaches the store.
    KillBefore(usize),
    /// The process is killed once write `n` has reached the store.
    KillAfter(usize),
    /// Write `n` and all after it find the system's error.
    Fails(usize, std::io::ErrorKind),
    /// What must not be there yet is overwritten.
    Overwrites,
}

/// A store with trouble.
#[derive(Debug)]
pub(crate) struct Troubled {
    inner: Arc<dyn ObjectStore>,
    trouble: Trouble,
    writes: Arc<AtomicUsize>,
}

impl Troubled {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, trouble: Trouble) -> Arc<Self> {
        Arc::new(Self { inner, trouble, writes: Arc::default() })
    }

    fn before(&self) -> Result<usize> {
        let write = self.writes.fetch_add(1, Ordering::SeqCst) + 1;
        match self.trouble {
            Trouble::KillBefore(n) if n == write => kill(),
            Trouble::Fails(n, kind) if write >= n => {
                Err(Error::Generic { store: "troubled", source: Box::new(std::io::Error::from(kind)) })
            }
            _ => Ok(write),
        }
    }

    fn after(&self, write: usize) {
        if self.trouble == Trouble::KillAfter(write) {
            kill();
        }
    }
}

/// Ends this process as the system's administrator would: nothing is cleaned up.
fn kill() -> ! {
    let _ = std::process::Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

impl fmt::Display for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "troubled {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Troubled {
    async fn put_opts(&self, location: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let write = self.before()?;
        if self.trouble == Trouble::Overwrites {
            options.mode = PutMode::Overwrite;
        }
        let done = self.inner.put_opts(location, payload, options).await;
        self.after(write);
        done
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let write = match self.before() {
            Ok(write) => write,
            Err(e) => return futures_util::stream::once(std::future::ready(Err(e))).boxed(),
        };
        let (trouble, writes) = (self.trouble, Arc::clone(&self.writes));
        let inner = Arc::clone(&self.inner);
        inner
            .delete_stream(locations)
            .inspect(move |_| Self { inner: Arc::clone(&inner), trouble, writes: Arc::clone(&writes) }.after(write))
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
