//! Bytes to CatBoost models: any file may be refused, none may panic, hang or take memory that it does not need, and
//! what loads must answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelberth_fuzz::{Bytes, Promise, exercise, loader};

fuzz_target!(|bytes: &[u8]| {
    let outputs: &[&str] = match bytes.len() % 3 {
        0 => &["raw", "leaf"],
        1 => &["raw", "contributions"],
        _ => &["label", "probabilities"],
    };
    // Nothing but a `{` begins a JSON model, so all the fuzzer's work goes to what follows.
    if bytes.first() == Some(&b'{')
        && let Ok(model) = loader().outputs(outputs.iter().copied()).load_bytes("fuzzed.json", bytes)
    {
        exercise(&*model, &mut Bytes::new(&bytes[bytes.len() / 2..]), Promise::Whole);
    }
});
