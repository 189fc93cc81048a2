//! Reads handwritten digits with a scikit-learn pipeline, inside this process.
//!
//! `cargo run --release --example quickstart` loads `tests/data/digits/digits.onnx`, a scaler and a logistic
//! regression as `skl2onnx` exports them, and predicts 450 digits that the pipeline has not seen.

use std::fs;
use std::path::Path;
use std::time::Instant;

use modelberth::ndarray::{Array2, Axis};
use modelberth::prelude::*;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/digits");
    let (pixels, truth) = held_out(&data.join("heldout.csv"))?;

    let model = modelberth::load(data.join("digits.onnx"))?;
    let answers = model.predict_array(pixels.view())?;
    let labels = answers.get::<i64>("label")?;
    let probabilities = answers.get::<f32>("probabilities")?;

    let right = labels.iter().zip(&truth).filter(|(a, b)| a == b).count();
    println!(
        "{} held-out digits, {right} read rightly: accuracy {:.1} %\n",
        truth.len(),
        100.0 * right as f64 / truth.len() as f64
    );
    print_confusion(labels.iter().copied().zip(truth.iter().copied()));

    let i = labels.iter().zip(&truth).position(|(a, b)| a != b).unwrap_or(0);
    println!(
        "\nrow {i}, drawn: a {}, read as {} with probability {:.2}",
        truth[i],
        labels[i],
        probabilities[[i, labels[i] as usize]]
    );
    draw(pixels.row(i).as_slice().ok_or("rows are contiguous")?);

    println!("\nlatency, median over many calls, one thread:");
    let one = median_ns(|row| model.predict_row(pixels.row(row % truth.len())).map(drop))?;
    println!("  predict, one row          {one:>8.0} ns");
    let all = median_ns(|_| model.predict_array(pixels.view()).map(drop))?;
    println!("  predict_batch, {} rows   {:>8.0} ns a row", truth.len(), all / truth.len() as f64);
    Ok(())
}

/// The pixels (m, 64) and the true digits (m,) of the held-out rows.
fn held_out(path: &Path) -> std::result::Result<(Array2<f32>, Vec<i64>), Box<dyn std::error::Error>> {
    let (mut pixels, mut truth) = (Vec::new(), Vec::new());
    for line in fs::read_to_string(path)?.lines() {
        let fields: Vec<&str> = line.split(',').collect();
        for pixel in &fields[..64] {
            pixels.push(pixel.parse()?);
        }
        truth.push(fields[64].parse()?);
    }
    Ok((Array2::from_shape_vec((truth.len(), 64), pixels)?, truth))
}

/// Rows are the true digits, columns what they were read as.
fn print_confusion(pairs: impl Iterator<Item = (i64, i64)>) {
    let mut counts = Array2::<u32>::zeros((10, 10));
    pairs.for_each(|(read, truth)| counts[[truth as usize, read as usize]] += 1);
    println!("true \\ read {}", (0..10).map(|d| format!("{d:4}")).collect::<String>());
    for (digit, row) in counts.axis_iter(Axis(0)).enumerate() {
        let cells: String = row.iter().map(|&n| if n == 0 { "   .".to_owned() } else { format!("{n:4}") }).collect();
        println!("{digit:11} {cells}");
    }
}

/// Eight rows of eight pixels from 0 to 16.
fn draw(pixels: &[f32]) {
    for row in pixels.chunks(8) {
        let line: String = row.iter().map(|p| ["  ", "░░", "▒▒", "▓▓", "██"][(p / 4.0) as usize % 5]).collect();
        println!("  {line}");
    }
}

/// The median time of a call, in nanoseconds.
fn median_ns(mut call: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    let mut times = Vec::with_capacity(2000);
    for i in 0..2000 {
        let start = Instant::now();
        call(i)?;
        times.push(start.elapsed().as_nanos() as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
