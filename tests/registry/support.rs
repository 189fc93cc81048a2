//! What the tests of the registry share.

use std::path::PathBuf;
use std::sync::Arc;

use modelberth::ndarray::{Array1, Array2};
use modelberth::registry::object_store::ObjectStore;
use modelberth::registry::object_store::memory::InMemory;
use modelberth::registry::{NewVersion, Registry};
use modelberth::{LinearModel, Link, Model};

/// A linear model of `features` features whose weights depend on `seed`, with the one output `prediction`.
pub(crate) fn linear(features: usize, seed: u64) -> LinearModel {
    let weights = Array2::from_shape_fn((features, 1), |(i, _)| ((i as u64 * 7 + seed * 13) % 10) as f32 - 4.5);
    LinearModel::new(weights, Array1::from_elem(1, seed as f32), Link::Identity).unwrap()
}

pub(crate) fn version(seed: u64) -> NewVersion {
    NewVersion::of(&linear(2, seed)).unwrap()
}

/// A registry in memory, and the store under it.
pub(crate) fn in_memory() -> (Registry, Arc<dyn ObjectStore>) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    (Registry::on(Arc::clone(&store), "models").unwrap().author("tester"), store)
}

/// A registry in a directory of its own.
pub(crate) struct OnDisk {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) registry: Registry,
}

impl OnDisk {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(directory.path().join("store").to_str().unwrap()).unwrap().author("tester");
        Self { directory, registry }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    /// Every file of the store, by its path from the root.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.root()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }
}

/// The answer of `model` to one row of ones.
pub(crate) fn answer(model: &dyn Model) -> f32 {
    use modelberth::ModelExt;
    let n = match model.signature().inputs()[0].dims() {
        [_, modelberth::Dim::Fixed(n)] => *n,
        other => panic!("{other:?}"),
    };
    let answers = model.predict_array(Array2::<f32>::ones((1, n))).unwrap();
    answers.single().unwrap().view::<f32>().unwrap().iter().next().copied().unwrap()
}
