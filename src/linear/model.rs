use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use ndarray::{Array1, Array2};

use super::kernel::{Sums, argmax, logistic, softmax};
use crate::{
    Artifact, Checked, DType, Description, Dim, Error, ErrorKind, Model, Name, Result, Signature, Tensor, TensorSpec,
    Tensors,
};

/// What becomes of the k sums of a [`LinearModel`], and with it what the model's outputs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Link {
    /// The sums themselves: regression. Output `prediction` (m, k) f32.
    Identity,
    /// 1 / (1 + e^-sum): logistic regression over two classes, with one sum (k = 1). Outputs `label` (m,) and
    /// `probabilities` (m, 2) f32, of the first class and of the second.
    Logistic,
    /// e^sum / Σ e^sum: softmax regression over k >= 2 classes. Outputs `label` (m,) and `probabilities` (m, k) f32.
    Softmax,
}

/// A linear model built in code: `link(x · weights + bias)`.
///
/// It takes one input `x` (m, n) f32. Its outputs depend on the [`Link`]. A `label` is the index (i64) of the class
/// with the largest sum, the first of those that tie ([`Link::Logistic`]: the second class where the sum is positive);
/// once the classes have [names](Self::class_names), it is the name (string).
///
/// The model is checked: it refuses bad inputs itself. As an [artifact](Model::artifact) it is an ONNX file of one
/// `Gemm` or `LinearClassifier`, which other runtimes load as well.
///
/// ```
/// use modelberth::{ndarray::array, tensors, LinearModel, Link, Model};
/// // Two features, one sum, two classes.
/// let model = LinearModel::new(array![[2.0], [-1.0]], array![0.5], Link::Logistic)?.class_names(["stays", "churns"])?;
/// let answers = model.predict_batch(&tensors! { "x" => array![[1.0f32, 1.0], [-3.0, 0.0]] }?)?;
/// assert_eq!(answers.get::<String>("label")?, array!["churns", "stays"].into_dyn());
/// assert!((answers.get::<f32>("probabilities")?[[0, 1]] - 0.8175745).abs() < 1e-6);
/// # Ok::<(), modelberth::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LinearModel(Checked<Linear>);

impl LinearModel {
    /// A model of weights (n, k), one row per feature and one column per sum, and bias (k,).
    ///
    /// # Errors
    /// [`ErrorKind::WrongShape`] when the bias does not have k entries, there is no feature or no sum, or k is not what
    /// the link demands.
    pub fn new(weights: Array2<f32>, bias: Array1<f32>, link: Link) -> Result<Self> {
        let (n, k) = weights.dim();
        if n == 0 || k == 0 {
            return Err(Error::new(ErrorKind::WrongShape, "a linear model needs at least one feature and one sum")
                .tensor("weights")
                .actual(alloc::format!("({n}, {k})")));
        }
        if bias.len() != k {
            return Err(Error::new(ErrorKind::WrongShape, "the bias needs one entry per column of the weights")
                .tensor("bias")
                .expected(alloc::format!("({k},)"))
                .actual(alloc::format!("({},)", bias.len())));
        }
        let (fits, demand) = match link {
            Link::Identity => (true, ""),
            Link::Logistic => (k == 1, "(n, 1); for several classes use `Link::Softmax`"),
            Link::Softmax => (k >= 2, "(n, k) with k >= 2; for one sum use `Link::Logistic`"),
        };
        if !fits {
            return Err(Error::new(ErrorKind::WrongShape, "the weights do not have as many columns as the link needs")
                .tensor("weights")
                .expected(demand)
                .actual(alloc::format!("({n}, {k})")));
        }
        let (weights, bias): (Vec<f32>, Vec<f32>) = (weights.iter().copied().collect(), bias.to_vec());
        let mut model = Linear {
            sums: Sums::new(&weights, &bias),
            weights,
            bias,
            link,
            input: Name::new("x"),
            features: Vec::new(),
            classes: Vec::new(),
            signature: Signature::default(),
        };
        model.sign();
        Ok(Self(Checked::new(model)))
    }

    fn edit(self, edit: impl FnOnce(&mut Linear)) -> Self {
        let mut model = self.0.inner().clone();
        edit(&mut model);
        model.sign();
        Self(Checked::new(model))
    }

    /// Calls the input by another name than `x`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when the name is empty or that of an output.
    pub fn input_name(self, name: impl Into<Name>) -> Result<Self> {
        let name = name.into();
        if name.is_empty() || self.signature().output(&name).is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "the input needs a name, and another one than the outputs have",
            )
            .tensor(name));
        }
        Ok(self.edit(|model| model.input = name))
    }

    /// Names the n features, so that tables are matched by column.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when there are not n names.
    pub fn feature_names<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        counted(&names, self.0.inner().width(), "feature")?;
        Ok(self.edit(|model| model.features = names))
    }

    /// Names the classes (for [`Link::Identity`] the k predictions). The `label` is then the name instead of the index.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when there is not one name per class, or two classes have the same name.
    pub fn class_names<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        counted(&names, self.0.inner().classes(), "class")?;
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(Error::new(ErrorKind::InvalidArgument, "two classes have the same name").actual(name));
            }
        }
        Ok(self.edit(|model| model.classes = names))
    }

    /// What becomes of the sums.
    #[must_use]
    pub fn link(&self) -> Link {
        self.0.inner().link
    }

    /// The weights (n, k).
    #[must_use]
    pub fn weights(&self) -> Array2<f32> {
        let model = self.0.inner();
        Array2::from_shape_fn((model.width(), model.bias.len()), |(i, j)| model.weights[i * model.bias.len() + j])
    }

    /// The bias (k,).
    #[must_use]
    pub fn bias(&self) -> Array1<f32> {
        self.0.inner().bias.clone().into()
    }
}

fn counted(names: &[String], count: usize, what: &str) -> Result<()> {
    if names.len() == count {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, alloc::format!("a linear model needs one name per {what}"))
        .expected(alloc::format!("{count} names"))
        .actual(names.len()))
}

crate::model::forward_model!(LinearModel, |this| this.0);

/// The model behind the check of its inputs.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    sums: Sums,
    /// (n, k).
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) link: Link,
    pub(super) input: Name,
    pub(super) features: Vec<String>,
    pub(super) classes: Vec<String>,
    signature: Signature,
}

impl Linear {
    pub(super) fn width(&self) -> usize {
        self.weights.len() / self.bias.len()
    }

    /// The number of classes, or of predictions where there are none.
    pub(super) fn classes(&self) -> usize {
        if self.link == Link::Logistic { 2 } else { self.bias.len() }
    }

    fn sign(&mut self) {
        let input = TensorSpec::new(self.input.clone(), DType::F32, [Dim::Batch, Dim::Fixed(self.width())])
            .with_features(self.features.clone());
        // Classes without names go by their index, as their labels do.
        let names = if self.classes.is_empty() && self.link != Link::Identity {
            (0..self.classes()).map(|i| i.to_string()).collect()
        } else {
            self.classes.clone()
        };
        let numbers = |name: &str| {
            TensorSpec::new(name, DType::F32, [Dim::Batch, Dim::Fixed(self.classes())]).with_features(names.clone())
        };
        let label = if self.classes.is_empty() { DType::I64 } else { DType::String };
        let outputs = match self.link {
            Link::Identity => vec![numbers("prediction")],
            Link::Logistic | Link::Softmax => {
                vec![TensorSpec::new("label", label, [Dim::Batch]), numbers("probabilities")]
            }
        };
        self.signature = Signature::new(vec![input], outputs);
    }

    /// The answers for whole rows; `lead` is `[m]`, or empty for one observation.
    #[inline]
    fn answer(&self, rows: &[f32], lead: &[usize]) -> Result<Tensors<'static>> {
        let m = rows.len() / self.width();
        let mut numbers = Vec::with_capacity(m * self.classes());
        self.sums.append(rows, &mut numbers);
        let outputs = self.signature.outputs();
        let mut answers = Tensors::with_capacity(outputs.len());
        let shape = |classes: usize| {
            let mut shape = [classes; 2];
            shape[..lead.len()].copy_from_slice(lead);
            shape
        };
        match self.link {
            Link::Identity => {}
            Link::Softmax => {
                answers.push(
                    outputs[0].name().clone(),
                    self.label(numbers.chunks_exact(self.bias.len()).map(argmax), lead)?,
                );
                softmax(&mut numbers, self.bias.len());
            }
            Link::Logistic => {
                answers
                    .push(outputs[0].name().clone(), self.label(numbers.iter().map(|&s| usize::from(s > 0.0)), lead)?);
                // Spread from the end, where there is room, so that nothing is overwritten before it is read.
                numbers.resize(2 * m, 0.0);
                for i in (0..m).rev() {
                    let second = logistic(numbers[i]);
                    (numbers[2 * i], numbers[2 * i + 1]) = (1.0 - second, second);
                }
            }
        }
        let tensor = Tensor::from_vec(&shape(self.classes())[..=lead.len()], numbers)?;
        answers.push(outputs[outputs.len() - 1].name().clone(), tensor);
        Ok(answers)
    }

    fn label(&self, classes: impl Iterator<Item = usize>, shape: &[usize]) -> Result<Tensor<'static>> {
        if self.classes.is_empty() {
            Tensor::from_vec(shape, classes.map(|i| i as i64).collect())
        } else {
            Tensor::from_vec(shape, classes.map(|i| self.classes[i].clone()).collect())
        }
    }
}

fn only<'t>(inputs: &'t Tensors<'_>) -> Result<&'t [f32]> {
    inputs.single()?.as_slice::<f32>()
}

#[deny(clippy::missing_trait_methods)]
impl Model for Linear {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let rows = only(inputs)?;
        self.answer(rows, &[rows.len() / self.width()])
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        self.answer(only(input)?, &[])
    }

    fn describe(&self) -> Description {
        let mut description = Description::new("code", "native", "one matrix product");
        description.reason = "built in code".to_owned();
        description.parameters = (self.weights.len() + self.bias.len()) as u64;
        description.bytes = 4 * description.parameters;
        description.row_independent = true;
        let operator = if self.link == Link::Identity { "Gemm" } else { "LinearClassifier" };
        description.operators = vec![(operator.to_string(), 1)];
        description
    }

    fn artifact(&self) -> Result<Artifact> {
        #[cfg(feature = "std")]
        return super::export::artifact(self);
        #[cfg(not(feature = "std"))]
        Err(Error::new(ErrorKind::FeatureDisabled, "writing ONNX needs the feature `std`"))
    }
}
