//! Bytes to tables: arrays and data sets of every format, read for models of several signatures.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use modelberth::table::{TableOptions, TableReader, read_npy, read_npz};
use modelberth::{DType, Dim, Signature, TensorSpec};

fn signatures() -> &'static [Signature] {
    static MADE: OnceLock<Vec<Signature>> = OnceLock::new();
    MADE.get_or_init(|| {
        let columns = |dtype, n| TensorSpec::new("x", dtype, [Dim::Batch, Dim::Fixed(n)]);
        let one = |name: &str, dtype| TensorSpec::new(name, dtype, [Dim::Batch, Dim::Fixed(1)]);
        let named = columns(DType::F32, 2).with_features(vec!["age".to_owned(), "visits".to_owned()]);
        [
            vec![columns(DType::F32, 4)],
            vec![named],
            vec![one("age", DType::F32), one("plan", DType::String), one("visits", DType::I64), one("b", DType::Bool)],
            vec![TensorSpec::new("x", DType::F64, [Dim::Batch, Dim::Any]), TensorSpec::new("k", DType::U8, [])],
            vec![TensorSpec::new("x", DType::String, [Dim::Batch])],
        ]
        .into_iter()
        .map(|inputs| Signature::new(inputs, Vec::new()))
        .collect()
    })
}

fuzz_target!(|bytes: &[u8]| {
    let _ = (read_npy(bytes), read_npz(bytes));
    let options = TableOptions::default().max_bytes(1 << 20).extra_columns(bytes.len() % 2 == 1);
    for signature in signatures() {
        let Ok(mut table) = TableReader::from_bytes("fuzzed", bytes, signature, &options) else { continue };
        // Enough for every file of the size that is fuzzed, and an end to those that never come to one.
        for _ in 0..1000 {
            match table.next_batch(7) {
                Ok(Some(batch)) => assert_eq!(batch.len(), signature.inputs().len()),
                Ok(None) | Err(_) => break,
            }
        }
    }
});
