use crate::onnx::builder::{
    Dim, dense_tensor, float, floats, graph, int, ints, model, node, string, strings, tensor, value_info,
};
use crate::onnx::{AttributeProto, data_type};
use crate::{ErrorKind, Loader, Model, Result, Tensor, Tensors};
use ndarray::array;
use std::sync::Arc;

const F32: i32 = data_type::FLOAT;
const F64: i32 = data_type::DOUBLE;
const I64: i32 = data_type::INT64;
const STRING: i32 = data_type::STRING;

/// A model of one node, input `x` (m, n) of type `dtype` and outputs `y`, `z`.
fn load(op: &str, version: i64, dtype: i32, n: i64, attributes: Vec<AttributeProto>) -> Result<Arc<dyn Model>> {
    let outputs: &[&str] = if op == "SVMClassifier" { &["y", "z"] } else { &["y"] };
    let g = graph(
        "g",
        [value_info("x", dtype, &[Dim::Symbolic("N"), Dim::Fixed(n)])],
        [node(op, "ai.onnx.ml", &["x"], outputs, attributes)],
        [],
        outputs.iter().map(|o| value_info(o, F32, &[Dim::Unknown])).collect::<Vec<_>>(),
    );
    let bytes = model(8, &[("", 17), ("ai.onnx.ml", version)], g).encode_to_vec();
    Loader::new().load_bytes("one.onnx", bytes)
}

fn answer<'a>(model: &Arc<dyn Model>, x: impl Into<Tensor<'a>>) -> Result<Tensors<'static>> {
    model.predict_batch(&Tensors::one("x", x))
}

fn f32s(answers: &Tensors<'_>, name: &str) -> Vec<f32> {
    answers.tensor(name).unwrap().as_slice::<f32>().unwrap().to_vec()
}

fn texts(of: &[&str], columns: usize) -> Tensor<'static> {
    Tensor::from_vec(&[of.len() / columns, columns], of.iter().map(ToString::to_string).collect()).unwrap()
}

fn close(a: &[f32], b: &[f32]) {
    let near = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 + 1e-5 * b.abs();
    assert!(a.len() == b.len() && a.iter().zip(b).all(near), "{a:?} is not {b:?}");
}

fn refused(result: Result<Arc<dyn Model>>) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed, "{error}");
}

#[test]
fn scaler_takes_every_number_type() {
    let attributes = || vec![floats("offset", [1.0, -2.0]), floats("scale", [2.0, 0.5])];
    let of_f32 = load("Scaler", 1, F32, 2, attributes()).unwrap();
    close(
        &f32s(&answer(&of_f32, array![[3.0f32, f32::NAN], [f32::INFINITY, 0.0]]).unwrap(), "y"),
        &[4.0, f32::NAN, f32::INFINITY, 1.0],
    );
    let of_f64 = load("Scaler", 1, F64, 2, attributes()).unwrap();
    close(&f32s(&answer(&of_f64, array![[3.0f64, 1e-9]]).unwrap(), "y"), &[4.0, 1.0]);
    let of_i64 = load("Scaler", 1, I64, 2, attributes()).unwrap();
    close(&f32s(&answer(&of_i64, array![[3i64, 4]]).unwrap(), "y"), &[4.0, 3.0]);
    let scalar = load("Scaler", 1, F32, 3, vec![floats("offset", [1.0]), floats("scale", [3.0])]).unwrap();
    close(&f32s(&answer(&scalar, array![[1.0f32, 2.0, 3.0]]).unwrap(), "y"), &[0.0, 3.0, 6.0]);
    refused(load("Scaler", 1, F32, 2, vec![floats("offset", [1.0]), floats("scale", [1.0, 2.0])]));
    let wide = load("Scaler", 1, F32, 3, attributes());
    assert_eq!(wide.and_then(|m| answer(&m, array![[1.0f32, 2.0, 3.0]])).unwrap_err().kind(), ErrorKind::WrongShape);
}

#[test]
fn imputer_and_scaler_run_as_one() {
    let impute = |to: &str| {
        let attributes = [floats("imputed_value_floats", [7.0, 8.0]), float("replaced_value_float", f32::NAN)];
        node("Imputer", "ai.onnx.ml", &["x"], &[to], attributes)
    };
    let scale = [floats("offset", [1.0, 2.0]), floats("scale", [2.0, 2.0])];
    let g = graph(
        "g",
        [value_info("x", F32, &[Dim::Symbolic("N"), Dim::Fixed(2)])],
        [impute("i"), node("Scaler", "ai.onnx.ml", &["i"], &["y"], scale)],
        [],
        [value_info("y", F32, &[Dim::Unknown])],
    );
    let bytes = model(8, &[("", 17), ("ai.onnx.ml", 3)], g).encode_to_vec();
    let model = Loader::new().load_bytes("two.onnx", bytes).unwrap();
    assert_eq!(model.describe().parts.len(), 1);
    let answers = answer(&model, array![[f32::NAN, f32::NAN], [1.0, 3.0]]).unwrap();
    close(&f32s(&answers, "y"), &[12.0, 12.0, 0.0, 2.0]);
}

#[test]
fn imputer_keeps_integers() {
    let attributes = vec![ints("imputed_value_int64s", [-7]), int("replaced_value_int64", 2)];
    let model = load("Imputer", 1, I64, 2, attributes).unwrap();
    let answers = answer(&model, array![[2i64, 3]]).unwrap();
    assert_eq!(answers.tensor("y").unwrap().as_slice::<i64>().unwrap(), [-7, 3]);
    refused(load("Imputer", 1, F32, 2, vec![]));
}

/// Values of ONNX Runtime 1.32 for the same file.
#[test]
fn normalizer_has_its_three_norms() {
    let rows = array![[-4.0f32, 3.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -3.0]];
    let expected: [(&str, [f32; 9]); 3] = [
        ("MAX", [-1.333_333_4, 1.0, 0.333_333_34, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0]),
        ("L1", [-0.5, 0.375, 0.125, 0.0, 0.0, 0.0, -0.166_666_67, -0.333_333_34, -0.5]),
        ("L2", [-0.784_464_5, 0.588_348_4, 0.196_116_14, 0.0, 0.0, 0.0, -0.267_261_24, -0.534_522_5, -0.801_783_74]),
    ];
    for (norm, expected) in expected {
        let model = load("Normalizer", 1, F32, 3, vec![string("norm", norm)]).unwrap();
        close(&f32s(&answer(&model, rows.view()).unwrap(), "y"), &expected);
        assert!(model.describe().row_independent);
    }
    refused(load("Normalizer", 1, F32, 3, vec![string("norm", "L3")]));
}

#[test]
fn binarizer_refuses_nan() {
    let model = load("Binarizer", 1, F32, 2, vec![float("threshold", 0.5)]).unwrap();
    close(&f32s(&answer(&model, array![[0.5f32, f32::INFINITY]]).unwrap(), "y"), &[0.0, 1.0]);
    assert_eq!(answer(&model, array![[0.0f32, f32::NAN]]).unwrap_err().kind(), ErrorKind::InvalidValue);
}

#[test]
fn label_encoder_maps_text_floats_and_tensors() {
    let attributes = vec![strings("keys_strings", &["a", "", "a"]), ints("values_int64s", [1, 2, 3])];
    let model = load("LabelEncoder", 2, STRING, 1, attributes).unwrap();
    let answers = answer(&model, texts(&["a", "", "zz"], 1)).unwrap();
    assert_eq!(answers.tensor("y").unwrap().as_slice::<i64>().unwrap(), [1, 2, -1]);
    assert_eq!(model.signature().inputs()[0].categories().len(), 1);
    // NaN finds NaN, and zero either zero.
    let attributes = vec![
        floats("keys_floats", [f32::NAN, 0.0]),
        strings("values_strings", &["missing", "zero"]),
        string("default_string", "other"),
    ];
    let model = load("LabelEncoder", 2, F32, 1, attributes).unwrap();
    let answers = answer(&model, array![[f32::NAN], [-0.0], [1.0]]).unwrap();
    assert_eq!(answers.tensor("y").unwrap().as_slice::<String>().unwrap(), ["missing", "zero", "other"]);
    // Since version 4 the last of two equal keys counts.
    let attributes = vec![
        tensor("keys_tensor", dense_tensor("", &[3], vec![5i64, 6, 5]).unwrap()),
        tensor("values_tensor", dense_tensor("", &[3], vec![0.5f64, 1.5, 2.5]).unwrap()),
        tensor("default_tensor", dense_tensor("", &[1], vec![-9.0f64]).unwrap()),
    ];
    let model = load("LabelEncoder", 4, I64, 1, attributes).unwrap();
    let answers = answer(&model, array![[5i64], [6], [7]]).unwrap();
    assert_eq!(answers.tensor("y").unwrap().as_slice::<f64>().unwrap(), [2.5, 1.5, -9.0]);
    refused(load("LabelEncoder", 2, STRING, 1, vec![strings("keys_strings", &["a"]), ints("values_int64s", [1, 2])]));
    refused(load("LabelEncoder", 2, STRING, 1, vec![ints("values_int64s", [1, 2])]));
}

#[test]
fn label_encoder_of_version_1_goes_both_ways() {
    let attributes = || vec![strings("classes_strings", &["b", "a"]), string("default_string", "?")];
    let model = load("LabelEncoder", 1, STRING, 1, attributes()).unwrap();
    let answers = answer(&model, texts(&["a", "b", "c"], 1)).unwrap();
    assert_eq!(answers.tensor("y").unwrap().as_slice::<i64>().unwrap(), [1, 0, -1]);
    let model = load("LabelEncoder", 1, I64, 1, attributes()).unwrap();
    let answers = answer(&model, array![[1i64], [2], [-1]]).unwrap();
    assert_eq!(answers.tensor("y").unwrap().as_slice::<String>().unwrap(), ["a", "?", "?"]);
}

#[test]
fn one_hot_encoder_knows_its_categories() {
    let model = load("OneHotEncoder", 1, STRING, 1, vec![strings("cats_strings", &["a", "b"])]).unwrap();
    let answers = answer(&model, texts(&["b", "c"], 1)).unwrap();
    assert_eq!(answers.get::<f32>("y").unwrap(), array![[[0.0f32, 1.0]], [[0.0, 0.0]]].into_dyn());
    assert_eq!(model.signature().outputs()[0].features(), ["a", "b"]);
    // Floats are cut to integers; what no integer holds is no category.
    let model = load("OneHotEncoder", 1, F32, 1, vec![ints("cats_int64s", [1, 0])]).unwrap();
    let answers = answer(&model, array![[1.9f32], [f32::NAN], [-0.5], [f32::INFINITY]]).unwrap();
    close(&f32s(&answers, "y"), &[1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    let strict = vec![ints("cats_int64s", [5, 7]), int("zeros", 0)];
    let model = load("OneHotEncoder", 1, I64, 1, strict).unwrap();
    assert_eq!(answer(&model, array![[6i64]]).unwrap_err().kind(), ErrorKind::InvalidValue);
    refused(load("OneHotEncoder", 1, I64, 1, vec![]));
}

#[test]
fn category_mapper_goes_both_ways() {
    let attributes = || vec![strings("cats_strings", &["x", "y"]), ints("cats_int64s", [10, 20])];
    let model = load("CategoryMapper", 1, STRING, 1, attributes()).unwrap();
    let answers = answer(&model, texts(&["y", "z"], 1)).unwrap();
    assert_eq!(answers.tensor("y").unwrap().as_slice::<i64>().unwrap(), [20, -1]);
    let model = load("CategoryMapper", 1, I64, 1, attributes()).unwrap();
    let answers = answer(&model, array![[10i64], [30]]).unwrap();
    assert_eq!(answers.tensor("y").unwrap().as_slice::<String>().unwrap(), ["x", "_Unused"]);
}

#[test]
fn feature_vectorizer_cuts_and_fills() {
    let place = |name| value_info(name, F32, &[Dim::Symbolic("N"), Dim::Fixed(2)]);
    let g = graph(
        "g",
        [place("a"), place("b")],
        [node("FeatureVectorizer", "ai.onnx.ml", &["a", "b"], &["y"], [ints("inputdimensions", [1, 3])])],
        [],
        [value_info("y", F32, &[Dim::Unknown])],
    );
    let bytes = model(8, &[("", 17), ("ai.onnx.ml", 1)], g).encode_to_vec();
    let model = Loader::new().load_bytes("two.onnx", bytes).unwrap();
    let (a, b) = (array![[1.0f32, 2.0], [3.0, 4.0]], array![[5.0f32, 6.0], [7.0, 8.0]]);
    let answers = model.predict_batch(&crate::tensors! { "a" => a.view(), "b" => b.view() }.unwrap()).unwrap();
    assert_eq!(answers.get::<f32>("y").unwrap(), array![[1.0f32, 5.0, 6.0, 0.0], [3.0, 7.0, 8.0, 0.0]].into_dyn());
}

#[test]
fn zip_map_names_its_classes() {
    let model = load("ZipMap", 1, F32, 2, vec![strings("classlabels_strings", &["no", "yes"])]).unwrap();
    close(&f32s(&answer(&model, array![[0.25f32, 0.75]]).unwrap(), "y"), &[0.25, 0.75]);
    assert_eq!(model.signature().outputs()[0].features(), ["no", "yes"]);
    let wide = load("ZipMap", 1, F32, 3, vec![strings("classlabels_strings", &["no", "yes"])]);
    assert_eq!(wide.and_then(|m| answer(&m, array![[0.0f32, 0.5, 0.5]])).unwrap_err().kind(), ErrorKind::WrongShape);
}

/// Six support vectors in two dimensions.
fn machine(kernel: &str, extra: Vec<AttributeProto>) -> Vec<AttributeProto> {
    let mut attributes = vec![
        string("kernel_type", kernel),
        floats("kernel_params", [0.5, 1.0, 3.0]),
        floats("support_vectors", [0.0, 1.0, 1.0, 0.0, 2.0, 2.0, -1.0, 0.5, 0.5, -1.0, 3.0, 1.0]),
        floats("rho", [0.25]),
    ];
    attributes.extend(extra);
    attributes
}

#[test]
fn support_vectors_of_a_regressor_are_summed() {
    let weights = [0.5f32, 0.75, -0.25, -0.5, 0.5, -1.0];
    let extra = || vec![floats("coefficients", weights), int("n_supports", 6)];
    let (x, vectors) = ([0.5f32, -1.5], [[0.0f32, 1.0], [1.0, 0.0], [2.0, 2.0], [-1.0, 0.5], [0.5, -1.0], [3.0, 1.0]]);
    let product = |v: &[f32; 2]| x[0] * v[0] + x[1] * v[1];
    type Kernel<'k> = Box<dyn Fn(&[f32; 2]) -> f32 + 'k>;
    let kernels: [(&str, Kernel<'_>); 4] = [
        ("LINEAR", Box::new(product)),
        ("POLY", Box::new(|v| (0.5 * product(v) + 1.0).powi(3))),
        ("RBF", Box::new(|v| (-0.5 * ((x[0] - v[0]).powi(2) + (x[1] - v[1]).powi(2))).exp())),
        ("SIGMOID", Box::new(|v| (0.5 * product(v) + 1.0).tanh())),
    ];
    for (name, kernel) in kernels {
        let model = load("SVMRegressor", 1, F32, 2, machine(name, extra())).unwrap();
        let expected: f32 = 0.25 + vectors.iter().zip(weights).map(|(v, w)| w * kernel(v)).sum::<f32>();
        close(&f32s(&answer(&model, array![[x[0], x[1]]]).unwrap(), "y"), &[expected]);
        assert_eq!(model.signature().outputs()[0].shape_text(), "(m, 1)");
    }
    let mut one_class = extra();
    one_class.push(int("one_class", 1));
    let model = load("SVMRegressor", 1, F32, 2, machine("RBF", one_class)).unwrap();
    close(&f32s(&answer(&model, array![[100.0f32, 100.0], [3.0, 1.0]]).unwrap(), "y"), &[1.0, -1.0]);
    refused(load(
        "SVMRegressor",
        1,
        F32,
        2,
        machine("RBF", vec![floats("coefficients", weights), int("n_supports", 5)]),
    ));
    refused(load(
        "SVMRegressor",
        1,
        F32,
        2,
        machine("RBF", vec![floats("coefficients", weights), int("n_supports", -1)]),
    ));
}

#[test]
fn a_classifier_of_support_vectors_votes() {
    let extra = |more: Vec<AttributeProto>| {
        let mut all = vec![
            floats("coefficients", [0.5, 0.8, 0.3, -0.6, -0.4, -0.8]),
            ints("vectors_per_class", [3, 3]),
            strings("classlabels_strings", &["one", "two"]),
        ];
        all.extend(more);
        machine("RBF", all)
    };
    let model = load("SVMClassifier", 1, F32, 2, extra(vec![])).unwrap();
    let rows = array![[0.0f32, 1.0], [3.0, 1.0], [f32::NAN, 0.0]];
    let answers = answer(&model, rows.view()).unwrap();
    assert_eq!(answers.tensor("y").unwrap().as_slice::<String>().unwrap(), ["one", "two", "two"]);
    let scores = f32s(&answers, "z");
    assert!(scores[1] > 0.0 && scores[0] == -scores[1] && scores[3] < 0.0 && scores[5].is_nan(), "{scores:?}");
    assert_eq!(model.signature().outputs()[1].features(), ["one", "two"]);
    let sigmoids = vec![floats("prob_a", [-1.5]), floats("prob_b", [0.2])];
    let model = load("SVMClassifier", 1, F32, 2, extra(sigmoids)).unwrap();
    let scores = f32s(&answer(&model, rows.view()).unwrap(), "z");
    assert!((scores[0] + scores[1] - 1.0).abs() < 1e-6 && scores[0] > 0.5, "{scores:?}");
    // NaN leaves both classes equally likely.
    close(&scores[4..], &[0.5, 0.5]);
    refused(load("SVMClassifier", 1, F32, 2, extra(vec![floats("prob_a", [1.0])])));
    let short = machine(
        "RBF",
        vec![floats("coefficients", [0.5]), ints("vectors_per_class", [3, 3]), ints("classlabels_ints", [0, 1])],
    );
    refused(load("SVMClassifier", 1, F32, 2, short));
    let huge = machine(
        "RBF",
        vec![
            floats("coefficients", [0.5]),
            ints("vectors_per_class", [i64::MAX, i64::MAX]),
            ints("classlabels_ints", [0, 1]),
        ],
    );
    refused(load("SVMClassifier", 1, F32, 2, huge));
}
