use std::fmt;

use candle_core::{Device, Tensor as CandleTensor};
use candle_nn::Module;

use super::convert::{candle_type, from_candle, to_candle};
use crate::backend::contain::contained;
use crate::{Artifact, Checked, Description, Error, ErrorKind, Model, Result, Signature, Tensors};

/// A network written with candle, as a [`Model`].
///
/// The model is checked: it refuses bad inputs itself, errors and panics of the network come back as errors, and an
/// answer that is not what the signature promises is one too. It has no [artifact](Model::artifact).
///
/// ```
/// use modelberth::candle::{ModuleModel, candle_core::{Device, Tensor}, candle_nn::Linear};
/// use modelberth::{DType, Dim, ModelExt, Signature, TensorSpec, ndarray::array};
///
/// let layer = Linear::new(Tensor::new(&[[2.0f32, -1.0]], &Device::Cpu)?, Some(Tensor::new(&[0.5f32], &Device::Cpu)?));
/// let signature = Signature::new(
///     vec![TensorSpec::new("x", DType::F32, [Dim::Batch, Dim::Fixed(2)])],
///     vec![TensorSpec::new("y", DType::F32, [Dim::Batch, Dim::Fixed(1)])],
/// );
/// let model = ModuleModel::new(layer, signature)?;
/// let answers = model.predict_array(array![[1.0f32, 1.0], [3.0, 0.0]])?;
/// assert_eq!(answers.get::<f32>("y")?, array![[1.5], [6.5]].into_dyn());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ModuleModel(Checked<Network>);

/// What runs: a module, or a function of several tensors.
type Forward = dyn Fn(&[CandleTensor]) -> candle_core::Result<Vec<CandleTensor>> + Send + Sync;

struct Network {
    forward: Box<Forward>,
    device: Device,
    signature: Signature,
    description: Description,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("signature", &self.signature).finish_non_exhaustive()
    }
}

impl ModuleModel {
    /// A module on the processor, with the signature of its one input and its one output.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the signature has another number of inputs or outputs;
    /// [`ErrorKind::Unsupported`] when it has an element type that candle lacks.
    pub fn new<M: Module + Send + Sync + 'static>(module: M, signature: Signature) -> Result<Self> {
        if signature.inputs().len() != 1 || signature.outputs().len() != 1 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "a module has one input and one output; for more use `ModuleModel::from_fn`",
            )
            .actual(format!(
                "{} inputs and {} outputs",
                signature.inputs().len(),
                signature.outputs().len()
            )));
        }
        Self::from_fn(move |inputs| Ok(vec![module.forward(&inputs[0])?]), signature)
    }

    /// A function on the processor, which is given the signature's inputs in order and answers with its outputs in
    /// order.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the signature has an element type that candle lacks.
    pub fn from_fn<F>(forward: F, signature: Signature) -> Result<Self>
    where
        F: Fn(&[CandleTensor]) -> candle_core::Result<Vec<CandleTensor>> + Send + Sync + 'static,
    {
        for spec in signature.inputs().iter().chain(signature.outputs()) {
            for dtype in spec.dtypes() {
                candle_type(*dtype).map_err(|e| e.tensor(spec.name()))?;
            }
        }
        let mut description = Description::new("code", "candle", "candle 0.11, a network of the host");
        description.reason = "built in code".to_owned();
        Ok(Self(Checked::new(Network { forward: Box::new(forward), device: Device::Cpu, signature, description })))
    }

    fn edit(self, edit: impl FnOnce(&mut Network)) -> Self {
        let mut network = self.0.into_inner();
        edit(&mut network);
        Self(Checked::new(network))
    }

    /// Gives the network its inputs on `device`, where its weights are.
    #[must_use]
    pub fn device(self, device: Device) -> Self {
        self.edit(|network| network.device = device)
    }

    /// Says whether the answer for a row is the same whatever other rows stand in the batch. It is not known unless
    /// said.
    #[must_use]
    pub fn row_independent(self, independent: bool) -> Self {
        self.edit(|network| network.description.row_independent = independent)
    }

    /// Says how many learned numbers the network has, and how many bytes they take.
    #[must_use]
    pub fn size(self, parameters: u64, bytes: u64) -> Self {
        self.edit(|network| {
            network.description.parameters = parameters;
            network.description.bytes = bytes;
        })
    }
}

#[deny(clippy::missing_trait_methods)]
impl Model for Network {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let given = inputs.iter().map(|(name, tensor)| {
            let tensor = to_candle(tensor, &self.device).map_err(|e| e.tensor(name))?;
            contained("candle", ErrorKind::Backend, "taking an input", || tensor)
        });
        let given = given.collect::<Result<Vec<_>>>()?;
        let answers = contained("candle", ErrorKind::Backend, "running the network", || {
            let answers = (self.forward)(&given)?;
            answers.iter().map(from_candle).collect::<candle_core::Result<Vec<_>>>()
        })?;
        let specs = self.signature.outputs();
        if answers.len() != specs.len() {
            return Err(Error::new(
                ErrorKind::Backend,
                "the network gave another number of outputs than its signature has",
            )
            .expected(specs.len())
            .actual(answers.len()));
        }
        let rows = self.signature.inputs().iter().zip(inputs.iter()).find(|(spec, _)| spec.is_batched());
        let rows = rows.map(|(_, (_, tensor))| tensor.shape()[0]);
        specs
            .iter()
            .zip(answers)
            .map(|(spec, tensor)| {
                let tensor = tensor?;
                if tensor.dtype() != spec.dtype() || !spec.fits(tensor.shape(), rows) {
                    return Err(Error::new(
                        ErrorKind::Backend,
                        "the network gave another output than its signature says",
                    )
                    .tensor(spec.name())
                    .expected(format!("{} {}", spec.dtype(), spec.shape_text()))
                    .actual(format!(
                        "{} {}",
                        tensor.dtype(),
                        crate::tensor::shape_text(tensor.shape())
                    )));
                }
                Ok((spec.name().clone(), tensor))
            })
            .collect()
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        crate::model::predict_as_batch(self, input)
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn artifact(&self) -> Result<Artifact> {
        Err(Error::new(ErrorKind::Unsupported, "a network that was built in code has no form as files"))
    }
}

crate::model::forward_model!(ModuleModel, |this| this.0);
