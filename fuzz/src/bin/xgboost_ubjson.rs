//! XGBoost's UBJSON models: any file may be refused, none may panic, hang or take memory that it does not need, and what
//! loads must answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelberth_fuzz::booster;

fuzz_target!(|bytes: &[u8]| {
    let known = bytes.starts_with(b"{L");
    let file = if known { bytes.to_vec() } else { [b"{L", bytes].concat() };
    booster(&file, bytes);
});
