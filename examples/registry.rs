//! From a trained file to the model in production, and back: `cargo run --example registry --features registry`.
//!
//! Two versions of a classifier are registered; the second becomes champion once its suite is passed, and a service that watches
//! the alias has it at once. Then it is rolled back.

use std::time::Duration;

use modelberth::ndarray::Array2;
use modelberth::prelude::*;
use modelberth::registry::blocking::Registry;
use modelberth::registry::{Gate, NewVersion, Parent, Promotion, VerdictRecord};
use modelberth::table::{Column, Columns};
use modelberth::validate::{Metric, Suite};

fn main() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let place = directory.path().join("models").display().to_string();
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/digits");
    let file = format!("{data}/digits.onnx");

    // What a pipeline does after training.
    let registry = Registry::open(&place)?.author("nightly training");
    let first = registry.register("digits", NewVersion::file(&file)?.metric("accuracy", 0.95).tag("team", "mail"))?;
    registry.set_alias("digits", "champion", first.number, &Promotion::new().expecting(None))?;
    registry.set_gates("digits", "champion", &[Gate::suite("digits").against_current()], &Promotion::new())?;
    let second = NewVersion::file(&file)?
        .description("the same, trained again")
        .parent(Parent::new("digits", first.number, "retrained from"))
        .hyperparameter("C", 0.5);
    let second = registry.register("digits", second)?;

    // A service, elsewhere.
    let service = Registry::open(&place)?;
    let mut watch = service.watch("digits@champion", Duration::from_secs(5))?;
    println!("the service runs {}", watch.next()?.version.reference());

    // What stands before a promotion: without its suite it is refused.
    if let Err(refused) = registry.set_alias("digits", "champion", second.number, &Promotion::new()) {
        println!("not yet: {refused}");
    }
    let (new, champion) = (registry.load(&second.reference())?, registry.load("digits@champion")?);
    let suite = Suite::new("digit").named("digits").require(Metric::Accuracy, 0.9);
    let (pixels, columns) = held_out(&format!("{data}/heldout.csv"))?;
    let report = suite.test(&new).against(&champion).on(&tensors! { "X" => pixels.view() }?, &columns)?;
    println!(
        "the suite `{}` on {} rows: {}",
        report.suite,
        report.rows,
        if report.passed() { "passed" } else { "failed" }
    );
    let verdict = VerdictRecord::from(&report).against("digits", first.number);
    registry.add_verdict(&second.reference(), verdict)?;
    let now = Promotion::new().expecting(Some(first.number)).reason("passed its suite");
    registry.set_alias("digits", "champion", second.number, &now)?;

    // What the service does every five seconds.
    if let Some(loaded) = watch.poll()? {
        println!("the service runs {} now", loaded.version.reference());
    }
    let back = registry.rollback("digits", "champion", &Promotion::new().reason("alarms since 14:00"))?;
    println!("and is rolled back to version {}\n", back.version.unwrap_or(0));
    println!("{}", registry.lineage(&second.reference())?);
    println!("{}", registry.card(&second.reference())?);
    Ok(())
}

/// The pixels (m, 64) of the held-out rows, and their digits.
fn held_out(path: &str) -> Result<(Array2<f32>, Columns)> {
    let (mut pixels, mut digits) = (Vec::new(), Vec::new());
    for line in std::fs::read_to_string(path)?.lines() {
        let mut fields = line.split(',');
        pixels.extend(fields.by_ref().take(64).filter_map(|pixel| pixel.parse::<f32>().ok()));
        digits.extend(fields.next().and_then(|digit| digit.parse::<i64>().ok()));
    }
    let mut columns = Columns::new();
    columns.push("digit", Column::Int(digits))?;
    let pixels = Array2::from_shape_vec((columns.rows(), 64), pixels)
        .map_err(|e| Error::new(ErrorKind::Malformed, "a row has not 64 pixels").with_source(e))?;
    Ok((pixels, columns))
}
