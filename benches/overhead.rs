//! What the trait itself costs: making tensors, checking them, calling through `dyn Model`.
//!
//! `cargo bench --bench overhead`

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use modelberth::ndarray::{Array1, Array2, ArrayView1};
use modelberth::{
    Checked, DType, Description, Dim, LinearModel, Link, Model, Result, Signature, TensorSpec, Tensors, tensors,
};

/// A model that does nothing, so that only the way to it is measured.
#[derive(Debug)]
struct Nothing(Signature);

impl Model for Nothing {
    fn signature(&self) -> &Signature {
        &self.0
    }
    fn predict_batch(&self, _inputs: &Tensors<'_>) -> Result<Tensors<'static>> {
        Ok(Tensors::new())
    }
    fn predict(&self, _input: &Tensors<'_>) -> Result<Tensors<'static>> {
        Ok(Tensors::new())
    }
    fn describe(&self) -> Description {
        Description::new("code", "none", "")
    }
    fn artifact(&self) -> Result<modelberth::Artifact> {
        Ok(modelberth::Artifact::in_memory("none", "none", Vec::new()))
    }
}

/// Distinct rows, walked in order: one row repeated would flatter caches and branches.
fn rows() -> Array2<f32> {
    Array2::from_shape_fn((1024, 64), |(i, j)| ((i * 31 + j * 17) % 97) as f32 / 97.0)
}

fn one_row(c: &mut Criterion) {
    let rows = rows();
    let mut i = 0;
    let mut next = move || {
        i = (i + 1) % 1024;
        i
    };
    c.bench_function("making the one borrowed input", |b| {
        b.iter(|| tensors! { "x" => black_box(rows.row(next())) }.map(drop));
    });
    let spec = TensorSpec::new("x", DType::F32, vec![Dim::Batch, Dim::Fixed(64)]);
    let nothing: Arc<dyn Model> = Arc::new(Checked::new(Nothing(Signature::new(vec![spec], vec![]))));
    let call = |model: &dyn Model, row: ArrayView1<'_, f32>| model.predict(&tensors! { "x" => row }?);
    c.bench_function("a checked call of a model that does nothing", |b| b.iter(|| call(&*nothing, rows.row(next()))));
    let weights = Array2::from_shape_fn((64, 1), |(i, _)| i as f32 / 64.0 - 0.5);
    let linear: Arc<dyn Model> =
        Arc::new(LinearModel::new(weights, Array1::from_elem(1, 0.25), Link::Identity).expect("64 weights and a bias"));
    c.bench_function("predict of a linear model with 64 features", |b| b.iter(|| call(&*linear, rows.row(next()))));
}

criterion_group!(benches, one_row);
criterion_main!(benches);
