//! Bytes to a model: any file may be refused, none may panic, hang or take memory that it does not need.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = modelberth_fuzz::loader().load_bytes("fuzzed", bytes);
});
