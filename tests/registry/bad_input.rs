//! Names, layouts, and other bad input.

use modelberth::ErrorKind;
use modelberth::registry::{NewVersion, Promotion, Reference, Registry};

use super::support::{OnDisk, in_memory, version};

#[tokio::test]
async fn names_that_could_lead_astray_are_refused() {
    let (registry, _) = in_memory();
    let long = "a".repeat(10_000);
    // The third to last begins with a Cyrillic letter that looks like `f` with a stroke, the next has a zero-width space.
    let bad = [
        "",
        "..",
        "../fraud",
        "a/b",
        "a\\b",
        ".hidden",
        "-rf",
        "a..b",
        "fraud.",
        "fr aud",
        "fr\0aud",
        "frau\u{0501}",
        "fr\u{200b}aud",
        "ｆraud",
        "con",
        "NUL.txt",
        "com1",
        "a:b",
        "a@b",
        "a%2fb",
        "a#1",
        &long,
    ];
    for name in bad {
        let error = registry.register(name, version(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{name:?}: {error}");
        assert!(error.to_string().len() < 300 && error.to_string().is_ascii(), "{error}");
    }
    for name in ["fraud", "Fraud-2.1_b", "0"] {
        registry.register(name, version(1)).await.unwrap();
    }
    let capitals = registry.register("FRAUD", version(1)).await.unwrap_err();
    assert!(capitals.to_string().contains("other capitals"), "{capitals}");
    for alias in ["", "..", "7", "latest", "a/b", "champi\u{03bf}n", &long] {
        let error = registry.set_alias("fraud", alias, 1, &Promotion::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{alias:?}: {error}");
    }
    for reference in ["fraud:0", "fraud:-1", "fraud:x", "fraud@", "fraud:99999999999", "@champion", ":1", "fraud@7"] {
        assert!(reference.parse::<Reference>().is_err(), "{reference}");
    }
    assert!("fraud@latest".parse::<Reference>().is_ok());
}

#[tokio::test]
async fn a_record_of_a_newer_layout_is_named() {
    let disk = OnDisk::new();
    disk.registry.register("fraud", version(1)).await.unwrap();
    for file in ["models/fraud/versions/0000000001.json", "modelberth-registry.json"] {
        let path = disk.root().join(file);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, whole.replace("\"layout\": 1", "\"layout\": 2")).unwrap();
        let registry = Registry::open(disk.root().to_str().unwrap()).unwrap();
        let error = match file {
            "modelberth-registry.json" => registry.register("fraud", version(2)).await.unwrap_err(),
            _ => registry.get("fraud:1").await.unwrap_err(),
        };
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("layout 2"), "{error}");
        std::fs::write(&path, whole).unwrap();
    }
    disk.registry.get("fraud:1").await.unwrap();
}

#[tokio::test]
async fn records_that_contradict_their_place_are_refused() {
    let disk = OnDisk::new();
    disk.registry.register("fraud", version(1)).await.unwrap();
    disk.registry.register("churn", version(2)).await.unwrap();
    disk.registry.register("churn", version(3)).await.unwrap();
    let at = |name: &str| disk.root().join("models").join(name);
    std::fs::copy(at("fraud/versions/0000000001.json"), at("churn/versions/0000000001.json")).unwrap();
    assert_eq!(disk.registry.get("churn:1").await.unwrap_err().kind(), ErrorKind::Integrity);
    std::fs::copy(at("churn/versions/0000000002.json"), at("churn/versions/0000000001.json")).unwrap();
    assert_eq!(disk.registry.get("churn:1").await.unwrap_err().kind(), ErrorKind::Integrity);
}

#[tokio::test]
async fn what_no_record_can_hold_is_refused() {
    let (registry, _) = in_memory();
    for bad in [f64::NAN, f64::INFINITY] {
        let error = registry.register("fraud", version(1).metric("auc", bad)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidValue, "{error}");
    }
    let huge = version(1).description("x".repeat(20 << 20));
    assert_eq!(registry.register("fraud", huge).await.unwrap_err().kind(), ErrorKind::LimitExceeded);
    assert!(NewVersion::file("no/such/file.onnx").is_err());
    assert_eq!(Registry::open("ftp://somewhere/x").unwrap_err().kind(), ErrorKind::InvalidArgument);
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(Registry::open(file.path().to_str().unwrap()).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let nowhere = tempfile::tempdir().unwrap();
    let empty = Registry::open(nowhere.path().join("none").to_str().unwrap()).unwrap();
    let error = empty.get("fraud@champion").await.unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("no registry here"), "{error}");
    assert!(empty.models().await.unwrap().is_empty());
    assert!(!nowhere.path().join("none").exists());
}
