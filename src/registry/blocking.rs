//! The registry for hosts without a runtime of their own: each call returns when it is done.
//!
//! ```no_run
//! use modelberth::registry::blocking::Registry;
//! let registry = Registry::open("models")?;
//! let model = registry.load("fraud@champion")?;
//! # Ok::<(), modelberth::Error>(())
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::{
    AliasEntry, Collection, Difference, Event, Export, Gate, Imported, LineageTree, Listed, Loaded, ModelSummary,
    NewVersion, Promotion, Query, VerdictRecord, Verification, Version,
};
use crate::{Error, ErrorKind, Loader, Model, Progress, Result};

/// A runtime that can be dropped anywhere.
#[derive(Debug)]
struct Engine(Option<Runtime>);

impl Engine {
    fn new() -> Result<Arc<Self>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Arc::new(Self(Some(runtime))))
    }

    fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        if Handle::try_current().is_ok() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "this would block the runtime that it is called from; use `modelberth::registry::Registry` there",
            ));
        }
        self.0.as_ref().expect("there until it is dropped").block_on(work)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// As [`super::Registry`], for hosts without a runtime. Threads may share it.
#[derive(Debug, Clone)]
pub struct Registry {
    registry: super::Registry,
    engine: Arc<Engine>,
}

/// Methods that wait for those of the same name.
macro_rules! waiting {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {$(
        #[doc = concat!("As [`Registry::", stringify!($name), "`](super::Registry::", stringify!($name), ").")]
        ///
        /// # Errors
        #[doc = concat!("As [there](super::Registry::", stringify!($name), "); [`ErrorKind::InvalidArgument`] when called from")]
        /// within a runtime.
        pub fn $name(&self, $($argument: $type),*) -> Result<$answer> {
            self.engine.run(self.registry.$name($($argument),*))
        }
    )*};
}

impl Registry {
    /// As [`Registry::open`](super::Registry::open).
    ///
    /// # Errors
    /// As [there](super::Registry::open).
    pub fn open(place: &str) -> Result<Self> {
        Self::over(super::Registry::open(place)?)
    }

    /// Waits for what `registry` does.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when the system gives no threads.
    pub fn over(registry: super::Registry) -> Result<Self> {
        Ok(Self { registry, engine: Engine::new()? })
    }

    /// The registry that this waits for.
    #[must_use]
    pub const fn asynchronous(&self) -> &super::Registry {
        &self.registry
    }

    /// As [`Registry::author`](super::Registry::author).
    #[must_use]
    pub fn author(mut self, name: &str) -> Self {
        self.registry = self.registry.author(name);
        self
    }

    /// As [`Registry::cached`](super::Registry::cached).
    #[must_use]
    pub fn cached(mut self, directory: impl AsRef<Path>, max_bytes: u64) -> Self {
        self.registry = self.registry.cached(directory, max_bytes);
        self
    }

    waiting! {
        register(model: &str, new: NewVersion) -> Version;
        get(reference: &str) -> Version;
        models() -> Vec<ModelSummary>;
        list(model: &str) -> Vec<Listed>;
        search(query: &Query) -> Vec<Listed>;
        events(model: &str) -> Vec<Event>;
        note(reference: &str, text: &str) -> Event;
        archive(reference: &str, reason: &str) -> Event;
        restore(reference: &str, reason: &str) -> Event;
        download(reference: &str, path: &Path) -> Version;
        alias(model: &str, alias: &str) -> u64;
        alias_entry(model: &str, alias: &str) -> Option<AliasEntry>;
        aliases(model: &str) -> Vec<AliasEntry>;
        history(model: &str, alias: &str) -> Vec<AliasEntry>;
        set_alias(model: &str, alias: &str, number: u64, promotion: &Promotion) -> AliasEntry;
        check_alias(model: &str, alias: &str, number: u64) -> Vec<String>;
        rollback(model: &str, alias: &str, promotion: &Promotion) -> AliasEntry;
        remove_alias(model: &str, alias: &str, promotion: &Promotion) -> AliasEntry;
        set_gates(model: &str, alias: &str, gates: &[Gate], promotion: &Promotion) -> AliasEntry;
        diff(before: &str, after: &str) -> Difference;
        lineage(reference: &str) -> LineageTree;
        card(reference: &str) -> String;
        bom(reference: &str) -> String;
        gc(grace: Duration, dry_run: bool, progress: &dyn Progress) -> Collection;
        verify(progress: &dyn Progress) -> Verification;
        export(references: &[&str], path: &Path, progress: &dyn Progress) -> Export;
        import(path: &Path, aliases: bool, progress: &dyn Progress) -> Vec<Imported>;
        load(reference: &str) -> Arc<dyn Model>;
        load_with(reference: &str, loader: &Loader) -> Loaded;
    }

    /// As [`Registry::add_verdict`](super::Registry::add_verdict).
    ///
    /// # Errors
    /// As [there](super::Registry::add_verdict).
    pub fn add_verdict(&self, reference: &str, verdict: impl Into<VerdictRecord> + Send) -> Result<Event> {
        self.engine.run(self.registry.add_verdict(reference, verdict))
    }

    /// As [`Registry::watch`](super::Registry::watch).
    ///
    /// # Errors
    /// As [there](super::Registry::watch).
    pub fn watch(&self, reference: &str, every: Duration) -> Result<Watch> {
        Ok(Watch { watch: self.registry.watch(reference, every)?, engine: Arc::clone(&self.engine) })
    }
}

/// As [`super::Watch`], for hosts without a runtime.
#[derive(Debug)]
pub struct Watch {
    watch: super::Watch,
    engine: Arc<Engine>,
}

impl Watch {
    /// As [`Watch::loader`](super::Watch::loader).
    #[must_use]
    pub fn loader(mut self, loader: Loader) -> Self {
        self.watch = self.watch.loader(loader);
        self
    }

    /// Waits for the next model; the first is there at once.
    ///
    /// # Errors
    /// As [`Watch::next`](super::Watch::next).
    #[allow(clippy::should_implement_trait, reason = "an iterator ends, and this one's errors are not final")]
    pub fn next(&mut self) -> Result<Loaded> {
        self.engine.run(self.watch.next())
    }

    /// Asks the store once, without waiting; a model when there is a new one.
    ///
    /// # Errors
    /// As [`Watch::poll`](super::Watch::poll).
    pub fn poll(&mut self) -> Result<Option<Loaded>> {
        self.engine.run(self.watch.poll())
    }
}

/// As [`super::mlflow::MlflowServer`], for hosts without a runtime.
#[cfg(feature = "mlflow")]
#[derive(Debug, Clone)]
pub struct MlflowServer {
    server: super::mlflow::MlflowServer,
    engine: Arc<Engine>,
}

#[cfg(feature = "mlflow")]
impl MlflowServer {
    /// As [`MlflowServer::new`](super::mlflow::MlflowServer::new).
    ///
    /// # Errors
    /// As [there](super::mlflow::MlflowServer::new).
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self { server: super::mlflow::MlflowServer::new(url)?, engine: Engine::new()? })
    }

    /// As [`MlflowServer::version`](super::mlflow::MlflowServer::version).
    ///
    /// # Errors
    /// As [there](super::mlflow::MlflowServer::version).
    pub fn version(&self, name: &str, which: &str) -> Result<super::mlflow::MlflowModel> {
        self.engine.run(self.server.version(name, which))
    }
}
