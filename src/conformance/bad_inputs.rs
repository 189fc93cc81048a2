//! Inputs that must be refused.

use super::suite::{Subject, guarded};
use crate::{DType, Dim, ErrorKind, Tensor, TensorSpec, Tensors};

/// A name that no model has.
const STRANGER: &str = "modelberth.conformance.no.such.input";

impl Subject<'_> {
    pub(super) fn bad_inputs(&self) -> Vec<String> {
        let signature = self.model.signature();
        let mut found = Vec::new();
        let good = self.inputs.as_view();
        self.spoil(&good, false, &mut found);
        if signature.is_batched() {
            match self.observation(0) {
                Ok(one) => self.spoil(&one, true, &mut found),
                Err(e) => found.push(e),
            }
            self.batch_lengths(&mut found);
        } else {
            self.refuses(
                &mut found,
                true,
                "one observation, though there is no batch axis",
                &good,
                &[ErrorKind::InvalidArgument],
            );
        }
        found
    }

    /// Asks with inputs that are wrong in one way each, and notes what is not refused as it should be.
    fn spoil(&self, good: &Tensors<'_>, one: bool, found: &mut Vec<String>) {
        for spec in self.model.signature().inputs() {
            let name = spec.name();
            let Ok(tensor) = good.tensor(name) else { continue };
            let without: Tensors<'_> =
                good.iter().filter(|(n, _)| *n != name).map(|(n, t)| (n.clone(), t.as_view())).collect();
            self.refuses(found, one, &format!("`{name}` missing"), &without, &[ErrorKind::MissingInput]);

            let other = if spec.dtype() == DType::String { DType::F32 } else { DType::String };
            if !spec.dtypes().contains(&other) {
                let wrong = replaced(good, spec, blank(tensor.shape(), other));
                self.refuses(found, one, &format!("`{name}` as {other}"), &wrong, &[ErrorKind::WrongType]);
            }
            if tensor.is_sparse() {
                continue;
            }
            let deeper: Vec<usize> = tensor.shape().iter().copied().chain([1]).collect();
            if let Ok(wrong) = tensor.as_view().reshape(&deeper) {
                let wrong = replaced(good, spec, wrong);
                self.refuses(found, one, &format!("`{name}` with an axis too many"), &wrong, &[ErrorKind::WrongShape]);
            }
            let dims = if one && spec.is_batched() { &spec.dims()[1..] } else { spec.dims() };
            for (axis, dim) in dims.iter().enumerate() {
                if let Dim::Fixed(n) = dim {
                    let mut shape = tensor.shape().to_vec();
                    shape[axis] = n + 1;
                    let wrong = replaced(good, spec, blank(&shape, spec.dtype()));
                    let what = format!("`{name}` with {} instead of {n} along axis {axis}", n + 1);
                    self.refuses(found, one, &what, &wrong, &[ErrorKind::WrongShape]);
                }
            }
        }
        let stranger: Tensors<'_> = good
            .iter()
            .map(|(n, t)| (n.clone(), t.as_view()))
            .chain([(STRANGER.into(), Tensor::from(vec![0.0f32; self.rows.max(1)]))])
            .collect();
        self.refuses(found, one, "an input too many", &stranger, &[ErrorKind::UnknownTensor]);
    }

    fn batch_lengths(&self, found: &mut Vec<String>) {
        let signature = self.model.signature();
        if signature.inputs().iter().filter(|spec| spec.is_batched()).count() < 2 {
            return;
        }
        for spec in signature.inputs().iter().filter(|spec| spec.is_batched()) {
            let Ok(fewer) = self.inputs.tensor(spec.name()).and_then(|tensor| tensor.rows(0..self.rows - 1)) else {
                continue;
            };
            let wrong = replaced(&self.inputs, spec, fewer);
            let what = format!("`{}` with an observation fewer than the others", spec.name());
            self.refuses(found, false, &what, &wrong, &[ErrorKind::WrongShape]);
        }
    }

    fn refuses(&self, found: &mut Vec<String>, one: bool, what: &str, inputs: &Tensors<'_>, kinds: &[ErrorKind]) {
        let call = if one { "predict" } else { "predict_batch" };
        let answer = guarded(|| if one { self.model.predict(inputs) } else { self.model.predict_batch(inputs) });
        let actual = match answer {
            Ok(Err(e)) if kinds.contains(&e.kind()) => return,
            Ok(Err(e)) => format!("refused as `{}` ({e})", e.kind()),
            Ok(Ok(_)) => "answered".to_owned(),
            Err(panic) => panic,
        };
        let expected: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
        found.push(format!("`{call}` with {what}: expected an error {}, but {actual}", expected.join(" or ")));
    }
}

fn replaced<'t>(good: &'t Tensors<'_>, spec: &TensorSpec, tensor: Tensor<'t>) -> Tensors<'t> {
    let mut tensor = Some(tensor);
    good.iter()
        .map(|(name, old)| {
            let new = if name == spec.name() { tensor.take() } else { None };
            (name.clone(), new.unwrap_or_else(|| old.as_view()))
        })
        .collect()
}

/// Zeros, or empty strings.
fn blank(shape: &[usize], dtype: DType) -> Tensor<'static> {
    let zeros = ndarray::ArrayD::<u8>::zeros(shape);
    if dtype == DType::String {
        return zeros.mapv(|_| String::new()).into();
    }
    // Every number type can hold zero, so the cast always succeeds.
    Tensor::from(zeros).cast(dtype).unwrap_or_else(|_| Tensor::from(ndarray::ArrayD::<f32>::zeros(shape)))
}
