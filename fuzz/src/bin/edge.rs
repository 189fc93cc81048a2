//! Packed models: bytes with the checksum that belongs to them are refused or answer whatever they are asked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelberth::edge::Packed;

/// No more floats are taken for one model.
const MOST_FLOATS: usize = 1 << 11;

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 16 {
        let length = (bytes.len() as u32).to_le_bytes();
        bytes[8..12].copy_from_slice(&length);
        let sum = bytes[16..].iter().fold(0x811c_9dc5u32, |s, b| (s ^ u32::from(*b)).wrapping_mul(0x0100_0193));
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    }
    let Ok(model) = Packed::new(&bytes) else { return };
    let lengths = [model.input_len(), model.scratch_len(), model.output_len()];
    if lengths.iter().any(|n| *n > MOST_FLOATS) {
        return;
    }
    for x in [f32::NAN, 0.0, 1.5, f32::INFINITY] {
        let [input, mut scratch, mut output] = lengths.map(|n| vec![x; n]);
        model.predict(&input, &mut scratch, &mut output).expect("a checked model fails for the lengths alone");
    }
    let _ = model.texts().map(|text| model.code(text)).count();
});
