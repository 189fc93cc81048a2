//! A packed model as a [`Model`], so that a host can ask what a device will answer.

use std::collections::HashMap;
use std::sync::Arc;

use crate::edge::{self, Kind, Packed, Parts, Port};
use crate::half::{bf16, f16};
use crate::load::Source;
use crate::{
    Artifact, Checked, DType, Description, Dim, Error, ErrorKind, Loader, Model, Result, Signature, Tensor, TensorSpec,
    Tensors,
};

/// The packed model in a file.
///
/// # Errors
/// [`ErrorKind::Malformed`] for bytes that are none, [`ErrorKind::LimitExceeded`] for one that needs too much memory.
pub(crate) fn load(source: &Source, loader: &Loader) -> Result<Arc<dyn Model>> {
    let file = source.main_file();
    let bytes: Arc<[u8]> = (*source.bytes).into();
    let packed = Packed::new(&bytes).map_err(told)?;
    let floats = packed.scratch_len().max(packed.output_len());
    if floats > loader.limits.max_elements {
        let what = "the packed model needs more memory than `Limits::max_elements` allows";
        return Err(Error::new(ErrorKind::LimitExceeded, what).expected(loader.limits.max_elements).actual(floats));
    }
    // Nobody else can give an answer about all observations for each of them.
    if packed.inputs().any(|port| !port.is_whole()) && packed.outputs().any(|port| port.is_whole()) {
        return Err(told(edge::Error::Malformed));
    }
    let signature =
        Signature::new(packed.inputs().map(|p| spec(&p)).collect(), packed.outputs().map(|p| spec(&p)).collect());
    let mut description = Description::new("packed", "edge", "edge 1");
    description.reason = "the one evaluator of packed models".to_owned();
    description.parameters = packed.parameters() as u64;
    description.bytes = bytes.len() as u64;
    description.row_independent = true;
    description.notes.push(format!("{} bytes of scratch for an observation", packed.scratch_len() * size_of::<f32>()));
    let codes = packed.texts().enumerate().map(|(i, text)| (text.to_owned(), i as f32)).collect();
    let artifact = Artifact { format: "packed".to_owned(), files: vec![file] };
    let parts = packed.parts();
    let model = PackedModel { bytes, parts, codes, signature, description, artifact };
    Ok(Arc::new(Checked::new(model).cast(loader.cast)))
}

#[derive(Debug)]
struct PackedModel {
    bytes: Arc<[u8]>,
    parts: Parts,
    /// What stands for each text.
    codes: HashMap<String, f32>,
    signature: Signature,
    description: Description,
    artifact: Artifact,
}

fn told(error: edge::Error) -> Error {
    Error::new(ErrorKind::Malformed, error.to_string())
}

fn spec(port: &Port<'_>) -> TensorSpec {
    let dtype = match port.kind {
        Kind::F32 => DType::F32,
        Kind::F64 => DType::F64,
        Kind::F16 => DType::F16,
        Kind::Bf16 => DType::Bf16,
        Kind::I64 => DType::I64,
        Kind::I32 => DType::I32,
        Kind::I16 => DType::I16,
        Kind::I8 | Kind::I4 => DType::I8,
        Kind::U64 => DType::U64,
        Kind::U32 => DType::U32,
        Kind::U16 => DType::U16,
        Kind::U8 | Kind::U4 => DType::U8,
        Kind::Bool => DType::Bool,
        Kind::Text => DType::String,
    };
    let batch = (!port.is_whole()).then_some(Dim::Batch);
    TensorSpec::new(port.name(), dtype, batch.into_iter().chain(port.dims().map(Dim::Fixed)).collect::<Vec<_>>())
}

/// The elements of a tensor as the evaluator takes them; `code` tells what stands for a text.
pub(crate) fn floats(tensor: &Tensor<'_>, mut code: impl FnMut(&str) -> f32) -> Result<Vec<f32>> {
    macro_rules! of {
        ($type:ty) => {
            tensor.as_slice::<$type>()?.iter().map(|x| *x as f32).collect()
        };
    }
    Ok(match tensor.dtype() {
        DType::F32 => tensor.as_slice::<f32>()?.to_vec(),
        DType::F64 => of!(f64),
        DType::F16 => tensor.as_slice::<f16>()?.iter().map(|x| x.to_f32()).collect(),
        DType::Bf16 => tensor.as_slice::<bf16>()?.iter().map(|x| x.to_f32()).collect(),
        DType::I64 => of!(i64),
        DType::I32 => of!(i32),
        DType::I16 => of!(i16),
        DType::I8 => of!(i8),
        DType::U64 => of!(u64),
        DType::U32 => of!(u32),
        DType::U16 => of!(u16),
        DType::U8 => of!(u8),
        DType::Bool => tensor.as_slice::<bool>()?.iter().map(|x| f32::from(u8::from(*x))).collect(),
        DType::String => tensor.as_slice::<String>()?.iter().map(|x| code(x)).collect(),
    })
}

/// Evaluates `$body` with `$values` bound to the floats that `$items` gives as a vector of the element type of `$kind`; `$text`
/// makes of a float the text for which it stands.
macro_rules! as_kind {
    (@cast $type:ty, $items:expr, $values:ident => $body:expr) => {{
        let $values: Vec<$type> = $items.map(|x| x as $type).collect();
        $body
    }};
    (@with $make:expr, $items:expr, $values:ident => $body:expr) => {{
        let $values: Vec<_> = $items.map($make).collect();
        $body
    }};
    ($kind:expr, $items:expr, $text:expr, $values:ident => $body:expr) => {{
        use $crate::edge::Kind;
        match $kind {
            Kind::F32 => {
                let $values: Vec<f32> = $items.collect();
                $body
            }
            Kind::F64 => as_kind!(@cast f64, $items, $values => $body),
            Kind::F16 => as_kind!(@with $crate::half::f16::from_f32, $items, $values => $body),
            Kind::Bf16 => as_kind!(@with $crate::half::bf16::from_f32, $items, $values => $body),
            Kind::I64 => as_kind!(@cast i64, $items, $values => $body),
            Kind::I32 => as_kind!(@cast i32, $items, $values => $body),
            Kind::I16 => as_kind!(@cast i16, $items, $values => $body),
            Kind::I8 | Kind::I4 => as_kind!(@cast i8, $items, $values => $body),
            Kind::U64 => as_kind!(@cast u64, $items, $values => $body),
            Kind::U32 => as_kind!(@cast u32, $items, $values => $body),
            Kind::U16 => as_kind!(@cast u16, $items, $values => $body),
            Kind::U8 | Kind::U4 => as_kind!(@cast u8, $items, $values => $body),
            Kind::Bool => as_kind!(@with |x| x != 0.0, $items, $values => $body),
            Kind::Text => as_kind!(@with $text, $items, $values => $body),
        }
    }};
}
#[cfg(feature = "optimize")]
pub(crate) use as_kind;

/// The answers of all observations for one output, `all` being (m, n) with the output's numbers from column `at` on.
fn answer(packed: &Packed<'_>, port: &Port<'_>, m: usize, all: &[f32], at: usize) -> Result<Tensor<'static>> {
    let n = packed.output_len().max(1);
    let items = all.chunks_exact(n).take(m).flat_map(|row| &row[at..at + port.len()]).copied();
    let shape: Vec<usize> = (!port.is_whole()).then_some(m).into_iter().chain(port.dims()).collect();
    let texts: Vec<&str> = if port.is_text() { packed.texts().collect() } else { Vec::new() };
    let text = |x: f32| if x >= 0.0 { texts.get(x as usize).map_or("", |text| text).to_owned() } else { String::new() };
    as_kind!(port.kind, items, text, values => Tensor::from_vec(&shape, values))
}

#[deny(clippy::missing_trait_methods)]
impl Model for PackedModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn predict_batch(&self, inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        let packed = Packed::of_parts(&self.bytes, self.parts);
        // Without a batch axis the whole is one observation.
        let batched = packed.inputs().position(|port| !port.is_whole());
        let m = batched.map_or(1, |i| inputs.iter().nth(i).map_or(0, |(_, tensor)| tensor.shape()[0]));
        let code = |text: &str| self.codes.get(text).copied().unwrap_or(-1.0);
        let columns = inputs.iter().map(|(_, tensor)| floats(tensor, code)).collect::<Result<Vec<_>>>()?;
        let widths: Vec<(bool, usize)> = packed.inputs().map(|port| (port.is_whole(), port.len())).collect();
        let n = packed.output_len();
        let mut all = vec![0.0; m * n];
        let mut row = Vec::with_capacity(packed.input_len());
        let mut scratch = vec![0.0; packed.scratch_len()];
        for i in 0..m {
            row.clear();
            for (column, (whole, width)) in columns.iter().zip(&widths) {
                let at = if *whole { 0 } else { i * width };
                row.extend_from_slice(&column[at..at + width]);
            }
            packed.predict(&row, &mut scratch, &mut all[i * n..(i + 1) * n]).map_err(told)?;
        }
        let mut answers = Tensors::with_capacity(self.signature.outputs().len());
        let mut at = 0;
        for (port, spec) in packed.outputs().zip(self.signature.outputs()) {
            answers.push(spec.name().clone(), answer(&packed, &port, m, &all, at)?);
            at += port.len();
        }
        Ok(answers)
    }

    fn predict(&self, input: &Tensors<'_>) -> Result<Tensors<'static>> {
        crate::model::predict_as_batch(self, input)
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }

    fn artifact(&self) -> Result<Artifact> {
        Ok(self.artifact.clone())
    }
}
