//! A graph run for the values inside it: what calibration and comparisons layer by layer look at.

use super::compile::{self, Context};
use super::op::Scratch;
use super::program::Program;
use super::value::Value;
use crate::backend::inline;
use crate::onnx::{ExternalData, ModelProto};
use crate::{Error, ErrorKind, Limits, Result, Tensor, Tensors, TreeEngine};

/// A compiled graph that gives chosen values, which need not be its outputs. Nothing is fused.
#[derive(Debug)]
pub(crate) struct Tap {
    program: Program,
    limits: Limits,
    inputs: Vec<String>,
}

impl Tap {
    /// Compiles the graph of `model` so that it gives the values called `names`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for an operator that the backend `native` lacks; else as loading.
    pub(crate) fn new(
        model: &ModelProto,
        external: Option<ExternalData>,
        names: &[String],
        limits: &Limits,
    ) -> Result<Self> {
        let missing = || Error::new(ErrorKind::Malformed, "the model holds no graph");
        let inlined = inline::inline_functions(model)?;
        let graph = inlined.as_ref().or(model.graph.as_deref()).ok_or_else(missing)?;
        let domain = |name: Option<&str>| match name.unwrap_or_default() {
            "ai.onnx" => String::new(),
            name => name.to_owned(),
        };
        let context = Context {
            opsets: model.opset_import.iter().map(|o| (domain(o.domain.as_deref()), o.version.unwrap_or(1))).collect(),
            limits: *limits,
            external,
            tree_engine: TreeEngine::Auto,
            row_ranges: false,
        };
        let program = compile::compile(&context, graph, Some(names), None)?.program;
        let constant = |name: &str| graph.initializer.iter().any(|t| t.name.as_deref() == Some(name));
        let inputs = graph.input.iter().filter_map(|i| i.name.clone()).filter(|name| !constant(name)).collect();
        Ok(Self { program, limits: *limits, inputs })
    }

    /// The values for these inputs, in the order in which they were asked for.
    ///
    /// # Errors
    /// [`ErrorKind::MissingInput`]; else what an operator says.
    pub(crate) fn run(&self, inputs: &Tensors<'_>) -> Result<Vec<Tensor<'static>>> {
        let values =
            self.inputs.iter().map(|name| Value::from_tensor(inputs.tensor(name)?)).collect::<Result<Vec<_>>>()?;
        let outs = self.program.run(values, &mut Scratch::new(self.limits))?;
        outs.into_iter().map(|value| value.into_static().into_tensor()).collect()
    }
}
