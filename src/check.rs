//! The one place where inputs are held against a signature.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::artifact::Artifact;
use crate::describe::Description;
use crate::model::Model;
use crate::signature::{Dim, Signature, TensorSpec};
use crate::tensor::{Tensor, Tensors};
use crate::{Error, ErrorKind, Result};

/// A model whose inputs are checked against its signature before it sees them.
///
/// The model inside may rely on this: every input is there, none is unknown, all stand in the order of the signature,
/// have an accepted element type and shape and are row-major, batch lengths agree, and sparse rows are dense unless
/// the spec [reads them](TensorSpec::reads_sparse). Every model that this crate hands out is checked; wrap your own.
#[derive(Debug, Clone)]
pub struct Checked<M> {
    model: M,
    cast: bool,
}

impl<M: Model> Checked<M> {
    /// Checks the inputs of `model`.
    #[must_use]
    pub const fn new(model: M) -> Self {
        Self { model, cast: false }
    }

    /// Whether inputs of another number type are cast to the first accepted one instead of refused. A cast must keep
    /// the value: a fraction does not become an integer, and nothing finite becomes infinite.
    #[must_use]
    pub const fn cast(mut self, cast: bool) -> Self {
        self.cast = cast;
        self
    }

    /// The model inside.
    #[must_use]
    pub const fn inner(&self) -> &M {
        &self.model
    }

    /// The model inside, without its check.
    #[must_use]
    pub fn into_inner(self) -> M {
        self.model
    }
}

#[deny(clippy::missing_trait_methods)]
impl<M: Model> Model for Checked<M> {
    fn signature(&self) -> &Signature {
        self.model.signature()
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        self.model.predict_batch(&*check(self.signature(), inputs, Axis::Batch, self.cast)?)
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        let signature = self.signature();
        if !signature.is_batched() {
            return self.model.predict(input);
        }
        self.model.predict(&*check(signature, input, Axis::One, self.cast)?)
    }

    fn describe(&self) -> Description {
        self.model.describe()
    }

    fn artifact(&self) -> Result<Artifact> {
        self.model.artifact()
    }
}

/// Whether the tensors of a call carry their batch axis.
#[derive(Clone, Copy, PartialEq)]
enum Axis {
    Batch,
    One,
}

/// A set that is borrowed when nothing had to be changed.
enum Ready<'c, 'a> {
    AsGiven(&'c Tensors<'a>),
    Rebuilt(Tensors<'c>),
}

impl<'c, 'a: 'c> core::ops::Deref for Ready<'c, 'a> {
    type Target = Tensors<'c>;

    fn deref(&self) -> &Tensors<'c> {
        match self {
            Self::AsGiven(set) => set,
            Self::Rebuilt(set) => set,
        }
    }
}

fn check<'c, 'a: 'c>(signature: &Signature, given: &'c Tensors<'a>, axis: Axis, cast: bool) -> Result<Ready<'c, 'a>> {
    let specs = signature.inputs();
    let mut sizes = Sizes::default();
    let mut as_given = given.len() == specs.len();
    for (i, spec) in specs.iter().enumerate() {
        let (at, tensor) = match given.at(i) {
            Some((name, tensor)) if name == spec.name() => (i, tensor),
            _ => match given.position(spec.name()) {
                Some(at) => (at, given.at(at).map(|(_, t)| t).expect("`position` gives an index of the set")),
                None => return Err(missing(spec, signature, given)),
            },
        };
        as_given &= at == i && tensor.is_row_major() && (!tensor.is_sparse() || spec.reads_sparse());
        if !spec.dtypes().contains(&tensor.dtype()) {
            if !cast {
                return Err(wrong_type(spec, tensor));
            }
            as_given = false;
        }
        sizes.check(spec, tensor, axis)?;
    }
    if given.len() > specs.len() {
        return Err(unknown(signature, given));
    }
    if as_given { Ok(Ready::AsGiven(given)) } else { rebuild(specs, given).map(Ready::Rebuilt) }
}

/// The set in the order of the signature, dense where it must be, row-major, of accepted types.
fn rebuild<'c>(specs: &[TensorSpec], given: &'c Tensors<'_>) -> Result<Tensors<'c>> {
    specs
        .iter()
        .map(|spec| {
            let tensor = given.tensor(spec.name())?;
            let tensor = if spec.reads_sparse() { tensor.as_view() } else { tensor.to_dense() };
            let tensor = if spec.dtypes().contains(&tensor.dtype()) {
                tensor
            } else {
                tensor.cast(spec.dtype()).map_err(|e| e.tensor(spec.name()))?
            };
            Ok((spec.name().clone(), tensor.into_row_major()))
        })
        .collect()
}

/// The sizes that the tensors of one call must share.
#[derive(Default)]
struct Sizes<'s> {
    batch: Option<(usize, &'s TensorSpec)>,
    named: Vec<(&'s str, usize)>,
}

impl<'s> Sizes<'s> {
    #[inline]
    fn check(&mut self, spec: &'s TensorSpec, tensor: &Tensor<'_>, axis: Axis) -> Result<()> {
        let shape = tensor.shape();
        let one = axis == Axis::One && spec.is_batched();
        let dims = if one { &spec.dims()[1..] } else { spec.dims() };
        // Sparse rows keep their two axes, so one observation is a (1, n) matrix.
        let shape = match shape {
            [1, rest @ ..] if one && tensor.is_sparse() => rest,
            shape => shape,
        };
        if dims.len() != shape.len() {
            return Err(wrong_shape(spec, tensor, one));
        }
        for (dim, &size) in dims.iter().zip(shape) {
            let fits = match dim {
                Dim::Fixed(n) => size == *n,
                Dim::Batch => match self.batch {
                    None => {
                        self.batch = Some((size, spec));
                        true
                    }
                    Some((m, first)) if m != size => return Err(batch_lengths(first, m, spec, size)),
                    Some(_) => true,
                },
                Dim::Named(name) => match self.named.iter().find(|(n, _)| n == name) {
                    None => {
                        self.named.push((name, size));
                        true
                    }
                    Some(&(_, n)) if n != size => return Err(named_lengths(name, n, spec, size)),
                    Some(_) => true,
                },
                Dim::Any => true,
            };
            if !fits {
                return Err(wrong_shape(spec, tensor, one));
            }
        }
        Ok(())
    }
}

#[cold]
fn missing(spec: &TensorSpec, signature: &Signature, given: &Tensors<'_>) -> Error {
    let stray: Vec<&str> = given.iter().map(|(n, _)| n.as_str()).filter(|n| signature.input(n).is_none()).collect();
    let actual = match stray.as_slice() {
        [] => Cow::Borrowed("no tensor of this name"),
        names => Cow::Owned(alloc::format!("{} instead, which the model does not take", names.join(", "))),
    };
    Error::new(ErrorKind::MissingInput, "an input of the model was not given")
        .tensor(spec.name())
        .expected(alloc::format!("{} {}", spec.dtypes_text(), spec.shape_text()))
        .actual(actual)
}

#[cold]
fn unknown(signature: &Signature, given: &Tensors<'_>) -> Error {
    let name = given.iter().map(|(n, _)| n.as_str()).find(|n| signature.input(n).is_none()).unwrap_or("?");
    let known: Vec<&str> = signature.inputs().iter().map(|s| s.name().as_str()).collect();
    Error::new(ErrorKind::UnknownTensor, "the model has no input of this name; leave it out")
        .tensor(name)
        .expected(known.join(", "))
}

#[cold]
fn wrong_type(spec: &TensorSpec, tensor: &Tensor<'_>) -> Error {
    Error::new(
        ErrorKind::WrongType,
        "an input has an element type that the model does not take; convert it, or load the model with casts allowed",
    )
    .tensor(spec.name())
    .expected(spec.dtypes_text())
    .actual(tensor.dtype())
}

#[cold]
fn wrong_shape(spec: &TensorSpec, tensor: &Tensor<'_>, one: bool) -> Error {
    let dims = if one { &spec.dims()[1..] } else { spec.dims() };
    let expected = TensorSpec::new("", spec.dtype(), dims).shape_text();
    let message: String = if one {
        "an input has the wrong shape; `predict` takes one observation, without the batch axis".into()
    } else if spec.is_batched() {
        "an input has the wrong shape; `predict_batch` takes m observations along axis 0".into()
    } else {
        "an input has the wrong shape".into()
    };
    Error::new(ErrorKind::WrongShape, message)
        .tensor(spec.name())
        .expected(expected)
        .actual(crate::tensor::shape_text(tensor.shape()))
}

#[cold]
fn batch_lengths(first: &TensorSpec, m: usize, spec: &TensorSpec, size: usize) -> Error {
    Error::new(
        ErrorKind::WrongShape,
        alloc::format!("the inputs hold different numbers of observations: `{}` has {m}", first.name()),
    )
    .tensor(spec.name())
    .expected(alloc::format!("{m} along axis 0"))
    .actual(size)
}

#[cold]
fn named_lengths(dim: &str, n: usize, spec: &TensorSpec, size: usize) -> Error {
    Error::new(ErrorKind::WrongShape, alloc::format!("dimension `{dim}` has two different sizes in one call"))
        .tensor(spec.name())
        .expected(n)
        .actual(size)
}
