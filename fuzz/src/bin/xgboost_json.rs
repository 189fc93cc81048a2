//! XGBoost's JSON models: any file may be refused, none may panic, hang or take memory that it does not need, and what
//! loads must answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelberth_fuzz::booster;

fuzz_target!(|bytes: &[u8]| {
    // The word that tells the format may be anywhere in a fuzzed file; here it is in front.
    let known = bytes.starts_with(b"{\"learner\"");
    let file = if known { bytes.to_vec() } else { [b"{\"learner\":", bytes].concat() };
    booster(&file, bytes);
});
