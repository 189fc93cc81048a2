//! modelberth's slice search and report beside `sliceline` and fairlearn; see README.md.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use modelberth::ndarray::{Array1, Array2, ArrayView2};
use modelberth::table::{Column, Columns, read_npy};
use modelberth::validate::{CodedColumn, Metric, Rate, SliceFinder, Suite};
use modelberth::{LinearModel, Link, tensors};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const COLUMNS: usize = 30;
const VALUES: u64 = 14;
const GROUPS: u64 = 20;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1)).cloned();
    if let Some(folder) = value("--work") {
        let what = value("--what").ok_or("what?")?;
        println!("{}", measure(&what, Path::new(&folder))?);
        return Ok(());
    }
    let number = |name: &str, default: usize| value(name).map_or(Ok(default), |n| n.parse());
    let (python, peer) = (value("--python").ok_or("--python")?, value("--peer").ok_or("--peer")?);
    let (rows, resamples) = (number("--rows", 1_000_000)?, number("--resamples", 10)?);
    let folder = tempfile::tempdir()?;
    draw(folder.path(), rows, resamples)?;
    let this = std::env::current_exe()?;
    let ours = |what: &str| run(Command::new(&this).args(["--what", what, "--work"]).arg(folder.path()));
    let theirs = |what: &str| run(Command::new(&python).arg(&peer).arg(what).arg(folder.path()));
    // Ours take turns with theirs, so that a slow spell of the machine can be seen.
    for (what, peer) in [("slices", "sliceline"), ("report", "fairlearn")] {
        let before = ours(what)?;
        let other = theirs(what)?;
        let after = ours(what)?;
        let seconds = |v: &Value| v["seconds"].as_f64().unwrap_or(f64::NAN);
        let bytes = |v: &Value| v["peak_bytes"].as_f64().unwrap_or(f64::NAN);
        let mine = seconds(&before).max(seconds(&after));
        println!(
            "{what}: ours {:.4} s and {:.4} s, {:.0} MB; {peer} {:.3} s, {:.0} MB; {:.0} times as fast, {:.3} of the memory; {}",
            seconds(&before),
            seconds(&after),
            bytes(&before).max(bytes(&after)) / 1e6,
            seconds(&other),
            bytes(&other) / 1e6,
            seconds(&other) / mine,
            bytes(&before).max(bytes(&after)) / bytes(&other),
            if what == "slices" { same_slices(&before, &other)? } else { same_values(&before, &other)? },
        );
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<Value> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A seeded source (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Writes a .npy array: version 1, C order.
fn write_npy(path: PathBuf, kind: &str, shape: &str, data: &[u8]) -> Result<()> {
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    Ok(fs::write(path, bytes)?)
}

fn draw(folder: &Path, rows: usize, resamples: usize) -> Result<()> {
    let few = 50_000;
    let mut r = Random(42);
    let codes: Vec<u8> = (0..few * COLUMNS).map(|_| (r.next() % VALUES) as u8).collect();
    let errors: Vec<u8> = (0..few).flat_map(|_| r.unit().to_le_bytes()).collect();
    write_npy(folder.join("codes.npy"), "|u1", &format!("({few}, {COLUMNS})"), &codes)?;
    write_npy(folder.join("errors.npy"), "<f8", &format!("({few},)"), &errors)?;
    let (mut x, mut label, mut predicted, mut group) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rows {
        let score = r.unit() as f32 * 4.0 - 2.0;
        x.extend(score.to_le_bytes());
        predicted.extend(i64::from(score >= 0.0).to_le_bytes());
        label.extend(i64::from((score >= 0.0) != (r.unit() < 0.2)).to_le_bytes());
        group.extend(((r.next() % GROUPS) as i64).to_le_bytes());
    }
    let shape = format!("({rows},)");
    write_npy(folder.join("x.npy"), "<f4", &shape, &x)?;
    for (name, data) in [("label", label), ("predicted", predicted), ("group", group)] {
        write_npy(folder.join(format!("{name}.npy")), "<i8", &shape, &data)?;
    }
    let settings = json!({"alpha": 0.95, "top": 10, "max_level": 2, "min_support": few / 100, "resamples": resamples});
    Ok(fs::write(folder.join("settings.json"), settings.to_string())?)
}

/// The processor time of this process so far, all threads, in seconds.
fn processor_seconds() -> f64 {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of_task = |task: fs::DirEntry| -> Option<f64> {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    tasks.filter_map(of_task).sum::<f64>() / 1e9
}

fn measure(what: &str, folder: &Path) -> Result<Value> {
    let settings: Value = serde_json::from_slice(&fs::read(folder.join("settings.json"))?)?;
    let load = |name: &str| -> Result<_> { Ok(read_npy(&fs::read(folder.join(format!("{name}.npy")))?)?) };
    let mut out = if what == "slices" {
        let number = |name: &str| settings[name].as_u64().map(|n| n as usize).ok_or("a setting is missing");
        let codes = load("codes")?;
        let codes = codes.as_slice::<u8>()?;
        let codes = ArrayView2::from_shape((codes.len() / COLUMNS, COLUMNS), codes)?;
        let errors = load("errors")?;
        let errors = errors.as_slice::<f64>()?;
        let columns = codes.columns().into_iter().enumerate();
        let coded = |(i, c): (usize, modelberth::ndarray::ArrayView1<'_, u8>)| {
            CodedColumn::from_codes(i.to_string(), c.iter().map(|&v| v.into()).collect())
        };
        let features: Vec<CodedColumn> = columns.map(coded).collect();
        let finder = SliceFinder::new()
            .alpha(settings["alpha"].as_f64().ok_or("alpha")?)
            .top(number("top")?)
            .max_level(number("max_level")?)
            .min_support(number("min_support")?);
        let start = processor_seconds();
        let found = finder.find(&features, errors)?;
        let seconds = processor_seconds() - start;
        json!({"seconds": seconds, "slices": found})
    } else {
        let ints = |name: &str| -> Result<Vec<i64>> { Ok(load(name)?.as_slice::<i64>()?.to_vec()) };
        let mut columns = Columns::new();
        columns.push("label", Column::Int(ints("label")?))?;
        columns.push("group", Column::Int(ints("group")?))?;
        let x = load("x")?;
        let x = Array1::from_vec(x.as_slice::<f32>()?.to_vec());
        let x: Array2<f32> = x.insert_axis(modelberth::ndarray::Axis(1));
        let model = LinearModel::new(Array2::from_elem((1, 1), 3.0), Array1::zeros(1), Link::Logistic)?;
        let model = model.class_names(["0", "1"])?;
        let of = |rate| Metric::OfClass(rate, None);
        let metrics = [Metric::Accuracy, of(Rate::Precision), of(Rate::Recall), of(Rate::F1)];
        let names = ["accuracy", "precision", "recall", "f1"];
        let mut suite = Suite::new("label").max_gap(metrics, 0.01);
        for group in 0..GROUPS {
            suite = suite.slice(&format!("group == {group}"));
        }
        let inputs = tensors! { "x" => x.view() }?;
        let start = processor_seconds();
        let report = suite.test(&model).on(&inputs, &columns)?;
        let seconds = processor_seconds() - start;
        let mut values = serde_json::Map::new();
        for (i, name) in names.iter().enumerate() {
            let all: Vec<Option<f64>> = report.slices.iter().map(|s| s.metrics[i].value.value()).collect();
            values.insert((*name).to_string(), json!(all));
        }
        json!({"seconds": seconds, "values": values})
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).and_then(|l| l.split_whitespace().nth(1));
    out["peak_bytes"] = json!(peak.and_then(|kb| kb.parse::<u64>().ok()).map(|kb| kb * 1024));
    Ok(out)
}

fn same_slices(ours: &Value, theirs: &Value) -> Result<String> {
    let list = |v: &Value| -> Result<Vec<(f64, Value)>> {
        let slices = v["slices"].as_array().ok_or("no slices")?;
        Ok(slices.iter().map(|s| (s["score"].as_f64().unwrap_or(f64::NAN), s["predicates"].clone())).collect())
    };
    let (a, b) = (list(ours)?, list(theirs)?);
    for (i, ((score, predicates), (other, named))) in a.iter().zip(&b).enumerate() {
        let alone = b.iter().enumerate().all(|(j, (s, _))| i == j || (s - other).abs() > 1e-9);
        if (score - other).abs() > 1e-9 || alone && predicates != named {
            return Ok(format!("slice {i} DIFFERS: {score} {predicates}, {other} {named}"));
        }
    }
    Ok(format!("the same {} slices", a.len().min(b.len())))
}

fn same_values(ours: &Value, theirs: &Value) -> Result<String> {
    let mut largest: f64 = 0.0;
    for (metric, values) in theirs["values"].as_object().ok_or("no values")? {
        let mine = ours["values"][metric].as_array().ok_or("no values of ours")?;
        for (a, b) in mine.iter().zip(values.as_array().ok_or("no list")?) {
            largest = largest.max((a.as_f64().ok_or("undefined")? - b.as_f64().ok_or("undefined")?).abs());
        }
    }
    Ok(format!("values {} (largest difference {largest:.1e})", if largest < 1e-9 { "the same" } else { "DIFFER" }))
}
