mod input;
mod output;

use crate::{DType, Dim, Signature, TensorSpec};

fn golden(name: &str) -> String {
    format!("{}/tests/data/tables/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn column(name: &str, dtype: DType) -> TensorSpec {
    TensorSpec::new(name, dtype, [Dim::Batch, Dim::Fixed(1)])
}

/// Three named columns of different types, as a pipeline over a frame has them.
fn mixed() -> Signature {
    Signature::new(
        vec![column("age", DType::F32), column("visits", DType::I32), column("plan", DType::String)],
        vec![TensorSpec::new("label", DType::I64, [Dim::Batch])],
    )
}

/// One matrix (m, 4) without names.
fn matrix(dtype: DType) -> Signature {
    Signature::new(vec![TensorSpec::new("X", dtype, [Dim::Batch, Dim::Fixed(4)])], Vec::new())
}

/// One column of any type.
fn single(dtype: DType) -> Signature {
    Signature::new(vec![column("v", dtype)], Vec::new())
}
