//! Which tensor goes where, settled once when a composed model is built.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::{DType, Description, Dim, Error, ErrorKind, Model, Name, Result, Tensor, TensorSpec, Tensors};

/// A model inside a composed one.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) model: Arc<dyn Model>,
}

impl Part {
    /// Asks the part; its failures name it.
    pub(super) fn ask(&self, role: &str, inputs: &Tensors<'_>, one: bool) -> Result<Tensors<'static>> {
        // A part without a batch axis is asked for its declared shapes either way.
        let answer = if one && self.model.signature().is_batched() {
            self.model.predict(inputs)
        } else {
            self.model.predict_batch(inputs)
        };
        answer.map_err(|e| e.within(format_args!("{role} `{}`", self.name)))
    }
}

/// Refuses a part without a name, or with one that is taken.
pub(super) fn check_name(taken: &[Part], name: &str) -> Result<()> {
    if name.is_empty() || taken.iter().any(|part| part.name == name) {
        return Err(Error::new(ErrorKind::InvalidArgument, "the parts of a composed model need different names")
            .actual(alloc::format!("`{name}`")));
    }
    Ok(())
}

/// The specification under another name, its named dimensions marked with the part they come from: two parts may call
/// different lengths by the same name.
pub(super) fn qualified(spec: &TensorSpec, part: &str, name: &Name) -> TensorSpec {
    let dims: Vec<Dim> = spec
        .dims()
        .iter()
        .map(|dim| match dim {
            Dim::Named(n) => Dim::Named(alloc::format!("{part}.{n}")),
            other => other.clone(),
        })
        .collect();
    rebuilt(spec, name, spec.dtypes(), dims)
}

fn rebuilt(spec: &TensorSpec, name: &Name, dtypes: &[DType], dims: Vec<Dim>) -> TensorSpec {
    let mut out = TensorSpec::new(name.clone(), dtypes[0], dims)
        .with_features(spec.features().to_vec())
        .with_categories(spec.categories().to_vec());
    for dtype in &dtypes[1..] {
        out = out.accepting(*dtype);
    }
    if spec.reads_sparse() { out.reading_sparse() } else { out }
}

/// The dimensions that fit both, or none.
pub(super) fn unify(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    if a.len() != b.len() {
        return None;
    }
    a.iter()
        .zip(b)
        .map(|pair| match pair {
            (Dim::Batch, Dim::Batch) => Some(Dim::Batch),
            (Dim::Batch, _) | (_, Dim::Batch) => None,
            (Dim::Fixed(n), Dim::Fixed(k)) if n != k => None,
            (Dim::Fixed(n), _) | (_, Dim::Fixed(n)) => Some(Dim::Fixed(*n)),
            (Dim::Named(n), _) | (_, Dim::Named(n)) => Some(Dim::Named(n.clone())),
            _ => Some(Dim::Any),
        })
        .collect()
}

/// The inputs of a composed model: what its parts ask for and none of them gives.
#[derive(Debug, Default)]
pub(super) struct Inputs(pub(super) Vec<TensorSpec>);

impl Inputs {
    /// Where the input `name` stands; it must suit this part as well as those that asked for it before.
    pub(super) fn ask_for(&mut self, spec: &TensorSpec, part: &str, name: &Name) -> Result<usize> {
        let new = qualified(spec, part, name);
        let Some(at) = self.0.iter().position(|s| s.name() == name) else {
            self.0.push(new);
            return Ok(self.0.len() - 1);
        };
        self.0[at] = shared(&self.0[at], &new)?;
        Ok(at)
    }
}

/// The specification of an input that two parts share.
fn shared(a: &TensorSpec, b: &TensorSpec) -> Result<TensorSpec> {
    let differ = |kind, what: &str| {
        Error::new(kind, alloc::format!("two parts share an input of this name but disagree on its {what}; rename one"))
            .tensor(a.name())
    };
    let dtypes: Vec<DType> = a.dtypes().iter().copied().filter(|d| b.dtypes().contains(d)).collect();
    if dtypes.is_empty() {
        return Err(differ(ErrorKind::WrongType, "element type").expected(a.dtypes_text()).actual(b.dtypes_text()));
    }
    let Some(dims) = unify(a.dims(), b.dims()) else {
        return Err(differ(ErrorKind::WrongShape, "shape").expected(a.shape_text()).actual(b.shape_text()));
    };
    let features = match (a.features(), b.features()) {
        (a, []) => a,
        ([], b) => b,
        (a, b) if a == b => a,
        (a, b) => {
            return Err(differ(ErrorKind::InvalidArgument, "features").expected(a.join(", ")).actual(b.join(", ")));
        }
    };
    let categories = match (a.categories(), b.categories()) {
        (a, []) => a,
        ([], b) => b,
        (a, b) if a == b => a,
        // What one part knows the other may not, so nothing can be promised.
        _ => &[],
    };
    let mut spec = TensorSpec::new(a.name().clone(), dtypes[0], dims)
        .with_features(features.to_vec())
        .with_categories(categories.to_vec());
    for dtype in &dtypes[1..] {
        spec = spec.accepting(*dtype);
    }
    Ok(if a.reads_sparse() && b.reads_sparse() { spec.reading_sparse() } else { spec })
}

/// What to do with an output on its way into an input: `Some` is the element type it is cast to.
pub(super) fn fit(output: &TensorSpec, input: &TensorSpec, cast: bool) -> Result<Option<DType>> {
    if unify(output.dims(), input.dims()).is_none() {
        return Err(Error::new(ErrorKind::WrongShape, "what is fed in has another shape than the input takes")
            .tensor(input.name())
            .expected(input.shape_text())
            .actual(alloc::format!("`{}` {}", output.name(), output.shape_text())));
    }
    if input.dtypes().contains(&output.dtype()) {
        return Ok(None);
    }
    if cast && output.dtype() != DType::String && input.dtype() != DType::String {
        return Ok(Some(input.dtype()));
    }
    Err(Error::new(
        ErrorKind::WrongType,
        "what is fed in has another element type than the input takes; allow casts, or feed another tensor",
    )
    .tensor(input.name())
    .expected(input.dtypes_text())
    .actual(alloc::format!("`{}` {}", output.name(), output.dtype())))
}

/// The tensor at `index`, which should be called `name`; a part that keeps its signature has it there.
pub(super) fn pick<'t, 'a>(set: &'t Tensors<'a>, index: usize, name: &str) -> Result<&'t Tensor<'a>> {
    match set.at(index) {
        Some((found, tensor)) if found.as_str() == name => Ok(tensor),
        _ => set.tensor(name),
    }
}

/// What the parts are together.
pub(super) fn describe(engine: String, parts: &[&Part]) -> Description {
    let mut whole = Description::new("manifest", "composed", &engine);
    whole.reason = "a composed model asks its parts".into();
    whole.row_independent = true;
    for part in parts {
        let description = part.model.describe();
        whole.parameters += description.parameters;
        whole.bytes += description.bytes;
        whole.threads = whole.threads.max(description.threads);
        whole.row_independent &= description.row_independent;
        for (operator, count) in &description.operators {
            match whole.operators.iter_mut().find(|(o, _)| o == operator) {
                Some((_, total)) => *total += count,
                None => whole.operators.push((operator.clone(), *count)),
            }
        }
        whole.parts.push(description);
    }
    whole.operators.sort();
    whole
}
