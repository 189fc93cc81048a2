use super::sentence::{Pooling, Recipe};
use crate::candle::ModuleModel;
use crate::candle::candle_core::{self, Device, Tensor as CandleTensor};
use crate::candle::candle_nn::{Linear, Module};
use crate::{DType, Dim, ErrorKind, Model, ModelExt, Signature, TensorSpec, tensors};

/// The embedding of three states of two entries.
fn pooled(poolings: &[Pooling], normalize: bool) -> Vec<f32> {
    let recipe = Recipe { poolings: poolings.to_vec(), normalize, ..Recipe::plain() };
    let mut embedding = vec![f32::NAN; 2 * poolings.len()];
    recipe.embed(&[1.0, -2.0, 3.0, 5.0, 2.0, -9.0], 2, &mut embedding);
    embedding
}

#[test]
fn poolings_are_what_they_are_called() {
    use Pooling::*;
    assert_eq!(pooled(&[First, Last], false), [1.0, -2.0, 2.0, -9.0]);
    assert_eq!(pooled(&[Max, Mean], false), [3.0, 5.0, 2.0, -2.0]);
    assert_eq!(pooled(&[Weighted], false), [13.0 / 6.0, -19.0 / 6.0]);
    let root = 3f32.sqrt();
    assert_eq!(pooled(&[MeanSqrt], false), [6.0 / root, -6.0 / root]);
    let half = 0.5f32.sqrt();
    assert!(pooled(&[Mean], true).iter().zip([half, -half]).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn no_tokens_have_no_embedding() {
    let recipe = Recipe { normalize: true, ..Recipe::plain() };
    let mut embedding = [f32::NAN; 2];
    recipe.embed(&[], 2, &mut embedding);
    assert_eq!(embedding, [0.0, 0.0]);
}

fn spec(name: &str, dtype: DType, n: usize) -> TensorSpec {
    TensorSpec::new(name, dtype, [Dim::Batch, Dim::Fixed(n)])
}

fn signature(input: TensorSpec, output: TensorSpec) -> Signature {
    Signature::new(vec![input], vec![output])
}

fn linear() -> Linear {
    let weight = CandleTensor::new(&[[2.0f32, -1.0]], &Device::Cpu).unwrap();
    Linear::new(weight, Some(CandleTensor::new(&[0.5f32], &Device::Cpu).unwrap()))
}

#[cfg(feature = "conformance")]
#[test]
fn a_module_conforms() {
    use crate::conformance::{Options, assert_conforms};
    let model = ModuleModel::new(linear(), signature(spec("x", DType::F32, 2), spec("y", DType::F32, 1))).unwrap();
    let options = Options::new().without_artifact().large_rows(500);
    assert_conforms(&model, &options);
    assert_conforms(&model.row_independent(true).size(3, 12), &options);
}

#[test]
fn a_function_of_several_tensors_is_a_model() {
    let specs = vec![spec("a", DType::I64, 1), spec("b", DType::I64, 1)];
    let signature = Signature::new(specs, vec![spec("sum", DType::I64, 1), spec("wide", DType::F64, 1)]);
    let model = ModuleModel::from_fn(
        |inputs| {
            let sum = (&inputs[0] + &inputs[1])?;
            Ok(vec![sum.clone(), sum.to_dtype(candle_core::DType::F64)?])
        },
        signature,
    )
    .unwrap();
    let inputs = tensors! { "a" => ndarray::array![[1i64], [2]], "b" => ndarray::array![[10i64], [20]] }.unwrap();
    let answers = model.predict_batch(&inputs).unwrap();
    assert_eq!(answers.get::<i64>("sum").unwrap(), ndarray::array![[11i64], [22]].into_dyn());
    assert_eq!(answers.get::<f64>("wide").unwrap(), ndarray::array![[11.0], [22.0]].into_dyn());
}

/// What a network does wrong.
struct Broken(&'static str);

impl Module for Broken {
    fn forward(&self, x: &CandleTensor) -> candle_core::Result<CandleTensor> {
        match self.0 {
            "panics" => panic!("on purpose"),
            "fails" => candle_core::bail!("on purpose"),
            "shape" => Ok(x.clone()),
            _ => x.narrow(1, 0, 1)?.to_dtype(candle_core::DType::F64),
        }
    }
}

#[test]
fn what_a_network_does_wrong_is_an_error() {
    for (how, words) in [
        ("panics", "panicked while running the network; the panic was contained: on purpose"),
        ("fails", "candle failed while running the network"),
        ("shape", "expected f32 (m, 1), got f32 (3, 2)"),
        ("type", "expected f32 (m, 1), got f64 (3, 1)"),
    ] {
        let signature = signature(spec("x", DType::F32, 2), spec("y", DType::F32, 1));
        let model = ModuleModel::new(Broken(how), signature).unwrap();
        let error = model.predict_array(ndarray::Array2::<f32>::zeros((3, 2))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Backend);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(model.artifact().unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn a_signature_that_candle_lacks_is_refused() {
    let strings = signature(spec("x", DType::String, 2), spec("y", DType::F32, 1));
    assert_eq!(ModuleModel::new(linear(), strings).unwrap_err().kind(), ErrorKind::Unsupported);
    let two = Signature::new(vec![], vec![spec("y", DType::F32, 1)]);
    assert_eq!(ModuleModel::new(linear(), two).unwrap_err().kind(), ErrorKind::InvalidArgument);
}
