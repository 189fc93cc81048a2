//! tract: the model is loaded for the very batch size, which is its fastest form.

use std::hint::black_box;

use tract_onnx::prelude::*;

use super::{Answer, Caller, contained};
use crate::Fault;
use crate::case::{Case, Pool, rows};

pub struct Tract<'c> {
    case: &'c Case,
    batch: usize,
    shapes: Vec<Vec<usize>>,
    /// Kept from call to call: making one allocates.
    state: TypedSimpleState,
}

impl<'c> Tract<'c> {
    pub fn load(case: &'c Case, batch: usize) -> Result<Self, Fault> {
        // What exporters write about shapes in between is refused by tract in some files, and not needed.
        contained(|| Self::load_with(case, batch, false)).or_else(|_| contained(|| Self::load_with(case, batch, true)))
    }

    fn load_with(case: &'c Case, batch: usize, ignore_shapes: bool) -> Result<Self, Fault> {
        let reader = tract_onnx::onnx().with_ignore_value_info(ignore_shapes).with_ignore_output_shapes(ignore_shapes);
        let mut model = reader.model_for_path(&case.onnx).map_err(told)?;
        let mut shapes = Vec::new();
        for (i, input) in case.inputs.iter().enumerate() {
            let shape = input.pool.window_shape(batch);
            let kind = match input.pool {
                Pool::F32(_) => f32::datum_type(),
                Pool::F64(_) => f64::datum_type(),
                Pool::I64(_) => i64::datum_type(),
                Pool::Text(_) => String::datum_type(),
            };
            model.set_input_fact(i, InferenceFact::dt_shape(kind, &shape)).map_err(told)?;
            shapes.push(shape);
        }
        let plan = model.into_optimized().and_then(|m| m.into_runnable()).map_err(told)?;
        let state = plan.spawn().map_err(told)?;
        let mut tract = Self { case, batch, shapes, state };
        tract.run(0)?;
        Ok(tract)
    }

    fn run(&mut self, at: usize) -> Result<TVec<TValue>, Fault> {
        let mut values = tvec![];
        for (input, shape) in self.case.inputs.iter().zip(&self.shapes) {
            let tensor = match &input.pool {
                Pool::F32(pool) => Tensor::from_shape(shape, rows(pool, self.batch, at)),
                Pool::F64(pool) => Tensor::from_shape(shape, rows(pool, self.batch, at)),
                Pool::I64(pool) => Tensor::from_shape(shape, rows(pool, self.batch, at)),
                Pool::Text(pool) => {
                    tract_ndarray::ArrayD::from_shape_vec(shape.as_slice(), rows(pool, self.batch, at).to_vec())
                        .map(Tensor::from)
                        .map_err(TractError::from)
                }
            };
            values.push(tensor.map_err(told)?.into());
        }
        self.state.run(values).map_err(told)
    }
}

fn told(error: TractError) -> Fault {
    format!("{error:#}").replace('\n', " ").into()
}

impl Caller for Tract<'_> {
    fn call(&mut self, window: usize) -> Result<(), Fault> {
        for value in self.run(window)? {
            black_box(value.as_bytes().first());
        }
        Ok(())
    }

    fn answers(&mut self) -> Result<Vec<Answer>, Fault> {
        let answer = |value: TValue| {
            if let Ok(texts) = value.to_plain_array_view::<String>() {
                return Ok(Answer::Texts(texts.iter().cloned().collect()));
            }
            let numbers = value.cast_to::<f64>().map_err(told)?;
            let numbers = numbers.to_plain_array_view::<f64>().map_err(told)?;
            Ok(Answer::Numbers(numbers.iter().copied().collect()))
        };
        self.run(0)?.into_iter().map(answer).collect()
    }
}
