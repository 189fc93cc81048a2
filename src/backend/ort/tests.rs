use std::path::Path;

use super::library::find_among;
use crate::onnx::builder::{Dim as D, dense_tensor, graph, model, node, value_info};
use crate::onnx::{ModelProto, data_type as dt};
use crate::{Backend, ErrorKind, Loader};

fn product() -> ModelProto {
    let w = dense_tensor("w", &[2, 2], vec![1.0f32, 2.0, 3.0, 4.0]).unwrap();
    let inputs = [value_info("x", dt::FLOAT, &[D::Symbolic("n"), D::Fixed(2)])];
    let outputs = [value_info("y", dt::FLOAT, &[D::Unknown])];
    model(8, &[("", 17)], graph("g", inputs, [node("MatMul", "", &["x", "w"], &["y"], [])], [w], outputs))
}

#[test]
fn a_library_that_is_missing_is_told_with_what_to_do() {
    let missing = Path::new("/nowhere/libonnxruntime.so");
    let error = find_among(Some(missing), None, &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("Loader::ort_library") && error.to_string().contains("/nowhere"), "{error}");
    // What was chosen is not replaced by another one.
    let error = find_among(None, Some(missing), &["libc.so.6"]).unwrap_err();
    assert!(error.to_string().contains("ORT_DYLIB_PATH"), "{error}");
    let error = find_among(None, None, &["libno-such-library.so", "libnor-this.so"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    for word in ["install", "ORT_DYLIB_PATH", "Loader::ort_library", "libnor-this.so"] {
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn what_is_no_library_or_another_one_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"no library at all").unwrap();
    let loader = Loader::new().backend(Backend::Ort);
    let load =
        |path: &Path| loader.clone().ort_library(path).load_bytes("m.onnx", product().encode_to_vec()).unwrap_err();
    assert_eq!(load(file.path()).kind(), ErrorKind::NotFound);
    assert_eq!(load(Path::new("")).kind(), ErrorKind::NotFound);
    #[cfg(target_os = "linux")]
    {
        let error = load(Path::new("libm.so.6"));
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("OrtGetApiBase"), "{error}");
    }
}

#[test]
#[cfg(any(feature = "native", feature = "tract"))]
fn it_is_not_chosen_unasked() {
    let model = Loader::new().ort_library("/nowhere").load_bytes("m.onnx", product().encode_to_vec()).unwrap();
    assert_ne!(model.describe().backend, "ort");
    let inputs = [value_info("x", dt::FLOAT, &[D::Symbolic("n"), D::Fixed(2)])];
    let unknown =
        graph("g", inputs, [node("NoSuch", "", &["x"], &["y"], [])], [], [value_info("y", dt::FLOAT, &[D::Unknown])]);
    let error = Loader::new().load_bytes("m.onnx", model_of(unknown)).unwrap_err();
    assert!(!error.to_string().contains("ort does not"), "{error}");
}

#[cfg(any(feature = "native", feature = "tract"))]
fn model_of(graph: crate::onnx::GraphProto) -> Vec<u8> {
    model(8, &[("", 17)], graph).encode_to_vec()
}
