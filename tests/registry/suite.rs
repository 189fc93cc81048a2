//! What holds on every kind of store. The same runs in a directory, in memory and, where `MODELBERTH_TEST_S3` names a bucket, on a
//! server that speaks S3.

use std::time::Duration;

use modelberth::registry::{
    AliasAction, DataSource, EventKind, Gate, NewVersion, Parent, Promotion, Query, Registry, VerdictRecord,
};
use modelberth::{ErrorKind, NoProgress};

use super::support::{OnDisk, answer, in_memory, linear, version};

/// Versions, with everything that a record can say.
pub(crate) async fn versions(registry: &Registry) {
    assert!(registry.models().await.unwrap().is_empty());
    assert_eq!(registry.get("fraud").await.unwrap_err().kind(), ErrorKind::NotFound);
    let first = registry.register("fraud", version(1).tag("team", "risk").metric("auc", 0.91)).await.unwrap();
    assert_eq!((first.number, first.reference().as_str()), (1, "fraud:1"));
    let second = version(2)
        .description("half the trees")
        .metric("auc", (0.93, [0.91, 0.95]))
        .trained_on(DataSource { name: "november".to_owned(), rows: Some(10), ..DataSource::default() })
        .code("https://example.org/fraud", "4f2a9c1")
        .parent(Parent::new("fraud", 1, "distilled from"))
        .run("run-7")
        .hyperparameter("depth", 6)
        .library("scikit-learn", "1.9")
        .verdict(VerdictRecord::new("churn", true));
    let second = registry.register("fraud", second).await.unwrap();
    assert_eq!(second.number, 2);
    assert_eq!(registry.get("fraud:2").await.unwrap(), second);
    assert_eq!(registry.get("fraud").await.unwrap(), second);
    assert!(second.signature.is_some() && second.sample.as_ref().is_some_and(|sample| sample.rows == 4));
    let missing = registry.get("fraud:3").await.unwrap_err();
    assert_eq!((missing.kind(), missing.expected_text()), (ErrorKind::NotFound, Some("1 to 2")));

    let listed = registry.list("fraud").await.unwrap();
    assert_eq!(listed.iter().map(|l| l.version.number).collect::<Vec<_>>(), [1, 2]);
    let find = |query: Query| async move {
        let found = registry.search(&query).await.unwrap();
        found.iter().map(|listed| listed.version.number).collect::<Vec<_>>()
    };
    assert_eq!(find(Query::new()).await, [1, 2]);
    assert_eq!(find(Query::new().tag("team", "risk")).await, [1]);
    assert_eq!(find(Query::new().metric("auc>0.92").unwrap()).await, [2]);
    assert_eq!(find(Query::new().parent("fraud:1").unwrap()).await, [2]);
    assert_eq!(find(Query::new().text("HALF")).await, [2]);
    let digest = second.files[0].blob.sha256.to_string();
    assert_eq!(find(Query::new().digest(&digest[..8]).unwrap()).await, [2]);

    let difference = registry.diff("fraud:1", "fraud:2").await.unwrap();
    assert!(!difference.same_files && difference.signature.is_empty() && difference.incompatibilities.is_empty());
    assert!((difference.metrics[0].change.unwrap() - 0.02).abs() < 1e-12);
    let tree = registry.lineage("fraud:1").await.unwrap();
    assert_eq!(tree.descendants.next[0].version, "fraud:2");
    assert_eq!(registry.lineage("fraud:2").await.unwrap().ancestors.next[0].relation, "distilled from");
    let orphan = version(3).parent(Parent::new("fraud", 9, "made from"));
    assert_eq!(registry.register("fraud", orphan).await.unwrap_err().kind(), ErrorKind::NotFound);

    assert_eq!(answer(&*registry.load("fraud:1").await.unwrap()), answer(&linear(2, 1)));
    registry.note("fraud:1", "looks odd on Mondays").await.unwrap();
    registry.archive("fraud:2", "leaks the label").await.unwrap();
    assert_eq!(registry.get("fraud").await.unwrap().number, 1);
    assert!(registry.list("fraud").await.unwrap()[1].archived);
    registry.restore("fraud:2", "").await.unwrap();
    assert_eq!(registry.get("fraud").await.unwrap().number, 2);
    let events = registry.events("fraud").await.unwrap();
    assert_eq!(events.len(), 3);
    assert!(matches!(&events[0].what, EventKind::Note { text } if text == "looks odd on Mondays"));
    let card = registry.card("fraud:2").await.unwrap();
    assert!(card.contains("half the trees") && card.contains("distilled from") && card.contains("4f2a9c1"), "{card}");
    let bom: serde_json::Value = serde_json::from_str(&registry.bom("fraud:2").await.unwrap()).unwrap();
    assert_eq!(bom["metadata"]["component"]["type"], "machine-learning-model");
    assert!(registry.verify(&NoProgress).await.unwrap().faults.is_empty());
}

/// Aliases: moves, compare-and-swap, history, rollback, gates.
pub(crate) async fn aliases(registry: &Registry) {
    for seed in 1..=3 {
        registry.register("fraud", version(seed)).await.unwrap();
    }
    let anyhow = Promotion::new();
    assert_eq!(registry.alias("fraud", "champion").await.unwrap_err().kind(), ErrorKind::NotFound);
    let none = Promotion::new().expecting(None);
    registry.set_alias("fraud", "champion", 1, &none).await.unwrap();
    assert_eq!(registry.set_alias("fraud", "champion", 2, &none).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(registry.alias("fraud", "champion").await.unwrap(), 1);
    registry.set_alias("fraud", "champion", 2, &Promotion::new().expecting(Some(1)).reason("better")).await.unwrap();
    registry.set_alias("fraud", "champion", 3, &anyhow).await.unwrap();
    assert_eq!(registry.get("fraud@champion").await.unwrap().number, 3);
    assert_eq!(registry.rollback("fraud", "champion", &anyhow).await.unwrap().version, Some(2));
    assert_eq!(registry.rollback("fraud", "champion", &anyhow).await.unwrap().version, Some(1));
    assert_eq!(registry.rollback("fraud", "champion", &anyhow).await.unwrap_err().kind(), ErrorKind::NotFound);
    let history = registry.history("fraud", "champion").await.unwrap();
    let moves: Vec<_> = history.iter().map(|entry| (entry.number, entry.action, entry.version)).collect();
    use AliasAction::{Rollback, Set};
    assert_eq!(
        moves,
        [(1, Set, Some(1)), (2, Set, Some(2)), (3, Set, Some(3)), (4, Rollback, Some(2)), (5, Rollback, Some(1))]
    );
    assert_eq!((history[1].reason.as_str(), history[1].by.as_str()), ("better", "tester"));

    // Gates.
    let gate = [Gate::suite("churn").against_current()];
    registry.set_gates("fraud", "champion", &gate, &anyhow).await.unwrap();
    let refused = registry.set_alias("fraud", "champion", 2, &anyhow).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("suite `churn` passed against version 1"), "{refused}");
    registry.add_verdict("fraud:2", VerdictRecord::new("churn", true).against("fraud", 1)).await.unwrap();
    assert!(registry.check_alias("fraud", "champion", 2).await.unwrap().is_empty());
    registry.set_alias("fraud", "champion", 2, &anyhow).await.unwrap();
    let entry =
        registry.set_alias("fraud", "champion", 3, &Promotion::new().overriding("the old one is down")).await.unwrap();
    assert_eq!((entry.overridden.len(), entry.reason.as_str(), entry.gates.len()), (1, "the old one is down", 1));
    let unsaid = registry.set_alias("fraud", "champion", 1, &Promotion::new().overriding(" ")).await.unwrap_err();
    assert_eq!(unsaid.kind(), ErrorKind::InvalidArgument);

    // Callers.
    let wider = registry.register("fraud", NewVersion::of(&linear(3, 4)).unwrap()).await.unwrap();
    registry.set_alias("fraud", "shadow", 1, &anyhow).await.unwrap();
    let refused = registry.set_alias("fraud", "shadow", wider.number, &anyhow).await.unwrap_err();
    assert!(refused.kind() == ErrorKind::Refused && refused.to_string().contains("another shape"), "{refused}");
    registry
        .set_alias("fraud", "shadow", wider.number, &Promotion::new().overriding("all callers moved"))
        .await
        .unwrap();

    // Archives.
    assert_eq!(registry.archive("fraud:3", "").await.unwrap_err().kind(), ErrorKind::Refused);
    registry.archive("fraud:1", "").await.unwrap();
    let archived = registry.set_alias("fraud", "champion", 1, &Promotion::new().overriding("now")).await.unwrap_err();
    assert_eq!(archived.kind(), ErrorKind::Refused);
    registry.remove_alias("fraud", "shadow", &anyhow).await.unwrap();
    assert_eq!(registry.load("fraud@shadow").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(registry.aliases("fraud").await.unwrap().len(), 2);
    assert!(registry.verify(&NoProgress).await.unwrap().faults.is_empty());
}

/// Garbage, and numbers under many writers.
pub(crate) async fn writers(registry: &Registry) {
    let tasks: Vec<_> = (0..8)
        .map(|writer| {
            let registry = registry.clone();
            tokio::spawn(async move {
                let mut numbers = Vec::new();
                for i in 0..6 {
                    numbers.push(registry.register("many", version(writer * 6 + i)).await.unwrap().number);
                }
                numbers
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.extend(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=48).collect::<Vec<_>>());
    // Collections go on beside registers of the same content, which was garbage until then.
    let racing = registry.clone();
    let collector = tokio::spawn(async move {
        for _ in 0..10 {
            racing.gc(Duration::ZERO, false, &NoProgress).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    for seed in 100..110 {
        registry.register("many", version(seed)).await.unwrap();
    }
    collector.await.unwrap();
    let verified = registry.verify(&NoProgress).await.unwrap();
    assert!(verified.faults.is_empty(), "{:?}", verified.faults);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_kept() {
    versions(&in_memory().0).await;
    let disk = OnDisk::new();
    versions(&disk.registry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_move() {
    aliases(&in_memory().0).await;
    let disk = OnDisk::new();
    aliases(&disk.registry).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_get_numbers_of_their_own() {
    writers(&in_memory().0).await;
    let disk = OnDisk::new();
    writers(&disk.registry).await;
}

/// Needs a server: `tests/registry/s3` starts one.
#[cfg(feature = "s3")]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_speaks_s3_does_the_same() {
    let Ok(bucket) = std::env::var("MODELBERTH_TEST_S3") else {
        eprintln!("note: MODELBERTH_TEST_S3 names no bucket, so no server was asked");
        return;
    };
    let folder =
        |name: &str| Registry::open(&format!("{bucket}/{name}-{}", std::process::id())).unwrap().author("tester");
    versions(&folder("versions")).await;
    aliases(&folder("aliases")).await;
    writers(&folder("writers")).await;
}
