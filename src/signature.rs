//! What a model takes and gives: named, typed, shaped inputs and outputs.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::tensor::{DType, Name};

/// One dimension of a [`TensorSpec`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dim {
    /// Always this many entries.
    Fixed(usize),
    /// The number of observations. Stands at axis 0 only, and is the same for all tensors of one call.
    Batch,
    /// Any number; the same for every dimension of this name in one call.
    Named(String),
    /// Any number, not even the same from one call to the next.
    Any,
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(n) => write!(f, "{n}"),
            Self::Batch => f.write_str("m"),
            Self::Named(name) => f.write_str(name),
            Self::Any => f.write_str("?"),
        }
    }
}

/// One input or output of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    name: Name,
    dtypes: Vec<DType>,
    dims: Vec<Dim>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    features: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    categories: Vec<Vec<String>>,
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    sparse: bool,
}

impl TensorSpec {
    /// A tensor of one element type; `dims` include the batch axis where there is one.
    #[must_use]
    pub fn new(name: impl Into<Name>, dtype: DType, dims: impl Into<Vec<Dim>>) -> Self {
        Self {
            name: name.into(),
            dtypes: vec![dtype],
            dims: dims.into(),
            features: Vec::new(),
            categories: Vec::new(),
            sparse: false,
        }
    }

    /// Accepts elements of `dtype` too.
    #[must_use]
    pub fn accepting(mut self, dtype: DType) -> Self {
        if !self.dtypes.contains(&dtype) {
            self.dtypes.push(dtype);
        }
        self
    }

    /// Names the entries along the last axis: the features of a table, the classes of a tensor of probabilities.
    #[must_use]
    pub fn with_features(mut self, features: Vec<String>) -> Self {
        self.features = features;
        self
    }

    /// Gives the categories that the model knows, one list per entry along the last axis (empty where a column has
    /// none).
    #[must_use]
    pub fn with_categories(mut self, categories: Vec<Vec<String>>) -> Self {
        self.categories = categories;
        self
    }

    /// Says that the model reads sparse rows as they are; other models get them densified, zero where absent.
    #[must_use]
    pub fn reading_sparse(mut self) -> Self {
        self.sparse = true;
        self
    }

    /// Calls the tensor by another name.
    #[must_use]
    pub fn renamed(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The element type that the model computes with; the first of [`dtypes`](Self::dtypes).
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtypes[0]
    }

    /// Every element type that is accepted.
    #[must_use]
    pub fn dtypes(&self) -> &[DType] {
        &self.dtypes
    }

    /// The dimensions.
    #[must_use]
    pub fn dims(&self) -> &[Dim] {
        &self.dims
    }

    /// The names of the entries along the last axis; empty when the file has none.
    #[must_use]
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// The known categories, one list per entry along the last axis; empty when there are none.
    #[must_use]
    pub fn categories(&self) -> &[Vec<String>] {
        &self.categories
    }

    /// Whether axis 0 is the batch.
    #[must_use]
    pub fn is_batched(&self) -> bool {
        self.dims.first() == Some(&Dim::Batch)
    }

    /// Whether the model reads sparse rows as they are.
    #[must_use]
    pub fn reads_sparse(&self) -> bool {
        self.sparse
    }

    /// Whether a tensor of `shape` has these dimensions, with `rows` observations where that is known. Dimensions of
    /// one name are not compared.
    #[cfg(feature = "candle")]
    pub(crate) fn fits(&self, shape: &[usize], rows: Option<usize>) -> bool {
        let fits = |(dim, size): (&Dim, &usize)| match dim {
            Dim::Fixed(n) => size == n,
            Dim::Batch => rows.is_none_or(|m| *size == m),
            Dim::Named(_) | Dim::Any => true,
        };
        self.dims.len() == shape.len() && self.dims.iter().zip(shape).all(fits)
    }

    /// The shape as messages and listings show it: `(m, 64)`.
    #[must_use]
    pub fn shape_text(&self) -> String {
        let parts: Vec<String> = self.dims.iter().map(ToString::to_string).collect();
        match parts.as_slice() {
            [one] => alloc::format!("({one},)"),
            many => alloc::format!("({})", many.join(", ")),
        }
    }

    /// The element types as messages show them: `f32 or f64`.
    #[must_use]
    pub fn dtypes_text(&self) -> String {
        let parts: Vec<&str> = self.dtypes.iter().map(|d| d.as_str()).collect();
        parts.join(" or ")
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.name, self.dtypes_text(), self.shape_text())
    }
}

/// What a model takes and gives. Axis 0 is the batch wherever a spec begins with [`Dim::Batch`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
}

impl Signature {
    /// A signature from its inputs and outputs, in the order in which the model has them.
    #[must_use]
    pub fn new(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Self {
        Self { inputs, outputs }
    }

    /// The inputs, in order.
    #[must_use]
    pub fn inputs(&self) -> &[TensorSpec] {
        &self.inputs
    }

    /// The outputs, in order.
    #[must_use]
    pub fn outputs(&self) -> &[TensorSpec] {
        &self.outputs
    }

    /// The input called `name`.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<&TensorSpec> {
        self.inputs.iter().find(|s| s.name().as_str() == name)
    }

    /// The output called `name`.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<&TensorSpec> {
        self.outputs.iter().find(|s| s.name().as_str() == name)
    }

    /// Whether any input has a batch axis. Without one there is no `predict`, only the declared shapes.
    #[must_use]
    pub fn is_batched(&self) -> bool {
        self.inputs.iter().any(TensorSpec::is_batched)
    }
}
