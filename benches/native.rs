//! The stages of the native backend, each on a real export in which it is what matters.
//!
//! `cargo bench --bench native`

use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use modelberth::{DType, Model, Tensor, Tensors};

/// Stages and the files that consist of little else, in `tests/data`.
const STAGES: &[(&str, &str)] = &[
    ("scaler + linear classifier", "digits/digits.onnx"),
    ("linear regressor", "zoo/regressor_Ridge.onnx"),
    ("scaler", "zoo/transformer_MaxAbsScaler.onnx"),
    ("imputer", "zoo/transformer_SimpleImputer.onnx"),
    ("normaliser", "zoo/transformer_Normalizer.onnx"),
    ("feature selection", "zoo/transformer_SelectKBest.onnx"),
    ("matrix product", "zoo/transformer_PCA.onnx"),
    ("one-hot encoding of strings", "zoo/pipeline_onehot_logreg.onnx"),
    ("ordinal encoding of strings", "zoo/pipeline_ordinal_logreg.onnx"),
    ("random forest", "zoo/classifier_RandomForestClassifier.onnx"),
    ("boosted trees", "zoo/cat_binary.onnx"),
    ("support vectors", "zoo/regressor_SVR.onnx"),
    ("nearest neighbours", "zoo/regressor_KNeighborsRegressor.onnx"),
    ("quantiles", "zoo/transformer_QuantileTransformer.onnx"),
    ("multi-layer perceptron", "zoo/classifier_MLPClassifier.onnx"),
];

/// `m` made-up rows for every input of `model`.
fn drawn(model: &dyn Model, m: usize) -> Tensors<'static> {
    let mut inputs = Tensors::new();
    for spec in model.signature().inputs() {
        let shape: Vec<usize> =
            spec.dims().iter().map(|d| if let modelberth::Dim::Fixed(n) = d { *n } else { m }).collect();
        let count = shape.iter().product::<usize>();
        let tensor = match spec.dtype() {
            DType::String => {
                let known = spec.categories().first().cloned().unwrap_or_default();
                let pick =
                    |i: usize| known.get(i * 7 % (known.len() + 1)).cloned().unwrap_or_else(|| "unseen".to_owned());
                Tensor::from_vec(&shape, (0..count).map(pick).collect::<Vec<String>>())
            }
            dtype => {
                Tensor::from_vec(&shape, (0..count).map(|i| (i * 7919 % 1009) as f32 / 250.0).collect::<Vec<f32>>())
                    .and_then(|t| t.cast(dtype))
            }
        };
        inputs.insert(spec.name(), tensor.expect("the shape holds the elements")).expect("inputs have distinct names");
    }
    inputs
}

fn stages(c: &mut Criterion) {
    for (stage, file) in STAGES {
        let model = modelberth::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file)).expect(file);
        let mut group = c.benchmark_group(*stage);
        for m in [1, 100, 1000] {
            let inputs = drawn(&*model, m);
            group.throughput(Throughput::Elements(m as u64));
            group.bench_with_input(BenchmarkId::from_parameter(m), &inputs, |b, inputs| {
                b.iter(|| model.predict_batch(inputs))
            });
        }
        group.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
