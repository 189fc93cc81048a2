//! Loading: caches, stores that are away, watching, environments.

use std::time::Duration;

use modelberth::registry::{Promotion, Registry, blocking};
use modelberth::{ErrorKind, Loader};

use super::support::{OnDisk, answer, linear, version};

#[tokio::test]
async fn a_start_without_the_store_takes_the_cache() {
    let disk = OnDisk::new();
    let cache = disk.directory.path().join("cache");
    let cached = || Registry::open(disk.root().to_str().unwrap()).unwrap().cached(&cache, 1 << 20);
    cached().register("fraud", version(1)).await.unwrap();
    cached().register("fraud", version(2)).await.unwrap();
    cached().set_alias("fraud", "champion", 1, &Promotion::new()).await.unwrap();
    cached().load("fraud@champion").await.unwrap();
    std::fs::rename(disk.root(), disk.directory.path().join("away")).unwrap();
    let loaded = cached().load_with("fraud@champion", &Loader::new()).await.unwrap();
    assert!(loaded.offline && loaded.warnings.iter().any(|w| w.contains("away")), "{:?}", loaded.warnings);
    assert_eq!(answer(&loaded.model), answer(&linear(2, 1)));
    assert_eq!(cached().load("fraud:2").await.unwrap_err().kind(), ErrorKind::NotFound);
    // A cache that was changed is not believed.
    for entry in std::fs::read_dir(cache.join("blobs")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[3] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    assert!(cached().load("fraud@champion").await.is_err());
    std::fs::rename(disk.directory.path().join("away"), disk.root()).unwrap();
    let loaded = cached().load_with("fraud@champion", &Loader::new()).await.unwrap();
    assert!(!loaded.offline);
    // What is not there, though the store is, is no reason to take the cache.
    cached().remove_alias("fraud", "champion", &Promotion::new()).await.unwrap();
    assert_eq!(cached().load("fraud@champion").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_cache_keeps_to_its_bytes() {
    let disk = OnDisk::new();
    let cache = disk.directory.path().join("cache");
    let mut largest = 0;
    for seed in 1..=6 {
        largest = largest.max(disk.registry.register("fraud", version(seed)).await.unwrap().bytes());
    }
    let room = 2 * largest + largest / 2;
    let cached = disk.registry.clone().cached(&cache, room);
    for number in [1, 2, 3, 4, 5, 6, 1] {
        cached.load(&format!("fraud:{number}")).await.unwrap();
        let held: u64 =
            std::fs::read_dir(cache.join("blobs")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(held <= room && held > 0, "{held} of {room}");
    }
}

#[tokio::test]
async fn a_watch_yields_each_move() {
    let disk = OnDisk::new();
    for seed in 1..=3 {
        disk.registry.register("fraud", version(seed)).await.unwrap();
    }
    disk.registry.set_alias("fraud", "champion", 1, &Promotion::new()).await.unwrap();
    let mut watch = disk.registry.watch("fraud@champion", Duration::from_millis(1)).unwrap();
    assert_eq!(watch.next().await.unwrap().version.number, 1);
    assert!(watch.poll().await.unwrap().is_none());
    disk.registry.set_alias("fraud", "champion", 2, &Promotion::new()).await.unwrap();
    assert_eq!(watch.next().await.unwrap().version.number, 2);
    disk.registry.set_alias("fraud", "champion", 2, &Promotion::new()).await.unwrap();
    assert!(watch.poll().await.unwrap().is_none());
    // Two moves between two looks: the last counts.
    disk.registry.set_alias("fraud", "champion", 1, &Promotion::new()).await.unwrap();
    disk.registry.set_alias("fraud", "champion", 3, &Promotion::new()).await.unwrap();
    assert_eq!(watch.poll().await.unwrap().unwrap().version.number, 3);
    // A version that can't be loaded is an error, and the next look tries again.
    let blobs = disk.root().join("blobs");
    std::fs::rename(&blobs, disk.root().join("gone")).unwrap();
    disk.registry.set_alias("fraud", "champion", 2, &Promotion::new()).await.unwrap();
    assert!(watch.poll().await.is_err() && watch.poll().await.is_err());
    std::fs::rename(disk.root().join("gone"), &blobs).unwrap();
    assert_eq!(watch.next().await.unwrap().version.number, 2);
    let mut newest = disk.registry.watch("fraud", Duration::from_millis(1)).unwrap();
    assert_eq!(newest.next().await.unwrap().version.number, 3);
    disk.registry.register("fraud", version(4)).await.unwrap();
    assert_eq!(newest.next().await.unwrap().version.number, 4);
    disk.registry.archive("fraud:4", "").await.unwrap();
    assert_eq!(newest.next().await.unwrap().version.number, 3);
    assert_eq!(disk.registry.watch("fraud:1", Duration::ZERO).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

/// A store whose records say that they were written on another machine.
async fn elsewhere(answers: impl Fn(&mut Vec<u8>)) -> OnDisk {
    let disk = OnDisk::new();
    disk.registry.register("fraud", version(1)).await.unwrap();
    let record = disk.root().join("models/fraud/versions/0000000001.json");
    let text = std::fs::read_to_string(&record).unwrap();
    let version = disk.registry.get("fraud:1").await.unwrap();
    let sample = version.sample.unwrap().blob.sha256.to_string();
    let path = disk.root().join("blobs/sha256").join(&sample[..2]).join(&sample);
    let mut npz = std::fs::read(&path).unwrap();
    answers(&mut npz);
    let digest = modelberth::Digest::of(&npz).to_string();
    let moved = disk.root().join("blobs/sha256").join(&digest[..2]).join(&digest);
    std::fs::create_dir_all(moved.parent().unwrap()).unwrap();
    std::fs::write(moved, npz).unwrap();
    let here = format!("\"architecture\": \"{}\"", std::env::consts::ARCH);
    let text = text.replace(&here, "\"architecture\": \"riscv64\"").replace(&sample, &digest);
    let body = &text[..text.rfind(",\n  \"sha256\": \"").unwrap()];
    let sealed = format!("{body},\n  \"sha256\": \"{}\"\n}}\n", modelberth::Digest::of(body.as_bytes()));
    std::fs::write(record, sealed).unwrap();
    disk
}

#[tokio::test]
async fn on_another_machine_the_stored_answers_must_be_given_again() {
    let disk = elsewhere(|_| {}).await;
    let loaded = disk.registry.load_with("fraud", &Loader::new()).await.unwrap();
    assert!(
        loaded.warnings[0].contains("riscv64") && loaded.warnings.last().unwrap().contains("the same here"),
        "{:?}",
        loaded.warnings
    );
    // The last value of the last array is an answer; its exponent is changed, and the archive's checksum with it.
    let disk = elsewhere(|npz| {
        let arrays = modelberth::table::read_npz(npz).unwrap();
        let out = arrays.iter().find(|(key, _)| key.as_str().starts_with("out:")).unwrap().1.view::<f32>().unwrap();
        let raw: Vec<u8> = out.iter().flat_map(|x| x.to_le_bytes()).collect();
        let at = npz.windows(raw.len()).position(|w| w == raw).unwrap();
        npz[at + 3] ^= 0x10;
        fix_checksums(npz);
    })
    .await;
    let error = disk.registry.load("fraud").await.unwrap_err();
    assert!(error.kind() == ErrorKind::Integrity && error.to_string().contains("riscv64"), "{error}");
}

/// Writes the archive again, so that its checksums fit its content.
fn fix_checksums(npz: &mut Vec<u8>) {
    use std::io::{Cursor, Write};
    let mut members = Vec::new();
    // The members are stored, so that their content stands in the bytes as it is.
    let mut at = 0;
    while let Some(found) = npz[at..].windows(4).position(|w| w == b"PK\x03\x04") {
        let start = at + found;
        let field = |offset: usize, n: usize| {
            npz[start + offset..start + offset + n].iter().rev().fold(0usize, |v, b| v << 8 | usize::from(*b))
        };
        let (size, name, extra) = (field(18, 4), field(26, 2), field(28, 2));
        let name_at = start + 30;
        let data = name_at + name + extra;
        members
            .push((String::from_utf8(npz[name_at..name_at + name].to_vec()).unwrap(), npz[data..data + size].to_vec()));
        at = data + size;
    }
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in members {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        writer.start_file(name, options).unwrap();
        writer.write_all(&data).unwrap();
    }
    *npz = writer.finish().unwrap().into_inner();
}

#[test]
fn hosts_without_a_runtime_have_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let registry = blocking::Registry::open(directory.path().to_str().unwrap()).unwrap().author("tester");
    let number = registry.register("fraud", version(1)).unwrap().number;
    registry.set_alias("fraud", "champion", number, &Promotion::new()).unwrap();
    let mut watch = registry.watch("fraud@champion", Duration::from_millis(1)).unwrap();
    assert_eq!(watch.next().unwrap().version.number, 1);
    assert!(watch.poll().unwrap().is_none());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(answer(&*registry.load("fraud@champion").unwrap()), answer(&linear(2, 1))));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert_eq!(registry.get("fraud").unwrap_err().kind(), ErrorKind::InvalidArgument);
        drop(registry.clone());
    });
    let inside = blocking::Registry::open(directory.path().to_str().unwrap()).unwrap();
    runtime.block_on(async move { drop(inside) });
}
