use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use object_store::ObjectStore;
use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::log::{Log, Seen};
use super::name::{check_alias, check_model};
use super::store::{Store, no_create_only};
use super::time::{Clock, Timestamp};
use super::{frame, layout};
use crate::{Error, ErrorKind, Result};

/// Where models live: every version of each, with its record, and the aliases that say which is in use.
///
/// A registry lies in a directory or a bucket, and there is no server: every writer is a process with this crate. It is
/// cheap to clone; clones share what they have learnt of the store.
///
/// ```
/// # use modelberth::{LinearModel, Link, Model, ndarray::array};
/// use modelberth::registry::{NewVersion, Registry};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> modelberth::Result<()> {
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path().to_str().unwrap();
/// # let model = LinearModel::new(array![[2.0], [-1.0]], array![0.5], Link::Identity)?;
/// let registry = Registry::open(directory)?;
/// let version = registry.register("fraud", NewVersion::of(&model)?.metric("auc", 0.93)).await?;
/// registry.set_alias("fraud", "champion", version.number, &Default::default()).await?;
/// let model = registry.load("fraud@champion").await?;
/// # assert_eq!(model.signature().inputs().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Registry {
    pub(crate) store: Store,
    pub(crate) seen: Seen,
    pub(crate) clock: Clock,
    pub(crate) author: Arc<str>,
    pub(crate) cache: Option<Cache>,
    identity: Arc<tokio::sync::OnceCell<Identity>>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("store", &self.store.place)
            .field("author", &self.author)
            .finish_non_exhaustive()
    }
}

/// What the object at the root of a store says of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// What tells this registry from all others.
    pub(crate) registry: String,
    pub(crate) created_at: Timestamp,
}

impl Registry {
    /// The registry at `place`: a directory, or `s3://BUCKET/PATH`, `gs://BUCKET/PATH`, `az://CONTAINER/PATH` (features
    /// `s3`, `gcs`, `azure`; credentials from the environment), or `memory://`. One that is not there yet is made when
    /// something is first written.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a place that can't be one; [`ErrorKind::FeatureDisabled`].
    pub fn open(place: &str) -> Result<Self> {
        Ok(Self::at(Store::open(place)?))
    }

    /// The registry in the folder `prefix` of a store that the host has made, such as the one that it queries with.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when `prefix` can't be a path.
    pub fn on(objects: Arc<dyn ObjectStore>, prefix: &str) -> Result<Self> {
        let base = object_store::path::Path::parse(prefix).map_err(|e| {
            Error::new(ErrorKind::InvalidArgument, "this can't be a path in a store").actual(prefix).with_source(e)
        })?;
        let place = format!("{objects}/{base}");
        Ok(Self::at(Store::over(objects, base, &place, 8)))
    }

    fn at(store: Store) -> Self {
        let author =
            ["MODELBERTH_AUTHOR", "USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
        Self {
            store,
            seen: Arc::new(Mutex::new(HashMap::new())),
            clock: Arc::new(SystemTime::now),
            author: author.unwrap_or_else(|| "unknown".to_owned()).into(),
            cache: None,
            identity: Arc::default(),
        }
    }

    /// Writes records in this name; unless set it is the environment's `MODELBERTH_AUTHOR`, else the user's.
    #[must_use]
    pub fn author(mut self, name: &str) -> Self {
        self.author = name.into();
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Keeps what is loaded in `directory`, up to `max_bytes` of models, and loads from there when it is there, and when
    /// the store is away. Several processes may share a cache.
    #[must_use]
    pub fn cached(mut self, directory: impl AsRef<FilePath>, max_bytes: u64) -> Self {
        self.cache = Some(Cache::new(directory.as_ref(), max_bytes, &self.store.place));
        self
    }

    /// What users call the store.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.store.place
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)().into()
    }

    pub(crate) fn versions(&self, model: &str) -> Result<Log<'_>> {
        check_model(model)?;
        Ok(Log::new(&self.store, &self.seen, layout::versions(model)))
    }

    pub(crate) fn events_log(&self, model: &str) -> Result<Log<'_>> {
        check_model(model)?;
        Ok(Log::new(&self.store, &self.seen, layout::events(model)))
    }

    pub(crate) fn alias_log(&self, model: &str, alias: &str) -> Result<Log<'_>> {
        check_model(model)?;
        check_alias(alias)?;
        Ok(Log::new(&self.store, &self.seen, layout::alias(model, alias)))
    }

    /// What the store says it is; nothing where nothing was written yet.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a store of a newer layout.
    pub(crate) async fn identity(&self) -> Result<Option<&Identity>> {
        if let Some(known) = self.identity.get() {
            return Ok(Some(known));
        }
        let Some(bytes) = self.store.read(layout::ROOT, frame::LARGEST).await? else { return Ok(None) };
        let (identity, _) = frame::open::<Identity>(&bytes, &format!("{}/{}", self.store.place, layout::ROOT))?;
        Ok(Some(self.identity.get_or_init(|| std::future::ready(identity)).await))
    }

    /// Makes the registry where there is none, and makes sure that the store has create-only writes: without them two
    /// writers would both believe to have won.
    pub(crate) async fn writable(&self) -> Result<&Identity> {
        self.identity
            .get_or_try_init(|| async {
                let fresh = Identity { registry: format!("{:016x}", super::blobs::random()), created_at: self.now() };
                let bytes = frame::seal(&fresh)?;
                let _ = self.store.create(layout::ROOT, bytes.clone().into()).await?;
                // It is there now, so that a second attempt must be refused.
                if self.store.create(layout::ROOT, bytes.into()).await? {
                    return Err(no_create_only().file(&*self.store.place));
                }
                let bytes = self.store.read(layout::ROOT, frame::LARGEST).await?;
                let bytes = bytes.ok_or_else(|| {
                    Error::new(ErrorKind::Io, "the store loses what is written to it").file(&*self.store.place)
                })?;
                Ok(frame::open::<Identity>(&bytes, &format!("{}/{}", self.store.place, layout::ROOT))?.0)
            })
            .await
    }

    /// How long a register may take from its first write to its record; a collection of garbage counts on it.
    pub(crate) const LONGEST_REGISTER: Duration = Duration::from_secs(12 * 3600);
}
