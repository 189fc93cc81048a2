use std::sync::Arc;

use crate::{Artifact, Description, Error, ErrorKind, Model, Result, Signature, Tensors};

/// A model of which only some outputs are given, in another order.
#[derive(Debug)]
pub(crate) struct Selected {
    model: Arc<dyn Model>,
    signature: Signature,
}

impl Selected {
    pub(crate) fn new(model: Arc<dyn Model>, names: &[String]) -> Result<Self> {
        let of = |name: &String| {
            model.signature().output(name).cloned().ok_or_else(|| {
                let known: Vec<&str> = model.signature().outputs().iter().map(|s| s.name().as_str()).collect();
                Error::new(ErrorKind::UnknownTensor, "the model has no output of this name")
                    .tensor(name)
                    .expected(known.join(", "))
            })
        };
        let outputs = names.iter().map(of).collect::<Result<Vec<_>>>()?;
        let signature = Signature::new(model.signature().inputs().to_vec(), outputs);
        Ok(Self { model, signature })
    }

    fn pick(&self, mut answers: Tensors<'static>) -> Result<Tensors<'static>> {
        let outputs = self.signature.outputs();
        outputs.iter().map(|spec| Ok((spec.name().clone(), answers.take(spec.name())?))).collect()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Model for Selected {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        self.pick(self.model.predict_batch(inputs)?)
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        self.pick(self.model.predict(input)?)
    }

    fn describe(&self) -> Description {
        self.model.describe()
    }

    fn artifact(&self) -> Result<Artifact> {
        self.model.artifact()
    }
}
