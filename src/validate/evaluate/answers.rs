use std::collections::HashMap;

use crate::tensor::shape_text;
use crate::validate::Mask;
use crate::{DType, Error, ErrorKind, Result, Signature, Tensor, TensorSpec, Tensors};

/// What a model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Task {
    /// One of several classes.
    Classification,
    /// A number.
    Regression,
}

/// Which outputs of a model are read, and what they mean.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::validate) struct Reading {
    pub(in crate::validate) task: Task,
    /// The output of labels (m,) or of numbers.
    value: Option<String>,
    /// The output of probabilities, (m, k), or of the positive class alone.
    probabilities: Option<(String, usize)>,
    /// The classes that the columns of the probabilities stand for.
    pub(in crate::validate) classes: Vec<String>,
}

/// Which outputs a suite names.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::validate) struct Wanted<'a> {
    pub(in crate::validate) task: Option<Task>,
    pub(in crate::validate) value: Option<&'a str>,
    pub(in crate::validate) probabilities: Option<&'a str>,
}

/// How many values a row of an output has: 1 for (m,) and (m, 1).
fn width(spec: &TensorSpec) -> Option<usize> {
    use crate::Dim::{Batch, Fixed};
    match spec.dims() {
        [Batch] => Some(1),
        [Batch, Fixed(k)] => Some(*k),
        [Batch, _] if !spec.features().is_empty() => Some(spec.features().len()),
        _ => None,
    }
}

impl Reading {
    /// How the outputs of `signature` are read; `labels` are the different labels of the data, in order, and whether
    /// they are numbers with fractions.
    pub(in crate::validate) fn of(
        signature: &Signature,
        wanted: Wanted<'_>,
        labels: &[String],
        fractional: bool,
    ) -> Result<Self> {
        let named = |name: &str| {
            signature.output(name).ok_or_else(|| {
                let have: Vec<&str> = signature.outputs().iter().map(|s| s.name().as_str()).collect();
                Error::new(ErrorKind::UnknownTensor, "the model has no output of this name; correct the suite")
                    .tensor(name)
                    .actual(have.join(", "))
            })
        };
        let outputs = || signature.outputs().iter().filter(|s| s.is_batched());
        let is_label = |s: &&TensorSpec| width(s) == Some(1) && !s.dtype().is_float();
        let is_probability = |s: &&TensorSpec| s.dtype().is_float() && width(s).is_some_and(|k| k > 1);
        let label = outputs().find(is_label);
        let task =
            wanted.task.unwrap_or(if !fractional && (label.is_some() || outputs().any(|s| is_probability(&s))) {
                Task::Classification
            } else {
                Task::Regression
            });
        let number = |s: &&TensorSpec| width(s) == Some(1) && s.dtype() != DType::String;
        if task == Task::Regression {
            let value = match wanted.value {
                Some(name) => Some(named(name)?).filter(number),
                None => outputs().find(|s| number(s) && s.dtype().is_float()).or_else(|| outputs().find(number)),
            };
            let value = value.ok_or_else(|| unreadable(signature, "one number a row"))?.name().to_string();
            return Ok(Self { task, value: Some(value), probabilities: None, classes: Vec::new() });
        }
        let value = match wanted.value {
            Some(name) => Some(named(name)?),
            None => label,
        };
        let probabilities = match wanted.probabilities {
            Some(name) => Some(named(name)?),
            None => outputs()
                .find(is_probability)
                .or_else(|| outputs().find(|s| s.dtype().is_float() && width(s) == Some(1))),
        };
        if value.is_none() && probabilities.is_none() {
            return Err(unreadable(signature, "labels or probabilities"));
        }
        let k = probabilities.and_then(width);
        let classes = match (probabilities, k) {
            (Some(spec), Some(k)) if k > 1 && spec.features().len() == k => spec.features().to_vec(),
            (_, Some(k)) if labels.len() == k.max(2) => labels.to_vec(),
            // Without names the columns are the classes 0, 1, ...
            (_, Some(k)) => (0..k.max(2)).map(|c| c.to_string()).collect(),
            _ => Vec::new(),
        };
        let probabilities = match (probabilities, k) {
            (Some(spec), Some(k)) => Some((spec.name().to_string(), k)),
            (Some(spec), None) => {
                return Err(Error::new(ErrorKind::WrongShape, "an output of this shape holds no probabilities")
                    .tensor(spec.name())
                    .expected("(m, k)")
                    .actual(spec.shape_text()));
            }
            _ => None,
        };
        Ok(Self { task, value: value.map(|s| s.name().to_string()), probabilities, classes })
    }
}

fn unreadable(signature: &Signature, what: &str) -> Error {
    let outputs: Vec<String> = signature.outputs().iter().map(ToString::to_string).collect();
    Error::new(
        ErrorKind::InvalidArgument,
        format!("no output of the model gives {what}; name one in the suite's `[outputs]`"),
    )
    .actual(outputs.join("; "))
}

/// The classes by name, with numbers in the order in which they were met.
#[derive(Debug, Clone, Default)]
pub(in crate::validate) struct Classes {
    pub(in crate::validate) names: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Classes {
    pub(in crate::validate) fn number(&mut self, name: &str) -> u32 {
        // Numbers written as 1, 1.0 and "1" are one class.
        let name = name.strip_suffix(".0").unwrap_or(name);
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.to_string());
        self.numbers.insert(name.to_string(), number);
        number
    }

    pub(in crate::validate) fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name.strip_suffix(".0").unwrap_or(name)).copied()
    }
}

/// What a model answered for a run of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::validate) struct Answers {
    /// The predicted class of each row, in classification.
    pub(in crate::validate) predicted: Vec<u32>,
    /// The predicted number of each row, in regression.
    pub(in crate::validate) values: Vec<f64>,
    /// The probabilities (m, k), row by row.
    pub(in crate::validate) probabilities: Vec<f64>,
    /// The class of each column of the probabilities.
    pub(in crate::validate) columns: Vec<u32>,
}

impl Answers {
    /// Adds the answers of a batch.
    pub(in crate::validate) fn push(
        &mut self,
        outputs: &Tensors<'_>,
        reading: &Reading,
        classes: &mut Classes,
    ) -> Result<()> {
        let Some((name, k)) = reading.probabilities.as_ref() else {
            return match (&reading.value, reading.task) {
                (Some(name), Task::Regression) => {
                    numbers(outputs.tensor(name)?, &mut self.values).map_err(|e| e.tensor(name))
                }
                (Some(name), Task::Classification) => {
                    self.labels(outputs.tensor(name)?, classes).map_err(|e| e.tensor(name))
                }
                (None, _) => Ok(()),
            };
        };
        if self.columns.is_empty() {
            self.columns = reading.classes.iter().map(|c| classes.number(c)).collect();
        }
        let from = self.probabilities.len();
        if *k == 1 {
            let mut positive = Vec::new();
            numbers(outputs.tensor(name)?, &mut positive).map_err(|e| e.tensor(name))?;
            self.probabilities.extend(positive.into_iter().flat_map(|p| [1.0 - p, p]));
        } else {
            numbers(outputs.tensor(name)?, &mut self.probabilities).map_err(|e| e.tensor(name))?;
        }
        match &reading.value {
            Some(name) => self.labels(outputs.tensor(name)?, classes).map_err(|e| e.tensor(name)),
            None => {
                let width = self.columns.len();
                for row in self.probabilities[from..].chunks_exact(width) {
                    let mut best = 0;
                    for (i, p) in row.iter().enumerate() {
                        if *p > row[best] || (width == 2 && i == 1 && *p >= row[0]) {
                            best = i;
                        }
                    }
                    self.predicted.push(self.columns[best]);
                }
                Ok(())
            }
        }
    }

    fn labels(&mut self, tensor: &Tensor<'_>, classes: &mut Classes) -> Result<()> {
        match tensor {
            Tensor::String(a) => self.predicted.extend(a.iter().map(|s| classes.number(s))),
            Tensor::Bool(a) => {
                self.predicted.extend(a.iter().map(|b| classes.number(if *b { "true" } else { "false" })))
            }
            _ => {
                let mut values = Vec::new();
                numbers(tensor, &mut values)?;
                let mut last: Option<(f64, u32)> = None;
                for value in values {
                    let class = match last {
                        Some((v, class)) if v == value => class,
                        _ => classes.number(&value.to_string()),
                    };
                    last = Some((value, class));
                    self.predicted.push(class);
                }
            }
        }
        Ok(())
    }

    /// The probability of `class` in `row`.
    pub(in crate::validate) fn probability(&self, row: usize, class: u32) -> Option<f64> {
        let column = self.columns.iter().position(|c| *c == class)?;
        self.probabilities.get(row * self.columns.len() + column).copied()
    }

    /// The number by which a behaviour compares `row`: the predicted number, or the probability of `class`.
    pub(in crate::validate) fn number(&self, row: usize, class: Option<u32>) -> Option<f64> {
        match class {
            Some(class) => self.probability(row, class),
            None => self.values.get(row).copied(),
        }
    }
}

fn numbers(tensor: &Tensor<'_>, into: &mut Vec<f64>) -> Result<()> {
    macro_rules! each {
        ($($variant:ident),*) => {
            match tensor {
                $(Tensor::$variant(a) => into.extend(a.iter().map(|x| f64::from(*x))),)*
                Tensor::I64(a) => into.extend(a.iter().map(|x| *x as f64)),
                Tensor::U64(a) => into.extend(a.iter().map(|x| *x as f64)),
                other => {
                    return Err(Error::new(ErrorKind::WrongType, "the output holds no numbers")
                        .expected("numbers")
                        .actual(format!("{} {}", other.dtype(), shape_text(other.shape()))));
                }
            }
        };
    }
    each!(Bool, U8, U16, U32, I8, I16, I32, F16, Bf16, F32, F64);
    Ok(())
}

/// Which rows are measured.
#[derive(Debug, Clone, Copy)]
pub(in crate::validate) enum Rows<'m> {
    All,
    In(&'m Mask),
    NotIn(&'m Mask),
}

impl Rows<'_> {
    #[inline]
    pub(in crate::validate) fn has(&self, row: usize) -> bool {
        match self {
            Self::All => true,
            Self::In(mask) => mask.get(row),
            Self::NotIn(mask) => !mask.get(row),
        }
    }
}
