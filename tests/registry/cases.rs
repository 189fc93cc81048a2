//! Copies between registries, garbage, clocks, packs.

use std::time::{Duration, SystemTime};

use modelberth::registry::{Promotion, Registry, VerdictRecord};
use modelberth::{ErrorKind, NoProgress};

use super::support::{OnDisk, answer, in_memory, linear, version};
use modelberth::registry::Parent;

#[tokio::test]
async fn an_export_can_be_imported_twice() {
    let (site, _) = in_memory();
    site.register("fraud", version(1)).await.unwrap();
    site.register("fraud", version(2).parent(Parent::new("fraud", 1, "pruned from"))).await.unwrap();
    site.register("churn", version(3)).await.unwrap();
    site.set_alias("fraud", "champion", 2, &Promotion::new()).await.unwrap();
    site.note("fraud:2", "a note").await.unwrap();
    site.add_verdict("fraud:2", VerdictRecord::new("suite", true).against("fraud", 1)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (all, part) = (folder.path().join("all.zip"), folder.path().join("part.zip"));
    assert_eq!(site.export(&[], &all, &NoProgress).await.unwrap().versions.len(), 3);
    site.export(&["fraud@champion"], &part, &NoProgress).await.unwrap();

    let (other, _) = in_memory();
    other.register("fraud", version(9)).await.unwrap();
    // The part first: its parent is not there then.
    let done = other.import(&part, false, &NoProgress).await.unwrap();
    assert_eq!((done[0].from.as_str(), done[0].version.as_str(), done[0].new), ("fraud:2", "fraud:2", true));
    let done = other.import(&all, true, &NoProgress).await.unwrap();
    assert_eq!(done.iter().filter(|one| one.new).count(), 2);
    for _ in 0..2 {
        assert!(other.import(&all, true, &NoProgress).await.unwrap().iter().all(|one| !one.new));
        assert!(other.import(&part, false, &NoProgress).await.unwrap().iter().all(|one| !one.new));
    }
    assert_eq!(other.list("fraud").await.unwrap().len(), 3);
    assert_eq!(other.events("fraud").await.unwrap().len(), 2);
    assert_eq!(other.alias("fraud", "champion").await.unwrap(), 2);
    assert_eq!(answer(&*other.load("fraud@champion").await.unwrap()), answer(&linear(2, 2)));
    let copied = other.get("fraud:2").await.unwrap();
    assert_eq!(copied.origin.as_ref().unwrap().number, 2);
    assert!(other.verify(&NoProgress).await.unwrap().faults.is_empty());
    // A copy of a copy is the same version.
    let again = folder.path().join("again.zip");
    other.export(&["fraud:2"], &again, &NoProgress).await.unwrap();
    let (third, _) = in_memory();
    assert!(third.import(&all, false, &NoProgress).await.unwrap().iter().all(|one| one.new));
    assert!(third.import(&again, false, &NoProgress).await.unwrap().iter().all(|one| !one.new));
    // Into the registry that it came from.
    assert!(site.import(&all, true, &NoProgress).await.unwrap().iter().all(|one| !one.new));

    let mut bytes = std::fs::read(&all).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&all, &bytes).unwrap();
    let (fourth, _) = in_memory();
    assert!(fourth.import(&all, false, &NoProgress).await.is_err());
    std::fs::write(&all, b"no zip").unwrap();
    assert_eq!(fourth.import(&all, false, &NoProgress).await.unwrap_err().kind(), ErrorKind::Malformed);
}

#[tokio::test]
async fn garbage_is_collected_and_nothing_else() {
    let disk = OnDisk::new();
    let registry = &disk.registry;
    registry.register("fraud", version(1)).await.unwrap();
    let content = b"left behind by a register that was killed";
    let digest = modelberth::Digest::of(content).to_string();
    let orphan = disk.root().join("blobs/sha256").join(&digest[..2]).join(&digest);
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, content).unwrap();
    let young = registry.gc(Duration::from_secs(60), false, &NoProgress).await.unwrap();
    assert_eq!((young.young, young.collected.len()), (1, 0));
    let look = registry.gc(Duration::ZERO, true, &NoProgress).await.unwrap();
    assert!(look.dry_run && look.collected.len() == 1 && orphan.exists());
    // A clock that was set back makes everything young.
    let back = registry.clone().clock(|| SystemTime::UNIX_EPOCH);
    assert_eq!(back.gc(Duration::from_secs(1), false, &NoProgress).await.unwrap().young, 1);
    // What a write that was killed leaves behind; the other one may still be under way.
    let staged = ["models/fraud/versions/0000000002.json#1", "models/fraud/versions/0000000002.json#2"]
        .map(|name| disk.root().join(name));
    staged.iter().for_each(|path| std::fs::write(path, b"").unwrap());
    let two_days_ago = SystemTime::now() - Duration::from_secs(48 * 3600);
    std::fs::File::options().append(true).open(&staged[0]).unwrap().set_modified(two_days_ago).unwrap();
    assert_eq!(registry.list("fraud").await.unwrap().len(), 1);
    let done = registry.gc(Duration::ZERO, false, &NoProgress).await.unwrap();
    assert!(!staged[0].exists() && staged[1].exists());
    assert_eq!((done.collected_bytes, done.collected.len()), (content.len() as u64, 2));
    assert!(!orphan.exists());
    registry.load("fraud").await.unwrap();
    // The same content again: its key is used up, so that a collection that is still under way can't take it.
    let file = disk.directory.path().join("model.bin");
    std::fs::write(&file, content).unwrap();
    let new = modelberth::registry::NewVersion::unloaded(&file).unwrap();
    let version = registry.register("raw", new).await.unwrap();
    assert_eq!(version.files[0].blob.copy, 1);
    let out = disk.directory.path().join("out.bin");
    registry.download("raw:1", &out).await.unwrap();
    assert_eq!(std::fs::read(out).unwrap(), content);
    assert!(registry.gc(Duration::ZERO, false, &NoProgress).await.unwrap().collected.is_empty());
}

#[tokio::test]
async fn a_clock_that_goes_backwards_changes_no_order() {
    let (registry, _) = in_memory();
    for seed in 1..=3u64 {
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 - seed * 1000);
        let registry = registry.clone().clock(move || late);
        assert_eq!(registry.register("fraud", version(seed)).await.unwrap().number, seed);
        registry.set_alias("fraud", "champion", seed, &Promotion::new()).await.unwrap();
    }
    assert_eq!(registry.get("fraud").await.unwrap().number, 3);
    assert_eq!(registry.alias("fraud", "champion").await.unwrap(), 3);
    let before_1970 = registry.clone().clock(|| SystemTime::UNIX_EPOCH - Duration::from_secs(5));
    assert_eq!(
        before_1970.register("fraud", version(4)).await.unwrap().created_at.to_string(),
        "1969-12-31T23:59:55.000Z"
    );
}

#[tokio::test]
async fn many_versions_are_read_from_packs_and_packs_are_no_truth() {
    let disk = OnDisk::new();
    let model = linear(2, 1);
    for i in 0..300 {
        let new = modelberth::registry::NewVersion::of(&model).unwrap().tag("i", i.to_string());
        disk.registry.register("many", new).await.unwrap();
    }
    let pack = disk.root().join("models/many/versions/pack-0000000256.jsonl");
    let whole = std::fs::read(&pack).unwrap();
    let numbers = |registry: Registry| async move {
        registry.list("many").await.unwrap().iter().map(|l| l.version.number).collect::<Vec<_>>()
    };
    let expected: Vec<u64> = (1..=300).collect();
    assert_eq!(numbers(disk.registry.clone()).await, expected);
    let mut broken = whole.clone();
    broken[1000] ^= 4;
    std::fs::write(&pack, &broken).unwrap();
    assert_eq!(numbers(disk.registry.clone()).await, expected);
    assert_eq!(disk.registry.verify(&NoProgress).await.unwrap().faults.len(), 1);
    std::fs::remove_file(&pack).unwrap();
    assert_eq!(numbers(disk.registry.clone()).await, expected);
    disk.registry.gc(Duration::ZERO, false, &NoProgress).await.unwrap();
    assert_eq!(std::fs::read(&pack).unwrap(), whole);
    // A record that is gone is noticed, wherever it is.
    std::fs::remove_file(disk.root().join("models/many/versions/0000000290.json")).unwrap();
    let fresh = Registry::open(disk.root().to_str().unwrap()).unwrap();
    let faults = fresh.verify(&NoProgress).await.unwrap().faults;
    assert!(faults.iter().any(|fault| fault.message.contains("missing")), "{faults:?}");
}
