//! LightGBM's text models with edits to their lines, words and numbers: load, predict, keep the signature.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use modelberth_fuzz::{Bytes, Promise, Random, exercise, loader, mutate_lines};

/// Outputs that no model has by itself.
const DETAILS: [&str; 3] = ["raw", "leaf", "contributions"];

fuzz_target!(|bytes: &[u8]| {
    // Whatever the edits made of the first line, these bytes are meant for this reader.
    let file = if bytes.starts_with(b"tree\n") { bytes.to_vec() } else { [b"tree\n".as_slice(), bytes].concat() };
    let tail = &bytes[bytes.len() - bytes.len().min(256)..];
    let Ok(model) = loader().load_bytes("fuzzed", file.clone()) else { return };
    exercise(&*model, &mut Bytes::new(tail), Promise::Whole);
    for output in DETAILS {
        if let Ok(model) = loader().outputs([output]).load_bytes("fuzzed", file.clone()) {
            exercise(&*model, &mut Bytes::new(tail), Promise::Whole);
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut random = Random::new(seed);
    let edited = mutate_lines(&data[..size], &mut random);
    if random.below(16) == 0 || edited.len() > max_size {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..edited.len()].copy_from_slice(&edited);
    edited.len()
});
