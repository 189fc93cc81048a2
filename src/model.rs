//! The `Model` trait: anything that answers predictions.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt::Debug;

use crate::artifact::Artifact;
use crate::describe::Description;
use crate::signature::Signature;
use crate::tensor::{Tensor, Tensors};
use crate::{Error, ErrorKind, Result};

/// Anything that answers predictions: a loaded file, an ensemble, a router over versions, a cache.
///
/// Synchronous, object safe, shared by `&self`: one loaded model serves all threads of a host. Callers find the
/// conveniences in [`ModelExt`]; implementors wrap their model in [`Checked`](crate::Checked), so that `predict` and
/// `predict_batch` see inputs that are complete, in the order of the signature, of an accepted type and shape, and
/// row-major.
///
/// ```
/// use modelberth::{ndarray::array, tensors, LinearModel, Link, Model};
/// let model = LinearModel::new(array![[2.0], [-1.0]], array![0.5], Link::Identity)?;
/// let answers = model.predict_batch(&tensors! { "x" => array![[1.0f32, 1.0], [3.0, 0.0]] }?)?;
/// assert_eq!(answers.get::<f32>("prediction")?, array![[1.5], [6.5]].into_dyn());
/// # Ok::<(), modelberth::Error>(())
/// ```
pub trait Model: Debug + Send + Sync + 'static {
    /// What the model takes and gives; a promise.
    fn signature(&self) -> &Signature;

    /// The answers for m observations along axis 0 of every batched input; m answers along axis 0 of every batched
    /// output. Inputs without a batch axis pass whole. m may be 0.
    ///
    /// # Errors
    /// What the check of the inputs says ([`ErrorKind::MissingInput`], [`ErrorKind::UnknownTensor`],
    /// [`ErrorKind::WrongType`], [`ErrorKind::WrongShape`]), or what the model finds wrong with a value.
    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>>;

    /// The answer for one observation: inputs and outputs without their batch axis.
    ///
    /// A model overrides this only where one row has a faster road than a batch of one.
    ///
    /// # Errors
    /// As [`predict_batch`](Self::predict_batch); [`ErrorKind::InvalidArgument`] when the model has no batch axis.
    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        predict_as_batch(self, input)
    }

    /// What the model is.
    fn describe(&self) -> Description;

    /// The files it came from, or those it serialises to. Loading them again gives identical answers.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the model has no form as files.
    fn artifact(&self) -> Result<Artifact>;
}

/// `predict` as a batch of one.
pub(crate) fn predict_as_batch<M: Model + ?Sized>(model: &M, input: &Tensors<'_>) -> Result<Tensors<'static>> {
    let signature = model.signature();
    if !signature.is_batched() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "the model has no batch axis, so there is no single observation; call `predict_batch` with its declared shapes",
        ));
    }
    let mut batch = Tensors::with_capacity(input.len());
    for (name, tensor) in input.iter() {
        let batched = signature.input(name).is_none_or(|spec| spec.is_batched());
        batch.push(name.clone(), if batched { tensor.with_batch_axis() } else { tensor.as_view() });
    }
    let answers = model.predict_batch(&batch)?;
    let mut one = Tensors::with_capacity(answers.len());
    for (name, tensor) in answers {
        let batched = signature.output(&name).is_some_and(|spec| spec.is_batched());
        let tensor = if batched { tensor.without_batch_axis().map_err(|e| e.tensor(&name))? } else { tensor };
        one.push(name, tensor);
    }
    Ok(one)
}

/// Makes a type, generic or not, a model that leaves everything to one that it holds:
/// `forward_model!(Wrapper<M> [M: Model], |this| this.inner)`.
macro_rules! forward_model {
    ($type:ty $([$($parameters:tt)+])?, |$this:ident| $inner:expr) => {
        #[deny(clippy::missing_trait_methods)]
        impl$(<$($parameters)+>)? $crate::Model for $type {
            fn signature(&self) -> &$crate::Signature {
                let $this = self;
                $inner.signature()
            }

            fn predict_batch(&self, inputs: &$crate::Tensors<'_>) -> $crate::Result<$crate::Tensors<'static>> {
                let $this = self;
                $inner.predict_batch(inputs)
            }

            fn predict(&self, input: &$crate::Tensors<'_>) -> $crate::Result<$crate::Tensors<'static>> {
                let $this = self;
                $inner.predict(input)
            }

            fn describe(&self) -> $crate::Description {
                let $this = self;
                $inner.describe()
            }

            fn artifact(&self) -> $crate::Result<$crate::Artifact> {
                let $this = self;
                $inner.artifact()
            }
        }
    };
}
pub(crate) use forward_model;

forward_model!(Arc<M> [M: Model + ?Sized], |this| (**this));
forward_model!(Box<M> [M: Model + ?Sized], |this| (**this));

/// Conveniences on every [`Model`].
pub trait ModelExt: Model {
    /// The answers for one array (m, n) given to the model's only input.
    ///
    /// ```
    /// use modelberth::{ndarray::array, LinearModel, Link, ModelExt};
    /// let model = LinearModel::new(array![[2.0], [-1.0]], array![0.5], Link::Identity)?;
    /// let rows = array![[1.0f32, 1.0], [3.0, 0.0]];
    /// let answers = model.predict_array(rows.view())?;
    /// assert_eq!(answers.single()?.view::<f32>()?, array![[1.5], [6.5]].into_dyn());
    /// # Ok::<(), modelberth::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the model has several inputs; else as [`Model::predict_batch`].
    fn predict_array<'a>(&self, batch: impl Into<Tensor<'a>>) -> Result<Tensors<'static>> {
        self.predict_batch(&Tensors::one(only_input(self.signature())?, batch))
    }

    /// The answer for one observation (n,) given to the model's only input.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the model has several inputs; else as [`Model::predict`].
    fn predict_row<'a>(&self, row: impl Into<Tensor<'a>>) -> Result<Tensors<'static>> {
        self.predict(&Tensors::one(only_input(self.signature())?, row))
    }
}

impl<M: Model + ?Sized> ModelExt for M {}

fn only_input(signature: &Signature) -> Result<&crate::Name> {
    match signature.inputs() {
        [one] => Ok(one.name()),
        several => {
            let names: alloc::vec::Vec<&str> = several.iter().map(|s| s.name().as_str()).collect();
            Err(Error::new(
                ErrorKind::InvalidArgument,
                "the model does not have exactly one input; name them with `tensors!`",
            )
            .actual(names.join(", ")))
        }
    }
}
