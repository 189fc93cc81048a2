//! Tensors to a loaded real model: any may be refused, none may panic, and what is answered keeps the signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelberth_fuzz::{Bytes, Promise, exercise, model};

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = Bytes::new(bytes);
    exercise(&**model(bytes.below(256)), &mut bytes, Promise::Whole);
});
