//! Our side, as a host writes it: borrowed rows in, owned tensors out.

use std::hint::black_box;
use std::sync::Arc;

use modelberth::{DType, Element, Loader, Model, Tensor, Tensors, tensors};
use ndarray::ArrayD;

use super::{Answer, Caller};
use crate::Fault;
use crate::case::{Case, Pool, rows};

pub struct Ours<'c> {
    case: &'c Case,
    batch: usize,
    /// `(batch, ...)`, or without the batch axis where one row is asked at a time.
    shapes: Vec<Vec<usize>>,
    model: Arc<dyn Model>,
}

impl<'c> Ours<'c> {
    pub fn load(case: &'c Case, batch: usize, threads: usize) -> Result<Self, Fault> {
        let mut loader = Loader::new().threads(threads);
        if let Some(engine) = &case.engine {
            loader = loader.tree_engine(engine.parse().map_err(told)?);
        }
        if let Some(backend) = &case.backend {
            loader = loader.backend(backend.parse().map_err(told)?);
        }
        let model = loader.load(&case.model).map_err(told)?;
        let skipped = usize::from(batch == 1);
        let shapes = case.inputs.iter().map(|i| i.pool.window_shape(batch)[skipped..].to_vec()).collect();
        let ours = Self { case, batch, shapes, model };
        ours.run(0)?;
        Ok(ours)
    }

    fn tensor(&self, input: usize, at: usize) -> Result<Tensor<'c>, modelberth::Error> {
        match &self.case.inputs[input].pool {
            Pool::F32(pool) => self.borrowed(pool, input, at),
            Pool::F64(pool) => self.borrowed(pool, input, at),
            Pool::I64(pool) => self.borrowed(pool, input, at),
            Pool::Text(pool) => self.borrowed(pool, input, at),
        }
    }

    fn borrowed<T: Element>(
        &self,
        pool: &'c ArrayD<T>,
        input: usize,
        at: usize,
    ) -> Result<Tensor<'c>, modelberth::Error> {
        let rows = rows(pool, self.batch, at);
        match self.shapes[input].as_slice() {
            [_] => Ok(Tensor::from(rows)),
            shape => Tensor::from_slice(shape, rows),
        }
    }

    fn run(&self, at: usize) -> Result<Tensors<'static>, Fault> {
        let inputs = match self.case.inputs.as_slice() {
            [_] => tensors! { self.model.signature().inputs()[0].name().as_str() => self.tensor(0, at).map_err(told)? }
                .map_err(told)?,
            several => {
                let mut inputs = Tensors::with_capacity(several.len());
                for (i, input) in several.iter().enumerate() {
                    let tensor = self.tensor(i, at).map_err(told)?;
                    inputs.insert(input.name.as_str(), tensor).map_err(told)?;
                }
                inputs
            }
        };
        let answers = if self.batch == 1 { self.model.predict(&inputs) } else { self.model.predict_batch(&inputs) };
        answers.map_err(told)
    }
}

/// An error with its causes, on one line.
fn told(error: modelberth::Error) -> Fault {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    text.replace('\n', " ").into()
}

impl Caller for Ours<'_> {
    fn call(&mut self, window: usize) -> Result<(), Fault> {
        black_box(self.run(window)?.at(0));
        Ok(())
    }

    fn answers(&mut self) -> Result<Vec<Answer>, Fault> {
        let answer = |tensor: &Tensor<'_>| match tensor.dtype() {
            DType::String => Ok(Answer::Texts(tensor.view::<String>().map_err(told)?.iter().cloned().collect())),
            _ => {
                let numbers = tensor.to_dense().cast(DType::F64).map_err(told)?;
                Ok(Answer::Numbers(numbers.view::<f64>().map_err(told)?.iter().copied().collect()))
            }
        };
        self.run(0)?.iter().map(|(_, tensor)| answer(tensor)).collect()
    }
}
