use super::Convert;
use crate::ErrorKind;

#[test]
fn formats_without_a_form_in_onnx_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content, kind) in [
        ("a.json", &b"{\"modelberth\": 1}"[..], ErrorKind::Unsupported),
        ("b.bin", &b"no model at all"[..], ErrorKind::Malformed),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        assert_eq!(Convert::new().run(&path).unwrap_err().kind(), kind, "{name}");
    }
}

/// Categories, a linear leaf, numbers next to zero that count as missing: the ONNX file and the packed form answer as the file
/// itself, NaN and all.
#[test]
fn all_that_lightgbm_writes_becomes_onnx() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/backend/native/boosters/lightgbm/small.txt");
    let loader = crate::Loader::new();
    let native = loader.load(&path).unwrap();
    let n = native.signature().inputs()[0].features().len();
    assert_eq!(n, 3);
    let values = [f32::NAN, 0.0, 1e-36, -0.5, 0.5, 1.0, 2.0, 3.0, -1.5, 7.0, 40.0];
    let m = values.len().pow(n as u32);
    let at = |row: usize, column: usize| values[row / values.len().pow(column as u32) % values.len()];
    let x: Vec<f32> = (0..m).flat_map(|row| (0..n).map(move |column| at(row, column))).collect();
    let x = crate::Tensor::from_vec(&[m, n], x).unwrap();
    let asked = |model: &dyn crate::Model| {
        let rows = crate::Tensors::one("x", x.cast(model.signature().inputs()[0].dtype()).unwrap());
        let answers = model.predict_batch(&rows).unwrap();
        let probabilities = answers.tensor("probabilities").unwrap().cast(crate::DType::F64).unwrap();
        probabilities.as_slice::<f64>().unwrap().to_vec()
    };
    let expected = asked(&*native);
    for done in [Convert::new().run(&path).unwrap(), Convert::new().packed().run(&path).unwrap()] {
        let got = asked(&*done.load(&loader).unwrap());
        assert_eq!(got.len(), expected.len());
        for (row, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let near = (got - expected).abs() <= 1e-5 * expected.abs() + 1e-6;
            assert!(near, "row {row}: {got} is not {expected}");
        }
    }
}

#[cfg(feature = "candle")]
#[test]
fn a_perceptron_in_safetensors_answers_as_its_formula() {
    use safetensors::{Dtype, tensor::TensorView};
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (a, b, c) = (bytes(&[1.0, -1.0, 0.5, 2.0]), bytes(&[0.0, -1.0]), bytes(&[3.0, 1.0]));
    let view = |shape: &[usize], data| TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap();
    let tensors =
        [("net.9.weight", view(&[2, 2], &a)), ("net.9.bias", view(&[2], &b)), ("net.10.weight", view(&[1, 2], &c))];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mlp.safetensors");
    std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
    let done = Convert::new().run(&path).unwrap();
    let model = done.load(&crate::Loader::new()).unwrap();
    let x = crate::Tensor::from_vec(&[2, 2], vec![2.0f32, 1.0, 0.0, 3.0]).unwrap();
    let answers = model.predict_batch(&crate::Tensors::one("x", x)).unwrap();
    // relu(2 - 1, 1 + 2 - 1) = (1, 2): 3 + 2; relu(-3, 6 - 1) = (0, 5): 5.
    assert_eq!(answers.single().unwrap().as_slice::<f32>().unwrap(), [5.0, 5.0]);
}

/// A directory with an encoder whose rows are whole blocks: the shapes of a committed one with 32 for 16 and 28, and drawn
/// weights.
#[cfg(feature = "candle")]
fn wide_encoder() -> tempfile::TempDir {
    use safetensors::{SafeTensors, tensor::TensorView};
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bert/bert");
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(&from).unwrap().map(|e| e.unwrap()).filter(|e| e.path().is_file()) {
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    let wide = |n: usize| if n == 16 || n == 28 { 32 } else { n };
    let config = std::fs::read(from.join("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    for key in ["hidden_size", "intermediate_size"] {
        config[key] = wide(config[key].as_u64().unwrap() as usize).into();
    }
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let file = std::fs::read(from.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&file).unwrap();
    let mut random = crate::validate::Random::new(3, 0);
    let drawn: Vec<(String, Vec<usize>, Vec<u8>)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let shape: Vec<usize> = view.shape().iter().map(|&n| wide(n)).collect();
            let around = f32::from(name.ends_with("LayerNorm.weight"));
            let weight = |_| (around + 0.2 * random.signed()).to_le_bytes();
            let bytes = (0..shape.iter().product()).flat_map(weight).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = drawn
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap()));
    std::fs::write(folder.path().join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    folder
}

#[cfg(feature = "candle")]
#[test]
fn an_encoder_in_blocks_loads_and_answers_nearly_as_before() {
    let folder = wide_encoder();
    let weights = folder.path().join("model.safetensors");
    let load = || crate::Loader::new().outputs(["hidden_states"]).load(folder.path()).unwrap();
    let ids = crate::Tensor::from_vec(&[1, 4], vec![2i64, 5, 6, 3]).unwrap();
    let mask = crate::Tensor::from_vec(&[1, 4], vec![1i64; 4]).unwrap();
    let inputs = crate::tensors! { "input_ids" => ids, "attention_mask" => mask }.unwrap();
    let want = load().predict_batch(&inputs).unwrap();
    let want = want.get::<f32>("hidden_states").unwrap();
    let converted = [8, 4].map(|bits| Convert::new().gguf(bits).run(&weights).unwrap());
    std::fs::remove_file(&weights).unwrap();
    for (done, least) in converted.into_iter().zip([0.999, 0.9]) {
        let path = folder.path().join("model.gguf");
        done.write(&path).unwrap();
        let got = load().predict_batch(&inputs).unwrap();
        let got = got.get::<f32>("hidden_states").unwrap();
        let dot = |a: &ndarray::ArrayViewD<'_, f32>, b: &ndarray::ArrayViewD<'_, f32>| -> f32 {
            a.iter().zip(b).map(|(x, y)| x * y).sum()
        };
        let cosine = dot(&want, &got) / (dot(&want, &want) * dot(&got, &got)).sqrt();
        assert!(cosine > least && cosine < 0.999_999, "{cosine} is to be above {least}");
        std::fs::remove_file(path).unwrap();
    }
}
