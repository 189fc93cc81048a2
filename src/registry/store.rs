//! What a registry asks of the place where it lies: whole objects that are created or read, never changed.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::time::Timestamp;
use crate::{Error, ErrorKind, Result};

/// How many requests to a store on a network are under way at once.
const REMOTE_REQUESTS: usize = 32;

/// A place for objects.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    objects: Arc<dyn ObjectStore>,
    base: Path,
    /// What users call it.
    pub(crate) place: Arc<str>,
    /// How many requests are worth making at once.
    pub(crate) width: usize,
    /// Its directory, where it is one.
    directory: Option<Arc<FilePath>>,
}

/// An object in a listing.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    pub(crate) modified: Timestamp,
}

impl Store {
    /// The store at `place`: a directory, or the URL of a bucket.
    pub(crate) fn open(place: &str) -> Result<Self> {
        match place.split_once("://") {
            None => Self::directory(FilePath::new(place)),
            Some(("file", path)) => Self::directory(FilePath::new(path)),
            Some(("memory", _)) => Ok(Self::over(Arc::new(InMemory::new()), Path::default(), place, 1)),
            Some((scheme, rest)) => {
                let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
                let base =
                    Path::parse(path).map_err(|e| failed(e.into(), "the path in the store's URL can't be used"))?;
                let objects = super::cloud::bucket(scheme, bucket, place)?;
                Ok(Self::over(objects, base, place, REMOTE_REQUESTS))
            }
        }
    }

    /// A store made of another program's own.
    pub(crate) fn over(objects: Arc<dyn ObjectStore>, base: Path, place: &str, width: usize) -> Self {
        Self { objects, base, place: place.into(), width, directory: None }
    }

    fn directory(path: &FilePath) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|e| Error::from(e).file(path.display()))?;
        if path.exists() && !path.is_dir() {
            return Err(Error::new(ErrorKind::InvalidArgument, "a store is a directory or a URL, and this is a file")
                .file(path.display()));
        }
        let base = Path::from_absolute_path(&path).map_err(|e| failed(e.into(), "the store's path can't be used"))?;
        let place = path.display().to_string();
        // Rooted at `/`, so that a directory that does not exist yet is no error: reading finds nothing, writing makes it.
        let store = Self::over(Arc::new(LocalFileSystem::new()), base, &place, 1);
        Ok(Self { directory: Some(path.into()), ..store })
    }

    fn path(&self, key: &str) -> Path {
        let mut path = self.base.clone();
        for part in key.split('/').filter(|part| !part.is_empty()) {
            path = path.join(part);
        }
        path
    }

    fn error(&self, error: object_store::Error, message: &str, key: &str) -> Error {
        failed(error, message).file(format!("{}/{key}", self.place))
    }

    /// Writes an object that must not be there yet; whether it was not.
    pub(crate) async fn create(&self, key: &str, content: Bytes) -> Result<bool> {
        let options = PutOptions::from(PutMode::Create);
        match self.objects.put_opts(&self.path(key), PutPayload::from_bytes(content), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(e @ (object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. })) => {
                Err(no_create_only().file(&*self.place).with_source(e))
            }
            Err(e) => Err(self.error(e, "the registry can't be written", key)),
        }
    }

    /// The content of an object, or nothing where there is none.
    pub(crate) async fn read(&self, key: &str, limit: u64) -> Result<Option<Bytes>> {
        let answer = match self.objects.get(&self.path(key)).await {
            Ok(answer) => answer,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(self.error(e, "the registry can't be read", key)),
        };
        if answer.meta.size > limit {
            return Err(Error::new(ErrorKind::LimitExceeded, "an object of the registry is larger than it may be")
                .file(format!("{}/{key}", self.place))
                .expected(format!("at most {limit} bytes"))
                .actual(format!("{} bytes", answer.meta.size)));
        }
        answer.bytes().await.map(Some).map_err(|e| self.error(e, "the registry can't be read", key))
    }

    /// The length of an object and when it was written, or nothing where there is none.
    pub(crate) async fn head(&self, key: &str) -> Result<Option<Entry>> {
        match self.objects.head(&self.path(key)).await {
            Ok(meta) => Ok(Some(Entry {
                key: key.to_owned(),
                bytes: meta.size,
                modified: Timestamp::from_unix_ms(meta.last_modified.timestamp_millis()),
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.error(e, "the registry can't be read", key)),
        }
    }

    /// Every object whose key begins with `folder/`, in no order.
    pub(crate) async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        let base = self.path("");
        let within = |path: &Path| {
            let parts = path.prefix_match(&base)?;
            Some(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
        };
        self.objects
            .list(Some(&self.path(folder)))
            .try_filter_map(|meta| {
                let entry = within(&meta.location).map(|key| Entry {
                    key,
                    bytes: meta.size,
                    modified: Timestamp::from_unix_ms(meta.last_modified.timestamp_millis()),
                });
                std::future::ready(Ok(entry))
            })
            .try_collect()
            .await
            .map_err(|e| self.error(e, "the registry can't be listed", folder))
    }

    /// The names of what lies in `folder` as folders, in order.
    pub(crate) async fn folders(&self, folder: &str) -> Result<Vec<String>> {
        let listed = match self.objects.list_with_delimiter(Some(&self.path(folder))).await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(e) => return Err(self.error(e, "the registry can't be listed", folder)),
        };
        let mut names: Vec<String> =
            listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect();
        names.sort();
        Ok(names)
    }

    /// Deletes an object; one that is not there is no error.
    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        match self.objects.delete(&self.path(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(self.error(e, "an object of the registry can't be deleted", key)),
        }
    }

    /// Deletes what writers that were killed left half-written in a directory, if it is older than `age`; its bytes. Such
    /// files end with `#` and a number, and no listing shows them.
    pub(crate) async fn delete_unfinished(&self, age: Duration, dry_run: bool) -> Result<Vec<(String, u64)>> {
        let Some(root) = self.directory.clone() else { return Ok(Vec::new()) };
        super::blobs::blocking(move || {
            let mut found = Vec::new();
            let mut folders = vec![root.to_path_buf()];
            while let Some(folder) = folders.pop() {
                // A folder that is not there any more holds nothing.
                for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                    let (path, Ok(meta)) = (entry.path(), entry.metadata()) else { continue };
                    if meta.is_dir() {
                        folders.push(path);
                        continue;
                    }
                    let name = entry.file_name().to_string_lossy().into_owned();
                    let number = name.rsplit_once('#').map_or("", |(_, number)| number);
                    let old = meta.modified().is_ok_and(|at| at.elapsed().is_ok_and(|elapsed| elapsed >= age));
                    if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) && old {
                        if !dry_run {
                            std::fs::remove_file(&path).map_err(|e| Error::from(e).file(path.display()))?;
                        }
                        let key = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
                        found.push((key, meta.len()));
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    /// The answers to `ask` for each of `items`, several at a time, in order.
    pub(crate) async fn each<T, R, F>(&self, items: Vec<T>, ask: impl Fn(T) -> F + Send) -> Result<Vec<R>>
    where
        T: Send,
        R: Send,
        F: Future<Output = Result<R>> + Send,
    {
        // Requests to a local disk cost less than a switch of threads, so that two at a time keep it busy.
        futures_util::stream::iter(items.into_iter().map(ask)).buffered(self.width.max(2)).try_collect().await
    }
}

/// The error for a store in which two writers could both win.
pub(crate) fn no_create_only() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "this store has no create-only writes (`If-None-Match: *`), so two writers could overwrite each other; use \
         a local directory, S3, GCS, Azure, or a server that has them",
    )
}

fn failed(error: object_store::Error, message: &str) -> Error {
    let (kind, message) = match (&error, system(&error)) {
        (object_store::Error::NotFound { .. }, _) => (ErrorKind::NotFound, message.to_owned()),
        (object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }, _)
        | (_, Some(std::io::ErrorKind::PermissionDenied)) => {
            (ErrorKind::Io, format!("{message}: permission denied; check who owns it, or the credentials"))
        }
        (_, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)) => {
            (ErrorKind::Io, format!("{message}: no space is left; what was there is as it was"))
        }
        (_, Some(std::io::ErrorKind::ReadOnlyFilesystem)) => {
            (ErrorKind::Io, format!("{message}: the file system is read-only"))
        }
        _ => (ErrorKind::Io, message.to_owned()),
    };
    Error::new(kind, message).with_source(error)
}

/// The system's own error underneath, where there is one.
fn system(error: &object_store::Error) -> Option<std::io::ErrorKind> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}
