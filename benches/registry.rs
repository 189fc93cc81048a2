//! The registry in a directory: verbs at 10,000 versions, and a model's way from a file to an alias and back.
//!
//! ```text
//! cargo bench --features registry --bench registry                          10,000 versions, in a temporary directory
//! cargo bench --features registry --bench registry -- make DIR [N]         makes such a registry
//! cargo bench --features registry --bench registry -- read DIR             times reading it, as a process that knows nothing
//! cargo bench --features registry --bench registry -- cycle MODEL [N]      register, move an alias, load by the alias
//! ```
//!
//! Nothing but the calls is timed. `benches/peers/registry/run` puts MLflow beside it.

use std::path::Path;
use std::time::Instant;

use modelberth::ndarray::{Array1, Array2};
use modelberth::registry::blocking::Registry;
use modelberth::registry::{NewVersion, Promotion, Query};
use modelberth::{LinearModel, Link, Result};

const VERSIONS: u64 = 10_000;

fn main() -> Result<()> {
    // Cargo adds a flag of its own.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let number = |at: usize, or: u64| args.get(at).and_then(|text| text.parse().ok()).unwrap_or(or);
    match (args.first().map(String::as_str), args.get(1)) {
        (Some("make"), Some(place)) => make(place, number(2, VERSIONS)),
        (Some("read"), Some(place)) => read(place),
        (Some("cycle"), Some(model)) => cycle(Path::new(model), number(2, 20)),
        _ => {
            let directory = tempfile::tempdir()?;
            let place = directory.path().display().to_string();
            make(&place, VERSIONS)?;
            read(&place)
        }
    }
}

/// A registry of `count` versions of one model of eight features, each with its own weights.
fn make(place: &str, count: u64) -> Result<()> {
    let registry = Registry::open(place)?;
    let mut times = Vec::new();
    for i in 0..count {
        let weights = Array2::from_shape_fn((8, 1), |(j, _)| (i * 8 + j as u64) as f32);
        let new = NewVersion::of(&LinearModel::new(weights, Array1::zeros(1), Link::Identity)?)?
            .tag("batch", (i % 100).to_string())
            .metric("auc", 0.5 + i as f64 / (2.0 * count as f64))
            .hyperparameter("depth", 6)
            .description("one of many");
        let start = Instant::now();
        registry.register("many", new)?;
        times.push(start.elapsed().as_secs_f64());
    }
    registry.set_alias("many", "champion", count / 2, &Promotion::new())?;
    show("register", &mut times);
    Ok(())
}

fn read(place: &str) -> Result<()> {
    let timed = |what: &str, n: usize, work: &dyn Fn() -> Result<usize>| -> Result<()> {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..n {
            let start = Instant::now();
            found = work()?;
            times.push(start.elapsed().as_secs_f64());
        }
        show(&format!("{what} ({found})"), &mut times);
        Ok(())
    };
    // Each opens the registry anew, so that nothing is known from before.
    timed("get by alias", 50, &|| Registry::open(place)?.get("many@champion").map(|version| version.number as usize))?;
    timed("newest version", 50, &|| Registry::open(place)?.get("many").map(|version| version.number as usize))?;
    timed("list", 5, &|| Registry::open(place)?.list("many").map(|versions| versions.len()))?;
    let query = || Query::new().tag("batch", "7").metric("auc>=0.9");
    timed("search", 5, &|| Registry::open(place)?.search(&query()?).map(|versions| versions.len()))
}

fn cycle(model: &Path, count: u64) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let place = directory.path().display().to_string();
    let (mut register, mut alias, mut load, mut whole) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for i in 0..count {
        let registry = Registry::open(&place)?;
        let start = Instant::now();
        let new = NewVersion::file(model)?.tag("i", i.to_string());
        let version = registry.register("fraud", new)?;
        register.push(start.elapsed().as_secs_f64());
        let step = Instant::now();
        registry.set_alias("fraud", "champion", version.number, &Promotion::new())?;
        alias.push(step.elapsed().as_secs_f64());
        let step = Instant::now();
        drop(registry.load("fraud@champion")?);
        load.push(step.elapsed().as_secs_f64());
        whole.push(start.elapsed().as_secs_f64());
    }
    show("register, the file loaded for its signature", &mut register);
    show("alias", &mut alias);
    show("load by alias", &mut load);
    show("all three", &mut whole);
    Ok(())
}

/// The first, the median and the largest of `times`, in ms.
fn show(what: &str, times: &mut [f64]) {
    let first = times.first().copied().unwrap_or_default();
    times.sort_by(f64::total_cmp);
    let (median, largest) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{what:<46} first {:>9.3} ms  median {:>9.3} ms  largest {:>9.3} ms",
        first * 1e3,
        median * 1e3,
        largest * 1e3
    );
}
