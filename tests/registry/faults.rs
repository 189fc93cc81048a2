//! Many processes, and processes that are killed.
//!
//! The processes are this test itself, run again with a variable that tells what to do.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use modelberth::registry::object_store::ObjectStore;
use modelberth::registry::object_store::local::LocalFileSystem;
use modelberth::registry::object_store::memory::InMemory;
use modelberth::registry::{Promotion, Registry};
use modelberth::{ErrorKind, NoProgress};

use super::support::{OnDisk, answer, linear, version};
use super::support_store::{Trouble, Troubled};

const PROCESSES: u64 = 8;
const ROUNDS: u64 = 200;
const TASK: &str = "MODELBERTH_TEST_TASK";

/// What the other processes of these tests do; nothing when it is run as a test.
#[tokio::test]
async fn task() {
    let Ok(task) = std::env::var(TASK) else { return };
    let words: Vec<&str> = task.split_whitespace().collect();
    match words.as_slice() {
        ["register", root, writer] => {
            let registry = Registry::open(root).unwrap();
            let writer: u64 = writer.parse().unwrap();
            let model = linear(2, writer);
            for _ in 0..ROUNDS {
                let new = modelberth::registry::NewVersion::of(&model).unwrap().tag("writer", writer.to_string());
                println!("number {}", registry.register("many", new).await.unwrap().number);
            }
        }
        ["swap", root] => {
            let registry = Registry::open(root).unwrap();
            for round in 1..=ROUNDS {
                // All begin a round together: once the one before is decided.
                while registry.alias("many", "champion").await.unwrap() < round {}
                let promotion = Promotion::new().expecting(Some(round));
                match registry.set_alias("many", "champion", round + 1, &promotion).await {
                    Ok(_) => println!("won {round}"),
                    Err(e) => assert_eq!(e.kind(), ErrorKind::Conflict, "{e}"),
                }
            }
        }
        ["step", root, step, when, n] => {
            let n = n.parse().unwrap();
            let trouble = if *when == "before" { Trouble::KillBefore(n) } else { Trouble::KillAfter(n) };
            step_of(&troubled(Path::new(root), trouble), step).await;
            println!("ended");
        }
        other => panic!("{other:?}"),
    }
}

/// The registry in a directory, over a store with trouble.
fn troubled(root: &Path, trouble: Trouble) -> Registry {
    let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(root).unwrap());
    Registry::on(Troubled::new(store, trouble), "").unwrap()
}

async fn step_of(registry: &Registry, step: &str) {
    match step {
        "register" => drop(registry.register("fraud", version(77)).await.unwrap()),
        "alias" => drop(registry.set_alias("fraud", "champion", 2, &Promotion::new()).await.unwrap()),
        "gc" => drop(registry.gc(Duration::ZERO, false, &NoProgress).await.unwrap()),
        other => panic!("{other}"),
    }
}

fn start(task: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "registry::faults::task", "--nocapture", "--test-threads", "1"])
        .env(TASK, task)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The numbers that processes printed after `word`.
fn printed(children: Vec<Child>, word: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        numbers.extend(text.lines().filter_map(|line| line.split_once(word)?.1.trim().parse::<u64>().ok()));
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_register_without_losing_a_version() {
    let disk = OnDisk::new();
    let root = disk.root().display().to_string();
    let children = (0..PROCESSES).map(|writer| start(&format!("register {root} {writer}"))).collect();
    let mut numbers = printed(children, "number ");
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=PROCESSES * ROUNDS).collect::<Vec<_>>());
    let listed = disk.registry.list("many").await.unwrap();
    let mut written: BTreeMap<String, u64> = BTreeMap::new();
    for listed in &listed {
        *written.entry(listed.version.tags["writer"].clone()).or_default() += 1;
    }
    assert!(listed.len() as u64 == PROCESSES * ROUNDS && written.values().all(|n| *n == ROUNDS), "{written:?}");
    assert!(disk.registry.verify(&NoProgress).await.unwrap().faults.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_processes_that_move_an_alias_one_wins_a_round() {
    let disk = OnDisk::new();
    let model = linear(2, 1);
    for _ in 0..=ROUNDS {
        disk.registry.register("many", modelberth::registry::NewVersion::of(&model).unwrap()).await.unwrap();
    }
    disk.registry.set_alias("many", "champion", 1, &Promotion::new()).await.unwrap();
    let root = disk.root().display().to_string();
    let children = (0..PROCESSES).map(|_| start(&format!("swap {root}"))).collect();
    let mut rounds = printed(children, "won ");
    rounds.sort_unstable();
    assert_eq!(rounds, (1..=ROUNDS).collect::<Vec<_>>());
    let history = disk.registry.history("many", "champion").await.unwrap();
    let versions: Vec<_> = history.iter().map(|entry| (entry.number, entry.version, entry.previous)).collect();
    let expected: Vec<_> = (1..=ROUNDS + 1).map(|n| (n, Some(n), Some(n - 1).filter(|n| *n > 0))).collect();
    assert_eq!(versions, expected);
}

/// A registry with two versions, an alias on the first, and a file that no version needs.
async fn stage() -> OnDisk {
    let disk = OnDisk::new();
    for seed in 1..=2 {
        disk.registry.register("fraud", version(seed)).await.unwrap();
    }
    disk.registry.set_alias("fraud", "champion", 1, &Promotion::new()).await.unwrap();
    // A register that fails when its record is written leaves its files behind.
    let failing = troubled(&disk.root(), Trouble::Fails(6, std::io::ErrorKind::StorageFull));
    assert!(failing.register("fraud", version(77)).await.is_err());
    let pins = disk.root().join("pins");
    for pin in std::fs::read_dir(&pins).unwrap() {
        std::fs::remove_file(pin.unwrap().path()).unwrap();
    }
    disk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_the_state_before_or_after() {
    for step in ["register", "alias", "gc"] {
        let mut kills = 0;
        for when in ["before", "after"] {
            for n in 1.. {
                let disk = stage().await;
                let root = disk.root().display().to_string();
                let output = start(&format!("step {root} {step} {when} {n}")).wait_with_output().unwrap();
                let ended = String::from_utf8_lossy(&output.stdout).contains("ended");
                let place = format!("{step}, {when} write {n}");
                assert!(
                    ended || output.status.code().is_none(),
                    "{place}: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
                // A fresh look, without what the test's own registry has learnt.
                let registry = Registry::open(&root).unwrap();
                let listed = registry.list("fraud").await.unwrap();
                let versions = listed.len();
                assert!(versions == 2 || (versions == 3 && step == "register"), "{place}: {versions}");
                assert!(!ended || step != "register" || versions == 3, "{place}");
                let champion = registry.alias("fraud", "champion").await.unwrap();
                assert!(champion == 1 || (champion == 2 && step == "alias"), "{place}: {champion}");
                for listed in &listed {
                    registry.load(&listed.version.reference()).await.unwrap();
                }
                let faults = registry.verify(&NoProgress).await.unwrap().faults;
                assert!(faults.is_empty(), "{place}: {faults:?}");
                // And the work can be done again.
                step_of(&registry, step).await;
                let again = registry.register("fraud", version(77)).await.unwrap();
                assert_eq!(answer(&*registry.load(&again.reference()).await.unwrap()), answer(&linear(2, 77)));
                registry.gc(Duration::ZERO, false, &NoProgress).await.unwrap();
                assert!(registry.verify(&NoProgress).await.unwrap().faults.is_empty(), "{place}");
                if ended {
                    break;
                }
                kills += 1;
            }
        }
        assert!(kills >= 2, "{step} was killed {kills} times");
    }
}

#[tokio::test]
async fn a_full_disk_and_a_forbidden_one_are_named_and_harmless() {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    for (kind, words) in
        [(StorageFull, "no space is left"), (PermissionDenied, "permission denied"), (ReadOnlyFilesystem, "read-only")]
    {
        for n in 1.. {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let sound = Registry::on(Arc::clone(&store), "").unwrap();
            sound.register("fraud", version(1)).await.unwrap();
            let failing = Registry::on(Troubled::new(Arc::clone(&store), Trouble::Fails(n, kind)), "").unwrap();
            let done = failing.register("fraud", version(2)).await;
            let there = sound.list("fraud").await.unwrap().len();
            match done {
                Ok(_) => {
                    assert_eq!(there, 2);
                    break;
                }
                Err(e) => {
                    assert!(e.kind() == ErrorKind::Io && e.to_string().contains(words), "{e}");
                    assert_eq!(there, 1);
                }
            }
            assert!(sound.verify(&NoProgress).await.unwrap().faults.is_empty());
            sound.register("fraud", version(2)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_store_without_create_only_writes_is_refused() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let registry = Registry::on(Troubled::new(store, Trouble::Overwrites), "").unwrap();
    let error = registry.register("fraud", version(1)).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("create-only"), "{error}");
}

#[tokio::test]
async fn every_flipped_bit_is_refused_with_both_digests() {
    let disk = OnDisk::new();
    disk.registry.register("fraud", version(1)).await.unwrap();
    disk.registry.set_alias("fraud", "champion", 1, &Promotion::new()).await.unwrap();
    disk.registry.note("fraud:1", "a note").await.unwrap();
    for file in disk.files() {
        let whole = std::fs::read(&file).unwrap();
        // Every bit of a byte in turn, and every byte of short files.
        let stride = whole.len().div_ceil(200) * 8 + 1;
        for bit in (0..whole.len() * 8).step_by(if whole.len() < 40 { 1 } else { stride }) {
            let mut broken = whole.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, &broken).unwrap();
            let faults =
                Registry::open(disk.root().to_str().unwrap()).unwrap().verify(&NoProgress).await.unwrap().faults;
            let place = format!("{} bit {bit}", file.display());
            assert!(faults.iter().any(|f| f.expected.is_some() && f.found.is_some()), "{place}: {faults:?}");
            let registry = Registry::open(disk.root().to_str().unwrap()).unwrap();
            let kept = file.strip_prefix(disk.root()).unwrap();
            if kept.starts_with("blobs") && !is_sample(&whole) {
                let error = registry.load("fraud@champion").await.unwrap_err();
                assert!(error.kind() == ErrorKind::Integrity && error.actual_text().is_some(), "{place}: {error}");
            } else if kept.starts_with("models/fraud/versions") || kept.starts_with("models/fraud/aliases") {
                let error = registry.get("fraud@champion").await.unwrap_err();
                assert!(matches!(error.kind(), ErrorKind::Integrity | ErrorKind::Unsupported), "{place}: {error}");
                assert!(error.expected_text().is_some() && error.actual_text().is_some(), "{place}: {error}");
            }
        }
        std::fs::write(&file, &whole).unwrap();
    }
}

/// Whether a blob holds the rows that a load is checked with, which are read only where the environment differs.
fn is_sample(content: &[u8]) -> bool {
    content.starts_with(b"PK\x03\x04")
}
