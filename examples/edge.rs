//! A model as a device without an operating system runs it: packed on the host, then asked in arrays of fixed size, without `std`
//! and without memory of its own.
//!
//! ```sh
//! cargo run --release --features optimize --example edge -- tests/data/zoo/classifier_RandomForestClassifier.onnx 5.1 3.5 1.4 0.2
//! ```
//!
//! Takes a model that `modelberth convert --to packed` takes, and the numbers of one observation.

use modelberth::edge::{Error, Packed};
use modelberth::optimize::Convert;

/// What the device has for scratch, and for an answer, in floats.
const SCRATCH: usize = 16_384;
const ANSWER: usize = 64;

/// All that runs on the device: the bytes lie in flash, the arrays on the stack.
fn answer<'a>(model: &'a [u8], input: &[f32], out: &'a mut [f32; ANSWER]) -> Result<(Packed<'a>, &'a [f32]), Error> {
    let model = Packed::new(model)?;
    let mut scratch = [0.0; SCRATCH];
    let too_small = |expected| Error::Length { expected, actual: SCRATCH };
    let scratch = scratch.get_mut(..model.scratch_len()).ok_or(too_small(model.scratch_len()))?;
    let out = out.get_mut(..model.output_len()).ok_or(too_small(model.output_len()))?;
    model.predict(input, scratch, out)?;
    Ok((model, out))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let path = words.next().ok_or("give a model, then the numbers of one observation")?;
    let input = words.map(|word| word.parse()).collect::<Result<Vec<f32>, _>>()?;
    let packed = Convert::new().packed().run(&path)?;
    let bytes = packed.artifact().files[0].content()?;
    let mut out = [0.0; ANSWER];
    let (model, mut answers) = answer(&bytes, &input, &mut out)?;
    println!("{} bytes, {} floats of scratch", bytes.len(), model.scratch_len());
    for port in model.outputs() {
        let (own, behind) = answers.split_at(port.len());
        let shown: Vec<String> = own
            .iter()
            .map(|x| model.text(*x).filter(|_| port.is_text()).map_or(x.to_string(), str::to_owned))
            .collect();
        println!("{:16}{}", port.name(), shown.join("  "));
        answers = behind;
    }
    Ok(())
}
