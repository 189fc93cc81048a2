//! Models that real MLflow logged (`tests/data/mlflow`), from their directories and from a server that answers as MLflow's did.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use modelberth::ndarray::{ArrayD, Ix2};
use modelberth::registry::mlflow::{MlflowServer, from_directory};
use modelberth::registry::{Registry, Version};
use modelberth::{DType, Dim, ErrorKind, Model, ModelExt};

use super::support::in_memory;

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/mlflow").join(name)
}

fn golden(name: &str) -> HashMap<String, ArrayD<f64>> {
    let arrays = modelberth::table::read_npz(&std::fs::read(data(&format!("{name}.npz"))).unwrap()).unwrap();
    let wide = |tensor: &modelberth::Tensor<'_>| tensor.cast(DType::F64).unwrap().into_array::<f64>().unwrap();
    arrays.iter().map(|(key, tensor)| (key.to_string(), wide(tensor))).collect()
}

/// Holds the answers of `model` against those that MLflow gave for the same rows.
fn same_answers(name: &str, model: &dyn Model) {
    let golden = golden(name);
    let rows = golden["in"].mapv(|x| x as f32).into_dimensionality::<Ix2>().unwrap();
    let answers = model.predict_array(rows).unwrap();
    let expected: Vec<(&str, &ArrayD<f64>)> =
        golden.iter().filter_map(|(key, array)| Some((key.strip_prefix("out:")?, array))).collect();
    assert!(!expected.is_empty());
    for (output, expected) in expected {
        // What MLflow gives without a name is the booster's probability, the last column where there are two.
        let tensor = if output == "answer" {
            let spec = model.signature().outputs().iter().find(|s| s.name().as_str().contains("proba"));
            answers.tensor(spec.map_or(model.signature().outputs()[0].name().as_str(), |s| s.name().as_str())).unwrap()
        } else {
            answers.tensor(output).unwrap()
        };
        let got = tensor.cast(DType::F64).unwrap().into_array::<f64>().unwrap();
        let width = got.len() / expected.len();
        let got: Vec<f64> = got.iter().skip(width - 1).step_by(width).copied().collect();
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= 1e-6 + 1e-5 * expected.abs(), "{name} {output}: {got}, not {expected}");
        }
    }
}

/// Holds the signature of `version` against the one that MLflow recorded.
fn same_signature(version: &Version) {
    let signature = version.signature.as_ref().unwrap();
    let said = |key: &str| serde_json::from_str::<Vec<serde_json::Value>>(&version.tags[key]).unwrap();
    let inputs = said("mlflow.signature.inputs");
    let ours = &signature.inputs()[0];
    if let Some(shape) = inputs[0]["tensor-spec"]["shape"].as_array() {
        assert_eq!((shape[0].as_i64(), ours.dims().first()), (Some(-1), Some(&Dim::Batch)));
        assert_eq!(shape[1].as_u64().map(|n| Dim::Fixed(n as usize)), ours.dims().get(1).cloned());
        assert_eq!((inputs[0]["tensor-spec"]["dtype"].as_str(), ours.dtype()), (Some("float32"), DType::F32));
        for output in said("mlflow.signature.outputs") {
            let (name, spec) = (output["name"].as_str().unwrap(), &output["tensor-spec"]);
            let ours = signature.output(name).unwrap();
            let dtype = if spec["dtype"] == "int64" { DType::I64 } else { DType::F32 };
            assert_eq!((ours.dtype(), ours.dims().len()), (dtype, spec["shape"].as_array().unwrap().len()), "{name}");
        }
    } else {
        // Columns by name.
        let names: Vec<&str> = inputs.iter().map(|column| column["name"].as_str().unwrap()).collect();
        assert_eq!(ours.features(), names);
        assert!(inputs.iter().all(|column| column["type"] == "float"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_becomes_a_version_with_the_same_answers() {
    let (registry, _) = in_memory();
    for name in ["onnx", "external", "xgboost", "lightgbm"] {
        let version = registry.register(name, from_directory(data(name)).unwrap()).await.unwrap();
        same_signature(&version);
        assert!(version.environment.libraries.contains_key("mlflow") && version.lineage.run.is_some());
        assert_eq!(version.files.len(), if name == "external" { 2 } else { 1 });
        same_answers(name, &registry.load(name).await.unwrap());
    }
}

#[test]
fn what_only_python_can_run_is_refused_with_the_line_that_helps() {
    for (name, line) in
        [("sklearn", "skl2onnx.to_onnx(model, X[:1]"), ("lightgbm_skops", "mlflow.lightgbm.log_model(model.booster_")]
    {
        let error = from_directory(data(name)).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains(line), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(folder.path().join("MLmodel"), text).unwrap();
    let ask = || from_directory(folder.path()).unwrap_err();
    assert_eq!(ask().kind(), ErrorKind::NotFound);
    write("flavors: [");
    assert_eq!(ask().kind(), ErrorKind::Malformed);
    write("flavors:\n  onnx:\n    data: ../secret.onnx\n");
    assert_eq!(ask().kind(), ErrorKind::Malformed);
    write("flavors:\n  pytorch:\n    model_data: data\n");
    assert!(ask().to_string().contains("torch.onnx.export"));
    write("flavors:\n  python_function:\n    loader_module: my_own\n");
    assert_eq!(ask().kind(), ErrorKind::Unsupported);
    // References that unfold to more than memory holds.
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let before = vec![format!("*a{}", i - 1); 10].join(", ");
        bomb += &format!("a{i}: &a{i} [{before}]\n");
    }
    write(&(bomb + "flavors: *a11\n"));
    assert_eq!(ask().kind(), ErrorKind::Malformed);
}

/// Answers as MLflow's server did when `make_mlflow.py` asked it; the URL.
fn replay() -> String {
    let recorded: HashMap<String, serde_json::Value> =
        serde_json::from_slice(&std::fs::read(data("server.json")).unwrap()).unwrap();
    let recorded = Arc::new(recorded);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let recorded = Arc::clone(&recorded);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                loop {
                    let mut header = String::new();
                    if reader.read_line(&mut header).unwrap_or(0) <= 2 {
                        break;
                    }
                }
                let path = line.split_whitespace().nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
                let (status, body) = match recorded.get(&path) {
                    Some(answer) => (
                        answer["status"].as_u64().unwrap(),
                        match answer["text"].as_str() {
                            Some(text) => text.as_bytes().to_vec(),
                            None => decoded(answer["base64"].as_str().unwrap()),
                        },
                    ),
                    None => (404, format!("{{\"message\": \"nothing was recorded for {path}\"}}").into_bytes()),
                };
                let mut stream = stream;
                let head = format!(
                    "HTTP/1.1 {status} recorded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            });
        }
    });
    url
}

fn decoded(base64: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for digit in base64.bytes().filter(|b| *b != b'=') {
        bits = bits << 6 | ALPHABET.iter().position(|b| *b == digit).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tracking_server_is_asked() {
    let url = replay();
    let server = MlflowServer::new(&url).unwrap();
    let (registry, _) = in_memory();
    for which in ["@champion", "1", ""] {
        let found = server.version("fraud", which).await.unwrap();
        assert_eq!((found.number, found.aliases.as_slice()), (1, &["champion".to_owned()][..]));
        let version = registry.register("fraud", found.version).await.unwrap();
        same_signature(&version);
        same_answers("onnx", &registry.load("fraud").await.unwrap());
        assert_eq!((version.tags["team"].as_str(), version.description.as_str()), ("risk", "a logistic regression"));
        assert_eq!(version.metrics["auc"].value, 0.93);
        assert_eq!(version.lineage.hyperparameters["depth"], "3");
        assert_eq!(version.lineage.code.as_ref().unwrap().commit, "4f2a9c1");
    }
    let external = server.version("external", "1").await.unwrap();
    assert_eq!(registry.register("external", external.version).await.unwrap().files.len(), 2);
    same_answers("external", &registry.load("external").await.unwrap());
    let missing = server.version("fraud", "9").await.unwrap_err();
    assert!(missing.kind() == ErrorKind::NotFound && missing.to_string().contains("not found"), "{missing}");
    assert_eq!(MlflowServer::new("ftp://x").unwrap_err().kind(), ErrorKind::InvalidArgument);
    let nowhere = MlflowServer::new("http://127.0.0.1:9").unwrap().version("fraud", "1").await.unwrap_err();
    assert_eq!(nowhere.kind(), ErrorKind::Io);
}

/// A server that is there: `MODELBERTH_TEST_MLFLOW=http://127.0.0.1:5000` with a model `fraud`, as `make_mlflow.py` logs it.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_is_asked() {
    let Ok(url) = std::env::var("MODELBERTH_TEST_MLFLOW") else {
        eprintln!("note: MODELBERTH_TEST_MLFLOW names no server, so none was asked");
        return;
    };
    let registry: Registry = in_memory().0;
    let found = MlflowServer::new(&url).unwrap().version("fraud", "@champion").await.unwrap();
    registry.register("fraud", found.version).await.unwrap();
    same_answers("onnx", &registry.load("fraud").await.unwrap());
}
