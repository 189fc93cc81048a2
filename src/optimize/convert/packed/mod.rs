//! Graphs in the packed form of [`edge`](crate::edge).

mod activations;
mod attention;
mod dag;
mod determinant;
mod einsum;
mod flow;
mod grams;
mod learned;
mod machines;
mod network;
mod norms;
mod program;
mod quantised;
mod recurrent;
mod regions;
mod resize;
mod sampled;
mod scatter;
mod sequences;
mod shapes;
mod standard;
mod states;
mod training;
mod trees;
mod trial;
mod unrolled;
mod values;
mod windows;

use self::program::Port;
use self::values::{Data, Packer, Value};
use crate::backend::{inline, rewrite};
use crate::edge::Kind;
use crate::onnx::{AttributeProto, ExternalData, ModelProto, attribute_type, builder};
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
    sizes: &[(String, usize)],
    limits: &Limits,
) -> Result<Vec<u8>> {
    if let Some((name, _)) =
        sizes.iter().find(|(name, _)| !signature.inputs().iter().any(|spec| leaves_open(spec, name)))
    {
        let open = signature.inputs().iter().flat_map(open_sizes).collect::<Vec<_>>().join(", ");
        return Err(Error::new(ErrorKind::InvalidArgument, "the model leaves no size of this name open")
            .expected(if open.is_empty() { "none: all sizes are known".to_owned() } else { format!("one of {open}") })
            .actual(name));
    }
    let inlined = inline::inline_functions(model)?;
    let Some(mut graph) = inlined.or_else(|| model.graph.as_deref().cloned()) else {
        return Err(Error::new(ErrorKind::Malformed, "the file has no graph"));
    };
    let opset = model.opset_import.iter().find(|o| o.domain.as_deref().unwrap_or_default().is_empty());
    let opset = opset.and_then(|o| o.version).unwrap_or(1);
    let ranks = rewrite::ranks(&graph);
    rewrite::rewrite(rewrite::Reader::Packer, &mut graph, opset, &ranks, limits)?;
    let mut packer = Packer {
        opset,
        opsets: model.opset_import.clone(),
        external: Some(external),
        max_elements: limits.max_elements,
        ..Packer::default()
    };
    for tensor in &graph.initializer {
        packer.constant_tensor(tensor)?;
    }
    for sparse in &graph.sparse_initializer {
        let mut value = AttributeProto { name: Some("sparse_value".to_owned()), ..AttributeProto::default() };
        value.r#type = Some(attribute_type::SPARSE_TENSOR);
        value.sparse_tensor = Some(Box::new(sparse.clone()));
        let name = sparse.values.as_ref().and_then(|v| v.name.clone()).unwrap_or_default();
        packer.node(&builder::node("Constant", "", &[], &[&name], [value]))?;
    }
    let mut inputs = Vec::new();
    for spec in signature.inputs() {
        let (kind, dims, whole) = (kind_of(spec.dtype()), dims_of(spec, sizes)?, !spec.is_batched());
        let span = packer.program.claim(dims.iter().product());
        inputs.push(Port { name: spec.name().to_string(), kind, whole, dims: dims.clone(), span });
        let shape: Vec<usize> = spec.is_batched().then_some(1).into_iter().chain(dims).collect();
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
        let whole = !signature.is_batched();
        if !whole && !spec.is_batched() {
            let what = "an output without a batch axis has no packed form where inputs have one";
            return Err(Error::new(ErrorKind::Unsupported, what).tensor(spec.name()));
        }
        let dims = match value.shape.as_slice() {
            _ if whole => value.shape.clone(),
            [1, dims @ ..] if spec.dims().len() == dims.len() + 1 => dims.to_vec(),
            _ => dims_of(spec, sizes)?,
        };
        if dims.iter().product::<usize>() != span.len {
            return Err(Error::new(ErrorKind::Unsupported, "an output of another size than the model promises")
                .tensor(spec.name())
                .expected(crate::tensor::shape_text(&dims))
                .actual(crate::tensor::shape_text(&value.shape)));
        }
        outputs.push(Port { name: spec.name().to_string(), kind: kind_of(spec.dtype()), whole, dims, span });
    }
    packer.program.finish(&inputs, &outputs)
}

const fn kind_of(dtype: DType) -> Kind {
    match dtype {
        DType::F32 => Kind::F32,
        DType::F64 => Kind::F64,
        DType::F16 => Kind::F16,
        DType::Bf16 => Kind::Bf16,
        DType::I64 => Kind::I64,
        DType::I32 => Kind::I32,
        DType::I16 => Kind::I16,
        DType::I8 => Kind::I8,
        DType::U64 => Kind::U64,
        DType::U32 => Kind::U32,
        DType::U16 => Kind::U16,
        DType::U8 => Kind::U8,
        DType::Bool => Kind::Bool,
        DType::String => Kind::Text,
    }
}

/// What `name` in a list of sizes says of axis `axis` of `spec`.
fn names(name: &str, spec: &TensorSpec, axis: usize) -> bool {
    let at =
        || name.rsplit_once(':').is_some_and(|(input, at)| input == spec.name().as_str() && at.parse() == Ok(axis));
    match &spec.dims()[axis] {
        Dim::Named(symbol) => symbol == name || at(),
        Dim::Any => at(),
        Dim::Fixed(_) | Dim::Batch => false,
    }
}

fn leaves_open(spec: &TensorSpec, name: &str) -> bool {
    (0..spec.dims().len()).any(|axis| names(name, spec, axis))
}

/// The names under which open sizes can be set.
fn open_sizes(spec: &TensorSpec) -> impl Iterator<Item = String> + '_ {
    spec.dims().iter().enumerate().filter_map(|(axis, dim)| match dim {
        Dim::Named(symbol) => Some(symbol.clone()),
        Dim::Any => Some(format!("{}:{axis}", spec.name())),
        Dim::Fixed(_) | Dim::Batch => None,
    })
}

/// The shape of one observation, or of the whole.
fn dims_of(spec: &TensorSpec, sizes: &[(String, usize)]) -> Result<Vec<usize>> {
    let size = |axis: usize| match &spec.dims()[axis] {
        Dim::Fixed(n) => Some(*n),
        Dim::Batch => None,
        Dim::Named(_) | Dim::Any => sizes.iter().find(|(name, _)| names(name, spec, axis)).map(|(_, n)| *n),
    };
    let dims = usize::from(spec.is_batched())..spec.dims().len();
    dims.map(size).collect::<Option<Vec<_>>>().ok_or_else(|| {
        let open = open_sizes(spec).collect::<Vec<_>>().join(", ");
        Error::new(
            ErrorKind::Unsupported,
            "sizes that stay open have no packed form; say what they are to be, as NAME=N",
        )
        .tensor(spec.name())
        .actual(open)
    })
}
