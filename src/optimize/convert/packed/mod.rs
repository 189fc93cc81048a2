//! Graphs in the packed form of [`edge`](crate::edge).

mod dag;
mod flow;
mod learned;
mod machines;
mod network;
mod program;
mod quantised;
mod recurrent;
mod shapes;
mod standard;
mod trees;
mod values;

use self::program::Port;
use self::values::{Data, Packer, Value};
use crate::edge::Kind;
use crate::onnx::{ExternalData, ModelProto};
use crate::{DType, Dim, Error, ErrorKind, Limits, Result, Signature, TensorSpec};

/// The packed form of a graph that has this signature when it is loaded; `external` has the constants that lie in files of
/// their own.
///
/// # Errors
/// [`ErrorKind::Unsupported`], with the node, for what has no packed form.
pub(super) fn convert(
    model: &ModelProto,
    external: ExternalData,
    signature: &Signature,
    limits: &Limits,
) -> Result<Vec<u8>> {
    let Some(graph) = model.graph.as_deref() else {
        return Err(Error::new(ErrorKind::Malformed, "the file has no graph"));
    };
    let opset = model.opset_import.iter().find(|o| o.domain.as_deref().unwrap_or_default().is_empty());
    let opset = opset.and_then(|o| o.version).unwrap_or(1);
    let mut packer = Packer { opset, external: Some(external), max_elements: limits.max_elements, ..Packer::default() };
    for tensor in &graph.initializer {
        packer.constant_tensor(tensor)?;
    }
    let mut inputs = Vec::new();
    for spec in signature.inputs() {
        let (kind, dims) = (kind_of(spec)?, dims_of(spec)?);
        let span = packer.program.claim(dims.iter().product());
        inputs.push(Port { name: spec.name().to_string(), kind, dims: dims.clone(), span });
        let shape: Vec<usize> = [1].into_iter().chain(dims).collect();
        packer.values.insert(spec.name().to_string(), Value::slot(&shape, kind, span));
    }
    for node in &graph.node {
        packer.node(node)?;
    }
    let mut outputs = Vec::new();
    for spec in signature.outputs() {
        let value = packer.values.get(spec.name().as_str()).cloned();
        let value = value.ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, "an output that no node of the graph gives").tensor(spec.name())
        })?;
        let span = match &value.data {
            Data::Slot(span) => *span,
            Data::Known(items) => packer.program.constant(items),
        };
        let dims = match value.shape.as_slice() {
            [1, dims @ ..] if spec.dims().len() == dims.len() + 1 => dims.to_vec(),
            _ => dims_of(spec)?,
        };
        if dims.iter().product::<usize>() != span.len {
            return Err(Error::new(ErrorKind::Unsupported, "an output of another size than the model promises")
                .tensor(spec.name())
                .expected(crate::tensor::shape_text(&dims))
                .actual(crate::tensor::shape_text(&value.shape)));
        }
        outputs.push(Port { name: spec.name().to_string(), kind: kind_of(spec)?, dims, span });
    }
    packer.program.finish(&inputs, &outputs)
}

fn kind_of(spec: &TensorSpec) -> Result<Kind> {
    Ok(match spec.dtype() {
        DType::F32 | DType::F64 => Kind::F32,
        DType::I64 | DType::I32 => Kind::I64,
        DType::Bool => Kind::Bool,
        DType::String => Kind::Text,
        other => {
            let what = "inputs and outputs of this type have no packed form";
            return Err(Error::new(ErrorKind::Unsupported, what).tensor(spec.name()).actual(other));
        }
    })
}

/// The shape of one observation.
fn dims_of(spec: &TensorSpec) -> Result<Vec<usize>> {
    let dims = match spec.dims() {
        [Dim::Batch, dims @ ..] => dims,
        _ => {
            let what = "a model without a batch axis has no packed form: that answers one observation";
            return Err(Error::new(ErrorKind::Unsupported, what).tensor(spec.name()));
        }
    };
    let size = |dim: &Dim| if let Dim::Fixed(n) = dim { Some(*n) } else { None };
    dims.iter().map(size).collect::<Option<Vec<_>>>().ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "sizes that stay open have no packed form").tensor(spec.name())
    })
}
