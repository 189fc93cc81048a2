//! Holds a model against its suite before it is released, as a host does it in its own tests.
//!
//! `cargo run --release --features validate --example gate` prints what the suite `examples/digits.toml` finds about
//! `tests/data/digits/digits.onnx` and writes the page `target/digits.html`. `cargo test --features validate --example gate`
//! runs the same suite as a test: in a host it stands in `tests/`, next to the model and the suite.

use std::fs;
use std::path::{Path, PathBuf};

use modelberth::ndarray::Array2;
use modelberth::prelude::*;
use modelberth::table::{Column, Columns};
use modelberth::validate::{Behaviour, Change, Expect, Report, Suite};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let report = report()?;
    for metric in &report.metrics {
        println!("{:<18} {}", metric.metric.to_string(), metric.value);
    }
    for reason in &report.verdict.reasons {
        println!("FAIL {reason}");
    }
    let page = root().join("target/digits.html");
    fs::create_dir_all(root().join("target"))?;
    fs::write(&page, report.to_html())?;
    let verdict = if report.passed() { "passed" } else { "failed" };
    println!("{verdict}: {} checks on {} rows; see {}", report.verdict.evidence.len(), report.rows, page.display());
    Ok(())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the suite finds. Most of it stands in the file; what a file can't say is added here.
fn report() -> Result<Report> {
    let data = root().join("tests/data/digits");
    let model = modelberth::load(data.join("digits.onnx"))?;
    let (pixels, columns) = held_out(data.join("heldout.csv"))?;
    let suite = Suite::read(root().join("examples/digits.toml"))?
        .invariant(Behaviour::new([Change::add("X_0", 0.25)]).max_failure_rate(0.01));
    // A metamorphic relation that no change of a column expresses: a little light on every pixel.
    let lighter = |inputs: &Tensors<'_>| {
        let pixels = inputs.get::<f32>("X")?;
        tensors! { "X" => pixels.mapv(|p| p + 0.001) }
    };
    let inputs = tensors! { "X" => pixels.view() }?;
    let served = |inputs: &Tensors<'_>| model.predict_batch(inputs);
    let run = suite.test(&model).served_by(&served).metamorphic("a little light", Expect::Same, None, &lighter);
    Ok(run.on(&inputs, &columns)?)
}

/// The pixels (m, 64) of the held-out rows, and what the suite looks at: the digit, and how much ink there is.
fn held_out(path: PathBuf) -> Result<(Array2<f32>, Columns)> {
    let (mut pixels, mut digits, mut ink) = (Vec::new(), Vec::new(), Vec::new());
    for line in fs::read_to_string(path)?.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        let row = fields[..64].iter().map(|p| p.parse()).collect::<std::result::Result<Vec<f32>, _>>()?;
        ink.push(f64::from(row.iter().sum::<f32>()));
        pixels.extend(row);
        digits.push(fields[64].parse()?);
    }
    let mut columns = Columns::new();
    columns.push("digit", Column::Int(digits))?;
    columns.push("ink", Column::Float(ink))?;
    Ok((Array2::from_shape_vec((columns.rows(), 64), pixels)?, columns))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_model_may_be_released() {
        let report = super::report().expect("the suite runs");
        assert!(report.passed(), "{:#?}", report.verdict.reasons);
    }
}
